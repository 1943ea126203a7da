"""Paths that code names in the text of a call, where no event tells of the read.

Many libraries open files in C, of which the interpreter does not tell, and ``os.path.exists`` raises no event either. Where
code that counts refers to such a library or function, the texts in it that may be paths are taken as mentions: texts
of the function, of its defaults and closure, and of the global variables that it names. A mention counts if the path is
the same before and after the reactor.
"""

from __future__ import annotations

import dis
import glob
import os
import re
import sys
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from pathlib import PurePath
from types import CodeType, FunctionType, MappingProxyType, ModuleType
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from pyplant._missing import NOTHING
from pyplant.engine.trace import DependencyKind
from pyplant.fingerprint.attributes import safe_getattr
from pyplant.fingerprint.covered_function import CoveredFunction
from pyplant.fingerprint.graph_node import values_held_by
from pyplant.fingerprint.hints import NAMED_CALLS
from pyplant.fingerprint.origin import is_user_module
from pyplant.reads.places import code_place
from pyplant.reads.recorder import ReadRecorder

__all__ = [
    "PATH_MODULES",
    "find_mentions",
    "may_be_path",
    "may_mention",
    "may_open_in_c",
    "mention_argument",
    "opens_without_event",
    "texts_of",
]

_LIBRARIES = frozenset(
    [
        "av",
        "catboost",
        "cfgrib",
        "cv2",
        "dask",
        "datashader",
        "duckdb",
        "filecmp",  # compares sizes and times before it opens anything
        "fiona",
        "geopandas",
        "h5py",
        "h5netcdf",
        "imageio",
        "imread",
        "laspy",
        "lightgbm",
        "lance",
        "lancedb",
        "lmdb",
        "netCDF4",
        "numcodecs",
        "openslide",
        "orjson",
        "osgeo",
        "pandas",
        "pikepdf",
        "polars",
        "pyarrow",
        "pybedtools",
        "pynwb",
        "pyogrio",
        "pyproj",
        "pysam",
        "pyvips",
        "rasterio",
        "rioxarray",
        "rocksdb",
        "safetensors",
        "scipy",
        "SimpleITK",
        "soundfile",
        "sqlite3",  # opens attached databases
        "tables",
        "tensorflow",
        "tensorstore",
        "tifffile",
        "torch",
        "torchaudio",
        "torchvision",
        "vaex",
        "vtk",
        "xarray",
        "xgboost",
        "zarr",
    ]
)
"""Libraries that open files in C."""
_OTHERS = frozenset(
    [
        "pyplant",
        "numpy",
        "matplotlib",
        "sklearn",
        "joblib",
        "tqdm",
        "yaml",
        "requests",
        "click",
        "rich",
        "IPython",
        "ipykernel",
        "pytest",
        "pydantic",
    ]
)
"""Libraries that are known not to, so that nobody looks for them in the metadata of what is installed."""
_TREES = frozenset(
    [
        "dask",
        "duckdb",
        "filecmp",
        "geopandas",
        "lance",
        "lancedb",
        "pandas",
        "polars",
        "pyarrow",
        "tensorstore",
        "vaex",
        "xarray",
        "zarr",
    ]
)
"""Libraries that read all files in a folder."""
_EXISTENCE = frozenset(
    {"exists", "lexists", "isfile", "isdir", "islink", "is_file", "is_dir", "is_symlink", "access"}
)
_STATUS = frozenset({"stat", "lstat", "getsize", "getmtime", "getctime"})
_TARGET = frozenset({"readlink", "realpath", "resolve", "samefile", "islink", "is_symlink", "lstat"})
_ASKED = MappingProxyType(
    {
        DependencyKind.EXISTENCE: _EXISTENCE,
        DependencyKind.STATUS: _STATUS,
        DependencyKind.TARGET: _TARGET,
    }
)
"""Functions that ask about a path, by what they learn."""
_ASKING = _EXISTENCE | _STATUS | _TARGET
_DIRECTORY = frozenset({"getcwd", "getcwdb", "cwd"})
"""Names of functions that return the working directory."""
_ABSOLUTE = frozenset({"abspath", "absolute", "realpath", "relpath", "resolve"})
"""Names of functions that use it for relative paths."""
PATH_MODULES = frozenset(
    {"os", "posix", "nt", "posixpath", "ntpath", "genericpath", "pathlib", "pathlib._abc", "pathlib._local"}
)
_NAMING = NAMED_CALLS | {"input_file"}  # methods of a pipework; what they are given is no mention
_WITH_STATEMENTS = frozenset({"duckdb", "polars", "sqlite3"})
_QUOTED = re.compile(r"'([^'\n]+)'")  # files in a statement of SQL
_NEAR = 8  # instructions between the name of a function and its argument
_MAX_LENGTH = 1024
_MAX_FILES = 1_000  # of a folder or pattern that a library reads


