"""Digests of what lies outside the plant: the names in a folder, the paths that match a pattern, whether a path exists.

Contents of files are digested by :mod:`pyplant.store.inputs`, and values of the environment by
:mod:`pyplant.reads.environment`; :class:`Outside` asks each of them by the kind of a dependency.
"""

from __future__ import annotations

import ast
import glob
import os
import stat
from collections.abc import Iterable, Iterator

from pyplant._paths import located, recorded
from pyplant.engine.trace import DependencyKind
from pyplant.engine.validate import UNREADABLE as UNREADABLE_RECORD
from pyplant.errors import DamagedError
from pyplant.fingerprint.digest import digest_bytes
from pyplant.ingredient import Ingredient
from pyplant.reads import environment, working_directory
from pyplant.reads.manifests import ManifestEntry, answer_digest, entries, questions_digest
from pyplant.store.inputs import ABSENT, TOUCHED, UNREADABLE, HashLimit
from pyplant.store.warehouse import Warehouse

__all__ = ["OUTSIDE", "Outside", "existence", "listing", "matches", "matching", "source", "status"]

OUTSIDE = frozenset(
    {
        DependencyKind.FILE,
        DependencyKind.SOURCE,
        DependencyKind.LISTING,
        DependencyKind.PATTERN,
        DependencyKind.EXISTENCE,
        DependencyKind.STATUS,
        DependencyKind.TARGET,
        DependencyKind.ENVIRONMENT,
        DependencyKind.WORKING_DIRECTORY,
        DependencyKind.MANIFEST,
    }
)
"""The kinds of dependencies that lie outside the plant and its program."""


class Outside:
    """Answers what a dependency outside the plant is now.

    Parameters
    ----------
    warehouse
        The plant: it remembers the digests of files, and recorded paths are relative to the folder that it is in.
    limit
        How much of files may be hashed.
    """

    def __init__(self, warehouse: Warehouse, limit: HashLimit | None = None) -> None:
        self._limit = limit
        self._warehouse = warehouse
        self._base = warehouse.root.parent
        self._seals = warehouse.seals
        self._files = warehouse.input_files

    def digest(self, kind: DependencyKind, name: str) -> str:
        """Return the present digest of something, by its kind and recorded name."""
        try:
            return self._digest(kind, name)
        except (ValueError, RecursionError):  # no such name can exist; a record of another user may have any
            return UNREADABLE

    def _digest(self, kind: DependencyKind, name: str) -> str:
        if kind is DependencyKind.FILE:
            return self._files.digest(name, self._limit)
        if kind is DependencyKind.ENVIRONMENT:
            return environment.digest(name, self._seals)
        if kind is DependencyKind.WORKING_DIRECTORY:
            return working_directory.digest(self._base)
        if kind is DependencyKind.MANIFEST:
            return self._manifest_digest(name)
        path = located(name, self._base)
        if kind is DependencyKind.SOURCE:
            return source(path)
        if kind is DependencyKind.LISTING:
            return listing(path)
        if kind is DependencyKind.PATTERN:
            return matches(path)
        if kind is DependencyKind.TARGET:
            return recorded(os.path.realpath(path), self._base)
        return existence(path) if kind is DependencyKind.EXISTENCE else status(path)

    def _manifest_digest(self, name: str) -> str:
        # Manifests of one question list the same reads, so any of them will do.
        for manifest in self._warehouse.ledger.manifests(name):
            found = self._entries(manifest)
            # Another user may have stored one that lists other reads under this name.
            if found and questions_digest(found) == name:
                digests = [self.digest(entry.kind, entry.name) for entry in found]
                return TOUCHED if TOUCHED in digests else answer_digest(digests)
        return ""

    def changes(self, manifest: Ingredient) -> Iterator[tuple[DependencyKind, str, str, str]]:
        """Yield the reads in a manifest that changed, each with its old and its new digest."""
        for entry in self._entries(manifest):
            now = self.digest(entry.kind, entry.name)
            if now != entry.digest:
                yield entry.kind, entry.name, entry.digest, now

    def _entries(self, manifest: Ingredient) -> list[ManifestEntry]:
        try:
            found = list(entries(self._warehouse.load(manifest)))
        except (DamagedError, *UNREADABLE_RECORD):
            return []
        for entry in found if manifest.signed else ():
            if entry.file is not None:
                self._files.adopt(entry.name, entry.file)
        return found


