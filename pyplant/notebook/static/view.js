// One view of a model: its elements, and the reactions to traits and events.

import { Canvas } from "./canvas.js";
import { button, group, html, icon, PAUSE, setAttributes, setText, small, WONDER } from "./dom.js";
import { isKept, KEYS, viewAction } from "./keys.js";
import { interrupt, KernelLink, links } from "./link.js";
import { Panel } from "./panel.js";
import { changed, foldLook, Graph, inWords, matching, mostUrgent, pace, reactorLook, toggled } from "./state.js";
import { BY_URGENCY } from "./status.js";
import { Table } from "./table.js";

const MAX_FOUND = 20; // reactors that are unfolded at once because the filter finds them
// Milliseconds for which the picture stays in place after a movement over the graph, and after a use of it.
const [REST, USE] = [3000, 30000];
const FIRST_STEP = 'The first is a function with @ReactorFunc above it, as in def load(pipe): pipe.send("x", 1)';

/** One view of a model; a model has several if the output is shown in several places. */
export class View {
  constructor(model, el) {
    Object.assign(this, {
      model,
      link: links.get(model) ?? new KernelLink(model),
      states: {},
      state: { seq: -1 },
      words: [],
      usedUntil: 0,
    });
    this.canvas = new Canvas(this);
    this.panel = new Panel(this);
    this.table = new Table(this);
    this.frame(el);
    this.listen("on");
    this.link.views += 1;
    this.sync();
    this.startAtMostUrgent();
    this.timer = setInterval(() => this.tick(), 1000);
  }

  listen(how) {
    this.onChange ??= () => this.sync();
    for (const trait of ["graph", "state", "details"]) this.model[how](`change:${trait}`, this.onChange);
    this.onAnswer ??= (answer) => this.panel.receive(answer);
    this.model[how]("msg:custom", this.onAnswer);
    // Jupyter says so when it cuts the channel of a model, as at a restart; a channel is never mended.
    this.onCut ??= () => {
      this.link.isCut = true;
    };
    this.model[how]("comm_live_update", this.onCut);
  }

  remove() {
    this.listen("off");
    clearInterval(this.timer);
    clearTimeout(this.speaking);
    this.canvas.resizeObserver.disconnect();
    this.link.views -= 1;
    this.link.hidePicture(this.graph.data.snapshot);
    this.root.remove();
  }

