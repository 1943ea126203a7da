import assert from "node:assert/strict";
import { test } from "node:test";

import * as state from "../../pyplant/notebook/static/state.js";

const node = (name, ...inputs) => ({ name, inputs: inputs.map((sender) => ["x", sender]), orphan: false });
const graph = new state.Graph({
  nodes: {
    n0: node("load"),
    n1: node("clean", "n0"),
    n2: node("train", "n1"),
    n3: node("loader"),
    n4: node("report", "n2", "nobody"),
  },
});
const names = (found) => found && [...found].map((id) => graph.name(id)).sort();

test("a graph knows senders and receivers, and ignores unknown senders", () => {
  assert.deepEqual([...graph.receivers.get("n0")], ["n1"]);
  assert.deepEqual([...graph.senders.get("n4")], ["n2"]);
});

for (const [filter, found] of [
  ["", null],
  ["  ", null],
  ["TRAIN", ["train"]],
  ["load", ["load", "loader"]],
  ["load+", ["clean", "load", "report", "train"]],
  ["+train", ["clean", "load", "train"]],
  ["1+train", ["clean", "train"]],
  ["1+clean+1", ["clean", "load", "train"]],
  ["loader report", ["loader", "report"]],
  ["+", []],
  ["nothing", []],
]) {
  test(`the filter "${filter}" finds ${found}`, () =>
    assert.deepEqual(names(state.matching(graph, {}, filter)), found));
}

test("a filter finds ingredients, statuses, parameters, files and places without syntax", () => {
  const data = {
    n0: { ...node("load"), outputs: [["images_8x8", "array", 5]], where: "cell [3]" },
    n1: { ...node("clean"), inputs: [["images_8x8", "n0"]], outputs: [] },
    n12: { ...node("fit"), outputs: [["model", "pickle", 7]] },
  };
  const states = { n0: { o: "cached" }, n1: { o: "stale" }, n12: { o: "stale" } };
  const details = {
    n1: { cause: ["parameter changed"], causes: [{ text: "parameter 'depth' changed: 1 → 2", from: "n12" }] },
    n12: { cause: [], causes: [], reads: ["weights.csv, at load.py:12"] },
  };
  const one = new state.Graph({ nodes: data });
  const found = (filter) => [...state.matching(one, states, filter, details)];
  assert.deepEqual(found("images_8x8"), ["n0", "n1"]);
  assert.deepEqual(found("8x8"), ["n0", "n1"]);
  assert.deepEqual(found("model"), ["n12"]);
  assert.deepEqual(found("stale"), ["n1", "n12"]);
  assert.deepEqual(found("cause"), ["n1"]);
  assert.deepEqual(found("status:cause"), ["n1"]);
  assert.deepEqual(found("depth"), ["n1"]);
  assert.deepEqual(found("weights.csv"), ["n12"]);
  assert.deepEqual(found("[3]"), ["n0"]);
  assert.deepEqual(found("images_8x8+"), ["n0", "n1"]);
  assert.deepEqual(found("n12"), []); // an id, not a name
  assert.deepEqual(found("causes"), []); // a key
});

test("a status restricts the results of words", () => {
  const states = { n0: { o: "stale" }, n2: { o: "stale" }, n1: { o: "cached" } };
  assert.deepEqual(names(state.matching(graph, states, "status:stale")), ["load", "train"]);
  assert.deepEqual(names(state.matching(graph, states, "+clean status:stale")), ["load"]);
});

test("a reactor that is not up to date tells which failed ones it needs", () => {
  const blocked = (o, above) => state.blockedBy(graph, { n4: { o }, n1: { o: above } }, "n4");
  assert.equal(blocked("stale", "failed"), "needs clean, which failed");
  assert.equal(blocked("new", "failed"), "needs clean, which failed");
  assert.equal(blocked("cached", "failed"), "");
  assert.equal(blocked("stale", "stale"), "");
});

test("new reactors do not count as changed", () => {
  const before = { n0: { o: "new" }, n1: { o: "cached" } };
  const after = { n0: { o: "ran" }, n1: { o: "cached" }, n2: { o: "ran" } };
  assert.deepEqual(state.changed(graph.ids, before, after), ["n0"]);
});

test("a running reactor shows elapsed and remaining time", () => {
  assert.deepEqual(state.pace({ t: 100 }, 112), ["12 s"]);
  assert.deepEqual(state.pace({ t: 100, e: 60 }, 112), ["12 s · ~48 s left", "~48 s left", "12 s"]);
  assert.equal(state.pace({ t: 100, e: 10 }, 112)[1], "usually 10 s");
  assert.equal(state.pace({ t: 100, e: 0.002 }, 112)[1], "usually 2 ms");
  assert.deepEqual(state.pace({ t: 100 }, 90), ["0 s"]);
});

