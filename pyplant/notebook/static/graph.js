// The live graph of a plant: one ES module for anywidget, without libraries or a build step.
//
// - Names, values, diffs and errors are data of users and may be hostile. They enter the page as text
//   nodes and attributes, through `html`, `svg`, `set` and `write` only.
// - `graph` changes rarely; then the picture is drawn anew. `state` changes often: a full, numbered
//   snapshot that is patched into the page. Older numbers are ignored.
// - `View.sync` shows everything, whichever trait changed, so they may come in any order.
// - Colour is never the only sign: each status has an icon, an outline and a word.

const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif';
const SMALLEST = 0.7; // as far as a graph is shrunk unasked
const HOPELESS = 0.5; // what would be shrunk further is not shrunk at all
const TALLEST = 520; // pixels of the viewport
const PATIENCE = 5000; // milliseconds without news of a run until we ask
const PAUSE = 2000; // milliseconds between things said to screen readers
const INDENT = 28; // of the texts of a box

// The statuses in words, the loudest first: a fold looks like its loudest member.
const WORDS = {
  failed: "failed",
  running: "running",
  waiting: "waiting",
  stale: "stale, would run again",
  new: "new, no result is kept",
  uncached: "uncached, runs every time",
  skipped: "skipped, something before it failed",
  ran: "ran",
  cached: "cached",
};
const LOUDEST = Object.keys(WORDS);
const BARE = ["failed", "waiting", "new", "skipped"]; // what the kept result took does not matter

// Icons in a square of 16: what is filled, and a line over it.
const DISC = "M13.2 8a5.2 5.2 0 1 1-10.4 0a5.2 5.2 0 0 1 10.4 0z";
const dot = (x) => `M${x + 1.35} 8a1.35 1.35 0 1 1-2.7 0a1.35 1.35 0 0 1 2.7 0z`;
const ICONS = {
  failed: ["", "M4 4l8 8M12 4l-8 8"],
  running: ["M5.2 3.4v9.2L12.6 8z", ""],
  waiting: [dot(3.4) + dot(8) + dot(12.6), ""],
  stale: ["M8 2.8a5.2 5.2 0 0 0 0 10.4z", DISC],
  new: ["", DISC],
  uncached: ["M13.6 2.4v4.4H9.2z", "M12.6 5.6A5.2 5.2 0 1 0 13.2 8.6"],
  skipped: ["", "M3.6 8h8.8"],
  ran: [DISC, "M5.4 8.3l1.9 1.9l3.4-4.1"],
  cached: ["", "M3.6 8.6l3 3l5.8-7"],
  fold: ["", "M6 3.6L10.4 8L6 12.4"],
  unknown: ["", ""],
};

// ------------------------------ elements

/** Makes elements from "tag" or "tag.class", attributes and listeners if there are any, and children. */
const maker = (space) => (kind, ...content) => {
  const [tag, style] = kind.split(".");
  const element = document.createElementNS(space, tag);
  if (style) element.setAttribute("class", style);
  if (content[0]?.constructor === Object) {
    for (const [key, value] of Object.entries(content.shift())) {
      if (typeof value === "function") element.addEventListener(key, value);
      else element.setAttribute(key, value);
    }
  }
  element.append(...content);
  return element;
};
const html = maker("http://www.w3.org/1999/xhtml");
const svg = maker("http://www.w3.org/2000/svg");

const button = (label, title, click, style = "") =>
  html(`button.${style}`, { type: "button", title, click }, label);
const small = (text) => html("small", text);
const group = (label, ...children) => html("div.pg-group", { role: "group", "aria-label": label }, ...children);

/** Set what differs, so that a page at rest stays at rest. */
function set(element, attributes) {
  for (const [key, value] of Object.entries(attributes)) {
    if (element.getAttribute(key) !== String(value)) element.setAttribute(key, value);
  }
}

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function strokes(name) {
  const [solid, line] = ICONS[name];
  return [svg("path.pg-solid", { d: solid }), svg("path.pg-line", { d: line })];
}

const icon = (name) => svg("svg.pg-icon", { viewBox: "0 0 16 16", "aria-hidden": true }, ...strokes(name));

// ------------------------------ texts

const joined = (...texts) => texts.filter(Boolean).join(" · ");
const two = (number) => String(number).padStart(2, "0");

