"""Code whose result cannot be repeated: the clock, and random numbers without a seed.

No event tells of them, so they are found by the names that code refers to. They are named in explanations, and nothing
is compared: a reactor that stamps its result with the time would otherwise run in every run.
"""

from __future__ import annotations

import dis
import fnmatch
import itertools
import re
from collections.abc import Iterable, Iterator
from functools import cache
from types import CodeType, FunctionType, MappingProxyType, ModuleType
from typing import Any
from weakref import WeakKeyDictionary

from pyplant.engine.trace import Note
from pyplant.fingerprint.attributes import safe_getattr
from pyplant.fingerprint.bytecode import nested
from pyplant.fingerprint.covered_function import CoveredFunction
from pyplant.reads.places import code_place

__all__ = ["may_be_unrepeatable", "unrepeatable"]


_CLOCK = (
    *("time.time", "time.time_ns", "time.ctime", "time.localtime", "time.gmtime", "time.strftime"),
    *("datetime.datetime.now", "datetime.datetime.utcnow", "datetime.datetime.today", "datetime.date.today"),
    *(
        "pandas.Timestamp.now",
        "pandas.Timestamp.today",
        "pandas.Timestamp.utcnow",
        "arrow.now",
        "arrow.utcnow",
    ),
    *("pendulum.now", "pendulum.today"),
)
_CLOCK_BY_WORD = ("numpy.datetime64", "pandas.Timestamp", "pandas.to_datetime")
"""Functions that take the word ``now`` or ``today`` for a time."""
_WORDS = r"\(\s*['\"](now|today)['\"]"
_ENTROPY = ("os.urandom", "os.getrandom", "uuid.uuid1", "uuid.uuid4", "secrets.*", "random.SystemRandom*")
_MACHINE = (
    *("socket.gethostname", "socket.getfqdn", "platform.node", "platform.uname", "os.uname", "posix.uname"),
    *("getpass.getuser", "os.getlogin", "posix.getlogin"),
)
_STANDARD_INPUT = ("sys.stdin", "sys.stdin.*")
_PROGRAM_ARGUMENTS = ("sys.argv", "sys.orig_argv", "argparse.ArgumentParser")
_RESOURCES = (
    *(
        "os.cpu_count",
        "posix.cpu_count",
        "os.process_cpu_count",
        "multiprocessing.*cpu_count",
        "os.getloadavg",
    ),
    *("posix.getloadavg", "os.sched_getaffinity", "posix.sched_getaffinity", "shutil.disk_usage", "psutil.*"),
)
_OTHERS = MappingProxyType(
    {
        "the standard input": _STANDARD_INPUT,
        "the arguments of the program": _PROGRAM_ARGUMENTS,
        "the resources of the machine": _RESOURCES,
        "randomness of the system": _ENTROPY,
    }
)
_GENERATORS = MappingProxyType(
    {
        "random.*": "random.seed",
        "numpy.random.*": "numpy.random.seed",
        "torch.rand*": "torch.*manual_seed*",
        "torch.normal": "torch.*manual_seed*",
        "torch.bernoulli": "torch.*manual_seed*",
        "torch.multinomial": "torch.*manual_seed*",
    }
)
"""Functions with a global random state, and the function that seeds it."""
_OBJECTS = frozenset(
    [
        "random.Random",
        "numpy.random.default_rng",
        "numpy.random.RandomState",
        "numpy.random.SeedSequence",
        "numpy.random.PCG64",
        "numpy.random.Philox",
        "numpy.random.MT19937",
        "numpy.random.SFC64",
    ]
)
"""Generators that take a seed."""
_NO_SOURCES = frozenset(
    [
        "random.seed",
        "random.getstate",
        "random.setstate",
        "numpy.random.seed",
        "numpy.random.get_state",
        "numpy.random.set_state",
        "numpy.random.Generator",
        "numpy.random.BitGenerator",
        "numpy.random.mtrand",
        "torch.random",
    ]
)


_WITH_RANDOM_STATE = (
    "sklearn.*train_test_split",
    "sklearn.*.resample",
    "sklearn.*.shuffle",
    "sklearn.*.make_*",
)
_SAMPLE = "sample"  # a method of tables, whose class the code does not tell
_TABLES = frozenset({"pandas", "polars"})
_SEED_ARGUMENT = re.compile(r"\b(random_state|seed)\s*=")


@cache
def _relevant() -> re.Pattern[str]:
    """Return the pattern of all those names, compiled when the first code is looked at: it takes 2 ms."""
    patterns = (
        *_CLOCK,
        *itertools.chain(*_OTHERS.values()),
        *_MACHINE,
        *_GENERATORS,
        *_GENERATORS.values(),
        *_OBJECTS,
    )
    patterns += (*_CLOCK_BY_WORD, *_WITH_RANDOM_STATE)
    return re.compile("|".join(map(fnmatch.translate, patterns)))


