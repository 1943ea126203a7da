"""Lines of the journal with traces: where they are, and the traces of those that were needed.

When a trace of some code is needed, all lines of this code are parsed, so that a reactor that asks for its own traces does
not wait for those of others. Of the first lines, which are all of a small plant, the content stays in memory until then;
of all others only the place, where they are read again.

The key of a line is the fingerprint of the code, the topics of the reactor and of its ingredients
(:meth:`~pyplant.store.ledger.Ledger.topic`), and the size of its objects, joined by dots.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from operator import attrgetter

from pyplant.engine.trace import Trace
from pyplant.engine.validate import UNREADABLE
from pyplant.ingredient import Ingredient
from pyplant.store.journal import Journal, JournalEntry, Rank

__all__ = ["TraceLines", "key_of"]

_REACTOR, _SIZE = "r", "s"  # first letters of the topic of a reactor, and of the size
_ANY = ""  # the topic of keys without topics, which earlier versions wrote
_KEPT_LINES = 10_000  # whose content stays in memory; to read a line again takes 15 µs


class TraceLines:
    """The lines with traces by code and by topic.

    Parameters
    ----------
    journal
        Reads lines again.
    refresh
        Called if lines are not where they were, since another process has merged files.
    on_parsed
        Called with each trace that was read and is kept from now on.

    Attributes
    ----------
    most_bytes
        Bytes that the objects of all traces have at most; ``None`` if an earlier version wrote one of them.
    unknown
        Ranks of traces that a later version wrote.
    """

    def __init__(
        self, journal: Journal, refresh: Callable[[], None], on_parsed: Callable[[Trace], None]
    ) -> None:
        self._journal = journal
        self._refresh = refresh
        self._on_parsed = on_parsed
        # Of lines that are not parsed, by fingerprint.
        self._kept: dict[str, list[JournalEntry]] = {}
        self._places: dict[str, array[int]] = {}
        self._kept_lines = 0
        self._counts: dict[str, int] = {}
        self._newest: dict[str, Rank] = {}  # by key
        self._keys: dict[str, list[str]] = {}  # the keys with each topic, once they were asked for
        self._new_keys: list[str] = []  # those that are not there yet
        self._traces: dict[str, list[Trace]] = {}
        self._ranks: set[Rank] = set()  # of the parsed traces
        self._manifests: dict[str, dict[str, Ingredient]] = {}
        self.most_bytes: int | None = 0
        self.unknown: set[Rank] = set()

    def apply(self, entry: JournalEntry) -> None:
        """Note a line that was read."""
        key, _, size = entry.key.rpartition(f".{_SIZE}")
        if not key or not size.isdecimal():  # an earlier version wrote it
            key, size = entry.key, ""
        fingerprint = self._note(key, entry.rank, int(size) if size else None)
        if self._kept_lines < _KEPT_LINES:
            self._kept_lines += 1
            self._kept.setdefault(fingerprint, []).append(entry)
        else:
            self._places.setdefault(fingerprint, array("Q")).append(entry.place)

    def _note(self, key: str, rank: Rank, size: int | None) -> str:
        known = self._newest.get(key)
        if known is None:
            self._new_keys.append(key)
        if known is None or known < rank:
            self._newest[key] = rank
        self.most_bytes = None if size is None or self.most_bytes is None else self.most_bytes + size
        fingerprint = key.partition(".")[0]
        self._counts[fingerprint] = self._counts.get(fingerprint, 0) + 1
        return fingerprint

    def add(self, key: str, trace: Trace) -> None:
        """Add the trace of a line that this process wrote."""
        key, _, size = key.rpartition(f".{_SIZE}")
        self._note(key, trace.rank, int(size))
        self._add(trace)

    def _add(self, trace: Trace) -> None:
        self._traces.setdefault(trace.fingerprint, []).append(trace)
        for manifest in trace.manifests:
            self._manifests.setdefault(manifest.name, {})[manifest.digest] = manifest
        self._ranks.add(trace.rank)

    # ------------------------------------------------------------------ without parsing

    def count(self, fingerprint: str) -> int:
        """Return how many lines of this code were ever seen; some may have been seen twice."""
        return self._counts.get(fingerprint, 0)

    def newest(self, topic: str) -> Rank | None:
        """Return the rank of the newest trace with a topic."""
        self._index()
        return max((self._newest[key] for key in self._keys.get(topic, ())), default=None)

    def _index(self) -> None:
        new, self._new_keys = self._new_keys, []
        for key in new:
            topics = key.split(".")[1:]
            for topic in topics if topics and topics[0].startswith(_REACTOR) else [_ANY]:
                self._keys.setdefault(topic, []).append(key)

    def manifests(self, name: str) -> list[Ingredient]:
        """Return the manifests of traces that were parsed, by the name of their dependency, the newest first."""
        return list(reversed(self._manifests.get(name, {}).values()))

    # ------------------------------------------------------------------ traces

    def of_code(self, fingerprint: str) -> list[Trace]:
        """Return the traces of this code."""
        if fingerprint in self._kept or fingerprint in self._places:
            found = list(self._read(fingerprint))
            found.sort(key=attrgetter("number", "writer"))
            for trace in found:
                if trace.rank not in self._ranks:  # a line may come twice while files are merged
                    self._add(trace)
                    self._on_parsed(trace)
            # At the end, since an interrupt must lose no trace.
            self._kept.pop(fingerprint, None)
            self._places.pop(fingerprint, None)
        return self._traces.get(fingerprint, [])

    def with_topic(self, topic: str) -> list[Trace]:
        """Return the traces of all code that ever had a trace with this topic."""
        self._index()
        keys = [*self._keys.get(topic, ()), *self._keys.get(_ANY, ())]
        codes = dict.fromkeys(key.partition(".")[0] for key in keys)
        return [trace for fingerprint in codes for trace in self.of_code(fingerprint)]

    def parse_topic(self, topic: str) -> None:
        """Parse the traces with a topic that are not parsed."""
        if self._kept or self._places:
            self.with_topic(topic)

    def all(self) -> Iterator[Trace]:
        """Yield all traces, in no order. Those that nothing else needed are read again each time."""
        for traces in list(self._traces.values()):
            yield from traces
        for fingerprint in {**self._kept, **self._places}:
            seen: set[Rank] = set()
            for trace in self._read(fingerprint):
                if trace.rank not in self._ranks and trace.rank not in seen:
                    seen.add(trace.rank)
                    yield trace

    def _read(self, fingerprint: str) -> Iterator[Trace]:
        """Parse the traces of this code that are not parsed, some of them perhaps twice."""
        for entry in tuple(self._kept.get(fingerprint, ())):
            if (trace := self._parsed(entry)) is not None:
                yield trace
        if fingerprint in self._places:
            yield from filter(None, map(self._parsed, self._read_again(fingerprint)))

    def _read_again(self, fingerprint: str) -> Iterator[JournalEntry]:
        places, found = self._places[fingerprint][:], 0
        for entry in self._journal.read_again(places):
            found += 1
            yield entry
        if found < len(places):
            self._refresh()  # reads the file with the merged lines
            now = self._places.get(fingerprint, places)  # the caller may have parsed them meanwhile
            yield from self._journal.read_again(now[len(places) :])

    def _parsed(self, entry: JournalEntry) -> Trace | None:
        try:
            return Trace.from_json(entry.payload(), entry.number, entry.writer, signed=entry.signed)
        except UNREADABLE:
            self.unknown.add(entry.rank)
            return None


def key_of(trace: Trace, topics: list[str]) -> str:
    """Return the key of the line of a trace."""
    size = sum(output.size for output in trace.stored if output.object)
    return ".".join([trace.fingerprint, *topics, f"{_SIZE}{size}"])
