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

test("a status restricts the results of words", () => {
  const states = { n0: { o: "stale" }, n2: { o: "stale" }, n1: { o: "cached" } };
  assert.deepEqual(names(state.matching(graph, states, "status:stale")), ["load", "train"]);
  assert.deepEqual(names(state.matching(graph, states, "+clean status:stale")), ["load"]);
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
  assert.deepEqual(state.pace({ t: 100 }, 90), ["0 s"]);
});

test("a status in words contains uncertainty and reasons", () => {
  assert.equal(state.inWords({ o: "stale", sure: false, w: "code" }), "perhaps stale, would run again, code");
  assert.equal(state.inWords({ o: "cached", sure: false }, true), "cached, its cell was deleted");
  assert.equal(state.inWords(), "");
});

test("the most urgent status is used", () => {
  assert.equal(state.mostUrgent([{ o: "cached" }, { o: "failed" }, { o: "running" }]), "failed");
  assert.equal(state.mostUrgent([]), "unknown");
});

test("a box shows reported progress, else an estimate from the last run", () => {
  const reported = state.reactorLook(node("train"), { o: "running", t: 0, p: [["epoch", 3, 12]] }, [], 5);
  assert.equal(reported.share, 0.25);
  assert.equal(reported.metas.at(-1), "3/12");
  const guessed = state.reactorLook(node("train"), { o: "running", t: 0, e: 10 }, [], 5);
  assert.deepEqual([guessed.share, guessed.guess], [0.5, true]);
  assert.equal(state.reactorLook(node("train"), { o: "running", t: 0, e: 1 }, [], 50).share, 0.97);
});

test("a tooltip has at most three causes", () => {
  const causes = ["a", "b", "c", "d"].map((text) => ({ text }));
  assert.equal(state.reactorLook(node("x"), { o: "stale" }, causes, 0).tip.split("\n").length, 4);
});

test("a fold counts its members, the most urgent first", () => {
  const fold = { members: ["n0", "n1", "n2"], label: "prepare" };
  const look = state.foldLook(fold, [{ o: "cached" }, { o: "stale" }, { o: "cached" }]);
  assert.deepEqual(look.names, ["1 stale, 2 cached", "1 stale"]);
  assert.equal(look.metas[0], "prepare · 3 reactors");
});

test("a term is added to the filter once and removed again", () => {
  assert.equal(state.toggled("load", "status:ran"), "load status:ran");
  assert.equal(state.toggled("load  status:ran", "status:ran"), "load");
});
