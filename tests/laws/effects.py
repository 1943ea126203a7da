"""Random programs whose modules do something when they are imported, and scripts that run them on each executor.

An effect is a module and a value that shows whether it happened. A program is a package with some of them, and
the script that imports it in some order. What the program sends must be the same wherever its reactors run.
"""

from __future__ import annotations

import json
import random
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PACKAGE = "lawhouse"


@dataclass(frozen=True, slots=True)
class Effect:
    """One module, and what the script does with it.

    Attributes
    ----------
    module
        The text of the module; its function ``probe`` returns what shows the effect.
    after
        What the script does after the import; the module is ``m``.
    check
        What the script computes of the value, which is ``value``, in addition.
    """

    module: str
    after: str = ""
    check: str = "None"


EFFECTS = {
    "decimal_precision": Effect(
        """
        import decimal
        decimal.getcontext().prec = 11
        def probe():
            return str(decimal.Decimal(1) / 3)
        """
    ),
    "numpy_errors": Effect(
        """
        import numpy as np
        np.seterr(divide="raise")
        def probe():
            try:
                return str(np.float64(1) / np.float64(0))
            except FloatingPointError:
                return "raised"
        """
    ),
    "numpy_printing": Effect(
        """
        import numpy as np
        np.set_printoptions(precision=3)
        def probe():
            return repr(np.array([1 / 3]))
        """
    ),
    "pandas_accessor": Effect(
        """
        import pandas as pd
        @pd.api.extensions.register_series_accessor("law")
        class Law:
            def __init__(self, series):
                self.series = series
            def total(self):
                return float(self.series.sum())
        def probe():
            return pd.Series([1.0, 2.0]).law.total()
        """
    ),
    "pandas_option": Effect(
        """
        import pandas as pd
        pd.set_option("display.max_rows", 7)
        def probe():
            return pd.get_option("display.max_rows"), repr(pd.Series(range(20)))
        """
    ),
    "yaml_constructor": Effect(
        """
        import yaml
        yaml.SafeLoader.add_constructor("!twice", lambda loader, node: 2 * int(loader.construct_scalar(node)))
        def probe():
            return yaml.safe_load("!twice 4")
        """
    ),
    "matplotlib_style": Effect(
        """
        import matplotlib
        import matplotlib.style
        matplotlib.rcParams["lines.linewidth"] = 7.5
        matplotlib.style.library["law"] = matplotlib.RcParams({"lines.markersize": 3.0})
        def probe():
            return matplotlib.rcParams["lines.linewidth"], dict(matplotlib.style.library["law"])
        """
    ),
    "keras_layer": Effect(
        """
        import keras
        @keras.saving.register_keras_serializable(package="law")
        class Twice(keras.layers.Layer):
            def call(self, x):
                return 2 * x
        def probe():
            return keras.saving.get_registered_object("law>Twice") is Twice, keras.saving.get_registered_name(Twice)
        """
    ),
    "logging_level": Effect(
        """
        import logging
        logging.addLevelName(17, "LAW")
        logging.getLogger(__name__).setLevel(17)
        def probe():
            logger = logging.getLogger(__name__)
            return logger.getEffectiveLevel(), logging.getLevelName(17), logger.isEnabledFor(15)
        """
    ),
    "warning_filter": Effect(
        """
        import warnings
        warnings.filterwarnings("error", message="of a law")
        def probe():
            try:
                warnings.warn("of a law")
                return "shown"
            except UserWarning:
                return "raised"
        """
    ),
    "codec": Effect(
        """
        import codecs
        def search(name):
            if name == "lawcodec":
                return codecs.CodecInfo(lambda t, e="": (t.encode()[::-1], len(t)), lambda b, e="": (bytes(b).decode(), len(b)))
        codecs.register(search)
        def probe():
            return "abc".encode("lawcodec")
        """
    ),
    "copyreg": Effect(
        """
        import copyreg, pickle
        class Plain:
            def __init__(self, n):
                self.n = n
        def rebuilt(n):
            return Plain(n + 100)
        copyreg.pickle(Plain, lambda plain: (rebuilt, (plain.n,)))
        def probe():
            return pickle.loads(pickle.dumps(Plain(1))).n
        """
    ),
    "singledispatch": Effect(
        """
        import functools
        @functools.singledispatch
        def describe(x):
            return "anything"
        class Kind:
            pass
        @describe.register
        def _(x: Kind):
            return "kind"
        describe.register(int, lambda x: "int")
        def probe():
            return describe(Kind()), describe(1), describe("")
        """
    ),
    "state": Effect(
        """
        import threading, weakref
        class Kept:
            pass
        ONE, ALIVE, LOCAL = Kept(), weakref.WeakSet(), threading.Lock()
        ALIVE.add(ONE)
        ORDER = []
        for name in ("a", "b"):
            ORDER.append(name)
        ORDER.sort(reverse=True)
        def probe():
            with LOCAL:
                return ORDER, ONE in ALIVE, len(ALIVE)
        """
    ),
    "file": Effect(
        """
        import os
        def probe():
            with open(os.path.join(os.path.dirname(__file__), "rates.csv")) as stream:
                return os.path.basename(__file__), stream.read(), __name__, __package__
        """
    ),
    "package_data": Effect(
        """
        import importlib.resources, pkgutil
        def probe():
            found = importlib.resources.files(__package__).joinpath("rates.csv")
            return found.read_text(), pkgutil.get_data(__package__, "rates.csv")
        """
    ),
    "names": Effect(
        """
        for number in range(3):
            globals()[f"law_{number}"] = lambda number=number: number
        def probe():
            return sorted(n for n in globals() if n.startswith("law_")), globals()["law_2"](), __doc__, __spec__.name
        """
    ),
    "identity": Effect(
        """
        import pickle
        class Kind:
            class Part:
                pass
        ONE, PART = Kind(), Kind.Part()
        def probe():
            return isinstance(ONE, Kind), type(PART) is Kind.Part, type(pickle.loads(pickle.dumps(PART))) is Kind.Part
        """
    ),
    "sent_class": Effect(
        """
        class Kind:
            class Part:
                def __init__(self, n):
                    self.n = n
                def __repr__(self):
                    return f"Part({self.n})"
        def probe():
            return [Kind.Part(1), Kind.Part(2)]
        """,
        check="[isinstance(part, m.Kind.Part) for part in value]",
    ),
    "methods": Effect(
        """
        class Area:
            sides = 4
            @staticmethod
            def product(a, b):
                return a * b
            @classmethod
            def many(cls):
                return cls.sides
            @property
            def size(self):
                return self.product(2, 3)
        def probe():
            return Area().size, Area.product(1, 2), Area.many(), type(vars(Area)["product"]).__name__
        """
    ),
    "enum": Effect(
        """
        import enum, pickle
        class Colour(enum.Enum):
            RED = 1
            GREEN = 2
        class Mode(enum.Flag):
            READ = enum.auto()
            WRITE = enum.auto()
        FIRST = Colour.RED
        def probe():
            return FIRST
        """,
        check="value is m.Colour.RED",
    ),
    "sentinel": Effect(
        """
        import dataclasses
        MISSING = object()
        TABLE = {"known": MISSING}
        @dataclasses.dataclass
        class Record:
            value: object = MISSING
        def absent(value=MISSING):
            return value is MISSING
        def probe():
            return absent(), absent(TABLE["known"]), Record().value is MISSING
        """
    ),
    "module_getattr": Effect(
        """
        import sys
        def __getattr__(name):
            if name.startswith("lazy"):
                return name.upper()
            raise AttributeError(name)
        def probe():
            return sys.modules[__name__].lazy_value
        """
    ),
    "subclasses": Effect(
        """
        import abc
        KINDS = {}
        class Base:
            def __init_subclass__(cls, /, key, **rest):
                KINDS[key] = cls
        class One(Base, key="one"):
            pass
        class Two(Base, key="two"):
            pass
        class Virtual:
            pass
        class Abstract(abc.ABC):
            pass
        Abstract.register(Virtual)
        def probe():
            return list(KINDS), KINDS["one"] is One, issubclass(Virtual, Abstract), len(Base.__subclasses__())
        """
    ),
    "patched_library": Effect(
        """
        import json
        before = json.JSONEncoder.default
        json.JSONEncoder.default = lambda self, obj: "law" if isinstance(obj, complex) else before(self, obj)
        def probe():
            return json.dumps([1j])
        """
    ),
    "registrations": Effect(
        """
        import csv, mimetypes, socket, sys
        csv.register_dialect("law", delimiter=";")
        mimetypes.add_type("text/law", ".law")
        sys.modules["lawalias"] = sys.modules[__name__]
        def probe():
            return csv.get_dialect("law").delimiter, mimetypes.guess_type("a.law")[0], sys.modules["lawalias"].__name__
        """
    ),
    "environment": Effect(
        """
        import os
        os.environ["LAW_OF_IMPORTS"] = "set"
        def probe():
            return os.environ.get("LAW_OF_IMPORTS")
        """
    ),
    "changed_global": Effect(
        """
        N, TABLE = 1, {"a": 1}
        class Kind:
            size = 1
        def probe():
            return N, TABLE, Kind.size
        """,
        after="m.N = 5\nm.TABLE['b'] = 2\nm.Kind.size = 9",
    ),
    "patched": Effect(
        """
        def helper():
            return "as written"
        class Kind:
            def method(self):
                return "as written"
        def probe():
            return helper(), Kind().method()
        """,
        after="m.helper = lambda: 'patched'\nm.Kind.method = lambda self: 'patched'",
    ),
    "filled_by_main": Effect(
        """
        REGISTRY = {}
        class Plugin:
            def value(self):
                return "base"
        def probe():
            return {name: plugin().value() for name, plugin in REGISTRY.items()}, isinstance(REGISTRY["own"](), Plugin)
        """,
        after="class Own(m.Plugin):\n    def value(self):\n        return 'own'\nm.REGISTRY['own'] = Own\nm.REGISTRY['base'] = m.Plugin",
    ),
    "deleted": Effect(
        """
        try:
            EXTRA = 1
        finally:
            pass
        def probe():
            try:
                return EXTRA
            except NameError:
                return "gone"
        """,
        after="del m.EXTRA",
    ),
}
"""The effects by name; each is a module of that name."""

