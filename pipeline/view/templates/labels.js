"use strict";
// A labelling is a list of segments {start, end, phase} in seconds: in order, without gaps, phase
// -1 where unlabelled. Edits return a new list, so that undoing one is taking the old list back.

// The segment that holds a time; before the first the first, after the last the last one.
function segmentAt(segments, time) {
  let low = 0, high = segments.length - 1;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (segments[middle].start <= time) low = middle; else high = middle - 1;
  }
  return low;
}

// The stretch from start to end gets a phase; what it covers is cut off or swallowed.
function painted(segments, start, end, phase) {
  const before = segments.filter((s) => s.start < start);
  const after = segments.filter((s) => s.end > end);
  return [
    ...before.map((s) => ({ ...s, end: Math.min(s.end, start) })),
    { start, end, phase },
    ...after.map((s) => ({ ...s, start: Math.max(s.start, end) })),
  ];
}

// The boundary behind segment i moves to a time.
function withBoundary(segments, i, time) {
  const left = segments[i], right = segments[i + 1];
  return time < right.start
    ? painted(segments, time, right.end, right.phase)
    : painted(segments, left.start, time, left.phase);
}

// Segment i begins at a time. What it gives up goes to the one before it.
function withStart(segments, i, time) {
  const { start, end, phase } = segments[i];
  if (time >= end || time === start) return segments;
  if (time < start) return painted(segments, time, end, phase);
  return painted(segments, i ? segments[i - 1].start : start, time, i ? segments[i - 1].phase : -1);
}

// Segment i ends at a time. What it gives up goes to the one behind it.
function withEnd(segments, i, time) {
  const { start, end, phase } = segments[i], next = segments[i + 1];
  if (time <= start || time === end) return segments;
  if (time > end) return painted(segments, start, time, phase);
  return painted(segments, time, next ? next.end : end, next ? next.phase : -1);
}

// Segment i gets a phase and joins neighbours that have the same one.
function withPhase(segments, i, phase) {
  let from = i, to = i;
  if (i > 0 && segments[i - 1].phase === phase) from = i - 1;
  if (i + 1 < segments.length && segments[i + 1].phase === phase) to = i + 1;
  const joined = { start: segments[from].start, end: segments[to].end, phase };
  return [...segments.slice(0, from), joined, ...segments.slice(to + 1)];
}

function splitAt(segments, time) {
  const i = segmentAt(segments, time), { start, end, phase } = segments[i];
  if (time <= start || time >= end) return segments;
  return [
    ...segments.slice(0, i), { start, end: time, phase }, { start: time, end, phase },
    ...segments.slice(i + 1),
  ];
}

// Segment i takes over the one behind it, and joins what has its phase behind that.
function mergedWithNext(segments, i) {
  if (i + 1 >= segments.length) return segments;
  const { start, phase } = segments[i], last = segments[i + 2]?.phase === phase ? i + 2 : i + 1;
  return [...segments.slice(0, i), { start, end: segments[last].end, phase }, ...segments.slice(last + 1)];
}

// The table that the layout csv reads: a row per run, none where unlabelled.
function asTable(segments, video, phases, split, end) {
  const field = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const seconds = (value) => String(Number(value.toFixed(6)));
  const runs = [];
  for (const s of segments) {
    const last = runs[runs.length - 1], to = Math.min(s.end, end);
    if (to <= s.start) continue;
    if (last && last.phase === s.phase) last.end = to;
    else runs.push({ start: s.start, end: to, phase: s.phase });
  }
  const rows = runs.filter((run) => run.phase >= 0).map((run) => [
    field(video), seconds(run.start), seconds(run.end), field(phases[run.phase]),
    ...(split ? [split] : []),
  ].join(","));
  return [`video,start_s,end_s,phase${split ? ",split" : ""}`, ...rows].join("\n") + "\n";
}
