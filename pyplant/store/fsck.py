"""Checks everything that a plant stores, and reports problems by ingredient and reactor.

Every object that a stored execution names is read and hashed, chunk by chunk. Errors of the disk become findings, and the
check goes on. A repair moves damaged objects to quarantine and evicts the executions that name them, so that their values
are computed again when they are needed. It never deletes a value and changes no file that PyPlant did not create.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from operator import itemgetter

from pyplant._formatting import counted, format_date, format_size
from pyplant._streams import printable
from pyplant.engine.trace import Trace
from pyplant.ingredient import Ingredient
from pyplant.store.journal import Journal, Rank
from pyplant.store.layout import PARTS
from pyplant.store.object_names import is_object_name
from pyplant.store.objects import hash_file
from pyplant.store.scratch import abandoned_scratch
from pyplant.store.warehouse import Warehouse

__all__ = ["Audit", "Finding", "Problem", "audit"]

_FAN_OUT = re.compile(r"[0-9a-f]{2}")


class Problem(Enum):
    """A kind of problem that a check finds."""

    DAMAGED = "damaged"
    """The content of a stored value has changed."""
    MISSING = "missing"
    """A stored value does not exist, or a directory or link has its name."""
    UNREADABLE = "unreadable"
    """The disk fails to read a stored value."""
    UNTRUSTED = "untrusted"
    """Loading a value could run another user's code."""
    JOURNAL = "journal"
    """Lines of the journal are damaged."""
    FOREIGN = "foreign"
    """A file that no version of PyPlant creates."""
    ORPHANS = "orphans"
    """Stored values that no result names; killed runs leave them."""
    SCRATCH = "scratch"
    """Scratch of dead processes."""


