// The statuses of reactors: in words and as icons. Colour is never the only sign.

// The statuses in words, the most urgent first: a fold looks like its most urgent member.
export const WORDS = {
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
export const BY_URGENCY = Object.keys(WORDS);
export const WITHOUT_TIME = ["failed", "waiting", "new", "skipped"]; // the time of the last execution is not shown

// Icons in a square of 16 pixels: a filled path, and a stroked path over it.
export const DISC = "M13.2 8a5.2 5.2 0 1 1-10.4 0a5.2 5.2 0 0 1 10.4 0z";
export const dot = (x) => `M${x + 1.35} 8a1.35 1.35 0 1 1-2.7 0a1.35 1.35 0 0 1 2.7 0z`;
export const ICONS = {
  failed: ["", "M4 4l8 8M12 4l-8 8"],
  running: ["M5.2 3.4v9.2L12.6 8z", ""],
  waiting: [dot(3.4) + dot(8) + dot(12.6), ""],
  stale: ["M8 2.8a5.2 5.2 0 0 0 0 10.4z", DISC],
  new: ["", DISC],
  uncached: ["M13.6 2.4v4.4H9.2z", "M12.6 5.6A5.2 5.2 0 1 0 13.2 8.6"],
  skipped: ["", "M3.6 8h8.8"],
  ran: [DISC, "M5.4 8.3l1.9 1.9l3.4-4.1"],
  cached: ["", "M3.6 8.6l3 3l5.8-7"],
  cause: ["M9.2 1.8L3.6 9h3.8l-.9 5.2L12.4 7H8.4z", ""],
  fold: ["", "M6 3.6L10.4 8L6 12.4"],
  unknown: ["", ""],
  lost: ["M8 12.2m-1.1 0a1.1 1.1 0 1 0 2.2 0a1.1 1.1 0 1 0 -2.2 0", "M8 3.2v5.6"],
  orphan: ["", "M3.8 4.8h8.4M6.4 4.8V3.2h3.2v1.6M5 4.8l.6 8h4.8l.6-8"],
};
