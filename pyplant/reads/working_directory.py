"""The working directory, where relative paths begin.

A reactor that opens ``data.csv`` reads another file when the program is started elsewhere. The working directory counts
only for reactors that use a relative path or ask for it, and by what it was when they began: what they change it to
themselves comes from their code.

If a reactor leaves another directory behind, it counts by what it was before, as long as it stays so: what a reactor
does is no change of the user, and a cached one does not do it.
"""

from __future__ import annotations

import os
from pathlib import Path

from pyplant._paths import recorded

__all__ = ["NAME", "digest", "keep_before", "present"]

NAME = "working directory"
"""The name of the dependency."""

_left: dict[str, str] = {}
"""The directory that reactors left, and the one before."""


def present() -> str:
    """Return the working directory; an empty text if it was removed."""
    try:
        return os.getcwd()
    except OSError:
        return ""


def digest(base: Path) -> str:
    """Return the recorded path of the directory that counts, relative to the base of a plant if it is below it."""
    present_one = present()
    directory = _left.get(present_one, present_one)
    if directory == present_one:  # the user has changed it since
        _left.clear()
    return recorded(directory, base) if directory else ""


def keep_before(before: str) -> None:
    """Let the directory count as it was before an execution, if that has changed it."""
    directory = present()
    if directory != before:
        original = _left.get(before, before)
        _left.clear()
        _left[directory] = original
