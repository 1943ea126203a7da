"""The live graph in a page, read from the DOM."""

import json

_WATCH = """([root]) => {
    const seen = window.transitions = [];
    const last = new Map();
    const look = () => {
        const kernel = window.jupyterapp?.shell.currentWidget.sessionContext.session.kernel;
        for (const node of document.querySelectorAll(root + " .pg-node")) {
            const [name, status] = node.getAttribute("aria-label").split(", ");
            if (last.get(name) === status) continue;
            last.set(name, status);
            seen.push([name, status, kernel?.status]);
        }
    };
    look();
    new MutationObserver(look).observe(
        document.querySelector(root), {subtree: true, childList: true, attributes: true});
}"""


class Graph:
    """The graph below a cell.

    Parameters
    ----------
    notebook
        The open notebook.
    cell
        The place of the cell that shows it.
    """

    def __init__(self, notebook, cell):
        self.page = notebook.page
        self._notebook = notebook
        self.root = notebook.output(cell).locator(".pyplant-graph")
        self.root.wait_for()

    def node(self, name):
        """The element of a reactor."""
        return self.root.locator(f".pg-node[aria-label^={json.dumps(name + ',')}]")

    @property
    def nodes(self):
        return self.root.locator(".pg-node")

    def wait(self, name, *statuses):
        """Wait until a reactor has one of the statuses."""
        selectors = [f".pg-node.pg-{status}[aria-label^={json.dumps(name + ',')}]" for status in statuses]
        self.root.locator(", ".join(selectors)).wait_for()

    def settle(self, cell):
        """Run an idle cell until staleness was judged; a busy machine may have skipped it."""
        badge = self.root.get_by_text("not checked")
        for _ in range(60):
            if not badge.is_visible():
                return
            self._notebook.run(cell, "None")
        badge.wait_for(state="hidden")

    def open(self, name):
        """Click on a reactor and return its panel."""
        self.node(name).click()
        panel = self.root.locator(".pg-panel")
        panel.wait_for()
        return panel

    @property
    def stop(self):
        return self.root.locator(".pg-stop")

    def watch(self):
        """Record each change of a status from now on, with the state of the kernel."""
        self.page.evaluate(_WATCH, [".pyplant-graph"])

    def transitions(self):
        """Return the recorded names, statuses, and ``idle`` or ``busy``."""
        return [tuple(change) for change in self.page.evaluate("() => window.transitions")]
