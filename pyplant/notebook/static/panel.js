// The panel with the details of one reactor.

import { button, html, icon, PAUSE, setAttributes, setText, small, WONDER } from "./dom.js";
import { age, bytes, duration, joined, took } from "./format.js";
import { blockedBy } from "./state.js";

const AWAITED = "More follows when the kernel is idle.";

/** The details of one reactor. */
export class Panel {
  constructor(view) {
    this.view = view;
    this.element = html("section.pg-panel", { hidden: true });
    this.facts = {};
    this.previews = {};
  }

  /** Ask the kernel for facts about the reactor, unless it was asked already and nothing has changed since. */
  ask(id) {
    const { graph, state, states, model, isDead } = this.view;
    const asked = [id, graph.data.version, states[id]?.o, states[id]?.f, state.run].join();
    if (isDead || asked === this.asked) return;
    this.asked = asked;
    model.send({ kind: "inspect", id, version: graph.data.version });
    setTimeout(() => {
      this.isAwaited ||= asked === this.asked && asked !== this.answered;
      this.patch();
    }, WONDER);
  }

  /** Show an answer of the kernel. */
  receive(answer) {
    if (answer.id !== this.id || answer.version !== this.view.graph.data.version) return;
    if (answer.kind === "facts") {
      this.facts = answer.busy ? { ...this.facts, ...answer } : answer;
      this.answered = this.asked;
      this.isAwaited = Boolean(answer.busy);
    } else this.previews = { ...this.previews, [answer.name]: answer };
    if (this.isOpen) this.show(this.id);
  }

  get isOpen() {
    return !this.element.hidden;
  }

  show(id) {
    const { graph, details } = this.view;
    const { name, where, run, inputs, outputs, orphan, used_by: users } = graph.nodes[id];
    const { causes = [], notes = [], reads = [], at = "", times = 1, ...found } = details[id] ?? {};
    const state = this.view.states[id] ?? {};
    // What was judged before the run, in a form that is true now; none for what turned out to be cached.
    const isPast = ["running", "ran", "waiting", "failed"].includes(state.o);
    const error = state.o === "failed" ? (found.error ?? "") : "";
    const reasons =
      state.o === "cached" ? [] : causes.map((cause) => ({ ...cause, text: (isPast && cause.past) || cause.text }));
    const sent = state.q ?? outputs;
    this.shown = state.o;
    this.failure = error && times > 1 ? `${times} times in a row` : "";
    this.hasError = Boolean(error);
    const hadFocus = this.element.matches(":focus-within");
    const dds = (values, content) => values.map((value) => html("dd", ...content(value)));
    if (id !== this.id) {
      this.element.scrollTop = 0;
      this.facts = {};
      this.previews = {};
      this.isAwaited = false;
    }
    this.id = id;
    const { parameters = [], helpers = [], files = [], shapes = {}, made = "", prints = "" } = this.facts;
    this.mark = html("span");
    this.heading = html("h3", { tabindex: -1 }, name);
    this.word = html("p");
    this.loops = html("div");
    this.awaited = html("p");
    this.took = html("dd");
    this.tookWord = html("dt");
    const close = button("×", "Close (Escape)", () => this.view.close(), "pg-close");
    close.setAttribute("aria-label", "Close");
    this.element.replaceChildren(
      html("header", this.mark, this.heading, close),
      this.word,
      this.loops,
      ...(error ? [this.code("pg-error", "Error", at ? `${error}\n${at}` : error)] : []),
      ...(prints && (state.o === "failed" || (state.o === "running" && !state.w)) // here, not in another kernel
        ? [html("h4", "Last printed"), this.code("pg-prints", "Last printed", prints)]
        : []),
      ...(reasons.length
        ? [
            html("h4", { ran: "Why it ran", failed: "Why it ran", running: "Why it runs" }[state.o] ?? "Why"),
            html("ul", ...reasons.map((cause) => this.cause(cause))),
          ]
        : []),
      html(
        "dl",
        html("div", this.tookWord, this.took),
        ...this.fact(
          "would run",
          dds(state.o === "cached" ? [] : [this.cost()].filter(Boolean), (cost) => [cost]),
        ),
        ...this.fact(
          "inputs",
          dds(inputs, ([name, sender]) => [
            name,
            ...(graph.nodes[sender] ? this.from(" from ", sender) : [small(" sent by no reactor that is defined")]),
          ]),
        ),
        ...this.fact(
          "outputs",
          dds(sent, (output) => this.output(output, shapes)),
        ),
        ...this.fact(
          "parameters",
          dds(parameters, ([name, value]) => [`${name} = ${value}`]),
        ),
        ...this.fact("helpers", helpers.length ? [html("dd", helpers.join(", "))] : []),
        ...this.fact(
          "files",
          dds(files, (file) => [file]),
        ),
        ...this.fact(
          "used by",
          dds(users, (user) => [this.link(user)]),
        ),
        ...this.fact(
          "reads",
          dds(reads, (read) => [read]),
        ),
        ...this.fact(
          "not followed",
          dds(notes, (note) => [note]),
        ),
        ...this.fact(
          "defined in",
          dds(where ? [where] : [], (place) => [place]),
        ),
        ...this.fact(
          "computed",
          dds(made ? [joined(made, this.uses())] : [], (text) => [text]),
        ),
      ),
      this.awaited,
      ...(orphan ? [this.removal(id)] : []),
      this.statement(run),
    );
    this.element.hidden = false;
    setAttributes(this.element, { "aria-label": `Reactor ${name}` });
    this.patch();
    this.ask(id);
    if (hadFocus) this.heading.focus({ preventScroll: true });
  }

