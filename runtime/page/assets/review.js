// The review of an archive: one image after another, a verdict on each, saved once the server says so.

import { count, score, WORDS } from "/format.js";
import { byId, link, poll, sleep, write } from "/live.js";
import { Filter, KEPT } from "/review-filter.js";
import { Gone, Images, Refused } from "/review-images.js";
import { bindKeys } from "/review-keys.js";
import { List } from "/review-list.js";
import { help, Person } from "/review-people.js";
import { Saver } from "/review-saver.js";
import { say, Token } from "/token.js";

const RETRY = 1000; // milliseconds
const SAID = { good: "Good", bad: "Bad", unsure: "Unsure" };

const known = new Map(); // the last verdict on each image that this page knows
const done = []; // verdicts that were given here, for undo
const images = new Images();
const person = new Person();
const filter = new Filter(() => begin());
const list = new List(() => filter.full());
let news = 0;
let begun = false;
let shown = null; // the record whose image is seen
let missed = null; // the item whose image could not be fetched: tried again once the server answers
let state = null;
let triedAt = -1; // images of the filter when its list was fetched

const token = new Token((locked) => saver.unlock(locked));
const saver = new Saver(token, { saved, refused, changed: describe });
help();
token.start();

// The list anew, after another filter.
async function begin() {
  begun = true;
  triedAt = state?.progress.records ?? -1;
  try {
    await list.reset();
    note(list.items);
  } catch {
    begun = false; // with the next answer of the server
    return;
  }
  await show();
}

function note(items) {
  for (const { id, given } of items) if (given && given.number > (known.get(id)?.number ?? 0)) known.set(id, given);
}

async function show() {
  const item = list.current;
  const view = [pressed("overlay"), pressed("closeups")];
  missed = null;
  if (shown?.id !== item?.id) shown = null;
  byId("empty").hidden = false;
  describe();
  if (!item) {
    byId("image").hidden = true;
    write("empty", nothing());
    return;
  }
  byId("image").parentElement.dataset.loading = "true";
  write("empty", "Loading");
  let loaded;
  try {
    loaded = await images.get(item.id, ...view);
  } catch (error) {
    if (list.current !== item) return;
    if (error instanceof Gone) skip(item);
    else {
      byId("image").hidden = true;
      if (error instanceof Refused) write("empty", `This image cannot be shown: ${error.message}`);
      else {
        missed = item;
        write("empty", "The image could not be fetched. Retrying.");
      }
    }
    return;
  }
  if (list.current !== item || view[0] !== pressed("overlay") || view[1] !== pressed("closeups")) return; // the user was faster
  const { record, address } = loaded;
  shown = record;
  note([record]);
  byId("image").src = address;
  byId("image").hidden = false;
  byId("empty").hidden = true;
  byId("image").parentElement.dataset.loading = "false";
  byId("image").alt = `Image of ${when(record.time)}: ${word(record.status)}, ${record.regions.length} marked regions`;
  describe();
  for (const by of [1, 2, -1]) {
    const near = list.items[list.place + by];
    if (near) images.get(near.id, ...view).catch(() => {});
  }
}

function nothing() {
  if (state?.unread) return "The archive is being read.";
  if (!state?.records) return "The archive is empty.";
  const { records, reviewed } = state.progress;
  if (filter.verdict === "open" && records > 0 && records === reviewed) return "Everything is reviewed here.";
  if (list.items.length) return filter.verdict === "open" ? `That was the last one. Not reviewed: ${count(records - reviewed)}.` : "That was the last one.";
  return "No image fits the filter.";
}

// An image that the archive has deleted meanwhile.
function skip(item) {
  list.drop(item.id);
  say("said", "An image was deleted by the archive meanwhile and is skipped.", "");
  show();
}

