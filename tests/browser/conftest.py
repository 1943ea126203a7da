"""One JupyterLab and one Chromium, shared by the browser tests of a process."""

import itertools
import re
import shutil
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.browser.lab import FLAGS, PATIENCE, Lab, OpenNotebook, chromium_path
from tests.conftest import CI, ROOT
from tests.notebook.kernels import CURRENT

VIEWPORT = {"width": 1280, "height": 900}

_number = itertools.count()


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    page = getattr(item, "funcargs", {}).get("lab_page") or getattr(item, "funcargs", {}).get("page")
    if report.failed and page is not None and not page.is_closed():
        folder = ROOT / "build" / "screenshots"
        folder.mkdir(parents=True, exist_ok=True)
        name = re.sub(r"\W+", "-", item.name)
        page.screenshot(path=folder / f"failed-{name}.png")
    return report


@pytest.fixture(scope="package")
def chromium():
    """The browser. It is closed after these tests, since its event loop in this thread disturbs others."""
    path = chromium_path()
    if path is None:
        (pytest.fail if CI else pytest.skip)("Chromium is not installed")
    try:
        from playwright.sync_api import expect, sync_playwright
    except ImportError:
        (pytest.fail if CI else pytest.skip)("Playwright is not installed")
    expect.set_options(timeout=PATIENCE * 1000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def lab(tmp_path_factory):
    """The JupyterLab server."""
    if shutil.which("jupyter-lab") is None and not CI:
        pytest.importorskip("jupyterlab")
    lab = Lab(tmp_path_factory.mktemp("lab"))
    yield lab
    lab.close()


class Outside(list):
    """The addresses outside this machine that a page requested."""

    def watch(self, request):
        url = urlsplit(request.url)
        if url.scheme not in {"data", "blob", "about"} and url.hostname != "127.0.0.1":
            self.append(request.url)


@pytest.fixture
def outside():
    return Outside()


def new_page(chromium, outside):
    """A page with cookies and settings of its own; `outside` lists what it requests from other machines."""
    context = chromium.new_context(viewport=VIEWPORT, color_scheme="light")
    context.outside = outside
    context.on("request", outside.watch)
    return context.new_page()


@pytest.fixture
def page(chromium, outside):
    """A new page. It must not request anything from outside this machine."""
    page = new_page(chromium, outside)
    yield page
    page.context.close()
    assert not outside


_CLOSE_ALL = """() => {
    for (const widget of [...jupyterapp.shell.widgets("main")]) {
        if (widget.context) widget.context.model.dirty = false;
        widget.close();
    }
}"""


class Desk:
    """A page with JupyterLab, shared by tests until one fails, since loading it takes seconds."""

    def __init__(self, chromium, lab):
        self._chromium, self._lab = chromium, lab
        self.outside = Outside()
        self.page = None

    def sit_down(self):
        if self.page is None:
            self.page = new_page(self._chromium, self.outside)
            self._lab.load(self.page)
        return self.page

    def leave(self, *, tidy):
        """Return the page; it is used again if the test passed."""
        if tidy:
            self.page.emulate_media(color_scheme="light")
            self.page.evaluate(_CLOSE_ALL)
            self.page.wait_for_selector(".jp-Notebook", state="detached")
        else:
            self.page.context.close()
            self.page = None
        self._lab.forget()
        found, self.outside[:] = list(self.outside), []
        assert not found, found


@pytest.fixture(scope="package")
def desk(chromium, lab):
    return Desk(chromium, lab)


@pytest.fixture
def lab_page(desk, request):
    """A page with JupyterLab and no open document."""
    failed_before = request.session.testsfailed
    yield desk.sit_down()
    desk.leave(tidy=request.session.testsfailed == failed_before)


@pytest.fixture
def open_notebook(lab, lab_page):
    """Open a notebook with given cells, a ready kernel and a unique name."""

    def open_notebook(*cells, kernel=CURRENT):
        kernel.need()
        path = lab.write(f"notebook-{next(_number)}", cells, kernel)
        return OpenNotebook(lab, lab_page, path).open()

    return open_notebook


@pytest.fixture
def screenshot():
    """Save a picture of an element or page in ``build/screenshots``, for inspection."""
    folder = ROOT / "build" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)

    def screenshot(what, name):
        what.screenshot(path=folder / f"{name}.png")

    return screenshot
