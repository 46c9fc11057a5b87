// The live page of a station: its cameras, parts, recipes and signals; a client with the token can change it.

import { clock, count, duration, milliseconds, percent, perSecond, score, showBand, WORDS } from "/format.js";
import { Gallery } from "/gallery.js";
import { byId, link, poll, seen, sleep, write } from "/live.js";
import { make, put, Tile } from "/tile.js";
import { say, Token } from "/token.js";

const IMAGE_PERIOD = 250;

const gallery = new Gallery((anomaly) => `Part ${count(anomaly.index)}`);
const tiles = new Map();
let started = null;
let locked = true;
let shown = null;

const token = new Token((closed) => { locked = closed; allow(); });
token.start();
byId("overlay").addEventListener("click", () => byId("overlay").setAttribute("aria-pressed", String(!overlay())));
byId("trigger").addEventListener("click", () => change("/api/trigger", {}, (body) => `Part ${count(body.acquisition_id)} was triggered.`));
byId("clear").addEventListener("click", () => change("/api/clear", {}, () => "The fault is cleared, unless its cause is still there."));

function overlay() { return byId("overlay").getAttribute("aria-pressed") === "true"; }

async function change(path, body, done) {
  const answer = await token.change(path, body);
  if (answer.ok) say("said", done(answer.body), "good");
  else say("said", answer.text, "bad");
}

function show(state) {
  if (started !== state.started) {
    // Another station answers now: its file may name other cameras and recipes.
    started = state.started;
    gallery.reset();
    build(state);
  }
  shown = state;
  const { counts, latency_ms: latency } = state;
  showLink(state);
  const message = state.state.message === state.trouble ? "" : state.state.message;
  const notes = [message, state.kept, state.archive?.problem].filter(Boolean).join(" ");
  write("message", notes);
  byId("message").hidden = notes === "";
  byId("tabs").hidden = !state.review;
  const drift = state.drift.length ? `Drift: ${state.drift.join(" ")}` : "";
  write("drift", drift);
  byId("drift").hidden = drift === "";
  document.title = `${state.name}: ${count(counts.anomalous)} anomalous`;
  write("name", state.name);
  write("recipe", state.state.recipe ? `${state.state.recipe} ${state.state.recipe_name}` : "none");
  for (const name of ["parts", "passed", "anomalous", "unreliable", "late", "missed"]) write(`count-${name}`, count(counts[name]));
  for (const name of ["passed", "anomalous", "unreliable"]) write(`share-${name}`, percent(counts[name], counts.parts));
  showBand(counts.suspect);
  write("count-suspect", count(counts.suspect));
  write("share-suspect", percent(counts.suspect, counts.parts));
  for (const name of ["p50", "p90", "p99"]) write(`latency-${name}`, milliseconds(latency[name]));
  write("queued", count(state.state.queued));
  write("rate", perSecond(state.rate));
  write("running", duration(state.time - state.started));
  write("program", `dmdd-edge ${state.program}`);
  for (const camera of state.cameras) tiles.get(camera.name)?.update(camera, state.inspections.filter((each) => each.camera === camera.name));
  showRecipes(state);
  showInspections(state);
  showParts(state);
  showSignals(state);
  gallery.update(state.anomalies);
  allow();
}

function showLink({ ended, trouble, state }) {
  if (ended) link("ended", "Station ended", "The station has ended. These are its last figures.");
  else if (trouble) link("trouble", state.fault ? `Fault ${state.error_code}` : state.online ? "Trouble" : "Not online", trouble);
  else if (state.changing_to) link("trouble", `Loading recipe ${state.changing_to}`);
  else if (state.ready) link("live", "Ready");
  else link("trouble", "Not ready");
}

function build(state) {
  tiles.clear();
  byId("tiles").replaceChildren();
  const places = state.inspections.map((each, place) => [place, each.name, each.camera]);
  for (const camera of state.cameras) {
    const tile = new Tile(camera.name, places.filter(([, , name]) => name === camera.name));
    tiles.set(camera.name, tile);
    byId("tiles").append(tile.box);
  }
  rows("recipes", state.recipes.length, 5, (row, index) => {
    const button = make("button", "change", row.cells[1]);
    button.type = "button";
    button.addEventListener("click", () => {
      const { number } = shown.recipes[index];
      change("/api/recipe", { recipe: number }, () => `Recipe ${number} was requested.`);
    });
  });
}

