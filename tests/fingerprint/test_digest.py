"""Canonical encoding of values."""

import argparse
import array
import collections
import copy
import copyreg
import ctypes
import ctypes.util
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import itertools
import json
import operator
import pathlib
import re
import struct
import subprocess
import sys
import textwrap
import threading
import types
import uuid

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyplant import specs  # noqa: F401 - registers how arrays are encoded
from pyplant.errors import UndigestibleError
from pyplant.fingerprint import canonical as canonical_module
from pyplant.fingerprint import digest, hashing, reductions
from pyplant.fingerprint.digest import DIGEST_BYTES, Encoder, digest_bytes, encode, encodes
from pyplant.fingerprint.fingerprint import digest_of
from tests.conftest import ROOT


@dataclasses.dataclass
class Point:
    x: object
    y: object = 0


@dataclasses.dataclass(frozen=True, slots=True)
class FrozenPoint:
    x: object
    y: object = 0


class Slotted:
    __slots__ = ("a", "b")

    def __init__(self, a, b):
        self.a, self.b = a, b


class Plain:
    def __init__(self, **attributes):
        vars(self).update(attributes)


class Twin:
    def __init__(self, **attributes):
        vars(self).update(attributes)


class Reducing:
    def __init__(self, kept, excluded):
        self.kept, self.excluded = kept, excluded

    def __reduce_ex__(self, protocol):
        return Reducing, (self.kept, None)


class Stateful:
    def __init__(self, kept, excluded):
        self.kept, self.excluded = kept, excluded

    def __getstate__(self):
        return {"kept": self.kept}


class Singleton:
    def __reduce__(self):
        return "THE_ONE"


class Refusing:
    def __reduce_ex__(self, protocol):
        message = "no"
        raise TypeError(message)


class Colour(enum.Enum):
    RED = 1
    GREEN = 2


class Number(enum.IntEnum):
    ONE = 1


class Access(enum.IntFlag):
    READ = 1
    WRITE = 2


class List(list):
    pass


class Text(str):
    pass


class Marker:
    """Has an encoder in one test."""


def one():
    return 1


def uno():
    return 1


def two():
    return 2


def library(*declared):
    """Load a library in C, and declare the signatures of some functions."""
    loaded = ctypes.CDLL(ctypes.util.find_library("m"))
    for name in declared:
        getattr(loaded, name).restype = ctypes.c_double
    return loaded


def elsewhere(loaded, looked_up):
    """Change a library as it would be in another process, in which a function was looked up."""
    getattr(loaded, looked_up)
    loaded._handle += 1
    return loaded


def adder(n):
    return lambda x: x + n


Pair = collections.namedtuple("Pair", "left right")

