// The page: the video and its clock, what is shown of it, and the edits.
const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const video = byId("video"), bars = byId("bars"), list = byId("segments"), choice = byId("phase");

// Times of the samples in seconds, and the end of the last one.
const times = new Float64Array(1 + data.times.reduce((sum, [count], i) => sum + (i ? count : 0), 0));
{
  let at = 0, tick = data.times[0][1];
  for (const [count, step] of data.times.slice(1)) {
    for (let i = 0; i < count; i++) { times[at++] = tick / 1e6; tick += step; }
  }
  times[at] = tick / 1e6;
}
const start = times[0], end = times[times.length - 1];

function asSegments([starts, phases]) {
  return starts.map((s, i) => ({
    start: times[s], end: i + 1 < starts.length ? times[starts[i + 1]] : end, phase: phases[i],
  }));
}
const asBytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const prediction = asSegments(data.prediction);
const truth = data.truth && asSegments(data.truth);
const confidence = asBytes(data.confidence);
const corrections = new Corrections(prediction, data.key, data.phases.length);

let now = start, selected = -1, preview = null, current = -1;
const labels = () => preview || corrections.segments;
const called = (phase) => (phase < 0 ? "unlabelled" : `${phase + 1} ${data.phases[phase]}`);

const rows = [
  ...(truth ? [{ name: "truth", height: 26, segments: () => truth }] : []),
  { name: "prediction", height: 26, segments: () => prediction },
  { name: "corrected", height: 34, segments: labels, editable: true },
  { name: "confidence", height: 30, values: confidence, colour: "#8a97a6" },
  ...(data.attention
    ? [{ name: "attention", height: 30, values: asBytes(data.attention), colour: "#b0793a" }] : []),
];
const ribbons = new Ribbons(byId("canvas"), rows, times, data.colours, data.inks);
for (const row of rows) {
  const name = document.createElement("span");
  name.textContent = row.name;
  name.style.cssText = `top:${row.top}px;height:${row.height}px`;
  byId("names").append(name);
}

// Time. A video that cannot be played leaves the page with a clock of its own.
function seek(time) {
  now = Math.min(Math.max(time, start), end);
  if (video.readyState) video.currentTime = now;
  ribbons.follow(now);
  showTime();
}

function tick() {
  now = video.currentTime;
  if (!video.paused) ribbons.follow(now);
  showTime();
  if (!video.paused && !video.ended) requestAnimationFrame(tick);
}
video.addEventListener("play", tick);
for (const name of ["pause", "seeked"]) video.addEventListener(name, () => { now = video.currentTime; showTime(); });
video.addEventListener("error", () => { byId("unplayed").hidden = false; });
video.addEventListener("loadedmetadata", () => { if (now > start) video.currentTime = now; });

function toggle() {
  if (!video.readyState) return;
  if (video.paused) video.play(); else video.pause();
}

// What is shown of a moment.
function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function reading(time) {
  const sample = Math.min(confidence.length - 1, ribbons.sample(time));
  return [
    clock(time),
    ...(truth ? ["truth " + called(truth[segmentAt(truth, time)].phase)] : []),
    "prediction " + called(prediction[segmentAt(prediction, time)].phase),
    `confidence ${Math.round((100 * confidence[sample]) / 255)} %`,
  ].join(" · ");
}

function placeCursor() {
  const x = ribbons.x(now);
  byId("cursor").style.transform = `translateX(${x}px)`;
  byId("cursor").hidden = x < -1 || x > ribbons.width + 1;
}

function showTime() {
  placeCursor();
  const segments = labels(), i = segmentAt(segments, now), segment = segments[i];
  if (i !== current) showCurrent(i);
  put(byId("clock"), clock(now));
  put(byId("elapsed"), clock(now - segment.start));
  put(byId("of"), `of ${clock(segment.end - segment.start)}`);
  put(byId("reading"), reading(now));
  bars.setAttribute("aria-valuenow", now.toFixed(1));
  bars.setAttribute("aria-valuetext", `${clock(now)}, ${called(segment.phase)}`);
  const sums = data.phases.map(() => 0);
  for (const s of segments) {
    if (s.start >= now) break;
    if (s.phase >= 0) sums[s.phase] += Math.min(now, s.end) - s.start;
  }
  sums.forEach((sum, phase) => put(byId(`sum${phase}`), clock(sum)));
}