  frame(el) {
    this.plant = html("strong");
    this.chips = BY_URGENCY.map((status) => {
      const click = () => this.toggle(`status:${status}`);
      const chip = button(icon(status), `Show reactors that are ${status}`, click, `pg-chip pg-${status}`);
      chip.append(html("span"));
      return [status, chip];
    });
    const causes = () => this.toggle("status:cause");
    this.causeChip = button(icon("cause"), "Show what changed and makes others stale", causes, "pg-chip pg-stale");
    this.causeChip.append(html("span"));
    this.uncheckedBadge = html("span.pg-badge", { title: "Code ran since staleness was judged" }, "not checked");
    const gone = "Its kernel was restarted or has ended; this is how it was then";
    this.goneBadge = html("span.pg-badge", { title: gone }, "of a kernel that has ended: run this cell again");
    this.closedBadge = html("span.pg-badge", { title: "The plant was closed; this is how it was then" }, "closed");
    const deleted = () => this.toggle("status:deleted");
    this.deletedChip = button(icon("orphan"), "Show reactors whose cell was deleted", deleted, "pg-chip pg-unknown");
    this.deletedChip.append(html("span"));
    this.runningLink = button("", "Show the running reactor", () => this.visit(this.running), "pg-link");
    [this.paceText, this.hint, this.found] = [small(""), small(""), small("")];
    this.runButton = button("Run all stale", "Run everything that is stale or new", () => this.runStale());
    this.stopButton = button("", "Interrupt the run; what has finished is kept", () => this.stop(), "pg-stop");
    this.search = html("input", {
      type: "search",
      placeholder: "Filter: name, ingredient, stale, +report",
      title:
        "load: names that contain this; else ingredients, files, parameters, places\nstale: also those that are stale\n+x: x and everything before it\nx+: x and everything after it\n1+x+2: with this number of steps\n" +
        "status:stale: of these only the stale\nEnter: go to the first; Escape: clear",
      "aria-label": "Filter the graph",
      spellcheck: false,
      autocomplete: "off",
      input: () => this.filter(),
    });
    this.scope = group(
      "What is shown",
      button("All", "Every reactor", () => this.choose("all")),
      button("Focus", "What is not cached and what is next to it", () => this.choose("focus")),
    );
    this.foldButton = button("Fold", "Fold what was unfolded", () => this.model.send({ kind: "fold" }));
    this.percent = button("", "Show at 100 %", () => this.canvas.zoomTo(1));
    this.zoom = group(
      "Zoom",
      button("−", "Smaller", () => this.canvas.zoomTo(this.canvas.scale / 1.25)),
      this.percent,
      button("+", "Larger", () => this.canvas.zoomTo(this.canvas.scale * 1.25)),
      button("Fit", "Show all of it", () => this.canvas.zoomTo("fit")),
    );
    this.keysButton = button("?", "Keys", () => this.toggleKeys());
    setAttributes(this.keysButton, { "aria-label": "Keys", "aria-expanded": false });
    const described = ([keys, text]) => html("div", html("dt", keys), html("dd", text));
    this.keys = html("dl.pg-keys", ...KEYS.map(described));
    this.keys.hidden = true;
    this.empty = html("p");
    this.announcer = html("div.pg-announcer", { role: "status" });
    const right = (...parts) => html("div.pg-right", ...parts);
    const chips = html("div.pg-chips", this.causeChip, ...this.chips.map(([, chip]) => chip), this.deletedChip);
    this.root = html(
      "section",
      { class: "pyplant-graph", keydown: (event) => this.onKey(event) },
      html(
        "div.pg-head",
        this.plant,
        chips,
        this.uncheckedBadge,
        this.closedBadge,
        this.goneBadge,
        right(this.runningLink, this.paceText, this.runButton, this.stopButton, this.hint),
      ),
      html("div.pg-head", this.search, this.found, right(this.scope, this.foldButton, this.zoom, this.keysButton)),
      this.keys,
      this.empty,
      html("div.pg-body", this.canvas.element, this.panel.element),
      this.table.element,
      this.announcer,
    );
    el.replaceChildren(this.root);
    const note = (element, event, time) =>
      element.addEventListener(event, () => this.noteUse(time), { passive: true, capture: true });
    note(this.root, "pointermove", REST);
    for (const element of [this.canvas.element, this.panel.element, this.search]) {
      for (const event of ["pointerdown", "wheel", "keydown"]) note(element, event, USE);
    }
  }

  noteUse(time) {
    this.usedUntil = Math.max(this.usedUntil, Date.now() + time);
  }

  /** Whether the picture must stay: the user is at it, and not merely the pointer or the button that was pressed. */
  get isInUse() {
    const hasFocus = ({ element }) => element.contains(document.activeElement);
    return Date.now() < this.usedUntil || Boolean(this.match) || [this.canvas, this.panel].some(hasFocus);
  }

  /** Show the present traits of the model. */
  sync() {
    const [data, state, details] = ["graph", "state", "details"].map((trait) => this.model.get(trait) ?? {});
    const isNew = data !== this.graph?.data;
    const isExplained = details !== this.details;
    this.details = details;
    if (isNew) this.redraw(new Graph(data));
    else if (isExplained && this.panel.isOpen) this.panel.show(this.panel.id);
    if (state.seq > this.state.seq && state.version === data.version) this.applyState(state);
    this.patch();
    // Boxes of a new picture may all be outside of where the last one was scrolled to.
    if (isNew && this.canvas.isBlank) this.startAtMostUrgent();
  }

  redraw(graph) {
    const shown = this.panel.isOpen && this.graph.name(this.panel.id);
    // Ids refer to other reactors in another version.
    if (graph.data.version !== this.graph?.data.version) this.states = {};
    this.graph = graph;
    this.link.hidePicture(graph.data.snapshot);
    this.drawView();
    this.table.draw();
    if (!shown) return;
    const id = graph.ids.find((one) => graph.name(one) === shown);
    if (id) this.panel.show(id);
    this.panel.element.hidden = !id;
  }

