// Mouse, pen and fingers on the ribbons: seek, drag a boundary, zoom, move the window.
const REACH = { mouse: 6, pen: 10, touch: 16 };

class Pointer {
  // on: {seek(time), select(i), hover(time or null), preview(segments, time), commit(segments, time)}
  constructor(area, ribbons, on) {
    Object.assign(this, { area, ribbons, on });
    this.row = ribbons.rows.find((row) => row.editable);
    this.fingers = new Map();
    this.drag = null;
    area.addEventListener("pointerdown", (event) => this.down(event));
    area.addEventListener("pointermove", (event) => this.moved(event));
    for (const end of ["pointerup", "pointercancel"]) area.addEventListener(end, (event) => this.up(event));
    area.addEventListener("pointerleave", () => on.hover(null));
    area.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
  }

  place(event) {
    const box = this.area.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  inEditable({ y }) { return y >= this.row.top && y <= this.row.top + this.row.height; }

  // The boundary of the corrected row within reach, as the segment before it; -1 for none.
  boundary(place, kind) {
    if (!this.inEditable(place)) return -1;
    const segments = this.row.segments(), reach = REACH[kind] || 6;
    let best = -1, nearest = reach;
    const first = segmentAt(segments, this.ribbons.time(place.x - reach));
    for (let i = first; i + 1 < segments.length; i++) {
      const distance = Math.abs(this.ribbons.x(segments[i].end) - place.x);
      if (distance <= nearest) { best = i; nearest = distance; }
      if (segments[i].end > this.ribbons.time(place.x + reach)) break;
    }
    return best;
  }

  down(event) {
    if (event.button) return;
    const place = this.place(event);
    this.fingers.set(event.pointerId, place);
    try { this.area.setPointerCapture(event.pointerId); } catch { /* the pointer has gone already */ }
    if (this.fingers.size === 2) {
      if (this.drag) this.on.preview(null);
      this.drag = null;
      return;
    }
    const segments = this.row.segments(), boundary = this.boundary(place, event.pointerType);
    if (boundary >= 0) this.drag = { boundary, segments, from: place.x, moved: null };
    else this.seek(place, true);
  }

  moved(event) {
    const place = this.place(event), before = this.fingers.get(event.pointerId);
    if (!before) {
      this.on.hover(this.ribbons.time(place.x));
      this.area.style.cursor = this.boundary(place, event.pointerType) >= 0 ? "ew-resize" : "";
    } else if (this.fingers.size === 2) {
      this.pinch(event.pointerId, before, place);
    } else if (this.drag) {
      this.move(place);
    } else {
      this.seek(place, false);
    }
    if (before) this.fingers.set(event.pointerId, place);
  }

  move(place) {
    const { boundary, segments, from } = this.drag;
    if (!this.drag.moved && Math.abs(place.x - from) < 2) return;
    const time = Math.round(100 * this.ribbons.time(place.x)) / 100;
    const first = segments[0].start + 0.01, last = segments[segments.length - 1].end - 0.01;
    this.drag.time = Math.min(Math.max(time, first), last);
    this.drag.moved = withBoundary(segments, boundary, this.drag.time);
    this.on.preview(this.drag.moved, this.drag.time);
  }

  up(event) {
    this.fingers.delete(event.pointerId);
    const drag = this.drag;
    this.drag = null;
    if (!drag) return;
    if (drag.moved && event.type === "pointerup") this.on.commit(drag.moved, drag.time);
    else if (drag.moved) this.on.preview(null);
    else this.seek(this.place(event), true);
  }

  seek(place, select) {
    const time = this.ribbons.time(place.x);
    if (select && this.inEditable(place)) this.on.select(segmentAt(this.row.segments(), time));
    this.on.seek(time);
  }

  pinch(finger, before, place) {
    const other = [...this.fingers].find(([id]) => id !== finger)[1];
    const apart = (p) => Math.max(20, Math.abs(p.x - other.x));
    const around = this.ribbons.time((before.x + other.x) / 2);
    this.ribbons.zoom(apart(before) / apart(place), around);
    const now = this.ribbons.time((place.x + other.x) / 2);
    this.ribbons.show(this.ribbons.window[0] + around - now);
  }

  wheel(event) {
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 16 : 1, [from, to] = this.ribbons.window;
    const sideways = lines * (event.shiftKey ? event.deltaX || event.deltaY : event.deltaX);
    const down = event.shiftKey ? 0 : lines * event.deltaY;
    if (Math.abs(sideways) > Math.abs(down)) {
      this.ribbons.show(from + (sideways / this.ribbons.width) * (to - from));
    } else {
      this.ribbons.zoom(Math.exp(0.0025 * down), this.ribbons.time(this.place(event).x));
    }
  }
}
