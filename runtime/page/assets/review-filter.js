// The filter of the review: what is looked at. Times are the browser's; the server counts seconds since 1970.

import { count, WORDS } from "/format.js";
import { byId, write } from "/live.js";

export const KEPT = {
  anomalous: "Anomalous",
  suspect: "Suspect",
  unreliable: "Unreliable",
  close: "Close to the threshold",
  sample: "Random sample",
};
const NAMES = ["verdict", "status", "kept", "part", "since", "until"];

export class Filter {
  // `changed` is called when the user has chosen something else.
  constructor(changed) {
    this.changed = changed;
    for (const name of NAMES) byId(`filter-${name}`).addEventListener("change", () => this.apply());
    byId("filter-form").addEventListener("submit", (event) => event.preventDefault());
    byId("filter-clear").addEventListener("click", () => {
      for (const name of NAMES) byId(`filter-${name}`).value = "";
      this.apply();
    });
    this.name();
  }

  get verdict() { return byId("filter-verdict").value; }

  apply() {
    this.name();
    this.changed();
  }

  // The filter as a query, without what the verdict must be.
  query() {
    const query = new URLSearchParams();
    for (const name of ["status", "kept"]) {
      if (byId(`filter-${name}`).value) query.set(name, byId(`filter-${name}`).value);
    }
    if (byId("filter-part").value) {
      const [category, inspection] = JSON.parse(byId("filter-part").value);
      query.set("category", category);
      if (inspection) query.set("inspection", inspection);
    }
    for (const [name, rest] of [["since", 0], ["until", 59.999]]) {
      const moment = new Date(byId(`filter-${name}`).value).getTime();
      if (!Number.isNaN(moment)) query.set(name, String(Math.floor(moment / 1000 + rest)));
    }
    return query;
  }

  full() {
    const query = this.query();
    if (this.verdict) query.set("verdict", this.verdict);
    return query;
  }

  // Offer what the archive holds.
  offer({ status, kept, parts }) {
    this.fill("status", Object.entries(status).map(([name, number]) => [name, WORDS[name] ?? name, number]));
    this.fill("kept", Object.entries(kept).map(([name, number]) => [name, KEPT[name] ?? name, number]));
    this.fill("part", parts.map(({ category, inspection, records }) => [JSON.stringify([category, inspection]), inspection ? `${inspection} (${category})` : category, records]));
  }

  fill(name, choices) {
    const select = byId(`filter-${name}`);
    const chosen = select.value;
    if (document.activeElement === select) return; // it may be open
    const listed = choices.some(([value]) => value === chosen) || !chosen ? choices : [...choices, [chosen, chosen, 0]];
    const options = listed.map(([value, word, number]) => new Option(`${word}, ${count(number)}`, value));
    select.replaceChildren(new Option("All", ""), ...options);
    select.value = chosen;
  }

  name() {
    const chosen = NAMES.filter((name) => byId(`filter-${name}`).value).map((name) => {
      const field = byId(`filter-${name}`);
      return field.selectedOptions ? field.selectedOptions[0].textContent.replace(/, [\d,]+$/, "") : `${name === "since" ? "from" : "until"} ${new Date(field.value).toLocaleString()}`;
    });
    write("filter-now", chosen.join(", ") || "All");
  }
}
