"""Fingerprints cover the code that runs, not the text of a file that was edited but not loaded."""

import importlib
import os
import time

import pytest

from pyplant import Plant
from tests.conformance.helpers import environment, module_at, write_files  # noqa: F401
from tests.conformance.kernel import Kernel

PIPELINE = """
    from pyplant import ReactorFunc
    from poison_helpers import f, g

    FACTOR = 2

    def local(x):
        return x * FACTOR

    @ReactorFunc
    def work(pipe):
        pipe.send("result", [local(10), f(10), g(10)])
"""

HELPERS = """
    def f(x):
        y = x + 1
        return y

    def g(x):
        y = x + 2
        return y
"""


@pytest.fixture
def session(plant_dir, module_at):
    """A process that imported the pipeline and ran it once."""
    helpers = module_at("poison_helpers", HELPERS)
    pipeline = module_at("poison", PIPELINE)
    with Plant(plant_dir) as plant:
        plant.run_reactor("work")
        assert plant.get("result") == [20, 11, 12]
        yield plant, pipeline, helpers


def edit(module_at, old, new, name="poison_helpers"):
    text = {"poison": PIPELINE, "poison_helpers": HELPERS}[name]
    assert old in text
    module_at(name, text.replace(old, new), load=False)


EDITS = {
    "helper": ("poison_helpers", "x + 2", "x + 3"),
    "function of the same module": ("poison", "x * FACTOR", "x - FACTOR"),
    "constant": ("poison", "FACTOR = 2", "FACTOR = 3"),
    "reactor": ("poison", "local(10)", "local(11)"),
    "lines shifted": ("poison_helpers", "y = x + 1", "# one\n        # two\n        y = x + 1"),
    "functions swapped": ("poison_helpers", "def f", "def not_f(x):\n        return 0\n\n    def f"),
    "file emptied": ("poison_helpers", HELPERS.strip(), ""),
    "file broken": ("poison_helpers", "def g(x):", "def g(x:"),
}


@pytest.mark.parametrize("case", EDITS)
def test_an_edit_that_was_not_loaded_changes_nothing(case, session, module_at):
    plant, _, _ = session
    name, old, new = EDITS[case]
    edit(module_at, old, new, name)
    assert plant.run_reactor("work").ran == ()
    assert plant.get("result") == [20, 11, 12]


@pytest.mark.parametrize("case", EDITS)
def test_a_run_after_an_edit_that_was_not_loaded_is_kept_under_the_code_that_ran(
    case, session, module_at, plant_dir, run_script, tmp_path
):
    """Running old code while the file has new code must not record a result for the new code."""
    plant, _, _ = session
    name, old, new = EDITS[case]
    edit(module_at, old, new, name)
    assert plant.run_reactor("work", force=True).ran == ("work",)
    plant.close()
    if case in {"file emptied", "file broken"}:
        edit(module_at, "x + 1", "x + 4")
        expected = [20, 14, 12]
    else:
        expected = {
            "helper": [20, 11, 13],
            "function of the same module": [8, 11, 12],
            "constant": [30, 11, 12],
            "reactor": [22, 11, 12],
        }.get(case, [20, 11, 12])
    script = (
        "import poison\nfrom pyplant import *\n\n"
        "with Plant('plant') as plant:\n"
        "    print(plant.run_reactor('work').ran, plant.get('result'))\n"
    )
    modules = str(tmp_path / "modules")
    path = environment()["PYTHONPATH"] + ":" + modules
    shown = run_script(script, name="after.py", env={"PYTHONPATH": path}).stdout.strip()
    ran = "('work',)" if expected != [20, 11, 12] else "()"
    assert shown == f"{ran} {expected}"


def test_the_control_an_edit_that_was_loaded_reruns(session, module_at):
    plant, pipeline, helpers = session
    edit(module_at, "x + 2", "x + 3")
    importlib.reload(helpers)
    importlib.reload(pipeline)
    assert plant.run_reactor("work").ran == ("work",)
    assert plant.get("result") == [20, 11, 13]


# ---------------------------------------------------------------------- reload


