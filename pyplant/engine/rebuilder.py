"""The rebuilder: *whether* a reactor must run, and why. It never decides when.

Theory of operation
-------------------
A look-up walks the tree of traces of the reactor's present code. At each branch it asks the recorded
question ("which digest has parameter ``a``?") and follows the recorded answer that equals the
present one. A leaf that is reached is a trace that verifies.

Questions are asked in recorded order, and a later one only after the earlier ones matched. This
matters since a question about an ingredient may run its sender, and an ingredient that the new
inputs make unnecessary must not be made.

The newest trace is verified first, without the tree: it is the one that the walk would try first, and
usually it verifies.

A reactor that is not a function of its recorded inputs may have asked different questions at one
point, so several branches may be open. The walk then is best first by the age of the newest trace
below each branch. The first leaf reached is therefore the newest trace that verifies, whether it
has read more or less than older ones. If no leaf is reached, the deepest mismatch is the reason.

Look-ups are generators (:data:`Lookup`): they yield the ingredients they need and are sent their digests.
A *dry* look-up sends :data:`UNKNOWN` for an ingredient that only a run would tell; its verdict may
then be uncertain.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Generator, Iterable
from operator import itemgetter
from types import MappingProxyType

from pyplant.engine.context import EngineContext
from pyplant.engine.trace import Branch, DependencyKind, Question, Trace, TraceTree
from pyplant.engine.verdict import UNKNOWN, Answer, Lookup, Reason, ReasonKind, Verdict

__all__ = ["check"]


_Step = tuple[tuple[int, str], int, "Trace | None", "Question | None", "dict[tuple[str, ...], Branch]"]
"""A step that a look-up may take: accept a complete trace, or ask a question with recorded answers.

The first items are the rank of the newest trace below the step, by which steps are ordered, and the
number of questions that led to it.
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
        DependencyKind.SOURCE: ReasonKind.SOURCE,
        DependencyKind.LISTING: ReasonKind.LISTING,
        DependencyKind.PATTERN: ReasonKind.PATTERN,
        DependencyKind.EXISTENCE: ReasonKind.EXISTENCE,
        DependencyKind.STATUS: ReasonKind.STATUS,
        DependencyKind.TARGET: ReasonKind.TARGET,
        DependencyKind.ENVIRONMENT: ReasonKind.ENVIRONMENT,
        DependencyKind.WORKING_DIRECTORY: ReasonKind.WORKING_DIRECTORY,
        DependencyKind.MANIFEST: ReasonKind.MANIFEST,
    }
)


def check(
    tree: TraceTree, context: EngineContext, last_used: Callable[[], Trace | None] = lambda: None
) -> Lookup:
    """Look for the newest trace that verifies; see :data:`Lookup`.

    Parameters
    ----------
    tree
        The traces of the present code.
    context
        Answers questions.
    last_used
        Returns the trace that was last brought up to date. Reasons compare with it where it asked the same question.
    """
    known: dict[Question, Answer] = {}
    if tree.newest is not None and (yield from _verifies(tree.newest, context, known)):
        return Verdict(tree.newest)
    # The best failure so far: whether a run may still make it verify, how many questions matched, the verdict.
    nearest: tuple[bool, int, Verdict] = (False, -1, Verdict(None, (Reason(ReasonKind.NEW),)))
    steps: list[_Step] = []  # the newest last
    _add_steps(steps, tree.root, 0)
    while steps:
        _, depth, trace, question, answers = steps.pop()
        if question is None:
            return _verified(trace, nearest[2])  # steps are ordered, so no newer trace can be reached
        digests = known.get(question) or (yield from _answer(question, context))
        following = _following(question, answers, digests, context)
        for branch in following:
            _add_steps(steps, branch, depth + 1)
        if not following and (UNKNOWN in digests or depth > nearest[1]):
            verdict = _mismatch(question, answers, digests, context, last_used())
            # A branch that a run may still verify outranks a mismatch, however deep the mismatch is. Of equals
            # max() takes the first, and the walk is newest first: the reason compares with the newest trace.
            nearest = max(nearest, (not verdict.certain, depth, verdict), key=lambda found: found[:2])
    return nearest[2]


def _verifies(
    trace: Trace, context: EngineContext, known: dict[Question, Answer]
) -> Generator[tuple[str, ...], Answer, bool]:
    """Return whether all answers are as recorded; a question is asked only if the earlier ones matched.

    The answers are added to those that are known.
    """
    for kind, names, recorded in trace.dependencies:
        digests = known[kind, names] = yield from _answer((kind, names), context)
        # The value of an auxiliary parameter is not compared, so each recorded one matches.
        if digests != recorded and not (kind is DependencyKind.PARAMETER and context.is_auxiliary(names[0])):
            return False
    return True


