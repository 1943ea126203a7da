"""Threads and processes that reactors start.

A plant does one run at a time. A reactor that asks for another would wait for itself, so it is
refused. The reactor's own thread is known by a context variable, which other threads do not
have: those that a reactor starts, and those of a pool that it gives work to, are marked
instead. The marks are set where Python starts threads and where pools take work; there is no
event for it on all versions that are supported.

A process that is started afresh (spawned) imports the main module of the program, to find the
functions that it is given there. Workers, which have a main module of their own, say that theirs
is the program's; and while modules are imported for this, no plant runs.
"""

from __future__ import annotations

import os
import sys
import threading
import weakref
from collections.abc import Callable
from functools import partial, wraps
from importlib.machinery import ModuleSpec
from typing import Any, NamedTuple

from pyplant._definitions import active_observer
from pyplant.fingerprint.origin import is_own_file

__all__ = [
    "MultiprocessingSettings",
    "apply_multiprocessing_settings",
    "is_inside_reactor",
    "module_imported_at_start",
    "multiprocessing_settings",
    "watch_threads",
]

_MARK = "_pyplant_works_for"
_POOLS = {
    "concurrent.futures.thread": ("ThreadPoolExecutor", ("submit",)),
    "multiprocessing.pool": ("ThreadPool", ("apply_async", "_map_async", "imap", "imap_unordered")),
}
"""Where pools of threads are, and how they are given a function to call."""
_watched: set[str] = set()
_OF_LOKY = ("loky", "loky_init_main")


class MultiprocessingSettings(NamedTuple):
    """The settings of :mod:`multiprocessing` in a process that depend on how the process was started.

    Attributes
    ----------
    method
        The start method that was set; ``None`` if none was.
    main_name, main_file
        The main module by name (``python -m``), or its file; started processes import it, to find its functions.
    """

    method: str | None
    main_name: str | None
    main_file: str | None


def is_inside_reactor() -> bool:
    """Whether this thread runs a reactor, or works for one that has not ended."""
    return active_observer.get() is not None or _works_for() is not None


def _works_for() -> Any:
    reference = vars(threading.current_thread()).get(_MARK)
    pipework = None if reference is None else reference()
    return None if pipework is None or getattr(pipework, "is_closed", False) else pipework


def watch_threads() -> None:
    """Mark the threads that work for reactors from now on; called before a reactor begins."""
    if "threading" not in _watched:
        _watched.add("threading")
        _replace(threading.Thread, "start", _marking_start)
    for module, (pool, methods) in _POOLS.items():
        if module in sys.modules and module not in _watched:
            _watched.add(module)
            for method in methods:
                _replace(getattr(sys.modules[module], pool), method, _marking_submit)


def _replace(cls: type, name: str, make: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    setattr(cls, name, make(getattr(cls, name)))


def _mark() -> weakref.ref[Any] | None:
    pipework = active_observer.get() or _works_for()
    return None if pipework is None else weakref.ref(pipework)


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
        mark = _mark()
        if mark is not None:
            function = partial(_marked, mark, function)
        return submit(self, function, *arguments, **options)

    return marking_submit


def _marked(mark: weakref.ref[Any], function: Any, /, *arguments: Any, **options: Any) -> Any:
    """Call a function in a thread that works for a reactor meanwhile."""
    marks = vars(threading.current_thread())
    before = marks.get(_MARK)
    marks[_MARK] = mark
    try:
        return function(*arguments, **options)
    finally:
        marks[_MARK] = before


# ---------------------------------------------------------------------- processes


def multiprocessing_settings() -> MultiprocessingSettings:
    """How this process starts others."""
    multiprocessing = sys.modules.get("multiprocessing")
    method = None if multiprocessing is None else multiprocessing.get_start_method(allow_none=True)
    main = sys.modules.get("__main__")
    name = getattr(getattr(main, "__spec__", None), "name", None)
    file = getattr(main, "__file__", None)
    return MultiprocessingSettings(method, name, None if name or file is None else os.path.abspath(file))


def apply_multiprocessing_settings(wanted: MultiprocessingSettings) -> None:
    """Let this worker start processes as the program does that it works for.

    Left as it is, a worker of loky would start them in a way that they do not know themselves, and they
    would look for the functions of the program in the main module of the worker.
    """
    multiprocessing = sys.modules.get("multiprocessing")
    if multiprocessing is not None and multiprocessing.get_start_method(allow_none=True) in _OF_LOKY:
        method = None if wanted.method in _OF_LOKY else wanted.method
        multiprocessing.set_start_method(method, force=True)
    main = sys.modules.get("__main__")
    if main is None or multiprocessing_settings()[1:] == wanted[1:]:
        return
    main.__spec__ = None if wanted.main_name is None else ModuleSpec(wanted.main_name, None)
    if wanted.main_file is not None:
        main.__file__ = wanted.main_file
    elif "__file__" in vars(main):
        del main.__file__


def module_imported_at_start() -> str | None:
    """The file that is being imported to get this process started; ``None`` if it has started."""
    multiprocessing = sys.modules.get("multiprocessing.process")
    if multiprocessing is None or not getattr(multiprocessing.current_process(), "_inheriting", False):
        return None
    frame: Any = sys._getframe(1)  # noqa: SLF001 - documented in sys
    while frame is not None:
        if frame.f_code.co_name == "<module>" and not is_own_file(frame.f_code.co_filename):
            return str(frame.f_code.co_filename)
        frame = frame.f_back
    return None