/** A duration, in whole seconds while it grows. */
function duration(seconds, isGrowing) {
  if (seconds < 1 && !isGrowing) return seconds && seconds < 5e-4 ? "<1 ms" : `${Math.round(seconds * 1000)} ms`;
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${isGrowing ? whole : seconds.toFixed(1)} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min ${two(whole % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${two(minutes % 60)} min`;
}

function bytes(size) {
  if (!size) return "";
  const units = ["B", "kB", "MB", "GB", "TB"];
  while (size >= 1000 && units.length > 1) [size] = [size / 1000, units.shift()];
  return `${size.toFixed(units.length === 5 || size >= 100 ? 0 : 1)} ${units[0]}`;
}

function age(when) {
  const past = Math.max(1, Date.now() / 1000 - when);
  const [unit, length] = Object.entries({ days: 86400, h: 3600, min: 60, s: 1 }).find(([, one]) => past >= one);
  return `${Math.floor(past / length)} ${unit} ago`;
}

const took = ({ f, s, b }) => (f ? joined(duration(s ?? 0), bytes(b)) : "");

const pen = document.createElement("canvas").getContext("2d");

/** The first text that is no wider than there is room, else the last one, cut. */
function fitted(texts, room, font) {
  pen.font = `${font} ${FONT}`;
  const fits = (text) => pen.measureText(text).width <= room;
  const letters = Array.from(texts.at(-1));
  const cut = () => `${letters.join("")}…`;
  const fitting = texts.find(fits);
  while (fitting === undefined && letters.length > 1 && !fits(cut())) letters.pop();
  return fitting ?? cut();
}

// ------------------------------ model

/** What `graph` says, and who is next to whom. */
class Graph {
  constructor(data) {
    this.data = data;
    this.nodes = data.nodes ?? {};
    this.ids = Object.keys(this.nodes);
    [this.senders, this.receivers] = [0, 1].map(() => new Map(this.ids.map((id) => [id, new Set()])));
    for (const id of this.ids) {
      for (const [, sender] of this.nodes[id].inputs) {
        this.receivers.get(sender)?.add(id);
        if (this.nodes[sender]) this.senders.get(id).add(sender);
      }
    }
  }

  name(id) {
    return this.nodes[id].name;
  }
}

function walk(starts, next, steps) {
  const seen = new Set(starts);
  let edge = [...seen];
  for (let step = 0; step < steps && edge.length; step += 1) {
    edge = edge.flatMap((id) => [...next.get(id)]).filter((id) => !seen.has(id) && seen.add(id));
  }
  return seen;
}

/**
 * What a filter finds, or null when it is empty.
 *
 * Words and `+x`, `x+`, `1+x+2` unite; what they find must have one of the statuses, if there are any.
 */
function chosen(graph, states, filter) {
  const terms = filter.toLowerCase().split(/\s+/).filter(Boolean);
  if (!terms.length) return null;
  const [statuses, words] = [true, false].map((is) => terms.filter((term) => term.startsWith("status:") === is));
  const found = new Set(words.length ? [] : graph.ids);
  const steps = (text) => (text === undefined ? 0 : text === "" ? Infinity : Number(text));
  for (const word of words) {
    const [, up, name, down] = /^(?:(\d*)\+)?(.*?)(?:\+(\d*))?$/.exec(word);
    const named = (test) => graph.ids.filter((id) => name && test(graph.name(id).toLowerCase()));
    const same = named((other) => other === name);
    const starts = word !== name && same.length ? same : named((other) => other.includes(name));
    for (const id of walk(starts, graph.senders, steps(up))) found.add(id);
    for (const id of walk(starts, graph.receivers, steps(down))) found.add(id);
  }
  const isWanted = (id) => !statuses.length || statuses.some((term) => states[id]?.o.startsWith(term.slice(7)));
  return new Set([...found].filter(isWanted));
}

const links = new WeakMap();

/** What the views of one model share: the clock of the kernel, its silence, and the hidden picture. */
class Link {
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
async function interrupt(kernel) {
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

// ------------------------------ canvas

/** One box of the picture: a reactor, or a fold of them. */
class Box {
  constructor(graph, id, members, [x, y, w, h], label) {
    const isFold = label !== undefined;
    Object.assign(this, { id, members, x, y, w, h, label, isFold, lines: [], key: "" });
    this.names = members.map((member) => graph.name(member));
    this.isLow = h < 32; // no room for a second line
    const [left, top] = [x - w / 2, y - h / 2];
    const rect = (style, by, height = h + 2 * by, rx = 7 + by) =>
      svg(`rect.${style}`, { x: left - by, y: top - by, width: w + 2 * by, height, rx });
    const text = (style, dx, dy) => svg(`text.${style}`, { x: left + dx, y: y + dy });
    this.title = svg("title");
    this.name = text("pg-name", INDENT, this.isLow ? 4 : -2.5);
    this.meta = text("pg-meta", INDENT, 10.5);
    this.note = text("pg-note", w / 2, h / 2 + 13);
    this.bar = svg("rect.pg-bar", { x: left + 8, y: y + h / 2 - 5.5, height: 2.5, rx: 1.25 });
    this.strokes = strokes("unknown");
    const moved = (by) => svg("g", { transform: `translate(${by},${-by})` }, rect("pg-face", 0));
    this.element = svg(
      "g",
      { role: "button", tabindex: -1 },
      this.title,
      rect("pg-halo", 3.5),
      ...(isFold ? [6, 3] : []).map(moved),
      rect("pg-face", 0),
      this.bar,
      svg("g.pg-icon", { transform: `translate(${left + 8},${y - 8})` }, ...this.strokes),
      this.name,
      this.meta,
      this.note,
    );
  }

  /** Bring the element up to date; `look` is all that it shows. */
  paint(look) {
    const key = JSON.stringify(look);
    if (key === this.key) return;
    this.key = key;
    const flags = ["fold", "maybe", "orphan", "dim", "chosen", "guess"].filter((flag) => look[flag]);
    const room = this.w - INDENT - 7;
    set(this.element, {
      class: ["pg-node", `pg-${look.status}`, ...flags.map((flag) => `pg-is-${flag}`)].join(" "),
      "aria-label": look.spoken,
      "aria-pressed": look.chosen,
    });
    ICONS[look.icon].forEach((d, index) => set(this.strokes[index], { d }));
    set(this.bar, { width: Math.min(1, look.share ?? 0) * (this.w - 16) });
    write(this.title, look.tip);
    write(this.name, fitted(look.names, room, "500 11.5px"));
    write(this.meta, this.isLow ? "" : fitted(look.metas, room, "9.5px"));
  }
}

/** The picture: drawing, zoom, and walking about in it. */
class Canvas {
  constructor(view) {
    Object.assign(this, { view, boxes: [], zoom: 0 }); // 0: as large as fits sensibly
    this.element = html("div.pg-canvas", {
      keydown: (event) => this.onKey(event),
      focusin: (event) => this.stand(this.boxAt(event)),
      pointerdown: (event) => this.onDrag(event),
    });
    this.element.addEventListener("wheel", (event) => this.onWheel(event), { passive: false });
    this.watch = new ResizeObserver(() => {
      this.resize();
      this.startAt(this.start);
    });
    this.watch.observe(this.element);
  }

  draw(graph, { size, nodes, folds = [], edges }) {
    const hadFocus = this.element.matches(":focus-within");
    const before = new Set(this.current?.names);
    this.size = size;
    this.boxes = [
      ...nodes.map(([id, ...place]) => new Box(graph, id, [id], place)),
      ...folds.map(({ id, members, at, label }) => new Box(graph, id, members, at, label ?? "")),
    ];
    const byId = new Map(this.boxes.map((box) => [box.id, box]));
    this.holders = new Map(this.boxes.flatMap((box) => box.members.map((id) => [id, box])));
    this.views = new WeakMap(this.boxes.map((box) => [box.element, box]));
    this.lines = edges.map(([from, to, names, route]) => this.line(byId.get(from), byId.get(to), names, route));
    this.picture = svg(
      "svg",
      {
        role: "group",
        "aria-label": "Graph of reactors: arrow keys follow the edges, Enter shows more",
        viewBox: `0 0 ${size[0]} ${size[1]}`,
        "font-family": FONT,
        click: (event) => this.onClick(event),
        pointerover: (event) => this.light(this.boxAt(event)),
        pointerleave: () => this.light(),
      },
      ...this.lines.map((line) => line.element),
      ...this.boxes.map((box) => box.element),
    );
    this.element.replaceChildren(this.picture);
    this.resize();
    // Who stood at a box stands where its reactors are now: at the first of an unfolded group.
    const again = this.boxes.find((box) => box.names.some((name) => before.has(name)));
    this.stand(again ?? this.boxes[0]);
    if (again && hadFocus) this.go(again);
  }

  line(sender, receiver, names, route) {
    const [[before], [x, y]] = route.slice(-2);
    const back = x >= before ? 6 : -6;
    let [[ax, ay]] = route;
    let d = `M${ax} ${ay}`;
    for (const [bx, by] of [...route.slice(1, -1), [x - back, y]]) {
      const middle = (ax + bx) / 2;
      d += `C${middle} ${ay} ${middle} ${by} ${bx} ${by}`;
      [ax, ay] = [bx, by];
    }
    const [one, other] = [sender, receiver].map((box) => box.label ?? box.names[0]);
    const title = `${one} → ${other}: ${names.join(", ")}`;
    const way = svg("path.pg-way", { d });
    const tip = svg("path.pg-tip", { d: `M${x} ${y}l${-back * 1.2} -3.5v7z` });
    const line = { sender, receiver, element: svg("g", svg("title", title), way, tip) };
    sender.lines.push(line);
    receiver.lines.push(line);
    return line;
  }

  paintLines() {
    for (const { sender, receiver, element } of this.lines) {
      const isLit = [sender, receiver].some((box) => box === this.lit || box.isChosen);
      const flags = [receiver.isBusy && "live", isLit && "lit", (sender.isDim || receiver.isDim) && "dim"];
      set(element, { class: flags.filter(Boolean).map((flag) => `pg-is-${flag}`).join(" ") });
    }
  }

  light(box) {
    if (box === this.lit) return;
    this.lit = box;
    this.paintLines();
  }

  boxAt(event) {
    return this.views.get(event.target.closest(".pg-node"));
  }

  get scale() {
    const [width, height] = this.size;
    const room = this.element.clientWidth - 2;
    const fit = room > 0 ? Math.min(1, room / width, TALLEST / height) : 1;
    if (this.zoom === "fit") return fit;
    return this.zoom || (fit < HOPELESS ? 1 : Math.max(SMALLEST, fit));
  }

  /** Begin with a box in the middle, as soon as the page gives room. */
  startAt(box) {
    this.start = box;
    if (!box || !this.element.clientWidth) return;
    this.reveal(box, true);
    this.start = null;
  }

  resize() {
    if (!this.size) return;
    const [width, height] = this.size;
    const { scale } = this;
    set(this.picture, { width: width * scale, height: height * scale });
    this.view.onZoom(scale, width > this.element.clientWidth || height > TALLEST);
  }

  /** Zoom, keeping the point at `x`, `y` of the viewport where it is. */
  zoomTo(zoom, x = this.element.clientWidth / 2, y = this.element.clientHeight / 2) {
    const before = this.scale;
    this.zoom = zoom === "fit" ? zoom : Math.max(0.1, Math.min(3, zoom));
    this.resize();
    const ratio = this.scale / before;
    this.element.scrollTo((this.element.scrollLeft + x) * ratio - x, (this.element.scrollTop + y) * ratio - y);
  }

  onWheel(event) {
    if (!event.ctrlKey) return;
    event.preventDefault();
    const { left, top } = this.element.getBoundingClientRect();
    this.zoomTo(this.scale * Math.exp(-event.deltaY / 300), event.clientX - left, event.clientY - top);
  }

  onDrag(event) {
    const { element } = this;
    if (event.button !== 0 || event.pointerType === "touch" || event.target !== this.picture) return;
    const [x, y] = [element.scrollLeft + event.clientX, element.scrollTop + event.clientY];
    element.setPointerCapture(event.pointerId);
    element.onpointermove = ({ clientX, clientY }) => element.scrollTo(x - clientX, y - clientY);
    element.onlostpointercapture = () => {
      element.onpointermove = null;
    };
  }

  /** Make a box the one that the tab key reaches. */
  stand(box) {
    this.current?.element.setAttribute("tabindex", -1);
    this.current = box;
    box?.element.setAttribute("tabindex", 0);
  }

  go(box) {
    box.element.focus({ preventScroll: true });
    this.reveal(box);
  }

  /** Scroll no further than it takes, or to the middle. */
  reveal(box, isMiddle) {
    const { scale, element } = this;
    const near = (at, centre, size, room) => {
      if (isMiddle) return centre * scale - room / 2;
      const reach = (size / 2) * scale + 40;
      return Math.max(centre * scale + reach - room, Math.min(at, centre * scale - reach));
    };
    element.scrollTo({
      left: near(element.scrollLeft, box.x, box.w, element.clientWidth),
      top: near(element.scrollTop, box.y, box.h, element.clientHeight),
      behavior: isMiddle || matchMedia("(prefers-reduced-motion: reduce)").matches ? "instant" : "smooth",
    });
  }

  neighbour(box, key) {
    const side = { ArrowLeft: "sender", ArrowRight: "receiver" }[key];
    const sign = { ArrowUp: -1, ArrowDown: 1 }[key];
    const isBelow = (other) => (other.y - box.y) * sign > 0 && Math.abs(other.x - box.x) < (other.w + box.w) / 2;
    const candidates = side ? box.lines.map((line) => line[side]) : this.boxes.filter(isBelow);
    const distance = (other) => Math.abs(other.y - box.y);
    return candidates.filter((other) => other !== box).sort((a, b) => distance(a) - distance(b))[0];
  }

  onKey(event) {
    const box = this.boxAt(event);
    const isDeed = event.key === "Enter" || event.key === " ";
    if (!box || event.ctrlKey || event.metaKey || !(isDeed || event.key.startsWith("Arrow"))) return;
    event.preventDefault();
    const next = isDeed ? null : this.neighbour(box, event.key);
    if (isDeed) this.view.open(box, true);
    if (!next) return;
    this.go(next);
    this.view.follow(next);
  }

  onClick(event) {
    const box = this.boxAt(event);
    if (!box) return;
    this.go(box);
    this.view.open(box, false);
  }
}

// ------------------------------ panel and table

/** What is known of one reactor. */
class Panel {
  constructor(view) {
    this.view = view;
    this.element = html("section.pg-panel", { hidden: true });
  }

  get isOpen() {
    return !this.element.hidden;
  }

  show(id) {
    const { graph, details } = this.view;
    const { name, where, run, inputs, outputs, used_by: users } = graph.nodes[id];
    const { causes = [], notes = [], error = "" } = details[id] ?? {};
    const hadFocus = this.element.matches(":focus-within");
    const dds = (values, content) => values.map((value) => html("dd", ...content(value)));
    if (id !== this.id) this.element.scrollTop = 0;
    this.id = id;
    this.mark = html("span");
    this.heading = html("h3", { tabindex: -1 }, name);
    this.word = html("p");
    this.loops = html("div");
    this.took = html("dd");
    const close = button("×", "Close (Escape)", () => this.view.close(), "pg-close");
    close.setAttribute("aria-label", "Close");
    this.element.replaceChildren(
      html("header", this.mark, this.heading, close),
      this.word,
      this.loops,
      ...(error ? [this.code("pg-error", "Error", error)] : []),
      ...(causes.length ? [html("h4", "Why"), html("ul", ...causes.map((cause) => this.cause(cause)))] : []),
      html(
        "dl",
        ...this.fact("took", [this.took]),
        ...this.fact("inputs", dds(inputs, ([name, sender]) => [name, ...this.from(" from ", sender)])),
        ...this.fact("outputs", dds(outputs, ([name, form, size]) => [`${name} `, small(joined(form, bytes(size)))])),
        ...this.fact("used by", dds(users, (user) => [this.link(user)])),
        ...this.fact("not followed", dds(notes, (note) => [note])),
        ...this.fact("defined in", dds(where ? [where] : [], (place) => [place])),
      ),
      this.statement(run),
    );
    this.element.hidden = false;
    set(this.element, { "aria-label": `Reactor ${name}` });
    this.patch();
    if (hadFocus) this.heading.focus({ preventScroll: true });
  }

  /** What changes while reactors run. */
  patch() {
    if (!this.isOpen) return;
    const state = this.view.states[this.id] ?? { o: "unknown" };
    if (this.mark.className !== `pg-${state.o}`) this.mark.replaceChildren(icon(state.o));
    this.mark.className = `pg-${state.o}`;
    const pace = state.o === "running" ? this.view.pace(state)[0] : "";
    write(this.word, joined(this.view.inWords(this.id), pace));
    const loops = state.p ?? [];
    if (this.loops.childElementCount !== loops.length) {
      this.loops.replaceChildren(...loops.map(() => html("label", html("span"), html("progress"))));
    }
    loops.forEach(([description, done, total], index) => {
      const [text, meter] = this.loops.children[index].children;
      write(text, `${description ?? ""} ${done}${total ? ` of ${total}` : ""}`.trim());
      if (total) set(meter, { max: total, value: done });
      else meter.removeAttribute("value");
    });
    write(this.took, took(state) && `${took(state)}, ${age(state.f)}`);
    set(this.took, { title: state.f ? new Date(state.f * 1000).toLocaleString() : "" });
    this.took.parentElement.hidden = !state.f;
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

  cause({ text, diff, from }) {
    const tags = { "+": "ins", "-": "del", "@": "i" };
    const lines = (diff ?? "").trimEnd().split("\n").map((line) => html(tags[line[0]] ?? "span", `${line}\n`));
    const code = diff ? [this.code("pg-diff", "What changed", ...lines)] : [];
    return html("li", text, ...this.from(" see ", from), ...code);
  }

  code(style, label, ...content) {
    return html(`pre.${style}`, { tabindex: 0, role: "group", "aria-label": label }, ...content);
  }

  statement(run) {
    const code = html("code", run);
    const copy = button("Copy", "Copy what runs this reactor", async () => {
      getSelection().selectAllChildren(code); // for a page that may not write the clipboard
      let isDone = true;
      try {
        await navigator.clipboard.writeText(run);
      } catch {
        isDone = document.execCommand("copy");
      }
      write(copy, isDone ? "Copied" : "Ctrl+C");
      setTimeout(() => write(copy, "Copy"), PAUSE);
    });
    return html("div.pg-run", code, copy);
  }
}

/** The same as text: made when it is opened, patched while it is open. */
class Table {
  constructor(view) {
    this.view = view;
    this.body = html("tbody");
    const head = ["Reactor", "Status", "Time", "Size"].map((word) => html("th", { scope: "col" }, word));
    const table = html("table", html("thead", html("tr", ...head)), this.body);
    const summary = html("summary", "As a table");
    this.element = html("details", { toggle: () => this.draw() }, summary, html("div", table));
  }

  draw() {
    const ids = this.element.open ? this.view.graph.ids : [];
    this.rows = ids.map((id) => [id, ...[0, 1, 2].map(() => html("td"))]);
    const head = (id) => html("th", { scope: "row" }, this.view.panel.link(id));
    this.body.replaceChildren(...this.rows.map(([id, ...cells]) => html("tr", head(id), ...cells)));
    this.patch();
  }

  patch() {
    for (const [id, word, time, size] of this.rows) {
      const { f, s, b } = this.view.states[id] ?? {};
      write(word, this.view.inWords(id));
      write(time, f ? duration(s ?? 0) : "");
      write(size, bytes(b));
    }
  }
}

// ------------------------------ view

/** One view of a model: the frame, and what happens in it. */
class View {
  constructor(model, el) {
    Object.assign(this, { model, link: links.get(model) ?? new Link(model), states: {}, state: { seq: -1 }, words: [] });
    this.canvas = new Canvas(this);
    this.panel = new Panel(this);
    this.table = new Table(this);
    this.frame(el);
    this.listen("on");
    this.link.views += 1;
    this.sync();
    this.lookAtWhatMatters();
    this.timer = setInterval(() => this.tick(), 1000);
  }

  listen(how) {
    this.onChange ??= () => this.sync();
    for (const trait of ["graph", "state", "details"]) this.model[how](`change:${trait}`, this.onChange);
  }

  remove() {
    this.listen("off");
    clearInterval(this.timer);
    clearTimeout(this.speaking);
    this.canvas.watch.disconnect();
    this.link.views -= 1;
    this.link.cover(this.graph.data.snapshot);
    this.root.remove();
  }

  frame(el) {
    this.plant = html("strong");
    this.chips = LOUDEST.map((status) => {
      const click = () => this.toggle(`status:${status}`);
      const chip = button(icon(status), `Show what is ${status}`, click, `pg-chip pg-${status}`);
      chip.append(html("span"));
      return [status, chip];
    });
    this.unsure = html("span.pg-badge", { title: "Code ran since staleness was judged" }, "not checked");
    this.runner = button("", "Show what is running", () => this.visit(this.running), "pg-link");
    [this.pacer, this.hint, this.found] = [small(""), small(""), small("")];
    this.stopper = button("", "Interrupt the run; what has finished is kept", () => this.stop(), "pg-stop");
    this.search = html("input", {
      type: "search",
      placeholder: "Filter: name, +report, status:stale",
      title:
        "load: all with this in their names\n+x: x and all before it\nx+: x and all after it\n1+x+2: so many steps\n" +
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
    this.refold = button("Fold", "Fold what was unfolded", () => this.model.send({ kind: "fold" }));
    this.percent = button("", "Show at 100 %", () => this.canvas.zoomTo(1));
    this.zoom = group(
      "Zoom",
      button("−", "Smaller", () => this.canvas.zoomTo(this.canvas.scale / 1.25)),
      this.percent,
      button("+", "Larger", () => this.canvas.zoomTo(this.canvas.scale * 1.25)),
      button("Fit", "Show all of it", () => this.canvas.zoomTo("fit")),
    );
    this.empty = html("p");
    this.voice = html("div.pg-voice", { role: "status" });
    const right = (...parts) => html("div.pg-right", ...parts);
    const chips = html("div.pg-chips", ...this.chips.map(([, chip]) => chip));
    this.root = html(
      "section",
      { class: "pyplant-graph", keydown: (event) => this.onKey(event) },
      html("div.pg-head", this.plant, chips, this.unsure, right(this.runner, this.pacer, this.stopper, this.hint)),
      html("div.pg-head", this.search, this.found, right(this.scope, this.refold, this.zoom)),
      this.empty,
      html("div.pg-body", this.canvas.element, this.panel.element),
      this.table.element,
      this.voice,
    );
    el.replaceChildren(this.root);
  }

  /** Show what the model says now. */
  sync() {
    const [data, state, details] = ["graph", "state", "details"].map((trait) => this.model.get(trait) ?? {});
    const isNew = data !== this.graph?.data;
    const isExplained = details !== this.details;
    this.details = details;
    if (isNew) this.redraw(new Graph(data));
    else if (isExplained && this.panel.isOpen) this.panel.show(this.panel.id);
    if (state.seq > this.state.seq && state.version === data.version) this.take(state);
    this.patch();
  }

  redraw(graph) {
    const shown = this.panel.isOpen && this.graph.name(this.panel.id);
    // Another version gives other reactors the same ids.
    if (graph.data.version !== this.graph?.data.version) this.states = {};
    this.graph = graph;
    this.link.cover(graph.data.snapshot);
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
    write(this.plant, plant);
    this.scope.hidden = !(views.all && views.focus);
    ["all", "focus"].forEach((one, index) => set(this.scope.children[index], { "aria-pressed": one === name }));
    this.refold.hidden = !(name === "focus" && unfolded);
    this.canvas.draw(this.graph, views[name] ?? { size: [1, 1], nodes: [], edges: [] });
  }

  take(state) {
    const [{ run }, states] = [this.state, this.states];
    Object.assign(this, { state, states: state.nodes });
    this.link.hear(state);
    const changed = this.graph.ids.filter((id) => states[id] && states[id].o !== state.nodes[id]?.o);
    if (changed.length > 3) this.say(`${changed.length} reactors changed`);
    else changed.forEach((id) => this.say(`${this.graph.name(id)}: ${this.inWords(id)}`));
    if (run != null && state.run == null) this.say(`The run is over. ${state.title}`);
    if (state.run !== this.stopping) this.stopping = null;
  }

  /** Bring all that is on the page up to date. */
  patch() {
    this.match = chosen(this.graph, this.states, this.search.value);
    for (const box of this.canvas.boxes) this.paint(box);
    this.canvas.paintLines();
    this.panel.patch();
    this.table.patch();
    this.patchHead();
  }

  patchHead() {
    const { state, states, graph, match } = this;
    const having = (status) => graph.ids.filter((id) => states[id]?.o === status);
    for (const [status, chip] of this.chips) {
      const number = having(status).length;
      write(chip.lastChild, `${number} ${status}`);
      chip.hidden = !number;
      set(chip, { "aria-pressed": this.search.value.split(/\s+/).includes(`status:${status}`) });
    }
    set(this.root, { "aria-label": `Reactors of ${this.plant.textContent}: ${state.title ?? ""}` });
    write(this.empty, graph.ids.length ? "" : state.title ?? "");
    write(this.found, match ? `${match.size} of ${graph.ids.length}` : "");
    this.unsure.hidden = state.checked !== false;
    const running = having("running").sort((a, b) => states[a].t - states[b].t);
    [this.running] = running;
    const more = running.length > 1 ? ` · ${running.length - 1} more` : "";
    write(this.runner, this.running ? graph.name(this.running) : "");
    write(this.pacer, this.running ? this.pace(states[this.running])[0] + more : "");
    this.stopper.hidden = state.run == null;
    this.stopper.disabled = this.stopping != null;
    write(this.stopper, this.stopping != null ? "stopping …" : "■ Stop");
    if (state.run == null) write(this.hint, "");
  }

  tick() {
    const isRunning = this.state.run != null || this.running;
    if (isRunning || this.state.version !== this.graph.data.version) this.link.wait();
    else this.link.rest();
    if (isRunning) this.patch();
  }

  /** How long it has been running and may still run, the longest text first. */
  pace({ t, e }) {
    const past = Math.max(0, this.link.now() - t);
    const gone = duration(past, true);
    if (!e) return [gone];
    const left = e - past < 1 ? `usually ${duration(e, true)}` : `~${duration(e - past, true)} left`;
    return [`${gone} · ${left}`, left, gone];
  }

  inWords(id) {
    const { o, sure, w } = this.states[id] ?? {};
    const perhaps = sure === false && o !== "cached" ? "perhaps " : "";
    const orphan = this.graph.nodes[id].orphan && "its cell was deleted";
    return [perhaps + (WORDS[o] ?? ""), w, orphan].filter(Boolean).join(", ");
  }

  /** The second line of a box, the longest text first. */
  metas(state) {
    const { o, w, s, p = [] } = state;
    if (w) return [w];
    if (o !== "running") return BARE.includes(o) || !took(state) ? [o] : [took(state), duration(s ?? 0)];
    const pace = this.pace(state);
    if (!p.length) return pace;
    const [description, done, total] = p[0];
    const count = total ? `${done}/${total}` : `${done}`;
    const named = `${description ?? ""} ${count}`.trim();
    return [joined(named, pace[0]), joined(named, pace.at(-2)), joined(count, pace.at(-2)), named, count];
  }

  paint(box) {
    const states = box.members.map((id) => this.states[id]).filter(Boolean);
    const status = LOUDEST.find((word) => states.some(({ o }) => o === word)) ?? "unknown";
    const dim = Boolean(this.match) && !box.members.some((id) => this.match.has(id));
    const chosen = this.panel.isOpen && box.members.includes(this.panel.id);
    const look = box.isFold ? this.foldLook(box, states) : this.look(box, states[0] ?? { o: "" });
    Object.assign(box, { isDim: dim, isChosen: chosen, isBusy: status === "running" });
    box.paint({ status, icon: box.isFold ? "fold" : status, fold: box.isFold, dim, chosen, ...look });
  }

  look({ id, names: [name] }, state) {
    const { o, sure, p = [], e, t } = state;
    const causes = (this.details[id]?.causes ?? []).slice(0, 3).map(({ text }) => text);
    const spoken = `${name}, ${this.inWords(id)}`;
    const [, done, total] = p[0] ?? [];
    const guess = o === "running" && !p.length && Boolean(e);
    return {
      names: [name],
      metas: this.metas(state),
      spoken,
      tip: [spoken, ...causes].join("\n"),
      share: guess ? Math.min(0.97, (this.link.now() - t) / e) : total ? done / total : 0,
      maybe: sure === false,
      orphan: this.graph.nodes[id].orphan,
      guess,
    };
  }

  foldLook({ members, label, isLow }, states) {
    const count = (word) => states.filter(({ o }) => o === word).length;
    const counts = LOUDEST.map((word) => [count(word), word]).filter(([number]) => number);
    const all = counts.map((pair) => pair.join(" ")).join(", ");
    const [loudest = ""] = all.split(",");
    const time = duration(states.reduce((sum, { s }) => sum + (s ?? 0), 0));
    const spoken = `${label ? `${label}, ` : ""}${all}, folded`;
    const number = members.length;
    return {
      names: [all, isLow ? `${loudest} of ${number}` : loudest],
      metas: [joined(label, counts.length > 1 ? `${number} reactors` : time), label],
      spoken,
      tip: `${spoken}\nClick to unfold`,
    };
  }

  /** Tell screen readers, not faster than they can read. */
  say(text) {
    this.words = [...this.words, text].slice(-4);
    this.speaking ??= setTimeout(() => {
      write(this.voice, this.words.join(". "));
      [this.words, this.speaking] = [[], null];
    }, PAUSE);
  }

  open(box, takesFocus) {
    if (box.isFold) this.unfold(box);
    else this.visit(box.id, takesFocus);
  }

  /** An open panel follows the walk. */
  follow(box) {
    if (this.panel.isOpen && !box.isFold) this.visit(box.id, false);
  }

  visit(id, takesFocus = true) {
    this.panel.show(id);
    if (takesFocus) this.panel.heading.focus({ preventScroll: true });
    this.patch();
    const box = this.canvas.holders.get(id);
    if (!box) return;
    this.canvas.stand(box);
    this.canvas.reveal(box);
  }

  close() {
    if (!this.panel.isOpen) return;
    this.panel.element.hidden = true;
    const box = this.canvas.holders.get(this.panel.id);
    this.patch();
    if (box) this.canvas.go(box);
  }

  unfold(box) {
    this.model.send({ kind: "unfold", folds: [box.id] });
    setTimeout(() => {
      if (!box.element.isConnected) return;
      write(box.note, "unfolds when the cell is done");
      this.say(box.note.textContent);
    }, 300);
  }

  choose(view) {
    this.wish = view;
    this.drawView();
    this.patch();
    this.lookAtWhatMatters();
  }

  /** Where a graph does not fit, begin where something happens. */
  lookAtWhatMatters() {
    const loudness = (box) => LOUDEST.findIndex((status) => box.element.classList.contains(`pg-${status}`));
    const [first] = [...this.canvas.boxes].sort((a, b) => loudness(a) - loudness(b) || a.x - b.x);
    this.canvas.startAt(first);
  }

  toggle(term) {
    const terms = this.search.value.split(/\s+/).filter(Boolean);
    this.search.value = (terms.includes(term) ? terms.filter((one) => one !== term) : [...terms, term]).join(" ");
    this.filter();
  }

  filter() {
    this.patch();
    if (this.match) this.say(`${this.found.textContent} found`);
  }

  async stop() {
    const { run } = this.state;
    // A late click must not hit what runs next.
    if (run == null || this.stopping != null) return;
    this.stopping = run;
    this.patchHead();
    setTimeout(() => {
      if (this.stopping === run) this.stopping = null;
    }, 10000);
    if ((await interrupt(this.graph.data.kernel)) || this.state.run !== run) return;
    this.model.send({ kind: "stop", run });
    write(this.hint, "press ■ in the toolbar");
    this.say(this.hint.textContent);
  }

  onZoom(scale, isLarge) {
    write(this.percent, `${Math.round(scale * 100)} %`);
    this.zoom.hidden = !isLarge && Math.abs(scale - 1) < 0.01;
  }

  onKey(event) {
    const isTyping = event.target === this.search;
    const isPlain = !event.ctrlKey && !event.metaKey;
    if (event.key === "Escape") {
      if ((isTyping || !this.panel.isOpen) && this.search.value) {
        this.search.value = "";
        this.filter();
      } else this.close();
    } else if (event.key === "/" && !isTyping && isPlain) {
      event.preventDefault();
      this.search.focus();
    } else if (event.key === "Enter" && isTyping) {
      const first = this.canvas.boxes.find((box) => !box.isDim);
      if (first) this.canvas.go(first);
    }
    // The notebook has keys of its own: d d deletes our cell. What saves the notebook may pass.
    if (isPlain || (isTyping && event.key !== "s")) event.stopPropagation();
  }
}

const cleanups = new WeakMap();

function render({ model, el }) {
  cleanups.get(el)?.();
  const view = new View(model, el);
  const cleanup = () => {
    if (cleanups.get(el) !== cleanup) return;
    cleanups.delete(el);
    view.remove();
  };
  cleanups.set(el, cleanup);
  return cleanup;
}

export default { render };
