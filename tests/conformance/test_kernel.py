"""Reactors in the cells of a notebook, in a real kernel."""

import textwrap

import pytest

from tests.conformance.kernel import CellError, Kernel

SETUP = """
    from pyplant import *
    from pyplant.events import ReactorStarted

    started = []
    plant = Plant({plant!r})
    plant.add_event_listener(lambda e: started.append(e.reactor) if isinstance(e, ReactorStarted) else None)

    def look(*names):
        started.clear()
        value = plant.get(*names)
        print(",".join(sorted(started)) or "nothing", value)
"""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    kernel = Kernel(tmp_path_factory.mktemp("kernel"))
    yield kernel
    kernel.close()


class Notebook:
    """A notebook of its own: a namespace without user names, and a plant directory."""

    def __init__(self, kernel, plant):
        self.kernel = kernel
        self.plant = str(plant)
        self.begin()

    def begin(self):
        self.kernel.cell(SETUP.format(plant=self.plant))

    def cell(self, text):
        return self.kernel.cell(text)

    def restart(self):
        self.kernel.restart()
        self.begin()


@pytest.fixture
def notebook(kernel, plant_dir):
    kernel.cell("%reset -f")
    kernel.cell(
        "from pyplant import _definitions\n_definitions._declared.clear()\n_definitions._repeated.clear()\ndel _definitions"
    )
    return Notebook(kernel, plant_dir)


HELPER = """
def helper(x):
    return x * 2
"""
REACTORS = """
@ReactorFunc
def load(pipe):
    pipe.send("data", helper(10))

@ReactorFunc
def show(pipe):
    pipe.send("shown", f"<{(yield pipe.receive('data'))}>")
"""
LOOK = "look('shown')"


# ---------------------------------------------------------------------- the rows of the comparison


def test_re_running_the_same_cells_runs_nothing(notebook):
    for expected in ("load,show <20>", "nothing <20>"):
        notebook.cell(HELPER)
        notebook.cell(REACTORS)
        assert notebook.cell(LOOK) == expected


def test_an_edit_of_a_body_in_the_same_kernel(notebook):
    notebook.cell(HELPER)
    notebook.cell(REACTORS)
    notebook.cell(LOOK)
    notebook.cell(REACTORS.replace("<{", "[{").replace("}>", "}]"))
    assert notebook.cell(LOOK) == "show [20]"
    notebook.cell(REACTORS)
    assert notebook.cell(LOOK) == "nothing <20>"


def test_an_edit_of_the_helpers_cell_alone(notebook):
    notebook.cell(HELPER)
    notebook.cell(REACTORS)
    notebook.cell(LOOK)
    notebook.cell(HELPER.replace("x * 2", "x * 3"))
    assert notebook.cell(LOOK) == "load,show <30>"
    notebook.cell(HELPER)
    assert notebook.cell(LOOK) == "nothing <20>"


def test_a_kernel_that_is_restarted(notebook):
    notebook.cell(HELPER)
    notebook.cell(REACTORS)
    notebook.cell(LOOK)
    notebook.restart()
    notebook.cell(HELPER)
    notebook.cell(REACTORS)
    assert notebook.cell(LOOK) == "nothing <20>"
    notebook.cell(HELPER.replace("x * 2", "x * 3"))
    assert notebook.cell(LOOK) == "load,show <30>"


def test_an_unrelated_line_in_the_cell(notebook):
    notebook.cell(HELPER)
    notebook.cell(REACTORS)
    notebook.cell(LOOK)
    notebook.cell("print('hello')  # a line\n\n" + HELPER)
    notebook.cell("unrelated = 5\n\n\n" + REACTORS)
    assert notebook.cell(LOOK) == "nothing <20>"


# ---------------------------------------------------------------------- more edits


def test_a_comment_and_a_docstring_in_a_cell(notebook):
    notebook.cell(HELPER)
    notebook.cell(REACTORS)
    notebook.cell(LOOK)
    notebook.cell(HELPER.replace("return", '"""Double."""\n    return'))
    notebook.cell(REACTORS.replace("def load(pipe):", "def load(pipe):  # loads"))
    assert notebook.cell(LOOK) == "nothing <20>"