SLOW = frozenset({"keras_layer"})
"""Effects whose libraries take seconds to import."""


@dataclass(frozen=True, slots=True)
class Imported:
    """One effect in a program.

    Attributes
    ----------
    effect
        Its name.
    style
        Where its reactor is: in the script, in a module of the package, or in the script with the import inside.
    """

    effect: str
    style: int


def program(seed: int, size: int, *, slow: bool = False) -> list[Imported]:
    """Draw the imports of a program: some of the effects, in some order."""
    chance = random.Random(seed)
    names = [name for name in EFFECTS if slow or name not in SLOW]
    return [Imported(name, chance.randrange(3)) for name in chance.sample(names, min(size, len(names)))]


def write(folder: Path, program: list[Imported], prelude: str = "") -> Path:
    """Write the package and the script of a program; returns the script."""
    package = folder / PACKAGE
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "rates.csv").write_text("1,2\n")
    for one in program:
        text = textwrap.dedent(EFFECTS[one.effect].module)
        (package / f"{one.effect}.py").write_text(f'"""Doc of {one.effect}."""\n{text}')
    inside = [one for one in program if one.style == 1]
    lines = ["from pyplant import ReactorFunc", *(f"from {PACKAGE} import {one.effect}" for one in inside)]
    (package / "reactors.py").write_text("\n".join([*lines, *map(_reactor, inside)]) + "\n")
    script = folder / "main.py"
    script.write_text(_script(program, prelude))
    return script


