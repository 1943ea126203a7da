"""Threads and processes that reactors start.

Threads. A plant does one run at a time, so a reactor that starts another run would wait for itself; such
calls are refused. The thread of a reactor is recognised by a context variable. Threads that the reactor
starts do not inherit it, so they are marked with a weak reference to its tracer; threads of a pool are
marked while they execute a task of a reactor. To set the marks, ``Thread.start`` and the ``submit`` methods
of pools are wrapped, since the supported versions of Python have no hook for either. A mark ends with its
reactor: a thread that outlives it may use the plant.

Processes. A spawned process imports the main module of the program to find the functions that it is given.
A worker has another main module, so it adopts the name and file of the program's; otherwise processes that
a reactor starts in a worker would not find their functions. While a process imports modules during its
start, no plant may run in it: a script without ``if __name__ == "__main__":`` would start runs in each
process that it starts.
"""

from __future__ import annotations

import os
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial, wraps
from importlib.machinery import ModuleSpec
from typing import Any, NamedTuple

from pyplant._definitions import active_observer
from pyplant.fingerprint.origin import is_own_file
from pyplant.reads.hook import started_process

__all__ = [
    "MultiprocessingSettings",
    "apply_multiprocessing_settings",
    "importing_for_definitions",
    "importing_for_worker",
    "is_inside_reactor",
    "module_imported_at_start",
    "multiprocessing_settings",
    "script_imported_for_definitions",
    "tracer_of_thread",
    "watch_threads",
]

_MARK = "_pyplant_reactor"
_POOLS = {
    "concurrent.futures.thread": ("ThreadPoolExecutor", ("submit",)),
    "multiprocessing.pool": ("ThreadPool", ("apply_async", "_map_async", "imap", "imap_unordered")),
}
"""Classes of thread pools by module, and their methods that take a function to call."""
_PROCESSES = "multiprocessing.process"
_watched: set[str] = set()  # modules whose classes are wrapped
_OF_LOKY = ("loky", "loky_init_main")  # start methods that only processes of loky know


class MultiprocessingSettings(NamedTuple):
    """The settings by which :mod:`multiprocessing` starts processes.

    Attributes
    ----------
    method
        The start method that was set; ``None`` if none was.
    main_name, main_file
        The name of the main module (``python -m``), or its file; spawned processes import it.
    """

    method: str | None
    main_name: str | None
    main_file: str | None


def is_inside_reactor() -> bool:
    """Return whether this thread runs a reactor, or works for one that has not ended."""
    return active_observer.get() is not None or tracer_of_thread() is not None


def tracer_of_thread() -> Any:
    """Return the tracer of the reactor that this thread works for, if it has not ended; otherwise ``None``."""
    reference = vars(threading.current_thread()).get(_MARK)
    tracer = None if reference is None else reference()
    # A weak reference, since a thread that outlives its reactor must not keep the inputs of the reactor alive.
    return None if tracer is None or getattr(tracer, "is_closed", False) else tracer


def watch_threads() -> None:
    """Wrap the methods that start threads, once; called before a reactor begins, when more pools may be imported."""
    if "threading" not in _watched:
        _watched.add("threading")
        _replace(threading.Thread, "start", _marking_start)
    for module, (pool, methods) in _POOLS.items():
        if module in sys.modules and module not in _watched:
            _watched.add(module)
            for method in methods:
                _replace(getattr(sys.modules[module], pool), method, _marking_submit)
    if _PROCESSES in sys.modules and _PROCESSES not in _watched:
        _watched.add(_PROCESSES)
        _replace(sys.modules[_PROCESSES].BaseProcess, "start", _noting_start)


