// Zoom, scrolling and neighbours, as pure functions. Positions of boxes and edges come from Python.

const MIN_SCALE = 0.7; // the smallest scale chosen automatically
const TOO_SMALL = 0.5; // a graph that would fit only below this scale is shown at full size
const MARGIN = 40; // pixels around a box that is scrolled to

export const MAX_HEIGHT = 520; // pixels of the viewport

/** Return the scale of a picture in a viewport `room` pixels wide; `zoom` is a scale, "fit", or 0 for automatic. */
export function scaleOf(zoom, [width, height], room) {
  const fit = room > 0 ? Math.min(1, room / width, MAX_HEIGHT / height) : 1;
  if (zoom === "fit") return fit;
  return zoom || (fit < TOO_SMALL ? 1 : Math.max(MIN_SCALE, fit));
}

/** Limit a zoom. */
export const bounded = (zoom) => (zoom === "fit" ? zoom : Math.max(0.1, Math.min(3, zoom)));

/** Return the scroll position in one direction: as close to `at` as possible, or with the box in the middle. */
export function scrolled(at, centre, size, room, isMiddle) {
  if (isMiddle) return centre - room / 2;
  const reach = size / 2 + MARGIN;
  return Math.max(centre + reach - room, Math.min(at, centre - reach));
}

/** Return the box next to a box: along an edge for "left" and "right", in the column for "up" and "down". */
export function neighbour(box, direction, boxes) {
  const side = { left: "sender", right: "receiver" }[direction];
  const sign = direction === "up" ? -1 : 1;
  const isBelow = (other) => (other.y - box.y) * sign > 0 && Math.abs(other.x - box.x) < (other.w + box.w) / 2;
  const candidates = side ? box.lines.map((line) => line[side]) : boxes.filter(isBelow);
  const distance = (other) => Math.abs(other.y - box.y);
  return candidates.filter((other) => other !== box).sort((a, b) => distance(a) - distance(b))[0];
}
