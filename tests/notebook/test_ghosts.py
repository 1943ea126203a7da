"""Cells that are re-run, renamed, deleted and moved leave no ghost of a reactor, and no false conflict.

The kernel is told of cells as JupyterLab tells it.
"""

import os
import subprocess
import sys
import textwrap

import nbformat
import pytest

from tests.conformance.helpers import environment


def by_decorator(name, sends, value, receives=()):
    """A cell with a reactor in the form that editors understand."""
    received = "".join(f"    {other} = yield pipe.receive({other!r})\n" for other in receives)
    return f"@ReactorFunc\ndef {name}(pipe):\n{received}    pipe.send({sends!r}, {value})"


def by_magic(name, sends, value, receives=()):
    """The same as a cell that remembers; it is not run by itself."""
    inputs = f"-i {' '.join(receives)} " if receives else ""
    return f"%%reactor {name} {inputs}-o {sends} --no-run\n{sends} = {value}"


@pytest.fixture(params=[by_decorator, by_magic], ids=["decorator", "magic"])
def form(request):
    return request.param


def lines(ran):
    """What a cell told in lines of its own."""
    return [line for line in ran.text.splitlines() if line.strip()]


# ---------------------------------------------------------------------- renamed


def test_a_renamed_reactor_has_no_old_definition(notebook, form):
    cell = notebook.new(form("produce", "thing", 1))
    assert notebook.get("thing") == "produce 1"
    ran = notebook.run(cell, form("produce_better", "thing", 1)).fine
    assert lines(ran) == []
    assert notebook.reactors() == ["produce_better"]
    assert notebook.get("thing") == "nothing 1"


def test_what_a_renamed_reactor_sends_is_still_a_hit_after_an_edit_and_back(notebook, form):
    cell = notebook.new(form("produce", "thing", 1))
    notebook.get("thing")
    notebook.run(cell, form("better", "thing", 2)).fine
    assert notebook.get("thing") == "better 2"
    notebook.run(cell, form("best", "thing", 1)).fine
    assert notebook.get("thing") == "nothing 1"


def test_a_cell_that_defines_no_reactor_any_more(notebook, form):
    cell = notebook.new(form("produce", "thing", 1))
    notebook.new(form("other", "else_", 1))
    notebook.run(cell, "print('no reactor')").fine
    assert notebook.reactors() == ["other"]
    assert "thing" in notebook.fails("thing")


def test_a_failed_cell_keeps_earlier_definitions(notebook):
    cell = notebook.new(by_decorator("produce", "thing", 1))
    assert notebook.run(cell, "1 / 0\n" + by_decorator("produce", "thing", 2)).error is not None
    assert notebook.get("thing") == "produce 1"
    notebook.run(cell, by_decorator("produced", "thing", 3)).fine
    assert notebook.reactors() == ["produced"]


def test_names_that_are_swapped_between_two_cells(notebook, form):
    first = notebook.new(form("a", "x", 1))
    second = notebook.new(form("b", "y", 2))
    assert notebook.get("x", "y") == "a,b (1, 2)"
    notebook.run(first, form("b", "x", 1)).fine
    notebook.run(second, form("a", "y", 2)).fine
    assert notebook.reactors() == ["a", "b"]
    assert notebook.get("x", "y") == "nothing (1, 2)"
    notebook.run(second).fine
    notebook.run(first).fine
    assert notebook.get("x", "y") == "nothing (1, 2)"


def test_ingredients_that_are_swapped_between_two_cells(notebook, form):
    first = notebook.new(form("a", "x", 1))
    second = notebook.new(form("b", "y", 2))
    notebook.get("x", "y")
    notebook.run(first, form("a", "y", 2)).fine  # for the time being two cells send y
    notebook.run(second, form("b", "x", 1)).fine
    assert notebook.get("x", "y") == "nothing (1, 2)"


# ---------------------------------------------------------------------- deleted


def test_the_reactor_of_a_deleted_cell_can_be_used(notebook, form):
    cell = notebook.new(form("produce", "thing", 1))
    notebook.delete(cell)
    assert notebook.get("thing") == "produce 1"
    assert notebook.reactors() == ["produce"]