  /** Scroll the page to the panel if that is below the graph, else to its heading. */
  reveal() {
    const { previousElementSibling: canvas } = this.element;
    const isBelow = this.element.offsetTop >= canvas.offsetTop + canvas.offsetHeight;
    (isBelow ? this.element : this.heading).scrollIntoView({ block: "nearest" });
  }

  /** Update what changes during a run. */
  patch() {
    if (!this.isOpen) return;
    const state = this.view.states[this.id] ?? { o: "unknown" };
    if (state.o !== this.shown && state.o !== "unknown") {
      this.show(this.id);
      return;
    }
    if (this.mark.className !== `pg-${state.o}`) this.mark.replaceChildren(icon(state.o));
    this.mark.className = `pg-${state.o}`;
    const pace = state.o === "running" ? this.view.pace(state)[0] : "";
    const failed = state.o === "failed" && joined(state.x && `failed ${age(state.x)}`, this.failure);
    const blocked = blockedBy(this.view.graph, this.view.states, this.id);
    setText(this.word, (this.hasError && failed) || joined(this.view.inWords(this.id), pace, state.h, blocked));
    setText(this.awaited, this.isAwaited && !this.view.isDead ? AWAITED : "");
    const loops = state.p ?? [];
    if (this.loops.childElementCount !== loops.length) {
      this.loops.replaceChildren(...loops.map(() => html("label", html("span"), html("progress"))));
    }
    loops.forEach(([description, done, total], index) => {
      const [text, meter] = this.loops.children[index].children;
      setText(text, `${description ?? ""} ${done}${total ? ` of ${total}` : ""}`.trim());
      if (total) setAttributes(meter, { max: total, value: done });
      else meter.removeAttribute("value");
    });
    const tookWords = { failed: "kept result", stale: "kept result", running: "last time", waiting: "last time" };
    setText(this.tookWord, tookWords[state.o] ?? "took");
    setText(this.took, took(state) && `${took(state)}, ${age(state.f)}`);
    setAttributes(this.took, { title: state.f ? new Date(state.f * 1000).toLocaleString() : "" });
    this.took.parentElement.hidden = !state.f;
  }

  /** What runs if this reactor is run, and how long that took last time. */
  cost() {
    const { rerun = [], reruns = 0, seconds = 0 } = this.facts;
    if (!reruns) return "";
    const words = rerun.slice(0, 4).map(([name, isCertain]) => (isCertain ? name : `perhaps ${name}`));
    const what = words.join(", ") + (reruns > 4 ? ` and ${reruns - 4} more` : "");
    return joined(what, seconds ? `took ${duration(seconds)} last time` : "");
  }

