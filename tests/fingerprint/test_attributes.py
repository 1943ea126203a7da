"""Objects are read without running code of their classes."""

import functools
import subprocess
import sys
import textwrap
import types

import pytest

from pyplant import specs  # noqa: F401 - registers how arrays are encoded
from pyplant._missing import MISSING
from pyplant.fingerprint import digest
from pyplant.fingerprint.attributes import has_dynamic_attributes, module_of, namespace, static_attribute
from pyplant.fingerprint.code_graph import NodeBuilder
from pyplant.fingerprint.digest import encode
from pyplant.fingerprint.fingerprint import Fingerprinter, digest_of
from pyplant.fingerprint.graph_node import shorten
from pyplant.fingerprint.source import Sources
from tests.conftest import ROOT
from tests.fingerprint.helpers import load, taken


class Answering:
    """Has an answer for every attribute, which is another such object, and keeps it."""

    def __init__(self, n=1):
        self.__dict__["n"] = n

    def __getattr__(self, name):
        return self.__dict__.setdefault(name, Answering(self.__dict__["n"] + 1))

    def __call__(self, *args):
        return Answering()


class AnsweringNone:
    def __init__(self, n):
        self.n = n

    def __getattr__(self, name):
        return None


class AnsweringSlots:
    __slots__ = ("__hidden", "n")

    def __init__(self, n):
        self.n = n
        self.__hidden = n

    def __getattr__(self, name):
        return AnsweringSlots(name)


class AnsweringMapping(dict):
    def __init__(self, n):
        super().__init__(n=n)

    def __getattr__(self, name):
        return self.get(name)


class AnsweringPair(tuple):
    __slots__ = ()

    def __new__(cls, n):
        return super().__new__(cls, (n, n))

    def __getattr__(self, name):
        return self


class AnsweringText(str):
    __slots__ = ()

    def __new__(cls, n):
        return super().__new__(cls, f"text {n}")

    def __getattr__(self, name):
        return self


class Exiting:
    def __init__(self, n):
        object.__setattr__(self, "n", n)

    def __getattribute__(self, name):
        raise SystemExit(name)


class Raising:
    def __init__(self, n):
        self.n = n

    def __getattr__(self, name):
        raise RuntimeError(name)


class Lying:
    def __init__(self, n):
        self.n = n

    @property
    def __class__(self):
        return types.FunctionType


class LyingByRaising:
    def __init__(self, n):
        self.n = n

    @property
    def __class__(self):
        raise ZeroDivisionError


class Hostile:
    """An expression as in query languages, with more special methods."""

    __hash__ = None

    def __init__(self, n):
        self.n = n

    def __eq__(self, other):
        raise RuntimeError

    def __bool__(self):
        raise RuntimeError

    def __len__(self):
        raise RuntimeError

    def __iter__(self):
        raise RuntimeError

    def __repr__(self):
        raise SystemExit


class WithGetState:
    def __init__(self, n):
        self.n = n

    def __getattr__(self, name):
        return Answering()

    def __getstate__(self):
        return {"n": self.n}


class GrowingProperty:
    def __init__(self, n):
        self.n = n

    @property
    def child(self):
        self.__dict__.setdefault("children", []).append(GrowingProperty(0))
        return self.children[-1]

    shape = dtype = child


class Proxy:
    """A proxy as in web frameworks, whose target may not exist yet."""

    __slots__ = ("_find",)

    def __init__(self, n):
        object.__setattr__(self, "_find", functools.partial(int, n))

    def __getattribute__(self, name):
        message = "working outside of a request"
        raise RuntimeError(message)

    @property
    def __dict__(self):
        message = "working outside of a request"
        raise RuntimeError(message)


HOSTILE = [
    Answering,
    AnsweringNone,
    AnsweringSlots,
    AnsweringMapping,
    AnsweringPair,
    AnsweringText,
    Exiting,
    Raising,
    Lying,
    LyingByRaising,
    Hostile,
    WithGetState,
    GrowingProperty,
    Proxy,
]


