"""Digests of files outside the plant.

A file is hashed once, and the ledger stores its digest with its identity (device, inode, size, times). While the identity
is the same, the file is not read again. The stored digest is trusted only if the file was two seconds old when it was
hashed: some file systems have times of one or two seconds, so a change right after the hashing could leave the times as
they were. Git calls this problem "racy".
"""

from __future__ import annotations

import os
import stat
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

from pyplant._paths import located
from pyplant.errors import IngredientError
from pyplant.fingerprint.digest import digest_bytes
from pyplant.store.latest_lines import LatestLines
from pyplant.store.objects import hash_file

__all__ = [
    "ABSENT",
    "DIRECTORY",
    "MIN_AGE",
    "SPECIAL",
    "UNREADABLE",
    "InputFiles",
    "require_readable_file",
    "stat_identity",
]

ABSENT = "absent"
"""The digest of a file that does not exist."""
DIRECTORY = "directory"
"""The digest of a directory, where a file is expected."""
SPECIAL = "special"
"""The digest of a pipe or device, which has no fixed content."""
UNREADABLE = "unreadable"
"""The digest of a file that this process may not read."""

_LENGTH = 3  # items of a stored digest: identity, digest, time of hashing
MIN_AGE = 2_000_000_000
"""Nanoseconds after a change of a file in which another one may leave its times as they were."""


class InputFiles:
    """Computes digests of input files, and hashes only files that changed.

    Parameters
    ----------
    latest
        Stores the digests.
    base
        The directory that recorded paths are relative to (:mod:`pyplant._paths`).
    """

    def __init__(self, latest: LatestLines, base: Path = Path()) -> None:
        self._latest = latest
        self._base = base

    def digest(self, name: str) -> str:
        """Return the digest of a file's present content.

        Missing and unreadable files have digests, too: a reactor may depend on a file being missing, and a lookup
        must not fail.

        Parameters
        ----------
        name
            The recorded path.
        """
        try:
            full = located(name, self._base)
            info = _information(full)
            if stat.S_ISDIR(info.st_mode):
                return DIRECTORY
            return self._of_content(full, info) if stat.S_ISREG(info.st_mode) else SPECIAL
        except (FileNotFoundError, NotADirectoryError):
            return ABSENT
        except (OSError, ValueError):  # no permission, a failing disk, a link to itself, a null character
            return UNREADABLE

    def _of_content(self, full: str, info: os.stat_result) -> str:
        identity = list(stat_identity(info))  # as it comes back from the journal
        key = _key(full)
        known = self._latest.input_file(key)
        if known is not None and len(known) == _LENGTH and known[0] == identity and _was_old(known):
            return str(known[1])
        # Time and identity from before the hashing: a file that changes meanwhile was younger than two seconds, or has
        # another identity at the next look.
        now = time.time_ns()
        digest = hash_file(Path(os.path.realpath(full)))
        self._latest.put_input_file(key, [identity, digest, now])
        return digest


def stat_identity(info: os.stat_result) -> tuple[int, ...]:
    """Return device, inode, size and times of a file: equal ones mean the same content, once the file is old enough."""
    return (info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns)


def _information(path: str) -> os.stat_result:
    return os.stat(path)


@lru_cache(maxsize=100_000)
def _key(path: str) -> str:
    return digest_bytes(path.encode("utf-8", "surrogateescape"))


def require_readable_file(path: str, digest: str | None) -> None:
    """Raise an error if the digest is that of a directory, device or unreadable file; a missing file is accepted."""
    if digest == DIRECTORY:
        message = f"pipe.input_file takes a file; {path} is a directory. Name the files in it one by one."
        raise IsADirectoryError(message)
    if digest == SPECIAL:
        message = f"pipe.input_file takes a file; {path} is a pipe or device, which has no fixed content."
        raise IngredientError(message)
    if digest == UNREADABLE:
        message = f"pipe.input_file cannot read {path}, so the reactor cannot depend on its content. Change its permissions."
        raise PermissionError(message)


def _was_old(known: list[Any]) -> bool:
    identity, _, hashed = known
    return bool(max(identity[3], identity[4]) + MIN_AGE < hashed)
