"""What a file system can do for a plant, tried out rather than believed.

Everything is tried in a directory of its own, which is removed afterwards.
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

_LITTLE = 10**9  # bytes; fewer than this are soon used up
_SKEW = 60.0  # seconds by which the clocks of a machine and its file server may differ
_TRIES = 5


class CheckResult(Enum):
    """What a check came to."""

    OK = "ok"
    WARNING = "warning"
    """It works, and costs something."""
    FAILED = "failed"
    """A plant cannot live here."""


class Check(NamedTuple):
    """One thing that was tried.

    Attributes
    ----------
    name
        What.
    verdict
        How it went.
    text
        What that means, for people.
    """

    name: str
    verdict: CheckResult
    text: str


def examine(directory: Path, files: Files | None = None) -> Iterator[Check]:
    """Try out what a plant in this directory would need.

    Parameters
    ----------
    directory
        A directory that is there.
    files
        The disk.
    """
    files = files or Files()
    kind = file_system(directory)
    yield Check("file system", CheckResult.OK, kind or "of a type that the system does not tell")
    probe = directory / f".pyplant-doctor-{unique_name(8)}"
    try:
        files.make_directory(probe)
    except OSError as error:
        text = f"nothing can be written here ({error.strerror}); reading a plant works"
        yield Check("writing", CheckResult.FAILED, text)
        return
    try:
        yield Check("writing", CheckResult.OK, "files can be made here")
        for name, trial in _TRIALS.items():
            try:
                yield Check(name, *trial(files, probe))
            except OSError as error:
                yield Check(name, CheckResult.FAILED, f"does not work: {error.strerror or error}")
        yield _space(files, directory)
    finally:
        with suppress(OSError):
            files.remove_tree(probe)


_Outcome = tuple[CheckResult, str]


def _renaming(files: Files, probe: Path) -> _Outcome:
    files.create_synced(probe / "old", b"old")
    files.create_synced(probe / "new", b"new")
    files.rename(probe / "new", probe / "old")
    if files.read(probe / "old") != b"new":
        return CheckResult.FAILED, "a renamed file does not replace the one before"
    return CheckResult.OK, "a finished file replaces another in one step"


def _syncing(files: Files, probe: Path) -> _Outcome:
    files.create_synced(probe / "synced", b"probe")
    try:
        files.sync_directory(probe)
    except OSError as error:
        text = f"directories cannot be synced ({error.strerror}): a power cut may cost recent results"
        return CheckResult.WARNING, text
    return CheckResult.OK, "what is reported as written survives a power cut, if the disk keeps its word"


def _locking(files: Files, probe: Path) -> _Outcome:
    counting = "each result in work is claimed by a file that its owner counts in"
    try:
        first = files.lock(probe / "lock")
    except OSError as error:
        return CheckResult.WARNING, f"no kernel locks ({error.strerror}); {counting}"
    second = None
    try:
        second = files.lock(probe / "lock")
    finally:
        for writer in (first, second):
            if writer is not None:
                writer.close()
    if second is not None:
        return CheckResult.WARNING, f"kernel locks do not hold; {counting}"
    if not files.has_shared_locks(probe):
        text = f"kernel locks work, but other machines may not see them; {counting}"
        return CheckResult.WARNING, text
    return CheckResult.OK, "kernel locks work: several processes may share a plant"


def _exclusive(files: Files, probe: Path) -> _Outcome:
    files.create_synced(probe / "mine", b"probe")
    try:
        files.create(probe / "mine").close()
    except FileExistsError:
        return CheckResult.OK, "of two processes that make one file, one is told"
    return CheckResult.WARNING, "two processes may make one file: some work may be done twice"


def _mapping(files: Files, probe: Path) -> _Outcome:
    files.create_synced(probe / "mapped", b"mapped")
    if bytes(files.map_private(probe / "mapped")[:]) != b"mapped":
        return CheckResult.FAILED, "a file in memory is not the file on disk"
    return CheckResult.OK, "arrays are read in place, however large"


def _times(files: Files, probe: Path) -> _Outcome:
    whole = True
    for number in range(_TRIES):
        path = probe / f"time-{number}"
        files.create_synced(path, b"probe")
        identity = files.identity(path)
        whole = whole and identity is not None and identity[3] % 10**9 == 0
    changed = files.modified(probe)
    skew = 0.0 if changed is None else changed - time.time()
    if abs(skew) > _SKEW:
        return CheckResult.WARNING, (
            f"the clock of the file server differs by {abs(skew):.0f} s; what is old is judged by it"
        )
    if whole:
        return (
            CheckResult.WARNING,
            "times are whole seconds: a file changed twice in one may be verified late",
        )
    return CheckResult.OK, "fine enough to see that a file was touched"


def _space(files: Files, directory: Path) -> Check:
    free = files.free_bytes(directory)
    shown = f"{free / 10**9:,.1f} GB free"
    if free < _LITTLE:
        return Check(
            "space", CheckResult.WARNING, f"{shown}; results that find no room are computed, not kept"
        )
    return Check("space", CheckResult.OK, shown)


_TRIALS: dict[str, Callable[[Files, Path], _Outcome]] = {
    "renaming": _renaming,
    "syncing": _syncing,
    "locks": _locking,
    "exclusive files": _exclusive,
    "mapping": _mapping,
    "times": _times,
}