def test_an_orphan_is_replaced_by_another_sender(notebook, form):
    cell = notebook.new(form("produce", "thing", 1))
    notebook.delete(cell)
    assert lines(notebook.run(notebook.add(form("make", "thing", 2))).fine) == []
    assert notebook.get("thing") == "make 2"
    assert notebook.reactors() == ["make"]


def test_an_orphan_is_replaced_by_a_reactor_of_its_name_without_a_notice(notebook, form):
    cell = notebook.new(form("produce", "thing", 1))
    notebook.delete(cell)
    assert lines(notebook.run(notebook.add(form("produce", "other", 2))).fine) == []
    assert notebook.get("other") == "produce 2"
    assert "thing" in notebook.fails("thing")


def test_a_deletion_that_is_undone(notebook, form):
    cell = notebook.new(form("produce", "thing", 1))
    notebook.delete(cell)
    notebook.look("'the deletion is reported with this'")
    notebook.undo(cell)
    assert lines(notebook.run(cell).fine) == []
    assert notebook.get("thing") == "produce 1"
    # It is as any other again: it yields to nobody.
    notebook.new(form("make", "thing", 2))
    assert "thing" in notebook.fails("thing")


def test_a_cell_that_was_cut_and_pasted(notebook, form):
    cell = notebook.new(form("produce", "thing", 1))
    reader = notebook.new(form("read", "seen_", "thing + 1", ["thing"]))
    notebook.cut_and_paste(cell)
    assert notebook.get("seen_") == "produce,read 2"
    assert lines(notebook.run(cell).fine) == []
    notebook.run(reader).fine
    assert notebook.get("seen_") == "nothing 2"
    assert notebook.reactors() == ["produce", "read"]


def test_a_pasted_cell_that_is_renamed_leaves_no_ghost(notebook, form):
    cell = notebook.new(form("produce", "thing", 1))
    notebook.cut_and_paste(cell)
    notebook.look("'reported'")
    notebook.run(cell, form("make", "thing", 2)).fine
    assert notebook.get("thing") == "make 2"
    assert notebook.reactors() == ["make"]


def test_cells_that_are_replaced_and_deleted_at_once(notebook, form):
    first, second = notebook.new(form("a", "x", 1)), notebook.new(form("b", "y", 2))
    notebook.delete(first)
    notebook.delete(second)
    notebook.new(form("c", "x", 3))
    assert notebook.get("x", "y") == "b,c (3, 2)"
    assert notebook.reactors() == ["b", "c"]


# ---------------------------------------------------------------------- merged, split, copied


def test_two_cells_that_are_merged(notebook):
    first = notebook.new(by_decorator("a", "x", 1))
    second = notebook.new(by_decorator("b", "y", "x + 1", ["x"]))
    assert notebook.get("y") == "a,b 2"
    merged = notebook.merge(first, second)
    told = lines(notebook.run(merged).fine)
    assert len(told) <= 2
    assert notebook.get("y") == "nothing 2"
    assert notebook.reactors() == ["a", "b"]
    # From now on the merged cell alone defines them.
    notebook.run(merged, by_decorator("c", "x", 5)).fine
    assert notebook.reactors() == ["c"]


def test_merging_two_reactor_cells_is_refused(notebook):
    first, second = notebook.new(by_magic("a", "x", 1)), notebook.new(by_magic("b", "y", 2))
    error = notebook.run(notebook.merge(first, second)).error
    assert "Line 4" in error.text
    assert "%%reactor b" in error.text
    assert notebook.get("x", "y") == "a,b (1, 2)"


def test_a_cell_that_is_split(notebook):
    cell = notebook.new(by_decorator("a", "x", 1) + "\n\n" + by_decorator("b", "y", 2))
    notebook.get("x", "y")
    rest = notebook.add(by_decorator("b", "y", 2))
    notebook.run(cell, by_decorator("a", "x", 1)).fine
    assert lines(notebook.run(rest).fine) == []
    assert notebook.get("x", "y") == "nothing (1, 2)"


