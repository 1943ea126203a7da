"""Reactors on several workers, seen from a notebook."""

import pytest

rig = pytest.importorskip("tests.notebook.rig")

CELL = """
import pathlib, time
from pyplant import Plant, ReactorFunc

def wait(side):
    print(side, "waits", flush=True)
    while not pathlib.Path(GO).exists():
        time.sleep(0.01)
    return side

@ReactorFunc
def go_left(pipe):
    pipe.send("left", wait("left"))

@ReactorFunc
def go_right(pipe):
    pipe.send("right", wait("right"))

@ReactorFunc
def meet(pipe):
    left, right = yield pipe.receive("left", "right")
    pipe.send("met", left + right)

many = Plant(FOLDER, executor=2)
many.add_reactor(go_left, go_right, meet)
"""


def cell(folder):
    """The cell that defines it all; its reactors wait for the file ``go``."""
    return CELL.replace("GO", repr(str(folder / "go"))).replace("FOLDER", repr(str(folder / "many")))


def outcomes(widget):
    """How the graph shows the reactors."""
    return {
        node["name"]: widget.state["state"]["nodes"].get(ident, {}).get("o")
        for ident, node in widget.state["graph"]["nodes"].items()
    }


def test_the_graph_shows_all_reactors_that_run_and_the_cell_what_they_print(notebook, tmp_path):
    notebook.new(cell(tmp_path))
    notebook.new("many.show_graph()")
    widget = notebook.kernel.widgets[-1]
    ran = notebook.begin_run(notebook.add("many.get('met')"))
    notebook.kernel.wait(lambda: [*outcomes(widget).values()].count("running") == 2)
    notebook.kernel.wait(lambda: ran.stdout.count("waits\n") == 2)
    assert outcomes(widget)["meet"] != "running"
    (tmp_path / "go").touch()
    assert notebook.kernel.finish(ran).fine.outputs[-1].text == "'leftright'"
    notebook.kernel.wait(lambda: set(outcomes(widget).values()) <= {"ran", "cached"})


def test_interrupting_the_cell_stops_the_workers(notebook, tmp_path):
    notebook.new(cell(tmp_path))
    ran = notebook.run(
        notebook.add("many.get('met')"), interrupt_when=lambda ran: ran.stdout.count("waits\n") == 2
    )
    assert ran.error.name == "KeyboardInterrupt"
    (tmp_path / "go").touch()
    assert notebook.run(notebook.add("many.get('met')")).fine.outputs[-1].text == "'leftright'"
