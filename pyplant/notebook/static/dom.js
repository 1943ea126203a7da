// Creating and patching elements. Names, values, diffs and errors are data of users and may be hostile:
// they enter the page as text nodes and attributes only, through these functions.

import { firstFitting } from "./format.js";
import { ICONS } from "./status.js";

export const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif';
// For names: l, I and 1 differ, and Python computes the widths of boxes for characters of one width.
export const NAME_FONT = 'ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace';
export const PAUSE = 2000; // milliseconds between announcements to screen readers
export const WONDER = 300; // milliseconds without an answer, after which a text says that it is awaited

/** Return a function that creates elements from "tag" or "tag.class", an optional object of attributes and listeners, and children. */
export const maker =
  (space) =>
  (kind, ...content) => {
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
export const html = maker("http://www.w3.org/1999/xhtml");
export const svg = maker("http://www.w3.org/2000/svg");

export const button = (label, title, click, style = "") =>
  html(`button.${style}`, { type: "button", title, click }, label);
export const small = (text) => html("small", text);
export const group = (label, ...children) => html("div.pg-group", { role: "group", "aria-label": label }, ...children);

/** Set the attributes that differ; the browser then has nothing to do for unchanged elements. */
export function setAttributes(element, attributes) {
  for (const [key, value] of Object.entries(attributes)) {
    if (element.getAttribute(key) !== String(value)) element.setAttribute(key, value);
  }
}

export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function strokes(name) {
  const [solid, line] = ICONS[name];
  return [svg("path.pg-solid", { d: solid }), svg("path.pg-line", { d: line })];
}

export const icon = (name) => svg("svg.pg-icon", { viewBox: "0 0 16 16", "aria-hidden": true }, ...strokes(name));

let measuring = null; // canvas context, created on first use

/** Return the first text that fits into `room` pixels, else the last text without its middle. */
export function fittingText(texts, room, font) {
  measuring ??= document.createElement("canvas").getContext("2d");
  measuring.font = font;
  return firstFitting(texts, (text) => measuring.measureText(text).width <= room);
}
