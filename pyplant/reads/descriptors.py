"""Paths that are relative to a folder which a descriptor stands for: ``os.open(name, flags, dir_fd=folder)``.

Some events have the descriptor as an argument. That of an opening has none, so a relative path of ``os.open`` may lead to
any folder that this process has open.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

__all__ = ["below_descriptor", "possible_paths", "without_descriptor"]

_DESCRIPTORS = "/dev/fd"
_MAX_PATH = 1024


def without_descriptor(path: Any) -> Any:
    """Return the path of the folder or file that a descriptor stands for, and any other path as it is."""
    if type(path) is not int:
        return path
    try:
        if sys.platform == "darwin":
            import fcntl

            found = fcntl.fcntl(path, fcntl.F_GETPATH, bytes(_MAX_PATH))
            return os.fsdecode(found.rstrip(b"\0"))
        return os.readlink(f"{_DESCRIPTORS}/{path}")
    except (OSError, ValueError):
        return path


def below_descriptor(path: Any, descriptor: Any) -> Any:
    """Return a path that is relative to the folder of a descriptor; ``-1`` and ``None`` stand for the working directory."""
    if descriptor in (None, -1):
        return path
    folder = without_descriptor(descriptor)
    return os.path.join(folder, os.fsdecode(path)) if isinstance(folder, str) else ""  # which is no path


def possible_paths(path: Any) -> list[Any]:
    """Return where a path of ``os.open`` may lead to: in an open folder, in the working directory, or in both.

    If nothing is there, it is missing in each of them.
    """
    if type(path) is int or os.path.isabs(path):
        return [path]
    name = os.fsdecode(path)
    inside = [os.path.join(folder, name) for folder in _open_folders()]
    paths = [*inside, name]
    return [found for found in paths if os.path.lexists(found)] or paths


def _open_folders() -> Iterator[str]:
    try:
        descriptors = os.listdir(_DESCRIPTORS)
    except OSError:  # as on Windows, where folders have no descriptors
        return
    for descriptor in descriptors:
        folder = without_descriptor(int(descriptor))
        if isinstance(folder, str) and os.path.isabs(folder) and os.path.isdir(folder):
            yield folder
