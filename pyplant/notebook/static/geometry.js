// Zoom, scrolling and neighbours, as pure functions. Positions of boxes and edges come from Python.

const MIN_SCALE = 0.88; // the smallest scale chosen automatically; names have 10 pixels then
const SCROLLBAR = 16; // pixels that it takes from the other direction
const MARGIN = 40; // pixels around a box that is scrolled to

export const MAX_HEIGHT = 520; // pixels of the viewport

/**
 * Return the scale of a picture in a viewport `room` pixels wide; `zoom` is a scale, "fit", or 0 for automatic.
 *
 * A picture that is a little too wide, or too high, is shrunk so that it scrolls in one direction at most.
 */
export function scaleOf(zoom, [width, height], room) {
  if (zoom && zoom !== "fit") return zoom;
  if (room <= 0) return 1;
  const fit = Math.min(1, room / width, MAX_HEIGHT / height);
  if (zoom || fit >= MIN_SCALE) return fit;
  const scales = [(room - SCROLLBAR) / width, (MAX_HEIGHT - SCROLLBAR) / height].map((scale) => Math.min(1, scale));
  return scales.find((scale) => scale >= MIN_SCALE) ?? 1;
}

/** Limit a zoom. */
export const bounded = (zoom) => (zoom === "fit" ? zoom : Math.max(0.1, Math.min(3, zoom)));

/** Return the scroll position in one direction: `at` if the box is in view, else close to it, or with it in the middle. */
export function scrolled(at, centre, size, room, isMiddle) {
  if (isMiddle) return centre - room / 2;
  if (centre - size / 2 >= at && centre + size / 2 <= at + room) return at;
  const reach = size / 2 + MARGIN;
  return Math.max(centre + reach - room, Math.min(at, centre - reach));
}

/** Order boxes from left to right, and from top to bottom within a column. */
const inOrder = (a, b) => a.x - b.x || a.y - b.y;

/**
 * Return the box that a key leads to from a box; undefined if there is none.
 *
 * "left" and "right" follow an edge, "up" and "down" lead to the next box of the column, "top" and "bottom" to its ends,
 * "first" and "last" to those of the graph.
 */
export function neighbour(box, direction, boxes) {
  if (direction === "first" || direction === "last") return [...boxes].sort(inOrder).at(direction === "first" ? 0 : -1);
  if (direction === "top" || direction === "bottom") {
    const next = neighbour(box, direction === "top" ? "up" : "down", boxes);
    return next && (neighbour(next, direction, boxes) ?? next);
  }
  const side = { left: "sender", right: "receiver" }[direction];
  const sign = direction === "up" ? -1 : 1;
  const isBelow = (other) => (other.y - box.y) * sign > 0 && Math.abs(other.x - box.x) < (other.w + box.w) / 2;
  const candidates = side ? box.lines.map((line) => line[side]) : boxes.filter(isBelow);
  const distance = (other) => Math.abs(other.y - box.y);
  return candidates.filter((other) => other !== box).sort((a, b) => distance(a) - distance(b))[0];
}
