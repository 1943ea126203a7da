// The connection to the kernel: its clock, requests for missed snapshots, and interrupts.

const PATIENCE = 5000; // milliseconds without a snapshot during a run, after which one is requested

export const links = new WeakMap();

/** What all views of one model share: the clock of the kernel, the time of the last snapshot, the hidden picture. */
export class KernelLink {
  constructor(model) {
    Object.assign(this, { model, views: 0, seq: -1, clockOffset: 0, isCut: false });
    links.set(model, this);
    this.resetPatience();
  }

  /** A snapshot came, or none is expected: start waiting from now. */
  resetPatience() {
    [this.lastNews, this.patience] = [Date.now(), PATIENCE];
  }

  receive({ seq, now }) {
    this.resetPatience();
    if (!(seq > this.seq)) return;
    this.seq = seq;
    this.isCut = false;
    const clockOffset = now - Date.now() / 1000;
    // Seconds that the clock of the kernel is ahead. A late snapshot makes the difference smaller, so the largest
    // counts; a difference of more than 2 seconds means that a clock was set.
    if (clockOffset > this.clockOffset || this.clockOffset - clockOffset > 2) this.clockOffset = clockOffset;
  }

  /**
   * Whether the kernel of this model has ended.
   *
   * Jupyter cuts the channel or marks the view; a kernel that dies by itself shows it in its status only, and of one that
   * was shut down nothing is left.
   */
  isDead(root) {
    const { kernel } = this.model.widget_manager ?? {};
    const status = kernel?.status ?? "";
    this.hadKernel ||= Boolean(kernel);
    return (
      this.isCut ||
      (this.hadKernel && (!kernel || kernel.isDisposed === true)) ||
      Boolean(root.closest(".jupyter-widgets-disconnected")) ||
      ["dead", "autorestarting"].includes(status)
    );
  }

  /** Whether the page can run code in the kernel, as Jupyter's own can. */
  get canRun() {
    return typeof this.model.widget_manager?.kernel?.requestExecute === "function";
  }

  /** Run code in the kernel after what it is doing; return the error as text, if there was one. */
  async execute(code) {
    const content = { code, silent: false, store_history: false, stop_on_error: false, allow_stdin: false };
    const { content: reply } = await this.model.widget_manager.kernel.requestExecute(content).done;
    return reply.status === "error" ? `${reply.ename}: ${reply.evalue}` : "";
  }

  now() {
    return Date.now() / 1000 + this.clockOffset;
  }

  /** Request a snapshot if none came for a while, less and less often. */
  resyncIfSilent() {
    if (Date.now() - this.lastNews < this.patience) return;
    [this.lastNews, this.patience] = [Date.now(), Math.min(2 * this.patience, 60000)];
    this.model.send({ kind: "resync" });
  }

  /** Hide the static picture while there are views: by a style rule, since the kernel replaces the element. */
  hidePicture(id) {
    const others = document.adoptedStyleSheets.filter((sheet) => sheet !== this.sheet);
    this.sheet = new CSSStyleSheet();
    if (id) this.sheet.insertRule(`#${CSS.escape(id)}{display:none!important}`);
    document.adoptedStyleSheets = this.views ? [...others, this.sheet] : others;
  }
}

/** Interrupt the kernel through the server of the page; return whether that worked. */
export async function interrupt(kernel) {
  if (!kernel) return false;
  try {
    // Only pages of Jupyter have this element.
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