# Wrapped on the classes, so that subclasses and existing pools are covered too.
def _replace(cls: type, name: str, make: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    setattr(cls, name, make(getattr(cls, name)))


def _mark() -> weakref.ref[Any] | None:
    # A thread of a reactor may start threads, too.
    tracer = active_observer.get() or tracer_of_thread()
    return None if tracer is None else weakref.ref(tracer)


def _marking_start(start: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(start)
    def marking_start(self: threading.Thread, *arguments: Any, **options: Any) -> Any:
        mark = _mark()
        if mark is not None:
            vars(self)[_MARK] = mark
        return start(self, *arguments, **options)

    return marking_start


def _marking_submit(submit: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(submit)
    def marking_submit(self: Any, function: Any, /, *arguments: Any, **options: Any) -> Any:
        # Only tasks of reactors are wrapped: the pool may belong to the program, and its threads serve other code.
        mark = _mark()
        if mark is not None:
            function = partial(_marked, mark, function)
        return submit(self, function, *arguments, **options)

    return marking_submit


def _noting_start(start: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(start)
    def noting_start(self: Any) -> None:
        start(self)
        if getattr(getattr(self, "_popen", None), "method", "") != "fork":  # of which an event tells
            started_process(sys._getframe(1))  # noqa: SLF001 - documented in sys

    return noting_start


def _marked(mark: weakref.ref[Any], function: Any, /, *arguments: Any, **options: Any) -> Any:
    """Call a function in a thread that is marked during the call."""
    marks = vars(threading.current_thread())
    before = marks.get(_MARK)
    marks[_MARK] = mark
    try:
        return function(*arguments, **options)
    finally:
        marks[_MARK] = before


# ---------------------------------------------------------------------- processes


def multiprocessing_settings() -> MultiprocessingSettings:
    """Return the settings of this process."""
    multiprocessing = sys.modules.get("multiprocessing")
    method = None if multiprocessing is None else multiprocessing.get_start_method(allow_none=True)
    main = sys.modules.get("__main__")
    name = getattr(getattr(main, "__spec__", None), "name", None)
    file = getattr(main, "__file__", None)
    return MultiprocessingSettings(method, name, None if name or file is None else os.path.abspath(file))


def apply_multiprocessing_settings(wanted: MultiprocessingSettings) -> None:
    """Let this worker start processes as the program of the run does.

    A worker has the start method by which it was started itself. That of loky is unknown to processes that are
    started by other means.
    """
    multiprocessing = sys.modules.get("multiprocessing")
    if multiprocessing is not None:
        method = None if wanted.method in _OF_LOKY else wanted.method
        if multiprocessing.get_start_method(allow_none=True) != method:
            multiprocessing.set_start_method(method, force=True)
    # These two attributes tell spawned processes what to import (multiprocessing.spawn.get_preparation_data).
    main = sys.modules.get("__main__")
    if main is None or multiprocessing_settings()[1:] == wanted[1:]:
        return
    main.__spec__ = None if wanted.main_name is None else ModuleSpec(wanted.main_name, None)
    if wanted.main_file is not None:
        main.__file__ = wanted.main_file
    elif "__file__" in vars(main):
        del main.__file__


_imported_for_worker: list[str] = []


@contextmanager
def importing_for_worker(module: str) -> Iterator[None]:
    """Refuse runs while a worker imports a module of the program that it works for."""
    _imported_for_worker.append(module)
    try:
        yield
    finally:
        _imported_for_worker.pop()


_imported_for_definitions: list[str] = []


@contextmanager
def importing_for_definitions(script: str) -> Iterator[None]:
    """Refuse runs while the command line imports a script for its reactors."""
    _imported_for_definitions.append(script)
    try:
        yield
    finally:
        _imported_for_definitions.pop()


def script_imported_for_definitions() -> str | None:
    """Return the script that is imported for its reactors only; ``None`` if none is."""
    return _imported_for_definitions[-1] if _imported_for_definitions else None


def module_imported_at_start() -> str | None:
    """Return the file that is imported during the start of this process; ``None`` if it has started."""
    if _imported_for_worker:
        return _imported_for_worker[-1]
    multiprocessing = sys.modules.get("multiprocessing.process")
    # multiprocessing sets the attribute while a spawned process prepares, and has no public name for it.
    if multiprocessing is None or not getattr(multiprocessing.current_process(), "_inheriting", False):
        return None
    # The outermost frames are those of multiprocessing; the first module of the user is the one to name.
    frame: Any = sys._getframe(1)  # noqa: SLF001 - documented in sys
    while frame is not None:
        if frame.f_code.co_name == "<module>" and not is_own_file(frame.f_code.co_filename):
            return str(frame.f_code.co_filename)
        frame = frame.f_back
    return None
