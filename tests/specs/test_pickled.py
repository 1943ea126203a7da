"""Objects, pickled."""

import threading
from dataclasses import dataclass

import pytest

from pyplant.errors import UnsavableError
from pyplant.specs import ObjectSpec
from pyplant.testing import SpecConformance
from tests.specs.helpers import dumped


@dataclass
class Point:
    x: int
    y: object = None


class TestObject(SpecConformance):
    def spec(self):
        return ObjectSpec()

    def values(self):
        return [
            {"a": 1},
            {"a": 2},
            {1, 2},
            (1, [2]),
            Point(1),
            Point(1, {3, 4}),
            [Point(1)] * 2,
            frozenset({"x"}),
        ]

    def change(self, value):
        if isinstance(value, dict):
            value["b"] = 5
        elif isinstance(value, Point):
            value.x = 99


def test_a_value_that_cannot_be_pickled_is_refused_with_advice():
    with pytest.raises(UnsavableError, match="lock cannot be pickled.*register a spec"):
        dumped(ObjectSpec(), threading.Lock())


def test_equal_objects_have_equal_digests_although_their_pickles_differ():
    shared = "a" * 100
    spec = ObjectSpec()
    left, right = [shared, shared], [shared, "".join(shared)]
    assert spec.digest_value(left) == spec.digest_value(right)


def test_an_object_without_a_digest_is_digested_by_its_pickle():
    assert ObjectSpec().digest_value(iter([1])) is None or isinstance(
        ObjectSpec().digest_value(iter([1])), str
    )
    assert ObjectSpec().digest_value(threading.Lock()) is None


SCRIPT = """
import sys
from pyplant import *

class Shape:
    def __init__(self, sides):
        self.sides = sides
    def area(self):
        return {area}

def describe(shape):
    return shape.sides

@ReactorFunc
def make(pipe):
    print("ran")
    pipe.send("made", {{"shape": Shape(4), "describe": describe, "class": Shape}})

with Plant("plant") as plant:
    made = plant.fetch_ingredient("made") if "fetch" in sys.argv else plant.get("made")
    print(isinstance(made["shape"], Shape), made["shape"].area(), made["describe"](made["shape"]))
"""


def test_a_class_of_main_is_the_present_one_after_a_restart(run_script):
    source = SCRIPT.format(area=1)
    assert run_script(source).stdout.split("\n")[:2] == ["ran", "True 1 4"]
    assert run_script(source).stdout == "True 1 4\n"


def test_a_class_that_changed_comes_back_as_it_was_stored(run_script):
    run_script(SCRIPT.format(area=1))
    changed = run_script(SCRIPT.format(area=2), "fetch", env={"PYTHONWARNINGS": "ignore"})
    assert changed.stdout == "False 1 4\n"
