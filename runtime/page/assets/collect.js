// The page of a collection: the image of the source, the counts, and buttons that take and remove images.

import { clock, count } from "/format.js";
import { byId, link, poll, seen, showImage, sleep, write } from "/live.js";
import { say, Token } from "/token.js";

const IMAGE_PERIOD = 250;
const WAYS = {
  all: "Every image is taken", trigger: "An image at each trigger of the camera", interval: "An image at intervals",
  change: "An image whenever another part has come to rest", key: "An image whenever you ask for it",
};
let locked = true;
let shown = null;
let have = 0;

const token = new Token((now) => { locked = now; allow(); });

function allow() {
  const over = shown === null || shown.ended;
  byId("take").hidden = shown !== null && shown.way !== "key";
  byId("take").disabled = locked || over;
  byId("undo").disabled = locked || over || shown.added === 0;
  byId("end").disabled = locked || over;
}

const total = (counts) => Object.values(counts).reduce((sum, each) => sum + each, 0);
const kinds = (counts) => Object.entries(counts).map(([kind, number]) => `${number} ${kind}`).join(", ");

function list(id, texts) {
  const box = byId(id);
  if (box.dataset.shown === JSON.stringify(texts)) return;
  box.dataset.shown = JSON.stringify(texts);
  box.replaceChildren(...texts.map((text) => {
    const item = document.createElement("li");
    item.textContent = text;
    return item;
  }));
}

function show(state) {
  shown = state;
  const { source } = state;
  if (state.ended) link("ended", "Ended");
  else if (!source.connected) link("trouble", "No image", source.message);
  else link("live", "Collecting");
  write("name", state.into);
  write("way", `${WAYS[state.way]}. ${source.name}`);
  write("kept", count(state.images));
  write("target", `of ${count(state.target)}`);
  write("marked", count(total(state.marked)));
  write("marked-kinds", kinds(state.marked));
  write("refused", count(total(state.refused) + state.unreadable));
  write("refused-kinds", kinds(state.unreadable ? { ...state.refused, unreadable: state.unreadable } : state.refused));
  write("spread", state.spread);
  const more = state.target - state.images;
  list("missing", [...(more > 0 ? [`${count(more)} more images`] : []), ...state.missing]);
  list("doubtful", state.doubtful.map((each) => `${String(each.number).padStart(6, "0")}: ${each.text}`));
  list("newest", state.newest.map((each) => {
    const what = each.number === null ? "refused" : `${String(each.number).padStart(6, "0")} kept`;
    return `${clock(each.time)} ${what}${each.text ? `: ${each.text}` : ""}`;
  }));
  allow();
}

async function change(path, done) {
  const answer = await token.change(path, {});
  say("said", answer.ok ? done : answer.text, answer.ok ? "good" : "bad");
}

byId("take").addEventListener("click", () => change("/api/take", "The next image is taken."));
byId("undo").addEventListener("click", () => change("/api/undo", "The last image was removed."));
byId("end").addEventListener("click", () => change("/api/end", "The collection ends."));
document.addEventListener("keydown", (event) => {
  const typing = event.target instanceof HTMLInputElement || event.target instanceof HTMLButtonElement;
  if (event.key !== " " || event.repeat || typing || byId("take").disabled || byId("take").hidden) return;
  event.preventDefault();
  change("/api/take", "The next image is taken.");
});

async function keepImage() {
  for (;;) {
    await seen();
    try {
      const response = await fetch(`/frame.jpg?have=${have}`, { signal: AbortSignal.timeout(8000) });
      if (response.status === 200) {
        const caption = await showImage(byId("frame"), response);
        have = caption.number;
        byId("frame").hidden = false;
        byId("empty").hidden = true;
        write("caption", `${clock(caption.time)} ${caption.source}`);
      }
    } catch { /* the state says that the connection is lost */ }
    await sleep(IMAGE_PERIOD);
  }
}

token.start();
poll(() => "/api/state", show, "The collection");
keepImage();
