// A page that shows the graph without Jupyter: a model like that of anywidget, and actions for tests.

import graph from "/graph.js";

class Model {
  #traits;
  #listeners = new Map();
  sent = [];

  constructor(traits) {
    this.#traits = { ...traits };
  }

  get(name) {
    return this.#traits[name];
  }

  set(name, value) {
    this.#traits[name] = value;
    for (const callback of [...(this.#listeners.get(`change:${name}`) ?? [])]) callback();
  }

  on(event, callback) {
    this.#listeners.set(event, (this.#listeners.get(event) ?? new Set()).add(callback));
  }

  off(event, callback) {
    this.#listeners.get(event)?.delete(callback);
  }

  emit(event, ...content) {
    for (const callback of this.#listeners.get(event) ?? []) callback(...content);
  }

  /** Deliver a message of the kernel. */
  tell(message) {
    this.emit("msg:custom", message);
  }

  send(message) {
    this.sent.push(message);
  }

  save_changes() {}

  get listening() {
    return [...this.#listeners.values()].reduce((sum, callbacks) => sum + callbacks.size, 0);
  }
}

const harness = {
  alarms: [], // scripts that ran or were refused; there must be none
  leaked: [], // keys that reached the page
  cleanups: [],

  /** Show a scenario: `{graph, state, details}`. */
  start(traits) {
    this.model = new Model(traits);
    return this.view();
  },

  /** Add another view of the model. */
  view() {
    const el = document.createElement("div");
    document.getElementById("views").append(el);
    this.cleanups.push(graph.render({ model: this.model, el }));
  },

  /** Render again into the element of the first view. */
  again() {
    const el = document.querySelector("#views > div");
    this.cleanups.push(graph.render({ model: this.model, el }));
  },

  /** Deliver a snapshot with `changes` to the nodes of the last one. */
  tell(changes, rest = {}) {
    const last = this.model.get("state");
    const nodes = structuredClone(last.nodes);
    for (const [id, change] of Object.entries(changes)) Object.assign(nodes[id], change);
    this.model.set("state", { ...last, seq: last.seq + 1, now: Date.now() / 1000, ...rest, nodes });
  },
};

window.harness = harness;
window.alarm = (what) => harness.alarms.push(String(what));
document.addEventListener("securitypolicyviolation", (event) => window.alarm(event.violatedDirective));
document.addEventListener("keydown", (event) => harness.leaked.push(event.key));

const theme = new URLSearchParams(location.search).get("theme");
if (theme) document.body.setAttribute("data-jp-theme-light", theme === "light");
