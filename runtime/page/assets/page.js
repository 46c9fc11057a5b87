// The live page: requests the state twice per second and shows it; reports when the run does not answer.

import { age, count, duration, milliseconds, percent, perSecond, showBand } from "/format.js";
import { Gallery } from "/gallery.js";
import { Limit } from "/limit.js";
import { CurrentFrame } from "/frame.js";
import { byId, getJson, link, poll, seen, sleep, write } from "/live.js";
import { Traces } from "/traces.js";

const FRAME_PERIOD = 250;
const HISTORY_PERIOD = 5000;

const traces = new Traces();
const gallery = new Gallery();
const frame = new CurrentFrame();
const limit = new Limit(traces);
let started = null;
let newest = 0;
let historyAt = -Infinity;

function show(state) {
  if (started !== state.started) {
    // Another run answers now.
    started = state.started;
    traces.reset();
    gallery.reset();
    frame.reset();
  }
  newest = state.latest ? state.latest.number : 0;
  const { counts, latency_ms: latency, source } = state;
  if (state.ended) link("ended", "Run ended", "The run has ended. These are its last figures.");
  else if (state.trouble) link("trouble", source.connected ? "No frames" : "Source lost", `Source: ${state.trouble}`);
  else link("live", source.live ? "Live" : "Running");
  const notes = [state.message, state.archive?.problem].filter(Boolean).join(" ");
  write("message", notes);
  byId("message").hidden = notes === "";
  byId("tabs").hidden = !state.review;
  const drift = state.drift.length ? `Drift: ${state.drift.join(" ")}` : "";
  write("drift", drift);
  byId("drift").hidden = drift === "";
  document.title = `${state.category}: ${count(counts.anomalous)} anomalous`;
  write("category", state.category);
  write("bundle", state.version);
  write("backend", state.backend);
  for (const name of ["good", "anomalous", "unreliable", "skipped", "dropped"]) write(`count-${name}`, count(counts[name]));
  for (const name of ["good", "anomalous", "unreliable"]) write(`share-${name}`, percent(counts[name], counts.frames));
  showBand(counts.suspect ?? state.suspect_threshold);
  write("count-suspect", count(counts.suspect));
  write("share-suspect", percent(counts.suspect, counts.frames));
  write("rate", perSecond(state.rate));
  write("throughput", perSecond(state.throughput));
  for (const name of ["p50", "p90", "p99"]) write(`latency-${name}`, milliseconds(latency[name]));
  byId("ages").hidden = state.age_ms === null;
  for (const name of ["p50", "p90", "p99"]) write(`age-${name}`, milliseconds(state.age_ms?.[name] ?? null));
  showSource(state, source);
  traces.add(state.points);
  traces.now = state.time;
  traces.started = state.started;
  traces.limit = state.threshold;
  limit.update(state.threshold);
  traces.draw();
  gallery.update(state.anomalies);
  if (traces.hour && Date.now() - historyAt > HISTORY_PERIOD) takeHistory();
}

function showSource(state, source) {
  write("source-name", source.name);
  write("source-state", source.connected ? "connected" : "not connected");
  write("source-size", source.width ? `${source.width} × ${source.height}` : "–");
  write("source-fps", source.fps ? perSecond(source.fps) : "–");
  write("source-frames", count(source.frames));
  write("source-reconnects", count(source.reconnects));
  write("source-age", age(source.frame_age));
  write("running", duration(state.time - state.started));
  write("program", `dmdd-edge ${state.program}`);
  const skipped = state.skipped ? `Last skipped: ${state.skipped.message}` : "";
  write("skipped", skipped);
  byId("skipped").hidden = skipped === "";
}

async function takeHistory() {
  historyAt = Date.now();
  const history = await getJson("/api/history").catch(() => null);
  if (history === null) return;
  traces.intervals = history.intervals;
  traces.draw();
}

async function keepFrame() {
  for (;;) {
    await seen();
    if (!frame.held && newest > 0 && newest !== frame.have && document.body.dataset.link !== "lost") {
      await frame.refresh().catch(() => {});
    }
    await sleep(FRAME_PERIOD);
  }
}

for (const choice of document.querySelectorAll("[name=span]")) {
  choice.addEventListener("change", () => (traces.hour ? takeHistory() : traces.draw()));
}
poll(() => `/api/state?after=${traces.last}`, show, "The run");
keepFrame();
