// A trace: a series over time in SVG, with the threshold and marks in a different shape for each status.

const NS = "http://www.w3.org/2000/svg";
const LEFT = 44;
const RIGHT = 6;
const TOP = 8;
const BOTTOM = 6;

export class Trace {
  // `box` is the element to fill; `digits` those of the axis; `pick` is called with a place 0..1, or null.
  constructor(box, digits, pick) {
    this.box = box;
    this.digits = digits;
    this.svg = element("svg", { role: "img" }, box);
    this.grid = element("path", { class: "grid" }, this.svg);
    this.ticks = [0, 1, 2].map(() => element("text", { x: LEFT - 8, "text-anchor": "end" }, this.svg));
    this.bars = element("path", { class: "bars" }, this.svg);
    this.series = element("path", { class: "series" }, this.svg);
    this.limit = element("path", { class: "limit-line" }, this.svg);
    this.preview = element("path", { class: "preview" }, this.svg);
    this.unreliable = element("path", { class: "marks-unreliable" }, this.svg);
    this.suspect = element("path", { class: "marks-suspect" }, this.svg);
    this.anomalous = element("path", { class: "marks-anomalous" }, this.svg);
    this.level = element("text", { class: "level", "text-anchor": "end" }, this.svg);
    this.cursor = element("path", { class: "cursor" }, this.svg);
    this.points = [];
    this.top = 1;
    this.now = null;
    this.previewed = null;
    this.gap = Infinity;
    new ResizeObserver(() => this.draw()).observe(box);
    this.svg.addEventListener("pointermove", (event) => pick(this.placeOf(event)));
    this.svg.addEventListener("pointerleave", () => pick(null));
  }

  // `points`: {x, y, high, status, limit}, x in 0..1 and rising, y null without a value; a bar and its mark
  // reach up to `high` if it is set. `now`: the threshold in use, `preview`: a proposed one; `gap`: the line
  // breaks between two points that are further apart.
  show(points, top, label, { now = null, preview = null, gap = Infinity } = {}) {
    Object.assign(this, { points, top: roundUp(top), now, previewed: preview, gap });
    this.svg.setAttribute("aria-label", label);
    this.draw();
  }

  placeOf(event) {
    const bounds = this.svg.getBoundingClientRect();
    return (event.clientX - bounds.left - LEFT) / Math.max(bounds.width - LEFT - RIGHT, 1);
  }

  point(place) {
    if (place !== null) {
      const x = Math.round(this.across(place)) + 0.5;
      this.cursor.setAttribute("d", `M${x} ${TOP}V${this.height - BOTTOM}`);
    } else this.cursor.setAttribute("d", "");
  }

  across(x) { return LEFT + x * (this.width - LEFT - RIGHT); }
  down(y) { return TOP + (1 - Math.min(y / this.top, 1)) * (this.height - TOP - BOTTOM); }

  draw() {
    this.width = this.box.clientWidth;
    this.height = this.box.clientHeight;
    if (this.width === 0) return;
    const levels = [this.top, this.top / 2, 0];
    this.grid.setAttribute("d", levels.map((y) => `M${LEFT} ${Math.round(this.down(y)) + 0.5}H${this.width}`).join(""));
    levels.forEach((y, i) => {
      this.ticks[i].setAttribute("y", this.down(y) + 4);
      this.ticks[i].textContent = y.toFixed(this.digits(this.top));
    });
    let line = "", bars = "", limit = "", before = null, level = null;
    for (const p of this.points) {
      const x = this.across(p.x).toFixed(1);
      const joined = before !== null && p.x - before.x <= this.gap;
      if (p.y !== null) line += `${joined && before.y !== null ? "L" : "M"}${x} ${this.down(p.y).toFixed(1)}`;
      if (p.high !== undefined && p.y !== null) bars += `M${x} ${this.down(p.y).toFixed(1)}V${this.down(p.high).toFixed(1)}`;
      if (p.limit !== undefined) {
        if (level === null) limit += `M${LEFT} ${this.down(p.limit).toFixed(1)}`;
        else if (level !== p.limit) limit += `H${x}V${this.down(p.limit).toFixed(1)}`;
        level = p.limit;
      }
      before = p;
    }
    if (this.now !== null) {
      const at = this.down(this.now).toFixed(1);
      limit += level === null ? `M${LEFT} ${at}H${this.width}` : level === this.now ? `H${this.width}` : `H${this.width - RIGHT}V${at}H${this.width}`;
    }
    // A lone point has no line: a short dash shows it.
    if (this.points.length === 1 && this.points[0].y !== null) line += "h-3";
    this.series.setAttribute("d", line);
    this.bars.setAttribute("d", bars);
    this.level.textContent = this.now === null ? "" : `threshold ${this.now.toFixed(4)}`;
    this.level.setAttribute("x", this.width - 2);
    this.level.setAttribute("y", Math.max(this.down(this.now ?? 0) - 6, 12));
    this.limit.setAttribute("d", limit);
    this.preview.setAttribute("d", this.previewed === null ? "" : `M${LEFT} ${this.down(this.previewed)}H${this.width}`);
    this.mark(this.anomalous, "anomalous", (x, y) => `M${x} ${y - 5}l4.6 8h-9.2z`);
    this.mark(this.suspect, "suspect", (x, y) => `M${x - 4} ${y - 4}h8v8h-8z`);
    this.mark(this.unreliable, "unreliable", (x, y) => `M${x} ${y - 5}l5 5l-5 5l-5 -5z`);
  }

  mark(path, status, shape) {
    const at = this.points.filter((p) => p.status === status);
    path.setAttribute("d", at.map((p) => shape(this.across(p.x), Math.min(this.down(p.high ?? p.y ?? 0), this.height - 7))).join(""));
  }
}

// The next larger of 1, 2, 3, 4, 6, 8 times a power of ten: its half is a short number too.
function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 1e-9)));
  return power * [1, 2, 3, 4, 6, 8, 10].find((step) => step * power >= value * 0.9999);
}

function element(name, attributes, parent) {
  const made = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  parent.append(made);
  return made;
}
