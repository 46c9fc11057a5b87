// The two traces of the page, of the last frames or of the last hour, and their readout.

import { clock, count, milliseconds, score } from "/format.js";
import { Trace } from "/trace.js";

const FRAMES = 600;
const HOUR = 3600;
// A young run uses the whole width too, from this number of frames and seconds.
const LEAST_FRAMES = 20;
const LEAST_SECONDS = 30;
const INTERVAL = 10;
const byId = (id) => document.getElementById(id);
const places = (top) => (top < 0.02 ? 4 : top < 0.2 ? 3 : 2);

export class Traces {
  constructor() {
    const pick = (place) => this.pick(place);
    this.score = new Trace(byId("score-trace"), places, pick);
    this.latency = new Trace(byId("latency-trace"), (top) => (top < 4 ? 1 : 0), pick);
    this.frames = [];
    this.intervals = [];
    this.now = 0;
    this.started = 0;
    this.limit = 0;
    this.proposed = null;
    this.place = null;
  }

  get hour() { return document.querySelector("[name=span]:checked").value === "hour"; }
  get last() { return this.frames.length ? this.frames[this.frames.length - 1].number : 0; }

  reset() { this.frames = []; this.intervals = []; }

  // `points` as in /api/state: [number, score, status, latency, threshold].
  add(points) {
    for (const [number, value, status, latency, limit] of points) {
      if (number > this.last) this.frames.push({ number, value, status, latency, limit });
    }
    this.frames.splice(0, this.frames.length - FRAMES);
  }

  // Number of shown frames that would be anomalous with a threshold.
  above(limit) { return this.frames.filter((f) => f.status !== "unreliable" && f.value !== null && f.value > limit).length; }

  draw() {
    this.shown = this.hour ? this.ofHour() : this.ofFrames();
    const scores = this.shown.filter((p) => p.y !== null).map((p) => p.high ?? p.y);
    const highest = Math.max(0, ...scores);
    const limits = [this.limit, this.proposed ?? 0, ...this.shown.map((p) => p.limit)];
    // The threshold is in the middle or lower, unless it is high itself.
    const top = Math.min(1, Math.max(1.1 * highest, 1.6 * Math.max(...limits), 1e-4));
    const marked = this.shown.filter((p) => p.status === "anomalous").length;
    const span = this.hour ? "last hour" : `last ${count(this.shown.length)} frames`;
    const gap = this.hour ? 25 / this.reach : Infinity;
    const range = scores.length ? `${score(Math.min(...scores))} to ${score(highest)}` : "none";
    this.score.show(this.shown, top, `Score, ${span}: ${range}, threshold ${score(this.limit)}, ${count(marked)} marked anomalous`, { now: this.limit, preview: this.proposed, gap });
    const slow = this.shown.map((p) => ({ x: p.x, y: p.latency, status: "", limit: undefined }));
    const slowest = Math.max(1, ...slow.map((p) => p.y));
    this.latency.show(slow, slowest, `Latency, ${span}: up to ${milliseconds(slowest)}`, { gap });
    const ago = this.reach < 120 ? `${Math.round(this.reach)} seconds` : `${Math.round(this.reach / 60)} minutes`;
    byId("oldest").textContent = this.hour ? `${ago} ago` : `${count(this.width)} frames ago`;
    this.pick(this.place);
  }

  // Frames across the width: all that are stored, or fewer while the run is young.
  get width() { return Math.min(FRAMES, Math.max(this.frames.length, LEAST_FRAMES)); }

  ofFrames() {
    const first = this.width - this.frames.length;
    return this.frames.map((f, i) => ({
      x: (first + i) / (this.width - 1), y: f.value, status: f.status, limit: f.limit, latency: f.latency,
      text: `frame ${count(f.number)}: ${f.status}, score ${score(f.value)}, ${milliseconds(f.latency)}`,
    }));
  }

  // Seconds across the long trace: an hour, or less while the run is young.
  get reach() { return Math.min(HOUR, Math.max(this.now - this.started, LEAST_SECONDS)); }

  ofHour() {
    return this.intervals.map((i) => ({
      x: Math.min(1, 1 - (this.now - i.start - INTERVAL) / this.reach),
      y: i.scored ? i.score_sum / i.scored : null, high: i.highest_score ?? undefined, limit: i.threshold,
      status: i.anomalous ? "anomalous" : i.unreliable ? "unreliable" : i.suspect ? "suspect" : "good",
      latency: i.latency_sum_ms / i.frames,
      text: `${clock(i.start)}: ${count(i.frames)} frames, ${count(i.anomalous)} anomalous${i.suspect ? `, ${count(i.suspect)} suspect` : ""}, highest score ${score(i.highest_score)}, mean ${milliseconds(i.latency_sum_ms / i.frames)}`,
    })).filter((p) => p.x >= 0);
  }

  pick(place) {
    this.place = place;
    let near = null;
    if (place !== null) {
      for (const p of this.shown ?? []) if (near === null || Math.abs(p.x - place) < Math.abs(near.x - place)) near = p;
    }
    byId("readout").textContent = near === null ? "" : near.text;
    for (const trace of [this.score, this.latency]) trace.point(near === null ? null : near.x);
  }
}