  uses() {
    const { reused = 0, stored = 0 } = this.facts;
    const count = (number, noun) => number && `${number} ${noun}${number === 1 ? "" : "s"}`;
    return joined(reused && `reused ${count(reused, "time")} here`, stored > 1 && `${stored} versions kept`);
  }

  /** An output: name, format, shape and size, and a preview that is loaded when it is asked for. */
  output([name, form, size], shapes) {
    const text = small(joined(shapes[name] || form, bytes(size)));
    const found = this.previews[name];
    if (!form || this.view.isDead) return [`${name} `, text];
    if (found) return [`${name} `, text, ...this.preview(found)];
    const question = { kind: "preview", id: this.id, version: this.view.graph.data.version, name };
    const ask = () => {
      this.view.model.send(question);
      setTimeout(() => this.previews[name] ?? this.receive({ ...question, text: AWAITED }), WONDER);
    };
    return [`${name} `, text, " ", button("Preview", `Show the beginning of ${name}`, ask, "pg-link")];
  }

  preview({ text = "", rows = [], image = "" }) {
    const [head = [], ...body] = rows;
    const row = (cells, tag) => html("tr", ...cells.map((cell) => html(tag, cell)));
    return [
      this.code("pg-preview", "Preview", text),
      ...(rows.length
        ? [
            this.scrolling(
              "div.pg-rows",
              "First rows",
              html("table", row(head, "th"), ...body.map((cells) => row(cells, "td"))),
            ),
          ]
        : []),
      ...(image ? [html("img", { src: `data:image/png;base64,${image}`, alt: text })] : []),
    ];
  }

  fact(word, dds) {
    return dds.length ? [html("div", html("dt", word), ...dds)] : [];
  }

  link(id) {
    return button(this.view.graph.name(id), "Show this reactor", () => this.view.visit(id), "pg-link");
  }

  from(word, id) {
    return this.view.graph.nodes[id] ? [small(word), this.link(id)] : [];
  }

  cause({ text, diff, from, root }) {
    const tags = { "+": "ins", "-": "del", "@": "i" };
    const lines = (diff ?? "")
      .trimEnd()
      .split("\n")
      .map((line) => html(tags[line[0]] ?? "span", `${line}\n`));
    const code = diff ? [this.code("pg-diff", "What changed", ...lines)] : [];
    // Where it began, if that is further away than the sender.
    const origin = root
      ? [html("br"), `because ${root.text}`, ...this.from(" in ", root.id)]
      : this.from(" see ", from);
    return html("li", text, ...origin, ...code);
  }

  code(style, label, ...content) {
    return this.scrolling(`pre.${style}`, label, ...content);
  }

  /** Return an element that may scroll, which the keyboard must reach. */
  scrolling(kind, label, ...content) {
    return html(kind, { tabindex: 0, role: "group", "aria-label": label }, ...content);
  }

  /** The reactor of a deleted cell, and how to be rid of it. */
  removal(id) {
    const { model, graph } = this.view;
    const remove = () => model.send({ kind: "remove", id, version: graph.data.version });
    return html(
      "p",
      "Its cell was deleted; its results stay in the plant. ",
      button("Remove", "Remove this reactor from the graph", remove),
    );
  }

  statement(run) {
    const code = html("code", run);
    const copy = button("Copy", "Copy the statement that runs this reactor", async () => {
      getSelection().selectAllChildren(code); // for Ctrl+C, if the page may not write to the clipboard
      let isDone = true;
      try {
        await navigator.clipboard.writeText(run);
      } catch {
        isDone = document.execCommand("copy");
      }
      setText(copy, isDone ? "Copied" : "Ctrl+C");
      setTimeout(() => setText(copy, "Copy"), PAUSE);
    });
    const start = button("Run", "Run this reactor and what it needs", () => this.view.run([run]));
    start.hidden = !this.view.canRun;
    return html("div.pg-run", code, copy, start);
  }
}