DIFFERENT = {
    "int and float": (1, 1.0),
    "int and bool": (1, True),
    "bool and None": (False, None),
    "float and complex": (1.0, 1 + 0j),
    "zero and negative zero": (0.0, -0.0),
    "complex zeros": (complex(0, 0.0), complex(0, -0.0)),
    "text and bytes": ("a", b"a"),
    "bytes and bytearray": (b"a", bytearray(b"a")),
    "text and its number": ("1", 1),
    "None and Ellipsis": (None, ...),
    "None and NotImplemented": (None, NotImplemented),
    "list and tuple": ([1], (1,)),
    "empty list and empty tuple": ([], ()),
    "set and frozenset": ({1}, frozenset([1])),
    "set and list": ({1}, [1]),
    "nesting": ([[1], [2]], [[1, 2]]),
    "where a text is cut": (["ab", "c"], ["a", "bc"]),
    "text with the marks of the encoding": (["a", "b"], ["a1:S1:b"]),
    "one and two items": ([1], [1, 1]),
    "order of a list": ([1, 2], [2, 1]),
    "order of a dict": ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    "keys and values": ({"a": "b"}, {"b": "a"}),
    "dict and its pairs": ({"a": 1}, [("a", 1)]),
    "dict and OrderedDict": ({"a": 1}, collections.OrderedDict(a=1)),
    "dict and defaultdict": ({"a": 1}, collections.defaultdict(int, a=1)),
    "factories of defaultdicts": (collections.defaultdict(int), collections.defaultdict(list)),
    "deque with and without a limit": (collections.deque([1]), collections.deque([1], 3)),
    "counters": (collections.Counter("aab"), collections.Counter("abb")),
    "subclass of list": ([1], List([1])),
    "content of a subclass of list": (List([1]), List([2])),
    "subclass of str": ("a", Text("a")),
    "content of a subclass of str": (Text("a"), Text("b")),
    "big ints": (2**64, 2**64 + 1),
    "sign": (2**63, -(2**63)),
    "one byte and its complement": (255, -1),
    "long texts": ("a" * 1000, "a" * 999 + "b"),
    "infinities": (float("inf"), float("-inf")),
    "nan and infinity": (float("nan"), float("inf")),
    "fields of a dataclass": (Point(1, 2), Point(2, 1)),
    "dataclass and tuple": (Point(1, 2), (1, 2)),
    "fields of a frozen, slotted dataclass": (FrozenPoint(1), FrozenPoint(2)),
    "classes with equal fields": (Plain(a=1), Twin(a=1, b=2)),
    "slots": (Slotted(1, 2), Slotted(2, 1)),
    "attributes": (Plain(a=1), Plain(a=2)),
    "names of attributes": (Plain(a=1), Plain(b=1)),
    "reduced": (Reducing(1, 2), Reducing(2, 2)),
    "enum members": (Colour.RED, Colour.GREEN),
    "enum member and its value": (Number.ONE, 1),
    "combined flags": (Access.READ, Access.READ | Access.WRITE),
    "flags without a name": (Access(8), Access(16)),
    "namedtuple and tuple": (Pair(1, 2), (1, 2)),
    "namedtuples": (Pair(1, 2), Pair(2, 1)),
    "functions": (one, two),
    "lambdas": (lambda: 1, lambda: 2),
    "closures": (adder(1), adder(2)),
    "partials": (functools.partial(one, 1), functools.partial(one, 2)),
    "keywords of partials": (functools.partial(one, a=1), functools.partial(one, b=1)),
    "updated partials": tuple(functools.update_wrapper(functools.partial(one, n), one) for n in (1, 2)),
    "function and its call": (one, 1),
    "bound methods": (Plain(a=1).__init__, Plain(a=2).__init__),
    "methods of builtins": ([1].append, [2].append),
    "builtins": (len, sum),
    "methods of str": (str.upper, str.lower),
    "classes": (int, float),
    "modules": (json, re),
    "getters": (operator.itemgetter(1), operator.itemgetter(2)),
    "patterns": (re.compile("a"), re.compile("a", re.IGNORECASE)),
    "paths": (pathlib.PurePosixPath("a/b"), pathlib.PurePosixPath("a/c")),
    "dates": (datetime.date(2026, 1, 1), datetime.date(2026, 1, 2)),
    "time zones": (
        datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
        datetime.datetime(2026, 1, 1),
    ),
    "decimals": (decimal.Decimal("1.0"), decimal.Decimal("1.00")),
    "fractions": (fractions.Fraction(1, 2), fractions.Fraction(1, 3)),
    "uuids": (uuid.UUID(int=1), uuid.UUID(int=2)),
    "ranges": (range(3), range(4)),
    "slices": (slice(1), slice(2)),
    "arrays of the standard library": (array.array("i", [1]), array.array("l", [1])),
    "namespaces": (types.SimpleNamespace(a=1), types.SimpleNamespace(a=2)),
    "order in a namespace": (types.SimpleNamespace(a=1, b=2), types.SimpleNamespace(b=2, a=1)),
    "order in parsed options": (argparse.Namespace(a=1, b=2), argparse.Namespace(b=2, a=1)),
    "mapping proxies": (types.MappingProxyType({"a": 1}), types.MappingProxyType({"a": 2})),
    "generic aliases": (list[int], list[str]),
    "exceptions": (ValueError("a"), ValueError("b")),
    "views of dicts": ({"a": 1}.keys(), {"b": 1}.keys()),
    "views of values": ({"a": 1}.values(), {"a": 2}.values()),
    "views of bytes": (memoryview(b"a"), memoryview(b"b")),
    "compiled code": (compile("1", "x", "eval"), compile("2", "x", "eval")),
    "compiled formats": (struct.Struct("<i"), struct.Struct("<q")),
    "libraries in C": (library(), library("sqrt")),
    "functions of a library": (library().sin, library().cos),
    "signatures of functions in C": (library().sqrt, library("sqrt").sqrt),
    "properties": (property(one), property(two)),
    "setters of properties": (property(one, one), property(one, two)),
    "static methods": (staticmethod(one), staticmethod(two)),
    "cached properties": (functools.cached_property(one), functools.cached_property(two)),
    "ufuncs": (np.add, np.multiply),
    "ufuncs of the user's": (np.frompyfunc(one, 0, 1), np.frompyfunc(two, 0, 1)),
    "NumPy's functions": (np.sum, np.mean),
    "NumPy's scalars": (np.float64(1), np.float32(1)),
    "generators of random numbers": (np.random.default_rng(1), np.random.default_rng(2)),
    "shapes of arrays": (np.arange(6), np.arange(6).reshape(2, 3)),
    "dtypes of arrays": (np.zeros(4, "f8"), np.zeros(4, "i8")),
    "arrays of objects": (np.array([1, "a"], object), np.array([1, "b"], object)),
    "arrays in lists": ([np.arange(3)], [np.arange(4)]),
}

