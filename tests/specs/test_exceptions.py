"""Exceptions as values, and other objects that cannot be loaded as they were pickled."""

import collections
import enum
import sys
import threading
import typing
from dataclasses import dataclass

import pytest

from pyplant.errors import UnsavableError
from pyplant.fingerprint.fingerprint import digest_of
from pyplant.specs import ObjectSpec, pickled
from tests.specs.helpers import dumped


class HttpError(Exception):
    def __init__(self, status, url):
        super().__init__(f"{status} {url}")
        self.status, self.url = status, url


class KeywordError(ValueError):
    def __init__(self, *, code):
        self.code = code


class SlottedError(KeyError):
    __slots__ = ("where",)

    def __init__(self, where, _):
        self.where = where


class FileError(OSError):
    def __init__(self, path):
        super().__init__(2, "gone", path)


class MadeError(Exception):
    def __new__(cls, a, b):
        made = super().__new__(cls, a)
        made.b = b
        return made


class GroupError(ExceptionGroup):
    def __new__(cls, errors):
        return super().__new__(cls, "all failed", errors)


class ReducingError(Exception):
    def __init__(self, a, b):
        super().__init__(a)
        self.b = b

    def __reduce__(self):
        return type(self), (*self.args, self.b)


class BrokenError(ReducingError):
    def __reduce__(self):
        return type(self), self.args


def missing():
    try:
        return missing.nothing
    except AttributeError as error:
        return error


def chained(cause, context=None):
    error = ValueError("a")
    error.__context__, error.__cause__ = context, cause
    return error


def noted(text):
    error = ValueError("a")
    error.add_note(text)
    return error


def unicode_error():
    try:
        b"\xff".decode()
    except UnicodeDecodeError as error:
        return error


EXCEPTIONS = {
    "other arguments": lambda: HttpError(404, "x"),
    "keyword arguments": lambda: KeywordError(code=3),
    "slots": lambda: SlottedError("here", 1),
    "constructor of OSError": lambda: FileError("data.csv"),
    "own __new__": lambda: MadeError(1, 2),
    "own group": lambda: GroupError([HttpError(1, "a"), KeyError("b")]),
    "own reduction": lambda: ReducingError(1, 2),
    "file": lambda: FileNotFoundError(2, "gone", "data.csv"),
    "import": lambda: ImportError("no", name="module", path="/where"),
    "name": lambda: NameError("no", name="x"),
    "attribute": missing,
    "syntax": lambda: SyntaxError("bad", ("file", 1, 2, "text", 1, 3)),
    "unicode": unicode_error,
    "stop": lambda: StopIteration(5),
    "cause": lambda: chained(KeyError("b")),
    "context": lambda: chained(None, KeyError("b")),
    "notes": lambda: noted("see there"),
    "group": lambda: ExceptionGroup("some", [chained(KeyError("b")), ValueError(1)]),
}


def held(error):
    """All of an exception that people can see, but its traceback."""
    if error is None:
        return None
    names = ("filename", "errno", "name", "path", "msg", "lineno", "start", "value", "code", "where")
    return (
        type(error),
        str(error),
        [held(part) if isinstance(part, Exception) else str(part) for part in error.args],
        {key: str(value) for key, value in vars(error).items()},
        {name: getattr(error, name, None) for name in names},
        [held(part) for part in getattr(error, "exceptions", ())],
        (held(error.__cause__), held(error.__context__), error.__suppress_context__),
    )


@pytest.mark.parametrize("make", EXCEPTIONS.values(), ids=EXCEPTIONS)
def test_an_exception_loads_with_all_its_members(make):
    value = [make()]
    loaded = ObjectSpec().parse(dumped(ObjectSpec(), value), {})
    assert held(loaded[0]) == held(value[0])
    assert digest_of(loaded) == digest_of(value)
    assert digest_of(make()) == digest_of(make())


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (chained(KeyError("b")), chained(KeyError("c"))),
        (chained(KeyError("b")), chained(None, KeyError("b"))),
        (chained(KeyError("b")), ValueError("a")),
        (noted("a"), noted("b")),
        (NameError("no", name="x"), NameError("no", name="y")),
        (HttpError(404, "x"), HttpError(404, "x y")),
        (SlottedError(1, 2), SlottedError(2, 2)),
    ],
)
def test_exceptions_that_differ_have_different_digests(left, right):
    assert digest_of(left) != digest_of(right)


def test_a_cause_that_cannot_be_pickled_is_left_out():
    cause = KeyError("b")
    cause.lock = threading.Lock()
    loaded = ObjectSpec().parse(dumped(ObjectSpec(), chained(cause)), {})
    assert held(loaded) == held(ValueError("a"))


class Tag(str):
    __slots__ = ("kind",)

    def __new__(cls, text, kind):
        made = super().__new__(cls, text)
        made.kind = kind
        return made


class Lazy:
    def __init__(self):
        self.parts = {}

    def __getattr__(self, name):
        return self.parts[name]


class Logged(dict):
    def __init__(self):
        self.log = []

    def __setitem__(self, key, value):
        self.log.append(key)
        super().__setitem__(key, value)


class Hashed:
    def __init__(self):
        self.name = "a"
        self.friends = {self}

    def __hash__(self):
        return hash(self.name)


class Stateful:
    def __getstate__(self):
        return {"a": 1}

    def __setstate__(self, state):
        self.b = state["b"]


class Exits:
    def __getstate__(self):
        return {"a": 1}

    def __setstate__(self, state):
        sys.exit(0)


def logged():
    made = Logged()
    made["a"] = 1
    return made


UNLOADABLE = {
    "reduction of an exception": lambda: BrokenError(1, 2),
    "own __new__": lambda: Tag("a", "b"),
    "made-up attributes": Lazy,
    "own __setitem__": logged,
    "hash of an empty object": lambda: next(iter(Hashed().friends)),
    "own state": Stateful,
    "an exit": Exits,
}


@pytest.mark.parametrize("make", UNLOADABLE.values(), ids=UNLOADABLE)
def test_a_value_that_cannot_be_loaded_is_refused_when_it_is_sent(make):
    with pytest.raises(UnsavableError, match="can be pickled, but not loaded again"):
        dumped(ObjectSpec(), [make()])


class Colour(enum.Enum):
    RED = 1


@dataclass(frozen=True, slots=True)
class Frozen:
    x: int


class Pair(typing.NamedTuple):
    a: int
    b: int


class Plain:
    def __init__(self, x):
        self.x = x


def test_values_without_user_code_are_not_loaded_on_trial(monkeypatch):
    monkeypatch.setattr(pickled, "_check_loads", None)
    pairs = collections.namedtuple("Pairs", "a b")
    globals()["Pairs"] = pairs
    pairs.__qualname__, pairs.__module__ = "Pairs", __name__
    dumped(ObjectSpec(), [Colour.RED, Frozen(1), Pair(1, 2), Plain(3), pairs(1, 2), HttpError(1, 2), {1, 2}])
