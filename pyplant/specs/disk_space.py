"""Room on disk for values that are filled in place: better none at the start than half way."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from pathlib import Path

from pyplant._formatting import format_size

__all__ = ["require", "reserve"]


def reserve(descriptor: int, size: int, path: Path) -> None:
    """Take the space of a file now.

    Parameters
    ----------
    descriptor, path
        The file, open for writing; it is deleted if there is no room for it.
    size
        In bytes.

    Raises
    ------
    OSError
        If there is not enough, with the bytes needed.
    """
    try:
        if hasattr(os, "posix_fallocate") and sys.platform != "darwin":
            os.posix_fallocate(descriptor, 0, size)
        else:
            os.truncate(descriptor, size)
    except OSError as error:
        path.unlink(missing_ok=True)
        message = f"{format_size(size)} are needed and cannot be had: {error.strerror}"
        raise OSError(error.errno, message) from error


def require(size: int, path: Path) -> None:
    """Make sure that there are ``size`` bytes for a file that its library fills later.

    Raises
    ------
    OSError
        If there are not, with the bytes needed.
    """
    free = shutil.disk_usage(path.parent).free
    if size > free:
        message = f"{format_size(size)} are needed, and {format_size(free)} are free"
        raise OSError(errno.ENOSPC, message, str(path))