EQUAL = {
    "equal texts": ("ab", "".join(["a", "b"])),
    "nan": (float("nan"), float("nan")),
    "sets in another order": ({"a", "b", "c", "dd"}, {"dd", "c", "b", "a"}),
    "frozensets of tuples": (frozenset([("a", 1), ("b", 2)]), frozenset([("b", 2), ("a", 1)])),
    "order of attributes": (Plain(a=1, b=2), Plain(b=2, a=1)),
    "order of attributes in a set": ({Colour.RED, Colour.GREEN}, {Colour.GREEN, Colour.RED}),
    "names of functions": (one, uno),
    "lambda and function": (one, lambda: 1),
    "closures": (adder(1), adder(1)),
    "what a class leaves out of its reduction": (Reducing(1, 2), Reducing(1, 3)),
    "what a class leaves out of its state": (Stateful(1, 2), Stateful(1, 3)),
    "shared and repeated texts": (["a" * 100] * 2, ["a" * 100, "".join(["a"] * 100)]),
    "shared and repeated tuples": ([("a" * 100,)] * 2, [("a" * 100,), ("".join(["a"] * 100),)]),
    "shared and repeated frozensets": ([frozenset("ab")] * 2, [frozenset("ab"), frozenset("ba")]),
    "shared and repeated dates": ([datetime.date(2026, 1, 1)] * 2, [datetime.date(2026, 1, 1) for _ in "ab"]),
    "shared and repeated frozen objects": ([FrozenPoint(1)] * 2, [FrozenPoint(1), FrozenPoint(1)]),
    "shared and repeated numbers of NumPy": ([np.float64(1)] * 2, [np.float64(1), np.float64(1)]),
    "shared and repeated paths": (
        [pathlib.PurePosixPath("a")] * 2,
        [pathlib.PurePosixPath("a"), pathlib.PurePosixPath("a")],
    ),
    "arrays in no order": (
        np.arange(24).reshape(2, 3, 4).swapaxes(0, 1),
        np.arange(24).reshape(2, 3, 4).swapaxes(0, 1).copy(),
    ),
    "views of arrays": (np.arange(4)[::2], np.array([0, 2])),
    "libraries in other processes": (library("sqrt"), elsewhere(library("sqrt"), "sin")),
    "functions of equal libraries": (library("sqrt").sqrt, library("sqrt").sqrt),
    "methods of equal objects": (Plain(a=1).__init__, Plain(a=1).__init__),
}


