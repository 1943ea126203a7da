"""The fourth law for one reactor that ran: the causes given are the true ones."""

from __future__ import annotations

from pyplant.engine.verdict import ReasonKind
from pyplant.reports.report import ReactorEntry
from tests.laws.model import Key, LawBroken, Model
from tests.laws.oracle import Event
from tests.laws.pipelines import Pipeline

_OF_READING = frozenset(
    {
        *(ReasonKind.PARAMETER, ReasonKind.ABSENCE, ReasonKind.FILE, ReasonKind.LISTING),
        *(ReasonKind.PATTERN, ReasonKind.EXISTENCE, ReasonKind.ENVIRONMENT),
    }
)
_WORDS = {
    "decorator:noted": "around h8 noted",
    "deep:global": "DEPTH",
    "deep:recursion": "even",
    "default:partial": "h7 partial",
    "effect:dispatch": "described",
    "effect:enum": "Colour FOUND",
    "effect:registry": "REGISTRY",
    "closure": "by",
    "default": "default",
    "base": "__init__",
    "global": "GLOBAL",
    "keyword": "pepper kind",
}
"""By what words a cause may name a slot, where its owner's name is not the only one."""


def check_causes(model: Model, reactor: str, full_name: str, key: Key, entry: ReactorEntry | None) -> None:
    """The fourth law, for one reactor that ran: the causes given are the true ones."""
    if entry is None or not entry.causes:
        message = f"explained: {reactor} ran and no cause is given"
        raise LawBroken(message)
    kinds = {cause.kind for cause in entry.causes}
    if model.incomplete or ReasonKind.FORCED in kinds:
        return
    form, events = key
    if model.is_kept(key):
        allowed = {ReasonKind.EVICTED}
    elif readings := model.readings(form):
        for cause in entry.causes:
            _check_reading(reactor, events, readings, cause.kind, cause.name)
        return
    elif model.has_run(full_name):
        allowed = {ReasonKind.CODE}
    else:
        allowed = {ReasonKind.NEW, ReasonKind.FORGOTTEN}
    if not kinds <= allowed:
        message = f"explained: {reactor} says {entry.reasons}, where it must be one of {allowed}"
        raise LawBroken(message)


def _check_reading(
    reactor: str, events: tuple[Event, ...], readings: list[tuple[Event, ...]], kind: ReasonKind, name: str
) -> None:
    """A changed reading: some kept execution read something else under that name."""
    if kind is ReasonKind.INPUT:
        differs = any(_input(old, name) != _input(events, name) for old in readings)
    elif kind in _OF_READING:
        differs = any(_reading(old, name) != _reading(events, name) for old in readings)
    else:
        differs = False
    if not differs:
        message = f"explained: {reactor} says {kind.value}: {name}, which no kept execution read otherwise"
        raise LawBroken(message)


def _input(events: tuple[Event, ...], name: str) -> str | None:
    for event in events:
        if event[0] == "in" and name in event[1::2]:
            return event[2::2][event[1::2].index(name)]
    return None


def _reading(events: tuple[Event, ...], name: str) -> str | None:
    """What was read under a name; a file goes by its last part."""
    last = name.rpartition("/")[2]
    return next((event[-1] for event in events if event[0] != "in" and event[1] in (name, last)), None)


def check_edit_is_named(reactor: str, entry: ReactorEntry, before: Pipeline, now: Pipeline) -> None:
    """A change of code names what was edited since the reactor ran or was cached last, and nothing else."""
    number = next(r.number for r in now.reactors if now.name(f"r{r.number}") == reactor)
    if before.shape(number) != now.shape(number):
        return
    old, new = before.slots, now.slots
    edited = [slot for slot in new if repr(old[slot]) != repr(new[slot])]
    words = {word for slot in edited for word in _words(slot)}
    if any(slot in {f"constant:r{number}", "decorator:traced"} for slot in edited):
        words |= {reactor, "own code"}
    for cause in entry.causes:
        if cause.kind is ReasonKind.CODE and not any(word in cause.summary for word in words):
            message = f"explained: {reactor} says {cause.summary!r}, and what was edited is {edited}"
            raise LawBroken(message)


def _words(slot: str) -> list[str]:
    where, _, owner = slot.partition(":")
    return [owner, *_WORDS.get(slot, _WORDS.get(where, "")).split()]
