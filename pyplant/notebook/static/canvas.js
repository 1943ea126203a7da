// The picture: boxes and edges, zoom, and navigation by keyboard and mouse.

import { FONT, fittingText, html, NAME_FONT, setAttributes, setText, strokes, svg } from "./dom.js";
import { bounded, MAX_HEIGHT, neighbour, scaleOf, scrolled } from "./geometry.js";
import { boxAction } from "./keys.js";
import { ICONS } from "./status.js";

const INDENT = 28; // pixels from the left side of a box to its texts
const MAX_ANIMATED = 200; // boxes; more would not move smoothly
const MOVE = { duration: 350, easing: "ease-in-out" };

const isStill = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/** One box of the picture: a reactor, or a fold of them. */
export class Box {
  constructor(graph, id, members, [x, y, w, h], label) {
    const isFold = label !== undefined;
    Object.assign(this, { id, members, x, y, w, h, label, isFold, lines: [], key: "" });
    this.names = members.map((member) => graph.name(member));
    const [left, top] = [x - w / 2, y - h / 2];
    const rect = (style, by, height = h + 2 * by, rx = 7 + by) =>
      svg(`rect.${style}`, { x: left - by, y: top - by, width: w + 2 * by, height, rx });
    const text = (style, dx, dy) => svg(`text.${style}`, { x: left + dx, y: y + dy });
    this.title = svg("title");
    this.name = text("pg-name", INDENT, -4);
    this.meta = text("pg-meta", INDENT, 8.5);
    this.note = text("pg-note", w / 2, h / 2 + 13);
    this.bar = svg("rect.pg-bar", { x: left + 8, y: y + h / 2 - 4.5, height: 2.5, rx: 1.25 });
    this.parts = svg("g");
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
      this.parts,
      svg("g.pg-icon", { transform: `translate(${left + 8},${y - 8})` }, ...this.strokes),
      this.name,
      this.meta,
      this.note,
    );
  }

  /** Return a bar with a part for each status in a fold. */
  shares(counts) {
    let x = this.x - this.w / 2 + 8;
    return counts.map(([number, status]) => {
      const width = (number / this.members.length) * (this.w - 16);
      x += width;
      return svg(`rect.pg-part pg-${status}`, { x: x - width, y: this.y + this.h / 2 - 4.5, width, height: 2.5 });
    });
  }

  /** Update the element; `look` contains everything that it shows. */
  paint(look) {
    const key = JSON.stringify(look);
    if (key === this.key) return;
    this.key = key;
    const known = ["fold", "maybe", "orphan", "dim", "chosen", "guess", "lost", "cause", "kept"];
    const flags = known.filter((flag) => look[flag]);
    setAttributes(this.element, {
      class: ["pg-node", `pg-${look.status}`, ...flags.map((flag) => `pg-is-${flag}`)].join(" "),
      "aria-label": look.spoken,
      "aria-pressed": look.chosen,
    });
    for (const [index, d] of ICONS[look.icon].entries()) setAttributes(this.strokes[index], { d });
    setAttributes(this.bar, { width: Math.min(1, look.share ?? 0) * (this.w - 16) });
    this.parts.replaceChildren(...this.shares(look.counts ?? []));
    setText(this.title, look.tip);
    this.write(look.names, look.metas);
  }

  /** Write the texts that fit; measuring them takes most of the time of a change, and few changes concern them. */
  write(names, metas) {
    const texts = JSON.stringify([names, metas]);
    if (texts === this.texts) return;
    this.texts = texts;
    [this.fullName] = names;
    const room = this.w - INDENT - 7;
    setText(this.name, fittingText(names, room, `500 11.5px ${NAME_FONT}`));
    setText(this.meta, fittingText(metas, room, `10px ${FONT}`));
  }
}