@pytest.mark.parametrize("cls", HOSTILE, ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("within", [lambda x: x, lambda x: [x], lambda x: {"a": {"b": x}}])
def test_hostile_objects_count_by_their_content(cls, within):
    assert digest_of(within(cls(1))) == digest_of(within(cls(1))) != digest_of(within(cls(2)))


@pytest.mark.parametrize("cls", HOSTILE, ids=lambda cls: cls.__name__)
def test_hostile_objects_are_described_and_compared(cls):
    value = cls(1)
    description = NodeBuilder(Sources().part, set(), lambda _: "")(value)
    assert description.unchanged()
    assert description.local == NodeBuilder(Sources().part, set(), lambda _: "")(value).local
    assert description.local != NodeBuilder(Sources().part, set(), lambda _: "")(cls(2)).local
    assert isinstance(shorten(value), str)


def test_reading_an_object_creates_no_attributes():
    for value in (Answering(), GrowingProperty(1)):
        before = dict(object.__getattribute__(value, "__dict__"))
        digest_of(value)
        shorten(value)
        assert object.__getattribute__(value, "__dict__") == before


def test_an_interrupt_is_not_suppressed():
    class Interrupted:
        def __getstate__(self):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encode(Interrupted())


@pytest.mark.parametrize("error", [SystemExit, GeneratorExit, RecursionError, MemoryError, RuntimeError])
def test_an_unreadable_object_counts_by_its_class(error):
    class Refusing:
        def __reduce_ex__(self, protocol):
            raise error

    class Strange:
        def __reduce_ex__(self, protocol):
            return (int,)

    assert encode(Refusing()).opaque == (f"{__name__}.{Refusing.__qualname__}",)
    assert encode([1, Strange(), 2]).opaque == (f"{__name__}.{Strange.__qualname__}",)


def test_a_class_whose_metaclass_refuses_everything_does_not_fail_the_run(tmp_path):
    text = (
        "class Meta(type):\n def __getattribute__(cls, name): raise RuntimeError\n"
        "class A(metaclass=Meta):\n n = 1\ndef h(): return {}\ndef main(): return A, h()"
    )
    one, two, three = (taken(load(tmp_path, text.format(n))) for n in (1, 1, 2))
    assert one.digest == two.digest != three.digest


# ------------------------------------------------------------------ limits


class Item:
    def __init__(self, n, following=None):
        self.n = n
        self.following = following


class Growing:
    """Reduces to two new objects of its class, without end."""

    def __init__(self, n):
        self.n = n

    def __getstate__(self):
        return {"n": self.n, "more": [Growing(2 * self.n), Growing(2 * self.n + 1)]}


class GrowingChain:
    def __init__(self, n):
        self.n = n

    def __reduce__(self):
        return GrowingChain, (self.n,), {"next": GrowingChain(self.n + 1)}


@pytest.fixture
def small_bounds(monkeypatch):
    monkeypatch.setattr(digest, "MAX_OBJECTS", 50)
    monkeypatch.setattr(digest, "MAX_DEPTH", 20)


def chain(length, last=0):
    item = Item(last)
    for n in range(length):
        item = Item(n, item)
    return item


@pytest.mark.usefixtures("small_bounds")
@pytest.mark.parametrize("cls", [Growing, GrowingChain])
def test_objects_that_grow_without_end_are_cut_with_a_note(cls):
    first, again, other = encode(cls(1)), encode(cls(1)), encode(cls(2))
    assert first.data == again.data != other.data
    assert all(cls.__qualname__ in text and "beyond" in text for text in first.opaque)
    assert 0 < len(first.opaque) <= 100


@pytest.mark.usefixtures("small_bounds")
def test_a_cut_at_the_maximum_depth_is_noted():
    assert encode(chain(20, 1)).data != encode(chain(20, 2)).data
    assert encode(chain(20)).opaque == ()
    cut = encode(chain(30, 1))
    assert cut.data == encode(chain(30, 2)).data
    assert len(cut.opaque) == 1


@pytest.mark.usefixtures("small_bounds")
def test_each_object_in_a_container_has_limits_of_its_own():
    one = [Item(n, Item(n)) for n in range(500)]
    two = [Item(n, Item(n)) for n in range(499)] + [Item(499, Item(-1))]
    assert encode(one).data != encode(two).data
    assert encode(one).opaque == ()


@pytest.mark.usefixtures("small_bounds")
@pytest.mark.parametrize(
    "content",
    [
        lambda n: [[i] for i in range(500)] + [[n]],
        lambda n: {str(i): (i, [i]) for i in range(500)} | {"last": (n, [n])},
        lambda n: functools.reduce(lambda inner, _: [inner], range(500), n),
        lambda n: b"x" * 100_000 + bytes([n]),
        lambda n: [AnsweringMapping(i) for i in range(500)] + [AnsweringMapping(-n)],
    ],
    ids=["list", "dict", "deep list", "bytes", "subclasses of dict"],
)
def test_the_content_of_containers_is_never_cut(content):
    one, two = encode(Item(content(1))), encode(Item(content(2)))
    assert one.data != two.data
    assert one.opaque == ()


@pytest.mark.usefixtures("small_bounds")
def test_dataclasses_and_arrays_are_never_cut():
    import dataclasses

    import numpy as np

    Row = dataclasses.make_dataclass("Row", ["n"])

    def rows(last):
        return Item([[Row(n), np.arange(n)] for n in range(200)] + [Row(last)])

    assert encode(rows(1)).data != encode(rows(2)).data
    assert encode(rows(1)).opaque == ()


@pytest.mark.slow
def test_the_cut_does_not_depend_on_the_order_of_a_set():
    script = """
        from pyplant.fingerprint import digest
        from pyplant.fingerprint.fingerprint import Fingerprinter
        digest.MAX_OBJECTS = 40
        class Item:
            def __init__(self, name, below): self.name, self.below = name, below
            def __hash__(self): return hash(self.name)
        leaves = lambda name, n: {Item(f"{name} {i}", None) for i in range(n)}
        tree = Item("root", {Item("a", leaves("a", 10)), Item("b", leaves("b", 30)), Item("c", leaves("c", 5))})
        found, notes = Fingerprinter().digest(tree)
        assert notes
        print(found)
    """
    found = {
        subprocess.run(
            [sys.executable, "-c", textwrap.dedent(script)],
            cwd=ROOT,
            env={"PYTHONHASHSEED": str(seed), "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in range(3)
    }
    assert len(found) == 1


@pytest.mark.slow
def test_a_long_chain_of_objects_needs_no_recursion():
    assert digest_of(chain(5_000, 1)) != digest_of(chain(5_000, 2))


def test_objects_in_a_cycle_do_not_reach_the_limit():
    items = [Item(n) for n in range(300)]
    for n, item in enumerate(items):
        item.following = [items[(n + 1) % 300], items[7 * n % 300]]
    assert encode(items[0]).opaque == ()


# ------------------------------------------------------------------ reading attributes


def test_only_declared_attributes_are_found():
    assert static_attribute(Answering(), "n") == 1
    assert static_attribute(Answering(), "m") is MISSING
    assert static_attribute(AnsweringSlots(3), "n") == 3
    assert static_attribute(Exiting(2), "n") == 2
    assert namespace(AnsweringSlots(1)) is None
    assert has_dynamic_attributes(Answering)
    assert has_dynamic_attributes(Exiting)
    assert not has_dynamic_attributes(Item)
    assert not has_dynamic_attributes(AnsweringPair.__mro__[1])


def test_a_module_name_that_is_no_string_is_ignored():
    class Described:
        __module__ = property(lambda self: "builtins")

    assert module_of(Described) == ""
    assert module_of(int) == "builtins"
    assert module_of(Item) == __name__
    assert Fingerprinter().digest(Described())[0]
