"""Takes the pictures of the README, light and dark, and the page of ``gallery``, in JupyterLab: ``make pictures``."""

import sys
import tempfile
from pathlib import Path

from tests.browser import gallery
from tests.browser.graph import Graph
from tests.browser.lab import OpenNotebook, lab_in_browser
from tests.conftest import ROOT

FOLDER = ROOT / "notebooks" / "pictures"

PIPELINE = """
import pathlib, time
from pyplant import *
from sklearn.datasets import load_digits as digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

%plant digits.plant

plant.set_config({"rounds": 40, "width": WIDTH})

def wait_for(name):
    while not pathlib.Path(name).exists():
        time.sleep(0.01)

@ReactorFunc
def load_digits(pipe):
    images, labels = digits(return_X_y=True)
    pipe.send("images", images)
    pipe.send("labels", labels)

@ReactorFunc
def scale(pipe):
    images = yield pipe.receive("images")
    pipe.send("features", images / 16)

@ReactorFunc
def split(pipe):
    features, labels = yield pipe.receive("features", "labels")
    seen, kept, known, asked = train_test_split(features, labels, test_size=0.5, random_state=1)
    pipe.send("seen", (seen, known))
    pipe.send("kept", (kept, asked))

@ReactorFunc
def examples(pipe):
    images = yield pipe.receive("images")
    pipe.send("sheet", images[:64])

@ReactorFunc
def train(pipe, config):
    features, labels = yield pipe.receive("seen")
    model = MLPClassifier(config.width, random_state=1)
    for round in pipe.progress(range(config.rounds), "rounds"):
        model.partial_fit(features, labels, classes=range(10))
        PAUSE
    pipe.send("model", model)

@ReactorFunc
def evaluate(pipe):
    model, (features, labels) = yield pipe.receive("model", "kept")
    pipe.send("wrong", model.predict(features) != labels)
    pipe.send("accuracy", model.score(features, labels))

@ReactorFunc
def report(pipe):
    accuracy, sheet = yield pipe.receive("accuracy", "sheet")
    pipe.send("page", f"<h1>{accuracy:.2f}</h1>")
"""
CELLS = (
    "%load_ext pyplant",
    PIPELINE.replace("PAUSE", "time.sleep(0.03)").replace("WIDTH", "32"),
    "plant.run_reactor('report')",
    "plant.show_graph()",
    "plant.run_reactor('report')",
)
# An edit, another parameter, and a run that waits while the pictures are taken.
EDITED = (
    PIPELINE.replace("PAUSE", "if round == 26: wait_for('go on')")
    .replace("WIDTH", "64")
    .replace(":.2f", ":.1%")
)


def take(lab, page):
    """Run the notebook and take the pictures."""
    notebook = OpenNotebook(lab, page, lab.write("digits", CELLS)).open()
    for cell in range(4):
        notebook.run(cell)
    graph = Graph(notebook, 3)
    notebook.run(1, EDITED)
    graph.wait("report", "stale")
    notebook.run(4, wait=False)
    graph.node("train").get_by_text("26/40").wait_for()
    panel = graph.open("report")
    panel.locator(".pg-diff").wait_for()
    FOLDER.mkdir(exist_ok=True)
    for theme in ("light", "dark"):
        notebook.dark(theme == "dark")
        page.mouse.move(0, 0)
        graph.root.screenshot(path=FOLDER / f"graph-{theme}.png")
    (notebook.path.parent / "go on").touch()
    notebook.wait_for_cell(4)


def main():
    """Start JupyterLab and Chromium, and take the pictures."""
    options = {"viewport": {"width": 1560, "height": 900}, "device_scale_factor": 2}
    with tempfile.TemporaryDirectory() as folder, lab_in_browser(Path(folder), **options) as (lab, page):
        take(lab, page)
    with tempfile.TemporaryDirectory() as folder, lab_in_browser(Path(folder)) as (lab, page):
        gallery.take_all(lab, page)
    sys.stdout.write(f"Look at {gallery.FOLDER / 'index.html'}\n")


if __name__ == "__main__":
    main()