/** The picture: drawing, zoom and navigation. */
export class Canvas {
  constructor(view) {
    Object.assign(this, { view, boxes: [], zoom: 0 }); // 0: chosen automatically
    this.element = html("div.pg-canvas", {
      keydown: (event) => this.onKey(event),
      focusin: (event) => this.onFocus(this.boxAt(event)),
      focusout: (event) => this.onFocus(null, this.boxAt(event)),
      pointerdown: (event) => this.onDrag(event),
    });
    this.element.addEventListener("wheel", (event) => this.onWheel(event), { passive: false });
    this.resizeObserver = new ResizeObserver(() => {
      this.resize();
      this.startAt(this.start);
      const chosen = this.boxes.find((box) => box.isChosen);
      if (chosen) this.reveal(chosen);
    });
    this.resizeObserver.observe(this.element);
  }

  draw(graph, { size, nodes, folds = [], edges }) {
    const hadFocus = this.element.matches(":focus-within");
    const before = new Set(this.current?.names);
    const places = new Map(this.boxes.filter((box) => !box.isFold).map((box) => [box.names[0], box]));
    this.size = size;
    this.boxes = [
      ...nodes.map(([id, ...place]) => new Box(graph, id, [id], place)),
      ...folds.map(({ id, members, at, label }) => new Box(graph, id, members, at, label ?? "")),
    ];
    const byId = new Map(this.boxes.map((box) => [box.id, box]));
    this.boxOfReactor = new Map(this.boxes.flatMap((box) => box.members.map((id) => [id, box])));
    this.boxOfElement = new WeakMap(this.boxes.map((box) => [box.element, box]));
    this.lines = edges.map(([from, to, ...drawn]) => this.line(byId.get(from), byId.get(to), ...drawn));
    this.picture = svg(
      "svg",
      {
        role: "group",
        "aria-label": "Graph of reactors: arrow keys follow the edges, Enter shows more",
        viewBox: `0 0 ${size[0]} ${size[1]}`,
        "font-family": FONT,
        click: (event) => this.onClick(event),
        pointerover: (event) => this.highlight(this.boxAt(event)),
        pointerleave: () => this.highlight(),
      },
      ...this.lines.map((line) => line.element),
      ...this.boxes.map((box) => box.element),
    );
    this.element.replaceChildren(this.picture);
    this.resize();
    this.moveFrom(places);
    // Focus stays with the reactors of the current box: on the first of them if a fold was unfolded.
    const again = this.boxes.find((box) => box.names.some((name) => before.has(name)));
    this.setCurrent(again ?? this.boxes[0]);
    if (again && hadFocus) this.focusBox(again);
  }

  /** Keep what is in the middle in place, and move the other boxes from where they were. */
  moveFrom(places) {
    const { element, scale } = this;
    const moves = this.boxes.flatMap((box) => {
      const old = box.isFold ? undefined : places.get(box.names[0]);
      return old ? [{ box, x: old.x - box.x, y: old.y - box.y, old }] : [];
    });
    if (!moves.length || !element.clientWidth) return;
    const [left, top] = [element.scrollLeft, element.scrollTop];
    const [middle, centre] = [left + element.clientWidth / 2, top + element.clientHeight / 2];
    const distance = ({ old }) => Math.hypot(old.x * scale - middle, old.y * scale - centre);
    const anchor = moves.reduce((one, other) => (distance(other) < distance(one) ? other : one));
    element.scrollTo({ left: left - anchor.x * scale, top: top - anchor.y * scale, behavior: "instant" });
    const [right, down] = [(element.scrollLeft - left) / scale, (element.scrollTop - top) / scale];
    if (isStill() || moves.length > MAX_ANIMATED) return;
    for (const { box, x, y } of moves) {
      const from = [x + right, y + down].map((by) => `${by.toFixed(1)}px`);
      if (Math.hypot(x + right, y + down) < 1) continue;
      box.element.animate([{ transform: `translate(${from.join(",")})` }, { transform: "none" }], MOVE);
      for (const line of box.lines) line.element.animate([{ opacity: 0 }, { opacity: 0 }, { opacity: 1 }], MOVE);
    }
  }

  line(sender, receiver, names, curve, head) {
    const [one, other] = [sender, receiver].map((box) => box.label ?? box.names[0]);
    const title = `${one} → ${other}: ${names.join(", ")}`;
    const path = svg("path.pg-way", { d: curve });
    const tip = svg("path.pg-tip", { d: head });
    const line = { sender, receiver, element: svg("g", svg("title", title), path, tip) };
    sender.lines.push(line);
    receiver.lines.push(line);
    return line;
  }

