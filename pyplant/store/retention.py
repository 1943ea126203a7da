"""Garbage collection: current results stay, and as much history as ``max_size`` allows.

The rules
---------
- The *current* execution of a reactor is the one that was last brought up to date, whether the reactor ran or was found
  up to date, at any age and by any process. Current executions and the objects they name are never removed, even if
  they exceed ``max_size``. The journal alone decides what is current. If the reactors of the process decided, one
  notebook would remove the results of another that shares the plant.
- Executions that verify now for the reactors of the collecting plant are current, too. So are those that open plants
  use, in this process and in others; leases tell which (:mod:`pyplant.store.leases`).
- All other executions are *history*. While all objects and the journal together exceed ``max_size``, history is evicted,
  the least recent first. Recency is a position in the journal, not a time, so it does not depend on clocks. Then the
  journal is merged, if its lines had to be counted.
- The eviction of an execution is on the disk before its objects are deleted. Other processes therefore find an execution
  with its values or not at all, also after a crash.
- Scratch of dead processes is deleted, and so are objects that no execution names. While another process has scratch,
  these must be a day old, since it may be about to name a young one. What is in quarantine stays for a week.

Deleting an object that another process reads at this moment is harmless: its memory map stays valid, and a missing object
is computed again.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from pyplant._formatting import counted, format_size
from pyplant.engine.trace import Trace
from pyplant.errors import logger
from pyplant.store.files import is_full
from pyplant.store.journal import Rank
from pyplant.store.object_names import is_object_name
from pyplant.store.scratch import MIN_LEFTOVER_AGE, abandoned_scratch
from pyplant.store.warehouse import COLLECTING, Warehouse

__all__ = [
    "QUARANTINE_AGE",
    "CollectionReport",
    "collect",
    "merge_journal",
    "stored_bytes",
]

QUARANTINE_AGE = 7 * 86400.0
"""Seconds for which damaged objects stay in quarantine."""

_MERGING = "merging"  # the claim of a process that merges the journal
_MAX_WAIT = 10.0  # seconds to wait for another process that collects
_FREE_JOURNAL = 1 << 16  # bytes; a journal that is not longer does not count
_TARGET = 0.9  # of max_size, so that a long journal is not merged after each run


@dataclass(frozen=True, slots=True, repr=False)
class CollectionReport:
    """What a garbage collection removed.

    Attributes
    ----------
    results
        The number of executions that were evicted.
    objects
        Names of the stored values that were deleted.
    leftovers
        Names of the scratch and quarantined files that were deleted.
    freed, stored
        Bytes that were deleted, and of the stored values that remain.
    young
        Bytes of values that no result names, and that stay for a day, since another process uses the plant.
    """

    results: int = 0
    objects: tuple[str, ...] = ()
    leftovers: tuple[str, ...] = ()
    freed: int = 0
    stored: int = 0
    young: int = 0

    def __repr__(self) -> str:
        return str(self)  # what a notebook shows

    def __str__(self) -> str:
        young = f" {format_size(self.young)} that no result names stay for a day." if self.young else ""
        if not (self.results or self.objects or self.leftovers):
            return f"Nothing to remove; {format_size(self.stored)} stored.{young}"
        numbers = {
            "old result": self.results,
            "stored value": len(self.objects),
            "leftover": len(self.leftovers),
        }
        removed = ", ".join(counted(number, noun) for noun, number in numbers.items() if number)
        return (
            f"Removed {removed}; {format_size(self.freed)} freed, {format_size(self.stored)} stored.{young}"
        )


def collect(
    warehouse: Warehouse,
    max_size: int,
    *,
    only_if_needed: bool = False,
    now: float | None = None,
    quarantine_age: float = QUARANTINE_AGE,
    verifying: Callable[[], Iterable[Trace]] = tuple,
    unused_for: float | None = None,
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
    unused_for
        Evict history that was not used for so many seconds, whatever its size.

    Raises
    ------
    OSError
        If the disk is failing. Evicted results are computed again when they are needed.
    """
    now = time.time() if now is None else now
    if not warehouse.journal.is_writable:  # other processes would not learn of an eviction by a forked child
        return CollectionReport(stored=stored_bytes(warehouse.ledger.traces()))
    collector = _Collector(warehouse, now, verifying, unused_for)
    if not only_if_needed:
        return collector.collect_all(max_size, quarantine_age)
    try:
        merge_journal(warehouse)
        collection = collector.collect_history(max_size, only_if_needed=True)
        if warehouse.leftovers.are_found:
            warehouse.leftovers.are_found = False
            collector.delete_orphans()
        return collection
    except OSError as error:
        logger().warning("Old results in %s could not be removed: %s", warehouse.root, error)
        return CollectionReport(stored=stored_bytes(warehouse.ledger.traces()))


def stored_bytes(traces: Iterable[Trace]) -> int:
    """Return the bytes of all objects that these executions name, each counted once."""
    return sum(_objects(traces).values())


