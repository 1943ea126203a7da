// The live graph of a plant, for anywidget: without libraries or a build step. What imports these modules
// natively finds the entry here; Jupyter gets all of them joined to one text (pyplant/notebook/graph/widget.py),
// so a name at the top level of a module must be unique in all of them.
//
// - Names, values, diffs and errors are data of users and may be hostile. They enter the page as text
//   nodes and attributes, through `html`, `svg`, `set` and `write` only.
// - `graph` changes rarely; then the picture is drawn anew. `state` changes often: a full, numbered
//   snapshot that is patched into the page. Older numbers are ignored.
// - `View.sync` shows everything, whichever trait changed, so they may come in any order.
// - Colour is never the only sign: each status has an icon, an outline and a word.

import { View } from "./view.js";

const cleanups = new WeakMap();

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
