// The threshold: everybody can read it, a client with the token can change it.

import { count, score } from "/format.js";

const KEY = "dmdd-edge-token";
const byId = (id) => document.getElementById(id);

export class Limit {
  constructor(traces) {
    this.traces = traces;
    this.now = null;
    this.open = false;
    this.takeFromAddress();
    window.addEventListener("hashchange", () => this.takeFromAddress() && this.unlock(sessionStorage.getItem(KEY)));
    byId("limit-range").addEventListener("input", () => this.propose(byId("limit-range").value));
    byId("limit-value").addEventListener("input", () => this.propose(byId("limit-value").value, true));
    byId("limit-undo").addEventListener("click", () => this.propose(null));
    byId("limit-form").addEventListener("submit", (event) => { event.preventDefault(); this.set(); });
    byId("token-form").addEventListener("submit", (event) => { event.preventDefault(); this.unlock(byId("token").value.trim()); });
    const stored = sessionStorage.getItem(KEY);
    if (stored) this.unlock(stored);
  }

  // The address that is printed at the start has the token after the #, which is never sent.
  takeFromAddress() {
    const match = /^#token=(.+)$/.exec(location.hash);
    if (!match) return false;
    sessionStorage.setItem(KEY, decodeURIComponent(match[1]));
    history.replaceState(null, "", location.pathname);
    return true;
  }

  async unlock(token) {
    if (!token) return say("token-said", "The field is empty.", "bad");
    const answer = await ask("/api/token", token);
    if (answer.ok) {
      sessionStorage.setItem(KEY, token);
      this.token = token;
    } else if (answer.refused) sessionStorage.removeItem(KEY);
    this.lock(!answer.ok);
    say("token-said", answer.ok ? "" : answer.text, "bad");
    byId("token").value = "";
    return undefined;
  }

  lock(locked) {
    this.open = !locked;
    byId("limit-fields").disabled = locked;
    byId("token-form").hidden = !locked;
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
    const answer = await ask("/api/threshold", this.token, { threshold: this.value });
    if (answer.ok) {
      this.now = answer.body.threshold;
      this.propose(null);
      byId("limit-now").textContent = score(this.now);
      say("limit-said", `Now ${score(this.now)}, was ${score(answer.body.before)}. For this run only.`, "good");
    } else {
      if (answer.refused) this.lock(true);
      say("limit-said", answer.text, "bad");
      this.show();
    }
  }
}

const short = (value) => String(Number(value.toFixed(6)));

function say(id, text, kind = "") {
  byId(id).textContent = text;
  byId(id).className = kind ? `said-${kind}` : "";
}

// Send a request that needs the token; with a body to change the threshold.
async function ask(path, token, body) {
  const options = { headers: { Authorization: `Bearer ${token}` }, cache: "no-store", signal: AbortSignal.timeout(8000) };
  if (body) {
    options.method = "POST";
    options.body = JSON.stringify(body);
    options.headers["Content-Type"] = "application/json";
  }
  try {
    const response = await fetch(path, options);
    const reply = response.status === 204 ? {} : await response.json();
    return { ok: response.ok, refused: response.status === 401, body: reply, text: [reply.message, reply.fix].filter(Boolean).join(" ") };
  } catch {
    return { ok: false, refused: false, text: "The run did not answer." };
  }
}
