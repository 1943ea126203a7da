"""Values of many kinds, and a script that prints their digests, which must be equal everywhere."""

import abc
import array
import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import ipaddress
import json
import math
import operator
import pathlib
import random
import re
import string
import sys
import types
import typing
import uuid
import zoneinfo

import numpy as np

from pyplant.fingerprint.fingerprint import digest_of


class Colour(enum.Enum):
    RED = 1
    BLUE = "x"


class Flags(enum.Flag):
    A = 1
    B = 2


class Number(enum.IntEnum):
    ONE = 1


class Word(enum.StrEnum):
    A = "a"


Pair = collections.namedtuple("Pair", "a b")


class Typed(typing.NamedTuple):
    a: int = 1

    def doubled(self):
        return self.a * 2


@dataclasses.dataclass
class Record:
    a: int = 1
    b: list = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    a: int = 1


class Plain:
    def __init__(self):
        self.names = {"a", "b"}


class Slotted:
    __slots__ = ("a", "b")

    def __init__(self):
        self.a = 1


class Generic(typing.Generic[typing.TypeVar("T")]):
    pass


class Shape(typing.TypedDict):
    a: int


class Protocol(typing.Protocol):
    def area(self): ...


class Abstract(abc.ABC):
    @abc.abstractmethod
    def area(self): ...


class Failure(Exception):
    pass


class OwnDict(dict):
    pass


class Meta(type):
    def __call__(cls, *args):
        return super().__call__(*args)


class Made(metaclass=Meta):
    @property
    def prop(self):
        return 1

    @functools.cached_property
    def slow(self):
        return super().__init__()


def function(x, y=2, *rest, key=(1, 2), **more):
    def inner():
        return x, y, rest, key, more

    return inner() if x in {"a", "b", "c"} else lambda q: (q, x)


def comprehensions(n):
    return [x * y for x in range(n) for y in (1, 2)], {k: v for k, v in {}.items()}, {a for a in ()}


def formatted(a):
    return f"{a!r:>{10}} {a=} {{}}"


def handled():
    with open(__file__) as stream:
        try:
            return stream.read()
        except* ValueError:
            raise
        finally:
            del stream


async def awaited(x):
    async with x as y:
        return [i async for i in y]


def matched(x):
    match x:
        case {"a": [1, *rest], **more} if rest:
            return more
        case Plain(names=n) | (n, _):
            return n


VALUES = {
    "None": None,
    "True": True,
    "int": 1,
    "big int": 2**100,
    "float": 1.5,
    "nan": math.nan,
    "infinity": math.inf,
    "complex": 1j,
    "str": "x",
    "bytes": b"x",
    "bytearray": bytearray(b"x"),
    "ellipsis": ...,
    "range": range(3),
    "slice": slice(1, 2),
    "tuple": (1, "a"),
    "list": [1, [2]],
    "dict": {"a": 1, 2: "b"},
    "set": {1, "a", None, (2, "b")},
    "frozenset": frozenset({"x", "y", frozenset({"z"})}),
    "set of builtins": {len, sorted, print, abs, max, min, sum, repr, hash, iter, next, any},
    "set of builtin classes": {int, str, dict, list, tuple, bytes, float, complex, bool},
    "set of classes": {Colour, Flags, Number, Record, Frozen, Plain, Slotted, Failure, OwnDict, Made},
    "set of functions": {function, comprehensions, formatted, handled, awaited, matched},
    "set of functions and builtins": {function, len, comprehensions, str.upper, Plain},
    "set of objects": {Frozen(1), Frozen(2), Frozen(3), Colour.RED, Colour.BLUE},
    "enumeration": Colour.RED,
    "flags": Flags.A | Flags.B,
    "no flags": Flags(0),
    "int enumeration": Number.ONE,
    "str enumeration": Word.A,
    "class of an enumeration": Colour,
    "class of flags": Flags,
    "class of an int enumeration": Number,
    "class of a str enumeration": Word,
    "named tuple": Pair(1, 2),
    "class of a named tuple": Pair,
    "typed named tuple": Typed(),
    "class of a typed named tuple": Typed,
    "dataclass": Record(),
    "class of a dataclass": Record,
    "frozen dataclass": Frozen(),
    "class of a frozen dataclass": Frozen,
    "object": Plain(),
    "class": Plain,
    "object with slots": Slotted(),
    "class with slots": Slotted,
    "generic class": Generic,
    "typed dictionary": Shape,
    "protocol": Protocol,
    "abstract class": Abstract,
    "exception": Failure("a", 1),
    "class of an exception": Failure,
    "subclass of dict": OwnDict(a=1),
    "class with a metaclass": Made,
    "function": function,
    "comprehensions": comprehensions,
    "formatted": formatted,
    "handled": handled,
    "awaited": awaited,
    "matched": matched,
    "lambda": lambda x: x + 1,
    "partial": functools.partial(function, y=3),
    "memoised": functools.lru_cache(formatted),
    "bound method": Plain().__init__,
    "getters": (operator.attrgetter("a", "b"), operator.itemgetter(1), operator.methodcaller("x", 1)),
    "builtin": len,
    "method of a builtin": str.upper,
    "bound method of a builtin": "a".upper,
    "date": datetime.date(2020, 1, 1),
    "datetime": datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC),
    "timedelta": datetime.timedelta(1),
    "time": datetime.time(1),
    "timezone": datetime.timezone(datetime.timedelta(hours=1)),
    "zone": zoneinfo.ZoneInfo("UTC"),
    "decimal": decimal.Decimal("1.50"),
    "fraction": fractions.Fraction(1, 3),
    "uuid": uuid.UUID(int=5),
    "addresses": (ipaddress.ip_address("127.0.0.1"), ipaddress.ip_network("10.0.0.0/8")),
    "path": pathlib.Path("a/b"),
    "pure path": pathlib.PurePosixPath("/a"),
    "path of Windows": pathlib.PureWindowsPath("c:/x"),
    "patterns": (re.compile("a+", re.IGNORECASE), re.compile(b"a")),
    "array": array.array("d", [1, 2]),
    "ordered dictionary": collections.OrderedDict(a=1),
    "default dictionary": collections.defaultdict(list, a=[1]),
    "counter": collections.Counter("aab"),
    "deque": collections.deque([1], 3),
    "chain map": collections.ChainMap({"a": 1}),
    "namespace": types.SimpleNamespace(a=1),
    "mapping proxy": types.MappingProxyType({"a": 1}),
    "random": random.Random(1),
    "template": string.Template("$a"),
    "aliases": (list[int], int | str, typing.Optional[int], typing.Literal["a"], typing.Any),
    "ndarray": np.arange(6.0).reshape(2, 3),
    "strings in an array": np.array(["a", "bb"]),
    "structured array": np.zeros(2, [("a", "i4"), ("b", "f8")]),
    "array of objects": np.array([1, "a", None], object),
    "masked array": np.ma.array([1, 2], mask=[0, 1]),
    "scalar of numpy": np.float32(1),
    "dtype": np.dtype("f4"),
    "date of numpy": np.datetime64("2020-01-01"),
    "functions of numpy": (np.sum, np.add),
    "generators of numpy": (np.random.default_rng(3), np.random.RandomState(1)),
    "polynomial": np.polynomial.Polynomial([1, 2]),
    "module": json,
}

if __name__ == "__main__":
    print(json.dumps({name: digest_of(value) for name, value in VALUES.items()}), file=sys.stdout)