@cache
def _registered() -> frozenset[str]:
    """Return the libraries that entry points of the group ``pyplant.readers`` name."""
    from importlib.metadata import entry_points  # slow to import, and reads all installed metadata

    return frozenset(found.name for found in entry_points(group="pyplant.readers"))


def opens_in_c(library: str) -> bool:
    """Return whether a library opens files in C, so that the interpreter does not tell of it."""
    if library in _LIBRARIES:
        return True
    return library not in _OTHERS and library not in sys.stdlib_module_names and library in _registered()


class _Interest(NamedTuple):
    """What a function may read without an event, judged once for each code object."""

    code: CodeType
    libraries: frozenset[str]
    asks_for_paths: bool


# Helpers are shared by many reactors, and each execution asks for all of them.
_interests: WeakKeyDictionary[FunctionType, _Interest] = WeakKeyDictionary()


def find_mentions(functions: Iterable[CoveredFunction], recorder: ReadRecorder) -> None:
    """Note the paths that functions mention."""
    for function, _ in functions:
        if may_mention(function):
            _find_in(function, _interest_of(function), recorder)


def may_mention(function: FunctionType) -> bool:
    """Return whether the code of a function may read files of which no event tells."""
    interest = _interest_of(function)
    return bool(interest.libraries) or interest.asks_for_paths


def _interest_of(function: FunctionType) -> _Interest:
    code, interest = function.__code__, _interests.get(function)
    if interest is None or interest.code is not code:
        names, _ = _content(code)
        asks = bool(names & _ASKING) or _may_ask_for_directory(names)
        interest = _interests[function] = _Interest(code, _libraries_of(function, names), asks)
    return interest


def may_open_in_c(function: FunctionType) -> bool:
    """Return whether the code of a function refers to a library that opens files in C."""
    return bool(_interest_of(function).libraries)


def texts_of(code: CodeType) -> tuple[frozenset[str], frozenset[str]]:
    """Return the names and the texts in a code object."""
    return _content(code)


def _find_in(function: FunctionType, interest: _Interest, recorder: ReadRecorder) -> None:
    code = function.__code__
    names, texts = _content(code)
    place = code_place(function.__qualname__, code.co_filename, code.co_firstlineno)
    values = set(_values(function, names))
    if _may_ask_for_directory(names):
        recorder.asked_for_directory(place)
    for kind, asked in _ASKED.items():
        if names & asked:
            for text in sorted({*values, *_texts_near(code, asked)}):
                _mention_asked(kind, text, place, recorder)
    if interest.libraries:
        recorder.writes_unseen = True
        is_tree = bool(interest.libraries & _TREES)
        for text in sorted({*texts, *values}):
            for path in _paths_in(text, interest.libraries):
                _mention_content(path, place, recorder, is_tree=is_tree)


def _may_ask_for_directory(names: frozenset[str]) -> bool:
    # The path of a module, from which most absolute paths are made, is absolute.
    return bool(names & _DIRECTORY) or ("__file__" not in names and bool(names & _ABSOLUTE))


def _paths_in(text: str, libraries: frozenset[str]) -> Iterable[str]:
    """Return a text, or the files that it names if it may be a statement of SQL."""
    is_statement = " " in text and not libraries.isdisjoint(_WITH_STATEMENTS)
    return _QUOTED.findall(text) if is_statement else (text,)


def _mention_asked(kind: DependencyKind, text: str, place: str, recorder: ReadRecorder) -> None:
    # What does not exist leads to itself.
    if may_be_path(text) and (kind is not DependencyKind.TARGET or os.path.lexists(text)):
        recorder.mentioned(kind, text, place)


def _mention_content(text: str, place: str, recorder: ReadRecorder, *, is_tree: bool) -> None:
    if not may_be_path(text):
        return
    if glob.has_magic(text):
        if "/" in text or "." in text:
            recorder.mentioned(DependencyKind.PATTERN, text, place)
            for path in _first(glob.iglob(text, recursive=True)):
                recorder.mentioned(DependencyKind.FILE, path, place)
    elif os.path.isdir(text):
        if text.strip("./"):
            recorder.mentioned(DependencyKind.LISTING, text, place)
            if is_tree:
                recorder.mentioned(DependencyKind.PATTERN, os.path.join(text, "**"), place)
                for path in _first(glob.iglob(os.path.join(text, "**"), recursive=True)):
                    recorder.mentioned(DependencyKind.FILE, path, place)
    elif os.path.lexists(text) or os.path.splitext(text)[1][1:].isalnum():
        recorder.mentioned(DependencyKind.FILE, text, place)


