"""Searches for modules: ``importlib.util.find_spec("optional")``, and imports that find nothing.

What is found and imported counts as code. What is not found may appear later, and no event tells where it was looked for. So the
function by which ``importlib`` searches is replaced once by one that does the same and tells the running reactor.
A search by the user's code counts in the folders of the user: whether there is a module or package of that name.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from types import FrameType
from typing import Any

from pyplant.engine.trace import DependencyKind
from pyplant.fingerprint.attributes import safe_getattr
from pyplant.fingerprint.origin import is_user_file
from pyplant.reads.places import code_place, is_import
from pyplant.reads.recorder import ReadRecorder

__all__ = ["watch"]

_SEARCH = "_find_spec"
_PASSES_ON = "pyplant.reads.late_imports"  # its function calls the one of importlib that it replaced


def watch(listening: Callable[[], ReadRecorder | None], report: Callable[..., None]) -> None:
    """Record each search of user code from now on.

    Parameters
    ----------
    listening
        Returns the recorder of the execution that this thread works for; ``None`` if there is none.
    report
        Calls the function that records a search, with its arguments.
    """
    bootstrap: Any = vars(importlib).get("_bootstrap")
    for module, imports in ((bootstrap, True), (importlib.util, False)):
        search: Any = getattr(module, _SEARCH, None)
        if search is None:
            continue
        search = getattr(search, "__wrapped__", search)  # this module was reloaded

        def watched(
            name: str, path: Any, *arguments: Any, _search: Any = search, _imports: bool = imports
        ) -> Any:
            found = _search(name, path, *arguments)
            recorder = listening()
            if recorder is not None and not (found and _imports):  # what is imported counts as code
                frame = sys._getframe(1)  # noqa: SLF001 - documented in sys
                report(_searched, recorder, frame, name, path, safe_getattr(found, "origin", None))
            return found

        watched.__wrapped__ = search  # type: ignore[attr-defined] # as functools.wraps() does
        setattr(module, _SEARCH, watched)


def _searched(
    recorder: ReadRecorder, frame: FrameType | None, name: str, path: Iterable[str] | None, origin: Any
) -> None:
    while frame is not None and (is_import(frame) or frame.f_globals.get("__name__") == _PASSES_ON):
        frame = frame.f_back
    if frame is None or not is_user_file(frame.f_code.co_filename):
        return
    place = code_place(frame.f_code.co_qualname, frame.f_code.co_filename, frame.f_lineno)
    folders = sys.path if path is None else path
    candidates = [origin] if isinstance(origin, str) else _candidates(name.rpartition(".")[2], folders)
    for candidate in candidates:
        if is_user_file(candidate):
            recorder.mentioned(DependencyKind.EXISTENCE, candidate, place)


def _candidates(name: str, folders: Iterable[str]) -> Iterator[str]:
    """Yield the paths of packages and modules of a name."""
    for folder in folders:
        if os.path.isdir(folder or os.curdir):
            path = os.path.join(folder or os.getcwd(), name)
            yield path
            yield f"{path}.py"
