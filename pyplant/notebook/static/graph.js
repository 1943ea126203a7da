// The live graph of a plant: the entry point for anywidget, without libraries or a build step. Tests load
// these modules natively; Jupyter gets their joined text (pyplant/notebook/graph/widget.py), so top-level
// names must be unique in all modules.
//
// Modules, each using only those before it: status, format, geometry and keys (pure data and functions),
// dom (elements), state (what the traits say, pure), link (kernel), canvas (picture), panel (one reactor), table,
// view (the whole), graph. The keys of the traits are documented in pyplant/notebook/graph/payload.py and
// live_state.py.
//
// Rules:
// - Names, values, diffs and errors are data of users and may be hostile. They enter the page as text
//   nodes and attributes, through `html`, `svg`, `setAttributes` and `setText` only.
// - `graph` changes rarely, and the picture is then drawn again. `state` changes often: a complete, numbered
//   snapshot that is patched into the page. Snapshots with older numbers are ignored.
// - `View.sync` shows everything, whichever trait changed, so traits may arrive in any order.
// - Colour is never the only sign: each status has an icon, an outline and a word.

import { View } from "./view.js";

const cleanups = new WeakMap(); // by element: a front end may render twice into one element

function render({ model, el }) {
  cleanups.get(el)?.();
  const view = new View(model, el);
  const cleanup = () => {
    if (cleanups.get(el) !== cleanup) return;
    cleanups.delete(el);
    view.remove();
  };
  cleanups.set(el, cleanup);
  return cleanup;
}

export default { render };
