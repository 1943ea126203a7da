"""Computing names in code before it runs."""

import datetime
import decimal
import enum
import functools
import pathlib
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pytest

from pyplant import ReactorFunc
from pyplant.engine.prediction import Predicted
from pyplant.fingerprint.expressions import UNKNOWN, Template, evaluate
from pyplant.fingerprint.fingerprint import Fingerprinter
from pyplant.fingerprint.hints import predict
from tests.fingerprint.helpers import load


class Mode(enum.StrEnum):
    FAST = "fast"


class Colour(enum.Enum):
    RED = 1


class Row(NamedTuple):
    name: str
    size: int


@dataclass(frozen=True)
class Frozen:
    name: str


@dataclass
class Mutable:
    name: str

    @property
    def label(self):
        raise AssertionError


class Slotted:
    __slots__ = ("name",)

    def __init__(self, name):
        self.name = name


KNOWN = {
    "n": 7,
    "x": 0.5,
    "flag": True,
    "city": "aachen",
    "day": datetime.date(2024, 2, 3),
    "price": decimal.Decimal("1.50"),
    "path": pathlib.PurePosixPath("a/b.csv"),
    "mode": Mode.FAST,
    "colour": Colour.RED,
    "row": Row("r", 2),
    "frozen": Frozen("f"),
    "mutable": Mutable("m"),
    "slotted": Slotted("s"),
    "pair": ("p", "q"),
    "table": {"key": "v"},
    "number": np.int64(3),
    "array": np.arange(3),
    "function": len,
}


def value(source):
    return evaluate(source, lambda name: KNOWN.get(name, UNKNOWN)).value


@pytest.mark.parametrize(
    "source",
    [
        *("'day'", "city", "n", "f'day {n}'", "f'{city}'", "f'{n:03d}'", "f'{n!r}{city!r}'", "f'{x:.{n}f}'"),
        *("f'{day}'", "f'{day:%Y-%m}'", "f'{price}'", "f'{number}'", "f'{mode}'", "f'{flag}'", "f'{{{n}}}'"),
        *("'day ' + str(n)", "'a' + 'b' + city", "str(n) + '_' + city", "f'a' + f'{n + 1}'", "repr(city)"),
        *("'day %d' % n", "'%s_%s' % (city, n)", "'%05.2f%%' % x", "'%s' % city", "'100%%' % ()"),
        *("'day {}'.format(n)", "'{1}-{0}'.format(n, city)", "'{a:>4}'.format(a=n)", "'{{}}{}'.format(n)"),
        *(
            "'_'.join([city, 'b'])",
            "'-'.join(('a', str(n)))",
            "''.join([])",
            "city.upper()",
            "city.replace('a', 'b')",
        ),
        *("f'{n - 1}'", "f'{n // 2}_{n % 2}'", "f'{-n}'", "f'{2 * n}'", "str(int('7') + n)"),
        *("f'{row.name}{row.size}'", "frozen.name", "path.stem", "day.isoformat()", "day.strftime('%d')"),
        *("f'{day.year}'", "mode.value", "f'{colour.name}{colour.value}'", "pair[1]", "city[0]"),
        *("mutable.name", "slotted.name", "table['key']"),
    ],
)
def test_an_expression_of_constants_has_the_value_that_python_gives_it(source):
    assert value(source) == eval(source, {}, KNOWN)


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        ("f'day {...}'", ("day ", None)),
        ("f'{...}_{n}_{...}z'", (None, "_7_", None, "z")),
        ("'a' + str(...) + 'b'", ("a", None, "b")),
        ("... + 'b'", (None, "b")),
        ("'%s_%d' % (city, ...)", ("aachen_", None)),
        ("'{}_{}'.format(..., n)", (None, "_7")),
        ("'_'.join(['a', ...])", ("a_", None)),
        ("f'{array}x'", (None, "x")),
        ("f'{colour}'", (None,)),
        ("f'{n:999999}'", (None,)),
        ("f'{len(city)}'", (None,)),
    ],
)
def test_the_known_parts_of_a_name_are_found(source, parts):
    assert value(source) == Template(parts)