# Helpers are shared by many reactors, and each execution asks for all of them.
_named: WeakKeyDictionary[FunctionType, tuple[CodeType, tuple[tuple[str, str], ...]]] = WeakKeyDictionary()


def unrepeatable(functions: Iterable[CoveredFunction]) -> frozenset[Note]:
    """Return a note for each reference to the clock, or to random numbers without a seed, in the code of a reactor."""
    found: list[tuple[str, str, CoveredFunction]] = []
    for covered in functions:
        found += [(name, called, covered) for name, called in _relevant_names_of(covered)]
    seeds = {name for name, *_ in found}
    notes: set[Note] = set()
    for name, called, (function, node) in found:
        what = _kind(name, seeds, called, node.text)
        if what:
            notes.add(Note("outside", f"uses {what} ({name}), {_place(function, called)}"))
    return frozenset(notes)


def may_be_unrepeatable(covered: CoveredFunction) -> bool:
    """Return whether a function refers to the clock, to random numbers, or to what seeds them."""
    return bool(_relevant_names_of(covered))


def _relevant_names_of(covered: CoveredFunction) -> tuple[tuple[str, str], ...]:
    function, _ = covered
    known = _named.get(function)
    # By the code object and not by the node, which would keep the function alive.
    if known is None or known[0] is not function.__code__:
        known = _named[function] = function.__code__, tuple(_relevant_names(covered))
    return known[1]


def _relevant_names(covered: CoveredFunction) -> Iterator[tuple[str, str]]:
    """Yield the full names of references to the clock, to random numbers and to what seeds them, each with its last part."""
    for found, names in covered.references():
        name = _full_name(found, names)
        if _relevant().fullmatch(name):
            yield name, name.rpartition(".")[2]
    function = covered.function
    if any(_SAMPLE in code.co_names for code in nested(function.__code__)) and _uses_tables(function):
        yield _SAMPLE, _SAMPLE


def _uses_tables(function: Any) -> bool:
    """Return whether the module of a function, or its code, refers to a library of tables."""
    values = function.__globals__.values()
    modules = {value.__name__ for value in tuple(values) if type(value) is ModuleType}
    return not _TABLES.isdisjoint(modules | set(function.__code__.co_names))


def _kind(name: str, seeds: set[str], called: str, text: str) -> str:
    call = rf"\b{re.escape(called)}"
    if name in _CLOCK or (name in _CLOCK_BY_WORD and re.search(call + _WORDS, text)):
        return "the clock"
    if name in _MACHINE:
        return "the name of the machine or of the user"
    for what, names in _OTHERS.items():
        if _matches(name, names):
            return what
    if name in _NO_SOURCES:
        return ""
    if name in _OBJECTS:
        return "randomness without a seed" if re.search(rf"{call}\(\s*(None\s*)?\)", text) else ""
    if name == _SAMPLE or _matches(name, _WITH_RANDOM_STATE):
        seeded = "numpy.random.seed" in seeds or all(map(_SEED_ARGUMENT.search, _arguments(call, text)))
        return "" if seeded else "randomness without a seed"
    for pattern, seed in _GENERATORS.items():
        if fnmatch.fnmatchcase(name, pattern) and not fnmatch.filter(seeds, seed):
            return "randomness without a seed"
    return ""


def _arguments(call: str, text: str) -> Iterator[str]:
    """Yield the text of the arguments of each call."""
    for found in re.finditer(rf"{call}\(", text):
        depth, end = 1, found.end()
        while depth and end < len(text):
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            end += 1
        yield text[found.end() : end]


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _full_name(found: Any, names: tuple[str, ...]) -> str:
    """Return the name of what a reference leads to, from its module on."""
    if isinstance(found, str | ModuleType):
        return ".".join([found if isinstance(found, str) else found.__name__, *names])
    module = safe_getattr(found, "__module__", None)
    if not isinstance(module, str):  # functions of ``random`` are methods of an object
        module = safe_getattr(type(safe_getattr(found, "__self__", None)), "__module__", "")
    module = "numpy.random" if module == "numpy.random.mtrand" else module
    return ".".join([str(module), str(safe_getattr(found, "__name__", "")), *names])


def _place(function: FunctionType, name: str) -> str:
    """Return where in a function a name is read; an alias is not found, then it is the first line."""
    code = function.__code__
    line = code.co_firstlineno
    for instruction in dis.get_instructions(code):
        if type(instruction.starts_line) is int:
            line = instruction.starts_line
        if instruction.argval == name:
            break
    return code_place(function.__qualname__, code.co_filename, line)
