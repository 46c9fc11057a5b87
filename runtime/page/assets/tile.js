// A tile: a camera, with the newest image of each of its inspections.

import { age, clock, count, verdict, WORDS } from "/format.js";
import { showImage } from "/live.js";

export class Tile {
  // `inspections`: [place in the station file, name].
  constructor(name, inspections) {
    this.box = make("article", "tile");
    const head = make("div", "head", this.box);
    make("h3", "", head).textContent = name;
    this.state = make("p", "", head);
    this.note = make("p", "soft", this.box);
    this.views = new Map();
    const views = make("div", "views", this.box);
    for (const [place, inspection] of inspections) this.views.set(inspection, new View(place, inspection, views));
  }

  update(camera, inspections) {
    this.box.dataset.connected = String(camera.connected);
    put(this.state, camera.connected ? "Connected" : "Lost");
    const size = camera.width ? `${camera.width} × ${camera.height}, ` : "";
    put(this.note, camera.message || `${size}${count(camera.frames)} frames, last ${age(camera.frame_age)}`);
    for (const inspection of inspections) this.views.get(inspection.name)?.update(inspection);
  }

  // Fetch the images that are not the newest ones.
  async refresh(overlay) {
    for (const view of this.views.values()) await view.refresh(overlay).catch(() => {});
  }
}

class View {
  constructor(place, name, parent) {
    this.place = place;
    this.name = name;
    this.have = 0;
    this.newest = 0;
    this.box = make("figure", "", parent);
    const stage = make("div", "stage", this.box);
    this.image = make("img", "", stage);
    this.image.hidden = true;
    this.image.alt = "";
    this.empty = make("p", "", stage);
    this.empty.textContent = "No image yet";
    this.caption = make("figcaption", "", this.box);
    this.caption.dataset.status = "none";
    this.caption.innerHTML = '<svg aria-hidden="true"><use href="#sign-none"/></svg><strong></strong><span class="soft"></span>';
    put(this.caption.querySelector("strong"), name);
  }

  update(inspection) {
    this.box.dataset.inForce = String(inspection.in_force);
    this.newest = inspection.newest ? inspection.newest.number : 0;
  }

  async refresh(overlay) {
    if (this.newest === 0 || (this.newest === this.have && overlay === this.overlay)) return;
    const have = overlay === this.overlay ? this.have : 0;
    const response = await fetch(`/inspections/${this.place}.jpg?overlay=${overlay ? 1 : 0}&have=${have}`, { signal: AbortSignal.timeout(8000) });
    if (response.status !== 200) return;
    const caption = await showImage(this.image, response);
    this.have = caption.number;
    this.overlay = overlay;
    this.image.hidden = false;
    this.empty.hidden = true;
    const word = WORDS[caption.status];
    this.image.alt = `${this.name}, part ${count(caption.index)}: ${word.toLowerCase()}, ${caption.regions} marked regions`;
    this.caption.dataset.status = caption.status;
    this.caption.querySelector("use").setAttribute("href", `#sign-${caption.status}`);
    put(this.caption.querySelector("strong"), `${this.name}: ${word}`);
    const reason = caption.reason ? ` Cannot be judged: ${caption.reason}.` : "";
    put(this.caption.querySelector("span"), `${verdict(caption)}${reason} Part ${count(caption.index)}, ${clock(caption.time)}`);
  }
}

export function make(name, kind = "", parent = null) {
  const made = document.createElement(name);
  if (kind) made.className = kind;
  if (parent) parent.append(made);
  return made;
}

export function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
