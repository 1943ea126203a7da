"""Checks whether a file system has what a plant needs, by trying each operation.

Network and FUSE file systems often claim more than they do. All trials use a new directory, which is deleted afterwards.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from pyplant.store.files import Files, file_system, unique_name

__all__ = ["Check", "CheckResult", "examine"]

_LOW_SPACE = 10**9  # bytes below which to warn
_FEW_INODES = 10_000
_MAX_SKEW = 60.0  # seconds that the clocks of machine and file server may differ without a warning
_TIME_SAMPLES = 5


class CheckResult(Enum):
    """The result of a check."""

    OK = "ok"
    WARNING = "warning"
    """It works, with a disadvantage."""
    FAILED = "failed"
    """A plant cannot be here."""


class Check(NamedTuple):
    """One operation that was tried.

    Attributes
    ----------
    name
        The operation.
    verdict
        Whether it works.
    text
        What that means for the user.
    """

    name: str
    verdict: CheckResult
    text: str


def examine(directory: Path, files: Files | None = None) -> Iterator[Check]:
    """Try what a plant in this directory needs.

    Parameters
    ----------
    directory
        An existing directory.
    files
        The disk.
    """
    files = files or Files()
    kind = file_system(directory)
    yield Check("file system", CheckResult.OK, kind or "unknown: the system does not tell its type")
    probe = directory / f".pyplant-doctor-{unique_name(8)}"
    try:
        files.make_directory(probe)
    except OSError as error:
        text = f"files cannot be written here ({error.strerror}); a plant can only be read"
        yield Check("writing", CheckResult.FAILED, text)
        return
    try:
        yield Check("writing", CheckResult.OK, "files can be created here")
        for name, trial in _TRIALS.items():
            try:
                yield Check(name, *trial(files, probe))
            except OSError as error:
                yield Check(name, CheckResult.FAILED, f"does not work: {error.strerror or error}")
        yield _space(files, directory)
        yield _inodes(files, directory)
    finally:
        with suppress(OSError):
            files.remove_tree(probe)


_Result = tuple[CheckResult, str]


def _renaming(files: Files, probe: Path) -> _Result:
    files.create_synced(probe / "old", b"old")
    files.create_synced(probe / "new", b"new")
    files.rename(probe / "new", probe / "old")
    if files.read(probe / "old") != b"new":
        return CheckResult.FAILED, "a renamed file does not replace the other file"
    return CheckResult.OK, "a finished file replaces another in one step"


def _syncing(files: Files, probe: Path) -> _Result:
    files.create_synced(probe / "synced", b"probe")
    try:
        files.sync_directory(probe)
    except OSError as error:
        text = f"directories cannot be synced ({error.strerror}): a power cut may cost recent results"
        return CheckResult.WARNING, text
    return CheckResult.OK, "written data survive a power cut, if the disk does not lie about it"


def _locking(files: Files, probe: Path) -> _Result:
    fallback = "processes claim results by files with a heartbeat instead"
    try:
        first = files.lock(probe / "lock")
    except OSError as error:
        return CheckResult.WARNING, f"no kernel locks ({error.strerror}); {fallback}"
    second = None
    try:
        second = files.lock(probe / "lock")
    finally:
        for writer in (first, second):
            if writer is not None:
                writer.close()
    if second is not None:
        return CheckResult.WARNING, f"kernel locks do not exclude; {fallback}"
    if not files.has_shared_locks(probe):
        text = f"kernel locks work, but other machines may not see them; {fallback}"
        return CheckResult.WARNING, text
    return CheckResult.OK, "kernel locks work: several processes may share a plant"


def _exclusive(files: Files, probe: Path) -> _Result:
    files.create_synced(probe / "mine", b"probe")
    try:
        files.create(probe / "mine").close()
    except FileExistsError:
        return CheckResult.OK, "if two processes create one file, one of them gets an error"
    return CheckResult.WARNING, "two processes may create one file: some reactors may run twice"


def _mapping(files: Files, probe: Path) -> _Result:
    files.create_synced(probe / "mapped", b"mapped")
    if bytes(files.map_private(probe / "mapped")[:]) != b"mapped":
        return CheckResult.FAILED, "a mapped file differs from the file on disk"
    return CheckResult.OK, "arrays of any size are mapped instead of read"


def _times(files: Files, probe: Path) -> _Result:
    are_whole = True
    for number in range(_TIME_SAMPLES):
        path = probe / f"time-{number}"
        files.create_synced(path, b"probe")
        identity = files.identity(path)
        are_whole = are_whole and identity is not None and identity[3] % 10**9 == 0
    changed = files.modified(probe)
    skew = 0.0 if changed is None else changed - time.time()
    if abs(skew) > _MAX_SKEW:
        return CheckResult.WARNING, (
            f"the clock of the file server differs by {abs(skew):.0f} s; the age of leftovers is judged by it"
        )
    if are_whole:
        return (
            CheckResult.WARNING,
            "times are whole seconds: two changes of a file within a second look like one",
        )
    return CheckResult.OK, "times show every change of a file"


def _space(files: Files, directory: Path) -> Check:
    free = files.free_bytes(directory)
    shown = f"{free / 10**9:,.1f} GB free"
    if free < _LOW_SPACE:
        return Check(
            "space", CheckResult.WARNING, f"{shown}; results that do not fit are computed, but not stored"
        )
    return Check("space", CheckResult.OK, shown)


def _inodes(files: Files, directory: Path) -> Check:
    free = files.free_inodes(directory)
    if free is None:
        return Check("inodes", CheckResult.OK, "no limit on the number of files is known")
    if free < _FEW_INODES:
        text = f"only {free:,} further files can be created; a plant has one for each large result"
        return Check("inodes", CheckResult.WARNING, text)
    return Check("inodes", CheckResult.OK, f"{free:,} further files can be created")


_TRIALS: dict[str, Callable[[Files, Path], _Result]] = {
    "renaming": _renaming,
    "syncing": _syncing,
    "locks": _locking,
    "exclusive files": _exclusive,
    "mapping": _mapping,
    "times": _times,
}