def _add_steps(steps: list[_Step], branch: Branch, depth: int) -> None:
    """Insert the steps that begin at a branch, in the order of their newest traces."""
    # The key is the rank alone, since traces and dicts have no order.
    if branch.leaf is not None:
        insort(steps, (branch.leaf.rank, depth, branch.leaf, None, {}), key=_newest)
    for question, answers in branch.questions.items():
        newest = next(reversed(answers.values())).newest  # the last answer: TraceTree.add orders them by use
        if newest is not None:
            step = (newest.rank, depth, None, question, answers)
            if steps:
                insort(steps, step, key=_newest)
            else:  # by far the most common case; insort would be slower
                steps.append(step)


def _verified(trace: Trace | None, nearest: Verdict) -> Verdict:
    """Return the verdict for a trace that verifies; uncertain if a newer one may still verify."""
    return Verdict(trace) if nearest.certain else Verdict(trace, nearest.reasons, certain=False)


def _answer(question: Question, context: EngineContext) -> Generator[tuple[str, ...], Answer, Answer]:
    """Return the present answer to a question; an absence or a mark that still holds is answered ``""``."""
    # "" is the digest that the tracer records for absences and marks; None equals no recorded digest.
    kind, names = question
    if kind is DependencyKind.INGREDIENT:
        return (yield names)
    name = names[0]
    match kind:
        case DependencyKind.PARAMETER:
            # An auxiliary value is not compared. It may be marked because no digest of it can be computed.
            return ("" if context.is_auxiliary(name) else context.parameter(name),)
        case DependencyKind.ABSENCE:
            return ("" if context.is_auxiliary(name) or context.parameter(name) is None else None,)
        case DependencyKind.AUXILIARY:
            return ("" if context.is_auxiliary(name) else None,)
        case DependencyKind.SUBREACTOR:
            return (context.subreactor(name),)
        case _:
            return (context.outside(kind, name),)


def _following(
    question: Question, answers: dict[tuple[str, ...], Branch], digests: Answer, context: EngineContext
) -> Iterable[Branch]:
    """Return the branches that the present answer leads to."""
    kind, names = question
    if kind is DependencyKind.PARAMETER and context.is_auxiliary(names[0]):
        return answers.values()  # the value is not compared, so each recorded one matches
    if UNKNOWN in digests or None in digests:
        return ()
    branch = answers.get(digests)  # type: ignore[arg-type] # only strings are left
    return () if branch is None else (branch,)


def _mismatch(
    question: Question,
    answers: dict[tuple[str, ...], Branch],
    digests: Answer,
    context: EngineContext,
    last_used: Trace | None,
) -> Verdict:
    """Return the verdict at a question that leads nowhere, compared with the recorded answer that was last used."""
    kind, names = question
    # An answer with unknown digests may come out as any recorded answer that agrees with the known ones.
    compatible = (
        recorded
        for recorded in reversed(answers)
        if all(new in (UNKNOWN, old) for old, new in zip(recorded, digests, strict=True))
    )
    recorded = next(compatible, None) if UNKNOWN in digests else None
    if recorded is not None:
        trace = answers[recorded].newest
        unknown = [i for i, new in enumerate(digests) if new is UNKNOWN]
        may_change = ReasonKind.INPUT_UNKNOWN if kind is DependencyKind.INGREDIENT else ReasonKind.TOUCHED
        reasons = [Reason(may_change, names[i], recorded[i], "", trace) for i in unknown]
        return Verdict(None, tuple(reasons), certain=False)
    newest = next(reversed(answers))
    trace = answers[newest].newest
    for dependency in () if last_used is None else last_used.dependencies:
        if dependency.question == question and dependency.digests in answers:
            newest, trace = dependency.digests, last_used
    changed = [
        Reason(_REASONS[kind], name, old, new or "", trace)
        for name, old, new in zip(names, newest, digests, strict=True)
        if new is not UNKNOWN and new != old
    ]
    if kind is DependencyKind.MANIFEST and trace is not None:
        inside = context.manifest_changes(trace, names[0])
        changed = [
            Reason(_REASONS[part], inner, old, new, trace) for part, inner, old, new in inside
        ] or changed
    # Each digest was recorded, but not in this combination: then all names together are the reason.
    together = [Reason(_REASONS[kind], name, "", "", trace) for name in names]
    return Verdict(None, tuple(changed or together))