@pytest.mark.parametrize(
    "source",
    [
        *("...", "unheard_of", "function(city)", "mutable.label", "mutable.none", "table['none']", "pair[9]"),
        *("'a' * 9", "n / 0", "n // 0", "'%d' % (n, n)", "city.encode()", "open('x')", "n.bit_length()"),
    ],
)
def test_an_expression_that_depends_on_the_run_is_unknown(source):
    assert value(source) in (UNKNOWN, Template((None,)))


@pytest.mark.parametrize("source", ["mutable.name", "slotted.name", "table['key']"])
def test_a_value_of_a_mutable_object_is_not_constant(source):
    assert not evaluate(source, KNOWN.get).is_constant
    assert evaluate("frozen.name", KNOWN.get).is_constant


# ------------------------------------------------------------------ from code


def sends(reactor):
    return predict(Fingerprinter().fingerprint(reactor).hints)


def only(*names):
    return Predicted(frozenset(names))


NUMBER = 4


def test_the_default_of_a_reactor_is_known():
    @ReactorFunc
    def reactor(pipe, n=3, *, city="bonn"):
        pipe.send(f"day {n} {city}", 1)

    assert sends(reactor) == only("day 3 bonn")


def test_the_default_of_a_helper_is_not_known():
    def put(pipe, n=3):
        pipe.send(f"day {n}", 1)

    @ReactorFunc
    def reactor(pipe):
        put(pipe, 5)

    assert sends(reactor).patterns == ("day\\ .*",)


def test_the_default_of_the_configuration_is_not_known():
    @ReactorFunc
    def reactor(pipe, config="x"):
        pipe.send(f"day {config}", 1)

    assert sends(reactor).patterns == ("day\\ .*",)


def test_closure_variables_globals_and_local_variables_are_known():
    def make(n):
        @ReactorFunc
        def reactor(pipe):
            name = f"day {n}"
            longer = name + f" of {NUMBER}"
            pipe.send(longer, 1)

        return reactor

    assert sends(make(2)) == only("day 2 of 4")


def test_a_closure_variable_that_the_reactor_rebinds_is_not_known():
    n = 1

    @ReactorFunc
    def reactor(pipe):
        nonlocal n
        n += 1
        pipe.send(f"day {n}", 1)

    assert sends(reactor).patterns == ("day\\ .*",)


def test_the_default_of_a_wrapped_reactor_is_known():
    def wrap(function):
        @functools.wraps(function)
        def wrapper(pipe):
            return function(pipe)

        return wrapper

    @ReactorFunc
    @wrap
    def reactor(pipe, n=3):
        pipe.send(f"day {n}", 1)

    assert sends(reactor) == only("day 3")


def test_a_replaced_default_is_evaluated_again():
    @ReactorFunc
    def reactor(pipe, n=3):
        pipe.send(f"day {n}", 1)

    fingerprinter = Fingerprinter()
    assert predict(fingerprinter.fingerprint(reactor).hints) == only("day 3")
    reactor.__defaults__ = (5,)
    fingerprinter.begin_generation()
    assert predict(fingerprinter.fingerprint(reactor).hints) == only("day 5")


def test_a_global_that_is_state_is_not_known(tmp_path):
    module = load(tmp_path, "N = 1\ndef main(pipe): pipe.send(f'day {N}', 1)\n")
    fingerprinter = Fingerprinter()
    assert predict(fingerprinter.fingerprint(module.main).hints) == only("day 1")
    fingerprinter.add_state({(module.__name__, "N")})
    assert predict(fingerprinter.fingerprint(module.main).hints).patterns == ("day\\ .*",)


def test_a_name_that_is_not_constant_is_tried_first_and_others_are_possible():
    box = Mutable("a")

    @ReactorFunc
    def reactor(pipe):
        pipe.send(box.name, 1)

    assert sends(reactor) == Predicted(patterns=("a",), open_ended=True)


def test_received_names_and_lists_of_names_are_computed():
    names = ("a", "b")
    more = ["c"]

    @ReactorFunc
    def reactor(pipe, n=1):
        yield pipe.receive([f"x{n}", "y"])
        yield pipe.receive(names)
        yield pipe.receive(*more)

    expected = sends(reactor)
    assert expected.receives == {"x1", "y", "a", "b", "c"}
    assert expected.unconditional_receives == {"x1", "y", "a", "b"}
