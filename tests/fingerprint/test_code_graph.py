"""The content of single nodes: functions, classes, modules and values."""

import dataclasses
import enum
import functools
import json
import threading

import numpy as np
import pytest

from pyplant.fingerprint.code_graph import NodeBuilder
from pyplant.fingerprint.graph_node import Leaf, NodeKind, Watch, shorten
from pyplant.fingerprint.source import Sources
from tests.fingerprint.helpers import load, taken


@pytest.fixture
def describe():
    return NodeBuilder(Sources().part, set(), lambda _: "")


def edges(description):
    return {edge.label: edge.target for edge in description.edges}


def test_functions_classes_modules_and_values_are_distinguished(tmp_path, describe):
    module = load(tmp_path, "def f(): pass\nclass A: pass\n")
    assert describe(module.f).kind is NodeKind.FUNCTION
    assert describe(module.A).kind is NodeKind.CLASS
    assert describe(module).kind is NodeKind.MODULE
    assert describe([1]).kind is NodeKind.VALUE


def test_a_function_refers_to_what_it_names(tmp_path, describe):
    module = load(tmp_path, "N = 1\ndef h(): pass\ndef f(x=h, *, y=2): return h(), N, len, missing")
    found = edges(describe(module.f))
    assert found["g h"] is module.h
    assert found["default 0"] is module.h
    assert found["g len"].text == "builtin len"
    assert found["g missing"].text == "undefined missing"
    assert found["g N"].display == "1"
    assert found["default y"].display == "2"


def test_an_installed_function_counts_by_its_name(describe):
    found = describe(json.dumps)
    assert found.local == b"installed:json:dumps"
    assert found.edges == ()


def test_the_marks_of_a_reactor_do_not_count(tmp_path, describe):
    module = load(tmp_path, "def f(): pass\ndef g(): pass\n")
    module.f.__pyplant_reactor__ = object()
    assert describe(module.f).edges == describe(module.g).edges == ()


def test_additions_of_the_interpreter_to_a_class_do_not_count(tmp_path, describe):
    module = load(tmp_path, "class A:\n 'About.'\n x: int = 1\n def f(self): self.y = 1\n")
    assert set(edges(describe(module.A))) == {"base 0", "member x", "member f", "member annotations"}


def test_a_node_tells_whether_its_function_is_unchanged(tmp_path, describe):
    module = load(tmp_path, "def f(x=1): return x\ndef g(): return 2")
    found = describe(module.f)
    assert found.unchanged()
    module.f.__defaults__ = (2,)
    assert not found.unchanged()
    module.f.__defaults__ = (1,)
    found = describe(module.f)
    module.f.__code__ = module.g.__code__
    assert not found.unchanged()


def test_a_node_tells_whether_its_value_is_unchanged(describe):
    value = {"a": [1]}
    found = describe(value)
    assert found.unchanged()
    value["a"].append(2)
    assert not found.unchanged()


def test_an_immutable_value_is_not_encoded_again(describe):
    assert describe((1, "a", (2.5, None))).unchanged is None
    assert describe((1, [])).unchanged is not None


def test_a_watch_is_unchanged_until_a_name_has_another_object():
    space = {"a": 1.5, "b": []}
    watch = Watch.of(space, ("a", "b", "absent"))
    assert watch.is_unchanged()
    space["other"] = 1
    space["b"].append(1)
    assert watch.is_unchanged()
    space["a"] = 2.5
    assert not watch.is_unchanged()


@pytest.mark.parametrize(
    "change",
    [lambda space: space.update(absent=None), lambda space: space.pop("none"), lambda space: space.pop("a")],
)
def test_a_watch_tells_absence_from_none(change):
    space = {"a": 1.5, "none": None}
    watch = Watch.of(space, ("a", "none", "absent"))
    change(space)
    assert not watch.is_unchanged()


def test_a_watch_detects_a_new_object_at_an_old_address():
    space = {"a": float("1.5")}
    watch = Watch.of(space, ("a",))
    seen = []
    for number in range(1_000):
        del space["a"]
        space["a"] = float(number) + 0.25
        seen.append(watch.is_unchanged())
    assert not any(seen)


def test_an_opaque_value_is_noted(describe):
    (note,) = describe([threading.Lock()]).notes
    assert (note.kind, note.text) == ("opaque", "_thread.lock")


class Odd:
    def __repr__(self):
        raise ValueError


class Long:
    def __init__(self):
        self.text = "x" * 1_000


