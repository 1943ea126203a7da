"""Turns typed reasons into readable causes: what changed, the old and new value, and why it changed.

Reasons (:mod:`pyplant.engine.rebuilder`) name one trace and one dependency. Causes add sentences, diffs, and the
causes of the reactor that sent a changed input. All receivers of a sender share the tuple of its causes, so the
causes of a plant form a graph whose number of paths can be exponential in the number of reactors.
:class:`CauseDeduplicator` turns that graph into a tree that lists each cause once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pyplant._formatting import counted
from pyplant._missing import MISSING
from pyplant.config.parameters import Parameters
from pyplant.config.views import described, shown_in_words
from pyplant.engine.verdict import Reason, ReasonKind
from pyplant.fingerprint.code_records import CodeRecord, Difference, differences
from pyplant.fingerprint.graph_node import NodeKind, shorten
from pyplant.store.inputs import ABSENT, DIRECTORY, SPECIAL, UNREADABLE

__all__ = ["FIRST_RUN", "Cause", "CauseDeduplicator", "Explainer"]

FIRST_RUN = "first run"
"""Why a reactor ran that had never run."""
NO_RESULT = "has no result yet"  # it may have run and failed, of which other processes know nothing

_MAX_DEPTH = 6  # levels of causes; deeper causes are listed on the last level
_MAX_DIFFERENCES = 5
_MAX_DIFF_LINES = 60
_ENVIRONMENT_STATES = {"set": "is set now", "unset": "is not set any more"}
_FILE_STATES = {
    ABSENT: "is gone",
    DIRECTORY: "is a directory now",
    SPECIAL: "is a pipe or device now",
    UNREADABLE: "cannot be read now",
}


@dataclass(frozen=True, slots=True)
class Cause:
    """One reason to run, in a form for display.

    Attributes
    ----------
    kind
        The kind of change.
    name
        The parameter, ingredient, file or reactor that changed; for code, the object that was edited.
    summary
        One sentence.
    old, new
        Short texts of the old and the new value, for changes of values.
    diff
        A unified diff of the source, where code changed.
    causes
        Why an input changed: the causes of its sender. All receivers of a sender share this tuple.
    """

    kind: ReasonKind
    name: str
    summary: str
    old: str | None = None
    new: str | None = None
    diff: str = ""
    # Left out of repr() and comparison, which would follow every path of the graph.
    causes: tuple[Cause, ...] = field(default=(), repr=False, compare=False)


class Explainer:
    """Turns reasons into causes.

    Parameters
    ----------
    record
        Returns the recorded description of the code with a fingerprint.
    parameters
        The present configuration.
    senders
        The key of the reactor that sends an ingredient, by the ingredient's name.
    label
        Returns the display name of the reactor with a key.
    has_run
        Whether the reactors have run meanwhile, as in the report of a run.
    """

    def __init__(
        self,
        record: Callable[[str], CodeRecord | None],
        parameters: Parameters,
        senders: Mapping[str, str],
        label: Callable[[str], str],
        *,
        has_run: bool = False,
    ) -> None:
        self._has_run = has_run
        self._record = record
        self._parameters = parameters
        self._senders = senders
        self._label = label

    def causes(
        self, reasons: tuple[Reason, ...], upstream: Mapping[str, tuple[Cause, ...]]
    ) -> tuple[Cause, ...]:
        """Return the causes of one reactor; ``upstream`` holds those of its senders by key."""
        found: list[Cause] = []
        for reason in reasons:
            if reason.kind is ReasonKind.CODE:
                found += self._code(reason)
            elif reason.kind in {ReasonKind.INPUT, ReasonKind.INPUT_UNKNOWN}:
                found.append(self._input(reason, upstream))
            elif reason.kind is ReasonKind.PARAMETER:
                found.append(self._parameter(reason))
            else:
                text = FIRST_RUN if self._has_run and reason.kind is ReasonKind.NEW else _sentence(reason)
                found.append(Cause(reason.kind, reason.name, text))
        return tuple(found)

    def _parameter(self, reason: Reason) -> Cause:
        name = reason.name
        old = reason.trace.shown.get(name) if reason.trace is not None else None
        old = shown_in_words(old) if old is not None else None
        value = self._parameters.lookup(name)
        if value is MISSING:
            return Cause(reason.kind, name, f"{described(name)} was removed (it was {old})", old)
        new = shown_in_words(shorten(value))
        if old == new or old is None:
            return Cause(reason.kind, name, f"{described(name)} changed (now {new})", old, new)
        return Cause(reason.kind, name, f"{described(name)} changed: {old} → {new}", old, new)

    def _input(self, reason: Reason, upstream: Mapping[str, tuple[Cause, ...]]) -> Cause:
        sender = self._senders.get(reason.name)
        by = f", sent by {self._label(sender)}" if sender else ""
        if reason.kind is ReasonKind.INPUT_UNKNOWN:
            text = f"ingredient {reason.name!r}{by} may change"
        elif not reason.new:
            text = f"ingredient {reason.name!r} is no longer sent by any reactor"
        else:
            text = f"ingredient {reason.name!r} changed{by}"
        return Cause(reason.kind, reason.name, text, causes=upstream.get(sender or "", ()))

    def _code(self, reason: Reason) -> list[Cause]:
        found = differences(reason.old, reason.new, self._record)
        causes = [self._difference(reason, difference) for difference in found[:_MAX_DIFFERENCES]]
        if len(found) > _MAX_DIFFERENCES:
            more = len(found) - _MAX_DIFFERENCES
            causes.append(Cause(reason.kind, reason.name, f"{counted(more, 'more change')} of code"))
        return causes or [Cause(reason.kind, reason.name, "its code changed")]

    def _difference(self, reason: Reason, difference: Difference) -> Cause:
        # The attribute __wrapped__ leads to the function under a decorator; users know both as one function.
        path = [step for step in difference.path if step != "attribute __wrapped__"]
        name = path[-1] if path else reason.name
        between = [step for step in path[1:-1] if not step.startswith("attribute ")]
        through = f" through {' → '.join(between)}" if between else ""
        own = len(path) <= 1
        if own and difference.kind is NodeKind.VALUE:  # the record of the old code was removed
            return Cause(reason.kind, reason.name, "its code changed")
        old, new = difference.old, difference.new
        if difference.kind is NodeKind.VALUE:
            if old is None or new is None:
                text = f"{name} was {'added' if old is None else 'removed'}{through}"
            elif old == new:
                text = f"{name} changed (now {new}){through}"
            else:
                text = f"{name} changed: {old} → {new}{through}"
            return Cause(reason.kind, name, text, old, new)
        shown = "its own code" if own else f"{name}{'()' if difference.kind is NodeKind.FUNCTION else ''}"
        diff = _diff(old, new)
        text = f"{shown} changed{through}" if diff or own else f"{shown} is another one now{through}"
        return Cause(reason.kind, name, text, diff=diff)


class CauseDeduplicator:
    """Lists each cause once in a report, so that the length of a report is linear in its reactors.

    Parameters
    ----------
    elsewhere
        The causes of reactors that have an entry of their own in the report. They are listed in
        that entry and not repeated below the reactors that depend on it.
    """

    def __init__(self, elsewhere: Iterable[tuple[Cause, ...]] = ()) -> None:
        # By identity: the tuples are shared, and comparing them would take long.
        self._elsewhere = {id(causes) for causes in elsewhere}
        self._expanded: set[int] = set()
        self._listed: set[Cause] = set()

    def deduplicate(self, causes: Sequence[Cause]) -> tuple[Cause, ...]:
        """Return the causes of one reactor; their own causes are attached unless already listed.

        The result has at most ``_MAX_DEPTH`` levels. Deeper causes are appended to the last level, so a
        long chain of reactors is listed completely.
        """
        # Causes are immutable, so the deepest are made first: in reversed order each one comes after all below it.
        below: dict[int, list[Cause]] = {}
        for depth, cause in reversed(list(self._in_order(causes))):
            level = min(depth, _MAX_DEPTH)
            parts = tuple(reversed(below.pop(level + 1, ())))
            below.setdefault(level, []).append(replace(cause, causes=parts))
        return tuple(reversed(below.get(0, ())))

    def _in_order(self, causes: Sequence[Cause]) -> Iterator[tuple[int, Cause]]:
        self._listed.update(causes)
        stack = [(0, cause) for cause in reversed(causes)]
        while stack:
            depth, cause = stack.pop()
            unlisted = self._unlisted_below(cause)
            if unlisted is None or len(unlisted) == len(cause.causes):
                yield depth, cause
            else:
                where = "above and below" if unlisted else "above"
                yield depth, replace(cause, summary=f"{cause.summary} (see {where})")
            stack += [(depth + 1, other) for other in reversed(unlisted or ())]

    def _unlisted_below(self, cause: Cause) -> list[Cause] | None:
        """Return the causes to list below a cause; ``None`` if they are listed in another entry."""
        key = id(cause.causes)
        if key in self._elsewhere:
            return None
        if key in self._expanded:
            return []
        self._expanded.add(key)
        unlisted = [other for other in cause.causes if other not in self._listed]
        self._listed.update(unlisted)
        return unlisted


def _diff(old: str | None, new: str | None) -> str:
    if not old or not new or old == new:
        return ""
    import difflib  # slow to load

    # Without the first three lines, which name the files and the first hunk.
    lines = list(difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=2))[3:]
    # Line numbers are left out: they count from the first line of the function, not of the file.
    lines = ["…" if line.startswith("@@") else line for line in lines]
    if len(lines) > _MAX_DIFF_LINES:
        lines = [*lines[:_MAX_DIFF_LINES], f"… {counted(len(lines) - _MAX_DIFF_LINES, 'more line')}"]
    return "\n".join(lines)


def _place(reason: Reason) -> str:
    """Return where code made a read that it did not declare."""
    place = "" if reason.trace is None else reason.trace.shown.get(reason.name, "")
    return f", read in {place}" if place else ""


def _sentence(reason: Reason) -> str:
    name = reason.name
    match reason.kind:
        case ReasonKind.NEW:
            return NO_RESULT
        case ReasonKind.ABSENCE:
            return f"{described(name)} was added"
        case ReasonKind.AUXILIARY:
            return f"{described(name)} is no longer auxiliary"
        case ReasonKind.FILE:
            return f"file {name} {_FILE_STATES.get(reason.new, 'changed')}{_place(reason)}"
        case ReasonKind.SOURCE:
            return f"the code in {name} {_FILE_STATES.get(reason.new, 'changed')}{_place(reason)}"
        case ReasonKind.LISTING:
            return f"the names in {name}/ changed{_place(reason)}"
        case ReasonKind.PATTERN:
            return f"the files that match {name} changed{_place(reason)}"
        case ReasonKind.EXISTENCE | ReasonKind.STATUS:
            state = (
                "is gone" if reason.new == ABSENT else "is there now" if reason.old == ABSENT else "changed"
            )
            return f"{name} {state}{_place(reason)}"
        case ReasonKind.TARGET:
            return f"{name} leads to {reason.new}, before to {reason.old}{_place(reason)}"
        case ReasonKind.ENVIRONMENT:
            return f"environment variable {name} {_ENVIRONMENT_STATES.get(reason.new, 'changed')}{_place(reason)}"
        case ReasonKind.WORKING_DIRECTORY:
            return f"the {name} is {reason.new or 'gone'}, before {reason.old or 'gone'}{_place(reason)}"
        case ReasonKind.TOUCHED:
            return f"{reason.name} was touched and may have changed{_place(reason)}"
        case ReasonKind.MANIFEST:
            return "what it read outside the plant changed"
        case ReasonKind.SUBREACTOR:
            return f"subreactor {name} changed"
        case ReasonKind.EVICTED:
            return f"the stored value of {name!r} is gone"
        case ReasonKind.FORCED:
            return "forced"
        case ReasonKind.FORGOTTEN:
            return "invalidated"
        case ReasonKind.UNCACHED:
            return "declared with cache=False"
        case _:
            return "sends nothing, so it always runs"
