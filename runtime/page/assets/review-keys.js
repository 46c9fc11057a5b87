// Keys of the review. Letters that are typed into a field are letters.

import { byId } from "/live.js";

const VERDICTS = { g: "good", b: "bad", u: "unsure" };
const MOVES = { ArrowRight: 1, j: 1, ArrowLeft: -1, k: -1 };

export function bindKeys(actions) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || document.querySelector("dialog[open]")) return;
    if (event.target.closest("input, select, textarea")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (key in MOVES) actions.move(MOVES[key]);
    else if (event.repeat) return; // a key that is held down gives one verdict
    else if (key in VERDICTS) actions.judge(VERDICTS[key]);
    else if (key === "z") actions.undo();
    else if (key === "o") actions.toggle("overlay");
    else if (key === "c") actions.toggle("closeups");
    else if (key === "?") byId("help-dialog").showModal();
    else if (key === "f") {
      byId("filter").open = true;
      byId("filter-verdict").focus();
    } else return;
    event.preventDefault();
  });
}
