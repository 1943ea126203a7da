"""Every state that a crash may legally leave behind, from the log of what was done to the disk.

A real run is recorded at the seam (:mod:`pyplant.store.files`). A model then knows, after
each call, which bytes of which file and which names in which directory are certain to be
on the disk. What is not certain is kept or dropped in every combination: each name on its
own, and the unsynced bytes of each file wholly, half, not at all, or as zeros. Every state
that comes out is made real and looked at by a store that knows nothing of the crash.

The method is that of SQLite's crash tests and of ALICE (Pillai et al., OSDI 2014).
"""

from __future__ import annotations

import itertools
import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pyplant.errors import DamagedError
from pyplant.specs.array import ArraySpec
from pyplant.store import warehouse as warehouse_module
from pyplant.store.fsck import audit
from pyplant.store.retention import collect, merge_journal
from pyplant.store.warehouse import Warehouse
from reliability.bench import Lab, figure
from reliability.disks import LoggedFiles, Operation
from reliability.trial import forked
from tests.store import a_trace

IGNORED = ("tmp", "claims", "leases")
"""Directories whose content no reader relies on."""

_WITH_TARGET = ("rename", "link")
"""Operations that name a file, and the new name of it."""


# ---------------------------------------------------------------------- the model


@dataclass
class Content:
    """The bytes of a file that are certain to be on the disk, and those that may be."""

    synced: bytes = b""
    unsynced: bytes = b""

    def outcomes(self) -> list[bytes]:
        """Return every content that may be read after a crash."""
        if not self.unsynced:
            return [self.synced]
        half = self.unsynced[: len(self.unsynced) // 2]
        return [
            self.synced + self.unsynced,
            self.synced,
            self.synced + half,
            self.synced + bytes(len(self.unsynced)),
        ]


@dataclass
class Model:
    """What is certain to be on the disk after some operations, and what is not."""

    names: dict[str, int | None]
    """Names that are on the disk, and their files; ``None`` for a directory."""
    contents: dict[int, Content]
    pending: list[Operation] = field(default_factory=list)

    def apply(self, operation: Operation) -> None:
        """Add an operation."""
        match operation:
            case ("write", inode, data):
                self.contents.setdefault(inode, Content()).unsynced += data
            case ("sync", inode):
                content = self.contents.setdefault(inode, Content())
                content.synced, content.unsynced = content.synced + content.unsynced, b""
            case ("sync directory", directory):
                certain = [one for one in self.pending if directory in _directories(one)]
                self.pending = [one for one in self.pending if one not in certain]
                for one in certain:
                    _execute(one, self.names)
            case ("name", name, inode):
                self.contents[inode] = Content()
                self.pending.append(operation)
            case _:
                self.pending.append(operation)

    def states(self) -> Iterator[dict[str, bytes | None]]:
        """Yield every state of the file system that a crash may leave now."""
        pending = [one for one in self.pending if not _is_ignored(one)]
        for kept in itertools.product([True, False], repeat=len(pending)):
            names = dict(self.names)
            for operation, keep in zip(pending, kept, strict=True):
                if keep:
                    _execute(operation, names)
            files = sorted(name for name in names if names[name] is not None and _is_reachable(name, names))
            inodes = sorted({inode for name in files if (inode := names[name]) is not None})
            for contents in itertools.product(*(self.contents[inode].outcomes() for inode in inodes)):
                # All names of a file have the same content.
                content = dict(zip(inodes, contents, strict=True))
                yield {name: content[names[name]] for name in files}  # type: ignore[index]


def _directories(operation: Operation) -> set[str]:
    """Return the directories whose sync makes an operation certain."""
    name = operation[2] if operation[0] in _WITH_TARGET else operation[1]
    return {str(Path(name).parent)}


def _execute(operation: Operation, names: dict[str, int | None]) -> None:
    match operation:
        case ("mkdir", name):
            names[name] = None
        case ("name", name, inode):
            names[name] = inode
        case ("rename", source, target, inode):
            names.pop(source, None)
            names[target] = inode
        case ("link", _, target, inode):
            names[target] = inode
        case ("unlink", name):
            names.pop(name, None)


def _is_ignored(operation: Operation) -> bool:
    names = operation[1:3] if operation[0] in _WITH_TARGET else operation[1:2]
    return all(name.partition("/")[0] in IGNORED for name in names)


def _is_reachable(name: str, names: dict[str, int | None]) -> bool:
    parents = [str(parent) for parent in Path(name).parents if str(parent) != "."]
    return all(parent in names for parent in parents) and name.partition("/")[0] not in IGNORED


def initial(root: Path) -> Model:
    """Return the model of a directory that is on the disk completely."""
    names: dict[str, int | None] = {}
    contents: dict[int, Content] = {}
    for path in root.rglob("*"):
        inode = None if path.is_dir() else path.stat().st_ino
        names[str(path.relative_to(root))] = inode
        if inode is not None:
            contents[inode] = Content(path.read_bytes())
    return Model(names, contents)


def crash_states(model: Model, log: list[Operation]) -> Iterator[tuple[int, dict[str, bytes | None]]]:
    """Yield each state that a crash may leave, and after how many operations."""
    for done in range(len(log) + 1):
        for state in model.states():
            yield done, state
        if done < len(log):
            model.apply(log[done])


def make_real(state: dict[str, bytes | None], root: Path) -> None:
    """Write a state into an empty directory."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(mode=0o700)
    for name, content in state.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.write_bytes(content or b"")


# ---------------------------------------------------------------------- what is crashed


def value(number: int) -> Any:
    """Return the value that the reactor of a number sends."""
    return np.full(400, float(number))


def commit(store: Warehouse, number: int, **options: Any) -> Any:
    """Commit one result."""
    saved = store.save(f"x{number}", value(number), ArraySpec)
    options = {"reactor": f"garden.make_{number}", "fingerprint": f"code{number}", **options}
    return store.commit(a_trace(saved, **options))


Work = Callable[[Warehouse, list[int]], None]


def two_commits(store: Warehouse, log: list[Operation], certain: list[tuple[int, int]]) -> None:
    """Two reactors finish; each is certain once its commit has returned with a sync."""
    for number in (1, 2):
        commit(store, number)
        if warehouse_module._MAX_UNSYNCED_SECONDS == 0:
            certain.append((len(log), number))


def collection(store: Warehouse, log: list[Operation], certain: list[tuple[int, int]]) -> None:
    """Collect history; current results must exist at any time."""
    certain += [(0, 3), (0, 4)]
    collect(store, 0, now=4e9, quarantine_age=1e12)


def merging(store: Warehouse, log: list[Operation], certain: list[tuple[int, int]]) -> None:
    """Merge four files of the journal."""
    certain += [(0, number) for number in (1, 2, 3, 4)]
    assert merge_journal(store, at_least=1)


MAKING = "making of a plant"

CASES: dict[str, tuple[Any, int, float]] = {
    MAKING: (two_commits, 0, 0.0),
    "two commits, synced": (two_commits, 0, 0.0),
    "two commits, grouped": (two_commits, 0, 1.0),
    "gc": (collection, 4, 0.0),
    "merging of the journal": (merging, 4, 0.0),
}


def prepared(root: Path, commits: int, case: str) -> None:
    """Create a plant with a few results; for gc the first two are history."""
    for number in range(1, commits + 1):
        store = Warehouse(root)
        same = {"reactor": "garden.same"} if case == "gc" and number <= 3 else {}
        commit(store, number, **same)
        store.objects.sync()
        store.close()


def crash_case(case: str, folder: Path) -> tuple[int, list[str]]:
    """Check all states of one case; return their number and the failures."""
    work, commits, warehouse_module._MAX_UNSYNCED_SECONDS = CASES[case]
    root = folder / "recorded"
    if case == MAKING:
        root.mkdir(mode=0o700)
    else:
        Warehouse(root).close()
        prepared(root, commits, case)
    model, disk = initial(root), LoggedFiles(root)
    certain: list[tuple[int, int]] = []
    store = Warehouse(root, files=disk)
    start = len(disk.log)
    assert case == MAKING or start == 0, "opening a plant writes nothing"
    work(store, disk.log, certain)
    count, failures = 0, []
    seen: set[tuple[frozenset[Any], frozenset[int]]] = set()
    scratch = Path("/dev/shm" if Path("/dev/shm").is_dir() else folder) / f"pyplant-crash-{os.getpid()}"
    try:
        for done, state in crash_states(model, list(disk.log)):
            needed = {number for since, number in certain if since <= done}
            key = frozenset(state.items()), frozenset(needed)
            if key in seen:
                continue  # the same state as after another operation
            seen.add(key)
            count += 1
            make_real(state, scratch)
            failure = look(scratch, needed)
            if failure:
                failures.append(f"{case}, after operation {done}: {failure}")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        store.close()
    return count, failures


def look(root: Path, needed: set[int]) -> str:
    """Return what is wrong with a state: wrong values, or lost results that had to survive."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", ".*FORMAT")  # a new identity would make all pickles untrusted
            store = Warehouse(root)
        found: set[int] = set()
        for trace in store.ledger.traces():
            (output,) = trace.outputs
            number = int(output.name[1:])
            with suppress(DamagedError):
                if not np.array_equal(store.load(output), value(number)):
                    return f"a wrong value of {output.name}"
                found.add(number)
        audit(store, repair=True)
        again = audit(store)
        store.close()
    except Exception as error:  # noqa: BLE001 - none may come
        return f"{type(error).__name__}: {error}"
    if not again.is_clean:
        return f"not clean after a repair: {again}"
    return f"lost {sorted(needed - found)}" if needed - found else ""


@figure(
    "E1",
    "every legal state after a crash at any call of: making of a plant, two commits, gc, merging of the journal",
    bar="0 wrong, 0 synced results lost",
    control="nothing is synced",
    short=5,
    full=5,
)
def enumerated_crashes(lab: Lab) -> Iterator[str]:
    """One trial is one state."""
    for number, case in enumerate(CASES):
        folder = lab.folder / f"{number}"
        folder.mkdir()
        ended = forked(lambda c=case, f=folder: crash_case(c, f), patience=1200)
        if ended.error:
            yield f"{case}: {ended.error}"
            continue
        count, failures = ended.value
        lab.notes.append(f"{case}: {count} states")
        yield from failures
        yield from ("" for _ in range(count - len(failures)))