def test_a_global_that_changed(notebook):
    notebook.cell("factor = 2")
    notebook.cell(HELPER.replace("x * 2", "x * factor"))
    notebook.cell(REACTORS)
    assert notebook.cell(LOOK) == "load,show <20>"
    notebook.cell("factor = 4")
    assert notebook.cell(LOOK) == "load,show <40>"
    notebook.cell("factor = 4.0")
    assert notebook.cell(LOOK) == "load,show <40.0>"
    notebook.cell("factor = 2")
    assert notebook.cell(LOOK) == "nothing <20>"


def test_a_global_that_is_changed_in_place(notebook):
    notebook.cell("table = {'factor': [2]}")
    notebook.cell(HELPER.replace("x * 2", "x * table['factor'][0]"))
    notebook.cell(REACTORS)
    notebook.cell(LOOK)
    notebook.cell("table['factor'][0] = 5")
    assert notebook.cell(LOOK) == "load,show <50>"
    notebook.cell("table['factor'][0] = 2")
    assert notebook.cell(LOOK) == "nothing <20>"


CLASS = """
    class Shape:
        size = 3

        def area(self):
            return self.size * 2
"""


def test_a_class_that_was_edited(notebook):
    notebook.cell(CLASS)
    notebook.cell("def helper(x):\n    return x + Shape().area()")
    notebook.cell(REACTORS)
    assert notebook.cell(LOOK) == "load,show <16>"
    notebook.cell(CLASS.replace("* 2", "* 3"))
    assert notebook.cell(LOOK) == "load,show <19>"
    notebook.cell(CLASS.replace("= 3", "= 4"))
    assert notebook.cell(LOOK) == "load,show <18>"
    notebook.cell(CLASS.replace("size = 3", "size = 3  # a comment"))
    assert notebook.cell(LOOK) == "nothing <16>"


OBJECTS = """
    @ReactorFunc
    def build(pipe):
        pipe.send("shape", Shape())

    @ReactorFunc
    def measure(pipe):
        shape = yield pipe.receive("shape")
        pipe.send("measured", [type(shape).__name__, isinstance(shape, Shape), shape.area()])
"""


def test_an_object_of_a_class_in_a_cell_survives_a_restart(notebook):
    notebook.cell(CLASS)
    notebook.cell(OBJECTS)
    assert notebook.cell("look('measured')") == "build,measure ['Shape', True, 6]"
    notebook.restart()
    notebook.cell(CLASS)
    notebook.cell(OBJECTS)
    assert notebook.cell("look('measured')") == "nothing ['Shape', True, 6]"
    assert notebook.cell("print(isinstance(plant.get('shape'), Shape))") == "True"
    # A consumer that runs after the restart receives an object of the class that is there now.
    notebook.cell(OBJECTS.replace("shape.area()]", "shape.area() + 1]"))
    assert notebook.cell("look('measured')") == "measure ['Shape', True, 7]"


def test_an_object_keeps_its_class_when_the_cell_of_the_class_is_run_again(notebook):
    notebook.cell(CLASS)
    notebook.cell(OBJECTS)
    notebook.cell("look('measured')")
    notebook.cell(CLASS)
    assert notebook.cell("look('measured')") == "nothing ['Shape', True, 6]"
    assert notebook.cell("print(isinstance(plant.get('shape'), Shape))") == "True"


def test_an_object_of_a_class_that_is_not_defined_yet(notebook):
    notebook.cell(CLASS)
    notebook.cell(OBJECTS)
    notebook.cell("look('measured')")
    notebook.restart()
    assert (
        notebook.cell(
            "import warnings\nwith warnings.catch_warnings():\n    warnings.simplefilter('ignore')\n    print(plant.fetch_ingredient('shape').area())"
        )
        == "6"
    )


def test_a_dataclass_that_was_edited(notebook):
    text = "from dataclasses import dataclass\n\n@dataclass\nclass Point:\n    x: int = 1\n\n    def twice(self):\n        return self.x * 2"
    notebook.cell(text)
    notebook.cell("def helper(x):\n    return x + Point().twice()")
    notebook.cell(REACTORS)
    assert notebook.cell(LOOK) == "load,show <12>"
    notebook.cell(text.replace("int = 1", "int = 3"))
    assert notebook.cell(LOOK) == "load,show <16>"
    notebook.cell(text)
    assert notebook.cell(LOOK) == "nothing <12>"


# ---------------------------------------------------------------------- order, names, definitions


