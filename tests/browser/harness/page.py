"""The harness page in a browser: a small server on this machine, and actions of tests."""

import functools
import http.server
import json
import threading

from pyplant.notebook.graph.widget import GraphWidget
from tests.conftest import ROOT


class _Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files, and the module and style sheet of the widget."""

    def do_GET(self):
        given = {
            "/graph.js": ("text/javascript", GraphWidget._esm),
            "/graph.css": ("text/css", GraphWidget._css),
        }
        if self.path not in given:
            return super().do_GET()
        kind, text = given[self.path]
        self.send_response(200)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.end_headers()
        self.wfile.write(str(text).encode())

    def log_message(self, *about):
        pass


class Server:
    """Serves the repository on a free port of this machine."""

    def __init__(self):
        handler = functools.partial(_Quiet, directory=ROOT)
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Shown:
    """The graph in the harness page.

    Parameters
    ----------
    page
        A page of Playwright.
    url
        Of the server.
    """

    def __init__(self, page, url):
        self.page = page
        self._url = f"{url}/tests/browser/harness/index.html"
        self.root = page.locator(".pyplant-graph")
        self.panel = self.root.locator(".pg-panel")
        self.filter = self.root.get_by_role("searchbox")
        self.live = self.root.get_by_role("status")

    def start(self, traits, theme="light"):
        """Show a scenario; ``theme`` is that of JupyterLab, or empty for a page that sets none."""
        self.page.goto(f"{self._url}?theme={theme}" if theme else self._url)
        self.page.wait_for_function("() => window.harness !== undefined")
        self.names = {node["name"]: id_ for id_, node in traits["graph"]["nodes"].items()}
        self.page.evaluate("traits => harness.start(traits)", traits)
        return self

    def node(self, name):
        return self.root.locator(f".pg-node[aria-label^={json.dumps(name + ',')}]")

    def open(self, name):
        """Click on a reactor and return its panel."""
        self.node(name).click()
        return self.panel

    def tell(self, changes, **rest):
        """Deliver a snapshot with changes of some reactors, by name."""
        changes = {self.names[name]: change for name, change in changes.items()}
        self.page.evaluate("([changes, rest]) => harness.tell(changes, rest)", [changes, rest])

    def set(self, trait, value):
        self.page.evaluate("([trait, value]) => harness.model.set(trait, value)", [trait, value])

    @property
    def sent(self):
        """Return what the front end sent to the kernel."""
        return self.page.evaluate("() => harness.model.sent")

    @property
    def alarms(self):
        return self.page.evaluate("() => harness.alarms")

    @property
    def bright(self):
        """Return the names of reactors that are not dimmed."""
        return set(self.root.locator(".pg-node:not(.pg-is-dim) .pg-name").all_text_contents())

    @property
    def focused(self):
        """Return the label of the element that has the focus."""
        return self.page.evaluate(
            "() => document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent"
        )

    def style(self, selector, *properties):
        """Return computed styles of the first matching element."""
        return self.page.evaluate(
            "([selector, names]) => names.map(name => getComputedStyle(document.querySelector(selector))[name])",
            [selector, list(properties)],
        )

    def press(self, *keys):
        for key in keys:
            self.page.keyboard.press(key)
