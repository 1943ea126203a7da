// Where the viewport looks, as pure functions. Where boxes stand and lines run comes from Python.

const SMALLEST = 0.7; // as far as a graph is shrunk unasked
const HOPELESS = 0.5; // what would be shrunk further is not shrunk at all
const MARGIN = 40; // pixels around a box that is scrolled to

export const TALLEST = 520; // pixels of the viewport

/** The scale of a picture in a viewport `room` wide; `zoom` is a scale, "fit", or 0 for what is sensible. */
export function scaleOf(zoom, [width, height], room) {
  const fit = room > 0 ? Math.min(1, room / width, TALLEST / height) : 1;
  if (zoom === "fit") return fit;
  return zoom || (fit < HOPELESS ? 1 : Math.max(SMALLEST, fit));
}

/** A zoom within bounds. */
export const bounded = (zoom) => (zoom === "fit" ? zoom : Math.max(0.1, Math.min(3, zoom)));

/** Where to scroll to, in one direction, from `at`: no further than it takes, or to the middle. */
export function scrolled(at, centre, size, room, isMiddle) {
  if (isMiddle) return centre - room / 2;
  const reach = size / 2 + MARGIN;
  return Math.max(centre + reach - room, Math.min(at, centre - reach));
}

/** The box next to a box: along an edge to the "left" or "right", or "up" or "down" in the column. */
export function neighbour(box, direction, boxes) {
  const side = { left: "sender", right: "receiver" }[direction];
  const sign = direction === "up" ? -1 : 1;
  const isBelow = (other) => (other.y - box.y) * sign > 0 && Math.abs(other.x - box.x) < (other.w + box.w) / 2;
  const candidates = side ? box.lines.map((line) => line[side]) : boxes.filter(isBelow);
  const distance = (other) => Math.abs(other.y - box.y);
  return candidates.filter((other) => other !== box).sort((a, b) => distance(a) - distance(b))[0];
}
