"""Garbage collection: current results stay, and as much history as ``max_size`` allows.

The rules
---------
- The *current* execution of a reactor is the one that was last brought up to date, whether the reactor ran or was found
  up to date, at any age and by any process. Current executions and the objects they name are never removed, even if
  they exceed ``max_size``. The journal alone decides what is current. If the reactors of the process decided, one
  notebook would remove the results of another that shares the plant.
- Executions that verify now for the reactors of the collecting plant are current, too. So are those that open plants
  use, in this process and in others; leases tell which (:mod:`pyplant.store.leases`).
- All other executions are *history*. While all objects together exceed ``max_size``, history is evicted, the least
  recent first. Recency is a position in the journal, not a time, so it does not depend on clocks.
- The eviction of an execution is on the disk before its objects are deleted. Other processes therefore find an execution
  with its values or not at all, also after a crash.
- Files that no execution names (objects and scratch of killed processes, quarantine) are deleted when they are old. Young
  ones may belong to a process that is about to name them.

Deleting an object that another process reads at this moment is harmless: its memory map stays valid, and a missing object
is computed again.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from pathlib import Path

from pyplant._formatting import counted, format_size
from pyplant.engine.trace import Trace
from pyplant.errors import logger
from pyplant.store.files import Files, is_alive
from pyplant.store.ledger import Ledger
from pyplant.store.objects import is_object_name, scratch_name
from pyplant.store.warehouse import COLLECTING, Warehouse

__all__ = [
    "QUARANTINE_AGE",
    "CollectionReport",
    "abandoned_scratch",
    "collect",
    "merge_journal",
    "stored_bytes",
]

QUARANTINE_AGE = 7 * 86400.0
"""Seconds for which damaged objects stay in quarantine."""

_MERGING = "merging"  # the claim of a process that merges the journal
_MAX_WAIT = 10.0  # seconds to wait for another process that collects
_MIN_LEFTOVER_AGE = 86400.0  # seconds; no process takes longer between writing an object and naming it

_PID = re.compile(r"-(\d+)-([0-9a-f]{8})")


@dataclass(frozen=True, slots=True)
class CollectionReport:
    """What a garbage collection removed.

    Attributes
    ----------
    traces
        Executions that were evicted.
    objects
        Names of the stored values that were deleted.
    leftovers
        Names of the scratch and quarantined files that were deleted.
    freed, stored
        Bytes of stored values that were deleted, and that remain.
    """

    traces: tuple[Trace, ...] = ()
    objects: tuple[str, ...] = ()
    leftovers: tuple[str, ...] = ()
    freed: int = 0
    stored: int = 0

    def __str__(self) -> str:
        if not (self.traces or self.objects or self.leftovers):
            return f"Nothing to remove; {format_size(self.stored)} stored."
        parts = [(self.traces, "old result"), (self.objects, "stored value"), (self.leftovers, "leftover")]
        removed = ", ".join(counted(len(found), noun) for found, noun in parts if found)
        return f"Removed {removed}; {format_size(self.freed)} freed, {format_size(self.stored)} stored."


def collect(
    warehouse: Warehouse,
    max_size: int,
    *,
    only_if_needed: bool = False,
    now: float | None = None,
    quarantine_age: float = QUARANTINE_AGE,
    verifying: Callable[[], Iterable[Trace]] = tuple,
) -> CollectionReport:
    """Collect garbage by the rules above.

    Parameters
    ----------
    warehouse
        The store of the plant.
    max_size
        Bytes that all objects together may take.
    only_if_needed
        Whether to remove history only. Sizes are then taken from the journal and no directory is
        listed, so that this is cheap after each run, and a failing disk is only logged.
    now
        Seconds since the epoch.
    quarantine_age
        Seconds for which damaged objects stay in quarantine.
    verifying
        Finds the executions that are up to date now; called only if history must be removed,
        since it computes the fingerprints of all reactors.

    Raises
    ------
    OSError
        If the disk is failing. Evicted results are computed again when they are needed.
    """
    now = time.time() if now is None else now
    if not warehouse.journal.is_writable:  # other processes would not learn of an eviction by a forked child
        return CollectionReport(stored=stored_bytes(warehouse.ledger.traces()))
    if not only_if_needed:
        return _Collector(warehouse, now, verifying).collect_all(max_size, quarantine_age)
    try:
        merge_journal(warehouse)
        return _Collector(warehouse, now, verifying).collect_history(max_size)
    except OSError as error:
        logger().warning("Old results in %s could not be removed: %s", warehouse.root, error)
        return CollectionReport(stored=stored_bytes(warehouse.ledger.traces()))


def stored_bytes(traces: Iterable[Trace]) -> int:
    """Return the bytes of all objects that these executions name, each counted once."""
    return sum(_objects(traces).values())


def merge_journal(warehouse: Warehouse, at_least: int = 64) -> bool:
    """Merge finished files of the journal and drop the lines that have no effect any more.

    Every process writes a file of its own, so their number grows with every run that writes
    something, and opening a plant would take longer and longer. Other processes may write meanwhile.

    Parameters
    ----------
    warehouse
        The store of the plant.
    at_least
        Do nothing if there are fewer files.

    Returns
    -------
    merged
        Whether files were merged.

    Raises
    ------
    OSError
        If the disk is failing. Nothing is lost then.
    """
    journal, claims = warehouse.journal, warehouse.claims
    # Listed before the leases are read: a process takes its lease before it creates its file.
    files = journal.files()
    if len(files) < at_least or not journal.is_writable or not claims.take(_MERGING):
        return False
    try:
        written = {*warehouse.leases.living(), journal.writer}
        finished = {name: size for name, size in files.items() if name.removesuffix(".log") not in written}
        # With many open plants most files are in use, and merging the few others would be repeated by every run.
        if 2 * len(finished) < at_least:
            return False
        # A line that this process has not applied may seem not to be needed.
        warehouse.ledger.refresh()
        journal.merge(finished, warehouse.ledger.needed(written), warehouse.objects.scratch_path())
        return bool(finished)
    finally:
        claims.release(_MERGING)


class _Collector:
    def __init__(self, warehouse: Warehouse, now: float, verifying: Callable[[], Iterable[Trace]]) -> None:
        self._verifying = verifying
        self._ledger = warehouse.ledger
        self._warehouse = warehouse
        self._leases = warehouse.leases
        self._claims = warehouse.claims
        self._objects = warehouse.objects
        self._files = warehouse.files
        self._root = warehouse.root
        self._now = now

    def collect_history(self, max_size: int, max_wait: float = 0.0) -> CollectionReport:
        """Evict history beyond ``max_size``; do nothing if another process collects for longer than ``max_wait``.

        The claim is held while leases are read and executions are evicted. A process that finds an execution meanwhile
        waits for the claim and then looks whether the execution still exists (:meth:`Warehouse.lease`). The objects are
        deleted after the claim was released, since no process uses them any more.
        """
        size = stored_bytes(self._ledger.traces())
        if size <= max_size:
            return CollectionReport(stored=size)
        # Found before the claim is taken: it takes long, and processes that find executions wait for the claim.
        verifying = {trace.rank for trace in self._verifying()}
        if not self._outdated(max_size, verifying) or not self._claims.take_within(COLLECTING, max_wait):
            return CollectionReport(stored=size)
        try:
            # Decided again: until the claim was taken, others may have used, added or evicted executions.
            self._ledger.refresh()
            outdated = self._outdated(max_size, verifying)
            if outdated:
                self._ledger.evict(outdated)
        finally:
            self._claims.release(COLLECTING)
        self._ledger.refresh()  # another process may have stored one of these values again
        named = _objects(self._ledger.traces())
        unnamed = {name: size for name, size in _objects(outdated).items() if name not in named}
        deleted = [name for name in unnamed if self._delete_if_unchanged(name)]
        return CollectionReport(
            traces=tuple(outdated),
            objects=tuple(deleted),
            freed=sum(unnamed[name] for name in deleted),
            stored=sum(named.values()),
        )

    def _outdated(self, max_size: int, verifying: AbstractSet[tuple[int, str]]) -> list[Trace]:
        """Return the history to evict."""
        stored = list(self._ledger.traces())
        # Read after the journal: an execution is in a lease before it is in the journal.
        leased = self._leases.used()
        current = leased | verifying | self._ledger.current()
        return _outdated(self._ledger, stored, max_size, current)

    def _delete_if_unchanged(self, name: str) -> bool:
        """Delete an object, unless another process has stored it again and is about to name it."""
        if not is_object_name(name):
            return False
        # A process that stores a value again replaces its object by a new file (ObjectStore.publish), whose identity is
        # not the one that this process has read. In the rare case that it is, because the execution that names the
        # object has not finished, the value is computed again when it is needed.
        identity = self._files.identity(self._objects.path(name))
        if identity is None:
            return False
        known = self._ledger.latest.identity(name)
        # The last item is the boot, which does not change the file.
        if known is None or known[:-1] != identity[:-1]:
            return False
        self._objects.delete(name)
        return True

    def collect_all(self, max_size: int, quarantine_age: float) -> CollectionReport:
        """Evict history beyond ``max_size``, merge the journal and delete leftovers."""
        collection = self.collect_history(max_size, _MAX_WAIT)
        self._warehouse.claims.living()  # deletes the files of dead processes
        # After the evictions, whose traces need not be copied then.
        merge_journal(self._warehouse, at_least=1)
        leftovers = [*self._clear_scratch(), *self._clear_quarantine(quarantine_age)]
        orphans = self._orphans()
        for name in orphans:
            self._objects.delete(name)
        return replace(
            collection,
            objects=(*collection.objects, *orphans),
            leftovers=tuple(leftovers),
            freed=collection.freed + sum(orphans.values()),
        )

    def _orphans(self) -> dict[str, int]:
        """Return the objects that no stored execution names and that are too old to be named yet."""
        stored = self._objects.sizes()
        self._ledger.refresh()  # after the listing, so that it knows all traces that name the listed objects
        named = _objects(self._ledger.traces())
        if self._ledger.unknown_traces:
            return {}  # traces of a later version may name any of them
        return {
            name: size
            for name, size in stored.items()
            if name not in named
            and is_object_name(name)
            and self._is_older(self._objects.path(name), _MIN_LEFTOVER_AGE)
        }

    def _clear_scratch(self) -> Iterator[str]:
        for path in abandoned_scratch(self._files, self._root / "tmp", self._now):
            self._remove(path)
            yield path.name

    def _clear_quarantine(self, quarantine_age: float) -> Iterator[str]:
        directory = self._root / "quarantine"
        for name in self._files.names(directory):
            if self._is_older(directory / name, quarantine_age):
                self._remove(directory / name)
                yield name

    def _is_older(self, path: Path, age: float) -> bool:
        modified = self._files.modified(path)
        return modified is not None and modified < self._now - age

    def _remove(self, path: Path) -> None:
        if self._files.is_directory(path):
            self._files.remove_tree(path)
        else:
            self._files.unlink(path)


def _outdated(
    ledger: Ledger, traces: list[Trace], max_size: int, current: AbstractSet[tuple[int, str]]
) -> list[Trace]:
    """Return the history to evict so that the rest fits, least recent first.

    An object is freed only when the last execution that names it is evicted, and never if a current one names it.
    """
    current_objects = _objects(trace for trace in traces if trace.rank in current)
    history = sorted((trace for trace in traces if trace.rank not in current), key=ledger.recency)
    names = {trace.rank: _objects([trace]).keys() - current_objects.keys() for trace in history}
    references: dict[str, int] = {}
    for trace in history:
        for name in names[trace.rank]:
            references[name] = references.get(name, 0) + 1
    sizes = _objects(traces)
    excess = sum(sizes.values()) - max_size
    outdated: list[Trace] = []
    for trace in history:
        if excess <= 0:
            break
        if not names[trace.rank]:
            continue  # evicting it would free nothing
        outdated.append(trace)
        for name in names[trace.rank]:
            references[name] -= 1
            excess -= sizes[name] if references[name] == 0 else 0
    return outdated


def _objects(traces: Iterable[Trace]) -> dict[str, int]:
    """Return the objects that executions name, with their sizes in bytes."""
    return {output.object: output.size for trace in traces for output in trace.stored if output.object}


def abandoned_scratch(files: Files, directory: Path, now: float) -> Iterator[Path]:
    """Yield the scratch in ``directory`` whose process is dead, or that is unchanged for a day.

    Process numbers can be checked only for processes of this machine, container and boot; other scratch is judged by
    its age.
    """
    for name in files.names(directory):
        path = directory / name
        found = _PID.search(name)
        if found is not None and name == scratch_name(int(found[1]), found[2]):
            if not is_alive(int(found[1])):
                yield path
            continue
        # A file inside may be younger than the directory, which changes only when files are added or removed.
        times = [files.modified(path / inner) for inner in files.names(path)] + [files.modified(path)]
        if max((moment for moment in times if moment is not None), default=now) < now - _MIN_LEFTOVER_AGE:
            yield path
