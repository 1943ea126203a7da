"""The rebuilder: *whether* a reactor must run, and why. It never decides when.

Traces of the reactor's present code are looked up by asking their questions in recorded
order. A later dependency is never demanded before the earlier ones matched: it may not be
needed any more. Of several traces that verify the newest wins, also where an older one read
less or more than it. The question at which the nearest candidate failed is the explanation.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Generator, Iterable
from enum import Enum
from operator import itemgetter
from types import MappingProxyType
from typing import NamedTuple, Protocol

from pyplant.engine.trace import Branch, DependencyKind, Question, Trace, TraceTree

__all__ = [
    "UNKNOWN",
    "Answer",
    "Lookup",
    "Reason",
    "ReasonKind",
    "RebuilderContext",
    "Unknown",
    "Verdict",
    "check",
]


class ReasonKind(Enum):
    """Why a reactor runs."""

    NEW = "never ran"
    CODE = "code changed"
    PARAMETER = "parameter changed"
    ABSENCE = "parameter added"
    AUXILIARY = "parameter counts again"
    INPUT = "input changed"
    INPUT_UNKNOWN = "input may change"
    FILE = "file changed"
    SUBREACTOR = "subreactor changed"
    EVICTED = "result is no longer stored"
    FORCED = "forced"
    FORGOTTEN = "invalidated"
    UNCACHED = "not cached"
    NO_OUTPUT = "sends nothing"


class Reason(NamedTuple):
    """One reason to run.

    Attributes
    ----------
    kind
        What sort of change it is.
    name
        The parameter, ingredient, file, subreactor or reactor concerned.
    old, new
        The digests compared; empty where there is none.
    trace
        The kept execution that came nearest.
    """

    kind: ReasonKind
    name: str = ""
    old: str = ""
    new: str = ""
    trace: Trace | None = None


class Unknown(Enum):
    """The type of :data:`UNKNOWN`."""

    UNKNOWN = "unknown"

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN = Unknown.UNKNOWN
"""The digest of an ingredient that is known only after a run (in a dry look-up)."""

Answer = tuple["str | Unknown | None", ...]
"""Digests of ingredients; ``None`` for a name that nobody sends."""

Lookup = Generator[tuple[str, ...], Answer, "Verdict"]
"""A look-up in progress: it yields names of ingredients and is sent their digests."""


class RebuilderContext(Protocol):
    """The present state of everything but ingredients."""

    def parameter(self, name: str) -> str | None:
        """Digest of a parameter, ``None`` if the configuration lacks it."""

    def is_auxiliary(self, name: str) -> bool:
        """Whether a parameter is marked as auxiliary."""

    def subreactor(self, name: str) -> str | None:
        """Fingerprint of a subreactor, ``None`` if it is gone."""

    def file(self, path: str) -> str | None:
        """Digest of a file's content, ``None`` if it cannot be read."""


class Verdict(NamedTuple):
    """The outcome of a look-up.

    Attributes
    ----------
    trace
        The newest kept execution that verifies, if there is one.
    reasons
        Otherwise, why there is none.
    certain
        Whether this holds whatever else runs; uncertain in dry look-ups only. With a trace, a
        newer one may turn out to verify, for the given reasons.
    """

    trace: Trace | None
    reasons: tuple[Reason, ...] = ()
    certain: bool = True


_Step = tuple[tuple[int, str], int, "Trace | None", "Question | None", "dict[tuple[str, ...], Branch]"]
"""What a look-up may do next: take a complete trace, or ask a question that leads to these answers.

It begins with the rank of the newest trace that the step may lead to, and the step's depth.
"""

_newest = itemgetter(0)
_REASONS = MappingProxyType(
    {
        DependencyKind.PARAMETER: ReasonKind.PARAMETER,
        DependencyKind.AUXILIARY: ReasonKind.AUXILIARY,
        DependencyKind.ABSENCE: ReasonKind.ABSENCE,
        DependencyKind.INGREDIENT: ReasonKind.INPUT,
        DependencyKind.SUBREACTOR: ReasonKind.SUBREACTOR,
        DependencyKind.FILE: ReasonKind.FILE,
    }
)