  drawView() {
    const { views = {}, view, unfolded, plant = "" } = this.graph.data;
    const name = [this.wish, view, "all"].find((one) => views[one]);
    setText(this.plant, plant);
    this.scope.hidden = !(views.all && views.focus);
    for (const [index, one] of ["all", "focus"].entries()) {
      setAttributes(this.scope.children[index], { "aria-pressed": one === name });
    }
    this.foldButton.hidden = !(name === "focus" && unfolded);
    this.canvas.draw(this.graph, views[name] ?? { size: [1, 1], nodes: [], edges: [] });
  }

  applyState(state) {
    const [{ run }, states] = [this.state, this.states];
    Object.assign(this, { state, states: state.nodes });
    this.link.receive(state);
    const news = changed(this.graph.ids, states, state.nodes);
    if (news.length > 3) this.announce(`${news.length} reactors changed`);
    else for (const id of news) this.announce(`${this.graph.name(id)}: ${this.inWords(id)}`);
    if (run != null && state.run == null) this.announce(`The run is over. ${state.title}`);
    if (state.run !== this.stopping) this.stopping = null;
  }

  /** Update everything that depends on the state. */
  patch() {
    this.match = matching(this.graph, this.states, this.search.value, this.details);
    for (const box of this.canvas.boxes) this.paint(box);
    this.canvas.paintLines();
    this.panel.patch();
    this.table.patch();
    this.patchHead();
    this.followUrgency();
  }

  patchHead() {
    const { state, states, graph, match } = this;
    const having = (status) =>
      graph.ids.filter((id) => states[id]?.o === status && !graph.nodes[id].orphan && !states[id].kept);
    const deleted = graph.ids.filter((id) => graph.nodes[id].orphan).length;
    setText(this.deletedChip.lastChild, `${deleted} deleted`);
    this.deletedChip.hidden = !deleted;
    setAttributes(this.deletedChip, { "aria-pressed": this.search.value.split(/\s+/).includes("status:deleted") });
    this.isDead = this.link.isDead(this.root);
    this.root.classList.toggle("pg-is-dead", this.isDead);
    this.goneBadge.hidden = !this.isDead;
    for (const [status, chip] of this.chips) {
      const number = having(status).length;
      setText(chip.lastChild, `${number} ${status}`);
      chip.hidden = !number;
      setAttributes(chip, { "aria-pressed": this.search.value.split(/\s+/).includes(`status:${status}`) });
    }
    setAttributes(this.root, { "aria-label": `Reactors of ${this.plant.textContent}: ${state.title ?? ""}` });
    this.root.classList.toggle("pg-is-empty", !graph.ids.length);
    const isKept = graph.ids.some((id) => states[id]?.kept);
    setText(this.empty, !graph.ids.length ? `${state.title ?? ""} ${FIRST_STEP}`.trim() : isKept ? state.title : "");
    setText(this.found, match ? `${match.size} of ${graph.ids.length}` : "");
    if (match && !match.size) setText(this.found, "no reactor, ingredient, file, parameter or status has this in it");
    const causes = this.causes();
    setText(this.causeChip.lastChild, causes.length === 1 ? "1 cause" : `${causes.length} causes`);
    this.causeChip.hidden = !causes.length;
    setAttributes(this.causeChip, { "aria-pressed": this.search.value.split(/\s+/).includes("status:cause") });
    this.uncheckedBadge.hidden = state.checked !== false || state.closed === true || this.isDead;
    this.closedBadge.hidden = state.closed !== true || this.isDead;
    const running = having("running").sort((a, b) => states[a].t - states[b].t);
    [this.running] = running;
    const more = running.length > 1 ? ` · ${running.length - 1} more` : "";
    setText(this.runningLink, this.running ? graph.name(this.running) : "");
    setText(this.paceText, this.running ? this.pace(states[this.running])[0] + more : "");
    this.stopButton.hidden = state.run == null || this.isDead;
    this.stopButton.disabled = this.stopping != null;
    setText(this.stopButton, this.stopping != null ? "stopping …" : "■ Stop");
    if (state.run == null && !this.runError) setText(this.hint, "");
    this.runButton.hidden = !this.canRun || state.run != null || !this.stale().length;
    if (this.panel.isOpen && state.run == null) this.panel.ask(this.panel.id);
  }