async function move(by) {
  say("said", "");
  const moved = await list.move(by).catch(() => null);
  if (moved) {
    note(list.items.slice(-60));
    await show();
  } else if (moved === null) say("said", "The older images could not be listed: the server does not answer. Try again.", "bad");
  else say("said", by > 0 ? "There is no older image." : "There is no newer image.");
}

async function judge(verdict) {
  const record = shown;
  if (!record) return;
  const seen = known.get(record.id) ?? null;
  if (!person.name && !(await person.ask())) return;
  if (shown !== record) return; // another image came while the name was asked
  const entry = { id: record.id, verdict, who: person.name, seen: seen?.number ?? 0, before: saver.waiting(record.id) ?? seen };
  done.push(entry);
  say("said", "");
  saver.add(entry);
  await next();
}

// The next image; of those that are not reviewed, not one that somebody else has done meanwhile.
async function next() {
  let moved;
  do {
    moved = await list.move(1).catch(() => null);
    if (moved === null) await sleep(RETRY); // the older images could not be listed: the server does not answer
  } while (moved === null || (filter.verdict === "open" && list.current && judged(list.current)));
  await show();
}

function judged({ id, given }) {
  const last = known.get(id) ?? given;
  return Boolean(saver.waiting(id)) || (last !== null && last.verdict !== "none");
}

// The verdict before the last one is in force again; that is another line, nothing is erased.
async function undo() {
  const entry = done.pop();
  if (!entry) return;
  if (!saver.take(entry)) {
    const before = entry.before?.verdict ? entry.before : { verdict: "none", who: person.name };
    const who = before.who === person.name || before.verdict === "none" ? person.name : `${before.who} (by ${person.name})`.slice(0, 60);
    saver.add({ id: entry.id, verdict: before.verdict, who, seen: entry.seen, undo: true });
  }
  const back = list.seek(entry.id);
  say("said", back ? "Undone." : "Undone; that image is outside the filter.");
  await show();
}

function saved(entry, given) {
  known.set(given.id, given);
  if (given.id === shown?.id) describe();
}

// The server has refused a verdict for good: it is not saved, and the user is asked again.
function refused(entry, answer) {
  const place = done.indexOf(entry);
  if (place >= 0) done.splice(place, 1);
  if (answer.status === 409) {
    const { given } = answer.body;
    known.set(given.id, given);
    say("said", `Not saved: ${given.who || "somebody else"} said ${given.verdict === "none" ? "nothing any more" : given.verdict} meanwhile. Give your verdict again to replace it.`, "bad");
    list.seek(entry.id);
  } else if (answer.status === 410) {
    say("said", "Not saved: the image was deleted meanwhile.", "bad");
    list.drop(entry.id);
  } else {
    say("said", `Not saved: ${answer.text}`, "bad");
    list.seek(entry.id);
  }
  show();
}

const pressed = (id) => byId(id).getAttribute("aria-pressed") === "true";
const word = (status) => (WORDS[status] ?? status).toLowerCase();
const when = (time) => new Date(time).toLocaleString([], { hourCycle: "h23" });

