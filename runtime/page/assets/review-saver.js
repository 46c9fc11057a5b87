// Sends verdicts one after another, and again until each is acknowledged: only then is it said to be saved.

import { sleep } from "/live.js";

const FIRST_WAIT = 500;
const LONGEST_WAIT = 8000;

export class Saver {
  // `token` sends; `on` is told of each verdict: on.saved(entry, given), on.refused(entry, answer), on.changed().
  constructor(token, on) {
    this.token = token;
    this.on = on;
    this.queue = [];
    this.sending = false;
    this.locked = true;
    this.problem = "";
    //: Numbers of the last verdicts that came from here, by image.
    this.own = new Map();
    window.addEventListener("beforeunload", (event) => { if (this.queue.length) event.preventDefault(); });
  }

  // `entry`: id, verdict, who, and `seen`, the number of the last verdict that the person knew.
  add(entry) {
    this.queue.push(entry);
    this.on.changed();
    this.send();
  }

  waiting(id) { return this.queue.findLast((entry) => entry.id === id); }

  // Take back the last verdict if it was not sent yet.
  take(entry) {
    const place = this.queue.indexOf(entry);
    if (place < 0 || (place === 0 && this.sending)) return false;
    this.queue.splice(place, 1);
    this.on.changed();
    return true;
  }

  unlock(locked) {
    this.locked = locked;
    if (!locked) this.send();
    this.on.changed();
  }

  async send() {
    if (this.sending) return;
    this.sending = true;
    let wait = FIRST_WAIT;
    while (this.queue.length && !this.locked) {
      const entry = this.queue[0];
      const { id, verdict, who, seen } = entry;
      const answer = await this.token.change("/api/review/verdict", { id, verdict, who, seen: Math.max(seen, this.own.get(id) ?? 0) });
      if (answer.ok) {
        this.queue.shift();
        this.own.set(id, answer.body.number);
        this.problem = "";
        wait = FIRST_WAIT;
        this.on.saved(entry, answer.body);
      } else if (answer.refused) {
        this.problem = "Enter the token to save.";
      } else if (answer.status >= 400 && answer.status < 500) {
        this.queue.shift();
        this.on.refused(entry, answer);
      } else {
        this.problem = `${answer.text || "The server failed."} Retrying.`;
        this.on.changed();
        await sleep(wait);
        wait = Math.min(2 * wait, LONGEST_WAIT);
      }
      this.on.changed();
    }
    this.sending = false;
  }
}
