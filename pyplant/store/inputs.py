"""Digests of files outside the plant.

A file is hashed once and its identity noted. The note is trusted only if the file had been
left alone for a while before it was taken: on a file system with coarse times, a change
right after the look could otherwise go unseen (git's "racy" problem).
"""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path
from typing import Any

from pyplant._paths import located
from pyplant.errors import IngredientError
from pyplant.fingerprint.digest import digest_bytes
from pyplant.store.ledger import Ledger
from pyplant.store.objects import hash_file

__all__ = ["ABSENT", "DIRECTORY", "SPECIAL", "UNREADABLE", "InputFiles", "require_readable_file"]

ABSENT = "absent"
"""The digest of a file that does not exist."""
DIRECTORY = "directory"
"""The digest of a directory, where a file is expected."""
SPECIAL = "special"
"""The digest of a pipe or device, which has no fixed content."""
UNREADABLE = "unreadable"
"""The digest of a file that this process may not read."""

_PARTS = 3  # of a note: identity, digest, time of the look
_SETTLED = 2_000_000_000  # nanoseconds that a file must have been left alone


class InputFiles:
    """Takes the digests of input files, hashing only what was touched.

    Parameters
    ----------
    ledger
        Where the notes are kept.
    base
        The directory that recorded paths are relative to (:mod:`pyplant._paths`).
    """

    def __init__(self, ledger: Ledger, base: Path = Path()) -> None:
        self._ledger = ledger
        self._base = base

    def digest(self, name: str) -> str:
        """The digest of a file's content as it is now.

        Also for what is no file that can be read, so that no look-up fails: a reactor may expect just that.

        Parameters
        ----------
        name
            The path as it was recorded.
        """
        try:
            full = os.path.realpath(located(name, self._base))
            info = Path(full).stat()
            if stat.S_ISDIR(info.st_mode):
                return DIRECTORY
            return self._of_content(full, info) if stat.S_ISREG(info.st_mode) else SPECIAL
        except (FileNotFoundError, NotADirectoryError):
            return ABSENT
        except (OSError, ValueError):  # no permission, a failing disk, a link to itself, a null character
            return UNREADABLE

    def _of_content(self, full: str, info: os.stat_result) -> str:
        identity = [info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns]
        key = digest_bytes(full.encode("utf-8", "surrogateescape"))
        noted = self._ledger.input_file(key)
        if noted is not None and len(noted) == _PARTS and noted[0] == identity and _was_settled(noted):
            return str(noted[1])
        now = time.time_ns()
        digest = hash_file(Path(full))
        self._ledger.put_input_file(key, [identity, digest, now])
        return digest


def require_readable_file(path: str, digest: str | None) -> None:
    """Raise if a reactor depends on what is no file that can be read; a missing file is fine."""
    if digest == DIRECTORY:
        message = f"pipe.input_file takes a file; {path} is a directory. Name the files in it one by one."
        raise IsADirectoryError(message)
    if digest == SPECIAL:
        message = f"pipe.input_file takes a file; {path} is a pipe or device, without fixed content."
        raise IngredientError(message)
    if digest == UNREADABLE:
        message = f"pipe.input_file cannot read {path}; a dependency on its content needs the permission to."
        raise PermissionError(message)


def _was_settled(noted: list[Any]) -> bool:
    identity, _, when = noted
    return bool(max(identity[3], identity[4]) + _SETTLED < when)
