import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { age, bytes, duration, firstFitting, joined, took } from "../../pyplant/notebook/static/format.js";

// A Python test compares pyplant/_formatting.py with the same file.
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

test("0 bytes give an empty text", () => assert.equal(bytes(0), ""));
test("a growing duration has whole seconds", () => {
  assert.deepEqual(
    [0.3, 12.4, 75].map((seconds) => duration(seconds, true)),
    ["0 s", "12 s", "1 min 15 s"],
  );
});
test("empty parts are left out", () => assert.equal(joined("a", "", undefined, "b"), "a · b"));
test("a reactor that never finished has no time", () => {
  assert.equal(took({}), "");
  assert.equal(took({ f: 1, s: 2, b: 3000 }), "2.0 s · 3.0 kB");
});

test("the first text that fits is used, else the middle of the last is left out", () => {
  const fits = (text) => Array.from(text).length <= 11;
  assert.equal(firstFitting(["a_name", "other"], fits), "a_name");
  assert.equal(firstFitting(["much_longer_name", "other"], fits), "other");
  assert.equal(firstFitting(["a_name_that_never_ends_v1"], fits), "a_nam…ds_v1");
  assert.equal(firstFitting(["a_name_that_never_ends_v2"], fits), "a_nam…ds_v2");
  assert.equal(firstFitting(["😀".repeat(20)], fits), `${"😀".repeat(5)}…${"😀".repeat(5)}`);
  assert.equal(
    firstFitting(["ab"], () => false),
    "a…",
  );
});
