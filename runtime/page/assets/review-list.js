// The images that a filter takes, the newest first: fetched in pages, so that an archive may be of any size.

import { getJson } from "/live.js";

// Fetch the next page when so few images are left.
const AHEAD = 10;

export class List {
  // `query` gives the filter as URLSearchParams.
  constructor(query) {
    this.query = query;
    this.items = [];
    this.place = 0;
    this.more = true;
    this.turn = 0;
  }

  get current() { return this.items[this.place]; }

  get first() { return this.items[0]?.id ?? ""; }

  // Begin again with the newest image.
  async reset() {
    this.turn += 1;
    this.items = [];
    this.place = 0;
    this.more = true;
    this.fetching = null;
    await this.older();
  }

  // Add older images; true where there were some.
  older() {
    this.fetching ??= this.fetchOlder(this.turn).finally(() => { this.fetching = null; });
    return this.fetching;
  }

  async fetchOlder(turn) {
    const answer = await this.ask(this.items.at(-1)?.id ?? "", false);
    if (turn !== this.turn) return false;
    this.items.push(...answer.items);
    this.more = answer.more;
    return answer.items.length > 0;
  }

  // Add images that were kept since; the place stays at its image.
  async newer() {
    const turn = this.turn;
    let answer;
    do {
      answer = await this.ask(this.first, true);
      if (turn !== this.turn) return;
      this.items.unshift(...answer.items.reverse());
      this.place += answer.items.length;
    } while (answer.more);
  }

  ask(than, newer) {
    const query = this.query();
    if (than) query.set("than", than);
    if (newer) query.set("newer", "1");
    return getJson(`/api/review/list?${query}`);
  }

  // One image on; false at an end.
  async move(by) {
    if (by > 0 && this.place + by >= this.items.length) await this.older();
    const place = this.place + by;
    if (place < 0 || place > this.items.length) return false;
    this.place = place;
    if (this.more && this.items.length - place < AHEAD) this.older().catch(() => {});
    return true;
  }

  // Go to an image; false where it is not listed.
  seek(id) {
    const place = this.items.findIndex((item) => item.id === id);
    if (place >= 0) this.place = place;
    return place >= 0;
  }

  // Leave an image out that was deleted.
  drop(id) {
    const place = this.items.findIndex((item) => item.id === id);
    if (place < 0) return;
    this.items.splice(place, 1);
    if (place < this.place) this.place -= 1;
  }
}