function showCurrent(i) {
  current = i;
  const { phase } = labels()[i], box = byId("now");
  box.style.setProperty("--phase", phase < 0 ? "var(--blank)" : data.colours[phase]);
  box.style.setProperty("--on-phase", phase < 0 ? "var(--ink)" : data.inks[phase]);
  byId("name").replaceChildren(...(phase < 0 ? ["unlabelled"] : breakable(data.phases[phase])));
  document.querySelectorAll("#totals tr").forEach((row, p) => row.classList.toggle("current", p === phase));
  for (const row of list.children) row.firstChild.removeAttribute("aria-current");
  const row = list.children[i];
  if (!row) return;
  row.firstChild.setAttribute("aria-current", "true");
  if (row.offsetTop < list.scrollTop || row.offsetTop + row.offsetHeight > list.scrollTop + list.clientHeight) {
    list.scrollTop = row.offsetTop - list.clientHeight / 3;
  }
}

// Names such as GallbladderDissection may break before a capital.
function breakable(name) {
  const parts = name.split(/(?<=[a-z_])(?=[A-Z])|(?<=[_-])/);
  return parts.flatMap((part, i) => (i ? [document.createElement("wbr"), part] : [part]));
}

function swatch(phase) {
  const mark = document.createElement("span");
  mark.className = "swatch";
  mark.textContent = phase < 0 ? "–" : phase + 1;
  if (phase >= 0) mark.style.cssText = `background:${data.colours[phase]};color:${data.inks[phase]}`;
  return mark;
}

function showSegments() {
  const segments = corrections.segments;
  list.replaceChildren(...segments.map((s, i) => {
    const row = document.createElement("li"), button = document.createElement("button");
    const span = document.createElement("span"), length = document.createElement("span");
    span.textContent = `${clock(s.start)} – ${clock(s.end)}`;
    length.textContent = clock(s.end - s.start);
    const name = document.createElement("b");
    name.append(swatch(s.phase), s.phase < 0 ? "unlabelled" : data.phases[s.phase]);
    button.append(span, name, length);
    button.addEventListener("click", () => { select(i); seek(s.start); });
    row.append(button);
    return row;
  }));
  const totals = data.phases.map((_, p) => segments.reduce(
    (sum, s) => sum + (s.phase === p ? s.end - s.start : 0), 0));
  totals.forEach((sum, p) => put(byId(`all${p}`), clock(sum)));
  byId("count").textContent = segments.length;
  byId("undo").disabled = !corrections.past.length;
  byId("redo").disabled = !corrections.future.length;
  byId("reset").disabled = !corrections.changed;
  current = -1;
  select(Math.min(selected, segments.length - 1));
  showTime();
  ribbons.draw();
}

function select(i) {
  for (const row of list.querySelectorAll("[aria-pressed=true]")) row.setAttribute("aria-pressed", "false");
  selected = ribbons.selected = i;
  const segment = labels()[i];
  list.children[i]?.firstChild.setAttribute("aria-pressed", "true");
  choice.disabled = !segment;
  choice.value = segment ? segment.phase : "";
  put(byId("chosen"), segment
    ? `Segment ${i + 1} of ${labels().length}, ${clock(segment.start)} – ${clock(segment.end)}`
    : "No segment is selected: edits act on the one that plays.");
  ribbons.draw();
}

// Edits.
function say(text) { put(byId("status"), text); }

const chosen = () => (selected >= 0 ? selected : segmentAt(corrections.segments, now));

// The segment that holds `anchor` is the selected one afterwards.
function edit(segments, text, anchor) {
  if (segments === corrections.segments) return;
  corrections.edit(segments);
  selected = segmentAt(segments, anchor);
  showSegments();
  say(corrections.failed ? `${text} This browser keeps nothing: export before you leave.` : text);
}

