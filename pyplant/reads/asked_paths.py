"""Questions about paths that user code asks: ``os.path.exists(path)``, ``path.is_file()``, ``max(paths, key=os.path.getmtime)``.

No event tells of them. All functions of ``os.path`` that ask the disk look up ``os.stat`` in one module of the standard library,
and all methods of paths call one of them, so both are replaced once by ones that do the same and tell the running reactor.
``os.stat`` itself stays as it is: code compares and pickles it. What libraries ask on their own account does not count.
"""

from __future__ import annotations

import genericpath
import os
import sys
from collections.abc import Callable
from functools import wraps
from itertools import islice
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

from pyplant.fingerprint.origin import is_user_file
from pyplant.reads.mentions import PATH_MODULES, mention_argument, texts_of
from pyplant.reads.places import code_place
from pyplant.reads.recorder import ReadRecorder

__all__ = ["entries_asked", "watch"]

_MAX_ENTRIES = 10_000
_SEARCHES = frozenset({"which", "_access_check"})  # functions of shutil that ask where a program is
_OF_ENTRIES = frozenset({"stat", "is_symlink"})  # of which listings do not tell


class _WatchedOs(ModuleType):
    """The module ``os`` as :mod:`genericpath` sees it."""

    def __init__(self, stat: Callable[..., os.stat_result]) -> None:
        super().__init__("os")
        self.stat = stat

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)


def watch(listening: Callable[[], ReadRecorder | None], report: Callable[..., None]) -> None:
    """Record each question from now on.

    Parameters
    ----------
    listening
        Returns the recorder of the execution that this thread works for; ``None`` if there is none.
    report
        Calls the function that records a question, with its arguments.
    """

    def stat(path: Any, **options: Any) -> os.stat_result:
        recorder = listening()
        if recorder is not None:
            report(_asked, recorder, path, sys._getframe(1))  # noqa: SLF001 - documented in sys
        return os.stat(path, **options)

    vars(genericpath)["os"] = _WatchedOs(stat)
    method = vars(Path)["stat"]
    method = getattr(method, "__wrapped__", method)  # this module was reloaded

    @wraps(method)
    def watched(self: Path, **options: Any) -> os.stat_result:
        recorder = listening()
        if recorder is not None:
            report(_asked, recorder, self, sys._getframe(1))  # noqa: SLF001 - documented in sys
        return method(self, **options)  # type: ignore[no-any-return]

    Path.stat = watched  # type: ignore[method-assign]


def entries_asked(recorder: ReadRecorder, folder: Any, frame: FrameType) -> None:
    """Note what user code that scans a folder may ask its entries for; their methods are in C."""
    if not is_user_file(frame.f_code.co_filename):
        return
    names, _ = texts_of(frame.f_code)
    asked = sorted(names & _OF_ENTRIES)
    if not asked:
        return
    with os.scandir(folder) as entries:
        for entry in islice(entries, _MAX_ENTRIES):
            for name in asked:
                _mention(recorder, name, entry.path, frame)
        if next(entries, None) is not None:
            recorder.note(f"asks entries of {folder}, of which the first {_MAX_ENTRIES} count", frame)


def _asked(recorder: ReadRecorder, path: Any, frame: FrameType | None) -> None:
    name = "stat"
    while frame is not None and frame.f_globals.get("__name__") in PATH_MODULES:
        name, frame = frame.f_code.co_name, frame.f_back
    while (
        frame is not None
        and frame.f_code.co_name in _SEARCHES
        and frame.f_globals.get("__name__") == "shutil"
    ):
        frame = frame.f_back
    if frame is None or not is_user_file(frame.f_code.co_filename):
        return
    if name == "samefile":
        recorder.note("compares files (samefile), of which symbolic links count and hard links do not", frame)
    _mention(recorder, name, path, frame)


def _mention(recorder: ReadRecorder, name: str, path: Any, frame: FrameType) -> None:
    code = frame.f_code
    place = code_place(code.co_qualname, code.co_filename, frame.f_lineno)
    mention_argument(f"os.{name}", os.fsdecode(path), place, recorder)