// Everything about the image in words.
function describe() {
  const record = shown;
  const waiting = record && saver.waiting(record.id);
  const given = record && known.get(record.id);
  const verdict = waiting?.verdict ?? given?.verdict ?? "none";
  for (const name of Object.keys(SAID)) {
    byId(`say-${name}`).disabled = !record;
    byId(`say-${name}`).setAttribute("aria-pressed", String(verdict === name));
  }
  byId("undo").disabled = done.length === 0;
  write("given", !record ? "" : waiting ? `${SAID[verdict] ?? "No verdict"}: not saved yet` : verdict === "none" ? "No verdict yet" : `${SAID[verdict]}: saved${given.who ? `, ${given.who}` : ""}, ${when(given.given)}`);
  byId("given").dataset.saved = waiting ? "no" : "yes";
  const unsaved = saver.queue.length;
  write("unsaved", unsaved && (saver.problem || saver.locked) ? `${unsaved === 1 ? "1 verdict is" : `${count(unsaved)} verdicts are`} not saved. ${saver.locked ? "Enter the token to save." : saver.problem}` : "");
  byId("unsaved").hidden = byId("unsaved").textContent === "";
  byId("verdict").dataset.status = record?.status ?? "none";
  byId("verdict").querySelector("use").setAttribute("href", `#sign-${record?.status ?? "none"}`);
  write("verdict-word", record ? WORDS[record.status] ?? record.status : list.current ? "Loading" : "No image");
  if (!list.current && begun) write("empty", nothing());
  if (!record) return;
  const value = record.score === null ? "" : `${score(record.score)} ${record.score > record.threshold ? ">" : "≤"} ${score(record.threshold)}`;
  write("verdict-score", value);
  write("caption", `${when(record.time)}. ${record.reason ? `Cannot be judged: ${record.reason}. ` : ""}${KEPT[record.kept] ?? record.kept}.`);
  write("fact-score", score(record.score));
  write("fact-threshold", score(record.threshold));
  write("fact-kept", KEPT[record.kept] ?? record.kept);
  write("fact-time", when(record.time));
  write("fact-category", `${record.category} ${record.version}`);
  write("fact-inspection", record.inspection);
  byId("inspection-row").hidden = !record.inspection;
  write("fact-regions", count(record.regions.length));
  write("fact-source", record.source ? `${record.source}, frame ${count(record.index)}` : "–");
  byId("meter").style.setProperty("--score", `${100 * (record.score ?? 0)}%`);
  byId("meter").style.setProperty("--limit", `${100 * record.threshold}%`);
}

function take(answer) {
  state = answer;
  link("live", saver.locked ? "Read-only" : "Ready");
  byId("tabs").hidden = !answer.live;
  write("archive", answer.archive);
  write("program", `dmdd-edge ${answer.program}`);
  const { records, reviewed, good, bad, unsure } = answer.progress;
  write("progress-text", `${count(reviewed)} of ${count(records)} reviewed: ${count(good)} good, ${count(bad)} bad, ${count(unsure)} unsure`);
  byId("progress").max = Math.max(records, 1);
  byId("progress").value = reviewed;
  const notes = [answer.unread ? `Reading the archive: ${count(answer.unread)} to go.` : "", answer.unreadable ? `${count(answer.unreadable)} damaged records are left out.` : ""].filter(Boolean).join(" ");
  write("reading", notes);
  byId("reading").hidden = notes === "";
  write("newest", `${count(answer.newer)} newer`);
  byId("newest").hidden = answer.newer === 0;
  document.title = `${count(reviewed)} of ${count(records)} reviewed: ${answer.archive}`;
  filter.offer(answer.facets);
  const replaced = !answer.all_news;
  news = answer.number;
  if (replaced) known.clear();
  note(answer.news.map((given) => ({ id: given.id, given })));
  describe();
  if (!begun || replaced || (list.items.length === 0 && records !== triedAt)) begin();
  else if (missed && missed === list.current) show();
}

for (const verdict of Object.keys(SAID)) byId(`say-${verdict}`).addEventListener("click", () => judge(verdict));
const actions = {
  judge,
  move,
  undo,
  toggle(id) {
    byId(id).setAttribute("aria-pressed", String(!pressed(id)));
    show();
  },
};
byId("next").addEventListener("click", () => move(1));
byId("previous").addEventListener("click", () => move(-1));
byId("undo").addEventListener("click", undo);
for (const id of ["overlay", "closeups"]) byId(id).addEventListener("click", () => actions.toggle(id));
byId("newest").addEventListener("click", async () => {
  if (!list.items.length) { await begin(); return; }
  await list.newer().catch(() => {});
  list.place = 0;
  await show();
});
bindKeys(actions);
describe();
poll(() => {
  const query = filter.full();
  query.set("after", String(news));
  if (list.first) query.set("first", list.first);
  return `/api/review/state?${query}`;
}, take, "The program that serves this page");