// Give a table so many rows of so many cells; `fresh` is called with each new one.
function rows(id, wanted, cells, fresh = () => {}) {
  const body = byId(id);
  while (body.rows.length > wanted) body.deleteRow(-1);
  while (body.rows.length < wanted) {
    const row = body.insertRow();
    for (let i = 0; i < cells; i += 1) row.insertCell();
    fresh(row, body.rows.length - 1);
  }
  return [...body.rows];
}

function fill(row, texts) { texts.forEach((text, i) => put(row.cells[i], text)); }

// A last cell with the count of suspect parts, which is left out while it is 0; only where parts can be suspect.
function fillBand(row, place, suspect) {
  if (shown.counts.suspect === undefined) return;
  const cell = row.cells[place] ?? row.insertCell();
  cell.dataset.bandOnly = "";
  put(cell, count(suspect ?? 0));
}

function showRecipes({ recipes, state }) {
  rows("recipes", recipes.length, 5).forEach((row, i) => {
    const recipe = recipes[i];
    row.dataset.inForce = String(recipe.number === state.recipe);
    put(row.cells[0], `${recipe.number} ${recipe.name}`);
    ["passed", "anomalous", "unreliable"].forEach((name, place) => put(row.cells[place + 2], count(recipe[name])));
    fillBand(row, 5, recipe.suspect);
    const word = recipe.number === state.changing_to ? "Loading" : recipe.number === state.recipe ? "In force" : "Change";
    put(row.cells[1].firstChild, word);
    row.cells[1].firstChild.setAttribute("aria-label", `${word}: recipe ${recipe.number}`);
  });
}

function showInspections({ inspections }) {
  rows("inspections", inspections.length, 8).forEach((row, i) => {
    const each = inspections[i];
    row.dataset.inForce = String(each.in_force);
    const { good, anomalous, unreliable, failed } = each.counts;
    const bundle = each.in_force ? `${each.category} ${each.version}, ${each.backend}` : "not in force";
    fill(row, [each.name, each.camera, bundle, each.in_force ? score(each.threshold) : "", ...[good, anomalous, unreliable, failed].map(count)]);
    fillBand(row, 8, each.counts.suspect);
  });
}

function showParts({ parts }) {
  rows("parts", parts.length, 6).forEach((row, i) => {
    const part = parts[i];
    const late = part.late ? ", late" : "";
    row.cells[3].dataset.status = part.passed ? "good" : part.status === "good" ? "unreliable" : part.status;
    row.title = part.error;
    fill(row, [clock(part.time), String(part.part_id), String(part.recipe), `${WORDS[part.status]}${late}`, score(part.score), milliseconds(part.latency_ms)]);
  });
}

function showSignals({ signals }) {
  byId("signals").hidden = signals === null;
  if (signals === null) return;
  for (const [id, values] of [["commands", signals.commands], ["status", signals.status]]) {
    const list = byId(id);
    for (const [name, value] of Object.entries(values)) {
      let row = list.querySelector(`[data-name="${name}"]`);
      if (row === null) {
        row = make("div", "", list);
        row.dataset.name = name;
        make("dt", "", row).textContent = name;
        make("dd", "", row);
      }
      put(row.lastChild, String(value));
      row.lastChild.dataset.on = String(value !== 0);
    }
  }
}

function allow() {
  for (const button of document.querySelectorAll(".change")) button.disabled = locked;
  if (shown === null || locked) return;
  byId("trigger").disabled = !shown.state.ready;
  shown.recipes.forEach((recipe, i) => {
    const button = byId("recipes").rows[i]?.cells[1].firstChild;
    if (button) button.disabled = recipe.number === shown.state.recipe && !shown.state.changing_to;
  });
}

async function keepImages() {
  for (;;) {
    await seen();
    if (document.body.dataset.link !== "lost") for (const tile of tiles.values()) await tile.refresh(overlay());
    await sleep(IMAGE_PERIOD);
  }
}

poll(() => "/api/state", show, "The station");
keepImages();
