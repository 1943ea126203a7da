"""What is kept: everything current, and as much history as there is room for.

The rules
---------
- *Current* is the execution of each reactor that was last brought up to date, made or found,
  however long ago and whoever did it. Current executions and the objects they name are never
  touched, however much room they take. The journal alone decides, so that the reactors one
  notebook defines never cost another notebook its results.
- Current as well is what verifies now for the reactors of the plant that collects, and what an
  open plant uses, here or in another process.
- The rest is *history*. If all objects together exceed ``max_size``, history goes, the
  least recent first, until they fit. Recency is a place in the journal, not a time.
- An execution is forgotten durably before its objects are deleted: whoever looks meanwhile
  finds it with its values, or not at all.
- What nothing names (objects of killed runs, scratch of dead processes, quarantine) goes
  when it is old, since its owner may be about to name it.

Deleting under a reader that has no lease yet is harmless: a map outlives its file's name,
and a missing object is computed again.
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
from pyplant.errors import ConfigError, logger
from pyplant.store.files import Files, is_alive
from pyplant.store.ledger import Ledger
from pyplant.store.objects import is_object_name, scratch_name
from pyplant.store.warehouse import COLLECTING, Warehouse

__all__ = [
    "GRACE",
    "CollectionReport",
    "abandoned_scratch",
    "collect",
    "merge_journal",
    "parse_size",
    "stored_bytes",
]

GRACE = 7 * 86400.0
"""Seconds for which what was put aside is left alone."""

_MERGING = "merging"
_PATIENCE = 10.0  # seconds to wait while another process collects
_OWNERLESS = 86400.0  # seconds after which what no result names has no owner

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "p": 10**15}
_BINARY = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}
_SIZE = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([kmgtp]?)(i?)(?:b|bytes?)?\s*", re.IGNORECASE)
_PID = re.compile(r"-(\d+)-([0-9a-f]{8})")


def parse_size(size: str | float) -> int:
    """Read a size such as ``"20 GB"``, ``"1.5 TiB"`` or a number of bytes.

    Parameters
    ----------
    size
        Units are decimal (``kB``, ``MB``, …) or binary (``KiB``, ``MiB``, …); case and
        spaces do not matter.

    Returns
    -------
    bytes
        The size in bytes.

    Raises
    ------
    pyplant.errors.ConfigError
        If it cannot be read.
    """
    if isinstance(size, int | float) and not isinstance(size, bool) and 0 <= size < float("inf"):
        return round(size)
    found = _SIZE.fullmatch(size) if isinstance(size, str) else None
    if found is None:
        message = f"{size!r} is not a size. Write a number of bytes, or a text such as '20 GB' or '500 MiB'."
        raise ConfigError(message)
    number, unit, binary = found.groups()
    units = _BINARY if binary else _UNITS
    return round(float(number) * units[unit.lower()])


@dataclass(frozen=True, slots=True)
class CollectionReport:
    """What one collection removed.

    Attributes
    ----------
    traces
        Executions that were forgotten.
    objects
        Names of the stored values that were deleted.
    leftovers
        Names of the scratch and quarantined files that were deleted.
    freed, stored
        Bytes of stored values deleted and left.
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
    grace: float = GRACE,
    verifying: Callable[[], Iterable[Trace]] = tuple,
) -> CollectionReport:
    """Reclaim space; see the rules above.

    Parameters
    ----------
    warehouse
        Of the plant.
    max_size
        Bytes that objects may take together.
    only_if_needed
        Whether to do no more than bring objects below ``max_size``: sizes are then taken
        from the journal, no directory is listed, and a failing disk is only logged.
    now
        Seconds since the epoch.
    grace
        Seconds for which what was put aside is left alone.
    verifying
        Finds the executions that are up to date now; called if history has to go.

    Raises
    ------
    OSError
        If the disk is failing. What was forgotten is computed again, nothing is wrong.
    """
    now = time.time() if now is None else now
    if not warehouse.journal.is_writable:  # what a forked child forgets, nobody would know
        return CollectionReport(stored=stored_bytes(warehouse.ledger.traces()))
    if not only_if_needed:
        return _Collector(warehouse, now, verifying).everything(max_size, grace)
    try:
        merge_journal(warehouse)
        return _Collector(warehouse, now, verifying).history(max_size)
    except OSError as error:
        logger().warning("Old results in %s could not be removed: %s", warehouse.root, error)
        return CollectionReport(stored=stored_bytes(warehouse.ledger.traces()))


def stored_bytes(traces: Iterable[Trace]) -> int:
    """Bytes of all objects that these executions name, each counted once."""
    return sum(_objects(traces).values())