  tick() {
    if (this.isDead) return;
    if (this.link.isDead(this.root)) {
      this.patch();
      if (this.panel.isOpen) this.panel.show(this.panel.id); // without what only a kernel can do
      this.announce(this.goneBadge.title);
      return;
    }
    const isRunning = this.state.run != null || this.running;
    // What another process executes is watched by the kernel, which need not be asked.
    if (this.state.run != null || this.state.version !== this.graph.data.version) this.link.resyncIfSilent();
    else this.link.resetPatience();
    if (isRunning) this.patch();
    else if (this.isLate) this.followUrgency();
  }

  pace(state) {
    return pace(state, this.link.now());
  }

  inWords(id) {
    return inWords(this.states[id], this.graph.nodes[id].orphan);
  }

  paint(box) {
    const states = box.members.map((id) => this.states[id]).filter(Boolean);
    const status = mostUrgent(states);
    const found = this.match && box.members.filter((id) => this.match.has(id)).length;
    const dim = found === 0;
    const chosen = this.panel.isOpen && box.members.includes(this.panel.id);
    const look = box.isFold ? foldLook(box, states, found) : this.look(box);
    const isBusy = status === "running";
    Object.assign(box, { status, isDim: dim, isChosen: chosen, isBusy, isCause: Boolean(look.cause) });
    box.paint({ status, icon: box.isFold ? "fold" : status, fold: box.isFold, dim, chosen, ...look });
  }

  look({ id }) {
    const details = this.details[id] ?? {};
    return reactorLook(this.graph.nodes[id], this.states[id] ?? { o: "" }, details, this.link.now());
  }

  /** Announce a text to screen readers, at a pace at which they can read. */
  announce(text) {
    this.words = [...this.words, text].slice(-4);
    this.speaking ??= setTimeout(() => {
      setText(this.announcer, this.words.join(". "));
      [this.words, this.speaking] = [[], null];
    }, PAUSE);
  }

  open(box, takesFocus) {
    if (box.isFold) this.unfold(box);
    else this.visit(box.id, takesFocus);
  }

  /** Show the box that the keyboard moved to in an open panel. */
  follow(box) {
    if (!this.panel.isOpen || box.isFold) return;
    this.panel.show(box.id);
    this.patch();
  }

  visit(id, takesFocus = true) {
    this.panel.show(id);
    this.panel.reveal();
    if (takesFocus) this.panel.heading.focus({ preventScroll: true });
    this.patch();
    const box = this.canvas.boxOfReactor.get(id);
    if (!box) return;
    this.canvas.setCurrent(box);
    this.canvas.reveal(box);
  }

  close() {
    if (!this.panel.isOpen) return;
    this.panel.element.hidden = true;
    const box = this.canvas.boxOfReactor.get(this.panel.id);
    this.patch();
    if (box) this.canvas.focusBox(box);
  }

  /** Request that a fold shows some of its members, or the next ones. */
  unfold(box, found = []) {
    const nodes = box.members.filter((id) => found.includes(id)).slice(0, MAX_FOUND);
    this.model.send({ kind: "unfold", folds: [box.id], nodes });
    setTimeout(() => {
      if (!box.element.isConnected) return;
      setText(box.note, "unfolds when the cell is done");
      this.announce(box.note.textContent);
    }, WONDER);
  }

  choose(view) {
    this.wish = view;
    this.drawView();
    this.patch();
    this.startAtMostUrgent();
  }

  /** Return the stale reactors that changed themselves. */
  causes() {
    const isCause = (id) =>
      this.details[id]?.cause?.length && this.states[id]?.o === "stale" && !this.graph.nodes[id].orphan;
    return this.graph.ids.filter(isCause);
  }

  /** Return the boxes, the most urgent first: what failed or runs, what makes others stale, and so on from the left. */
  byUrgency() {
    const rank = (box) => (box.isCause ? BY_URGENCY.indexOf("stale") - 0.5 : BY_URGENCY.indexOf(box.status));
    return [...this.canvas.boxes].sort((a, b) => rank(a) - rank(b) || a.x - b.x);
  }

