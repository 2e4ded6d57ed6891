// Rows over time on one canvas. Only what lies in the window is drawn, and only when it changes.
const GAP = 4, AXIS = 22;
const TICKS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200];

function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds + 1e-6)), two = (n) => String(n).padStart(2, "0");
  const hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
  return (hours ? hours + ":" + two(minutes) : minutes) + ":" + two(whole % 60);
}

class Ribbons {
  // rows: [{name, height, segments: () => [...]} or {name, height, values, colour}]
  constructor(canvas, rows, times, colours, inks) {
    Object.assign(this, { canvas, rows, times, colours, inks });
    this.start = times[0];
    this.end = times[times.length - 1];
    this.window = [this.start, this.end];
    let top = 0;
    for (const row of rows) { row.top = top; top += row.height + GAP; }
    this.height = top + AXIS;
    this.selected = -1;
    this.waiting = false;
    new ResizeObserver(() => this.draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  get width() { return this.canvas.clientWidth; }
  x(time) { return ((time - this.window[0]) / (this.window[1] - this.window[0])) * this.width; }
  time(x) { return this.window[0] + (x / this.width) * (this.window[1] - this.window[0]); }
  sample(time) {
    return Math.max(0, segmentAt(this.starts ??= Array.from(this.times, (start) => ({ start })), time));
  }

  // The window gets a length around a time that keeps its place on the screen.
  zoom(factor, around) {
    const [from, to] = this.window, whole = this.end - this.start;
    const length = Math.min(whole, Math.max(Math.min(2, whole), (to - from) * factor));
    this.show(around - ((around - from) / (to - from)) * length, length);
  }

  show(from, length = this.window[1] - this.window[0]) {
    const start = Math.min(Math.max(from, this.start), this.end - length);
    this.window = [start, start + length];
    this.draw();
  }

  // A window that has lost sight of a time follows it.
  follow(time) {
    const [from, to] = this.window;
    if (time < from || time > to) this.show(time - 0.1 * (to - from));
  }

  draw() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => { this.waiting = false; this.drawNow(); });
  }

  drawNow() {
    const scale = devicePixelRatio || 1, { canvas, width } = this;
    canvas.style.height = `${this.height}px`;
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(this.height * scale);
    const style = getComputedStyle(canvas), pen = canvas.getContext("2d");
    const ink = { text: style.color, back: style.getPropertyValue("--blank"), line: style.getPropertyValue("--line") };
    pen.scale(scale, scale);
    pen.font = "600 12px system-ui, sans-serif";
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    for (const row of this.rows) {
      pen.fillStyle = ink.back;
      pen.fillRect(0, row.top, width, row.height);
      if (row.segments) this.drawSegments(pen, row); else this.drawValues(pen, row);
    }
    this.drawSelected(pen, ink);
    this.drawAxis(pen, ink);
    this.onDrawn?.();
  }

  drawSegments(pen, row) {
    const segments = row.segments();
    for (let i = segmentAt(segments, this.window[0]); i < segments.length; i++) {
      const { start, end, phase } = segments[i];
      if (start > this.window[1]) break;
      if (phase < 0) continue;
      const left = Math.max(0, this.x(start)), right = Math.min(this.width, this.x(end));
      pen.fillStyle = this.colours[phase];
      // A pixel at least: a short segment must not vanish.
      pen.fillRect(left, row.top, Math.max(1, right - left), row.height);
      if (right - left < 20) continue;
      pen.fillStyle = this.inks[phase];
      pen.fillText(phase + 1, (left + right) / 2, row.top + row.height / 2 + 1);
    }
  }

  // The mean of the samples in each column of pixels, as a bar.
  drawValues(pen, row) {
    row.sums ??= row.values.reduce((sums, v, i) => { sums[i + 1] = sums[i] + v; return sums; },
      new Float64Array(row.values.length + 1));
    pen.fillStyle = row.colour;
    for (let x = 0; x < this.width; x++) {
      const from = this.sample(this.time(x));
      const to = Math.min(row.values.length, Math.max(from + 1, this.sample(this.time(x + 1))));
      if (from >= row.values.length) break;
      const height = (row.height * (row.sums[to] - row.sums[from])) / (255 * (to - from));
      pen.fillRect(x, row.top + row.height - height, 1, height);
    }
  }

  drawSelected(pen, ink) {
    const row = this.rows.find((r) => r.editable), segment = row.segments()[this.selected];
    if (!segment || segment.end < this.window[0] || segment.start > this.window[1]) return;
    const left = this.x(segment.start), right = Math.max(left + 2, this.x(segment.end));
    pen.strokeStyle = ink.text;
    pen.lineWidth = 2;
    pen.strokeRect(left, row.top + 1, right - left, row.height - 2);
    pen.fillStyle = ink.text;
    for (const x of [left, right]) {
      pen.beginPath();
      pen.roundRect(x - 4, row.top + row.height / 2 - 8, 8, 16, 3);
      pen.fill();
    }
  }

  drawAxis(pen, ink) {
    const length = this.window[1] - this.window[0], room = Math.max(2, Math.floor(this.width / 80));
    const step = TICKS.find((s) => length / s <= room) || TICKS[TICKS.length - 1];
    pen.font = "12px system-ui, sans-serif";
    const top = this.height - AXIS;
    for (let time = Math.ceil(this.window[0] / step) * step; time <= this.window[1]; time += step) {
      const x = this.x(time), text = clock(time), half = pen.measureText(text).width / 2;
      pen.fillStyle = ink.line;
      pen.fillRect(x, top - 2, 1, 6);
      pen.fillStyle = ink.text;
      pen.fillText(text, Math.min(Math.max(x, half), this.width - half), top + 13);
    }
  }
}
