"""The ledger: what the journal says, indexed in memory. Disposable; rebuilt at any time.

Traces are grouped by code fingerprint and parsed when somebody looks for one, so opening
a plant costs no more than reading its lines.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

from pyplant.engine.trace import Trace, TraceTree
from pyplant.engine.validate import UNREADABLE, count, str_list, string
from pyplant.fingerprint.digest import digest_bytes
from pyplant.fingerprint.records import CodeRecord
from pyplant.fingerprint.source import CodePart
from pyplant.store.files import Identity
from pyplant.store.journal import Journal, JournalEntry, PendingLine

__all__ = ["Ledger"]

_IN_A_LINE = 1000  # traces forgotten by one line


Rank = tuple[int, str]
"""A place among all lines of the journal: number and writer."""

_NEVER: Rank = (-1, "")
_REACTOR, _INGREDIENT = "r", "o"  # what topics begin with


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
        self._unparsed: dict[str, list[JournalEntry]] = {}
        self._traces: dict[str, list[Trace]] = {}
        self._is_indexed = False
        self._by_reactor: dict[str, list[Trace]] = {}
        self._by_output: dict[str, list[Trace]] = {}
        self._forgotten: dict[str, int] = {}
        self._evicted: set[Rank] = set()
        self._ranks: set[Rank] = set()
        self._topics: dict[str, str] = {}
        self._latest_use: dict[str, tuple[Rank, Rank]] = {}
        self._noted: dict[str, dict[Rank, Rank]] = {}
        self._recency: dict[Rank, Rank] = {}
        self._noted_last: Mapping[str, Trace] | None = None
        self._last: dict[str, Trace] = {}
        self._parts: dict[str, JournalEntry] = {}
        self._records: dict[str, JournalEntry] = {}
        self._identities: dict[str, JournalEntry] = {}
        self._inputs: dict[str, JournalEntry] = {}
        self._latest = {"c": self._parts, "n": self._records, "i": self._identities, "f": self._inputs}
        self._nondeterministic: set[str] = set()
        self.state: set[tuple[str, str]] = set()
        self.followed: set[str] = set()
        """Installed distributions that are known to define reactors."""
        self.known_damage = 0
        """Damaged lines of the journal that were told and need not be told again."""
        self.unknown_traces = 0
        """Traces that a later version wrote; nobody here can say what they need."""

    def refresh(self) -> None:
        """Take in what other processes wrote meanwhile, oldest first."""
        for entry in sorted(self._journal.read_new(), key=_rank):
            try:
                self._take(entry)
            except UNREADABLE:
                continue  # of a kind this version does not know: as if it were not there

    def _take(self, entry: JournalEntry) -> None:
        latest = self._latest.get(entry.kind)
        if latest is not None:
            known = latest.get(entry.key)
            # A note of another user is of no use here, so it does not replace one of this user.
            if known is None or (entry.signed, _rank(entry)) >= (known.signed, _rank(known)):
                latest[entry.key] = entry
            return
        match entry.kind:
            case "t":
                rank = _rank(entry)
                if rank in self._ranks:
                    return  # a line comes twice while files are merged
                fingerprint, *topics = entry.key.split(".")
                self._unparsed.setdefault(fingerprint, []).append(entry)
                self._ranks.add(rank)
                self._note_latest(topics, rank, rank)
            case "s":
                self.state |= {(string(owner), string(name)) for owner, name in entry.payload()}
            case "p":
                self.followed |= set(str_list(entry.payload()))
            case "d":
                self._nondeterministic.add(string(entry.payload()))
            case "x":
                for name in str_list(entry.payload()):
                    self._forget(name, entry.number)
            case "e":
                self._evicted |= {(count(number), string(writer)) for number, writer in entry.payload()}
                self._trees.clear()
                self._last.clear()
            case "k":
                self.known_damage = max(self.known_damage, count(entry.payload()))
            case "u":
                self._take_used(entry)

    def _take_used(self, entry: JournalEntry) -> None:
        line = _rank(entry)
        for number, writer, _, joined in entry.payload():
            rank, topics = (count(number), string(writer)), string(joined).split(".")
            self._recency[rank] = max(line, self._recency.get(rank, _NEVER))
            if topics[0].startswith(_REACTOR):  # or an earlier version wrote it
                noted = self._noted.setdefault(topics[0], {})
                noted[rank] = max(line, noted.get(rank, _NEVER))
                self._note_latest(topics, line, rank)

    def _note_latest(self, topics: Iterable[str], line: Rank, rank: Rank) -> None:
        self._noted_last = None
        for topic in topics:
            self._latest_use[topic] = max((line, rank), self._latest_use.get(topic, (_NEVER, _NEVER)))

    def topic(self, name: str, kind: str = _REACTOR) -> str:
        """Stands for a reactor, or for an ingredient, in keys of lines."""
        known = self._topics.get(kind + name)
        if known is None:
            digest = digest_bytes(name.encode("utf-8", "surrogatepass"))
            known = self._topics[kind + name] = kind + digest[:12]
        return known

    def _topics_of(self, reactor: str, trace: Trace) -> list[str]:
        return [self.topic(reactor), *(self.topic(output.name, _INGREDIENT) for output in trace.outputs)]

    def _append(self, kind: str, key: str, payload: Any) -> JournalEntry:
        entry = self._journal.append(kind, key, payload)
        self._take(entry)
        return entry

    # ------------------------------------------------------------------ traces

    def tree(self, fingerprint: str) -> TraceTree | None:
        """The kept traces of this code, or ``None`` if there is none."""
        self._parse(fingerprint)
        if fingerprint not in self._trees:
            kept = [trace for trace in self._traces.get(fingerprint, ()) if self.is_stored(trace)]
            if not kept:
                return None
            tree = self._trees[fingerprint] = TraceTree()
            for trace in sorted(kept, key=lambda trace: trace.rank):
                tree.add(trace)
        return self._trees[fingerprint]

    def _parse(self, fingerprint: str) -> None:
        for entry in self._unparsed.pop(fingerprint, ()):
            try:
                trace = Trace.from_json(entry.payload(), entry.number, entry.writer, signed=entry.signed)
            except UNREADABLE:
                self.unknown_traces += 1
                continue
            self._hold(trace)
            self._trees.pop(fingerprint, None)  # it may be older than what the tree holds
            self._last.pop(trace.reactor, None)

    def _hold(self, trace: Trace) -> None:
        self._traces.setdefault(trace.fingerprint, []).append(trace)
        if self._is_indexed:
            self._enter(trace)

    def _enter(self, trace: Trace) -> None:
        self._by_reactor.setdefault(trace.reactor, []).append(trace)
        for output in trace.outputs:
            self._by_output.setdefault(output.name, []).append(trace)

    def _index(self) -> None:
        """Enter all traces into the indices, which most runs need not have at all."""
        if not self._is_indexed:
            self._is_indexed = True
            for traces in self._traces.values():
                for trace in traces:
                    self._enter(trace)
        for fingerprint in list(self._unparsed):
            self._parse(fingerprint)

    def is_stored(self, trace: Trace) -> bool:
        """Whether a trace is neither evicted nor forgotten."""
        if trace.rank in self._evicted:
            return False
        forgotten = self._forgotten
        if not forgotten:
            return True
        return trace.number > max(forgotten.get(trace.reactor, 0), forgotten.get(trace.fingerprint, 0))

    def trace_count(self, fingerprint: str) -> int:
        """How many traces of this code were ever seen; it tells whether there is a new one."""
        return len(self._unparsed.get(fingerprint, ())) + len(self._traces.get(fingerprint, ()))

    def traces(self) -> Iterator[Trace]:
        """All kept traces, in no order."""
        for fingerprint in list(self._unparsed):
            self._parse(fingerprint)
        for traces in self._traces.values():
            for trace in traces:
                if self.is_stored(trace):
                    yield trace

    def of_reactor(self, full_name: str) -> list[Trace]:
        """The kept traces of a reactor under any code, oldest first."""
        self._index()
        kept = (trace for trace in self._by_reactor.get(full_name, ()) if self.is_stored(trace))
        return sorted(kept, key=lambda trace: trace.rank)

    def last(self, full_name: str) -> Trace | None:
        """The newest kept trace of a reactor under any code."""
        if self._unparsed or full_name not in self._last:
            kept = self.of_reactor(full_name)
            if not kept:
                return None
            self._last[full_name] = kept[-1]
        return self._last[full_name]

    def senders_of(self, name: str) -> list[Trace]:
        """The kept traces that sent ``name``, those last brought up to date first."""
        self._index()
        kept = (trace for trace in self._by_output.get(name, ()) if self.is_stored(trace))
        return sorted(kept, key=self.recency, reverse=True)

    def add_trace(
        self, trace: Trace, *, sync: bool = False, announce: Callable[[Trace], object] | None = None
    ) -> Trace:
        """Keep a trace; it becomes the newest, once it is written.

        Parameters
        ----------
        trace
            The trace; its number and writer are replaced.
        sync
            Whether it is to survive a power cut when this returns.
        announce
            Called with the numbered trace before other processes can see it.

        Raises
        ------
        OSError
            If it could not be written; it is not kept then.
        """
        topics = self._topics_of(trace.reactor, trace)
        signed = all(output.signed for output in trace.stored)  # what another user stored stays theirs
        key = ".".join([trace.fingerprint, *topics])
        entry = self._journal.append("t", key, trace.to_json(), sealed=signed)
        numbered = trace._replace(number=entry.number, writer=entry.writer)
        if announce is not None:
            announce(numbered)
        self._journal.flush(sync=sync)
        self._parse(trace.fingerprint)
        self._ranks.add(numbered.rank)
        self._note_latest(topics, numbered.rank, numbered.rank)
        self._last[trace.reactor] = numbered
        self._hold(numbered)
        tree = self._trees.get(trace.fingerprint)
        if tree is not None:
            tree.add(numbered)
        return numbered

    def forget(self, full_name: str, fingerprint: str) -> None:
        """Forget every trace of a reactor, under its name and under its present code.

        Durable when this returns.

        Raises
        ------
        OSError
            If it could not be written.
        """
        self.refresh()  # only what has a lower number is forgotten
        entry = self._journal.append("x", "-", [full_name, fingerprint])
        self._journal.flush(sync=True)
        self._take(entry)

    def was_forgotten(self, full_name: str) -> bool:
        """Whether a reactor has no trace because it was invalidated."""
        return full_name in self._forgotten

    def _forget(self, full_name: str, number: int) -> None:
        self._forgotten[full_name] = max(number, self._forgotten.get(full_name, 0))
        self._trees.clear()
        self._last.clear()

    def evict(self, traces: Iterable[Trace]) -> None:
        """Forget these traces and no others; durable when this returns.

        Raises
        ------
        OSError
            If it could not be written.
        """
        ranks = sorted(trace.rank for trace in traces)
        lines = [ranks[start : start + _IN_A_LINE] for start in range(0, len(ranks), _IN_A_LINE)]
        entries = [self._journal.append("e", "-", line) for line in lines]
        self._journal.flush(sync=True)
        for entry in entries:
            self._take(entry)

    # ------------------------------------------------------------------ use

    def note_used(self, used: Mapping[str, Trace]) -> None:
        """Note what was brought up to date, so that all processes know what is current.

        Nothing is written if the journal says so already: if each of these traces is the one
        last used under this name of its reactor, and the last that sent its ingredients.

        Parameters
        ----------
        used
            The traces that a run found or made, by the present name of the reactor.
        """
        if used == self._noted_last:  # and no line about what is current came since
            return
        now = round(time.time())
        noted: list[Any] = []
        for reactor, trace in used.items():
            topics, rank = self._topics_of(reactor, trace), trace.rank
            if any(self._latest_use.get(topic, (_NEVER, _NEVER))[1] != rank for topic in topics):
                noted.append([*rank, now, ".".join(topics)])
        if noted:
            self._append("u", "-", noted)
        self._noted_last = used

    def recency(self, trace: Trace) -> Rank:
        """Orders traces by when they were made or last became current, without clocks."""
        return max(self._recency.get(trace.rank, _NEVER), trace.rank)

    def current(self) -> set[Rank]:
        """The places of the traces that were last brought up to date, one for each name of a reactor."""
        latest: dict[str, tuple[Rank, Rank]] = {}
        kept: set[Rank] = set()
        for trace in self.traces():
            topic, rank = self.topic(trace.reactor), trace.rank
            kept.add(rank)
            latest[topic] = max((rank, rank), latest.get(topic, (_NEVER, _NEVER)))
        for topic, noted in self._noted.items():
            uses = [(line, rank) for rank, line in noted.items() if rank in kept]
            if uses:
                latest[topic] = max(*uses, latest.get(topic, (_NEVER, _NEVER)))
        return {rank for _, rank in latest.values()}

    # ------------------------------------------------------------------ merging

    def needed(self, written: Collection[str]) -> Callable[[JournalEntry], bool]:
        """Which lines still say something; the others may be dropped.

        Parameters
        ----------
        written
            The writers whose lines are not looked at, and may name any others.
        """
        kept = {trace.rank: trace for trace in self.traces()}
        parsed = {trace.rank for traces in self._traces.values() for trace in traces}
        named = {output.object for trace in kept.values() for output in trace.stored}

        def is_needed(entry: JournalEntry) -> bool:
            try:
                return says_something(entry, _rank(entry))
            except UNREADABLE:
                return True  # of a kind that this version does not know

        def says_something(entry: JournalEntry, rank: Rank) -> bool:
            match entry.kind:
                case "t":
                    return rank in kept or rank not in parsed  # or a later version wrote it
                case "i":
                    return entry.key in named and self._identities.get(entry.key) == entry
                case "c" | "n" | "f":
                    return self._latest[entry.kind].get(entry.key) == entry
                case "x":
                    return entry.number in (self._forgotten.get(name) for name in entry.payload())
                case "e":
                    return any(writer in written for _, writer in entry.payload())
                case "u":
                    return any(
                        (int(number), str(writer)) in kept
                        and self._is_latest_note((number, writer), topics, rank)
                        for number, writer, _, topics in entry.payload()
                    )
                case "k":
                    return False  # the damaged lines go as well
            return True

        return is_needed

    def _is_latest_note(self, trace: Rank, topics: str, line: Rank) -> bool:
        noted = self._noted.get(topics.partition(".")[0], {})
        return line in (self._recency.get(trace), noted.get(trace))

    # ------------------------------------------------------------------ code

    def get_part(self, digest: str) -> CodePart | None:
        """The part of a code object (:class:`~pyplant.fingerprint.fingerprint.PartMemo`).

        A part names modules, which are then imported, so another user's is not used.
        """
        entry = self._parts.get(digest)
        try:
            return None if entry is None or not entry.signed else CodePart.from_json(entry.payload())
        except UNREADABLE:
            return None

    def put_part(self, digest: str, part: CodePart) -> None:
        """Remember the part of a code object."""
        self._append("c", digest, part.to_json())

    def record(self, digest: str) -> CodeRecord | None:
        """What a fingerprint was made of."""
        entry = self._records.get(digest)
        try:
            return None if entry is None else CodeRecord.from_json(entry.payload())
        except UNREADABLE:
            return None

    def put_records(self, records: dict[str, CodeRecord]) -> None:
        """Keep what fingerprints were made of; those known already are left alone."""
        for digest, record in records.items():
            if digest not in self._records:
                self._append("n", digest, record.to_json())

    def add_state(self, names: set[tuple[str, str]]) -> None:
        """Remember names that change while reactors run."""
        self._append("s", "-", sorted(names))

    def add_followed(self, packages: Iterable[str]) -> None:
        """Remember installed distributions that define reactors."""
        news = sorted(set(packages) - self.followed)
        if news:
            self._append("p", "-", news)

    def append_pending(self, notes: Iterable[PendingLine]) -> None:
        """Write the notes of a worker (:meth:`~pyplant.store.journal.Journal.take_pending`)."""
        for kind, key, data in notes:
            known = self._latest.get(kind, {}).get(key)
            if kind in self._latest and not (kind in "cn" and known is not None and known.signed):
                self._append(kind, key, json.loads(data))

    # ------------------------------------------------------------------ the rest

    def identity(self, stored: str) -> Identity | None:
        """The identity of an object's file when this user last hashed it."""
        entry = self._identities.get(stored)
        try:
            return None if entry is None or not entry.signed else tuple(entry.payload())
        except UNREADABLE:
            return None

    def put_identity(self, stored: str, identity: Identity | None) -> None:
        """Note the identity of an object's file that was just hashed; ``None`` withdraws the note."""
        self._append("i", stored, identity or ())

    def input_file(self, key: str) -> list[Any] | None:
        """What this user noted about an input file."""
        entry = self._inputs.get(key)
        try:
            if entry is None or not entry.signed:
                return None
            identity, digest, when = entry.payload()
            return [list(map(count, identity)), string(digest), count(when)]
        except UNREADABLE:
            return None

    def put_input_file(self, key: str, noted: list[Any]) -> None:
        """Note the identity and digest of an input file."""
        self._append("f", key, noted)

    def put_known_damage(self, lines: int) -> None:
        """Remember how many damaged lines of the journal were told."""
        self._append("k", "-", lines)

    def is_nondeterministic(self, full_name: str) -> bool:
        """Whether a reactor once gave another value for the same inputs."""
        return full_name in self._nondeterministic

    def put_nondeterministic(self, full_name: str) -> None:
        """Remember that a reactor gave another value for the same inputs."""
        if full_name not in self._nondeterministic:
            self._append("d", "-", full_name)


def _rank(entry: JournalEntry) -> Rank:
    return entry.number, entry.writer