  /** Scroll a graph that does not fit to its most urgent box. */
  startAtMostUrgent() {
    this.canvas.startAt(this.byUrgency()[0]);
  }

  /** Scroll to the most urgent box after it changed, as soon as the user is not at the graph, unless he sees such a box. */
  followUrgency() {
    const [first] = this.byUrgency();
    const key = first && `${first.isCause}${first.status}${first.isCause || first.isBusy ? first.names[0] : ""}`;
    const isNews = key !== this.firstShown && first && (first.isCause || first.isBusy || first.status === "failed");
    this.isLate = Boolean(isNews && this.isInUse);
    if (this.isLate) return;
    this.firstShown = key;
    if (!isNews) return;
    const equal = this.canvas.boxes.filter((box) => box.status === first.status && box.isCause === first.isCause);
    if (!equal.some((box) => this.canvas.isInView(box))) this.canvas.startAt(first);
  }

  toggle(term) {
    this.search.value = toggled(this.search.value, term);
    this.filter();
  }

  filter() {
    this.patch();
    if (!this.match) return;
    this.announce(this.match.size ? `${this.found.textContent} found` : this.found.textContent);
    const hits = this.hits();
    if (hits.length && !hits.some((box) => this.canvas.isInView(box))) this.canvas.reveal(hits[0]);
  }

  /** Return the boxes that the filter finds, reactors first, from the left. */
  hits() {
    return this.canvas.boxes.filter((box) => !box.isDim).sort((a, b) => a.isFold - b.isFold || a.x - b.x || a.y - b.y);
  }

  get canRun() {
    return this.link.canRun && !this.isDead && this.state.closed !== true;
  }

  /** The reactors that would run; in any order, since each runs what it needs. */
  stale() {
    const isReady = ({ o, lost, kept } = {}) => ["stale", "new", "failed"].includes(o) && !lost && !kept;
    return this.graph.ids.filter((id) => isReady(this.states[id]) && !this.graph.nodes[id].orphan);
  }

  runStale() {
    return this.run(this.stale().map((id) => this.graph.nodes[id].run));
  }

  /** Run statements in the kernel, and show their error. */
  async run(statements) {
    this.runError = "";
    setText(this.hint, "");
    this.runError = await this.link.execute(`${statements.join("\n")};`);
    setText(this.hint, this.runError);
    if (this.runError) this.announce(this.runError);
  }

  async stop() {
    const { run } = this.state;
    // A late click must not interrupt the next run.
    if (run == null || this.stopping != null) return;
    this.stopping = run;
    this.patchHead();
    setTimeout(() => {
      if (this.stopping === run) this.stopping = null;
    }, 10000);
    if ((await interrupt(this.graph.data.kernel)) || this.state.run !== run) return;
    this.model.send({ kind: "stop", run });
    setText(this.hint, "press ■ in the toolbar");
    this.announce(this.hint.textContent);
  }

  onZoom(scale, isLarge) {
    setText(this.percent, `${Math.round(scale * 100)} %`);
    this.zoom.hidden = !isLarge && Math.abs(scale - 1) < 0.01;
  }

  onKey(event) {
    const state = {
      isTyping: event.target === this.search,
      hasFilter: Boolean(this.search.value),
      isOpen: this.panel.isOpen || !this.keys.hidden,
    };
    const action = viewAction(event, state);
    if (action === "search" || action === "keys") event.preventDefault();
    if (action === "search") this.search.focus();
    else if (action === "keys") this.toggleKeys();
    else if (action === "clear") this.clear();
    else if (action === "close") this.closeLast();
    else if (action === "first") this.goToFirst();
    if (isKept(event, state)) event.stopPropagation();
  }

  clear() {
    this.search.value = "";
    this.filter();
  }

  closeLast() {
    if (!this.keys.hidden) this.toggleKeys();
    else this.close();
  }

  goToFirst() {
    const [first] = this.hits();
    if (!first) return;
    this.canvas.focusBox(first);
    if (first.isFold && this.match) this.unfold(first, [...this.match]);
  }

  toggleKeys() {
    this.keys.hidden = !this.keys.hidden;
    setAttributes(this.keysButton, { "aria-expanded": !this.keys.hidden });
  }
}