test("a status in words contains uncertainty and reasons", () => {
  assert.equal(state.inWords({ o: "stale", sure: false, w: "code" }), "perhaps stale, may run again, code");
  assert.equal(state.inWords({ o: "cached", sure: false }, true), "cached, its cell was deleted");
  assert.equal(state.inWords(), "");
});

test("the most urgent status is used", () => {
  assert.equal(state.mostUrgent([{ o: "cached" }, { o: "failed" }, { o: "running" }]), "failed");
  assert.equal(state.mostUrgent([]), "unknown");
});

test("a box shows reported progress, else an estimate from the last run", () => {
  const reported = state.reactorLook(node("train"), { o: "running", t: 0, p: [["epoch", 3, 12]] }, {}, 5);
  assert.equal(reported.share, 0.25);
  assert.equal(reported.metas.at(-1), "3/12");
  const guessed = state.reactorLook(node("train"), { o: "running", t: 0, e: 10 }, {}, 5);
  assert.deepEqual([guessed.share, guessed.guess], [0.5, true]);
  assert.equal(state.reactorLook(node("train"), { o: "running", t: 0, e: 1 }, {}, 50).share, 0.97);
});

test("a tooltip has at most three causes", () => {
  const causes = ["a", "b", "c", "d"].map((text) => ({ text }));
  assert.equal(state.reactorLook(node("x"), { o: "stale" }, { causes }, 0).tip.split("\n").length, 4);
});

test("a cause shows what changed instead of its time", () => {
  const details = { cause: ["describe() changed", "code changed"], causes: [] };
  const look = state.reactorLook(node("x"), { o: "stale", s: 3, f: 1 }, details, 5);
  assert.deepEqual(look.metas, ["describe() changed", "code changed"]);
  assert.ok(look.cause);
  assert.equal(look.spoken, "x, stale, would run again, code changed");
  const running = state.reactorLook(node("x"), { o: "running", t: 1 }, details, 5);
  assert.ok(!running.cause);
  assert.deepEqual(running.metas, ["4 s"]);
});

test("an error without room for its message shows its type", () => {
  const failed = state.reactorLook(node("x"), { o: "failed", w: "IndexError: index 5 is out of bounds: 2" }, {}, 5);
  assert.deepEqual(failed.metas, ["IndexError: index 5 is out of bounds: 2", "IndexError"]);
  assert.deepEqual(state.reactorLook(node("x"), { o: "waiting", w: "computed by: other" }, {}, 5).metas, [
    "computed by: other",
  ]);
});

test("a fold says how many of its members a filter finds", () => {
  const fold = { members: ["n0", "n1", "n2"], label: "" };
  const states = Array(3).fill({ o: "cached" });
  assert.equal(state.foldLook(fold, states, 2).metas[0], "2 of 3 found");
  assert.notEqual(state.foldLook(fold, states, 3).metas[0], "3 of 3 found");
});

test("a fold counts its members, the most urgent first", () => {
  const fold = { members: ["n0", "n1", "n2"], label: "prepare" };
  const look = state.foldLook(fold, [{ o: "cached" }, { o: "stale" }, { o: "cached" }]);
  assert.deepEqual(look.names, ["1 stale, 2 cached", "1 stale of 3", "1 stale"]);
  assert.equal(look.metas[0], "prepare · 3 reactors");
});

test("a fold of reactors that never ran shows no time", () => {
  const fold = { members: ["n0", "n1"], label: "load" };
  assert.equal(state.foldLook(fold, [{ o: "new" }, { o: "new" }]).metas[0], "load");
  assert.equal(
    state.foldLook(fold, [
      { o: "ran", s: 1 },
      { o: "ran", s: 2 },
    ]).metas[0],
    "load · 3.0 s",
  );
});

test("a term is added to the filter once and removed again", () => {
  assert.equal(state.toggled("load", "status:ran"), "load status:ran");
  assert.equal(state.toggled("load  status:ran", "status:ran"), "load");
});

test("the table is sorted by name, status, time or size", () => {
  const states = { n0: { o: "cached", s: 2, b: 10 }, n1: { o: "failed" }, n2: { o: "cached", s: 9, b: 5 } };
  const by = (column, isDown) => state.sorted(["n0", "n1", "n2"], states, column, isDown).join(" ");
  assert.equal(by(0, false), "n0 n1 n2");
  assert.equal(by(0, true), "n2 n1 n0");
  assert.equal(by(1, false), "n1 n0 n2");
  assert.equal(by(2, true), "n2 n0 n1");
  assert.equal(by(3, true), "n0 n2 n1");
});

test("a loop tells how much time is left", () => {
  assert.equal(state.pace({ t: 100, p: [["epochs", 94, 300]] }, 110)[1], "~22 s left");
  assert.equal(state.pace({ t: 100, e: 60, p: [["epochs", 1, 300]] }, 110)[1], "~50 s left");
});