_LOST = frozenset({Problem.DAMAGED, Problem.MISSING, Problem.UNREADABLE})
_HARMLESS = frozenset({Problem.ORPHANS, Problem.SCRATCH})
_UNEQUAL = -1  # the size of an object for which executions name different ones


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem that a check found.

    Attributes
    ----------
    problem
        Its kind.
    text
        A sentence for the user.
    ingredient, reactor
        The affected value and its reactor; empty if there is none.
    object
        The name of the stored object; empty if there is none.
    """

    problem: Problem
    text: str
    ingredient: str = ""
    reactor: str = ""
    object: str = ""

    @property
    def is_harmless(self) -> bool:
        """Whether it wastes disk space and does nothing else."""
        return self.problem in _HARMLESS

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True, repr=False)
class Audit:
    """What a check found; iterating gives the findings.

    Attributes
    ----------
    findings
        In no particular order; empty if there are no problems.
    objects, size
        Number and bytes of the stored values that were read.
    repaired
        Whether executions with lost values were evicted.
    """

    findings: tuple[Finding, ...]
    objects: int = 0
    size: int = 0
    repaired: bool = False

    @property
    def is_clean(self) -> bool:
        """Whether nothing worse than leftovers was found."""
        return all(finding.is_harmless for finding in self.findings)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    def __repr__(self) -> str:
        return str(self)  # what a notebook shows

    def __str__(self) -> str:
        checked = f"{counted(self.objects, 'stored value')} checked"
        if not self.findings:
            return f"{checked}; no problems found."
        lines = [f"{checked}; {counted(len(self.findings), 'finding')}:"]
        lines += [f"  {finding}" for finding in self.findings]
        if any(finding.problem in _LOST for finding in self.findings):
            lines.append(
                "Lost values were forgotten and are computed again when they are needed."
                if self.repaired
                else "plant.fsck(repair=True) forgets lost values, so that they are computed again."
            )
        return printable("\n".join(lines), sys.stdout)


def audit(warehouse: Warehouse, *, repair: bool = False, now: float | None = None) -> Audit:
    """Check a plant.

    Parameters
    ----------
    warehouse
        The store of the plant.
    repair
        Whether to move damaged values to quarantine, evict the executions that lost a value,
        and delete the scratch of dead processes.
    now
        Seconds since the epoch.

    Raises
    ------
    OSError
        If a repair could not be written.
    """
    auditor = _Auditor(warehouse, time.time() if now is None else now, repair=repair)
    return Audit(tuple(auditor.findings()), auditor.objects, auditor.size, repair)


class _Auditor:
    def __init__(self, warehouse: Warehouse, now: float, *, repair: bool) -> None:
        self._warehouse = warehouse
        self._ledger = warehouse.ledger
        self._files = warehouse.files
        self._root = warehouse.root
        self._now = now
        self._repair = repair and warehouse.journal.is_writable
        self.objects = 0
        self.size = 0

    def findings(self) -> Iterator[Finding]:
        self._ledger.refresh()
        yield from self._journal()
        # By object, since executions share objects: each is hashed once. Executions are not kept, since there may be
        # more of them than fit into memory; those that lost a value are looked for again.
        sizes: dict[str, int] = {}
        untrusted = _LostValues()
        for trace in self._ledger.traces():
            for output in trace.stored:
                # The checksums of the journal cover inline values.
                if output.object and sizes.setdefault(output.object, output.size) != output.size:
                    sizes[output.object] = _UNEQUAL
                if not self._warehouse.formats.trusts(output):  # inline values may be pickles as well
                    untrusted.add(Problem.UNTRUSTED, trace, output)
        yield from untrusted.findings()
        problems = ((name, self._problem(name, size)) for name, size in sorted(sizes.items()))
        yield from self._lost({name: problem for name, problem in problems if problem is not None})
        yield from self._orphans()
        yield from self._foreign()
        yield from self._scratch()
        self._warehouse.flush()

    # ------------------------------------------------------------------ values

    def _lost(self, problems: dict[str, Problem]) -> Iterator[Finding]:
        """Yield which executions lost a value, by the problem of each object."""
        if not problems:
            return
        lost = _LostValues()
        ranks: set[Rank] = set()
        for trace in self._ledger.traces():
            for output in trace.stored:
                if output.object in problems:
                    lost.add(problems[output.object], trace, output)
                    ranks.add(trace.rank)
        yield from lost.findings()
        if self._repair:
            for stored, problem in problems.items():
                if problem is Problem.DAMAGED:
                    with suppress(OSError):  # evicting the executions matters more than moving the file
                        self._warehouse.objects.quarantine(stored)
            # Without the eviction, reports would go on to list the value as cached until a reactor asks for it.
            self._ledger.evict(ranks)

    def _problem(self, stored: str, size: int) -> Problem | None:
        path = self._warehouse.objects.path(stored) if is_object_name(stored) else None
        identity = None if path is None else self._files.identity(path)
        if path is None or identity is None:
            return Problem.MISSING
        self.objects += 1
        self.size += identity[2]
        # A wrong size proves the damage without reading a large file.
        if size != identity[2]:
            return Problem.DAMAGED
        # Hashed even if the identity of the file is known: a disk may lose bits without any change of the identity.
        try:
            digest = hash_file(path, self._files)
        except FileNotFoundError:
            return Problem.MISSING
        except OSError:
            return Problem.UNREADABLE
        if digest != stored.partition(".")[0]:
            return Problem.DAMAGED
        if self._ledger.latest.identity(stored) != identity:
            self._ledger.latest.put_identity(stored, identity)  # later reads need not hash it again
        return None

    # ------------------------------------------------------------------ the rest

    def _journal(self) -> Iterator[Finding]:
        # A second reader, since that of the warehouse yields only what it has not read yet. Without seals it computes
        # the checksum of every line.
        journal = Journal(self._files, self._root / "journal")
        for _ in journal.read_new():
            pass
        if journal.damaged_lines > self._ledger.known_damage:
            yield Finding(
                Problem.JOURNAL,
                f"{counted(journal.damaged_lines, 'line')} of the journal: damaged; the results in them are "
                f"computed again when they are needed.",
            )
            if self._repair:
                self._ledger.put_known_damage(journal.damaged_lines)

    def _orphans(self) -> Iterator[Finding]:
        unnamed = self._warehouse.objects.sizes()
        self._ledger.refresh()  # after the listing, so that it knows all traces that name the listed objects
        for trace in self._ledger.traces():
            for output in trace.stored:
                unnamed.pop(output.object, None)
        orphans = [size for name, size in unnamed.items() if is_object_name(name)]
        if orphans:
            yield Finding(
                Problem.ORPHANS,
                f"{counted(len(orphans), 'stored value')} of {format_size(sum(orphans))}: named by no result; "
                f"plant.gc() deletes what no running process may name.",
            )

    def _foreign(self) -> Iterator[Finding]:
        for path in sorted(self._foreign_paths()):
            yield Finding(Problem.FOREIGN, f"{path!r}: not a file of the plant; it is not changed.")

    def _foreign_paths(self) -> Iterator[str]:
        root, names = self._root, self._files.names
        yield from (name for name in names(root) if name not in PARTS)
        yield from (f"journal/{name}" for name in names(root / "journal") if not name.endswith(".log"))
        for part in names(root / "objects"):
            if not _FAN_OUT.fullmatch(part) or not self._files.is_directory(root / "objects" / part):
                yield f"objects/{part}"
                continue
            for name in names(root / "objects" / part):
                path = root / "objects" / part / name
                # An object in the wrong folder is never read: its path follows from its name.
                if not is_object_name(name) or name[:2] != part or self._files.identity(path) is None:
                    yield f"objects/{part}/{name}"

    def _scratch(self) -> Iterator[Finding]:
        dead = list(abandoned_scratch(self._files, self._root / "tmp", self._now))
        if not dead:
            return
        size = format_size(sum(map(self._files.tree_size, dead)))
        done = "now deleted" if self._repair else "plant.gc() deletes it"
        yield Finding(Problem.SCRATCH, f"Scratch of {counted(len(dead), 'dead run')}, {size}: {done}.")
        if self._repair:
            for path in dead:
                self._files.remove(path)


class _LostValues:
    """The lost values by object, reactor and ingredient, even if several executions made one."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str, str], tuple[Rank, float, Problem]] = {}

    def add(self, problem: Problem, trace: Trace, output: Ingredient) -> None:
        """Add a value of an execution; the newest of equal ones counts."""
        key = (output.object, trace.reactor, output.name)
        newest = (trace.rank, trace.finished, problem)
        self._found[key] = max(newest, self._found.get(key, newest), key=itemgetter(0))

    def findings(self) -> Iterator[Finding]:
        """Yield one finding for each."""
        for (stored, reactor, name), (_, finished, problem) in sorted(self._found.items(), key=itemgetter(0)):
            short = reactor.rpartition(".")[2]
            text = f"{name!r} of reactor {short!r}, computed {format_date(finished)}: {problem.value}"
            if problem is Problem.UNTRUSTED:
                text += ": pickled by another user; missing unless the plant is opened with trust=True"
            yield Finding(problem, text, name, reactor, stored)