def test_cells_that_are_re_run_in_another_order(notebook):
    first = "def first(x):\n    return x + 1"
    second = "def second(x):\n    return first(x) * 2"
    notebook.cell(first)
    notebook.cell(second)
    notebook.cell(REACTORS.replace("helper(10)", "second(10)"))
    assert notebook.cell(LOOK) == "load,show <22>"
    for cells in ((second, first), (first, second)):
        for cell in cells:
            notebook.cell(cell)
        assert notebook.cell(LOOK) == "nothing <22>"
    notebook.restart()
    notebook.cell(REACTORS.replace("helper(10)", "second(10)"))
    notebook.cell(second)
    notebook.cell(first)
    assert notebook.cell(LOOK) == "nothing <22>"


def test_helpers_that_call_one_another(notebook):
    even = "def even(n):\n    return n == 0 or odd(n - 1)"
    odd = "def odd(n):\n    return n != 0 and even(n - 1)"
    notebook.cell(even)
    notebook.cell(odd)
    notebook.cell(REACTORS.replace("helper(10)", "[even(10), odd(10)]"))
    assert notebook.cell(LOOK) == "load,show <[True, False]>"
    notebook.cell(odd)
    notebook.cell(even)
    assert notebook.cell(LOOK) == "nothing <[True, False]>"
    notebook.cell(odd.replace("n != 0 and even(n - 1)", "'odd'"))
    assert notebook.cell(LOOK) == "load,show <['odd', 'odd']>"
    notebook.cell(odd)
    assert notebook.cell(LOOK) == "nothing <[True, False]>"


def test_a_function_that_was_renamed_in_a_re_run_cell(notebook):
    notebook.cell(HELPER)
    notebook.cell(REACTORS)
    notebook.cell(LOOK)
    # The old helper is still in the namespace; what the reactor names counts.
    notebook.cell(HELPER.replace("def helper", "def renamed"))
    assert notebook.cell(LOOK) == "nothing <20>"
    notebook.cell(REACTORS.replace("helper(10)", "renamed(10)"))
    assert notebook.cell(LOOK) in {"load <20>", "nothing <20>"}
    notebook.cell(HELPER.replace("x * 2", "x * 9"))
    assert notebook.cell(LOOK) == "nothing <20>"


def test_a_reactor_that_was_renamed_in_a_re_run_cell_replaces_the_old_one(notebook):
    one = "@ReactorFunc\ndef produce(pipe):\n    pipe.send('thing', 1)"
    notebook.cell(one)
    assert notebook.cell("look('thing')") == "produce 1"
    notebook.cell("plant.remove_reactor('produce')")
    notebook.cell(one.replace("produce", "produce_better"))
    assert notebook.cell("look('thing')") == "nothing 1"
    notebook.cell(one.replace("produce", "produce_better").replace("1)", "2)"))
    assert notebook.cell("look('thing')") == "produce_better 2"


def test_the_old_reactor_beside_its_renamed_copy_is_an_error_that_names_both(notebook):
    one = "@ReactorFunc\ndef produce(pipe):\n    pipe.send('thing', 1)"
    notebook.cell(one)
    notebook.cell(one.replace("produce", "produce_better"))
    with pytest.raises(
        CellError, match=r"'thing' is sent by 'produce' \(cell \[\d+\]\) and 'produce_better' \(cell"
    ):
        notebook.cell("look('thing')")


def test_a_name_that_is_not_defined_yet(notebook):
    notebook.cell(REACTORS)
    with pytest.raises(CellError, match="NameError: name 'helper' is not defined"):
        notebook.cell(LOOK)
    notebook.cell(HELPER)
    assert notebook.cell(LOOK) == "load,show <20>"


def test_a_failed_reactor_runs_again_after_a_fix(notebook):
    notebook.cell(HELPER)
    notebook.cell(REACTORS.replace("'data'))}", "'data')) / 0}"))
    with pytest.raises(CellError, match="ZeroDivisionError"):
        notebook.cell(LOOK)
    with pytest.raises(CellError, match="ZeroDivisionError"):
        notebook.cell(LOOK)
    notebook.cell(REACTORS)
    assert notebook.cell(LOOK) == "show <20>"


def test_an_interrupted_kernel_continues(notebook, tmp_path):
    began = tmp_path / "began"
    notebook.cell(HELPER)
    notebook.cell(REACTORS)
    slow = REACTORS.replace("def show(pipe):\n", f"def show(pipe):\n    wait({str(began)!r})\n").replace(
        "    wait(", "    yield pipe.receive('data')\n    wait("
    )
    notebook.cell(
        "import pathlib, time\ndef wait(path):\n    pathlib.Path(path).touch()\n    while True:\n        time.sleep(0.01)"
    )
    notebook.cell(slow)
    with pytest.raises(CellError, match="KeyboardInterrupt"):
        notebook.kernel.cell(LOOK, interrupt_when=began.exists)
    notebook.cell(REACTORS)
    assert notebook.cell(LOOK) == "show <20>"


