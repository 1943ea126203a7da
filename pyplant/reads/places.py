"""Places in code, and whose code made a read."""

from __future__ import annotations

import os
import re
from enum import Enum
from functools import cache, lru_cache
from types import FrameType

from pyplant.fingerprint.distribution import installation_folders
from pyplant.fingerprint.origin import is_own_file, is_user_file

__all__ = ["code_place", "is_import", "is_of_pyplant", "place_of", "responsible"]

_WRAPPERS = "nesting.py"  # of threads that reactors start; what they call is not PyPlant's doing
_CELL = re.compile(r"ipykernel_\d+[/\\]\d+\.py$")  # a file that ipykernel names and never writes


@lru_cache(maxsize=10_000)
def code_place(name: str, filename: str, line: int) -> str:
    """Return a place in code as notes and explanations name it; text without a file has no line to look at."""
    if _CELL.search(filename):
        where = f"line {line} of its cell"
        return where if name.endswith("<module>") else f"{name} ({where})"
    return name if filename.startswith("<") else f"{name} ({os.path.basename(filename)}:{line})"


def place_of(frame: FrameType) -> str:
    """Return where user code made a read; empty if PyPlant did."""
    return responsible(frame)[0]


def responsible(frame: FrameType | None) -> tuple[str, bool]:
    """Return where user code made a read, and whether it did so itself and not through an installed library.

    The place is empty if PyPlant reads for itself, as it stores a value. A thread that the reactor started may have
    code of libraries only on its stack, as in ``pool.map(pd.read_csv, files)``.
    """
    is_direct = True
    while frame is not None:
        owner = _owner(frame.f_code.co_filename)
        if owner is _Owner.USER:
            module = frame.f_globals.get("__name__", "")
            name = frame.f_code.co_qualname
            full_name = name if module == "__main__" else f"{module}.{name}"
            return code_place(full_name, frame.f_code.co_filename, frame.f_lineno), is_direct
        if owner is _Owner.PYPLANT:
            return "", False
        is_direct = is_direct and owner is not _Owner.LIBRARY
        frame = frame.f_back
    return "a thread of the reactor", False


def is_import(frame: FrameType) -> bool:
    """Return whether a frame is one of the import system."""
    name = str(frame.f_globals.get("__name__", ""))
    return name in ("_frozen_importlib_external", "_frozen_importlib", "zipimport") or name.startswith(
        "importlib"
    )


def is_of_pyplant(frame: FrameType) -> bool:
    """Return whether a frame is one of PyPlant itself, below which is the code that started a run."""
    return _is_file_of_pyplant(frame.f_code.co_filename)


def _is_file_of_pyplant(filename: str) -> bool:
    return is_own_file(filename) and not filename.endswith(_WRAPPERS)


class _Owner(Enum):
    USER = "user"
    PYPLANT = "PyPlant"
    LIBRARY = "an installed library"
    PYTHON = "the standard library, or what passes calls on"


def _owner(filename: str) -> _Owner:
    """Return whose code a file holds."""
    return _Owner.USER if is_user_file(filename) else _owner_of_other(filename)


@cache
def _owner_of_other(filename: str) -> _Owner:
    if _is_file_of_pyplant(filename):
        return _Owner.PYPLANT
    return _Owner.LIBRARY if installation_folders(filename) else _Owner.PYTHON
