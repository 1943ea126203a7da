"""Disk space for allocated values: fail before the reactor computes if the disk is too small."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from pathlib import Path

from pyplant._formatting import format_size

__all__ = ["require", "reserve"]


def reserve(descriptor: int, size: int, path: Path) -> None:
    """Reserve the disk space of a file.

    Parameters
    ----------
    descriptor, path
        The file, open for writing; it is deleted if the space is too small.
    size
        In bytes.

    Raises
    ------
    OSError
        If there is not enough space; the message says how much is needed.
    """
    try:
        if hasattr(os, "posix_fallocate") and sys.platform != "darwin":
            os.posix_fallocate(descriptor, 0, size)
        else:
            os.truncate(descriptor, size)
    except OSError as error:
        path.unlink(missing_ok=True)
        message = f"{format_size(size)} are needed but not available: {error.strerror}"
        raise OSError(error.errno, message) from error


def require(size: int, path: Path) -> None:
    """Check that ``size`` bytes are free for a file that its library fills later.

    Raises
    ------
    OSError
        If they are not; the message says how much is needed.
    """
    free = shutil.disk_usage(path.parent).free
    if size > free:
        message = f"{format_size(size)} are needed, but only {format_size(free)} are free"
        raise OSError(errno.ENOSPC, message, str(path))