def merge_journal(warehouse: Warehouse, at_least: int = 64) -> bool:
    """Put finished files of the journal together, without what says nothing any more.

    Every process writes a file of its own, so their number grows with every run that adds
    something. Others may write meanwhile.

    Parameters
    ----------
    warehouse
        Of the plant.
    at_least
        The number of files from which it is done.

    Returns
    -------
    done
        Whether files were merged.

    Raises
    ------
    OSError
        If the disk is failing; nothing is lost then.
    """
    journal, claims = warehouse.journal, warehouse.claims
    files = journal.files()  # listed before the leases: who writes had a lease before its file
    if len(files) < at_least or not journal.is_writable or not claims.take(_MERGING):
        return False
    try:
        written = {*warehouse.leases.living(), journal.writer}
        finished = {name: size for name, size in files.items() if name.removesuffix(".log") not in written}
        if 2 * len(finished) < at_least:
            return False
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

    def history(self, max_size: int, patience: float = 0.0) -> CollectionReport:
        """Remove history beyond ``max_size``, unless another process does for longer than ``patience``.

        Whoever finds an execution meanwhile waits for the outcome (:meth:`Warehouse.lease`).
        """
        size = stored_bytes(self._ledger.traces())
        if size <= max_size:
            return CollectionReport(stored=size)
        verifying = {trace.rank for trace in self._verifying()}
        if not self._outdated(max_size, verifying) or not self._claims.take_within(COLLECTING, patience):
            return CollectionReport(stored=size)
        try:
            self._ledger.refresh()
            outdated = self._outdated(max_size, verifying)
            if outdated:
                self._ledger.evict(outdated)
        finally:
            self._claims.release(COLLECTING)
        self._ledger.refresh()  # somebody may have stored one of these values again
        named = _objects(self._ledger.traces())
        unnamed = {name: size for name, size in _objects(outdated).items() if name not in named}
        deleted = [name for name in unnamed if self._delete_known(name)]
        return CollectionReport(
            traces=tuple(outdated),
            objects=tuple(deleted),
            freed=sum(unnamed[name] for name in deleted),
            stored=sum(named.values()),
        )

    def _outdated(self, max_size: int, verifying: AbstractSet[tuple[int, str]]) -> list[Trace]:
        """History that must go."""
        kept = list(self._ledger.traces())
        leased = self._leases.used()  # after the journal: what stands there was leased before
        current = leased | verifying | self._ledger.current()
        return _outdated(self._ledger, kept, max_size, current)

    def _delete_known(self, name: str) -> bool:
        """Delete an object, unless somebody stored it anew and is about to name it."""
        if not is_object_name(name):
            return False
        identity = self._files.identity(self._objects.path(name))
        if identity is None:
            return False
        noted = self._ledger.identity(name)
        if noted is None or noted[:-1] != identity[:-1]:  # another boot makes no other file
            return False
        self._objects.delete(name)
        return True

    def everything(self, max_size: int, grace: float) -> CollectionReport:
        collection = self.history(max_size, _PATIENCE)
        self._warehouse.claims.living()  # removes what dead processes left
        merge_journal(self._warehouse, at_least=1)
        leftovers = [*self._clear_scratch(), *self._clear_quarantine(grace)]
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
        """Objects that no kept execution names, and that are too old to be named yet."""
        stored = self._objects.sizes()
        self._ledger.refresh()  # after the listing: what is named by now is no orphan
        named = _objects(self._ledger.traces())
        if self._ledger.unknown_traces:
            return {}  # a later version may need any of them
        return {
            name: size
            for name, size in stored.items()
            if name not in named
            and is_object_name(name)
            and self._is_older(self._objects.path(name), _OWNERLESS)
        }

    def _clear_scratch(self) -> Iterator[str]:
        for path in abandoned_scratch(self._files, self._root / "tmp", self._now):
            self._remove(path)
            yield path.name

    def _clear_quarantine(self, grace: float) -> Iterator[str]:
        directory = self._root / "quarantine"
        for name in self._files.names(directory):
            if self._is_older(directory / name, grace):
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
    """History that must go so that the rest fits, least recent first."""
    safe = _objects(trace for trace in traces if trace.rank in current)
    history = sorted((trace for trace in traces if trace.rank not in current), key=ledger.recency)
    names = {trace.rank: _objects([trace]).keys() - safe.keys() for trace in history}
    named_by: dict[str, int] = {}
    for trace in history:
        for name in names[trace.rank]:
            named_by[name] = named_by.get(name, 0) + 1
    sizes = _objects(traces)
    excess = sum(sizes.values()) - max_size
    outdated: list[Trace] = []
    for trace in history:
        if excess <= 0:
            break
        if not names[trace.rank]:
            continue  # it takes no room of its own
        outdated.append(trace)
        for name in names[trace.rank]:
            named_by[name] -= 1
            excess -= sizes[name] if named_by[name] == 0 else 0
    return outdated


def _objects(traces: Iterable[Trace]) -> dict[str, int]:
    """The objects that executions name, with their sizes in bytes."""
    return {output.object: output.size for trace in traces for output in trace.stored if output.object}


def abandoned_scratch(files: Files, directory: Path, now: float) -> Iterator[Path]:
    """Scratch in ``directory`` whose process is dead, or that nobody touched for a day.

    Process numbers mean something only on this machine, in this container and since it was
    started; everybody else's scratch is judged by its age.
    """
    for name in files.names(directory):
        path = directory / name
        found = _PID.search(name)
        if found is not None and name == scratch_name(int(found[1]), found[2]):
            if not is_alive(int(found[1])):
                yield path
            continue
        times = [files.modified(path / inner) for inner in files.names(path)] + [files.modified(path)]
        if max((moment for moment in times if moment is not None), default=now) < now - _OWNERLESS:
            yield path
