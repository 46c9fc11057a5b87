// Who gives verdicts: asked once, kept in the browser; and the dialog of the keys.

import { byId, write } from "/live.js";

const KEY = "dmdd-edge-who";

export class Person {
  constructor() {
    try { this.name = localStorage.getItem(KEY) ?? ""; } catch { this.name = ""; } // a browser may forbid it
    byId("who").addEventListener("click", () => this.ask());
    byId("who-cancel").addEventListener("click", () => byId("who-dialog").close());
    byId("who-dialog").addEventListener("close", () => { this.answered?.(this.name); this.answered = null; });
    byId("who-form").addEventListener("submit", (event) => {
      event.preventDefault();
      const name = byId("who-name").value.trim();
      write("who-said", name ? "" : "The field is empty.");
      if (!name) return;
      this.name = name;
      try { localStorage.setItem(KEY, name); } catch { /* for this page only */ }
      this.show();
      byId("who-dialog").close();
    });
    this.show();
  }

  show() { write("who", this.name ? `You are ${this.name}` : "Your name"); }

  // A promise of the name; empty where the question was canceled.
  ask() {
    byId("who-name").value = this.name;
    byId("who-dialog").showModal();
    byId("who-name").select();
    return new Promise((done) => { this.answered = done; });
  }
}

export function help() {
  byId("help").addEventListener("click", () => byId("help-dialog").showModal());
  byId("help-close").addEventListener("click", () => byId("help-dialog").close());
}
