// The corrections with their history, kept in the browser from visit to visit.
class Corrections {
  constructor(prediction, key, numPhases) {
    this.prediction = prediction;
    this.key = key;
    this.past = [];
    this.future = [];
    const kept = this.read(numPhases);
    this.restored = kept !== null;
    this.segments = kept || prediction;
  }

  get changed() { return this.segments !== this.prediction; }

  // One edit; what does not change anything leaves no trace.
  edit(segments) {
    if (segments === this.segments) return;
    this.past.push(this.segments);
    this.future = [];
    this.take(segments);
  }

  undo() { this.move(this.past, this.future); }
  redo() { this.move(this.future, this.past); }

  move(from, to) {
    if (!from.length) return;
    to.push(this.segments);
    this.take(from.pop());
  }

  take(segments) {
    this.segments = segments;
    this.failed = false;
    try {
      if (!this.changed) localStorage.removeItem(this.key);
      else localStorage.setItem(this.key, JSON.stringify(segments.map((s) => [s.start, s.end, s.phase])));
    } catch {
      this.failed = true;  // storage is full, or the browser keeps nothing for files
    }
  }

  // Null where nothing is kept, or something that is no labelling of this video.
  read(numPhases) {
    try {
      const kept = JSON.parse(localStorage.getItem(this.key));
      const segments = kept.map(([start, end, phase]) => ({ start, end, phase }));
      const whole = segments.every((s, i) => s.start < s.end && Number.isInteger(s.phase)
        && s.phase >= -1 && s.phase < numPhases && (!i || s.start === segments[i - 1].end));
      return whole && segments.length ? segments : null;
    } catch {
      return null;
    }
  }
}