def test_a_new_reactor_in_a_later_cell(notebook):
    notebook.cell(HELPER)
    notebook.cell(REACTORS)
    notebook.cell(LOOK)
    notebook.cell("@ReactorFunc\ndef more(pipe):\n    pipe.send('more', (yield pipe.receive('shown')) + '!')")
    assert notebook.cell("look('more')") == "more <20>!"


def test_two_reactors_of_one_factory_in_cells(notebook):
    factory = (
        "def make(name, factor):\n"
        "    @ReactorFunc(name=name)\n"
        "    def reactor(pipe):\n"
        "        pipe.send(name, 10 * factor)\n"
        "    return reactor"
    )
    notebook.cell(factory)
    notebook.cell("twenty, thirty = make('twenty', 2), make('thirty', 3)")
    look = "print([plant.run_reactor(r).ran for r in (twenty, thirty)], plant.get('twenty', 'thirty'))"
    assert notebook.cell(look) == "[('twenty',), ('thirty',)] (20, 30)"
    notebook.cell("thirty = make('thirty', 4)")
    assert notebook.cell(look) == "[(), ('thirty',)] (20, 40)"
    notebook.restart()
    notebook.cell(factory)
    notebook.cell("twenty, thirty = make('twenty', 2), make('thirty', 3)")
    assert notebook.cell(look) == "[(), ()] (20, 30)"


def test_a_subreactor_in_a_cell_of_its_own(notebook):
    sub = "@SubreactorFunc\ndef part(pipe):\n    return (yield from deeper(pipe)) + 1"
    deeper = "@SubreactorFunc\ndef deeper(pipe):\n    return 5"
    notebook.cell(deeper)
    notebook.cell(sub)
    notebook.cell("@ReactorFunc\ndef whole(pipe):\n    pipe.send('whole', (yield from part(pipe)))")
    assert notebook.cell("look('whole')") == "whole 6"
    notebook.cell(deeper.replace("5", "6"))
    assert notebook.cell("look('whole')") == "whole 7"
    notebook.cell(deeper)
    assert notebook.cell("look('whole')") == "nothing 6"


def test_lambdas_on_one_line_of_a_cell(notebook):
    notebook.cell("one, two = (lambda x: x + 1), (lambda x: x + 2)")
    notebook.cell(REACTORS.replace("helper(10)", "[one(10), two(10)]"))
    assert notebook.cell(LOOK) == "load,show <[11, 12]>"
    notebook.cell("one, two = (lambda x: x + 2), (lambda x: x + 1)")
    assert notebook.cell(LOOK) == "load,show <[12, 11]>"


def test_a_helper_defined_under_a_cell_magic(notebook):
    notebook.cell("%%time\ndef helper(x):\n    return x * 2")
    notebook.cell(REACTORS)
    assert notebook.cell(LOOK) == "load,show <20>"
    notebook.cell("%%time\ndef helper(x):\n    return x * 2")
    assert notebook.cell(LOOK) == "nothing <20>"
    notebook.cell("%%time\ndef helper(x):\n    return x * 7")
    assert notebook.cell(LOOK) == "load,show <70>"


def test_a_script_and_a_notebook_share_their_results(notebook, run_script, plant_dir):
    notebook.cell(HELPER)
    notebook.cell(REACTORS)
    notebook.cell(LOOK)
    script = textwrap.dedent(SETUP.format(plant=str(plant_dir))) + HELPER + REACTORS + LOOK + "\n"
    assert run_script(script).stdout.strip() == "nothing <20>"


def test_the_control_without_inspection_of_code_old_results_are_served(notebook):
    """A kernel whose plant does not inspect code serves the old value, so the tests above can fail."""
    notebook.cell(HELPER)
    notebook.cell(REACTORS)
    notebook.cell("plant = Plant(plant.directory, function_hash=lambda f: f.__name__)")
    notebook.cell(
        "plant.add_event_listener(lambda e: started.append(e.reactor) if isinstance(e, ReactorStarted) else None)"
    )
    assert notebook.cell(LOOK) == "load,show <20>"
    notebook.cell(HELPER.replace("x * 2", "x * 3"))
    assert notebook.cell(LOOK) == "nothing <20>"