def _reactor(one: Imported) -> str:
    inner = f"    from {PACKAGE} import {one.effect}\n" * (one.style == 2)
    return f'@ReactorFunc\ndef of_{one.effect}(pipe):\n{inner}    pipe.send("{one.effect}", {one.effect}.probe())\n'


def _script(program: list[Imported], prelude: str) -> str:
    lines = [_HEAD, prelude]
    for one in program:
        effect = EFFECTS[one.effect]
        # What the script changes must be there before the reactor that imports the module itself runs.
        if one.style != 2 or effect.after or effect.check != "None":
            lines += [f"from {PACKAGE} import {one.effect}", f"m = {one.effect}", effect.after]
        if one.style != 1:
            lines.append(_reactor(one))
    lines.append(f"import {PACKAGE}.reactors")
    lines.append("CHECKS = {")
    lines += [f"    {one.effect!r}: lambda value, m: {EFFECTS[one.effect].check}," for one in program]
    return "\n".join([*lines, "}", _TAIL])


_HEAD = """
import json, sys, tempfile
from pyplant import Plant, ReactorFunc
"""

_TAIL = """
import contextlib

@contextlib.contextmanager
def executor_of(kind):
    if kind == "inline":
        yield None
    elif kind == "workers":
        yield 2
    elif kind == "futures":
        from concurrent.futures import ProcessPoolExecutor
        with ProcessPoolExecutor(2) as executor:
            yield executor
    else:
        from tests.laws.executors import pool
        with pool(kind) as executor:
            yield executor

def shown(plant, name):
    try:
        value = plant.get(name)
        module = sys.modules[f"lawhouse.{name}"]
        return [repr(value), repr(CHECKS[name](value, module))]
    except Exception as error:
        return [f"{type(error).__name__}: {error}"]

def values(kind):
    with executor_of(kind) as executor, Plant(tempfile.mkdtemp(dir="."), executor=executor, progress=False) as plant:
        try:
            plant.get(*CHECKS)
        except Exception:
            pass  # the one that raised shows it below
        return {name: shown(plant, name) for name in CHECKS}

def main(kinds):
    print(json.dumps({kind: values(kind) for kind in kinds}))

if __name__ == "__main__" and "ipykernel" not in sys.modules:
    main(sys.argv[1:])
"""


def differences(found: dict[str, dict[str, Any]]) -> list[str]:
    """Return where an executor gives other values than an inline run, or where that fails."""
    expected = found["inline"]
    failed = [f"inline: {name} raised {said[0]}" for name, said in expected.items() if len(said) == 1]
    return failed + [
        f"{kind}: {name} is {said}, and inline {expected[name]}"
        for kind, values in found.items()
        for name, said in values.items()
        if said != expected[name]
    ]


def read(output: str) -> dict[str, dict[str, Any]]:
    """Return what a script printed last."""
    found: dict[str, dict[str, Any]] = json.loads(output.splitlines()[-1])
    return found
