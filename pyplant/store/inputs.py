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

from pyplant.engine.digest import digest_bytes
from pyplant.errors import IngredientError
from pyplant.store.ledger import Ledger
from pyplant.store.objects import hash_file

__all__ = ["ABSENT", "InputFiles"]

ABSENT = "absent"
"""The digest of a file that does not exist."""

_PARTS = 3  # of a note: identity, digest, time of the look
_SETTLED = 2_000_000_000  # nanoseconds that a file must have been left alone


class InputFiles:
    """Takes the digests of input files, hashing only what was touched.

    Parameters
    ----------
    ledger
        Where the notes are kept.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def digest(self, path: str) -> str:
        """The digest of the file's content as it is now.

        Raises
        ------
        IsADirectoryError
            If it is a directory.
        pyplant.errors.IngredientError
            If it is neither a file nor a directory.
        """
        full = os.path.realpath(path)
        try:
            info = Path(full).stat()
        except (FileNotFoundError, NotADirectoryError):
            return ABSENT
        if stat.S_ISDIR(info.st_mode):
            message = f"pipe.input_file takes a file; {path} is a directory. Name the files in it one by one."
            raise IsADirectoryError(message)
        if not stat.S_ISREG(info.st_mode):
            message = f"pipe.input_file takes a file; {path} is a pipe or device, without fixed content."
            raise IngredientError(message)
        identity = [info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns]
        key = digest_bytes(full.encode("utf-8", "surrogateescape"))
        noted = self._ledger.input_file(key)
        if noted is not None and len(noted) == _PARTS and noted[0] == identity and _was_settled(noted):
            return str(noted[1])
        now = time.time_ns()
        try:
            digest = hash_file(Path(full))
        except FileNotFoundError:  # deleted since the look at it
            return ABSENT
        self._ledger.put_input_file(key, [identity, digest, now])
        return digest


def _was_settled(noted: list[Any]) -> bool:
    identity, _, when = noted
    return bool(max(identity[3], identity[4]) + _SETTLED < when)