def test_reloading_the_helpers_alone_leaves_the_names_that_were_imported_from_it(session, module_at):
    plant, pipeline, helpers = session
    edit(module_at, "x + 2", "x + 3")
    importlib.reload(helpers)
    # `from poison_helpers import g` still means the old function, and that is what runs.
    assert plant.run_reactor("work").ran == ()
    assert plant.run_reactor("work", force=True).ran == ("work",)
    assert plant.get("result") == [20, 11, 12]
    importlib.reload(pipeline)
    assert plant.run_reactor("work").ran == ("work",)
    assert plant.get("result") == [20, 11, 13]


def test_reloading_an_edit_and_taking_it_back_hits(session, module_at):
    plant, pipeline, helpers = session
    for old, new in (("x + 2", "x + 3"), ("x + 2", "x + 2")):
        edit(module_at, old, new)
        importlib.reload(helpers)
        importlib.reload(pipeline)
        plant.get("result")
    assert plant.run_reactor("work").ran == ()
    assert plant.get("result") == [20, 11, 12]


def test_reloading_without_an_edit_runs_nothing(session):
    plant, pipeline, helpers = session
    importlib.reload(helpers)
    importlib.reload(pipeline)
    assert plant.run_reactor("work").ran == ()


def test_a_reactor_that_a_reloaded_module_no_longer_defines_is_gone(session, module_at):
    plant, pipeline, _ = session
    edit(module_at, "def work(", "def labour(", "poison")
    importlib.reload(pipeline)
    assert {entry.name for entry in plant.status()} == {"labour"}
    assert plant.run_reactor("labour").ran == ()  # the same code under another name
    assert plant.get("result") == [20, 11, 12]


def test_a_function_replaced_from_outside_counts_by_its_present_code(session):
    plant, pipeline, _ = session
    pipeline.local = lambda x: x + 1000
    assert plant.run_reactor("work").ran == ("work",)
    assert plant.get("result") == [1010, 11, 12]


def test_a_code_object_replaced_from_outside_counts_by_its_present_code(session):
    plant, pipeline, _ = session
    original = pipeline.local.__code__
    pipeline.local.__code__ = (lambda x: x + 2000).__code__
    assert plant.get("result") == [2010, 11, 12]
    pipeline.local.__code__ = original
    assert plant.run_reactor("work").ran == ()


# ---------------------------------------------------------------------- autoreload

WATCHED = """
    def f(x):
        y = x + 1
        return y

    def g(x):
        y = x + 2
        return y
"""
WATCHED_REACTOR = """
    from pyplant import ReactorFunc

    def factor():
        return 2

    @ReactorFunc
    def in_module(pipe):
        pipe.send("in module", 10 * factor())
"""
CELLS = """
    @ReactorFunc
    def uses_f(pipe):
        pipe.send("f", f(10))

    @ReactorFunc
    def uses_g(pipe):
        pipe.send("g", g(10))

    @ReactorFunc
    def both(pipe):
        pipe.send("both", list((yield pipe.receive("f", "g"))))
"""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    kernel = Kernel(tmp_path_factory.mktemp("autoreload"))
    yield kernel
    kernel.close()


class Watched:
    """Files that autoreload watches; each save has a later modification time than the last."""

    def __init__(self, folder):
        self.folder = folder
        self.seconds = 0

    def save(self, name, text):
        write_files(self.folder, {name: text})
        self.seconds += 10
        later = time.time() + self.seconds
        os.utime(self.folder / name, (later, later))


