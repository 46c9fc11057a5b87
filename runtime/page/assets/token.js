// The token: a client that has it may change something. It is kept for the tab, and typed into #token.

const KEY = "dmdd-edge-token";
const byId = (id) => document.getElementById(id);

export class Token {
  // `locked` is called with false once the token is accepted, and with true when it is not, or no more.
  constructor(locked) {
    this.locked = locked;
    this.takeFromAddress();
    window.addEventListener("hashchange", () => this.takeFromAddress() && this.unlock(sessionStorage.getItem(KEY)));
    byId("token-form").addEventListener("submit", (event) => { event.preventDefault(); this.unlock(byId("token").value.trim()); });
  }

  // Try the token of the address or of this tab, if there is one.
  start() {
    const stored = sessionStorage.getItem(KEY);
    if (stored) this.unlock(stored);
  }

  // The address that is printed at the start has the token after the #, which is never sent.
  takeFromAddress() {
    const match = /^#token=(.+)$/.exec(location.hash);
    if (!match) return false;
    sessionStorage.setItem(KEY, decodeURIComponent(match[1]));
    history.replaceState(null, "", location.pathname);
    return true;
  }

  async unlock(token) {
    if (!token) return say("token-said", "The field is empty.", "bad");
    const answer = await send("/api/token", token);
    if (answer.ok) {
      sessionStorage.setItem(KEY, token);
      this.value = token;
    } else if (answer.refused) sessionStorage.removeItem(KEY);
    this.lock(!answer.ok);
    say("token-said", answer.ok ? "" : answer.text, "bad");
    byId("token").value = "";
    return undefined;
  }

  lock(locked) {
    byId("token-form").hidden = !locked;
    this.locked(locked);
  }

  // Send a change; the answer has `ok`, `refused`, `status` (0: none came), `body` and, if it is an error, `text`.
  async change(path, body) {
    const answer = await send(path, this.value, body);
    if (answer.refused) this.lock(true);
    return answer;
  }
}

export function say(id, text, kind = "") {
  byId(id).textContent = text;
  byId(id).className = kind ? `said-${kind}` : "";
}

async function send(path, token, body) {
  const options = { headers: { Authorization: `Bearer ${token}` }, cache: "no-store", signal: AbortSignal.timeout(8000) };
  if (body) {
    options.method = "POST";
    options.body = JSON.stringify(body);
    options.headers["Content-Type"] = "application/json";
  }
  try {
    const response = await fetch(path, options);
    const reply = response.status === 204 ? {} : await response.json();
    return { ok: response.ok, refused: response.status === 401, status: response.status, body: reply, text: [reply.message, reply.fix].filter(Boolean).join(" ") };
  } catch {
    return { ok: false, refused: false, status: 0, body: {}, text: "There was no answer." };
  }
}
