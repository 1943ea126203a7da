"""A real JupyterLab on this machine, and notebooks opened in it by a real browser."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conformance.helpers import environment
from tests.notebook.kernels import CURRENT, MATRIX

nbformat = pytest.importorskip("nbformat")

PATIENCE = 90  # seconds for anything that a page or a kernel does, on a busy machine

_OVERRIDES = {
    "@jupyterlab/apputils-extension:notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
        "doNotDisturbMode": True,
    },
    "@jupyterlab/apputils-extension:themes": {"adaptive-theme": True},
    "@jupyterlab/docmanager-extension:plugin": {"autosave": False},
}
# No access to other machines, and no automatic features of the browser.
FLAGS = [
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]


def chromium_path():
    """Return the path of the browser; ``None`` if there is none."""
    return shutil.which("chromium") or shutil.which("google-chrome")


@contextmanager
def lab_in_browser(folder, **options):
    """Start JupyterLab in a folder and open it in Chromium, for programs other than tests."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=FLAGS)
        lab = Lab(folder)
        try:
            page = browser.new_page(**options)
            lab.load(page)
            yield lab, page
        finally:
            browser.close()
            lab.close()


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Lab:
    """A JupyterLab server with folders of its own; it offers every kernel of the matrix by name.

    Parameters
    ----------
    folder
        Where all of it lies; notebooks are in ``folder / "notebooks"``.
    """

    token = "token"

    def __init__(self, folder):
        self.notebooks = folder / "notebooks"
        self._settings = folder / "settings"
        self._log = folder / "log"
        self.notebooks.mkdir(parents=True)
        self._settings.mkdir()
        (self._settings / "overrides.json").write_text(json.dumps(_OVERRIDES))
        for versions in MATRIX:
            _write_spec(folder / "data" / "kernels" / str(versions), versions)
        self._start(folder)

    def _start(self, folder):
        port = _free_port()
        self.url = f"http://127.0.0.1:{port}"
        own = {
            "JUPYTER_CONFIG_DIR": "config",
            "JUPYTER_DATA_DIR": "data",
            "JUPYTER_RUNTIME_DIR": "runtime",
            "JUPYTERLAB_SETTINGS_DIR": "user-settings",
            "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
            "IPYTHONDIR": "ipython",
        }
        variables = environment(**{name: str(folder / place) for name, place in own.items()})
        variables.pop("PYTEST_CURRENT_TEST", None)
        command = [
            *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"),
            *("--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0"),
            f"--IdentityProvider.token={self.token}",
            f"--ServerApp.root_dir={self.notebooks}",
            f"--LabApp.app_settings_dir={self._settings}",
            "--LabApp.expose_app_in_browser=True",
            "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        ]
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self.notebooks,
                env=variables,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        ends = time.monotonic() + PATIENCE
        while time.monotonic() < ends and self._process.poll() is None:
            try:
                self.ask("api/status")
                return
            except urllib.error.URLError:
                time.sleep(0.1)
        self.close()
        pytest.fail(f"JupyterLab did not start:\n{self._log.read_text()}")

    def ask(self, path, method="GET"):
        """Send a request to the server, with its token."""
        headers = {"Authorization": f"token {self.token}"}
        request = urllib.request.Request(f"{self.url}/{path}", method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            body = answer.read()
            return json.loads(body) if body else None

    def write(self, name, cells, kernel=CURRENT):
        """Write a notebook and return its path."""
        notebook = nbformat.v4.new_notebook()
        notebook.cells = [nbformat.v4.new_code_cell(cell) for cell in cells]
        notebook.metadata["kernelspec"] = {
            "name": str(kernel),
            "display_name": str(kernel),
            "language": "python",
        }
        path = self.notebooks / f"{name}.ipynb"
        # Sessions are identified by path: an old name would connect to the old kernel.
        assert not path.exists(), f"{name} is taken"
        nbformat.write(notebook, path)
        return path

    def load(self, page):
        """Load JupyterLab into a page, without a document."""
        page.set_default_timeout(PATIENCE * 1000)
        page.goto(f"{self.url}/doc?token={self.token}&reset")
        page.wait_for_function("window.jupyterapp !== undefined")
        page.evaluate("async () => { await jupyterapp.restored; }")

    def forget(self):
        """End all kernels."""
        for session in self.ask("api/sessions"):
            self.ask(f"api/sessions/{session['id']}", "DELETE")

    def close(self):
        """End the server and its kernels."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()


def _write_spec(folder, versions):
    folder.mkdir(parents=True)
    spec = {
        "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": str(versions),
        "language": "python",
        "env": versions.variables,
    }
    (folder / "kernel.json").write_text(json.dumps(spec))


class OpenNotebook:
    """A notebook in a page of the browser.

    Cells are meant by their place, counted from 0. What takes time is waited for, unless it says otherwise.
    JupyterLab draws outputs when it comes to it, so that there is nothing to ask what a cell shows at this
    moment: :func:`wait_for_text` says what is to be read there, and :meth:`printed` what the kernel said.
    """

    def __init__(self, lab, page, path):
        self.lab = lab
        self.page = page
        self.path = path

    def open(self, *, kernel=True):
        """Open the file in the page, where JupyterLab is loaded already.

        Parameters
        ----------
        kernel
            Start one, or find the one that the notebook has.
        """
        preference = {} if kernel else {"shouldStart": False, "canStart": False, "autoStartDefault": False}
        self._run(
            """async ([path, kernelPreference]) => {
                await jupyterapp.commands.execute(
                    "docmanager:open", {path, factory: "Notebook", kernelPreference});
            }""",
            self.path.relative_to(self.lab.notebooks).as_posix(),
            preference,
        )
        self.page.wait_for_selector(".jp-Notebook .jp-Cell")
        if kernel:
            self.wait_until_idle()
        return self

    def close(self):
        """Close the notebook without saving; the kernel keeps running."""
        self._run(
            """async () => {
                const widget = jupyterapp.shell.currentWidget;
                widget.context.model.dirty = false;
                widget.close();
            }"""
        )
        self.page.wait_for_selector(".jp-Notebook", state="detached")

    def wait_until_idle(self):
        """Wait until the kernel is idle."""
        self.page.wait_for_function(
            """() => {
                const kernel = window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel;
                return kernel && kernel.connectionStatus === "connected" && kernel.status === "idle";
            }"""
        )

    def _run(self, script, *arguments):
        return self.page.evaluate(script, list(arguments))

    # ------------------------------------------------------------------ cells

    def run(self, cell, text=None, *, wait=True):
        """Run a cell, edited first if a text is given."""
        if text is not None:
            self.edit(cell, text)
        self._run(
            """([cell]) => {
                const content = jupyterapp.shell.currentWidget.content;
                content.activeCellIndex = cell;
                content.deselectAll();
                const id = content.activeCell.model.id;
                window.finished ??= {};
                window.finished[id] = false;
                jupyterapp.commands.execute("notebook:run-cell").then(() => { window.finished[id] = true; });
            }""",
            cell,
        )
        if wait:
            self.wait_for_cell(cell)

    def wait_for_cell(self, cell):
        """Wait until a cell that was run has ended."""
        self.page.wait_for_function(f"() => window.finished[{self._model(cell)}.id]")

    def is_running(self, cell):
        """Return whether a cell that was run has not ended."""
        return self._run(f"() => !window.finished[{self._model(cell)}.id]")

    @staticmethod
    def _model(cell):
        return f"jupyterapp.shell.currentWidget.content.widgets[{cell}].model"

    def edit(self, cell, text):
        """Replace the text of a cell by typing."""
        self._run(f"([text]) => {self._model(cell)}.sharedModel.setSource(text)", text)

    def command(self, name, cell=None, also=None):
        """Execute a command of JupyterLab with a cell (and all others up to ``also``) selected."""
        self._run(
            """async ([name, cell, also]) => {
                const content = jupyterapp.shell.currentWidget.content;
                if (cell !== null) {
                    content.deselectAll();
                    content.activeCellIndex = cell;
                    if (also !== null) content.extendContiguousSelectionTo(also);
                }
                await jupyterapp.commands.execute(name);
            }""",
            name,
            cell,
            also,
        )

    def sources(self):
        """The texts of all cells."""
        return self._run(
            "() => jupyterapp.shell.currentWidget.content.widgets.map(w => w.model.sharedModel.getSource())"
        )

    def cell(self, cell):
        """The element of a cell."""
        return self.page.locator(".jp-Notebook .jp-Cell").nth(cell)

    def output(self, cell):
        """The element that holds the outputs of a cell."""
        return self.cell(cell).locator(".jp-OutputArea").first

    def outputs(self, cell):
        """The outputs of a cell that has ended, as the notebook would save them."""
        return self._run(f"() => {self._model(cell)}.outputs.toJSON()")

    def printed(self, cell):
        """The printed text of a cell that has ended."""
        return "".join(output["text"] for output in self.outputs(cell) if output["output_type"] == "stream")

    # ------------------------------------------------------------------ the kernel and the file

    def restart(self):
        """Restart the kernel; outputs stay."""
        self._run(
            "async () => { await jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart(); }"
        )
        self.wait_until_idle()

    def interrupt(self):
        """Press ■."""
        self.command("notebook:interrupt-kernel")

    def save(self):
        """Save the notebook and return the content of the file."""
        self._run("async () => { await jupyterapp.shell.currentWidget.context.save(); }")
        return nbformat.read(self.path, as_version=4)

    def dark(self, dark=True):
        """Switch between light and dark."""
        self.page.emulate_media(color_scheme="dark" if dark else "light")
        self.page.wait_for_function(f"() => document.body.dataset.jpThemeLight === '{str(not dark).lower()}'")


def wait_for_text(element, *texts, alone=False):
    """Wait until an element shows the texts in this order; with ``alone``, nothing else."""
    # Locators by text would also match hidden text, and ignore case.
    expect = pytest.importorskip("playwright.sync_api").expect
    texts = [re.escape(text) for text in texts]
    pattern = r"^\s*" + r"\s+".join(texts) + r"\s*$" if alone else ".*".join(texts)
    expect(element).to_contain_text(re.compile(pattern, re.DOTALL), use_inner_text=True)


def axe(page, selector):
    """Return the rules of axe-core that a part of a page violates, each with the elements."""
    package = pytest.importorskip("axe_playwright_python")
    page.add_script_tag(path=Path(package.__file__).parent / "axe.min.js")
    found = page.evaluate("selector => axe.run(selector)", selector)
    assert found["passes"], "axe looked at nothing"
    return {
        violation["id"]: [node["html"] for node in violation["nodes"]] for violation in found["violations"]
    }
