// A page that asks for the state again and again while it is seen, and reports when there is no answer.

import { clock } from "/format.js";

const PERIOD = 500;
const LONGEST_WAIT = 5000;
const SIGNS = { live: "good", trouble: "unreliable", lost: "anomalous", ended: "none", waiting: "none" };

export const byId = (id) => document.getElementById(id);
export const write = (id, text) => { if (byId(id).textContent !== text) byId(id).textContent = text; };
export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
export const seen = () => (document.hidden ? new Promise((done) => document.addEventListener("visibilitychange", done, { once: true })) : null);

// State of the connection, at the top of the page, and a note below it.
export function link(kind, word, note = "") {
  document.body.dataset.link = kind;
  byId("link").querySelector("use").setAttribute("href", `#sign-${SIGNS[kind]}`);
  if (byId("link").lastChild.textContent !== word) byId("link").lastChild.textContent = word;
  write("trouble", note);
  byId("trouble").hidden = note === "";
}

export async function getJson(path) {
  const response = await fetch(path, { signal: AbortSignal.timeout(6000) });
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return response.json();
}

// Forever: `path` gives the address of the state, `show` takes it, `what` names who should answer.
export async function poll(path, show, what) {
  let program = null;
  let answered = null;
  let wait = PERIOD;
  for (;;) {
    await seen();
    const state = await getJson(path()).catch(() => null);
    if (state !== null) {
      if (program !== null && program !== state.program) location.reload();
      program = state.program;
      answered = Date.now();
      wait = PERIOD;
      show(state);
    } else {
      const since = answered === null ? "" : ` Last answer at ${clock(answered / 1000)}.`;
      link("lost", "Connection lost", `${what} has ended or is unreachable.${since} Retrying.`);
      wait = Math.min(2 * wait, LONGEST_WAIT);
    }
    await sleep(wait);
  }
}

// Show the image of an answer once it is decoded, so that it never blinks; returns its caption.
export async function showImage(image, response) {
  const caption = JSON.parse(response.headers.get("Dmdd-Frame"));
  const address = URL.createObjectURL(await response.blob());
  const decoded = new Image();
  decoded.src = address;
  await decoded.decode();
  const old = image.src;
  image.src = address;
  if (old) URL.revokeObjectURL(old);
  return caption;
}
