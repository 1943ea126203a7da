"""Calls of functions that open files without an event, observed as they happen (PEP 669, Python 3.12 and later).

The first argument of such a call is a mention like a path in the text of the code, also if it is computed. Only functions of
the user that refer to such libraries are observed, and a place in the code whose call is of no interest is
observed once for each reactor, so loops stay fast. Before Python 3.12, if other tools use all of the interpreter's
slots for tools, and for other arguments, a path is one that the execution may know (:mod:`pyplant.reads.known_paths`).

Functions of libraries that are written in Python, and that the user's code refers to, are observed as they begin instead. So
all their arguments are mentions, however they are called: ``map(pd.read_parquet, paths)``, ``partial(pl.scan_parquet, paths)``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any

from pyplant.fingerprint.attributes import safe_getattr, static_attribute
from pyplant.fingerprint.bytecode import nested
from pyplant.fingerprint.covered_function import CoveredFunction
from pyplant.reads.hook import listening_recorder, report
from pyplant.reads.known_paths import texts_in
from pyplant.reads.mentions import mention_argument, opens_in_c, opens_without_event
from pyplant.reads.places import code_place, place_of
from pyplant.reads.recorder import ReadRecorder

__all__ = ["observe_calls"]

_FREE_TOOLS = (3, 4)  # the other numbers are for debuggers, coverage, profilers and optimizers
_NAME = "pyplant"
_monitoring: Any = getattr(sys, "monitoring", None)


def observe_calls(functions: Sequence[CoveredFunction]) -> None:
    """Let the calls in the code of functions be observed from now on, if the interpreter can do that."""
    tool = _tool() if functions else None
    if tool is None:
        return
    events = _monitoring.events
    _monitoring.register_callback(tool, events.CALL, _called)
    _monitoring.register_callback(tool, events.PY_START, _began)
    for covered in functions:
        for code in nested(covered.function.__code__):
            _monitoring.set_local_events(tool, code, events.CALL)
        for code in _codes_of_libraries(covered):
            _monitoring.set_local_events(tool, code, events.PY_START)
    _monitoring.restart_events()  # of places that were of no interest to an earlier reactor


def _called(code: CodeType, offset: int, function: Any, argument: Any) -> Any:
    name = _full_name(function)
    if not opens_without_event(name):
        return _monitoring.DISABLE
    recorder = listening_recorder()
    if recorder is not None and isinstance(argument, str | bytes | os.PathLike):
        line = next((line for start, end, line in code.co_lines() if start <= offset < end), None)
        place = code_place(code.co_qualname, code.co_filename, line or code.co_firstlineno)
        report(mention_argument, name, os.fsdecode(argument), place, recorder)
    return None


def _codes_of_libraries(covered: CoveredFunction) -> Iterator[CodeType]:
    """Yield the code of functions of libraries that open files in C, and to which a function refers."""
    for head, names in covered.references():
        found: Any = sys.modules.get(head) if isinstance(head, str) else head
        for name in names:
            is_readable = issubclass(type(found), ModuleType | type)
            found = static_attribute(found, name) if is_readable else None
        if isinstance(found, type):
            found = static_attribute(found, "__init__")
        while type(found) is FunctionType and opens_in_c(found.__module__.partition(".")[0]):
            yield found.__code__
            found = vars(found).get("__wrapped__")


def _began(_code: CodeType, _offset: int) -> None:
    recorder = listening_recorder()
    if recorder is not None:
        report(_mention_arguments, recorder, sys._getframe(1))  # noqa: SLF001 - documented in sys


def _mention_arguments(recorder: ReadRecorder, frame: FrameType) -> None:
    place = place_of(frame)
    if not place:  # PyPlant loads a value
        return
    name = f"{frame.f_globals.get('__name__')}.{frame.f_code.co_name}"
    for text in texts_in(list(frame.f_locals.values())):
        mention_argument(name, text, place, recorder)


def _tool() -> int | None:
    """Return our number among the tools; ``None`` if other tools have all, or there are none."""
    for number in _FREE_TOOLS if _monitoring is not None else ():
        user = _monitoring.get_tool(number)
        if user is None:
            _monitoring.use_tool_id(number, _NAME)
        if user in (None, _NAME):
            return number
    return None


def _full_name(function: Any) -> str:
    module = safe_getattr(function, "__module__", None)
    if not isinstance(module, str):  # methods of types in C know only their class
        module = safe_getattr(safe_getattr(function, "__objclass__", None), "__module__", "")
    return f"{module}.{safe_getattr(function, '__name__', '')}"