MUTABLE = {
    "list": lambda: [1],
    "empty list": list,
    "dict": lambda: {"a": 1},
    "set": lambda: {1, 2},
    "bytearray": lambda: bytearray(b"a"),
    "deque": lambda: collections.deque([1]),
    "defaultdict": lambda: collections.defaultdict(list, a=[1]),
    "subclass of list": lambda: List([1]),
    "array of the standard library": lambda: array.array("i", [1]),
    "array": lambda: np.zeros(2),
    "object": lambda: Plain(a=1),
    "object with slots": lambda: Slotted(1, 2),
    "dataclass": lambda: Point(1, 2),
    "namespace": lambda: types.SimpleNamespace(a=1),
    "generator of random numbers": lambda: np.random.default_rng(1),
    "tuple with a list": lambda: ([1],),
}
AROUND = {
    "list": lambda a, b: [a, b],
    "tuple": lambda a, b: (a, b),
    "dict": lambda a, b: {"a": a, "b": b},
    "object": lambda a, b: Plain(a=a, b=b),
    "deep": lambda a, b: [[a], {"b": [b]}],
    "beside a set": lambda a, b: [{"x", "y", ("z",)}, a, b],
    "array of objects": lambda a, b: _objects([a, b]),
}


def _objects(items):
    made = np.empty(len(items), object)
    made[:] = items
    return made


@pytest.mark.parametrize("around", AROUND.values(), ids=AROUND)
@pytest.mark.parametrize("make", MUTABLE.values(), ids=MUTABLE)
def test_one_object_in_two_places_is_not_the_same_as_two_equal_ones(make, around):
    one = make()
    shared, apart = around(one, one), around(make(), make())
    assert digest_of(shared) != digest_of(apart)
    assert digest_of(copy.deepcopy(shared)) == digest_of(shared)
    assert digest_of(around(make(), make())) == digest_of(apart)


def test_which_of_equal_objects_is_shared_counts():
    first, second = [1], [1]
    assert digest_of([first, second, first]) != digest_of([first, second, second])
    assert digest_of([first, first, second, second]) != digest_of([first, second, first, second])


def test_objects_shared_between_sets_count_alike_in_any_order(run_script):
    source = textwrap.dedent("""
        from pyplant.fingerprint.fingerprint import digest_of
        class Plain:
            def __init__(self, **names): vars(self).update(names)
        def network(*names):
            nodes = [Plain(name=name) for name in names]
            return [set(nodes), {"first": nodes[0], "last": nodes[-1]}, frozenset(nodes[1:])]
        print(digest_of(network(*"abcdefgh")), digest_of(network("a", "a", "a")))
    """)
    seen = {run_script(source, env={"PYTHONHASHSEED": str(seed)}).stdout for seed in range(3)}
    assert len(seen) == 1


@pytest.mark.parametrize(("left", "right"), DIFFERENT.values(), ids=DIFFERENT)
def test_different_values_have_different_digests(left, right):
    assert digest_of(left) != digest_of(right)
    assert digest_of([left]) != digest_of([right])


@pytest.mark.parametrize(("left", "right"), EQUAL.values(), ids=EQUAL)
def test_equal_values_have_equal_digests(left, right):
    assert digest_of(left) == digest_of(right)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.complex_numbers(allow_nan=False)
    | st.text(max_size=80)
    | st.binary(max_size=80),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(max_size=3), inner, max_size=4)
        | st.frozensets(st.integers() | st.text(max_size=3) | st.booleans(), max_size=4)
        | st.builds(Point, inner, inner)
    ),
    max_leaves=12,
)


