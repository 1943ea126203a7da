"""Values of containers are encoded again only if they hold other objects."""

import pytest

from pyplant.fingerprint.digest import encode
from pyplant.fingerprint.fingerprint import Fingerprinter
from pyplant.fingerprint.held_objects import encoded_with_test
from tests.fingerprint.helpers import load, taken


def helper():
    return 1


class Settings:
    def __init__(self):
        self.x = 1


def watched(value):
    """The test of a value, and the list of its encodings."""
    taken = []

    def take(**more):
        taken.append(encode(value, as_held=True, **more))
        return taken[-1]

    _, is_unchanged = encoded_with_test(value, take)
    return is_unchanged, taken


VALUES = {
    "table": lambda: {"a": 1, "b": [2.5, None]},
    "list in a tuple": lambda: ("a", ["b"]),
    "set": lambda: {1, 2},
    "set in a list": lambda: [{1, 2}],
    "functions and classes": lambda: {"f": helper, "classes": [Settings, int]},
    "cycle": lambda: cycle(),
    "one list twice": lambda: [[1]] * 2,
    "empty": lambda: {},
}


def cycle():
    value = [1]
    value.append(value)
    return value


@pytest.mark.parametrize("make", VALUES.values(), ids=VALUES)
def test_a_value_of_containers_is_encoded_once_while_nothing_changes(make):
    is_unchanged, taken = watched(make())
    assert [is_unchanged() for _ in range(3)] == [True] * 3
    assert len(taken) == 1


CHANGES = {
    "added to a table": (lambda: {"a": 1}, lambda v: v.update(b=2)),
    "removed from a table": (lambda: {"a": 1, "b": 2}, lambda v: v.pop("a")),
    "value in a table replaced": (lambda: {"a": 1}, lambda v: v.update(a=2)),
    "value in a table replaced by one of another type": (lambda: {"a": 1}, lambda v: v.update(a=True)),
    "order of a table": (lambda: {"a": 1, "b": 1}, lambda v: v.update(a=v.pop("a"))),
    "values exchanged": (lambda: {"a": 1, "b": 2}, lambda v: v.update(a=2, b=1)),
    "list in a table": (lambda: {"a": [1]}, lambda v: v["a"].append(2)),
    "list in a tuple in a list": (lambda: [([1],)], lambda v: v[0][0].append(2)),
    "list that is in two places": (lambda: [[1]] * 2, lambda v: v[1].append(2)),
    "one of two copies": (lambda: [[1]] * 2, lambda v: v.__setitem__(1, [1])),
    "element replaced": (lambda: [1, 2], lambda v: v.__setitem__(0, 3)),
    "element of a set": (lambda: {1, 2}, lambda v: v.symmetric_difference_update({2, 3})),
    "set in a table": (lambda: {"a": {1}}, lambda v: v["a"].add(2)),
    "function replaced": (lambda: {"f": helper}, lambda v: v.update(f=cycle)),
    "object in a list": (lambda: [Settings()], lambda v: setattr(v[0], "x", 2)),
    "bytes in a list": (lambda: [bytearray(b"a")], lambda v: v[0].extend(b"b")),
    "attribute of a list": (lambda: [type("Named", (list,), {})()], lambda v: setattr(v[0], "x", 1)),
}


@pytest.mark.parametrize(("make", "change"), CHANGES.values(), ids=CHANGES)
def test_every_change_of_a_value_is_noticed(make, change):
    value = make()
    is_unchanged, _ = watched(value)
    assert is_unchanged()
    change(value)
    assert [is_unchanged(), is_unchanged()] == [False, False]


def test_an_equal_value_in_place_of_another_is_no_change_and_is_compared_once():
    value = {"a": float("1.5")}
    is_unchanged, taken = watched(value)
    value["a"] = float("1.5")
    assert [is_unchanged() for _ in range(3)] == [True] * 3
    assert len(taken) == 2


def test_a_change_between_look_and_encoding_is_noticed():
    value = [1]

    def take(*, with_attributes=False):
        encoding = encode(value)
        if with_attributes:  # the first one
            value.append(2)
        return encoding

    _, is_unchanged = encoded_with_test(value, take)
    assert not is_unchanged()


def test_functions_in_a_set_are_put_in_order_again_if_their_code_changes(tmp_path):
    module = load(tmp_path, "def f(): return 1\ndef g(): return 2\nX = {f, g}\ndef main(): return X")
    fingerprinter = Fingerprinter()
    before = fingerprinter.fingerprint(module.main).digest
    module.f.__code__, module.g.__code__ = module.g.__code__, module.f.__code__
    fingerprinter.invalidate_values()
    assert fingerprinter.fingerprint(module.main).digest == taken(module).digest == before
