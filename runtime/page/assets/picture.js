// The current frame: fetched when there is a newer one, as often as the server draws it.

import { clock, count, score } from "/format.js";

const WORDS = { good: "Good", anomalous: "Anomalous", unreliable: "Unreliable" };
const byId = (id) => document.getElementById(id);

export class Picture {
  constructor() {
    this.have = 0;
    for (const id of ["overlay", "hold"]) {
      byId(id).addEventListener("click", () => {
        const on = byId(id).getAttribute("aria-pressed") !== "true";
        byId(id).setAttribute("aria-pressed", String(on));
        if (id === "overlay") this.have = 0;
      });
    }
  }

  get held() { return byId("hold").getAttribute("aria-pressed") === "true"; }

  reset() { this.have = 0; }

  // Fetch the picture of the newest frame unless it is shown already; true when one came.
  async refresh() {
    const overlay = byId("overlay").getAttribute("aria-pressed") === "true" ? 1 : 0;
    const response = await fetch(`/frame.jpg?overlay=${overlay}&have=${this.have}`, { signal: AbortSignal.timeout(8000) });
    if (response.status !== 200) return;
    const said = JSON.parse(response.headers.get("Dmdd-Frame"));
    const address = URL.createObjectURL(await response.blob());
    // Decoded before it is shown, so that the picture never blinks.
    const decoded = new Image();
    decoded.src = address;
    await decoded.decode();
    const picture = byId("picture");
    const old = picture.src;
    picture.src = address;
    document.documentElement.style.setProperty("--aspect", `${decoded.naturalWidth} / ${decoded.naturalHeight}`);
    if (old) URL.revokeObjectURL(old);
    this.have = said.number;
    this.describe(said);
  }

  describe(said) {
    const word = WORDS[said.status];
    byId("picture").hidden = false;
    byId("empty").hidden = true;
    byId("picture").alt = `Frame ${count(said.number)}: ${word.toLowerCase()}, ${said.regions} marked regions`;
    byId("verdict").dataset.status = said.status;
    byId("verdict").querySelector("use").setAttribute("href", `#sign-${said.status}`);
    byId("verdict-word").textContent = word;
    const sign = said.score === null ? "" : said.score > said.threshold ? " > " : " ≤ ";
    byId("verdict-score").textContent = sign ? `${score(said.score)}${sign}${score(said.threshold)}` : "";
    const reason = said.reason ? ` Cannot be judged: ${said.reason}.` : "";
    byId("caption").textContent = `Frame ${count(said.number)}, ${clock(said.time)}.${reason} ${said.source}`;
  }
}