def canonical(value):
    """The value as nested tuples that are equal if and only if code cannot distinguish the values."""
    match value:
        case float():
            return "float", value.hex()
        case complex():
            return "complex", value.real.hex(), value.imag.hex()
        case list() | tuple():
            return type(value).__name__, tuple(map(canonical, value))
        case dict():
            return "dict", tuple((canonical(key), canonical(item)) for key, item in value.items())
        case frozenset():
            return "set", frozenset(map(canonical, value))
        case Point():
            return "point", canonical(value.x), canonical(value.y)
        case _:
            return type(value).__name__, value


@given(VALUES, VALUES)
def test_digests_are_equal_exactly_when_the_values_are(left, right):
    assert (digest_of(left) == digest_of(right)) == (canonical(left) == canonical(right))


@given(VALUES, st.data())
def test_a_small_change_anywhere_changes_the_digest(value, data):
    changed = _changed(value, data)
    assert (digest_of(value) == digest_of(changed)) == (canonical(value) == canonical(changed))


def _changed(value, data):
    if isinstance(value, list | tuple) and value:
        index = data.draw(st.integers(0, len(value) - 1))
        items = list(value)
        items[index] = _changed(items[index], data)
        return type(value)(items)
    if isinstance(value, dict) and value:
        key = data.draw(st.sampled_from(sorted(value)))
        return {**value, key: _changed(value[key], data)}
    return data.draw(st.sampled_from([[value], (value,), None, 0, "", [], {}]))


