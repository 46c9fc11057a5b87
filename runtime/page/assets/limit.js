// The threshold: everybody can read it, a client with the token can change it.

import { count, score } from "/format.js";
import { say, Token } from "/token.js";

const byId = (id) => document.getElementById(id);

export class Limit {
  constructor(traces) {
    this.traces = traces;
    this.now = null;
    this.open = false;
    this.token = new Token((locked) => this.lock(locked));
    byId("limit-range").addEventListener("input", () => this.propose(byId("limit-range").value));
    byId("limit-value").addEventListener("input", () => this.propose(byId("limit-value").value, true));
    byId("limit-undo").addEventListener("click", () => this.propose(null));
    byId("limit-form").addEventListener("submit", (event) => { event.preventDefault(); this.set(); });
    this.token.start();
  }

  lock(locked) {
    this.open = !locked;
    byId("limit-fields").disabled = locked;
    this.show();
  }

  // The threshold in use.
  update(now) {
    if (this.now !== now) {
      this.now = now;
      if (this.proposed === undefined || this.proposed === null) this.propose(null);
    }
    this.preview();
    byId("limit-now").textContent = score(now);
  }

  propose(text, typed = false) {
    if (this.now === null) return;
    this.proposed = text === null ? null : String(text).trim().replace(",", ".");
    if (!typed) byId("limit-value").value = text === null ? short(this.now) : text;
    const value = this.value;
    byId("limit-range").value = text === null ? this.now : value ?? this.now;
    say("limit-said", "");
    this.show();
    this.preview();
    this.traces.draw();
  }

  get value() {
    if (this.proposed === null || this.proposed === undefined || this.proposed === "") return null;
    const value = Number(this.proposed);
    return Number.isFinite(value) ? value : null;
  }

  show() {
    const other = this.proposed !== null && this.proposed !== undefined;
    byId("limit-set").disabled = !(this.open && other);
    byId("limit-undo").disabled = !(this.open && other);
  }

  preview() {
    const value = this.value;
    this.traces.proposed = value !== null && value >= 0 && value <= 1 ? value : null;
    const frames = this.traces.frames.length;
    const all = `of the last ${count(frames)} frames`;
    let text = "";
    if (frames && this.traces.proposed !== null) {
      text = `At ${score(value)}, ${count(this.traces.above(value))} ${all} would be anomalous; at ${score(this.now)}, ${count(this.traces.above(this.now))}.`;
    }
    byId("limit-preview").textContent = text;
  }

  async set() {
    const given = this.proposed;
    if (given === null || given === undefined) return;
    if (this.value === null) { say("limit-said", `“${given}” is not a number.`, "bad"); return; }
    byId("limit-set").disabled = true;
    const answer = await this.token.change("/api/threshold", { threshold: this.value });
    if (answer.ok) {
      this.now = answer.body.threshold;
      this.propose(null);
      byId("limit-now").textContent = score(this.now);
      say("limit-said", `Now ${score(this.now)}, was ${score(answer.body.before)}. For this run only.`, "good");
    } else {
      say("limit-said", answer.text, "bad");
      this.show();
    }
  }
}

const short = (value) => String(Number(value.toFixed(6)));