  paintLines() {
    for (const { sender, receiver, element } of this.lines) {
      const isLit = [sender, receiver].some((box) => box === this.highlighted || box.isChosen);
      const flags = [receiver.isBusy && "live", isLit && "lit", (sender.isDim || receiver.isDim) && "dim"];
      setAttributes(element, {
        class: flags
          .filter(Boolean)
          .map((flag) => `pg-is-${flag}`)
          .join(" "),
      });
    }
  }

  highlight(box) {
    if (box === this.highlighted) return;
    this.highlighted = box;
    this.paintLines();
  }

  boxAt(event) {
    return this.boxOfElement.get(event.target.closest(".pg-node"));
  }

  /** The scale; an open panel takes room, but changes no scale. */
  get scale() {
    return scaleOf(this.zoom, this.size, (this.element.parentElement?.clientWidth ?? 0) - 2);
  }

  /** Show a box in the middle, as soon as the element has a size. */
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
    setAttributes(this.picture, { width: width * scale, height: height * scale });
    this.view.onZoom(scale, width > this.element.clientWidth || height > MAX_HEIGHT);
  }

  /** Zoom, keeping the point at `x`, `y` of the viewport in place. */
  zoomTo(zoom, x = this.element.clientWidth / 2, y = this.element.clientHeight / 2) {
    const before = this.scale;
    this.zoom = bounded(zoom);
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

  /** Make a box the one that the Tab key reaches (a roving tabindex). */
  setCurrent(box) {
    this.current?.element.setAttribute("tabindex", -1);
    this.current = box;
    box?.element.setAttribute("tabindex", 0);
  }

  /** Write a name that is cut in its box below it while the box has the focus. */
  onFocus(box, before) {
    if (before) setText(before.note, "");
    if (!box) return;
    this.setCurrent(box);
    if (box.name.textContent !== box.fullName) setText(box.note, box.fullName);
  }

  /** Move the focus to a box; the page follows unless the pointer did it, below which it must not move. */
  focusBox(box, isPointer) {
    box.element.focus({ preventScroll: true });
    if (!isPointer) this.element.scrollIntoView({ block: "nearest" });
    this.reveal(box);
  }

  /** Whether there are boxes, and the middle of none is in the viewport; not if the page hides it. */
  get isBlank() {
    const { boxes, scale, element } = this;
    const isWithin = (place, from, room) => place * scale >= from && place * scale <= from + room;
    const isSeen = ({ x, y }) =>
      isWithin(x, element.scrollLeft, element.clientWidth) && isWithin(y, element.scrollTop, element.clientHeight);
    return element.clientWidth > 0 && boxes.length > 0 && !boxes.some(isSeen);
  }

  /** Return whether all of a box is in the viewport. */
  isInView({ x, y, w, h }) {
    const { scale, element } = this;
    const isWithin = (at, centre, size, room) => scrolled(at, centre * scale, size * scale, room) === at;
    return (
      isWithin(element.scrollLeft, x, w, element.clientWidth) && isWithin(element.scrollTop, y, h, element.clientHeight)
    );
  }

  /** Scroll a box into view, or into the middle. */
  reveal(box, isMiddle) {
    const { scale, element } = this;
    const near = (at, centre, size, room) => scrolled(at, centre * scale, size * scale, room, isMiddle);
    element.scrollTo({
      left: near(element.scrollLeft, box.x, box.w, element.clientWidth),
      top: near(element.scrollTop, box.y, box.h, element.clientHeight),
      behavior: isMiddle || isStill() ? "instant" : "smooth",
    });
  }

  onKey(event) {
    const box = this.boxAt(event);
    const action = box && boxAction(event);
    if (!action) return;
    event.preventDefault();
    if (action === "open") this.view.open(box, true);
    const next = action !== "open" && neighbour(box, action, this.boxes);
    if (!next) return;
    this.focusBox(next);
    this.view.follow(next);
  }

  onClick(event) {
    const box = this.boxAt(event);
    if (!box) return;
    this.focusBox(box, true);
    this.view.open(box, false);
  }
}
