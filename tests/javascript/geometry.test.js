import assert from "node:assert/strict";
import { test } from "node:test";

import { bounded, MAX_HEIGHT, neighbour, scaleOf, scrolled } from "../../pyplant/notebook/static/geometry.js";

test("a graph that fits is shown at full size", () => assert.equal(scaleOf(0, [400, 200], 800), 1));
test("a graph that nearly fits is shrunk", () => assert.equal(scaleOf(0, [1000, 200], 800), 0.8));
test("a graph is not shrunk below the readable scale", () => assert.equal(scaleOf(0, [1400, 200], 800), 0.7));
test("a graph that would be tiny is not shrunk", () => assert.equal(scaleOf(0, [4000, 200], 800), 1));
test("Fit shows the whole graph", () => assert.equal(scaleOf("fit", [4000, 200], 800), 0.2));
test("the height counts as well", () => assert.equal(scaleOf("fit", [10, 2 * MAX_HEIGHT], 800), 0.5));
test("an element without a size shows full size", () => assert.equal(scaleOf("fit", [4000, 200], -2), 1));
test("a chosen zoom is used", () => assert.equal(scaleOf(2, [4000, 200], 800), 2));

test("zoom is limited", () => {
  assert.deepEqual([0.01, 1.5, 9, "fit"].map(bounded), [0.1, 1.5, 3, "fit"]);
});

test("scrolling is minimal", () => {
  assert.equal(scrolled(0, 100, 20, 400), 0);
  assert.equal(scrolled(0, 500, 20, 400), 150);
  assert.equal(scrolled(600, 500, 20, 400), 450);
  assert.equal(scrolled(0, 500, 20, 400, true), 300);
});

const box = (x, y, w = 100) => ({ x, y, w, lines: [] });
const [load, low, high, far, train] = [box(0, 50), box(0, 90), box(20, 10), box(200, 20), box(200, 60)];
for (const receiver of [far, train]) {
  const line = { sender: load, receiver };
  load.lines.push(line);
  receiver.lines.push(line);
}
const boxes = [load, low, high, far, train];

test("right and left follow edges, to the nearest end", () => {
  assert.equal(neighbour(load, "right", boxes), train);
  assert.equal(neighbour(far, "left", boxes), load);
  assert.equal(neighbour(load, "left", boxes), undefined);
});

test("up and down stay in the column", () => {
  assert.equal(neighbour(load, "down", boxes), low);
  assert.equal(neighbour(load, "up", boxes), high);
  assert.equal(neighbour(low, "down", boxes), undefined);
  assert.equal(neighbour(far, "down", boxes), train);
});
