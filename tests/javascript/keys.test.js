import assert from "node:assert/strict";
import { test } from "node:test";

import { boxAction, isKept, KEYS, viewAction } from "../../pyplant/notebook/static/keys.js";

const press = (key, more = {}) => ({ key, ctrlKey: false, metaKey: false, ...more });
const at = { isTyping: false, hasFilter: false, isOpen: false };

test("arrow keys move, and Enter and Space open", () => {
  const keys = [
    "ArrowLeft",
    "ArrowRight",
    "ArrowUp",
    "ArrowDown",
    "Home",
    "End",
    "PageUp",
    "PageDown",
    "Enter",
    " ",
    "d",
  ];
  assert.deepEqual(
    keys.map((key) => boxAction(press(key))),
    ["left", "right", "up", "down", "first", "last", "top", "bottom", "open", "open", undefined],
  );
});

test("keys with Ctrl or Command are left to the page", () => {
  assert.equal(boxAction(press("Enter", { ctrlKey: true })), undefined);
  assert.equal(viewAction(press("/", { metaKey: true }), at), undefined);
});

for (const key of ["shiftKey", "altKey", "ctrlKey", "metaKey"]) {
  test(`Enter with ${key} runs the cell of the notebook`, () => {
    const event = press("Enter", { [key]: true });
    for (const isTyping of [false, true]) {
      assert.equal(boxAction(event), undefined);
      assert.equal(viewAction(event, { ...at, isTyping }), undefined);
      assert.equal(isKept(event, { ...at, isTyping }), false);
    }
  });
}

for (const [isTyping, hasFilter, isOpen, action] of [
  [true, true, true, "clear"],
  [false, true, false, "clear"],
  [false, true, true, "close"],
  [true, false, true, "close"],
]) {
  test(`Escape: typing ${isTyping}, filter ${hasFilter}, open ${isOpen}: ${action}`, () =>
    assert.equal(viewAction(press("Escape"), { isTyping, hasFilter, isOpen }), action));
}

test("a slash goes to the filter, and is text inside it", () => {
  assert.equal(viewAction(press("/"), at), "search");
  assert.equal(viewAction(press("/"), { ...at, isTyping: true }), undefined);
});

test("a question mark shows the keys, but not in the filter", () => {
  assert.equal(viewAction(press("?"), at), "keys");
  assert.equal(viewAction(press("?"), { ...at, isTyping: true }), undefined);
});

test("Enter in the filter goes to the first box", () => {
  assert.equal(viewAction(press("Enter"), { ...at, isTyping: true }), "first");
  assert.equal(viewAction(press("Enter"), at), undefined);
});

test("the notebook gets no plain key, but always Ctrl+S", () => {
  assert.equal(isKept(press("d"), at), true);
  assert.equal(isKept(press("s", { ctrlKey: true }), { isTyping: true }), false);
  assert.equal(isKept(press("a", { ctrlKey: true }), { isTyping: true }), true);
  assert.equal(isKept(press("a", { ctrlKey: true }), at), false);
});

test("every documented key has a text", () => {
  assert.ok(KEYS.every(([keys, text]) => keys && text));
});
