"""Takes pictures of everything that people see in JupyterLab, and lists them on one page, to be looked at.

Each view is taken light and dark, on a wide and on a narrow page, and on a page magnified to 200 %.
"""

import re
from html import escape

import nbformat

from tests.browser.graph import Graph
from tests.browser.lab import OpenNotebook
from tests.conftest import ROOT

FOLDER = ROOT / "build" / "gallery"

# Pixels of CSS: a screen of 1440 by 900 pixels magnified to 200 % has half of them. The others are high enough for all.
SIZES = {"1440 px": (1440, 1400), "700 px": (700, 1400), "200 %": (720, 450)}
THEMES = ("light", "dark")

PIPELINE = """
import pathlib, time
from pyplant import *

plant.set_config({"rate": 0.1, "rounds": 30})

def wait_for(name):
    while not pathlib.Path(name).exists():
        time.sleep(0.01)

def scaled(values):
    return [value / FACTOR for value in values]

@ReactorFunc
def load_measurements(pipe):
    pipe.send("measurements", list(range(40_000)))

@ReactorFunc
def clean(pipe):
    values = yield pipe.receive("measurements")
    pipe.send("cleaned", scaled(values))

@ReactorFunc
def split(pipe):
    values = yield pipe.receive("cleaned")
    pipe.send("training", values[::2])
    pipe.send("held_out", values[1::2])

@ReactorFunc
def train(pipe, config):
    values = yield pipe.receive("training")
    for round in pipe.progress(range(config.rounds), "rounds"):
        PAUSE
    pipe.send("model", sum(values) * config.rate)

@ReactorFunc
def count_missing(pipe):
    values = yield pipe.receive("measurements")
    pipe.send("missing", len(values) - 40_000)

@ReactorFunc
def evaluate(pipe):
    model, values = yield pipe.receive("model", "held_out")
    pipe.send("error", model - sum(values))

@ReactorFunc
def read_weather(pipe):
    pipe.send("weather", {}["town"])

@ReactorFunc
def report(pipe):
    error = yield pipe.receive("error")
    pipe.send("page", f"<h1>{error:.2f}</h1>")

@ReactorFunc
def compare_with_weather(pipe):
    page, weather = yield pipe.receive("page", "weather")
    pipe.send("comparison", (page, weather))
"""


def _pipeline(factor, pause):
    return PIPELINE.replace("FACTOR", factor).replace("PAUSE", pause)


REPORTS = {
    "run": "plant.run_reactor('report')",
    "status": "plant.status()",
    "plan": "plant.plan('report')",
    "explain": "plant.explain('report')",
    "history": "plant.history('report')",
    "sweep": "plant.sweep('train', {'rate': [0.2, 0.3]})",
    "plant": "plant",
}
_GRAPH, _RUN, _FIRST_REPORT = 2, 3, 5
CELLS = (
    "%load_ext pyplant\n%plant gallery.plant",
    _pipeline("16", "time.sleep(0.001)"),
    "plant.show_graph()",
    "plant.run_reactor('report')",
    "plant.run_reactor('read_weather')",
    *REPORTS.values(),
)


_STYLE = """
body { font: 14px system-ui; margin: 24px }
div { display: flex; flex-wrap: wrap; gap: 12px }
figure { margin: 0 }
img { max-width: 720px; border: 1px solid #888 }
"""