@given(
    st.recursive(st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
)
def test_a_tree_of_data_has_the_bytes_that_any_graph_would_have(value):
    encoder = Encoder()
    encoder.item(value)
    assert encoder.result().data == canonical_module._Canonical(encoder._nodes, digest_bytes).data()


@given(VALUES)
def test_a_deep_copy_has_the_same_digest(value):
    assert digest_of(copy.deepcopy(value)) == digest_of(value)


def test_a_digest_is_a_string_of_fixed_length():
    assert len(digest_of(1)) == len(digest_bytes(b"")) == 2 * DIGEST_BYTES


def test_big_buffers_are_hashed_like_small_ones():
    big = bytes(hashing._LARGE)
    assert digest_bytes(big) == digest_bytes(memoryview(big))
    assert digest_bytes(big) != digest_bytes(big[:-1] + b"\1")
    assert digest_bytes(big) != digest_bytes(big[:-1])


SETS = """
import sys
from pyplant.fingerprint.fingerprint import digest_of
class Named:
    def __init__(self, name): self.name = name
def first(): return {"a", "b", "c"}
def second(): return "x" in {"x", "y", "z"}
objects = {Named(name) for name in "abcdef"}
print(digest_of([{"a", "b", "c", "dd", None, 1, ("x", "y")}, objects, frozenset("hello"), first, second]))
"""


def test_sets_do_not_depend_on_the_hash_seed(run_script):
    seen = {run_script(SETS, env={"PYTHONHASHSEED": str(seed)}).stdout.split()[0] for seed in range(4)}
    assert len(seen) == 1


def test_sets_of_functions_with_one_name_do_not_depend_on_addresses():
    codes = [eval(f"lambda: {number}").__code__ for number in range(8)]
    forth = [types.FunctionType(code, {}) for code in codes]
    back = [types.FunctionType(code, {}) for code in reversed(codes)]
    assert digest_of(frozenset(forth)) == digest_of(frozenset(back))


def test_a_set_of_functions_does_not_depend_on_their_names(run_script):
    source = (
        "from pyplant.fingerprint.fingerprint import digest_of\ndef {0}(): return 1\ndef {1}(): return 2\n"
    )
    source += "print(digest_of(frozenset([{0}, {1}])))"
    seen = {
        run_script(source.replace("{0}", a).replace("{1}", b)).stdout for a, b in (("a", "b"), ("b", "a"))
    }
    assert len(seen) == 1


# ------------------------------------------------------------------ shapes of graphs


def test_a_cyclic_value_has_a_digest():
    ring = [1]
    ring.append(ring)
    other = [1]
    other.append(other)
    longer = [1]
    longer.append([1, longer])
    assert digest_of(ring) == digest_of(other)
    assert digest_of(ring) != digest_of([1, [1]])
    assert digest_of(ring) != digest_of(longer)


def test_cycles_to_different_places_differ():
    def nested(target):
        inner, outer = ["in"], ["out"]
        outer.append(inner)
        inner.append(inner if target == "inner" else outer)
        return outer

    assert digest_of(nested("inner")) == digest_of(nested("inner"))
    assert digest_of(nested("inner")) != digest_of(nested("outer"))


def test_a_cycle_through_an_object_has_a_digest():
    def family(name):
        parent, child = Plain(name=name), Plain(name="child")
        parent.child, child.parent = child, parent
        return parent

    assert digest_of(family("a")) == digest_of(family("a"))
    assert digest_of(family("a")) != digest_of(family("b"))


def network(names):
    nodes = [Plain(name=name, neighbours=set()) for name in names]
    for node in nodes:
        node.neighbours.update(nodes)
    return nodes[0]


def test_a_cycle_through_a_set_has_a_digest():
    assert encode(network("a")).opaque == ()
    assert digest_of(network("a")) == digest_of(network("a"))
    assert digest_of(network("a")) != digest_of(network("b"))


def test_objects_that_are_neighbours_of_one_another_are_encoded_in_reasonable_time(run_script):
    script = """
        import resource, sys
        resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
        from pyplant.fingerprint.digest import encode
        class Node:
            def __init__(self): self.neighbours = set()
        nodes = [Node() for _ in range(4)]
        for node in nodes:
            node.neighbours.update(nodes)
        encode(nodes[0])
    """
    assert run_script(textwrap.dedent(script), check=False).returncode == 0


def test_the_digest_of_a_cycle_does_not_depend_on_the_depth_of_the_call():
    value = network("a")

    def deeper(n):
        return deeper(n - 1) if n else encode(value).data

    assert deeper(0) == deeper(200)


@pytest.mark.parametrize("leaf", [1, one, Plain(a=1)], ids=["scalar", "function", "object"])
def test_an_object_with_many_references_is_encoded_once(leaf):
    value = leaf
    for _ in range(16):
        value = [value, value]
    encoding = encode(value)
    assert len(encoding.data) + len(encoding.edges) < 5_000


def test_sharing_of_immutable_objects_does_not_count():
    part = ("a" * 100, "b")
    equal = ("a" * 100, "".join(["b"]))
    assert digest_of([part, {"x": part}]) == digest_of([part, {"x": equal}])
    assert digest_of([one, part, part]) == digest_of([one, part, equal])


def nested(depth, leaf):
    for _ in range(depth):
        leaf = [leaf]
    return leaf


@pytest.mark.slow
@pytest.mark.parametrize("depth", [200, 1_000, 20_000])
def test_deeply_nested_values_differ(depth):
    assert encode(nested(depth, 1)).opaque == ()
    assert digest_of(nested(depth, 1)) == digest_of(nested(depth, 1))
    assert digest_of(nested(depth, 1)) != digest_of(nested(depth, 2))
    assert digest_of(nested(depth, 1)) != digest_of(nested(depth + 1, 1))


@pytest.mark.slow
def test_linked_lists_of_objects_differ():
    def chain(length, last):
        node = last
        for _ in range(length):
            node = Plain(following=node)
        return node

    assert digest_of(chain(1_000, 1)) == digest_of(chain(1_000, 1))
    assert digest_of(chain(1_000, 1)) != digest_of(chain(1_000, 2))


def test_the_digest_of_a_nested_value_does_not_depend_on_the_depth_of_the_call():
    value = nested(180, 1)

    def deeper(n):
        return deeper(n - 1) if n else encode(value).data

    assert deeper(0) == deeper(600)


# ------------------------------------------------------------------ opaque objects


def generator():
    yield


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (threading.Lock(), "_thread.lock"),
        (generator(), "builtins.generator"),
        (Refusing(), f"{__name__}.Refusing"),
        (sys._getframe(), "builtins.frame"),
    ],
    ids=["lock", "generator", "refusing", "frame"],
)
def test_an_opaque_value_is_noted_by_its_class(value, name):
    assert encode(value).opaque == (name,)
    assert encode([value, {"a": value}]).opaque == (name,)
    assert encode({1, value}).opaque == (name,)


