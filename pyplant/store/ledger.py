"""The ledger: what the journal says, indexed in memory. Disposable; rebuilt at any time.

Traces are grouped by code fingerprint and parsed when somebody looks for one, so opening
a plant costs no more than reading its lines.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from pyplant.engine.fingerprint import Record
from pyplant.engine.source import CodePart
from pyplant.engine.trace import Trace, TraceTree
from pyplant.store.files import Identity
from pyplant.store.journal import Entry, Journal

__all__ = ["Ledger"]


class Ledger:
    """Everything a plant knows, by what it is asked for.

    Parameters
    ----------
    journal
        Where it comes from and goes to.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._trees: dict[str, TraceTree] = {}
        self._unparsed: dict[str, list[Entry]] = {}
        self._traces: dict[str, list[Trace]] = {}
        self._by_reactor: dict[str, list[Trace]] | None = None
        self._forgotten: dict[str, int] = {}
        self._parts: dict[str, Entry] = {}
        self._records: dict[str, Entry] = {}
        self._identities: dict[str, Identity] = {}
        self._inputs: dict[str, list[Any]] = {}
        self._nondeterministic: set[str] = set()
        self.state: set[tuple[str, str]] = set()

    def refresh(self) -> None:
        """Take in what other processes wrote meanwhile."""
        for entry in self._journal.news():
            self._take(entry)

    def _take(self, entry: Entry) -> None:
        match entry.kind:
            case "t":
                self._unparsed.setdefault(entry.key, []).append(entry)
            case "c":
                self._parts[entry.key] = entry
            case "n":
                self._records[entry.key] = entry
            case "i":
                self._identities[entry.key] = tuple(entry.payload())
            case "f":
                self._inputs[entry.key] = entry.payload()
            case "s":
                self.state |= {(owner, name) for owner, name in entry.payload()}
            case "d":
                self._nondeterministic.add(entry.payload())
            case "x":
                for name in entry.payload():
                    self._forget(name, entry.number)

    def _append(self, kind: str, key: str, payload: Any) -> Entry:
        entry = self._journal.append(kind, key, payload)
        self._take(entry)
        return entry

    # ------------------------------------------------------------------ traces

    def tree(self, fingerprint: str) -> TraceTree | None:
        """The kept traces of this code, or ``None`` if there is none."""
        self._parse(fingerprint)
        if fingerprint not in self._trees:
            kept = [trace for trace in self._traces.get(fingerprint, ()) if self._is_kept(trace)]
            if not kept:
                return None
            tree = self._trees[fingerprint] = TraceTree()
            for trace in sorted(kept, key=lambda trace: trace.rank):
                tree.add(trace)
        return self._trees[fingerprint]

    def _parse(self, fingerprint: str) -> None:
        for entry in self._unparsed.pop(fingerprint, ()):
            try:
                trace = Trace.from_json(entry.payload(), entry.number, entry.writer)
            except (ValueError, KeyError, TypeError):
                continue  # of a kind this version does not know: as if it were not there
            self._traces.setdefault(fingerprint, []).append(trace)
            if self._by_reactor is not None:
                self._by_reactor.setdefault(trace.reactor, []).append(trace)
            tree = self._trees.get(fingerprint)
            if tree is not None and self._is_kept(trace):
                tree.add(trace)

    def _is_kept(self, trace: Trace) -> bool:
        forgotten = self._forgotten
        if not forgotten:
            return True
        return trace.number > max(forgotten.get(trace.reactor, 0), forgotten.get(trace.fingerprint, 0))

    def traces(self) -> Iterator[Trace]:
        """All kept traces, in no order."""
        for fingerprint in list(self._unparsed):
            self._parse(fingerprint)
        for traces in self._traces.values():
            for trace in traces:
                if self._is_kept(trace):
                    yield trace

    def of_reactor(self, full_name: str) -> list[Trace]:
        """The kept traces of a reactor under any code, oldest first."""
        if self._by_reactor is None or self._unparsed:
            grouped: dict[str, list[Trace]] = {}
            for trace in self.traces():
                grouped.setdefault(trace.reactor, []).append(trace)
            self._by_reactor = grouped
        kept = (trace for trace in self._by_reactor.get(full_name, ()) if self._is_kept(trace))
        return sorted(kept, key=lambda trace: trace.rank)

    def last(self, full_name: str) -> Trace | None:
        """The newest kept trace of a reactor under any code."""
        kept = self.of_reactor(full_name)
        return kept[-1] if kept else None

    def senders_of(self, name: str) -> list[Trace]:
        """The kept traces that sent ``name``, newest first."""
        found = [trace for trace in self.traces() if trace.output(name) is not None]
        return sorted(found, key=lambda trace: trace.rank, reverse=True)

    def add_trace(self, trace: Trace) -> Trace:
        """Keep a trace; it becomes the newest."""
        entry = self._journal.append("t", trace.fingerprint, trace.to_json())
        self._parse(trace.fingerprint)
        numbered = replace(trace, number=entry.number, writer=entry.writer)
        self._traces.setdefault(trace.fingerprint, []).append(numbered)
        if self._by_reactor is not None:
            self._by_reactor.setdefault(trace.reactor, []).append(numbered)
        tree = self._trees.get(trace.fingerprint)
        if tree is not None:
            tree.add(numbered)
        return numbered

    def forget(self, full_name: str, fingerprint: str) -> None:
        """Forget every trace of a reactor, under its name and under its present code."""
        self._append("x", "-", [full_name, fingerprint])

    def was_forgotten(self, full_name: str) -> bool:
        """Whether a reactor has no trace because it was invalidated."""
        return full_name in self._forgotten

    def _forget(self, full_name: str, number: int) -> None:
        self._forgotten[full_name] = max(number, self._forgotten.get(full_name, 0))
        self._trees.clear()

    # ------------------------------------------------------------------ code

    def get_part(self, digest: str) -> CodePart | None:
        """The part of a code object (:class:`~pyplant.engine.fingerprint.PartMemo`)."""
        entry = self._parts.get(digest)
        try:
            return None if entry is None else CodePart.from_json(entry.payload())
        except (ValueError, KeyError, TypeError):
            return None

    def put_part(self, digest: str, part: CodePart) -> None:
        """Remember the part of a code object."""
        self._append("c", digest, part.to_json())

    def record(self, digest: str) -> Record | None:
        """What a fingerprint was made of."""
        entry = self._records.get(digest)
        return None if entry is None else Record.from_json(entry.payload())

    def put_records(self, records: dict[str, Record]) -> None:
        """Keep what fingerprints were made of; those known already are left alone."""
        for digest in records.keys() - self._records.keys():
            self._append("n", digest, records[digest].to_json())

    def add_state(self, names: set[tuple[str, str]]) -> None:
        """Remember names that change while reactors run."""
        self._append("s", "-", sorted(names))

    # ------------------------------------------------------------------ the rest

    def identity(self, stored: str) -> Identity | None:
        """The identity of an object's file when it was last hashed."""
        return self._identities.get(stored)

    def put_identity(self, stored: str, identity: Identity) -> None:
        """Note the identity of an object's file that was just hashed."""
        self._append("i", stored, identity)

    def input_file(self, key: str) -> list[Any] | None:
        """What was noted about an input file."""
        return self._inputs.get(key)

    def put_input_file(self, key: str, noted: list[Any]) -> None:
        """Note the identity and digest of an input file."""
        self._append("f", key, noted)

    def is_nondeterministic(self, full_name: str) -> bool:
        """Whether a reactor once gave another value for the same inputs."""
        return full_name in self._nondeterministic

    def put_nondeterministic(self, full_name: str) -> None:
        """Remember that a reactor gave another value for the same inputs."""
        if full_name not in self._nondeterministic:
            self._append("d", "-", full_name)
