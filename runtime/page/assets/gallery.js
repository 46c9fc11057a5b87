// The last anomalies, and the large image of one of them.

import { clock, count, score } from "/format.js";

const byId = (id) => document.getElementById(id);

export class Gallery {
  // `title` names what an anomaly was found on.
  constructor(title = (anomaly) => `Frame ${count(anomaly.number)}`) {
    this.title = title;
    this.shown = new Map();
    this.list = [];
    this.viewer = byId("viewer");
    byId("viewer-close").addEventListener("click", () => this.viewer.close());
    byId("viewer-newer").addEventListener("click", () => this.step(-1));
    byId("viewer-older").addEventListener("click", () => this.step(1));
    this.viewer.addEventListener("click", (event) => { if (event.target === this.viewer) this.viewer.close(); });
    this.viewer.addEventListener("keydown", (event) => {
      if (event.key === "ArrowLeft") this.step(-1);
      if (event.key === "ArrowRight") this.step(1);
    });
  }

  reset() {
    this.shown.clear();
    byId("gallery").replaceChildren();
  }

  // `list` as in /api/state, newest first.
  update(list) {
    this.list = list;
    const wanted = new Set(list.map((anomaly) => anomaly.number));
    for (const [number, item] of this.shown) {
      if (!wanted.has(number)) { item.remove(); this.shown.delete(number); }
    }
    for (const anomaly of [...list].reverse()) {
      if (this.shown.has(anomaly.number)) continue;
      const item = this.make(anomaly);
      this.shown.set(anomaly.number, item);
      byId("gallery").prepend(item);
    }
    byId("gallery-empty").hidden = list.length > 0;
    byId("gallery-note").hidden = !list.some((anomaly) => anomaly.passed > 0);
    if (this.viewer.open) this.steps();
  }

  make(anomaly) {
    const item = document.createElement("li");
    const button = document.createElement("button");
    const image = document.createElement("img");
    const text = document.createElement("span");
    const value = document.createElement("b");
    button.type = "button";
    image.src = `/anomalies/${anomaly.number}-small.jpg`;
    image.alt = `${anomaly.status === "suspect" ? "Suspect" : "Anomaly"}, ${this.title(anomaly)}`;
    value.textContent = score(anomaly.score);
    if (anomaly.status === "suspect") value.dataset.status = "suspect";
    text.append(value, document.createElement("br"), clock(anomaly.time));
    if (anomaly.passed) text.append(document.createElement("br"), `${count(anomaly.passed)} more before`);
    button.append(image, text);
    button.addEventListener("click", () => { this.look(anomaly); this.viewer.showModal(); });
    item.append(button);
    return item;
  }

  look(anomaly) {
    this.current = anomaly;
    const image = byId("viewer-image");
    image.src = `/anomalies/${anomaly.number}.jpg`;
    image.alt = `${this.title(anomaly)}, ${anomaly.status}, with its overlay`;
    byId("viewer-title").textContent = `${this.title(anomaly)}, score ${score(anomaly.score)}`;
    const regions = anomaly.regions === 1 ? "1 region" : `${count(anomaly.regions)} regions`;
    byId("viewer-caption").textContent = `${clock(anomaly.time)}, threshold ${score(anomaly.threshold)}, ${regions}. ${anomaly.source}`;
    this.steps();
  }

  get place() { return this.list.findIndex((anomaly) => anomaly.number === this.current?.number); }

  steps() {
    const place = this.place;
    byId("viewer-newer").disabled = place <= 0;
    byId("viewer-older").disabled = place < 0 || place >= this.list.length - 1;
  }

  step(by) {
    const next = this.place < 0 ? undefined : this.list[this.place + by];
    if (next) this.look(next);
  }
}
