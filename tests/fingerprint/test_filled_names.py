"""Names that code fills once in a process, and edits of the code that filled them in the same process."""

import random
import sys
import types
from functools import cached_property

import pytest

from pyplant import Plant, ReactorFunc
from pyplant.errors import UnsavedWarning
from pyplant.execution import trace_writer
from pyplant.fingerprint import filled_names

pytestmark = pytest.mark.filterwarnings("ignore::pyplant.errors.StateWarning")

kept = None
results = {}
history = []
calls = {"all": 0}
generator = random.Random(0)


def compute():
    return 1


def table():
    return {"value": compute()}


def with_a_global():
    global kept
    if kept is None:
        kept = table()
    return kept["value"]


def with_a_dictionary():
    if "one" not in results:
        results["one"] = compute()
    return results["one"]


def with_a_default():
    found = results.get("one")
    if found is None:
        found = results["one"] = compute()
    return found


class Model:
    @cached_property
    def table(self):
        return {"value": compute()}

    @cached_property
    def other(self):
        return 0


model = Model()


def with_a_cached_property():
    return model.other + model.table["value"]


def with_a_history():
    history.append(compute())
    return history[-1]


def with_a_counter():
    calls["all"] = calls.get("all") + 1
    return compute()


def with_a_generator():
    generator.random()
    return compute()


def with_what_is_set_anyway():
    global kept
    kept = [compute()]
    return kept[0]


FILLING = [with_a_global, with_a_dictionary, with_a_default, with_a_cached_property]


