// The connection with the kernel: its clock, its silence, and interrupts.

const PATIENCE = 5000; // milliseconds without news of a run until we ask

export const links = new WeakMap();

/** What the views of one model share: the clock of the kernel, its silence, and the hidden picture. */
export class Link {
  constructor(model) {
    Object.assign(this, { model, views: 0, seq: -1, ahead: 0 });
    links.set(model, this);
    this.rest();
  }

  /** News came, or none are expected. */
  rest() {
    [this.heard, this.patience] = [Date.now(), PATIENCE];
  }

  hear({ seq, now }) {
    this.rest();
    if (!(seq > this.seq)) return;
    this.seq = seq;
    const ahead = now - Date.now() / 1000;
    // How far the kernel's clock is ahead. That snapshots are late by turns says nothing about clocks.
    if (ahead > this.ahead || this.ahead - ahead > 2) this.ahead = ahead;
  }

  now() {
    return Date.now() / 1000 + this.ahead;
  }

  /** News are expected: ask for them when none come, less and less often. */
  wait() {
    if (Date.now() - this.heard < this.patience) return;
    [this.heard, this.patience] = [Date.now(), Math.min(2 * this.patience, 60000)];
    this.model.send({ kind: "resync" });
  }

  /** Hide the static picture while there are views. A rule outlives the element, which the kernel replaces. */
  cover(id) {
    const others = document.adoptedStyleSheets.filter((sheet) => sheet !== this.sheet);
    this.sheet = new CSSStyleSheet();
    if (id) this.sheet.insertRule(`#${CSS.escape(id)}{display:none!important}`);
    document.adoptedStyleSheets = this.views ? [...others, this.sheet] : others;
  }
}

/** Interrupt the kernel through the page's server; whether that worked. */
export async function interrupt(kernel) {
  if (!kernel) return false;
  try {
    // Other hosts have no such element.
    const { baseUrl, token } = JSON.parse(document.getElementById("jupyter-config-data").textContent);
    const headers = {};
    const [, cookie] = /(?:^|;\s*)_xsrf=([^;]*)/.exec(document.cookie) ?? [];
    if (cookie) headers["X-XSRFToken"] = cookie;
    if (token) headers.Authorization = `token ${token}`;
    const url = `${baseUrl.replace(/\/?$/, "/")}api/kernels/${encodeURIComponent(kernel)}/interrupt`;
    return (await fetch(url, { method: "POST", headers })).ok;
  } catch {
    return false;
  }
}