def test_a_name_in_two_cells_shows_a_notice(notebook, form):
    notebook.new(form("produce", "thing", 1))
    copy = notebook.add(form("produce", "thing", 2))
    told = lines(notebook.run(copy).fine)
    assert len(told) == 1
    assert "produce" in told[0]
    assert "cell [" in told[0]
    assert notebook.get("thing") == "produce 2"
    assert lines(notebook.run(copy).fine) == []


def test_running_the_first_of_two_cells_again_makes_it_count_again(notebook, form):
    first = notebook.new(form("produce", "thing", 1))
    second = notebook.new(form("produce", "thing", 2))
    assert notebook.get("thing") == "produce 2"
    assert len(lines(notebook.run(first).fine)) == 1
    assert notebook.get("thing") == "produce 1"
    # The second has nothing left to take away.
    notebook.run(second, "'no reactor'").fine
    assert notebook.get("thing") == "nothing 1"


# ---------------------------------------------------------------------- conflicts that are real


def test_two_cells_that_send_one_ingredient_are_named_when_it_is_demanded(notebook, form):
    one, other = [notebook.run(notebook.add(form(name, "thing", 1))).fine for name in ("produce", "make")]
    message = notebook.fails("thing")
    assert "'thing'" in message
    assert f"'produce' (cell [{one.number}])" in message
    assert f"'make' (cell [{other.number}])" in message
    notebook.look("plant.remove_reactor('make')").fine
    assert notebook.get("thing") == "produce 1"


def test_a_loop_that_defines_one_name_twice(notebook):
    notebook.new("for number in (1, 2):\n" + textwrap.indent(by_decorator("r", "thing", "number"), "    "))
    message = notebook.fails("thing")
    assert "'r'" in message
    assert "@ReactorFunc(name=" in message


def test_a_loop_that_names_its_reactors(notebook):
    cell = notebook.add(
        "for number in (1, 2):\n"
        "    @ReactorFunc(name=f'make_{number}')\n"
        "    def make(pipe, config, number=number):\n"
        "        pipe.send(f'thing_{number}', number)"
    )
    for _ in range(2):
        notebook.run(cell).fine
        assert notebook.reactors() == ["make_1", "make_2"]
    notebook.run(cell, notebook.cells[cell].replace("(1, 2)", "(2, 3)")).fine
    assert notebook.reactors() == ["make_2", "make_3"]


# ---------------------------------------------------------------------- edges that would be missing


def test_a_body_that_reads_an_ingredient_without_receiving_it_is_refused(notebook):
    notebook.new(by_magic("load", "data", "[1, 2]"))
    error = notebook.run(notebook.add("%%reactor total -o whole\nwhole = sum(data)")).error
    assert "%%reactor total -i data -o whole" in error.text
    ran = notebook.run(notebook.add("%%reactor total -i data -o whole\nwhole = sum(data)"))
    assert ran.error is None
    assert notebook.look("whole").fine.text == "3"


def test_the_corrected_line_keeps_the_given_inputs(notebook):
    notebook.new(by_magic("load", "data", "[1, 2]"))
    notebook.new(by_magic("more", "rest", "[3]"))
    error = notebook.run(
        notebook.add("%%reactor total -i data -o whole --force\nwhole = sum(data + rest)")
    ).error
    assert "%%reactor total -i data rest -o whole --force" in error.text


def test_a_body_may_bind_the_name_of_an_ingredient_itself(notebook):
    notebook.new(by_magic("load", "data", "[1, 2]"))
    notebook.new("%%reactor total -o whole\ndata = [5]\nwhole = sum(data)")
    assert notebook.look("whole").fine.text == "5"


def test_a_decorated_reactor_that_reads_an_ingredient_from_the_notebook_is_warned_about(notebook):
    notebook.new("%%reactor load -o data\ndata = [1, 2]")
    notebook.new("@ReactorFunc\ndef total(pipe):\n    pipe.send('whole', sum(data))")
    ran = notebook.look("plant.run_reactor('total')").fine
    assert "data" in ran.stderr
    assert "pipe.receive('data')" in ran.stderr


# ---------------------------------------------------------------------- objects of classes in cells

CLASS = """
class Shape:
    def __init__(self, side):
        self.side = side

    def area(self):
        return self.side**2
"""