@dataclasses.dataclass
class Point:
    x: object
    y: object = dataclasses.field(repr=False)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1, "1"),
        ("a", "'a'"),
        ([1, 2], "[1, 2]"),
        (list(range(1_000)), "<list of 1000>"),
        ({i: i for i in range(1_000)}, "<dict of 1000>"),
        ([(1,), (), {"a": [2.5, None]}, {}], "[(1,), (), {'a': [2.5, None]}, {}]"),
        ([Point(1, "hidden"), Point([2], "hidden")], "[Point(x=1), Point(x=[2])]"),
        (np.float64(0.5), "0.5"),
        (np.float32(0.1), "0.1"),
        (np.int64(3), "3"),
        (np.bool_(True), "True"),
        (np.str_("a"), "'a'"),
        (np.datetime64("2024-02-29"), "2024-02-29"),
        ({"a": [np.float64(0.5), np.int8(1)]}, "{'a': [0.5, 1]}"),
        (np.array(0.5), "0.5"),
        (np.zeros(()).astype("datetime64[s]"), "<ndarray datetime64[s] ()>"),
        (np.zeros(2), "<ndarray float64 (2,)>"),
    ],
)
def test_a_short_text_of_a_value(value, expected):
    assert shorten(value) == expected


@pytest.mark.parametrize("value", ["x" * 10_000, b"x" * 10_000, Long(), ["x" * 150] * 2])
def test_a_short_text_is_short(value):
    assert len(shorten(value)) == 200
    assert shorten(value).endswith("…")


@pytest.mark.parametrize(
    "join", [lambda part: [part, part], lambda part: (part, part), lambda part: Point([part, part], 0)]
)
def test_shared_parts_of_a_value_are_visited_once(describe, join):
    value = (1,)
    for _ in range(100):  # a text that repeats them has 2**100 parts
        value = join(value)
    assert describe(value).text.endswith("…")


def test_a_short_text_never_raises():
    assert shorten(Odd()) == "Odd()"
    assert shorten(functools.partial(int, Odd())) == "<partial object>"


def test_to_look_at_a_value_runs_no_code_of_the_user(tmp_path):
    module = load(
        tmp_path,
        """
        class Remembering:
            text = None
            def __repr__(self):
                self.text = "a text"
                return self.text
        value = Remembering()
        def main(): return value
        """,
    )
    before = taken(module)
    assert module.value.text is None
    assert taken(module).digest == before.digest


def test_what_a_library_remembers_of_its_text_does_not_count(tmp_path):
    module = load(tmp_path, "import pyparsing\nword = pyparsing.Word('ab')\ndef main(): return word")
    assert taken(module).digest == taken(module).digest


class Plain:
    def __init__(self, x, y=None):
        self.x, self.y = x, y


class Hiding(Plain):
    def __repr__(self):
        return f"Hiding(x={self.x})"


class Labels(dict):
    own = 1

    def __repr__(self):
        return "labels"

    def __init__(self, *args):
        super().__init__(*args)
        self.own = 2


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Plain(1), "Plain(x=1, y=None)"),
        ([Plain(1, Plain(2))], "[Plain(x=1, y=Plain(x=2, y=None))]"),
        (Hiding(1, "b"), "Hiding(x=1, y='b')"),
        (Labels({"a": Hiding(1)}), "Labels({'a': Hiding(x=1, y=None)}, own=2)"),
        (Point(1, "hidden"), "Point(x=1) with y='hidden'"),
        (object(), "<object object>"),
        (test_a_short_text_of_a_value, "<function test_a_short_text_of_a_value>"),
        (type("Lines", (Exception,), {})("a\nb"), "Lines('a\\nb')"),
    ],
)
def test_a_short_text_has_no_addresses_and_hides_no_attributes(value, expected):
    assert shorten(value) == expected


def test_a_short_text_of_a_cycle_ends():
    value = Plain(1)
    value.y = value
    assert shorten(value).endswith("…")


def test_a_short_text_of_an_array_names_its_shape():
    numpy = pytest.importorskip("numpy")
    assert shorten(numpy.zeros((2, 3))) == "<ndarray float64 (2, 3)>"


def test_a_leaf_in_a_record_has_a_digest_and_a_text():
    assert Leaf("value 1", "1").shown() != Leaf("value 2", "1").shown()
    assert Leaf("value 1", "1").shown().endswith(":1")
    assert Leaf("builtin len").shown().endswith(":builtin len")


def test_enum_members_are_immutable(describe):
    Colour = enum.Enum("Colour", "RED")
    assert describe(Colour.RED).unchanged is None
