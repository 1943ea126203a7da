import assert from "node:assert/strict";
import { test } from "node:test";

import { bounded, MAX_HEIGHT, neighbour, scaleOf, scrolled } from "../../pyplant/notebook/static/geometry.js";

test("a graph that fits is shown at full size", () => assert.equal(scaleOf(0, [400, 200], 800), 1));
test("a graph that nearly fits is shrunk", () => assert.equal(scaleOf(0, [880, 200], 800), 800 / 880));
test("a graph is not shrunk if it scrolls all the same", () => {
  assert.equal(scaleOf(0, [1400, 200], 800), 1);
  assert.equal(scaleOf(0, [1400, 2 * MAX_HEIGHT], 800), 1);
});
test("a graph scrolls in one direction if that is possible", () => {
  assert.equal(scaleOf(0, [880, 2 * MAX_HEIGHT], 800), 784 / 880); // beside a scroll bar
  assert.equal(scaleOf(0, [1400, (MAX_HEIGHT - 16) / 0.9], 800), 0.9);
});
test("names are never below 10 pixels", () => {
  for (let width = 10; width < 4000; width += 90) {
    for (let height = 10; height < 4000; height += 90) assert.ok(11.5 * scaleOf(0, [width, height], 800) >= 10);
  }
});
test("Fit shows the whole graph", () => assert.equal(scaleOf("fit", [4000, 200], 800), 0.2));
test("the height counts as well", () => assert.equal(scaleOf("fit", [10, 2 * MAX_HEIGHT], 800), 0.5));
test("an element without a size shows full size", () => assert.equal(scaleOf("fit", [4000, 200], -2), 1));
test("a chosen zoom is used", () => assert.equal(scaleOf(2, [4000, 200], 800), 2));

test("zoom is limited", () => {
  assert.deepEqual([0.01, 1.5, 9, "fit"].map(bounded), [0.1, 1.5, 3, "fit"]);
});

test("scrolling is minimal", () => {
  assert.equal(scrolled(0, 100, 20, 400), 0);
  assert.equal(scrolled(0, 390, 20, 400), 0);
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

test("top and bottom lead to the ends of the column", () => {
  assert.equal(neighbour(low, "top", boxes), high);
  assert.equal(neighbour(high, "bottom", boxes), low);
  assert.equal(neighbour(low, "bottom", boxes), undefined);
});

test("first and last lead to the ends of the graph", () => {
  assert.equal(neighbour(train, "first", boxes), load);
  assert.equal(neighbour(load, "last", boxes), train);
});
