import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { age, bytes, duration, joined, took } from "../../pyplant/notebook/static/format.js";

// The same file holds pyplant/_formatting.py to the same texts.
const texts = JSON.parse(readFileSync(new URL("texts.json", import.meta.url), "utf-8"));

for (const [seconds, text] of texts.durations) {
  test(`${seconds} seconds`, () => assert.equal(duration(seconds), text));
}
for (const [size, text] of texts.sizes) {
  test(`${size} bytes`, () => assert.equal(bytes(size), text));
}
for (const [past, text] of texts.ages) {
  test(`${past} seconds ago`, () => assert.equal(age(1e9 - past, 1e9), text));
}

test("nothing has no size", () => assert.equal(bytes(0), ""));
test("what grows is told in whole seconds", () => {
  assert.deepEqual(
    [0.3, 12.4, 75].map((seconds) => duration(seconds, true)),
    ["0 s", "12 s", "1 min 15 s"],
  );
});
test("what there is of parts is joined", () => assert.equal(joined("a", "", undefined, "b"), "a · b"));
test("what never finished took nothing", () => {
  assert.equal(took({}), "");
  assert.equal(took({ f: 1, s: 2, b: 3000 }), "2.0 s · 3.0 kB");
});
