"""Cells that remember, edited in every way: what must run runs, and nothing else does.

The first part is the comparison with other tools that `tests/conformance/test_kernel.py` makes for plain
cells: a helper in one cell, reactors in others, in a real kernel.
"""

import pytest

from tests.notebook.rig import began

HELPER = """
def helper(x):
    return x * 2
"""
LOAD = """
%%reactor load -o data
data = helper(10)
"""
SHOW = """
%%reactor show -i data -o shown
shown = f"<{data}>"
"""
FUNCTIONS = """
%%reactor
def load(pipe):
    pipe.send("data", helper(10))

def show(pipe):
    pipe.send("shown", f"<{(yield pipe.receive('data'))}>")
"""


class Cells:
    """The helper's cell, and one cell a reactor or one for both."""

    def __init__(self, notebook, helper, *reactors):
        self.notebook = notebook
        self.helper = notebook.add(helper)
        self.reactors = [notebook.add(text) for text in reactors]
        self.all = [self.helper, *self.reactors]

    def edit(self, old, new):
        """Edit the cells that hold a text, and run them."""
        for cell in self.all:
            text = self.notebook.cells[cell]
            if old in text:
                self.notebook.run(cell, text.replace(old, new)).fine

    def run(self):
        """Run all cells, and demand the last ingredient; which reactors ran, and its value."""
        for cell in self.all:
            self.notebook.run(cell).fine
        return self.look()

    def look(self):
        return self.notebook.get("shown")


@pytest.fixture(params=["named", "unnamed"])
def cells(request, notebook):
    return Cells(notebook, HELPER, *([LOAD, SHOW] if request.param == "named" else [FUNCTIONS]))


# ---------------------------------------------------------------------- the rows of the comparison


def test_re_running_the_same_cells_runs_nothing(cells):
    assert cells.run() == "load,show <20>"
    assert cells.run() == "nothing <20>"


def test_an_edit_of_a_body_in_the_same_kernel_and_back(cells):
    cells.run()
    cells.edit("<{", "[{")
    assert cells.look() == "show [20>"
    cells.edit("[{", "<{")
    assert cells.look() == "nothing <20>"


def test_an_edit_of_the_helpers_cell_alone_and_back(cells):
    cells.run()
    cells.edit("x * 2", "x * 3")
    assert cells.look() == "load,show <30>"
    cells.edit("x * 3", "x * 2")
    assert cells.look() == "nothing <20>"


def test_a_kernel_that_is_restarted(cells):
    cells.run()
    cells.notebook.restart()
    assert cells.run() == "nothing <20>"
    cells.edit("x * 2", "x * 3")
    assert cells.look() == "load,show <30>"


def test_an_unrelated_line_in_the_helpers_cell(cells):
    cells.run()
    cells.edit("def helper", "print('hello')  # a line\nunrelated = 5\n\ndef helper")
    assert cells.look() == "nothing <20>"


# ---------------------------------------------------------------------- what does not count


def test_an_unrelated_line_in_an_unnamed_cell(notebook):
    cells = Cells(notebook, HELPER, FUNCTIONS)
    cells.run()
    cells.edit("def load", "unrelated = 5\nprint(unrelated)\n\ndef load")
    assert cells.look() == "nothing <20>"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("data = helper(10)", "# a comment\ndata = helper(10)  # and another"),
        ("data = helper(10)", "\n\n\ndata = helper(10)\n\n"),
        ("data = helper(10)", "data=helper( 10 )"),
        ("data = helper(10)", "data = helper(\n    10,\n)"),
        ("%%reactor load -o data", "%%reactor load   -o   data  # sends data"),
        ("%%reactor load -o data", "%%reactor load -o data --no-replay"),
        ("%%reactor load", "# what this cell is for\n\n%%reactor load"),
    ],
    ids=["comments", "blank lines", "spaces", "line breaks", "the first line", "an option", "above"],
)
def test_edits_that_do_not_count_in_a_named_cell(notebook, old, new):
    cells = Cells(notebook, HELPER, LOAD.strip("\n"), SHOW)
    cells.run()
    cells.edit(old, new)
    assert cells.look() == "nothing <20>"


def test_a_reactor_that_is_renamed_and_moved(notebook):
    cells = Cells(notebook, HELPER, LOAD, SHOW)
    cells.run()
    cells.edit("%%reactor load", "%%reactor load_numbers")
    assert cells.look() == "nothing <20>"
    shown = cells.reactors[-1]
    notebook.delete(shown)
    notebook.new(SHOW.replace("reactor show", "reactor shows"))
    assert notebook.get("shown") == "nothing <20>"


