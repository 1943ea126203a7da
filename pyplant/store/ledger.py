"""The ledger: an index of the journal in memory, which can be rebuilt at any time.

How it works
------------
Each kind of line has a letter:

| kind | key | payload |
| --- | --- | --- |
| ``t`` | fingerprint, topics and size | a trace: one execution of a reactor |
| ``u`` | | traces that were brought up to date, with their topics |
| ``e`` | | traces that were evicted |
| ``x`` | | names and fingerprints of reactors whose traces were invalidated up to this line |
| ``c``, ``n`` | digest | the part of a code object; what a fingerprint was computed from |
| ``i``, ``f`` | object, path | the identity of an object's file; identity and digest of an input file |
| ``s``, ``d`` | | variables that change while reactors run; reactors that are not deterministic |
| ``p``, ``k`` | | distributions that define reactors; damaged lines that were reported |
| ``r`` | | that the user was told of undeclared reads |

- Of ``c``, ``n``, ``i`` and ``f`` the newest line of a key counts (:mod:`pyplant.store.latest_lines`); all other kinds
  accumulate.
- Traces are grouped by code fingerprint, which is part of the key, and read again and parsed when one of the group is
  needed (:mod:`pyplant.store.trace_lines`). So to open a plant takes as long as to read its lines.
- A *rank* is the position of a line in the order of all lines, by which other lines refer to a trace.
- A *topic* is a short digest of the name of a reactor or of an ingredient. Topics in the key tell which trace is the
  newest of a reactor, and which traces are of a reactor or sent an ingredient, without parsing them. The size of the
  objects in the key tells that a plant is not too large.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from sys import intern
from typing import Any

from pyplant.engine.trace import Trace, TraceTree
from pyplant.engine.validate import UNREADABLE, count, nearest_timestamp, str_list, string
from pyplant.fingerprint.digest import digest_bytes
from pyplant.ingredient import Ingredient
from pyplant.store.journal import Journal, JournalEntry, Rank
from pyplant.store.latest_lines import LatestLines
from pyplant.store.trace_lines import TraceLines, key_of

__all__ = ["Ledger"]

_MAX_EVICTED_IN_LINE = 1000  # keeps a line short

_NEVER: Rank = (-1, "")
_REACTOR, _INGREDIENT = "r", "o"  # first letters of topics


class Ledger:
    """The content of the journal by what is asked for.

    Parameters
    ----------
    journal
        Is read, and appended to.
    keeps_code
        Whether lines about code are kept.

    Attributes
    ----------
    latest
        The lines about code and files.
    """

    def __init__(self, journal: Journal, *, keeps_code: bool = True) -> None:
        self.latest = LatestLines(journal, keeps_code=keeps_code)
        self._journal = journal
        self._lines = TraceLines(journal, self.refresh, self._drop_found)
        self._trees: dict[str, TraceTree] = {}
        self._forgotten: dict[str, int] = {}
        self._evicted: set[Rank] = set()
        self._topics: dict[str, str] = {}
        self._current: dict[str, tuple[Rank, Rank]] = {}
        self._last_used: dict[str, Trace] = {}  # traces that are not the newest of their reactor
        self._uses: dict[str, dict[Rank, Rank]] = {}
        self._recency: dict[Rank, Rank] = {}
        self._used_at: dict[Rank, int] = {}  # in seconds since the epoch
        self._last_noted: Mapping[str, Trace] | None = None
        self._last: dict[str, Trace] = {}
        self._nondeterministic: set[str] = set()
        self.state: set[tuple[str, str]] = set()
        """Owners and names of variables that change while reactors run."""
        self.followed: set[str] = set()
        """Installed distributions that define reactors."""
        self.known_damage = 0
        """Number of damaged lines that the user knows of and is not warned about again."""
        self.told_of_reads = False
        """Whether the user was told that undeclared reads count."""

    def refresh(self) -> None:
        """Apply the lines that other processes have written since the last call, in any order."""
        position = self._journal.position()
        try:
            for entry in self._journal.read_new():
                try:
                    self._apply(entry)
                except UNREADABLE:
                    continue  # a later version wrote it, or another user wrote nonsense: ignore it
        except BaseException:
            # An interrupt. A merge by this process would drop a line that was read and not applied, and with it, for
            # example, an invalidation. To apply a line twice changes nothing.
            self._journal.rewind(position)
            raise

    def _apply(self, entry: JournalEntry) -> None:
        if entry.kind == "t":  # nearly all lines are
            self._lines.apply(entry)
            self._last_noted = None
            return
        match entry.kind:
            case "c" | "n" | "i" | "f":
                self.latest.apply(entry)
            case "s":
                self.state |= {(string(owner), string(name)) for owner, name in entry.payload()}
            case "p" if entry.signed:  # fingerprints import modules of followed packages
                self.followed |= set(str_list(entry.payload()))
            case "d":
                self._nondeterministic.add(string(entry.payload()))
            case "x":
                for name in str_list(entry.payload()):
                    self._forget(name, entry.number)
            case "e":
                # The line names ranks, not code or reactors, so every tree may hold one of these traces.
                self._evicted |= {
                    (count(number), intern(string(writer))) for number, writer in entry.payload()
                }
                self._trees.clear()
                self._last.clear()
            case "k":
                self.known_damage = max(self.known_damage, count(entry.payload()))
            case "r":
                self.told_of_reads = True
            case "u":
                self._apply_uses(entry)

    def _apply_uses(self, entry: JournalEntry) -> None:
        line = entry.rank
        for number, writer, when, joined in entry.payload():
            rank, topics = (count(number), intern(string(writer))), string(joined).split(".")
            self._used_at[rank] = max(count(when), self._used_at.get(rank, 0))
            self._recency[rank] = max(line, self._recency.get(rank, _NEVER))
            if topics[0].startswith(_REACTOR):  # earlier versions wrote other topics
                noted = self._uses.setdefault(topics[0], {})
                noted[rank] = max(line, noted.get(rank, _NEVER))
                self._set_current(topics, line, rank)

    def _set_current(self, topics: Iterable[str], line: Rank, rank: Rank) -> None:
        self._last_noted = None
        for topic in topics:
            self._current[topic] = max((line, rank), self._current.get(topic, (_NEVER, _NEVER)))

    def _current_rank(self, topic: str) -> Rank:
        """Return the rank of the trace with a topic that was last made or brought up to date."""
        made = self._lines.newest(topic)
        return max((made, made), self._current.get(topic, (_NEVER, _NEVER)))[1]

    def topic(self, name: str, kind: str = _REACTOR) -> str:
        """Return the short digest that stands for a reactor or an ingredient in keys of lines."""
        known = self._topics.get(kind + name)
        if known is None:
            digest = digest_bytes(name.encode("utf-8", "surrogatepass"))
            known = self._topics[kind + name] = kind + digest[:12]
        return known

    def _topics_of(self, reactor: str, trace: Trace) -> list[str]:
        return [self.topic(reactor), *(self.topic(output.name, _INGREDIENT) for output in trace.outputs)]

    def _append(self, kind: str, key: str, payload: Any) -> JournalEntry:
        entry = self._journal.append(kind, key, payload)
        self._apply(entry)
        return entry

    # ------------------------------------------------------------------ traces

    def tree(self, fingerprint: str) -> TraceTree | None:
        """Return the stored traces of this code, or ``None`` if there is none."""
        traces = self._lines.of_code(fingerprint)
        if fingerprint not in self._trees:
            stored = [trace for trace in traces if self.is_stored(trace)]
            if not stored:
                return None
            tree = self._trees[fingerprint] = TraceTree()
            for trace in sorted(stored, key=lambda trace: trace.rank):
                tree.add(trace)
        return self._trees[fingerprint]

    def _drop_found(self, trace: Trace) -> None:
        """Forget what was found before this trace was parsed."""
        # A tree takes traces in their order, and this one may be older.
        self._trees.pop(trace.fingerprint, None)
        self._last.pop(trace.reactor, None)

    def is_stored(self, trace: Trace) -> bool:
        """Return whether a trace is neither evicted nor invalidated."""
        if trace.rank in self._evicted:
            return False
        # By number, not by rank: a trace that another process wrote at the same time may have the number of the
        # invalidation, and may be of what the user wants to forget.
        forgotten = self._forgotten
        if not forgotten:
            return True
        return trace.number > max(forgotten.get(trace.reactor, 0), forgotten.get(trace.fingerprint, 0))

    def trace_count(self, fingerprint: str) -> int:
        """Return how many traces of this code were ever seen; it changes when another process adds one."""
        return self._lines.count(fingerprint)

    @property
    def unknown_traces(self) -> int:
        """Number of traces that a later version wrote; this version cannot tell which objects they name."""
        return len(self._lines.unknown)

    @property
    def most_bytes(self) -> int | None:
        """Bytes that all stored objects have at most, without parsing a trace; ``None`` if that is not known."""
        return self._lines.most_bytes

    def traces(self) -> Iterator[Trace]:
        """Yield all stored traces, in no order."""
        return filter(self.is_stored, self._lines.all())

    def of_reactor(self, full_name: str) -> list[Trace]:
        """Return the stored traces of a reactor under any code, oldest first."""
        found = self._lines.with_topic(self.topic(full_name))
        stored = (trace for trace in found if trace.reactor == full_name and self.is_stored(trace))
        return sorted(stored, key=lambda trace: trace.rank)

    def newest_first(self, full_name: str) -> Iterator[Trace]:
        """Yield the stored traces of a reactor under any code, and keep none of them in memory."""
        found = self._lines.newest_first(self.topic(full_name))
        return (trace for trace in found if trace.reactor == full_name and self.is_stored(trace))

    def last(self, full_name: str) -> Trace | None:
        """Return the newest stored trace of a reactor under any code."""
        self._lines.parse(self.topic(full_name))
        if full_name not in self._last:
            stored = self.of_reactor(full_name)
            if not stored:
                return None
            self._last[full_name] = stored[-1]
        return self._last[full_name]

    def last_used(self, full_name: str) -> Trace | None:
        """Return the stored trace of a reactor that was last brought up to date, under any code."""
        newest = self.last(full_name)
        rank = self._current_rank(self.topic(full_name))
        if newest is None or newest.rank == rank:
            return newest
        known = self._last_used.get(full_name)
        if known is None or known.rank != rank or not self.is_stored(known):
            stored = self.of_reactor(full_name)
            known = next((trace for trace in stored if trace.rank == rank), newest)
            self._last_used[full_name] = known
        return known

    def manifests(self, name: str) -> list[Ingredient]:
        """Return the manifests of traces that were read so far, by the name of their dependency, the newest first."""
        return self._lines.manifests(name)

    def senders_of(self, name: str) -> list[Trace]:
        """Return the stored traces that sent ``name``, the most recently used first."""
        found = self._lines.with_topic(self.topic(name, _INGREDIENT))
        stored = (trace for trace in found if trace.output(name) is not None and self.is_stored(trace))
        return sorted(stored, key=self.recency, reverse=True)

    def last_sender(self, name: str) -> Trace | None:
        """Return the stored trace that sent ``name`` and was used most recently, and keep none of the others."""
        found = self._lines.newest_first(self.topic(name, _INGREDIENT))
        stored = (trace for trace in found if trace.output(name) is not None and self.is_stored(trace))
        return max(stored, key=self.recency, default=None)

    def add_trace(
        self, trace: Trace, *, sync: bool = False, announce: Callable[[Trace], object] | None = None
    ) -> Trace:
        """Write a trace, which becomes the newest of its reactor.

        Parameters
        ----------
        trace
            The trace; its number and writer are replaced.
        sync
            Whether to wait until the line survives a power cut.
        announce
            Called with the numbered trace before other processes can see it.

        Raises
        ------
        OSError
            If it could not be written; it is not stored then.
        """
        topics = self._topics_of(trace.reactor, trace)
        # Else this user would vouch for values of another user.
        signed = all(output.signed for output in trace.stored)
        key = key_of(trace, topics)
        entry = self._journal.append("t", key, trace.to_json(), sealed=signed)
        numbered = trace._replace(number=entry.number, writer=entry.writer)
        # Before the flush: once the line can be read, a process that collects may evict what no lease names.
        if announce is not None:
            announce(numbered)
        self._journal.flush(sync=sync)
        self._lines.of_code(trace.fingerprint)
        self._lines.add(key, numbered)
        self._last_noted = None
        self._last[trace.reactor] = numbered
        # No trace that was read has a higher number, so this one may be added to a tree, which takes them by age.
        tree = self._trees.get(trace.fingerprint)
        if tree is not None:
            tree.add(numbered)
        return numbered

    def forget(self, full_name: str, fingerprint: str) -> None:
        """Invalidate every trace of a reactor, under its name and under its present code.

        The line is on the disk when this returns.

        Raises
        ------
        OSError
            If it could not be written.
        """
        self.refresh()  # the line applies to lower numbers only, so it needs one above all that exist
        entry = self._journal.append("x", "-", [full_name, fingerprint])
        self._journal.flush(sync=True)
        self._apply(entry)

    def was_forgotten(self, full_name: str) -> bool:
        """Return whether a reactor was invalidated."""
        return full_name in self._forgotten

    def _forget(self, full_name: str, number: int) -> None:
        self._forgotten[full_name] = max(number, self._forgotten.get(full_name, 0))
        self._trees.clear()
        self._last.clear()

    def evict(self, traces: Iterable[Rank]) -> None:
        """Remove traces, given by their ranks; the lines are on the disk when this returns.

        Raises
        ------
        OSError
            If it could not be written.
        """
        ranks = sorted(traces)
        lines = [
            ranks[start : start + _MAX_EVICTED_IN_LINE]
            for start in range(0, len(ranks), _MAX_EVICTED_IN_LINE)
        ]
        entries = [self._journal.append("e", "-", line) for line in lines]
        self._journal.flush(sync=True)
        for entry in entries:
            self._apply(entry)

    # ------------------------------------------------------------------ use

    def note_used(self, used: Mapping[str, Trace]) -> None:
        """Write which traces a run brought up to date, so that all processes agree on what is current.

        Nothing is written if the journal says so already, that is, if each of these traces is the current one of the
        present name of its reactor and of its ingredients.

        Parameters
        ----------
        used
            The traces that a run found or made, by the present name of the reactor.
        """
        if used == self._last_noted:  # reset by every line that changes what is current
            return
        now = round(nearest_timestamp(time.time()))
        noted: list[Any] = []
        for reactor, trace in used.items():
            topics, rank = self._topics_of(reactor, trace), trace.rank
            if any(self._current_rank(topic) != rank for topic in topics):
                noted.append([*rank, now, ".".join(topics)])
        if noted:
            self._append("u", "-", noted)
        self._last_noted = used  # after the line, which resets it

    def used_at(self, trace: Trace) -> float:
        """Return when a trace was last brought up to date, in seconds since the epoch."""
        return max(trace.finished, self._used_at.get(trace.rank, 0))

    def recency(self, trace: Trace) -> Rank:
        """Return the rank of the last line that made a trace current; it orders traces without clocks."""
        rank = trace.rank
        return max(self._recency.get(rank, rank), rank)

    def current(self) -> set[Rank]:
        """Return the ranks of the current traces: for each name of a reactor the one last brought up to date."""
        latest: dict[str, tuple[Rank, Rank]] = {}
        stored: set[Rank] = set()
        for trace in self.traces():
            topic, rank = self.topic(trace.reactor), trace.rank
            if rank in self._recency:
                stored.add(rank)
            latest[topic] = max((rank, rank), latest.get(topic, (_NEVER, _NEVER)))
        for topic, noted in self._uses.items():
            uses = [(line, rank) for rank, line in noted.items() if rank in stored]
            if uses:
                latest[topic] = max(*uses, latest.get(topic, (_NEVER, _NEVER)))
        return {rank for _, rank in latest.values()}

    # ------------------------------------------------------------------ merging

    def needed(self, written: Collection[str]) -> Callable[[JournalEntry], bool]:
        """Return a predicate that tells which lines a merge must copy.

        The files of the writers in ``written`` are not merged, and their lines may refer to any line.
        """
        stored: set[Rank] = set()  # those that lines about their use name
        removed: set[Rank] = set()
        named: set[str] = set()
        for trace in self._lines.all():
            if not self.is_stored(trace):
                removed.add(trace.rank)
                continue
            if trace.rank in self._recency:
                stored.add(trace.rank)
            named.update(output.object for output in trace.stored if output.object)

        def is_needed(entry: JournalEntry) -> bool:
            try:
                return has_effect(entry, entry.rank)
            except UNREADABLE:
                return True  # a later version may need it

        def has_effect(entry: JournalEntry, rank: Rank) -> bool:
            match entry.kind:
                case "t":
                    return rank not in removed  # perhaps a later version wrote it
                case "i":
                    return entry.key in named and self.latest.is_latest(entry)
                case "c" | "n" | "f":
                    return self.latest.is_latest(entry)
                case "x":
                    return entry.number in (self._forgotten.get(name) for name in entry.payload())
                case "e":
                    # Evicted traces in merged files go with this merge; those of others would come back.
                    return any(writer in written for _, writer in entry.payload())
                case "u":
                    return any(
                        (int(number), str(writer)) in stored
                        and self._is_latest_use((number, writer), topics, rank)
                        for number, writer, _, topics in entry.payload()
                    )
                case "k":
                    return False  # the damaged lines are not copied either
            return True

        return is_needed

    def _is_latest_use(self, trace: Rank, topics: str, line: Rank) -> bool:
        noted = self._uses.get(topics.partition(".")[0], {})
        return line in (self._recency.get(trace), noted.get(trace))

    # ------------------------------------------------------------------ the rest

    def add_state(self, names: set[tuple[str, str]]) -> None:
        """Store owners and names of variables that change while reactors run."""
        self._append("s", "-", sorted(names))

    def add_followed(self, packages: Iterable[str]) -> None:
        """Store which installed distributions define reactors."""
        added = sorted(set(packages) - self.followed)
        if added:
            self._append("p", "-", added)

    def put_known_damage(self, lines: int) -> None:
        """Store how many damaged lines the user knows of."""
        self._append("k", "-", lines)

    def put_told_of_reads(self) -> None:
        """Store that the user was told that undeclared reads count."""
        self._append("r", "-", True)

    def is_nondeterministic(self, full_name: str) -> bool:
        """Return whether a reactor once gave another value for the same inputs."""
        return full_name in self._nondeterministic

    def put_nondeterministic(self, full_name: str) -> None:
        """Store that a reactor gave another value for the same inputs."""
        if full_name not in self._nondeterministic:
            self._append("d", "-", full_name)
