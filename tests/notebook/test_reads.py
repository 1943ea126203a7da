"""Cells notice what they read outside the plant: a file is edited, and what depends on it runs again."""

from pathlib import Path

import pytest

LOAD = """
%%reactor load -o rows
rows = [line.strip() for line in open("prices.csv")]
"""
MODE = """
%%reactor mode -o mode
mode = os.environ.get("READS_MODE", "none")
"""
TOTAL = """
%%reactor total -i rows -o total
total = len(rows)
"""
FUNCTION = """
import pathlib
from pyplant import SubreactorFunc

@SubreactorFunc
def lines(pipe):
    return pathlib.Path("prices.csv").read_text().splitlines()

@ReactorFunc
def load(pipe):
    pipe.send("rows", (yield from lines(pipe)))
"""


@pytest.fixture
def prices(notebook):
    folder = notebook.look("import os; print(os.getcwd())").fine.stdout.strip()
    path = Path(folder) / "prices.csv"
    path.write_text("1\n2\n")
    return path


@pytest.mark.parametrize("load", [LOAD, FUNCTION], ids=["cell", "subreactor"])
def test_an_edited_file_reruns_the_cell_that_reads_it(notebook, prices, load):
    notebook.new(load)
    notebook.new(TOTAL)
    notebook.get("total")
    assert notebook.get("total") == "nothing 2"
    prices.write_text("1\n2\n3\n")
    assert notebook.get("total") == "load,total 3"
    assert "prices.csv, in" in notebook.look("print(plant.explain('load'))").fine.stdout


def test_an_undeclared_file_is_a_notice_of_its_cell_once(notebook, prices):
    cell = notebook.add(LOAD.strip())
    ran = notebook.run(cell).fine
    assert "prices.csv without declaring it" in ran.text
    assert not ran.stderr
    assert "declaring" not in notebook.run(cell).fine.text


def test_a_variable_that_a_cell_sets_reruns_the_cell_that_asks_for_it(notebook):
    notebook.new("import os")
    notebook.new(MODE)
    notebook.get("mode")
    assert notebook.get("mode") == "nothing none"
    notebook.new("os.environ['READS_MODE'] = 'fast'")
    assert notebook.get("mode") == "mode fast"