@pytest.fixture(autouse=True)
def _as_in_a_new_process(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    reset(monkeypatch)
    filled_names._digests.clear()
    history.clear()
    calls["all"] = 0


def reset(monkeypatch):
    monkeypatch.setitem(globals(), "kept", None)
    results.clear()
    vars(model).clear()


def edit(monkeypatch):
    monkeypatch.setitem(globals(), "compute", lambda: 2)


def plant_with(function):
    @ReactorFunc
    def fills(pipe):
        pipe.send("value", function())

    plant = Plant("plant", progress=False)
    plant.add_reactor(fills)
    return plant


@pytest.mark.parametrize("function", FILLING)
def test_a_result_of_what_earlier_code_has_filled_is_not_stored(function, monkeypatch):
    with plant_with(function) as plant:
        assert plant.get("value") == 1
        assert not plant.run_reactor("fills").ran
        edit(monkeypatch)
        filler = "Model.table" if function is with_a_cached_property else function.__name__
        with pytest.warns(UnsavedWarning, match=rf"{filler} or what it uses changed after .* was filled"):
            assert plant.get("value") == 1
        reset(monkeypatch)
        assert plant.get("value") == 2
        assert not plant.run_reactor("fills").ran


def test_control_without_fillers_the_result_of_earlier_code_is_served(monkeypatch):
    monkeypatch.setattr(trace_writer, "note_filled", lambda *_: None)
    with plant_with(with_a_global) as plant:
        assert plant.get("value") == 1
        edit(monkeypatch)
        assert plant.get("value") == 1
        reset(monkeypatch)
        assert plant.get("value") == 1


def test_an_edit_of_code_that_only_reads_stores_the_result():
    def plant_that_adds(added):
        @ReactorFunc(name="fills")
        def fills(pipe):
            with_a_global()
            pipe.send("value", kept["value"] + added)

        plant = Plant("plant", progress=False)
        plant.add_reactor(fills)
        return plant

    for added in (0, 1):
        with plant_that_adds(added) as plant:
            assert plant.get("value") == 1 + added
            assert not plant.run_reactor("fills").ran


@pytest.mark.parametrize("function", FILLING)
def test_an_edit_of_other_code_stores_the_result(function, monkeypatch):
    factor = 1

    @ReactorFunc
    def fills(pipe):
        pipe.send("value", factor * function())

    with Plant("plant", progress=False) as plant:
        plant.add_reactor(fills)
        assert plant.get("value") == 1
        factor = 3
        assert plant.get("value") == 3
        assert not plant.run_reactor("fills").ran


@pytest.mark.parametrize(
    "function",
    [with_a_history, with_a_counter, with_a_generator, with_what_is_set_anyway],
)
def test_what_results_rarely_depend_on_does_not_count(function, monkeypatch):
    with plant_with(function) as plant:
        assert plant.get("value") == 1
        edit(monkeypatch)
        assert plant.get("value") == 2
        assert not plant.run_reactor("fills").ran


LAZY = """
class Lazy:
    @cached_property
    def table(self):
        return compute()
"""
CHECKED = """
class Checked:
    table_ = None
    def __init__(self):
        self.kept = {}
    @property
    def by_none(self):
        if self.table_ is None:
            self.table_ = compute()
        return self.table_
    @property
    def by_name(self):
        if not hasattr(self, "found"):
            self.found = compute()
        return self.found
    @property
    def by_error(self):
        try:
            return self.tried
        except AttributeError:
            self.tried = compute()
        return self.tried
    def by_key(self, key=1):
        if key not in self.kept:
            self.kept[key] = compute()
        return self.kept[key]
    @classmethod
    def of_class(cls):
        if cls.table_ is None:
            cls.table_ = compute()
        return cls.table_
"""
KINDS = {
    "in a list": (LAZY + "lazies = [Lazy()]", "lazies[0].table"),
    "in a dictionary": (LAZY + "lazies = {'a': Lazy()}", "lazies['a'].table"),
    "in an object": (
        LAZY + "class Holder: pass\nholder = Holder()\nholder.lazy = Lazy()",
        "holder.lazy.table",
    ),
    "in a class": (LAZY + "class Holder:\n    lazy = Lazy()", "Holder.lazy.table"),
    "in a partial": (LAZY + "def read(lazy):\n    return lazy.table\nget = partial(read, Lazy())", "get()"),
    "a subclass": (LAZY + "class Sub(Lazy): pass\nlazy = Sub()", "lazy.table"),
    "an attribute that is none": (CHECKED + "checked = Checked()", "checked.by_none"),
    "an attribute that is absent": (CHECKED + "checked = Checked()", "checked.by_name"),
    "an attribute that is tried": (CHECKED + "checked = Checked()", "checked.by_error"),
    "a dictionary of an object": (CHECKED + "checked = Checked()", "checked.by_key()"),
    "an attribute of a class": (CHECKED, "Checked.of_class()"),
    "an attribute of a function": (
        "def get():\n    if not hasattr(get, 'kept'):\n        get.kept = compute()\n    return get.kept",
        "get()",
    ),
    "a flag": (
        "done = False\nkept = 0\ndef get():\n    global done, kept\n"
        "    if not done:\n        kept = compute()\n        done = True\n    return kept",
        "get()",
    ),
    "an empty list": (
        "kept = []\ndef get():\n    if not kept:\n        kept.append(compute())\n    return kept[0]",
        "get()",
    ),
    "a default dictionary": ("kept = defaultdict(lambda: compute())", "kept[1]"),
    "setdefault": ("kept = {}\ndef get():\n    return kept.setdefault(1, compute())", "get()"),
    "a missing key": (
        "class Kept(dict):\n    def __missing__(self, key):\n        self[key] = compute()\n        return self[key]\n"
        "kept = Kept()",
        "kept[1]",
    ),
    "globals": (
        "def get():\n    if 'kept' not in globals():\n        globals()['kept'] = compute()\n    return kept",
        "get()",
    ),
    "a singleton": (
        "class One:\n    one = None\n    def __new__(cls):\n        if cls.one is None:\n"
        "            cls.one = super().__new__(cls)\n            cls.one.value = compute()\n        return cls.one",
        "One().value",
    ),
    "an array": (
        "kept = np.full(3, np.nan)\ndef get():\n    if np.isnan(kept[0]):\n        kept[0] = compute()\n"
        "    return int(kept[0])",
        "get()",
    ),
    "a namespace": (
        "space = SimpleNamespace()\ndef get():\n    kept = getattr(space, 'kept', None)\n    if kept is None:\n"
        "        kept = space.kept = compute()\n    return kept",
        "get()",
    ),
    "an argument": (
        "class State: pass\nstate = State()\nstate.kept = None\ndef fill(one):\n    if one.kept is None:\n"
        "        one.kept = compute()\ndef get():\n    fill(state)\n    return state.kept",
        "get()",
    ),
    "a descriptor": (
        "class lazy:\n    def __init__(self, function):\n        self.function = function\n"
        "    def __get__(self, one, cls):\n        value = self.function(one)\n"
        "        one.__dict__[self.function.__name__] = value\n        return value\n"
        "class Lazy:\n    @lazy\n    def table(self):\n        return compute()\none = Lazy()",
        "one.table",
    ),
    "a decorator that is a class": (
        "class memoize:\n    def __init__(self, function):\n        self.function, self.kept = function, {}\n"
        "    def __call__(self, *args):\n        if args not in self.kept:\n"
        "            self.kept[args] = self.function(*args)\n        return self.kept[args]\n"
        "@memoize\ndef get():\n    return compute()",
        "get()",
    ),
    "instances of a class": (
        "class One:\n    ones = {}\n    def __new__(cls, key):\n        if key not in cls.ones:\n"
        "            one = super().__new__(cls)\n            one.value = compute()\n            cls.ones[key] = one\n"
        "        return cls.ones[key]",
        "One(1).value",
    ),
    "a metaclass": (
        "class Single(type):\n    ones = {}\n    def __call__(cls, *args):\n        if cls not in cls.ones:\n"
        "            cls.ones[cls] = super().__call__(*args)\n        return cls.ones[cls]\n"
        "class One(metaclass=Single):\n    def __init__(self):\n        self.value = compute()",
        "One().value",
    ),
    "a variable of a closure": (
        "def make_get():\n    kept = None\n    def get():\n        nonlocal kept\n        if kept is None:\n"
        "            kept = compute()\n        return kept\n    return get\nget = make_get()",
        "get()",
    ),
}
REMADE = {
    "a fitted model": (
        "class Model:\n    def fit(self):\n        self.weights = [compute()]\n        return self\nmodel = Model()",
        "model.fit().weights[0]",
    ),
    "losses of a training": (
        "losses = []\ndef train():\n    losses.clear()\n    losses.append(compute())\n    return losses[0]",
        "train()",
    ),
    "a column": ("table = {'a': 0}\ndef add():\n    table['b'] = compute()\n    return table['b']", "add()"),
}


class Cells:
    """A module whose code is executed as the cells of a notebook are, and a plant."""

    def __init__(self, monkeypatch):
        self.module = types.ModuleType("cells")
        monkeypatch.setitem(sys.modules, "cells", self.module)
        self.run(
            "import numpy as np\nfrom collections import defaultdict\nfrom functools import cached_property, partial\n"
            "from types import SimpleNamespace"
        )
        self.compute(1)
        self.plant = Plant("plant", progress=False)

    def run(self, text):
        exec(text, vars(self.module))

    def compute(self, value):
        self.run(f"def compute():\n    return {value}")

    def send(self, expression):
        self.run(f"def make(pipe):\n    pipe.send('value', {expression})")
        self.plant.add_reactor(ReactorFunc(self.module.make))

    def value(self):
        return self.plant.get("value")

    def is_stored(self):
        return not self.plant.run_reactor("make").ran


@pytest.fixture
def cells(monkeypatch):
    found = Cells(monkeypatch)
    with found.plant:
        yield found


@pytest.mark.parametrize("kind", KINDS)
def test_each_way_to_fill_something_once(kind, cells):
    definition, expression = KINDS[kind]
    cells.run(definition)
    cells.send(expression)
    assert cells.value() == 1
    assert cells.is_stored()
    cells.compute(2)
    with pytest.warns(UnsavedWarning, match="changed after .* was filled"):
        assert cells.value() == 1
    assert not cells.is_stored()  # the warning comes once
    if kind == "globals":
        del cells.module.kept
    cells.run(definition)
    assert cells.value() == 2
    assert cells.is_stored()


@pytest.mark.parametrize("kind", KINDS)
def test_an_edit_of_what_only_reads_is_stored(kind, cells):
    definition, expression = KINDS[kind]
    cells.run(definition)
    for factor in (1, 2, 3):
        cells.send(f"{factor} * {expression}")
        assert cells.value() == factor
        assert cells.is_stored()


@pytest.mark.parametrize("kind", REMADE)
def test_what_each_execution_makes_again_is_stored(kind, cells):
    definition, expression = REMADE[kind]
    cells.run(definition)
    cells.send(expression)
    assert cells.value() == 1
    for value in (2, 3):
        cells.compute(value)
        assert cells.value() == value
        assert cells.is_stored()
