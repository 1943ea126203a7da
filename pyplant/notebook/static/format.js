// Durations, sizes and ages as text, equal to those of pyplant/_formatting.py (a test compares them).

export const joined = (...texts) => texts.filter(Boolean).join(" · ");
export const two = (number) => String(number).padStart(2, "0");

/** Format a positive number with some decimals, halves rounded up. */
const rounded = (number, digits) => (Math.round(number * 10 ** digits) / 10 ** digits).toFixed(digits);

/** Format a duration; in whole seconds while it grows. */
export function duration(seconds, isGrowing) {
  if (seconds < 0.9995 && !isGrowing) return seconds && seconds < 5e-4 ? "<1 ms" : `${Math.round(seconds * 1000)} ms`;
  const whole = Math.max(0, Math.round(seconds));
  if (isGrowing ? whole < 60 : seconds < 59.95) return `${isGrowing ? whole : rounded(seconds, 1)} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min ${two(whole % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${two(minutes % 60)} min`;
}

/** Format a number of bytes; empty for 0. */
export function bytes(size) {
  if (!size) return "";
  const units = ["B", "kB", "MB", "GB", "TB"];
  while (size >= 999.5 && units.length > 1) [size] = [size / 1000, units.shift()];
  return `${rounded(size, units.length === 5 || size >= 99.95 ? 0 : 1)} ${units[0]}`;
}

/** Format the time since a moment. */
export function age(when, now = Date.now() / 1000) {
  const past = Math.max(0, now - when);
  const [unit, length] = [
    ["day", 86400],
    ["h", 3600],
    ["min", 60],
  ].find(([, one]) => past >= one) ?? ["s", 1];
  const count = Math.floor(past / length);
  return `${count} ${unit}${unit === "day" && count !== 1 ? "s" : ""} ago`;
}

export const took = ({ f, s, b }) => (f ? joined(duration(s ?? 0), bytes(b)) : "");

/** Return the first text that fits, else the last one without its middle: long names often differ at the end. */
export function firstFitting(texts, fits) {
  const fitting = texts.find(fits);
  if (fitting !== undefined) return fitting;
  const letters = Array.from(texts.at(-1));
  const cut = (count) => [
    ...letters.slice(0, Math.ceil(count / 2)),
    "…",
    ...letters.slice(letters.length - Math.floor(count / 2)),
  ];
  let count = letters.length - 1;
  while (count > 1 && !fits(cut(count).join(""))) count -= 1;
  return cut(count).join("");
}