def merge_journal(warehouse: Warehouse, at_least: int = 64, *, thrifty: bool = False) -> bool:
    """Merge finished files of the journal and drop the lines that have no effect any more.

    Every process writes a file of its own, so their number grows with every run that writes
    something, and opening a plant would take longer and longer. Other processes may write meanwhile.

    Parameters
    ----------
    warehouse
        The store of the plant.
    at_least
        Do nothing if there are fewer files.
    thrifty
        Whether to merge the file of this process, too, and to drop what only saves time.

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
    if thrifty:
        journal.begin_file()
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
        if thrifty:
            fingerprints = {trace.fingerprint for trace in warehouse.ledger.traces()}
            warehouse.ledger.latest.forget_code(except_below=fingerprints)
        journal.merge(finished, warehouse.ledger.needed(written), warehouse.objects.scratch_path())
        return bool(finished)
    finally:
        claims.release(_MERGING)


class _Result(NamedTuple):
    """What is kept of an execution, since all executions together may not fit into memory."""

    recency: Rank
    rank: Rank
    objects: tuple[str, ...]
    length: int  # of its line; 0 if lines do not count
    is_unused: bool


class _Collector:
    def __init__(
        self,
        warehouse: Warehouse,
        now: float,
        verifying: Callable[[], Iterable[Trace]],
        unused_for: float | None,
    ) -> None:
        self._verifying = verifying
        self._unused_since = None if unused_for is None else now - unused_for
        self._ledger = warehouse.ledger
        self._warehouse = warehouse
        self._leases = warehouse.leases
        self._claims = warehouse.claims
        self._objects = warehouse.objects
        self._files = warehouse.files
        self._root = warehouse.root
        self._now = now

    def collect_history(
        self, max_size: int, max_wait: float = 0.0, *, only_if_needed: bool = False
    ) -> CollectionReport:
        """Evict history beyond ``max_size``; do nothing if another process collects for longer than ``max_wait``.

        The claim is held while leases are read and executions are evicted. A process that finds an execution meanwhile
        waits for the claim and then looks whether the execution still exists (:meth:`Warehouse.lease`). The objects are
        deleted after the claim was released, since no process uses them any more.
        """
        most, journal = self._ledger.most_bytes, self._journal_bytes()
        if only_if_needed and most is not None and most + journal <= max_size:
            return CollectionReport(stored=most)  # most plants are small, and to parse all traces takes long
        size = stored_bytes(self._ledger.traces())
        if size + journal <= max_size and self._unused_since is None:
            return CollectionReport(stored=size)
        # Found before the claim is taken: it takes long, and processes that find executions wait for the claim.
        verifying = {trace.rank for trace in self._verifying()}
        if not self._outdated(max_size, verifying)[0]:
            if journal:  # runs that find all up to date add lines, too
                self._merge_journal(thrifty=True)
            return CollectionReport(stored=size)
        if not self._claims.take_within(COLLECTING, max_wait):
            return CollectionReport(stored=size)
        try:
            # Decided again: until the claim was taken, others may have used, added or evicted executions.
            self._ledger.refresh()
            outdated, sizes = self._outdated(max_size, verifying)
            deleted = self._evict(outdated, sizes) if outdated else []
        finally:
            self._claims.release(COLLECTING)
        if journal and outdated:
            self._merge_journal(thrifty=True)
        self._ledger.refresh()  # another process may have stored one of these values again
        named = _objects(self._ledger.traces())
        unnamed = {name: size for name, size in sizes.items() if name not in named}
        deleted += [name for name in unnamed if self._delete_if_unchanged(name)]
        return CollectionReport(
            results=len(outdated),
            objects=tuple(deleted),
            freed=sum(unnamed[name] for name in deleted),
            stored=sum(named.values()),
        )

    def _evict(self, outdated: list[Rank], sizes: Mapping[str, int]) -> list[str]:
        """Evict executions; return the names of objects that had to be deleted first, since the disk is full."""
        try:
            self._ledger.evict(outdated)
        except OSError as error:
            if not is_full(error):
                raise
            # A process that finds one of these executions meanwhile computes its values again.
            evicted = set(outdated)
            kept = _objects(trace for trace in self._ledger.traces() if trace.rank not in evicted)
            deleted = [name for name in sizes if name not in kept and self._delete_if_unchanged(name)]
            self._ledger.evict(outdated)
            return deleted
        return []

    def _merge_journal(self, *, thrifty: bool = False) -> None:
        try:
            merge_journal(self._warehouse, at_least=1, thrifty=thrifty)
        except OSError as error:
            if not is_full(error):
                raise
            logger().warning("The journal of %s could not be merged: %s", self._root, error)

    def _outdated(self, max_size: int, verifying: AbstractSet[Rank]) -> tuple[list[Rank], dict[str, int]]:
        """Return the history to evict, and the sizes of the objects that it names.

        What fits is kept: history is evicted, the least recent first, until the rest fits. Lines of executions count if
        the size of the journal does. An object is freed only when the last execution that names it is evicted, and
        never if a current one names it.
        """
        ledger, journal, unused_since = self._ledger, self._journal_bytes(), self._unused_since
        sizes: dict[str, int] = {}
        results: list[_Result] = []
        for trace in ledger.traces():
            objects = _objects((trace,))
            sizes.update(objects)
            is_unused = unused_since is not None and ledger.used_at(trace) < unused_since
            # To evict one without objects frees nothing if lines do not count.
            if objects or journal or is_unused:
                length = len(json.dumps(trace.to_json())) if journal else 0
                results.append(_Result(ledger.recency(trace), trace.rank, tuple(objects), length, is_unused))
        # Read after the journal: an execution is in a lease before it is in the journal.
        current = self._leases.used() | verifying | ledger.current()
        in_use = {name for result in results if result.rank in current for name in result.objects}
        history = sorted(result for result in results if result.rank not in current)
        references = Counter(name for old in history for name in old.objects)
        excess = sum(sizes.values()) + journal - (max_size * _TARGET if journal else max_size)
        evicted: list[Rank] = []
        named: set[str] = set()
        for old in history:
            freeing = [name for name in old.objects if name not in in_use]
            if old.is_unused or (excess > 0 and (freeing or journal)):
                excess -= old.length
                evicted.append(old.rank)
                named.update(old.objects)
                references.subtract(freeing)
                excess -= sum(sizes[name] for name in freeing if not references[name])
        return evicted, {name: sizes[name] for name in named}

    def _journal_bytes(self) -> int:
        """Return the size of the journal, or 0 if it is too short to count."""
        size = sum(self._warehouse.journal.files().values())
        return size if size > _FREE_JOURNAL else 0

    def _delete_if_unchanged(self, name: str) -> bool:
        """Delete an object, unless another process has stored it again and is about to name it."""
        if not is_object_name(name):
            return False
        # If another process stores the value again, the object has not the identity that this process has read. In the
        # rare case that it has, because the execution that names it has not finished, the value is computed again when
        # it is needed.
        known = self._ledger.latest.identity(name)
        return known is not None and self._objects.delete(name, known)

    def collect_all(self, max_size: int, quarantine_age: float) -> CollectionReport:
        """Evict history beyond ``max_size``, merge the journal and delete leftovers."""
        self._warehouse.leftovers.wait()
        # First what takes no line of the journal, for which a full disk has no room.
        leftovers = {**self._clear_scratch(), **self._clear_quarantine(quarantine_age)}
        before = self._journal_bytes()
        collection = self.collect_history(max_size, _MAX_WAIT)
        self._warehouse.claims.living()  # deletes the files of dead processes
        # After the evictions, whose traces need not be copied then.
        self._merge_journal()
        orphans, young = self.delete_orphans()
        return replace(
            collection,
            objects=(*collection.objects, *orphans),
            leftovers=tuple(leftovers),
            freed=collection.freed
            + sum(orphans.values())
            + sum(leftovers.values())
            + max(0, before - self._journal_bytes()),
            young=young,
        )

    def delete_orphans(self) -> tuple[dict[str, int], int]:
        """Delete the objects that no stored execution names, and that none will.

        Returns
        -------
        deleted
            Their sizes by name.
        young
            The bytes of those that another process may be about to name.
        """
        stored = self._objects.identities()
        # Then the scratch, then the journal: an object is in none of them only if nobody will name it.
        is_used = self._warehouse.leftovers.are_possible(self._objects.scratch)
        self._ledger.refresh()
        named = _objects(self._ledger.traces())
        if self._ledger.unknown_traces:  # after all were parsed
            return {}, 0  # traces of a later version may name any of them
        orphans = {
            name: known for name, known in stored.items() if name not in named and is_object_name(name)
        }
        young = {
            name
            for name in orphans
            if is_used and not self._is_older(self._objects.path(name), MIN_LEFTOVER_AGE)
        }
        # If a process has stored one of them again since they were listed, an execution is about to name it.
        deleted = {
            name: known[2]
            for name, known in orphans.items()
            if name not in young and self._objects.delete(name, known)
        }
        return deleted, sum(orphans[name][2] for name in young)

    def _clear_scratch(self) -> dict[str, int]:
        return self._cleared(abandoned_scratch(self._files, self._root / "tmp", self._now))

    def _clear_quarantine(self, quarantine_age: float) -> dict[str, int]:
        directory = self._root / "quarantine"
        paths = (directory / name for name in self._files.names(directory))
        return self._cleared(path for path in paths if self._is_older(path, quarantine_age))

    def _cleared(self, paths: Iterable[Path]) -> dict[str, int]:
        """Delete files and directories; returns their sizes by name."""
        found: dict[str, int] = {}
        for path in paths:
            found[path.name] = self._files.tree_size(path)
            self._files.remove(path)
        return found

    def _is_older(self, path: Path, age: float) -> bool:
        modified = self._files.modified(path)
        return modified is not None and modified < self._now - age


def _objects(traces: Iterable[Trace]) -> dict[str, int]:
    """Return the objects that executions name, with their sizes in bytes."""
    return {output.object: output.size for trace in traces for output in trace.stored if output.object}
