"""Negative controls: each function removes one protection.

Every function patches one piece of PyPlant away. Nothing of this is in the library.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pytest import MonkeyPatch

from pyplant.execution.claims_guard import ClaimsGuard
from pyplant.execution.executor import Failed
from pyplant.fingerprint import bytecode, canonical, code_graph, digest
from pyplant.fingerprint.digest import digest_bytes
from pyplant.pipework import Pipework
from pyplant.specs import sparse, table
from pyplant.store import ledger, leftovers, retention
from pyplant.store.claims import OwnershipFiles
from pyplant.store.files import Files, OpenFile
from pyplant.store.format_registry import FormatRegistry
from pyplant.store.journal import Journal, JournalEntry
from pyplant.store.objects import ObjectStore
from pyplant.store.warehouse import Warehouse
from pyplant.workers.parallel_executor import ParallelExecutor
from reliability.disks import LoggedFile, LoggedFiles
from tests.laws.sabotages import SABOTAGES as OF_THE_LAWS

__all__ = ["ACTIVE", "SABOTAGES", "sabotaged"]

SABOTAGES: dict[str, Callable[[MonkeyPatch], None]] = {}

ACTIVE: list[str] = []
"""The sabotages of this process, which processes of their own must put in place themselves."""


def _sabotage(function: Callable[[MonkeyPatch], None]) -> Callable[[MonkeyPatch], None]:
    SABOTAGES[function.__name__.replace("_", " ")] = function
    return function


@contextmanager
def sabotaged(name: str) -> Iterator[None]:
    """Remove a protection within the block."""
    with pytest.MonkeyPatch.context() as patch:
        (SABOTAGES.get(name) or OF_THE_LAWS[name.replace(" ", "_")])(patch)
        ACTIVE.append(name)
        try:
            yield
        finally:
            ACTIVE.remove(name)


# ---------------------------------------------------------------------- writing


@_sabotage
def results_reach_the_journal_late(patch: MonkeyPatch) -> None:
    """Lines are kept in memory until the plant is closed."""
    flush, close = Journal.flush, Journal.close

    def late(self: Journal, *, sync: bool = False) -> None:
        del sync
        if getattr(self, "_closing", False):
            flush(self)

    def at_last(self: Journal) -> None:
        self._closing = True  # type: ignore[attr-defined]
        close(self)

    patch.setattr(Journal, "flush", late)
    patch.setattr(Journal, "close", at_last)


@_sabotage
def values_are_written_in_place(patch: MonkeyPatch) -> None:
    """Each name has one file, which is overwritten and never verified."""
    save = Warehouse._save_as
    keep = Warehouse._store_file

    def named(self: Warehouse, spec: Any, name: str, value: Any) -> Any:
        self.objects._name = name  # type: ignore[attr-defined]
        return save(self, spec, name, value)

    def kept(self: Warehouse, spec: Any, name: str, path: Path, metadata: Any) -> Any:
        self.objects._name = name  # type: ignore[attr-defined]
        return keep(self, spec, name, path, metadata)

    def publish(self: ObjectStore, path: Path, digest: str, suffix: str, *, read_only: bool = False) -> str:
        del digest, read_only
        stored = digest_bytes(self._name.encode()) + suffix  # type: ignore[attr-defined]
        target = self.path(stored)
        self._files.make_directory(target.parent)
        self._files.unlink(target)
        writer = self._files.create(target)
        writer.write(path.read_bytes())
        writer.close()
        return stored

    patch.setattr(Warehouse, "_save_as", named)
    patch.setattr(Warehouse, "_store_file", kept)
    patch.setattr(ObjectStore, "publish", publish)
    objects_are_not_verified(patch)
    every_pickle_is_trusted(patch)


@_sabotage
def nothing_is_synced(patch: MonkeyPatch) -> None:
    """Nothing waits for the disk."""
    patch.setattr(OpenFile, "sync", lambda self: None)
    patch.setattr(Files, "sync_file", lambda self, path: None)
    patch.setattr(Files, "sync_directory", lambda self, path: None)
    patch.setattr(LoggedFile, "sync", lambda self: None)
    patch.setattr(LoggedFiles, "sync_file", lambda self, path: None)
    patch.setattr(LoggedFiles, "sync_directory", lambda self, path: None)


@_sabotage
def failed_syncs_are_ignored(patch: MonkeyPatch) -> None:
    """Objects that could not be synced count as synced."""
    sync = ObjectStore.sync

    def careless(self: ObjectStore) -> None:
        try:
            sync(self)
        except OSError:
            pass

    patch.setattr(ObjectStore, "sync", careless)


@_sabotage
def a_full_disk_is_an_error(patch: MonkeyPatch) -> None:
    """Values that cannot be saved are not delivered."""
    send = Pipework.send

    def strict(self: Pipework, name: str, value: Any, type: Any = None) -> None:
        send(self, name, value, type)
        if name in self._record.unsaved:
            raise self._record.unsaved[name].error

    patch.setattr(Pipework, "send", strict)


# ---------------------------------------------------------------------- reading


@_sabotage
def objects_are_not_verified(patch: MonkeyPatch) -> None:
    """Every file with the name of an object is used."""

    def trusting(self: ObjectStore, stored: str, size: int) -> Path:
        del size
        return self.path(stored)

    patch.setattr(ObjectStore, "verified", trusting)
    patch.setattr(ObjectStore, "has", lambda self, stored, size: self.path(stored).exists())


@_sabotage
def nothing_is_verified(patch: MonkeyPatch) -> None:
    """Neither objects nor lines of the journal are verified."""
    objects_are_not_verified(patch)

    def unchecked(self: Journal, line: bytes, writer: str, position: int) -> JournalEntry | None:
        try:
            kind, place, key, payload = line.split(b" ", 4)[1:]
            number, _, merged = place.partition(b"@")
            entry = JournalEntry(
                kind.decode(), key.decode(), int(number), merged.decode() or writer, payload, place=position
            )
        except ValueError:
            return None
        self._number = max(self._number, entry.number)
        return entry

    patch.setattr(Journal, "_parse", unchecked)


@_sabotage
def records_are_taken_as_they_come(patch: MonkeyPatch) -> None:
    """Lines that this version did not write raise errors."""
    patch.setattr(ledger, "UNREADABLE", ())


@_sabotage
def fsck_hashes_nothing(patch: MonkeyPatch) -> None:
    """It looks at sizes only."""
    patch.setattr("pyplant.store.fsck.hash_file", lambda path, files: path.name.partition(".")[0])


@_sabotage
def files_are_read_whole_to_be_verified(patch: MonkeyPatch) -> None:
    """Files are read at once instead of in chunks."""
    patch.setattr(Files, "chunks", lambda self, path: iter([memoryview(path.read_bytes())]))


@_sabotage
def leftovers_are_never_removed(patch: MonkeyPatch) -> None:
    """Neither their own process nor others remove them."""
    patch.setattr(ObjectStore, "clear_scratch", lambda self: None)
    for module in (retention, leftovers):
        patch.setattr(module, "abandoned_scratch", lambda *_: iter(()))
    patch.setattr(Files, "unlink", lambda self, path: None)


@_sabotage
def sets_count_in_their_order(patch: MonkeyPatch) -> None:
    """The order of a set differs from process to process."""
    patch.setattr(canonical, "sorted", lambda items, key=None: list(items), raising=False)
    patch.setattr(bytecode, "sorted", lambda items: list(items), raising=False)


@_sabotage
def objects_of_libraries_count_by_content(patch: MonkeyPatch) -> None:
    """What a library holds counts as an object of the user does."""
    for module in (code_graph, digest):
        patch.setattr(module, "installed_name", lambda _value: "")


# ---------------------------------------------------------------------- several processes


@_sabotage
def nothing_is_claimed(patch: MonkeyPatch) -> None:
    """Every process computes missing results."""
    patch.setattr(OwnershipFiles, "take", lambda self, name: True)


@_sabotage
def claims_are_kept_after_a_failure(patch: MonkeyPatch) -> None:
    """Claims are held until the process ends."""
    patch.setattr(ClaimsGuard, "release_all", lambda self: None)


@_sabotage
def collection_removes_what_is_in_use(patch: MonkeyPatch) -> None:
    """Nothing counts as current."""
    patch.setattr(ledger.Ledger, "current", lambda _: set())
    patch.setattr("pyplant.store.leases.Leases.used", lambda self: set())


# ---------------------------------------------------------------------- strangers


@_sabotage
def names_become_paths(patch: MonkeyPatch) -> None:
    """Files are named like their ingredients."""
    save = Warehouse._save_as

    def named(self: Warehouse, spec: Any, name: str, value: Any) -> Any:
        target = self.root / "objects" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(b"")
        return save(self, spec, name, value)

    patch.setattr(Warehouse, "_save_as", named)


@_sabotage
def modes_are_left_to_the_umask(patch: MonkeyPatch) -> None:
    """Modes are those of plain ``open`` and ``mkdir``."""

    def create(self: Files, path: Path) -> OpenFile:
        return OpenFile(path, os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))

    patch.setattr(Files, "create", create)
    patch.setattr(Files, "protect", lambda self, path, read_only=True: None)


@_sabotage
def every_pickle_is_trusted(patch: MonkeyPatch) -> None:
    """Pickles of every user are loaded."""
    patch.setattr(FormatRegistry, "trusts", lambda self, ingredient: True)


# ---------------------------------------------------------------------- workers


@_sabotage
def deaths_of_workers_are_failures(patch: MonkeyPatch) -> None:
    """Tasks of a worker that died are not tried again."""
    patch.setattr(
        ParallelExecutor, "_worker_lost", lambda self, job, future, error: Failed(RuntimeError(str(error)))
    )


@_sabotage
def values_of_others_are_parsed_unchecked(patch: MonkeyPatch) -> None:
    """Libraries in C get the bytes as they are."""
    patch.setattr(table.TableSpec, "validate", lambda self, buffer, metadata: None)
    patch.setattr(sparse.ScipySparseSpec, "validate", lambda self, buffer, metadata: None)