def test_instances_of_a_class_in_a_cell_pass_isinstance_after_a_restart(notebook, form):
    shape = notebook.new(CLASS)
    made = notebook.new(form("make", "shape", "Shape(3)"))
    read = notebook.new(form("read", "told", "[isinstance(shape, Shape), shape.area()]", ["shape"]))
    assert notebook.get("told") == "make,read [True, 9]"
    notebook.restart()
    for cell in (shape, made, read):
        notebook.run(cell).fine
    assert notebook.get("told") == "nothing [True, 9]"
    assert notebook.look("isinstance(plant.get('shape'), Shape)").fine.text == "True"
    notebook.run(read, form("read", "told", "[isinstance(shape, Shape), shape.area() + 1]", ["shape"])).fine
    assert notebook.get("told") == "read [True, 10]"


# ---------------------------------------------------------------------- after a restart


def test_a_name_whose_cell_was_not_run_since_the_restart(notebook, form):
    notebook.new(form("numbers", "xs", "[1, 2]"))
    reader = notebook.new(form("total", "sum_", "sum(xs)", ["xs"]))
    notebook.get("sum_")
    notebook.restart()
    notebook.run(reader).fine
    message = notebook.fails("xs")
    assert "'xs'" in message
    assert "'numbers'" in message
    assert "fetch_ingredient('xs')" in message


# ---------------------------------------------------------------------- papermill


def papermill(folder, cells, *, cwd):
    """Run a notebook by papermill in a process that was started in another folder."""
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_code_cell(cell) for cell in cells]
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, folder / "in.ipynb")
    process = subprocess.run(
        [
            sys.executable,
            "-m",
            "papermill",
            str(folder / "in.ipynb"),
            str(folder / "out.ipynb"),
            "--no-progress-bar",
        ],
        cwd=cwd,
        env=environment(IPYTHONDIR=str(folder / "ipython"), JUPYTER_RUNTIME_DIR=str(folder / "runtime")),
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return nbformat.read(folder / "out.ipynb", as_version=4)


def test_papermill_that_was_started_in_another_folder(tmp_path):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "elsewhere").mkdir()
    cells = [
        "%load_ext pyplant",
        "%plant here.plant",
        "%%reactor numbers -o xs\nprint('computed')\nxs = [1, 2, 3]",
        "%%reactor total -i xs -o whole\nwhole = sum(xs)\nwhole",
        "plant.show_graph()",
    ]
    for _ in range(2):
        done = papermill(tmp_path / "notebooks", cells, cwd=tmp_path / "elsewhere")
        assert "computed" in str(done.cells[2].outputs)
        assert "'6'" in str(done.cells[3].outputs)
        assert done.cells[4].outputs
    assert (tmp_path / "elsewhere" / "here.plant" / "FORMAT").exists()
    assert "cached" in str(done.cells[2].outputs)


# ---------------------------------------------------------------------- modules and scripts

MODULE = """
from pyplant import *
@ReactorFunc
def {0}(pipe):
    pipe.send("thing", {1})
"""


def test_a_script_that_is_run_again_leaves_no_ghost(notebook, tmp_path):
    script = tmp_path / "script_of_reactors.py"
    script.write_text(MODULE.format("produce", 1))
    notebook.new(f"%run {script}")
    assert notebook.reactors() == ["produce"]
    script.write_text(MODULE.format("better", 2))
    notebook.new(f"%run {script}")
    assert notebook.reactors() == ["better"]


@pytest.mark.parametrize("more", ["", "    pass\n", "X = 1\n"])
def test_a_reactor_that_is_renamed_in_a_reloaded_module_leaves_no_ghost(notebook, tmp_path, more):
    module = tmp_path / f"module_{len(more)}.py"
    module.write_text(MODULE.format("produce", 1))
    notebook.new(f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\n%load_ext autoreload\n%autoreload 2")
    notebook.new(f"import {module.stem}")
    assert notebook.reactors() == ["produce"]
    module.write_text(MODULE.format("better", 2) + more)
    os.utime(module, (1, 2_000_000_000))
    notebook.new("1")
    assert notebook.reactors() == ["better"]
    notebook.new("%autoreload 0")
