"""Modules that code imports by computed names while a reactor runs: the code in their files is an input.

A module whose name can be read from the code is imported for the fingerprint, before the reactor starts. So what
appears in ``sys.modules`` during a step was found otherwise. A later reactor finds it loaded; therefore each one that may
import by a computed name depends on all modules that were imported so in this process.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from pyplant.fingerprint.attributes import namespace
from pyplant.fingerprint.covered_function import CoveredFunction
from pyplant.fingerprint.origin import is_user_module
from pyplant.reads.recorder import ReadRecorder

__all__ = ["WatchedImports", "find_late_imports", "may_import"]

_IMPORTERS = frozenset(["__import__", "import_module"])
_found: dict[str, str] = {}  # of this process: the source files by the names of the modules


def may_import(function: Callable[..., Any]) -> bool:
    """Return whether a function names one of the functions that import modules."""
    return not _IMPORTERS.isdisjoint(function.__code__.co_names)


def find_late_imports(functions: Iterable[CoveredFunction], recorder: ReadRecorder) -> None:
    """Note the modules that earlier reactors found, if one of the functions may find them too."""
    if _found and any(may_import(covered.function) for covered in functions):
        for name, path in sorted(_found.items()):
            recorder.imported(name, path)


class WatchedImports:
    """A context manager that notes the user's modules that are imported within its block.

    Not a generator: ``contextlib`` assigns to exceptions that pass through one, which frozen ones refuse.
    """

    def __init__(self, recorder: ReadRecorder | None) -> None:
        self._recorder = recorder
        self._last = ""

    def __enter__(self) -> None:
        self._last = next(reversed(sys.modules), "")

    def __exit__(self, *_: object) -> None:
        if self._recorder is None:
            return
        for name in reversed(list(_loaded_after(self._last))):
            path = (namespace(sys.modules.get(name)) or {}).get("__file__")
            if type(path) is str and is_user_module(sys.modules[name]):
                _found[name] = path
                self._recorder.imported(name, path)


def _loaded_after(last: str) -> Iterator[str]:
    """Yield the names of modules that were loaded after another one, which may have been removed meanwhile."""
    if last in sys.modules:
        for name in reversed(tuple(sys.modules)):
            if name == last:
                return
            yield name
