"""Digests of files outside the plant.

A file is hashed once, and the ledger stores its digest with its identity (device, inode, size, times). While the identity
is the same, the file is not read again. A digest is kept only if the file was two seconds old when it was
hashed: some file systems have times of one or two seconds, so a change right after the hashing could leave the times as
they were. Git calls this problem "racy".
"""

from __future__ import annotations

import errno
import glob
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

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
    "HashedFile",
    "InputFiles",
    "require_readable_file",
    "stat_identity",
]

TOUCHED = "touched"
"""The digest of a file whose content is not known, since it is too large to be read now."""
ABSENT = "absent"
"""The digest of a file that does not exist."""
DIRECTORY = "directory"
"""The digest of a directory, where a file is expected."""
SPECIAL = "special"
"""The digest of a pipe or device, which has no fixed content."""
UNREADABLE = "unreadable"
"""The digest of a file that this process may not read."""

_ITEMS = 5  # of an identity
MIN_AGE = 2_000_000_000
"""Nanoseconds after a change of a file in which another one may leave its times as they were."""


class HashedFile(NamedTuple):
    """The digest of a file, with the identity that it had, and when it was hashed (nanoseconds)."""

    identity: tuple[int, ...]
    digest: str
    hashed: int

    @property
    def is_lasting(self) -> bool:
        """Whether an equal identity means the same content from then on."""
        return max(self.identity[3], self.identity[4]) + MIN_AGE < self.hashed


@dataclass(slots=True)
class HashLimit:
    """How many bytes may still be hashed, for what must answer soon."""

    left: int

    def allows(self, size: int) -> bool:
        """Return whether a file of this size may be hashed, and count it."""
        if size > self.left:
            return False
        self.left -= size
        return True


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
        self._base = str(base)  # a path object takes three times longer to join
        self._known: dict[str, HashedFile] = {}  # by path; lasting ones only
        self._stores = True

    def digest(self, name: str, limit: HashLimit | None = None) -> str:
        """Return the digest of a file's present content; :data:`TOUCHED` if the limit does not allow to compute it.

        Missing and unreadable files have digests, too: a reactor may depend on a file being missing, and a lookup
        must not fail.

        Parameters
        ----------
        name
            The recorded path.
        limit
            How much may be hashed.
        """
        try:
            full = located(name, self._base)
            info = _information(full)
            if stat.S_ISDIR(info.st_mode):
                return DIRECTORY
            return self._of_content(full, info, limit) if stat.S_ISREG(info.st_mode) else SPECIAL
        except (FileNotFoundError, NotADirectoryError):
            return ABSENT
        except (OSError, ValueError):  # no permission, a failing disk, a link to itself, a null character
            return UNREADABLE

    def known(self, name: str) -> HashedFile | None:
        """Return what is known of the file with a recorded path, if its identity tells its content."""
        return self._known.get(located(name, self._base))

    def adopt(self, name: str, known: HashedFile) -> None:
        """Use what another process of this user knows of a file, unless this one knows it already."""
        if len(known.identity) == _ITEMS and known.is_lasting:
            self._known.setdefault(located(name, self._base), known)

    @contextmanager
    def in_memory(self) -> Iterator[None]:
        """Store no digests meanwhile: they go to a manifest."""
        self._stores = False
        try:
            yield
        finally:
            self._stores = True

    def _of_content(self, full: str, info: os.stat_result, limit: HashLimit | None) -> str:
        identity = stat_identity(info)
        known = self._known.get(full) or self._stored(full)
        if known is not None and known.identity == identity:
            self._known[full] = known
            return known.digest
        if limit is not None and not limit.allows(info.st_size):
            return TOUCHED
        # Time and identity from before the hashing: a file that changes meanwhile was younger than two seconds, or has
        # another identity at the next look.
        now = time.time_ns()
        found = HashedFile(identity, _hash(full), now)
        if found.is_lasting:
            self._known[full] = found
        if found.is_lasting and self._stores:
            self._latest.put_input_file(_key(full), [identity, found.digest, now])
        return found.digest

    def _stored(self, full: str) -> HashedFile | None:
        stored = self._latest.input_file(_key(full))
        if stored is None:
            return None
        identity, digest, hashed = stored
        found = HashedFile(tuple(identity), digest, hashed)
        return found if len(identity) == _ITEMS and found.is_lasting else None


def stat_identity(info: os.stat_result) -> tuple[int, ...]:
    """Return device, inode, size and times of a file: equal ones mean the same content, once the file is old enough."""
    return (info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns)


def _information(path: str) -> os.stat_result:
    return os.stat(path)


def _hash(full: str) -> str:
    try:
        return hash_file(full)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        return hash_file(os.path.realpath(full))  # files are opened without following a link


@lru_cache(maxsize=100_000)
def _key(path: str) -> str:
    return digest_bytes(path.encode("utf-8", "surrogateescape"))


def require_readable_file(path: str, digest: str | None) -> None:
    """Raise an error if the digest is that of a directory, device or unreadable file, or if the path is a pattern.

    A missing file is accepted.
    """
    if digest == ABSENT and ("*" in path or "?" in path) and glob.glob(path):
        message = (
            f"pipe.input_file takes one file; {path} is a pattern. Name each file that matches: "
            f"for path in sorted(glob.glob({path!r})): pipe.input_file(path)."
        )
        raise IngredientError(message)
    if digest == DIRECTORY:
        message = f"pipe.input_file takes a file; {path} is a directory. Name the files in it one by one."
        raise IsADirectoryError(message)
    if digest == SPECIAL:
        message = f"pipe.input_file takes a file; {path} is a pipe or device, which has no fixed content."
        raise IngredientError(message)
    if digest == UNREADABLE:
        message = f"pipe.input_file cannot read {path}, so the reactor cannot depend on its content. Change its permissions."
        raise PermissionError(message)
