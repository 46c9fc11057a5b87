// The current frame: fetched when there is a newer one, at the rate at which the server draws it.

import { clock, count, verdict, WORDS } from "/format.js";
import { byId, showImage } from "/live.js";

export class CurrentFrame {
  constructor() {
    this.have = 0;
    for (const id of ["overlay", "closeups", "hold"]) {
      byId(id).addEventListener("click", () => {
        const on = byId(id).getAttribute("aria-pressed") !== "true";
        byId(id).setAttribute("aria-pressed", String(on));
        if (id !== "hold") this.have = 0;
      });
    }
  }

  get held() { return byId("hold").getAttribute("aria-pressed") === "true"; }

  reset() { this.have = 0; }

  // Fetch the image of the newest frame unless it is already shown.
  async refresh() {
    const [overlay, closeups] = ["overlay", "closeups"].map((id) => (byId(id).getAttribute("aria-pressed") === "true" ? 1 : 0));
    const response = await fetch(`/frame.jpg?overlay=${overlay}&closeups=${closeups}&have=${this.have}`, { signal: AbortSignal.timeout(8000) });
    if (response.status !== 200) return;
    const image = byId("frame");
    const caption = await showImage(image, response);
    await image.decode();
    document.documentElement.style.setProperty("--aspect", `${image.naturalWidth} / ${image.naturalHeight}`);
    this.have = caption.number;
    this.describe(caption);
  }

  describe(caption) {
    const word = WORDS[caption.status];
    byId("frame").hidden = false;
    byId("empty").hidden = true;
    byId("frame").alt = `Frame ${count(caption.number)}: ${word.toLowerCase()}, ${caption.regions} marked regions`;
    byId("verdict").dataset.status = caption.status;
    byId("verdict").querySelector("use").setAttribute("href", `#sign-${caption.status}`);
    byId("verdict-word").textContent = word;
    byId("verdict-score").textContent = verdict(caption);
    const reason = caption.reason ? ` Cannot be judged: ${caption.reason}.` : "";
    byId("caption").textContent = `Frame ${count(caption.number)}, ${clock(caption.time)}.${reason} ${caption.source}`;
  }
}
