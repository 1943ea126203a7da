// Pure functions of the traits: senders and receivers of reactors, what a filter finds, and the texts of
// boxes.

import { duration, joined, took } from "./format.js";
import { BY_URGENCY, WITHOUT_TIME, WORDS } from "./status.js";

const STEP = 25; // members of a fold that are unfolded at once; a larger one is unfolded by steps

/** The trait `graph`, with the senders and receivers of each reactor. */
export class Graph {
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

/** Return the ids reachable from `starts` within a number of steps, these included. */
export function reachable(starts, next, steps) {
  const seen = new Set(starts);
  let edge = [...seen];
  for (let step = 0; step < steps && edge.length; step += 1) {
    edge = edge.flatMap((id) => [...next.get(id)]).filter((id) => !seen.has(id) && seen.add(id));
  }
  return seen;
}

/** Return which failed reactors keep one that is not up to date from running, in words. */
export function blockedBy(graph, states, id) {
  if (!["stale", "new"].includes(states[id]?.o)) return "";
  const above = [...reachable([id], graph.senders, Infinity)];
  const failed = above.filter((one) => states[one]?.o === "failed").map((one) => graph.name(one));
  return failed.length ? `needs ${failed.join(", ")}, which failed` : "";
}

/** Return whether a filter has a word that restricts what it finds to some statuses. */
const isStatus = (term) => term.startsWith("status:");

/** Return the texts in some data, without ids. */
const textsIn = (data) =>
  typeof data === "string" ? [data].filter((text) => !/^n\d+$/.test(text)) : Object.values(data ?? {}).flatMap(textsIn);

/** Return the reactors that a word means: by name, status or ingredient, else by part of anything known of them. */
function meant(graph, states, details, word) {
  const having = (test) => graph.ids.filter(test);
  const contains = (text) => text.toLowerCase().includes(word);
  const ingredients = ({ inputs, outputs = [] }) => [...inputs, ...outputs].map(([name]) => name);
  const flowing = (id) => ingredients(graph.nodes[id]);
  const found = having(
    (id) =>
      contains(graph.name(id)) ||
      hasStatus(id, word, states, details) ||
      flowing(id).some((name) => name.toLowerCase() === word),
  );
  if (found.length) return found;
  const partly = having((id) => flowing(id).some(contains));
  return partly.length ? partly : having((id) => textsIn([graph.nodes[id].where, details[id]]).some(contains));
}

/** Return whether a reactor has a status; `cause` is one as well: what makes others stale. */
function hasStatus(id, word, states, details) {
  return word && (states[id]?.o === word || (word === "cause" && Boolean(details[id]?.cause?.length)));
}

/**
 * Return the ids that a filter finds, or null if it is empty.
 *
 * The results of words and of `+x`, `x+`, `1+x+2` are united. If the filter has statuses, each result must have one
 * of them.
 */
export function matching(graph, states, filter, details = {}) {
  const terms = filter.toLowerCase().split(/\s+/).filter(Boolean);
  if (!terms.length) return null;
  const [statuses, words] = [true, false].map((is) => terms.filter((term) => isStatus(term) === is));
  const found = new Set(words.length ? [] : graph.ids);
  const steps = (text) => (text === undefined ? 0 : text === "" ? Infinity : Number(text));
  for (const word of words) {
    const [, up, name, down] = /^(?:(\d*)\+)?(.*?)(?:\+(\d*))?$/.exec(word);
    const same = word !== name && graph.ids.filter((id) => graph.name(id).toLowerCase() === name);
    const starts = same.length ? same : name ? meant(graph, states, details, name) : [];
    for (const id of reachable(starts, graph.senders, steps(up))) found.add(id);
    for (const id of reachable(starts, graph.receivers, steps(down))) found.add(id);
  }
  const has = (id, status) =>
    graph.nodes[id].orphan
      ? status === "deleted"
      : Boolean(states[id]?.o.startsWith(status)) || hasStatus(id, status, states, details);
  const isWanted = (id) => !statuses.length || statuses.some((term) => has(id, term.slice(7)));
  return new Set([...found].filter(isWanted));
}

/** Return the ids of reactors whose status differs between two states. */
export function changed(ids, before, after) {
  return ids.filter((id) => before[id] && before[id].o !== after[id]?.o);
}

/** Return texts for how long a reactor has been running and may still run, the longest first. */
export function pace({ t, e, p = [] }, now) {
  const past = Math.max(0, now - t);
  const gone = duration(past, true);
  const [, done, total] = p[0] ?? [];
  if (total && done && done < total && (!e || 20 * done >= total)) {
    const left = `~${duration((past / done) * (total - done), true)} left`; // at the pace of its loop
    return [`${gone} · ${left}`, left, gone];
  }
  if (!e) return [gone];
  const left = e - past < 1 ? `usually ${duration(e, e >= 1)}` : `~${duration(e - past, true)} left`;
  return [`${gone} · ${left}`, left, gone];
}

/** Return the status of a reactor in words. */
export function inWords({ o, sure, w, lost, kept } = {}, isOrphan = false) {
  if (kept) return "kept in the plant; run its cell to use it";
  const prefix = sure === false && o !== "cached" ? "perhaps " : "";
  const known = prefix ? (WORDS[o] ?? "").replace("would run", "may run") : (WORDS[o] ?? "");
  const word = lost ? `${o}, cannot run` : known;
  return [prefix + word, w, isOrphan && "its cell was deleted"].filter(Boolean).join(", ");
}

/** Return texts for the second line of a box, the longest first. */
export function metas(state, now, isOrphan = false) {
  const { o, w, s, p = [] } = state;
  if (w) return o === "failed" ? [w, w.split(": ")[0]] : [w]; // the type of an error tells more than its two ends
  if (isOrphan && o !== "running") return [joined(o, "its cell was deleted"), "cell deleted"];
  if (o !== "running") return WITHOUT_TIME.includes(o) || !took(state) ? [o] : [took(state), duration(s ?? 0)];
  const paces = pace(state, now);
  if (!p.length) return paces;
  const [description, done, total] = p[0];
  const count = total ? `${done}/${total}` : `${done}`;
  const named = `${description ?? ""} ${count}`.trim();
  return [joined(named, paces[0]), joined(named, paces.at(-2)), joined(count, paces.at(-2)), named, count];
}

/** Return the most urgent status of some states. */
export const mostUrgent = (states) => BY_URGENCY.find((word) => states.some(({ o }) => o === word)) ?? "unknown";

/** Return what the box of a reactor shows. */
export function reactorLook({ name, orphan }, state, { cause = [], causes = [] }, now) {
  const { o, sure, p = [], e, t } = state;
  const spoken = `${name}, ${inWords(state, orphan)}`;
  const [, done, total] = p[0] ?? [];
  const guess = o === "running" && !p.length && Boolean(e);
  const isCause = cause.length > 0 && o === "stale" && !orphan && !state.lost;
  return {
    names: [name],
    metas: isCause ? cause : metas(state, now, orphan),
    ...(state.lost
      ? { icon: "lost" }
      : orphan && o !== "running"
        ? { icon: "orphan" }
        : isCause
          ? { icon: "cause" }
          : {}),
    spoken: isCause ? `${spoken}, ${cause.at(-1)}` : spoken,
    cause: isCause,
    tip: [spoken, ...causes.slice(0, 3).map(({ text }) => text)].join("\n"),
    share: guess ? Math.min(0.97, (now - t) / e) : total ? done / total : 0,
    maybe: sure === false,
    orphan,
    guess,
    lost: Boolean(state.lost),
    kept: Boolean(state.kept),
  };
}

/** Return what the box of a fold shows. */
export function foldLook({ members, label }, states, found) {
  const count = (word) => states.filter(({ o }) => o === word).length;
  const counts = BY_URGENCY.map((word) => [count(word), word]).filter(([number]) => number);
  const all = counts.map((pair) => pair.join(" ")).join(", ");
  const [first = ""] = all.split(",");
  const seconds = states.reduce((sum, { s }) => sum + (s ?? 0), 0);
  const time = seconds ? duration(seconds) : "";
  const spoken = `${label ? `${label}, ` : ""}${all}, folded`;
  const number = members.length;
  const searched = found && found < number ? [`${found} of ${number} found`] : [];
  return {
    names: [all, `${first} of ${number}`, first],
    counts: counts.length > 1 ? counts : [],
    metas: [...searched, joined(label, counts.length > 1 ? `${number} reactors` : time), label],
    spoken: [spoken, ...searched].join(", "),
    tip: `${spoken}\nClick to unfold${number > STEP ? " the next ones" : ""}`,
  };
}

/** Return a filter with a term added, or removed if it is in it. */
export function toggled(filter, term) {
  const terms = filter.split(/\s+/).filter(Boolean);
  return (terms.includes(term) ? terms.filter((one) => one !== term) : [...terms, term]).join(" ");
}

/** Return the ids of reactors in the order of a column of the table: name, status, time, size. */
export function sorted(ids, states, column, isDown) {
  const keys = [
    (id) => ids.indexOf(id), // they are in the order of their names
    (id) => BY_URGENCY.indexOf(states[id]?.o),
    (id) => states[id]?.s ?? 0,
    (id) => states[id]?.b ?? 0,
  ];
  const keyed = ids.map((id) => [keys[column](id), id]);
  return keyed.sort(([one], [other]) => (isDown ? other - one : one - other)).map(([, id]) => id);
}