const edits = {
  start() {
    const i = chosen(), old = corrections.segments, time = Math.round(1000 * now) / 1000;
    edit(withStart(old, i, time), `It begins at ${clock(time)}.`, old[i].end - 1e-6);
  },
  end() {
    const i = chosen(), old = corrections.segments, time = Math.round(1000 * now) / 1000;
    edit(withEnd(old, i, time), `It ends at ${clock(time)}.`, old[i].start);
  },
  split_here() {
    const time = Math.round(1000 * now) / 1000;
    edit(splitAt(corrections.segments, time), `Split at ${clock(time)}.`, time);
  },
  merge() {
    const i = chosen(), old = corrections.segments;
    edit(mergedWithNext(old, i), "Merged with the next segment.", old[i].start);
  },
  phase(phase) {
    const i = chosen(), old = corrections.segments;
    if (old[i].phase === phase) return;
    edit(withPhase(old, i, phase), `It is ${called(phase)} now.`, old[i].start);
  },
  undo() { corrections.undo(); showSegments(); say("Undone."); },
  redo() { corrections.redo(); showSegments(); say("Done again."); },
  reset() { edit(prediction, "Back to the prediction. Undo brings your corrections back.", now); },
  export() {
    const last = Number.isFinite(video.duration) ? video.duration : end;
    const text = asTable(corrections.segments, data.video, data.phases, byId("split").value, last);
    const link = document.createElement("a"), url = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
    link.href = url;
    link.download = `${data.video}_labels.csv`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
    say(`Exported as ${link.download}.`);
  },
};

function step(by) {
  const segments = corrections.segments;
  const i = Math.min(segments.length - 1, Math.max(0, (selected < 0 ? current : selected) + by));
  select(i);
  seek(segments[i].start);
}

const zoomed = (factor) => ribbons.zoom(factor, now >= ribbons.window[0] && now <= ribbons.window[1]
  ? now : (ribbons.window[0] + ribbons.window[1]) / 2);
const moved = (share) => ribbons.show(ribbons.window[0] + share * (ribbons.window[1] - ribbons.window[0]));
const views = {
  closer: () => zoomed(0.5), wider: () => zoomed(2), whole: () => zoomed(Infinity),
  earlier: () => moved(-0.5), later: () => moved(0.5),
};
for (const [name, act] of Object.entries({ ...edits, ...views })) {
  if (name !== "phase") byId(name).addEventListener("click", () => act());
}
choice.addEventListener("change", () => edits.phase(Number(choice.value)));

new Pointer(bars, ribbons, {
  seek,
  select,
  hover: (time) => put(byId("readout"), time === null || time > end ? "" : reading(time)),
  preview(segments, time) {
    preview = segments;
    ribbons.selected = segments ? -1 : selected;
    if (segments) seek(time);  // the picture at the boundary tells where it belongs
    ribbons.draw();
  },
  commit(segments, time) {
    preview = null;
    edit(segments, `Boundary moved to ${clock(time)}.`, time);
  },
});
ribbons.onDrawn = placeCursor;

// Keys.
const sampleLength = (end - start) / (times.length - 1);
const keys = {
  " ": toggle, k: toggle,
  ArrowLeft: () => seek(now - sampleLength), ArrowRight: () => seek(now + sampleLength),
  PageUp: () => seek(now - 60), PageDown: () => seek(now + 60),
  Home: () => seek(start), End: () => seek(end),
  ArrowUp: () => step(-1), ArrowDown: () => step(1), Escape: () => select(-1),
  "[": edits.start, "]": edits.end, s: edits.split_here, m: edits.merge, e: edits.export,
  u: () => edits.phase(-1), "+": views.closer, "=": views.closer, "-": views.wider, 0: views.whole,
};

addEventListener("keydown", (event) => {
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const at = event.target.closest?.("select, button, summary, a");
  let act = keys[key];
  if (event.ctrlKey || event.metaKey) {
    act = key === "y" || (key === "z" && event.shiftKey) ? edits.redo : key === "z" ? edits.undo : undefined;
  } else if (event.altKey) {
    act = undefined;
  } else if (at?.tagName === "SELECT" || (at && key === " ")) {
    act = undefined;  // they have keys of their own
  } else if (event.shiftKey && key.startsWith("Arrow")) {
    act = { ArrowLeft: () => seek(now - 10), ArrowRight: () => seek(now + 10) }[key];
  } else if (/^[1-9]$/.test(key) && Number(key) <= data.phases.length) {
    act = () => edits.phase(Number(key) - 1);
  }
  if (!act) return;
  event.preventDefault();
  act();
}, true);

bars.setAttribute("aria-valuemin", start.toFixed(1));
bars.setAttribute("aria-valuemax", end.toFixed(1));
showSegments();
if (corrections.restored) say("Your corrections of an earlier visit are here again.");
