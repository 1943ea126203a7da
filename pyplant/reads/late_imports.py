"""Modules that code imports by computed names while a reactor runs: the code in their files is an input.

A module whose name can be read from the code is imported for the fingerprint, before the reactor starts. So what
appears in ``sys.modules`` during a step was found otherwise. A later reactor finds it loaded; therefore each one that may
import by a computed name depends on all modules that were imported so in this process.

A module that was loaded before any reactor ran appears nowhere. So while such a reactor exists, the function by which
``import_module`` imports is replaced by one that does the same and tells the running reactor. What the module itself uses
of the user's counts with it.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Iterator
from types import FrameType, FunctionType, ModuleType
from typing import Any

from pyplant.fingerprint.attributes import module_of, namespace, static_attribute
from pyplant.fingerprint.covered_function import CoveredFunction
from pyplant.fingerprint.origin import LOADED, is_own_file, is_user_module
from pyplant.reads.hook import listening_recorder, report
from pyplant.reads.recorder import ReadRecorder

__all__ = ["WatchedImports", "find_late_imports", "may_import"]

_IMPORTERS = frozenset(["__import__", "import_module"])
_found: dict[str, str] = {}  # of this process: the source files by the names of the modules


def may_import(covered: CoveredFunction) -> bool:
    """Return whether a function names one of the functions that import modules, or has one under another name."""
    names = covered.function.__code__.co_names
    return not _IMPORTERS.isdisjoint(names) or any(note.kind == "widened" for note in covered.node.notes)


def find_late_imports(functions: Iterable[CoveredFunction], recorder: ReadRecorder) -> None:
    """Note the modules that earlier reactors found, if one of the functions may find them too."""
    importing = [covered for covered in functions if may_import(covered)]
    if not importing:
        return
    _watch_import_module()
    # What the code names is covered as code.
    recorder.covered_modules = {
        str(head) for covered in importing for head, _ in covered.references() if type(head) is str
    } | {covered.function.__module__ for covered in functions}
    for name, path in sorted(_found.items()):
        recorder.imported(name, path)


def _watch_import_module() -> None:
    bootstrap: Any = vars(importlib).get("_bootstrap")
    import_by_name = getattr(bootstrap, "_gcd_import", None)
    if import_by_name is None or hasattr(import_by_name, "__wrapped__"):
        return

    def watched(name: str, *arguments: Any) -> Any:
        module = import_by_name(name, *arguments)
        recorder = listening_recorder()
        if recorder is not None and not _is_asked_by_pyplant(sys._getframe(1)):  # noqa: SLF001 - documented in sys
            report(_note_loaded, recorder, module)
        return module

    watched.__wrapped__ = import_by_name  # type: ignore[attr-defined] # as functools.wraps() does
    bootstrap._gcd_import = watched  # noqa: SLF001 - import_module() looks it up there


def _is_asked_by_pyplant(frame: FrameType) -> bool:
    """Return whether PyPlant called ``import_module``, whose frame this is."""
    return frame.f_back is None or is_own_file(frame.f_back.f_code.co_filename)


def _note_loaded(recorder: ReadRecorder, module: Any) -> None:
    """Note a module, and those that it uses, unless they are covered as code."""
    names, seen = [static_attribute(module, "__name__")], set(recorder.covered_modules)
    while names:
        name = names.pop()
        found = LOADED.get(name) if type(name) is str and name not in seen else None
        seen.add(name)
        path = (namespace(found) or {}).get("__file__")
        if type(path) is str and found is not None and is_user_module(found):
            recorder.imported(name, path)
            names.extend(_used_modules(found))


def _used_modules(module: Any) -> Iterator[Any]:
    """Yield the names of the modules that are in a module, or that define its functions and classes."""
    for value in tuple((namespace(module) or {}).values()):
        if issubclass(type(value), ModuleType):
            yield static_attribute(value, "__name__")
        elif type(value) is FunctionType:
            yield value.__module__
        elif issubclass(type(value), type):
            yield module_of(value)


class WatchedImports:
    """A context manager that notes the user's modules that are imported within its block.

    Not a generator: ``contextlib`` assigns to exceptions that pass through one, which frozen ones refuse.
    """

    def __init__(self, recorder: ReadRecorder | None) -> None:
        self._recorder = recorder
        self._last = ""

    def __enter__(self) -> None:
        self._last = tuple(sys.modules)[-1]  # in one step, since other threads import meanwhile

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