def opens_without_event(name: str) -> bool:
    """Return whether no event tells what a function with this full name reads."""
    module, _, last = name.rpartition(".")
    top = module.partition(".")[0]
    return opens_in_c(top) or (top in PATH_MODULES and last in _ASKING)


def mention_argument(name: str, path: str, place: str, recorder: ReadRecorder) -> None:
    """Note the path that a function with this full name is called with."""
    module, _, last = name.rpartition(".")
    top = module.partition(".")[0]
    if top not in PATH_MODULES:
        recorder.writes_unseen = True
        for named in _paths_in(path, frozenset({top})):
            _mention_content(named, place, recorder, is_tree=top in _TREES)
    for kind, asked in _ASKED.items() if top in PATH_MODULES else ():
        if last in asked:
            _mention_asked(kind, path, place, recorder)


def _first(paths: Iterable[str]) -> Iterator[str]:
    for number, path in enumerate(paths):
        if number >= _MAX_FILES:
            return
        if os.path.isfile(path):
            yield path


def may_be_path(text: str) -> bool:
    """Return whether a text can be a path."""
    return (
        0 < len(text) <= _MAX_LENGTH
        and "\n" not in text
        and "\0" not in text
        and "://" not in text
        and text[0] != "-"
    )


@lru_cache(maxsize=1024)  # the same for each execution
def _content(code: CodeType) -> tuple[frozenset[str], frozenset[str]]:
    """Return the names and texts in a code object and those in it, without documentation."""
    names, texts = set(code.co_names), set()
    for constant in code.co_consts:
        if isinstance(constant, str):
            texts.add(constant)
        elif isinstance(constant, tuple):
            texts.update(part for part in constant if isinstance(part, str))
        elif isinstance(constant, CodeType):
            inner_names, inner_texts = _content(constant)
            names |= inner_names
            texts |= inner_texts
    return frozenset(names), frozenset(texts)


@lru_cache(maxsize=1024)  # the same for each execution
def _texts_near(code: CodeType, asked: frozenset[str]) -> frozenset[str]:
    """Return the texts in the code close to a name, as in ``exists("x")`` and ``Path("x").exists()``."""
    found: set[str] = set()
    instructions = list(dis.get_instructions(code))
    for index, instruction in enumerate(instructions):
        if instruction.argval in asked:
            first = max(index - _NEAR, 1)
            pairs = zip(instructions[first - 1 :], instructions[first : index + _NEAR], strict=False)
            found |= {
                other.argval for before, other in pairs if _is_text(other) and before.argval not in _NAMING
            }
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found |= _texts_near(constant, asked)
    return frozenset(found)


def _is_text(instruction: dis.Instruction) -> bool:
    return instruction.opname.startswith("LOAD_CONST") and isinstance(instruction.argval, str)


def _libraries_of(function: FunctionType, names: Iterable[str]) -> frozenset[str]:
    """Return the libraries that open files in C and that names in the code refer to."""
    held = values_held_by(function)  # a function around this one imports them
    found = {value.__name__.partition(".")[0] for value in held if type(value) is ModuleType}
    for name in names:
        value = function.__globals__.get(name)
        if value is None:
            module: Any = name  # imported inside the function
        elif type(value) is ModuleType:
            module = value.__name__
        else:
            module = safe_getattr(value if callable(value) else type(value), "__module__", "")
            if module == "builtins" and isinstance(value, type):
                module = _library_with(value)
        if isinstance(module, str):
            found.add(module.partition(".")[0])
    return (
        frozenset(library for library in found if _may_be_library(library) and opens_in_c(library)) or NOTHING
    )


def _library_with(cls: type) -> str:
    """Return the library that has a class which claims to be a builtin, as classes made in Rust do."""
    for library in _LIBRARIES:
        module = sys.modules.get(library)
        if module is not None and vars(module).get(cls.__name__) is cls:
            return library
    return ""


def _may_be_library(name: str) -> bool:
    """Return whether a name may be that of an installed library, which a function may import only when it runs."""
    return not is_user_module(sys.modules[name]) if name in sys.modules else name in _LIBRARIES


def _values(function: FunctionType, names: frozenset[str]) -> Iterator[str]:
    """Yield the texts and paths in defaults, closure and the globals that the code names."""
    for value in (*map(function.__globals__.get, names), *values_held_by(function)):
        if type(value) is str:
            yield value
        elif isinstance(value, PurePath):
            yield str(value)