def test_an_opaque_part_does_not_hide_the_rest():
    lock = threading.Lock()
    assert encode([lock, 1]).data != encode([lock, 2]).data
    assert encode([lock]).data == encode([threading.Lock()]).data


class EndlessList(list):
    def __iter__(self):
        return itertools.count()


class EndlessDict(dict):
    def items(self):
        return zip(itertools.count(), itertools.count(), strict=True)


class Endless:
    def __init__(self, n):
        self.n = n

    def __reduce__(self):
        return Endless, (self.n,), None, itertools.count()


@pytest.mark.parametrize(("make", "content"), [(EndlessList, ([1], [2])), (EndlessDict, ({1: 2}, {1: 3}))])
def test_a_container_whose_iterator_does_not_end_counts_by_its_content(monkeypatch, make, content):
    monkeypatch.setattr(reductions, "MAX_ITEMS", 1_000)
    first, same, other = map(make, (content[0], *content))
    assert encode(first).is_same(encode(same))
    assert not encode(first).is_same(encode(other))
    assert encode(first).opaque == ()


def test_an_object_whose_items_do_not_end_is_opaque(monkeypatch):
    monkeypatch.setattr(reductions, "MAX_ITEMS", 1_000)
    assert encode(Endless(1)).opaque == ("tests.fingerprint.test_digest.Endless",)


@pytest.mark.parametrize(
    "make",
    [
        collections.deque,
        type("Own", (list,), {}),
        lambda items: collections.OrderedDict.fromkeys(map(str, items)),
    ],
)
def test_a_container_with_the_iterator_of_its_base_counts_whole(monkeypatch, make):
    monkeypatch.setattr(reductions, "MAX_ITEMS", 10)
    assert not encode(make(range(20))).is_same(encode(make([*range(19), 0])))


def test_the_digest_of_an_opaque_value_is_refused_with_its_class():
    with pytest.raises(UndigestibleError, match=r"list cannot be digested: _thread\.lock"):
        digest_of([threading.Lock()])


def test_a_callable_object_counts_by_the_wrapped_function_and_its_attributes():
    class Scaled:
        def __init__(self, function, factor):
            functools.update_wrapper(self, function)
            self.factor = factor

        def __call__(self):
            return self.__wrapped__() * self.factor

    assert digest_of(Scaled(one, 2)) != digest_of(Scaled(two, 2))
    assert digest_of(Scaled(one, 2)) != digest_of(Scaled(one, 3))


def test_a_cached_function_counts_by_the_function_not_by_its_cache():
    cached = functools.lru_cache(one)
    before = digest_of(cached)
    cached()
    assert digest_of(cached) == before
    assert before != digest_of(functools.lru_cache(two))


# ------------------------------------------------------------------ encoders


def test_an_encoder_is_found_by_the_name_of_the_type():
    name = f"{Marker.__module__}.{Marker.__qualname__}"
    plain = encode(Marker()).data

    @encodes(name)
    def handler(value, encoder):
        encoder.tag("marker")
        encoder.item([1, 2])

    try:
        assert encode(Marker()).data != plain
        assert encode([Marker()]).edges == ()
    finally:
        del digest._by_name[name]
        digest._by_type.clear()
    assert encode(Marker()).data == plain