def test_a_reactor_that_moves_into_another_cell_with_others(notebook):
    cells = Cells(notebook, HELPER, FUNCTIONS)
    cells.run()
    load, _, show = FUNCTIONS.partition("\ndef show")
    notebook.run(cells.reactors[0], load).fine
    notebook.new("%%reactor\ndef show" + show)
    assert notebook.get("shown") == "nothing <20>"


# ---------------------------------------------------------------------- what counts


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("helper(10)", "helper(10.0)", "load,show <20.0>"),
        ("helper(10)", "helper(True)", "load,show <2>"),
        ("data = helper(10)", "factor = 10\ndata = helper(factor + 1)", "load,show <22>"),
        ("<{data}>", "<{data!r}>", "show <20>"),
        ("-i data", "-i data more", "show <20>"),
    ],
    ids=["type", "bool", "statement", "conversion", "inputs"],
)
def test_edits_that_count_in_a_named_cell(notebook, old, new, expected):
    cells = Cells(notebook, HELPER, LOAD, SHOW)
    notebook.new("%%reactor more -o more\nmore = 1")
    cells.run()
    notebook.seen()
    cells.edit(old, new)
    assert cells.look() == expected


def test_a_semicolon_at_the_end_counts(notebook):
    cell = notebook.new("%%reactor r -o x\nx = 5\nx + 1")
    assert notebook.run(cell).fine.outputs[-1].text == "6"
    notebook.seen()
    notebook.run(cell, notebook.cells[cell] + ";").fine
    assert notebook.seen() == "r"
    ran = notebook.run(cell).fine
    assert notebook.seen() == "nothing"
    assert "6" not in [output.text for output in ran.outputs]


def test_a_global_of_the_notebook_that_changed_and_back(notebook):
    factor = notebook.new("factor = 2")
    cells = Cells(notebook, HELPER.replace("x * 2", "x * factor"), LOAD, SHOW)
    assert cells.run() == "load,show <20>"
    for text, expected in (
        ("factor = 4", "load,show <40>"),
        ("factor = 4.0", "load,show <40.0>"),
        ("factor = 2", "nothing <20>"),
    ):
        notebook.run(factor, text).fine
        assert cells.look() == expected


def test_a_class_in_a_cell_that_was_edited_and_back(notebook):
    text = "class Shape:\n    def area(self):\n        return 6"
    shape = notebook.new(text)
    cells = Cells(notebook, "def helper(x):\n    return x + Shape().area()", LOAD, SHOW)
    assert cells.run() == "load,show <16>"
    notebook.run(shape, text.replace("6", "9")).fine
    assert cells.look() == "load,show <19>"
    notebook.run(shape, text + "  # as before").fine
    assert cells.look() == "nothing <16>"


def test_a_configuration_that_changed_and_back(notebook):
    notebook.new("plant.set_config({'factor': 2, 'other': 1})")
    notebook.new("%%reactor r -o x\nx = 10 * pipe.read_config('factor')")
    assert notebook.get("x") == "r 20"
    notebook.new("plant.set_config({'factor': 3, 'other': 1})")
    assert notebook.get("x") == "r 30"
    notebook.new("plant.set_config({'factor': 2, 'other': 7})")
    assert notebook.get("x") == "nothing 20"


def test_an_interrupted_cell_runs_when_it_is_run_again(notebook, tmp_path):
    notebook.new("import pathlib, time")
    text = "%%reactor r -o x\nx = 1\nwait = pathlib.Path(LOCK)\nprint('began', flush=True)\n"
    text = text.replace("LOCK", repr(str(tmp_path / "go"))) + "while not wait.exists():\n    time.sleep(0.01)"
    cell = notebook.add(text)
    ran = notebook.run(cell, interrupt_when=began)
    assert ran.error.name == "KeyboardInterrupt"
    (tmp_path / "go").touch()
    notebook.seen()
    notebook.run(cell).fine
    assert notebook.seen() == "r"


def test_replaced_values_are_released(notebook):
    notebook.new("import weakref, gc, numpy as np\nmade = []\nplant.show_graph()")
    values = notebook.add("")
    named = notebook.add("%%reactor add -o total\ntotal = float(values.sum())")
    function = notebook.add("%%reactor\ndef average(pipe):\n    pipe.send('mean', float(values.mean()))")
    for n in range(5):
        notebook.run(values, f"values = np.full(1000, {n}.0)\nmade.append(weakref.ref(values))").fine
        notebook.run(named).fine
        notebook.run(function).fine
        assert notebook.get("mean") == f"add,average {n}.0"
    alive = notebook.run(notebook.add("gc.collect()\nlen([ref for ref in made if ref() is not None])"))
    assert int(alive.fine.text) <= 2


def test_an_empty_cell_shows_nothing(notebook):
    for text in ("", " "):
        ran = notebook.look(text).fine
        assert (ran.stdout, ran.stderr) == ("", "")
