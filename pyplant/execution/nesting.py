"""Which threads work for a reactor.

A plant does one run at a time. A reactor that asks for another would wait for itself, so it is
refused. The reactor's own thread is known by a context variable, which other threads do not
have: those that a reactor starts, and those of a pool that it gives work to, are marked
instead. The marks are set where Python starts threads and where pools take work; there is no
event for it on all versions that are supported.
"""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Callable
from functools import partial, wraps
from typing import Any

from pyplant.reactor import active

__all__ = ["is_inside_reactor", "watch_threads"]

_MARK = "_pyplant_works_for"
_POOLS = "concurrent.futures.thread"
_watched: set[str] = set()


def is_inside_reactor() -> bool:
    """Whether this thread runs a reactor, or works for one that has not ended."""
    return active.get() is not None or _works_for() is not None


def _works_for() -> Any:
    reference = vars(threading.current_thread()).get(_MARK)
    pipework = None if reference is None else reference()
    return None if pipework is None or pipework.is_closed else pipework


def watch_threads() -> None:
    """Mark the threads that work for reactors from now on; called before a reactor begins."""
    if "threading" not in _watched:
        _watched.add("threading")
        _replace(threading.Thread, "start", _marking_start)
    if _POOLS in sys.modules and _POOLS not in _watched:
        _watched.add(_POOLS)
        _replace(sys.modules[_POOLS].ThreadPoolExecutor, "submit", _marking_submit)


def _replace(cls: type, name: str, make: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    setattr(cls, name, make(getattr(cls, name)))


def _mark() -> weakref.ref[Any] | None:
    pipework = active.get() or _works_for()
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
