"""Paths as users write them, and as traces record them.

A path is made absolute when it is given, since reactors, notebooks and workers may change the working directory. It is
recorded relative to a base directory if it is below it, so that a folder can be moved together with its plant. Symbolic
links are not resolved: a reactor depends on the name, and the link may lead to another file later.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from pyplant.errors import PlantDirError

__all__ = ["directory", "expanded", "from_here", "is_url", "located", "of_type", "recorded"]

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")  # one letter would be a drive of Windows


def expanded(path: str | bytes | os.PathLike[str] | os.PathLike[bytes]) -> str:
    """Return a path as text, with ``~`` and ``~user`` replaced by the home directory."""
    return os.path.expanduser(os.fsdecode(path))


def of_type(text: str, path: Any) -> str | bytes | Path:
    """Return a path that is given as text in the type of another one: text, bytes or :class:`~pathlib.Path`."""
    if isinstance(path, os.PathLike):
        return Path(text)
    return text if isinstance(path, str) else os.fsencode(text)


def directory(path: str | os.PathLike[str]) -> Path:
    """Return the absolute path of a directory, with ``~`` replaced.

    Raises
    ------
    pyplant.errors.PlantDirError
        If the home directory is not known, or the path is a URL. A directory named ``~`` or ``s3:`` would hardly be
        intended.
    """
    text = expanded(path)
    if is_url(text):
        message = f"{text} is an address. Give the path of a directory on this machine, or one that is mounted here."
        raise PlantDirError(message)
    if not text or "\0" in text:
        message = f"{text!r} is no path of a directory."
        raise PlantDirError(message)
    if text.startswith("~"):
        message = f"The home directory in {text} is not known; write the path in full, or as ./{text} if it is a name."
        raise PlantDirError(message)
    return Path(text).absolute()


def is_url(text: str) -> bool:
    """Return whether a text is a URL, such as ``https://…``, and not a path."""
    return _URL.match(text) is not None


def recorded(path: str, base: Path) -> str:
    """Return the form in which a path is recorded.

    Parameters
    ----------
    path
        An expanded path; a relative one is relative to the working directory.
    base
        Paths below this directory are recorded relative to it, with ``/`` between their parts; itself as ``.``.
    """
    full = os.path.join(os.getcwd(), path) if not os.path.isabs(path) else path
    short = os.path.normpath(full)
    if os.path.realpath(short) == os.path.realpath(full):  # else ``..`` follows a symbolic link
        full = short
    for start in (os.path.normpath(base), os.path.realpath(base)):
        if full == start:
            return "."
        if full.startswith(start.rstrip(os.sep) + os.sep):
            return full[len(start.rstrip(os.sep)) + 1 :].replace(os.sep, "/")
    return full


def from_here(name: str, base: Path) -> str:
    """Return the path of a recorded file as the user would write it: relative to the working directory if it is below it."""
    full = os.path.normpath(located(name, base))
    return full.removeprefix(os.path.join(os.getcwd(), ""))


def located(name: str, base: Path | str) -> str:
    """Return the path of a recorded file."""
    return os.path.join(base, name)