def check(tree: TraceTree, facts: RebuilderContext) -> Lookup:
    """Look for the newest trace that verifies; see :data:`Lookup`.

    The search is best first: the step that may lead to the newest trace is taken first. So the
    first complete trace is the newest one that verifies, and what only older ones asked for is
    not demanded.
    """
    nearest: tuple[bool, int, Verdict] = (False, -1, Verdict(None, (Reason(ReasonKind.NEW),)))
    steps: list[_Step] = []  # the newest last
    _add_steps(steps, tree.root, 0)
    while steps:
        _, depth, trace, question, answers = steps.pop()
        if question is None:
            return _verified(trace, nearest[2])
        digests = yield from _answer(question, facts)
        following = _following(question, answers, digests, facts)
        for branch in following:
            _add_steps(steps, branch, depth + 1)
        if not following and (UNKNOWN in digests or depth > nearest[1]):
            verdict = _mismatch(question, answers, digests)
            # One that may still verify decides, however far another one got.
            nearest = max(nearest, (not verdict.certain, depth, verdict), key=lambda found: found[:2])
    return nearest[2]


def _add_steps(steps: list[_Step], branch: Branch, depth: int) -> None:
    if branch.leaf is not None:
        insort(steps, (branch.leaf.rank, depth, branch.leaf, None, {}), key=_newest)
    for question, answers in branch.questions.items():
        newest = next(reversed(answers.values())).newest
        if newest is not None:
            step = (newest.rank, depth, None, question, answers)
            if steps:
                insort(steps, step, key=_newest)
            else:  # almost always, and faster
                steps.append(step)


def _verified(trace: Trace | None, nearest: Verdict) -> Verdict:
    """The verdict on a trace that verifies; in a dry look-up a newer one may verify as well."""
    return Verdict(trace) if nearest.certain else Verdict(trace, nearest.reasons, certain=False)


def _answer(question: Question, facts: RebuilderContext) -> Generator[tuple[str, ...], Answer, Answer]:
    kind, names = question
    if kind is DependencyKind.INGREDIENT:
        return (yield names)
    name = names[0]
    match kind:
        case DependencyKind.PARAMETER:
            return (facts.parameter(name),)
        case DependencyKind.ABSENCE:
            return ("" if facts.is_auxiliary(name) or facts.parameter(name) is None else None,)
        case DependencyKind.AUXILIARY:
            return ("" if facts.is_auxiliary(name) else None,)
        case DependencyKind.SUBREACTOR:
            return (facts.subreactor(name),)
        case _:
            return (facts.file(name),)


def _following(
    question: Question, answers: dict[tuple[str, ...], Branch], digests: Answer, facts: RebuilderContext
) -> Iterable[Branch]:
    """The branches that this answer leads to."""
    kind, names = question
    if kind is DependencyKind.PARAMETER and facts.is_auxiliary(names[0]):
        return answers.values()  # never compared: any will do
    if UNKNOWN in digests or None in digests:
        return ()
    branch = answers.get(digests)  # type: ignore[arg-type] # only strings are left
    return () if branch is None else (branch,)


def _mismatch(question: Question, answers: dict[tuple[str, ...], Branch], digests: Answer) -> Verdict:
    kind, names = question
    compatible = (
        recorded
        for recorded in reversed(answers)
        if all(new in (UNKNOWN, old) for old, new in zip(recorded, digests, strict=True))
    )
    recorded = next(compatible, None) if UNKNOWN in digests else None
    if recorded is not None:
        trace = answers[recorded].newest
        unknown = [i for i, new in enumerate(digests) if new is UNKNOWN]
        reasons = [Reason(ReasonKind.INPUT_UNKNOWN, names[i], recorded[i], "", trace) for i in unknown]
        return Verdict(None, tuple(reasons), certain=False)
    newest = next(reversed(answers))
    trace = answers[newest].newest
    changed = [
        Reason(_REASONS[kind], name, old, new or "", trace)
        for name, old, new in zip(names, newest, digests, strict=True)
        if new is not UNKNOWN and new != old
    ]
    # If each digest is known, but not together, all of them are the reason.
    together = [Reason(_REASONS[kind], name, "", "", trace) for name in names]
    return Verdict(None, tuple(changed or together))
