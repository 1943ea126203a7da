"""Which cell defined which reactors, with a front end that identifies cells."""

import pytest

import __main__
from pyplant import Plant, _definitions
from pyplant.errors import DuplicateSenderError
from pyplant.notebook.cells import Cells


class Shell:
    """The shell of a kernel, with the metadata of the current request."""

    def __init__(self):
        self.metadata = {}

    def get_parent(self):
        return {"metadata": self.metadata}


class Notebook:
    """Runs cells as a kernel does, and collects notices."""

    def __init__(self):
        self.shell = Shell()
        self.notices = []
        self.cells = Cells(self.shell, self.notices.append)
        self.number = 0
        exec("from pyplant import *", vars(__main__))

    def run(self, text, cell="", deleted=()):
        self.shell.metadata = {"cellId": cell, "deletedCells": list(deleted)} if cell else {}
        self.number += 1
        self.cells.begin(text, self.number)
        failed = False
        try:
            exec(compile(text, f"<cell {self.number}>", "exec"), vars(__main__))
        except ZeroDivisionError:
            failed = True
        self.cells.end(failed=failed)

    @property
    def names(self):
        return sorted(definition.name for definition in _definitions.current_definitions())


def sends(name, ingredient="x", value=1):
    return f"@ReactorFunc\ndef {name}(pipe):\n    pipe.send({ingredient!r}, {value})\n"


@pytest.fixture
def notebook():
    before = dict(vars(__main__))
    yield Notebook()
    vars(__main__).clear()
    vars(__main__).update(before)
    _definitions.running_cell = None
    _definitions.orphans.clear()


@pytest.fixture
def plant(plant_dir):
    with Plant(plant_dir, progress=False) as plant:
        yield plant


def test_a_reactor_knows_its_cell(notebook):
    notebook.run(sends("a"), "A")
    (definition,) = _definitions.current_definitions()
    assert (definition.place, definition.cell.ident) == ("cell [1]", "A")


def test_a_function_of_a_module_has_no_cell(notebook):
    notebook.run("import tests.notebook.helpers_of_cells", "A")
    assert {d.cell for d in _definitions.current_definitions() if d.name == "from_a_module"} == {None}


def test_a_cell_that_is_run_again_replaces_what_it_defined(notebook):
    notebook.run(sends("a"), "A")
    notebook.run(sends("b"), "A")
    assert notebook.names == ["b"]
    assert notebook.notices == []


def test_a_renamed_reactor_does_not_conflict_even_in_its_own_cell(notebook, plant):
    vars(__main__)["plant"] = plant
    notebook.run(sends("a"), "A")
    notebook.run(sends("b", value=2) + "got = plant.get('x')", "A")
    assert vars(__main__)["got"] == 2


def test_without_cell_ids_reactors_are_identified_by_name(notebook):
    notebook.run(sends("a"))
    notebook.run(sends("b", "y"))
    notebook.run(sends("a", "z"))
    assert notebook.names == ["a", "b"]
    assert notebook.notices == []


def test_a_failed_cell_keeps_definitions_that_it_did_not_reach(notebook):
    notebook.run(sends("a") + sends("b", "y"), "A")
    notebook.run(sends("a", value=2) + "1 / 0\n" + sends("b", "y"), "A")
    assert notebook.names == ["a", "b"]
    notebook.run(sends("c"), "A")
    assert notebook.names == ["c"]


def test_a_definition_in_another_cell_replaces_with_a_notice(notebook):
    notebook.run(sends("a"), "A")
    notebook.run(sends("a", value=2), "B")
    assert notebook.notices == ["Reactor 'a' was defined in cell [1]; from now on this cell defines it."]
    notebook.run(sends("a", value=2), "B")
    assert len(notebook.notices) == 1


def test_a_swap_of_two_names_recovers(notebook, plant):
    notebook.run(sends("a", "x"), "A")
    notebook.run(sends("b", "y"), "B")
    notebook.run(sends("b", "x"), "A")
    notebook.run(sends("a", "y"), "B")
    assert notebook.names == ["a", "b"]
    assert plant.get("x", "y") == (1, 1)


def test_an_error_names_both_cells_that_send_one_ingredient(notebook, plant):
    notebook.run(sends("a"), "A")
    notebook.run(sends("b"), "B")
    with pytest.raises(
        DuplicateSenderError, match=r"'a' \(cell \[1\]\) and 'b' \(cell \[2\]\).*remove_reactor"
    ):
        plant.get("x")
    plant.remove_reactor("a")
    assert plant.get("x") == 1


def test_a_loop_that_defines_one_name_twice_is_an_error(notebook, plant):
    notebook.run("for i in range(2):\n    @ReactorFunc\n    def a(pipe):\n        pipe.send('x', 1)\n", "A")
    with pytest.raises(ValueError, match=r"Cell \[1\] defines reactor 'a' more than once"):
        plant.get("x")
    notebook.run(sends("a"), "A")
    assert plant.get("x") == 1


# ---------------------------------------------------------------------- orphans


def test_the_reactor_of_a_deleted_cell_still_runs(notebook, plant):
    notebook.run(sends("a"), "A")
    notebook.run("pass", "B", deleted=["A"])
    assert [d.name for d in _definitions.orphans] == ["a"]
    assert plant.get("x") == 1


def test_an_orphan_is_replaced_by_a_definition_of_its_name(notebook):
    notebook.run(sends("a"), "A")
    notebook.run(sends("a", value=2), "B", deleted=["A"])
    assert (notebook.names, _definitions.orphans, notebook.notices) == (["a"], set(), [])


def test_an_orphan_is_replaced_by_another_sender_of_its_ingredient(notebook, plant):
    notebook.run(sends("a"), "A")
    notebook.run(sends("b", value=2), "B", deleted=["A"])
    assert plant.get("x") == 2
    assert notebook.names == ["b"]


def test_the_newer_of_two_orphans_with_one_ingredient_is_used(notebook, plant):
    notebook.run(sends("a"), "A")
    notebook.run(sends("b", value=2), "B")
    notebook.run("pass", "C", deleted=["A", "B"])
    assert plant.get("x") == 2


def test_a_cell_that_was_cut_and_pasted_is_no_orphan_once_it_runs(notebook):
    notebook.run(sends("a"), "A")
    notebook.run("pass", "B", deleted=["A"])
    notebook.run(sends("a"), "A")
    assert (notebook.names, _definitions.orphans) == (["a"], set())
    notebook.run(sends("b"), "A")
    assert notebook.names == ["b"]


def test_cells_that_defined_nothing_may_be_deleted(notebook):
    notebook.run(sends("a"), "A")
    notebook.run("pass", "B", deleted=["unknown", 7, None])
    assert _definitions.orphans == set()


def test_invalid_metadata_is_ignored(notebook):
    for metadata in (None, [], {"cellId": 7, "deletedCells": "A"}, {"deletedCells": {"A": 1}}):
        notebook.shell.metadata = metadata
        notebook.cells.begin("", 1)
        notebook.cells.end(failed=False)
