"""Paths as people write them, and as they are recorded.

A path is resolved when it is given: reactors, notebooks and workers change the working directory. It is recorded
relative to a base directory if it is beneath it, so that a folder can be moved together with its plant, else in full.
Symbolic links are not resolved: they may lead elsewhere tomorrow, and then the content is another one.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from pyplant.errors import PlantDirError

__all__ = ["directory", "expanded", "is_url", "located", "recorded"]

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")  # one letter would be a drive of Windows


def expanded(path: str | bytes | os.PathLike[str] | os.PathLike[bytes]) -> str:
    """A path as text, with ``~`` and ``~user`` replaced by the home directory."""
    return os.path.expanduser(os.fsdecode(path))


def directory(path: str | os.PathLike[str]) -> Path:
    """A directory in full, with ``~`` replaced.

    Raises
    ------
    pyplant.errors.PlantDirError
        If nobody knows the home directory that is meant; a directory called ``~`` is hardly ever.
    """
    text = expanded(path)
    if text.startswith("~"):
        message = f"The home directory in {text} is not known; write the path in full, or as ./{text} if it is a name."
        raise PlantDirError(message)
    return Path(text).absolute()


def is_url(text: str) -> bool:
    """Whether a text is the address of something on the network, such as ``https://…``, rather than a path."""
    return _ADDRESS.match(text) is not None


def recorded(path: str, base: Path) -> str:
    """How a path is recorded; a relative one is relative to the working directory.

    Parameters
    ----------
    path
        Of a file, expanded.
    base
        Paths beneath this directory are recorded relative to it, with ``/`` between their parts.
    """
    full = os.path.join(os.getcwd(), path) if not os.path.isabs(path) else path
    short = os.path.normpath(full)
    if os.path.realpath(short) == os.path.realpath(full):  # else ``..`` follows a symbolic link
        full = short
    for start in (os.path.normpath(base), os.path.realpath(base)):
        if full.startswith(start.rstrip(os.sep) + os.sep):
            return full[len(start.rstrip(os.sep)) + 1 :].replace(os.sep, "/")
    return full


def located(name: str, base: Path) -> str:
    """Where the file is that was recorded under this name."""
    return os.path.join(base, name)