def test_an_encoder_may_add_bytes_code_and_opaque_parts():
    encoder = Encoder()
    encoder.tag("t")
    encoder.data(b"abc")
    encoder.buffer(b"abc")
    encoder.code(one)
    encoder.opaque_item(threading.Lock(), "why")
    result = encoder.result()
    assert result.data.startswith(b"1:t3:abc40:")
    assert result.edges[0] is one
    assert result.opaque == ("_thread.lock (why)",)


def test_the_encoding_of_plain_values_does_not_change_between_versions():
    """These digests are keys of stored results: a change of them makes all reactors of all users run again."""
    assert (
        encode([1, "a", None, True, b"b", (2,), ...]).data == b"#35:l7:I1:\x01S1:aN0:B1:1Y1:b#7:t1:I1:\x02E0:"
    )
    assert encode({"k": 1.5}).data == b"#18:d2:S1:kF8:\0\0\0\0\0\0\xf8?"
    assert digest_bytes(b"") == "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9"


def test_digests_agree_between_processes():
    script = (
        "from pyplant.fingerprint.fingerprint import digest_of\n"
        "import fractions, pathlib, datetime\n"
        "print(digest_of([1, 'a', {'k': (1.5, None)}, fractions.Fraction(1, 3), datetime.date(2026, 1, 1)]))"
    )
    command = [sys.executable, "-c", script]
    printed = {
        subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout for _ in range(2)
    }
    assert printed == {
        digest_of([1, "a", {"k": (1.5, None)}, fractions.Fraction(1, 3), datetime.date(2026, 1, 1)]) + "\n"
    }


def test_an_object_whose_encoder_fails_is_reduced():
    class Later:
        def __init__(self, a):
            self.a = a

    def handler(value, encoder):
        encoder.tag("half")
        raise AttributeError("of another version")

    name = f"{Later.__module__}.{Later.__qualname__}"
    encodes(name)(handler)
    try:
        assert digest_of(Later(1)) == digest_of(Later(1)) != digest_of(Later(2))
    finally:
        digest._by_name.pop(name)
        digest._by_type.clear()


def test_an_encoder_may_be_for_subclasses_or_any_module_of_a_package():
    class Base:
        def __init__(self, a):
            self.a = a

    class Derived(Base):
        pass

    names = [f"{Base.__module__}.{Base.__qualname__}+", f"tests.*.{Base.__qualname__}"]
    encodes(*names)(lambda value, encoder: encoder.tag("known"))
    try:
        assert encode(Base(1)).data == encode(Derived(2)).data
    finally:
        for name in names:
            digest._by_name.pop(name)
        digest._by_type.clear()


def test_an_exception_that_was_raised_has_its_digest_also_where_tracebacks_are_pickled(monkeypatch):
    """Register a reducer for exceptions, as tblib does, which other libraries import."""
    raised = ValueError("a")
    with pytest.raises(ValueError):
        raise raised
    reducer = lambda error: (
        type(error),
        error.args,
        {"line": error.__traceback__ and error.__traceback__.tb_lineno},
    )
    monkeypatch.setitem(copyreg.dispatch_table, ValueError, reducer)
    assert digest_of(raised) == digest_of(ValueError("a")) != digest_of(ValueError("b"))


def test_what_a_library_notes_about_an_object_does_not_count(tmp_path):
    pandas, joblib = pytest.importorskip("pandas"), pytest.importorskip("joblib")
    pytest.importorskip("jinja2")
    memory = joblib.Memory(tmp_path, verbose=0)
    table = pandas.DataFrame({"a": [1]})
    for make in (lambda: memory.cache(textwrap.dedent), lambda: table.style):
        one, other = make(), make()
        for attribute in ("timestamp", "uuid"):
            if hasattr(other, attribute):
                setattr(other, attribute, "another")
        assert encode(one).data == encode(other).data
