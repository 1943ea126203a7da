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
from heapq import merge
from itertools import groupby
from operator import attrgetter
from sys import intern

from pyplant.engine.trace import Trace
from pyplant.engine.validate import UNREADABLE, mapping
from pyplant.ingredient import Ingredient
from pyplant.store.journal import Journal, JournalEntry, Rank

__all__ = ["TraceLines", "key_of"]

_REACTOR, _SIZE = "r", "s"  # first letters of the topic of a reactor, and of the size
_ANY = ""  # the topic of keys without topics, which earlier versions wrote
_NEVER: Rank = (-1, "")
_KEPT_LINES = 10_000  # whose content stays in memory; to read a line again takes 15 µs


class _Code:
    """The traces of one code fingerprint: those that were parsed, and the lines of those that were not."""

    __slots__ = ("fingerprint", "kept", "lines", "places", "traces")

    def __init__(self, fingerprint: str) -> None:
        self.fingerprint = fingerprint
        self.lines = 0  # ever seen
        self.kept: list[JournalEntry] = []
        self.places = array("Q")
        self.traces: list[Trace] = []


class _Key:
    """The rank of the newest line with one key, its size left out."""

    __slots__ = ("code", "newest", "text")

    def __init__(self, text: str, code: _Code) -> None:
        self.text = text
        self.code = code
        self.newest: Rank = _NEVER

    def topics(self) -> list[str]:
        topics = self.text.split(".")[1:]
        return topics if topics and topics[0].startswith(_REACTOR) else [_ANY]


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
    unknown
        Ranks of traces that a later version wrote.
    """

    def __init__(
        self, journal: Journal, refresh: Callable[[], None], on_parsed: Callable[[Trace], None]
    ) -> None:
        self._journal = journal
        self._refresh = refresh
        self._on_parsed = on_parsed
        self._keys: dict[str, _Key] = {}
        self._codes: dict[str, _Code] = {}
        # By topic, once they were asked for; some keys are not there yet.
        self._with_topic: dict[str, list[_Code]] = {}
        self._newest: dict[str, Rank] = {}
        self._new_keys: list[_Key] = []
        self._changed_keys: set[_Key] = set()
        self._room = _KEPT_LINES
        self._ranks: set[Rank] = set()  # of the parsed traces
        self._manifests: dict[str, dict[str, Ingredient]] = {}
        self._versions: dict[tuple[tuple[str, str], ...], dict[str, str]] = {}
        self._most_bytes = 0
        self._is_size_known = True
        self.unknown: set[Rank] = set()

    def apply(self, entry: JournalEntry) -> None:
        """Note a line that was read."""
        code = self._note(entry.key, entry[2:4])  # number and writer
        if self._room:
            self._room -= 1
            code.kept.append(entry)
        else:
            code.places.append(entry.place)

    def _note(self, key: str, rank: Rank) -> _Code:
        text, _, size = key.rpartition(".")
        if size[:1] == _SIZE and size[1:].isdecimal():
            self._most_bytes += int(size[1:])
        else:  # an earlier version wrote it
            text, self._is_size_known = key, False
        known = self._keys.get(text)
        if known is None:
            known = self._keys[text] = self._new_key(text)
        if known.newest < rank:
            known.newest = rank
            self._changed_keys.add(known)
        known.code.lines += 1
        return known.code

    def _new_key(self, text: str) -> _Key:
        fingerprint = intern(text.partition(".")[0])
        code = self._codes.get(fingerprint)
        if code is None:
            code = self._codes[fingerprint] = _Code(fingerprint)
        key = _Key(text, code)
        self._new_keys.append(key)
        return key

    def add(self, key: str, trace: Trace) -> None:
        """Add the trace of a line that this process wrote."""
        self._add(self._note(key, trace.rank), trace)

    def _add(self, code: _Code, trace: Trace) -> None:
        code.traces.append(trace)
        for manifest in trace.manifests:
            self._manifests.setdefault(manifest.name, {})[manifest.digest] = manifest
        self._ranks.add(trace.rank)

    # ------------------------------------------------------------------ without parsing

    @property
    def most_bytes(self) -> int | None:
        """Bytes that the objects of all traces have at most; ``None`` if an earlier version wrote one of them."""
        return self._most_bytes if self._is_size_known else None

    def count(self, fingerprint: str) -> int:
        """Return how many lines of this code were ever seen; some may have been seen twice."""
        code = self._codes.get(fingerprint)
        return 0 if code is None else code.lines

    def newest(self, topic: str) -> Rank:
        """Return the rank of the newest trace with a topic."""
        changed, self._changed_keys = self._changed_keys, set()
        for key in changed:
            for one in key.topics():
                self._newest[one] = max(key.newest, self._newest.get(one, _NEVER))
        return self._newest.get(topic, _NEVER)

    def _codes_with(self, topic: str) -> list[_Code]:
        new, self._new_keys = self._new_keys, []
        for key in new:
            for one in key.topics():
                codes = self._with_topic.setdefault(one, [])
                if key.code not in codes:
                    codes.append(key.code)
        return [*self._with_topic.get(topic, ()), *self._with_topic.get(_ANY, ())]

    def manifests(self, name: str) -> list[Ingredient]:
        """Return the manifests of traces that were parsed, by the name of their dependency, the newest first."""
        return list(reversed(self._manifests.get(name, {}).values()))

    # ------------------------------------------------------------------ traces

    def of_code(self, fingerprint: str) -> list[Trace]:
        """Return the traces of this code."""
        code = self._codes.get(fingerprint)
        return [] if code is None else self._all_parsed(code)

    def _all_parsed(self, code: _Code) -> list[Trace]:
        if code.kept or code.places:
            found = list(filter(None, map(self._shared, code.kept)))
            found += filter(None, map(self._shared, self._read_again([code])))
            found.sort(key=attrgetter("number", "writer"))
            for trace in found:
                if trace.rank not in self._ranks:  # a line may come twice while files are merged
                    self._add(code, trace)
                    self._on_parsed(trace)
            # At the end, since an interrupt must lose no trace.
            code.kept, code.places = [], array("Q")
        return code.traces

    def with_topic(self, topic: str) -> list[Trace]:
        """Return the traces of all code that ever had a trace with this topic."""
        return [trace for code in self._codes_with(topic) for trace in self._all_parsed(code)]

    def parse(self, topic: str) -> None:
        """Parse the traces with a topic that were read and not parsed since."""
        for code in self._codes_with(topic):
            self._all_parsed(code)

    def all(self) -> Iterator[Trace]:
        """Yield all traces, in no order, a few of them perhaps twice. Those that nothing else needed are not kept."""
        codes = list(self._codes.values())
        seen: set[Rank] = set()
        for code in codes:
            yield from tuple(code.traces)
            for trace in filter(None, map(self._parsed, tuple(code.kept))):
                if trace.rank not in self._ranks and trace.rank not in seen:
                    seen.add(trace.rank)
                    yield trace
        # In the order of the files, not by code, since neighbours are read together. A line whose content is kept comes
        # again when its file is merged.
        for trace in filter(None, map(self._parsed, self._read_again(codes))):
            if trace.rank not in self._ranks and trace.rank not in seen:
                yield trace

    def newest_first(self, topic: str, below: Rank | None = None) -> Iterator[Trace]:
        """Yield the traces of all code that ever had a trace with this topic, and keep none of them.

        Parameters
        ----------
        topic
            What they have in common; others of the same code are yielded, too.
        below
            Yield only traces below this rank.
        """
        codes = self._codes_with(topic)
        known = {trace.rank: trace for code in codes for trace in code.traces}
        for trace in filter(None, map(self._parsed, (entry for code in codes for entry in code.kept))):
            known.setdefault(trace.rank, trace)
        numbers, places = array("Q"), array("Q")
        for entry in self._read_again(codes):
            numbers.append(entry.number)
            places.append(entry.place)
        kept = (known[rank] for rank in sorted(known, reverse=True))
        read = self._read_in_order(numbers, places)
        last = below
        try:
            for trace in merge(kept, read, key=attrgetter("number", "writer"), reverse=True):
                if last is None or trace.rank < last:  # a line may come twice while files are merged
                    last = trace.rank
                    yield trace
        except FileNotFoundError:  # another process has merged files
            self._refresh()
            yield from self.newest_first(topic, last)

    def _read_in_order(self, numbers: array[int], places: array[int]) -> Iterator[Trace]:
        """Yield the traces of lines, the highest number first.

        Raises
        ------
        FileNotFoundError
            If a line is not where it was.
        """
        order = sorted(range(len(places)), key=numbers.__getitem__, reverse=True)
        for _, same in groupby(order, key=numbers.__getitem__):
            wanted = [places[index] for index in same]
            entries = list(self._journal.read_again(wanted))
            if len(entries) < len(wanted):
                raise FileNotFoundError
            # Two writers may have used the same number.
            entries.sort(key=attrgetter("writer"), reverse=True)
            yield from filter(None, map(self._parsed, entries))

    def _read_again(self, codes: list[_Code]) -> Iterator[JournalEntry]:
        places, found = _places(codes), 0
        for entry in self._journal.read_again(places):
            found += 1
            yield entry
        if found < len(places):
            self._refresh()  # reads the file with the merged lines
            yield from self._journal.read_again(set(_places(codes)).difference(places))

    def _shared(self, entry: JournalEntry) -> Trace | None:
        """Return a trace that is kept, whose texts are one object each with those of other traces."""
        return self._parsed(entry, intern)

    def _parsed(self, entry: JournalEntry, shared: Callable[[str], str] = str) -> Trace | None:
        try:
            data = entry.payload()
            versions = mapping(data["v"])  # nearly all traces have the same ones
            data["v"] = self._versions.setdefault(tuple(versions.items()), versions)
            return Trace.from_json(data, entry.number, entry.writer, signed=entry.signed, shared=shared)
        except UNREADABLE:
            self.unknown.add(entry.rank)
            return None


def _places(codes: list[_Code]) -> list[int]:
    return [place for code in codes for place in code.places]


def key_of(trace: Trace, topics: list[str]) -> str:
    """Return the key of the line of a trace."""
    size = sum(output.size for output in trace.stored if output.object)
    return ".".join([trace.fingerprint, *topics, f"{_SIZE}{size}"])
