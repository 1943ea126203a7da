"""Graphs in saved notebooks, without a kernel, and in pages made by nbconvert."""

import subprocess
import sys

import nbformat
import pytest

from tests.browser.graph import Graph
from tests.browser.lab import axe
from tests.conformance.helpers import environment

expect = pytest.importorskip("playwright.sync_api").expect

CELLS = (
    "%load_ext pyplant\nfrom pyplant import *\n%plant {name}.plant",
    "%%reactor load -o data\ndata = [1, 2, 3]",
    "%%reactor total -i data -o whole\nwhole = sum(data)",
    "plant.show_graph()",
)
REPORT = """
from pyplant.engine.verdict import ReasonKind
from pyplant.reports.explain import Cause
from pyplant.reports.report import Outcome, ReactorEntry, Status

cause = Cause(ReasonKind.CODE, "f", "f() changed", diff="-    " + "some words " * 40 + "\\n+    few")
Status((ReactorEntry("load", Outcome.STALE, (cause,), seconds=2.5, size=475_000, finished=1.0),))
"""


@pytest.fixture
def notebook(open_notebook, request):
    first, *rest = CELLS
    notebook = open_notebook(first.format(name=request.node.name), *rest, REPORT)
    for cell in range(4):
        notebook.run(cell)
    return notebook


def test_the_picture_is_hidden_while_the_widget_is_live(notebook):
    Graph(notebook, 3)
    picture = notebook.output(3).locator(".pp-graph")
    expect(picture).to_have_count(1)
    expect(picture).to_be_hidden()


def shows(place, *texts):
    """Wait for the picture of a graph with these texts in its text alternative."""
    picture = place.locator(".pp-graph img")
    picture.wait_for()
    assert picture.evaluate("picture => picture.decode().then(() => picture.naturalWidth)") > 100
    for text in texts:
        assert text in picture.get_attribute("alt")


def reopen(notebook):
    notebook.close()
    notebook.lab.forget()
    return notebook.open(kernel=False)


def test_a_notebook_without_a_kernel_shows_only_the_picture(notebook, screenshot):
    Graph(notebook, 3)
    notebook.save()
    reopen(notebook)
    shows(notebook.output(3), "load (cached) → total", "total (cached)")
    picture, widget = notebook.output(3).locator(".jp-OutputArea-child").all()
    expect(picture).to_be_visible()
    expect(widget).to_be_hidden()  # it says "Loading widget...", and will never do more
    screenshot(notebook.cell(3), "reopened-without-kernel")


def looks_arranged(report, *, scrolls):
    """Check that a report is no wider than it should be, and that its code is in a box, which scrolls or is folded."""
    code = report.locator("pre")
    code.wait_for()
    style = "element => [getComputedStyle(element).wordBreak, getComputedStyle(element).borderLeftWidth]"
    assert code.evaluate(style) == ["normal", "3px"]
    assert code.evaluate("element => element.scrollWidth > element.clientWidth") == scrolls
    if scrolls:
        assert code.bounding_box()["height"] < 60  # two lines
    root, name, time = (report.locator(part) for part in (".pyplant-report", ".pp-text", ".pp-aside"))
    boxes = [part.bounding_box() for part in (root, name, time)]
    assert boxes[1]["x"] + boxes[1]["width"] <= boxes[2]["x"]
    assert boxes[2]["x"] + boxes[2]["width"] <= boxes[0]["x"] + boxes[0]["width"] + 1
    assert time.evaluate("element => element.getClientRects().length") == 1


def test_an_untrusted_notebook_shows_the_picture_and_its_title(notebook, screenshot):
    Graph(notebook, 3)
    notebook.run(4)
    looks_arranged(notebook.output(4), scrolls=True)
    assert axe(notebook.page, ".pyplant-report") == {}
    screenshot(notebook.output(4), "report")
    saved = notebook.save()
    notebook.close()
    notebook.lab.forget()
    saved.cells[0].source += "\n# edited by another user"
    nbformat.write(saved, notebook.path)
    notebook.open(kernel=False)
    shows(
        notebook.output(3), "load (cached)", "total (cached)"
    )  # JupyterLab removes <svg> from untrusted outputs
    assert notebook.output(3).inner_text().strip() == "2 reactors: 2 cached"
    screenshot(notebook.cell(3), "reopened-untrusted")
    looks_arranged(notebook.output(4), scrolls=False)  # no attribute is left that lets the keyboard scroll
    assert axe(notebook.page, ".pyplant-report") == {}
    screenshot(notebook.output(4), "report-untrusted")


def test_the_picture_shows_the_state_at_saving(open_notebook, request):
    first, load, total, show = CELLS
    notebook = open_notebook(first.format(name=request.node.name), load, show, total)
    for cell in range(3):
        notebook.run(cell)
    graph = Graph(notebook, 2)
    notebook.run(3)
    graph.wait("total", "ran", "cached")
    notebook.save()
    reopen(notebook)
    shows(notebook.output(2), "total (")


def test_a_page_made_by_nbconvert_shows_the_picture(notebook, page, screenshot):
    Graph(notebook, 3)
    notebook.save()
    process = subprocess.run(
        [sys.executable, "-m", "nbconvert", "--to", "html", "--template", "classic", str(notebook.path)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    # Such pages load MathJax and widgets from other hosts, which is not possible here.
    page.route("**/*", lambda route: route.continue_() if "file:" in route.request.url else route.abort())
    page.context.remove_listener("request", page.context.outside.watch)
    page.goto(notebook.path.with_suffix(".html").as_uri())
    shows(page, "total (")
    screenshot(page.locator(".pp-graph"), "nbconvert")
