"""Reactor cells in JupyterLab: replay, moves and deletions."""

import pytest

from tests.browser.lab import wait_for_text
from tests.notebook.rig import SHOWS

# Without the line about the run, which shows only where a run takes long.
BEGIN = """%load_ext pyplant
from pyplant import *
from pyplant.notebook import progress
progress._DELAY = 60
%plant {name}.plant"""


@pytest.fixture
def notebook(open_notebook, request):
    """A notebook with a plant and some empty cells."""
    name = "".join(c if c.isalnum() else "-" for c in request.node.name)
    notebook = open_notebook(BEGIN.format(name=name), *[""] * 6)
    notebook.run(0)
    return notebook


def test_a_cell_is_replayed_after_a_restart(notebook, screenshot):
    notebook.run(1, SHOWS)
    shown = "first", "second", "third", "6"
    notebook.output(1).locator("img").wait_for()
    wait_for_text(notebook.output(1), *shown, alone=True)
    first = notebook.outputs(1)
    notebook.restart()
    notebook.run(0)
    notebook.run(1)
    notebook.output(1).locator("img").wait_for()
    wait_for_text(notebook.output(1), "cached", *shown)  # all outputs are drawn then
    lines = [line.strip() for line in notebook.output(1).inner_text().splitlines() if line.strip()]
    assert lines[1:] == list(shown)
    head, *rest = notebook.outputs(1)
    assert "cached" in head["data"]["text/plain"]
    assert rest == first
    screenshot(notebook.cell(1), "replayed-cell")


def test_outputs_are_bound_after_a_restart_without_a_run(notebook):
    notebook.run(1, "%%reactor numbers -o xs\nprint('computing')\nxs = [1, 2, 3]")
    notebook.restart()
    notebook.run(0)
    notebook.run(1)
    notebook.run(2, "sum(xs)")
    wait_for_text(notebook.output(2), "6")
    wait_for_text(notebook.output(1), "cached", "computing")


def test_a_traceback_points_into_the_cell(notebook):
    notebook.run(1, "%%reactor fails -o x\n\ny = 1\nx = y / 0")
    wait_for_text(notebook.output(1), "ZeroDivisionError", "Cell In[2], line 4", "----> 4 x = y / 0")


# ---------------------------------------------------------------------- ghosts


def reactor(name, sends, value):
    return f"%%reactor {name} -o {sends}\n{sends} = {value}"


def ask(notebook, expression):
    """Print an expression in the last cell and return the text."""
    last = len(notebook.sources()) - 1
    notebook.run(last, f"print({expression})")
    return notebook.printed(last)


def names(notebook):
    """The names of all reactors."""
    return ask(notebook, "*sorted(e.name for e in plant.status())").split()


def value(notebook, name):
    """Return an ingredient as printed text."""
    return ask(notebook, f"plant.get({name!r})").strip()


def test_a_renamed_reactor_leaves_no_ghost(notebook):
    notebook.run(1, reactor("a", "x", 1))
    notebook.run(1, reactor("b", "x", 2))
    assert names(notebook) == ["b"]
    assert value(notebook, "x") == "2"


def test_the_reactor_of_a_deleted_cell_runs_until_it_is_replaced(notebook):
    notebook.run(1, reactor("a", "x", 1))
    notebook.command("notebook:delete-cell", 1)
    assert value(notebook, "x") == "1"
    notebook.run(1, reactor("b", "x", 2))
    assert value(notebook, "x") == "2"
    assert names(notebook) == ["b"]


def test_a_deletion_that_is_undone_before_and_after_it_was_reported(notebook):
    notebook.run(1, reactor("a", "x", 1))
    for report in (False, True):
        notebook.command("notebook:delete-cell", 1)
        if report:
            assert names(notebook) == ["a"]
        notebook.command("notebook:undo-cell-action")
        notebook.run(1)
        assert names(notebook) == ["a"]
    notebook.run(1, reactor("b", "x", 2))
    assert names(notebook) == ["b"]


def test_a_cell_that_is_cut_and_pasted(notebook):
    notebook.run(1, reactor("a", "x", 1))
    notebook.command("notebook:cut-cell", 1)
    notebook.command("notebook:paste-cell-below", 2)
    place = notebook.sources().index(reactor("a", "x", 1))
    assert value(notebook, "x") == "1"
    notebook.run(place, reactor("b", "x", 2))
    assert value(notebook, "x") == "2"
    assert names(notebook) == ["b"]


def test_a_copied_cell_takes_the_name_with_a_notice(notebook):
    notebook.run(1, reactor("a", "x", 1))
    notebook.command("notebook:copy-cell", 1)
    notebook.command("notebook:paste-cell-below", 1)
    notebook.run(2, reactor("a", "x", 3))
    wait_for_text(notebook.output(2), "'a'")
    assert notebook.outputs(2)[0]["data"]["text/plain"].count("'a'") == 1
    assert value(notebook, "x") == "3"


def test_two_cells_that_are_merged(notebook):
    for cell, name, sends in ((1, "a", "x"), (2, "b", "y")):
        notebook.run(cell, f"@ReactorFunc\ndef {name}(pipe):\n    pipe.send({sends!r}, 1)")
    notebook.command("notebook:merge-cells", 1, also=2)
    notebook.run(1)
    assert names(notebook) == ["a", "b"]
    assert value(notebook, "x") == "1"
    assert value(notebook, "y") == "1"


def test_names_that_are_swapped_between_two_cells(notebook):
    notebook.run(1, reactor("a", "x", 1))
    notebook.run(2, reactor("b", "y", 2))
    notebook.run(1, reactor("b", "x", 1))
    notebook.run(2, reactor("a", "y", 2))
    assert names(notebook) == ["a", "b"]
    assert value(notebook, "x") == "1"
    assert value(notebook, "y") == "2"


def test_a_missing_input_is_refused_with_the_corrected_line(notebook):
    notebook.run(1, reactor("a", "x", 1))
    notebook.run(2, "%%reactor b -o y\ny = x + 1")
    wait_for_text(notebook.output(2), "%%reactor b -i x -o y")
    notebook.run(2, "%%reactor b -i x -o y\ny = x + 1")
    assert value(notebook, "y") == "2"