_MAX_SOURCE = 1 << 26  # bytes


def source(path: str) -> str:
    """Return the digest of the code in a file, without its comments and layout."""
    try:
        info = os.stat(path)
        if not stat.S_ISREG(info.st_mode) or info.st_size > _MAX_SOURCE:  # a device may have no end
            return UNREADABLE
        with open(path, "rb") as file:
            content = file.read()
    except (FileNotFoundError, NotADirectoryError):
        return ABSENT
    except (OSError, ValueError):
        return UNREADABLE
    try:
        return digest_bytes(ast.dump(ast.parse(content)).encode())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return digest_bytes(content)


def listing(path: str) -> str:
    """Return the digest of the names in a folder, and of which of them are folders."""
    try:
        with os.scandir(path) as entries:
            found = sorted((os.fsencode(entry.name), _is_folder(entry)) for entry in entries)
    except (FileNotFoundError, NotADirectoryError):
        return ABSENT
    except (OSError, ValueError):  # no permission, a failing disk, a null character
        return UNREADABLE
    return digest_bytes(
        *(part for name, is_folder in found for part in (name, b"/\0" if is_folder else b"\0"))
    )


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def matches(pattern: str) -> str:
    """Return the digest of the paths that match an absolute pattern; ``**`` stands for any number of folders.

    Names that begin with a dot match, too: the event of ``glob`` does not tell whether they were asked for.
    """
    try:
        found = sorted(map(os.fsencode, matching(pattern)))
    except (OSError, ValueError):
        return UNREADABLE
    return digest_bytes(*(part for path in found for part in (path, b"\0")))


def matching(pattern: str) -> Iterable[str]:
    """Return the paths that match a pattern, hidden ones included.

    ``glob`` takes each folder once for each way in which ``**`` may lead to it: with several of them, as another user may
    have recorded, more often than ever ends.
    """
    if pattern.split("/").count("**") <= 1:
        return _glob(pattern)
    first, *others = _up_to_recursive(pattern)
    found: Iterable[str] = _glob(first)
    for part in others:
        folders = {os.path.normpath(path) for path in found if os.path.isdir(path)}
        found = {path for folder in folders for path in _glob(os.path.join(glob.escape(folder), part))}
    return found


def _up_to_recursive(pattern: str) -> list[str]:
    """Split a pattern after each ``**``; several in a row are one."""
    steps: list[str] = []
    parts: list[str] = []
    for step in pattern.split("/"):
        if parts and not steps and step in ("", "**"):
            continue
        steps.append(step)
        if step == "**":
            parts.append("/".join(steps))
            steps = []
    return [*parts, "/".join(steps)] if steps or pattern.endswith("/") else parts


def _glob(pattern: str) -> Iterator[str]:
    return glob.iglob(pattern, recursive=True, include_hidden=True)


def existence(path: str) -> str:
    """Return whether a path leads to nothing, a file or a folder, and whether this process may read and execute it."""
    info = _stat(path)
    if isinstance(info, str):
        return info
    # What is usual has no words, so that they say what is unusual.
    can_read = "" if os.access(path, os.R_OK) else ", unreadable"
    is_program = ", executable" if stat.S_ISREG(info.st_mode) and os.access(path, os.X_OK) else ""
    return f"{_kind(info)}{can_read}{is_program}"


def status(path: str) -> str:
    """Return what a path leads to, its permissions, its size and its time of modification."""
    info = _stat(path)
    if isinstance(info, str):
        return info
    kind = _kind(info)
    mode = f"{stat.S_IMODE(info.st_mode):o}"
    # The size of a folder is that of its list of names, and its time changes with them.
    return f"{kind} {mode} {info.st_size} {info.st_mtime_ns}" if kind == "file" else f"{kind} {mode}"


def _stat(path: str) -> os.stat_result | str:
    """Return what is known of a path, or the digest of one that nothing is known of."""
    try:
        return os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return ABSENT
    except (OSError, ValueError):
        return UNREADABLE


def _kind(info: os.stat_result) -> str:
    return "folder" if stat.S_ISDIR(info.st_mode) else "file" if stat.S_ISREG(info.st_mode) else "other"