def test_autoreload_neither_hides_an_edit_nor_reruns_for_a_comment(kernel, tmp_path):
    watched = Watched(tmp_path)
    watched.save("watched.py", WATCHED)
    kernel.cell(f"import sys\nsys.path.insert(0, {str(tmp_path)!r})")
    kernel.cell("%load_ext autoreload\n%autoreload 2")
    kernel.cell("from pyplant import *\nfrom watched import f, g\nplant = Plant('plant')")
    kernel.cell(CELLS)

    def look():
        return kernel.cell('print(",".join(plant.run_reactor(both).ran) or "nothing", plant.get("both"))')

    assert look() == "uses_f,uses_g,both [11, 12]"
    # (a) Comment lines in f: the text found by the line numbers of g is now that of f.
    commented = WATCHED.replace("y = x + 1", "# one\n        # two\n        # three\n        y = x + 1")
    watched.save("watched.py", commented)
    assert look() == "nothing [11, 12]"
    # (b) Then the body of g: a check at that point finds no change, and the old value is served.
    watched.save("watched.py", commented.replace("x + 2", "x + 3"))
    assert kernel.cell("print(g(10))") == "13"
    assert look() == "uses_g,both [11, 13]"
    # (c) f, without the comment.
    watched.save("watched.py", WATCHED.replace("x + 1", "x + 5").replace("x + 2", "x + 3"))
    assert look() == "uses_f,both [15, 13]"
    # (d) All taken back.
    watched.save("watched.py", WATCHED)
    assert look() == "nothing [11, 12]"


def test_autoreload_of_a_module_with_reactors(kernel, tmp_path):
    watched = Watched(tmp_path)
    watched.save("watched_reactor.py", WATCHED_REACTOR)
    kernel.cell(f"import sys\nsys.path.insert(0, {str(tmp_path)!r})")
    kernel.cell("%load_ext autoreload\n%autoreload 2")
    kernel.cell("from pyplant import *\nfrom watched_reactor import in_module\nplant = Plant('plant-2')")

    def look(reactor="in_module"):
        return kernel.cell(
            f'print(",".join(plant.run_reactor({reactor}).ran) or "nothing", plant.get("in module"))'
        )

    assert look() == "in_module 20"
    watched.save("watched_reactor.py", WATCHED_REACTOR.replace("def factor", "# a comment\n    def factor"))
    assert look() == "nothing 20"
    watched.save("watched_reactor.py", WATCHED_REACTOR.replace("return 2", "return 3"))
    assert look() == "in_module 30"
    assert look("'in_module'") == "nothing 30"
    watched.save("watched_reactor.py", WATCHED_REACTOR.replace("10 *", "20 *"))
    assert look() == "in_module 40"
    assert look("'in_module'") == "nothing 40"
    watched.save("watched_reactor.py", WATCHED_REACTOR)
    assert look() == "nothing 20"
    assert look("'in_module'") == "nothing 20"


# ---------------------------------------------------------------------- cells


def test_a_redefined_cell_counts_by_its_present_code(kernel):
    kernel.cell("from pyplant import *\nplant = Plant('plant-3')")
    kernel.cell("def helper(x):\n    return x + 1")
    kernel.cell("@ReactorFunc\ndef in_cell(pipe):\n    pipe.send('in cell', helper(10))")
    look = 'print(",".join(plant.run_reactor(in_cell).ran) or "nothing", plant.get("in cell"))'
    assert kernel.cell(look) == "in_cell 11"
    kernel.cell("import linecache\nlinecache.clearcache()")  # the texts of all cells are lost
    assert kernel.cell(look) == "nothing 11"
    kernel.cell("def helper(x):\n    return x + 2")
    assert kernel.cell(look) == "in_cell 12"
    kernel.cell("linecache.clearcache()\ndef helper(x):\n    return x + 1")
    assert kernel.cell(look) == "nothing 11"


def test_a_function_counts_after_its_cell_was_replaced(kernel):
    kernel.cell("from pyplant import *\nplant = Plant('plant-4')")
    kernel.cell("def helper(x):\n    return x + 1\nkept_helper = helper")
    kernel.cell("@ReactorFunc\ndef keeps(pipe):\n    pipe.send('kept', kept_helper(10))")
    look = 'print(",".join(plant.run_reactor(keeps).ran) or "nothing", plant.get("kept"))'
    assert kernel.cell(look) == "keeps 11"
    kernel.cell("def helper(x):\n    return x + 2")
    assert kernel.cell(look) == "nothing 11"
    kernel.cell("kept_helper = helper")
    assert kernel.cell(look) == "keeps 12"