class Gallery:
    """Pictures of one notebook, and the page that lists them."""

    def __init__(self, notebook):
        self._notebook = notebook
        self._views = {}
        FOLDER.mkdir(parents=True, exist_ok=True)

    def take(self, view, element, sizes=tuple(SIZES)):
        """Take a view in each theme and size: the element, and at 200 % what the window shows of it."""
        page = self._notebook.page
        for theme in THEMES:
            self._notebook.dark(theme == "dark")
            for size in sizes:
                width, height = SIZES[size]
                page.set_viewport_size({"width": width, "height": height})
                page.wait_for_timeout(250)  # the page arranges itself again
                name = re.sub(r"\W+", "-", f"{view} {theme} {size}") + ".png"
                if size == "200 %":
                    element.scroll_into_view_if_needed()
                (page if size == "200 %" else element).screenshot(path=FOLDER / name)
                self._views.setdefault(view, []).append((name, f"{theme}, {size}"))
        width, height = SIZES["1440 px"]
        page.set_viewport_size({"width": width, "height": height})

    def write(self):
        """Write the page."""
        parts = [
            '<!doctype html><meta charset="utf-8"><title>What people see</title>',
            f"<style>{_STYLE}</style>",
        ]
        for view, pictures in self._views.items():
            shown = (
                f'<figure><a href="{name}"><img src="{name}" loading="lazy" alt="{escape(view)}"></a>'
                f"<figcaption>{about}</figcaption></figure>"
                for name, about in pictures
            )
            parts.append(f"<h2>{escape(view)}</h2><div>{''.join(shown)}</div>")
        (FOLDER / "index.html").write_text("\n".join(parts), encoding="utf-8")


def take_all(lab, page):
    """Take all pictures and write the page."""
    notebook = OpenNotebook(lab, page, lab.write("gallery", CELLS)).open()
    gallery = Gallery(notebook)
    notebook.run(0)
    notebook.run(_GRAPH)
    gallery.take("a graph without reactors", Graph(notebook, _GRAPH).root)
    for cell in range(1, len(CELLS)):
        notebook.run(cell)
    graph = Graph(notebook, _GRAPH)
    gallery.take("the graph", graph.root)
    notebook.run(1, _pipeline("32", "if config.rate == 0.1 and round == 20: wait_for('go on')"))
    graph.wait("clean", "stale")
    gallery.take("the graph after an edit", graph.root)
    for name in ("load_measurements", "clean", "report", "read_weather", "compare_with_weather"):
        graph.open(name)
        gallery.take(f"the panel of {name}", graph.root)
    graph.root.locator(".pg-panel").get_by_label("Close").click()
    graph.root.get_by_role("button", name="Keys", exact=True).click()
    graph.root.get_by_text("As a table").click()
    gallery.take("keys and table", graph.root)
    graph.root.get_by_role("button", name="Keys", exact=True).click()
    graph.root.get_by_text("As a table").click()
    _take_reports(gallery, notebook)
    _take_run(gallery, notebook, graph)
    _take_files(gallery, notebook)
    gallery.write()


def _take_reports(gallery, notebook):
    for number, name in enumerate(REPORTS):
        cell = _FIRST_REPORT + number
        if name != "run":
            notebook.run(cell)
        gallery.take(f"report: {name}", notebook.output(cell))


def _take_run(gallery, notebook, graph):
    notebook.run(_RUN, wait=False)
    graph.node("train").get_by_text("20/30").wait_for()
    gallery.take("a run", graph.root)
    for name in ("split", "train", "evaluate"):
        graph.open(name)
        gallery.take(f"the panel of {name} during a run", graph.root)
    gallery.take("the cell during a run", notebook.cell(_RUN))
    (notebook.path.parent / "go on").touch()
    notebook.wait_for_cell(_RUN)
    gallery.take("the cell after a run", notebook.cell(_RUN))


def _take_files(gallery, notebook):
    """Take the saved notebook without its kernel, and as another user sees it who does not trust it."""
    saved = notebook.save()
    notebook.close()
    notebook.lab.forget()
    notebook.open(kernel=False)
    gallery.take("saved: the graph", notebook.cell(_GRAPH))
    notebook.close()
    saved.cells[0].source += "\n# edited by another user"
    nbformat.write(saved, notebook.path)
    notebook.open(kernel=False)
    gallery.take("untrusted: the graph", notebook.cell(_GRAPH))
    for number, name in enumerate(REPORTS):
        gallery.take(f"untrusted: {name}", notebook.output(_FIRST_REPORT + number), ("1440 px", "700 px"))
