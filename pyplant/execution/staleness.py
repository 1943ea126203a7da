"""Decide for each reactor whether it is up to date, without running anything.

This does the same look-ups as a run (:func:`pyplant.engine.rebuilder.check`): a look-up is a generator that
asks for the digests of ingredients. In a run the scheduler makes the ingredients first. Here their senders
are judged first, by look-ups on a stack, and the digest of an ingredient whose sender would run is
``UNKNOWN``. A reactor that is stale only because of unknown digests is *uncertain*: if the sender sends an
equal value, the reactor does not run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from types import MappingProxyType

from pyplant.engine.trace import Trace
from pyplant.engine.verdict import UNKNOWN, Answer, Lookup, Reason, ReasonKind, Unknown, Verdict
from pyplant.execution.context import RunContext
from pyplant.execution.failures import NO_FAILURE, Failure
from pyplant.ingredient import Ingredient
from pyplant.reports.explain import Cause, Explainer
from pyplant.reports.report import Outcome, ReactorEntry

__all__ = ["Staleness"]

_FEW_OUTPUTS = 8  # are searched without an index


@dataclass(slots=True)
class _LookUp:
    """A look-up in progress; ``asked`` are the names it asks for, ``unjudged`` those whose senders are not judged yet."""

    key: str
    demands: Lookup
    asked: tuple[str, ...] = ()
    unjudged: list[str] = field(default_factory=list)
    begun: bool = False


class Staleness:
    """Judges reactors: whether they are up to date, and why not.

    Parameters
    ----------
    context
        Answers questions about reactors.
    failed
        The last failure of each reactor that has not succeeded since, by key.
    """

    def __init__(self, context: RunContext, failed: Mapping[str, Failure] = MappingProxyType({})) -> None:
        self._failed = failed
        self.verdicts: dict[str, Verdict] = {}  # in an order in which senders come before receivers
        self._context = context
        self._senders: dict[str, str] = {}
        self._explainer = Explainer(context.record, context.parameters, self._senders, context.label)
        self._causes: dict[str, tuple[Cause, ...]] = {}
        self._outputs: dict[tuple[int, str], dict[str, Ingredient]] = {}  # of traces with many, by rank

    @classmethod
    def of_all(cls, context: RunContext, failed: Mapping[str, Failure] = MappingProxyType({})) -> Staleness:
        """Return the staleness of all reactors of a context, each of them judged."""
        staleness = cls(context, failed)
        staleness.judge(context.definitions)
        return staleness

    # ------------------------------------------------------------------ judging

    def judge(self, keys: Iterable[str]) -> None:
        """Judge these reactors and all that they depend on."""
        for key in keys:
            self._judge(key)

    def _judge(self, key: str) -> None:
        # A stack, not recursion: chains of reactors may be longer than Python's stack.
        stack: list[_LookUp] = []
        self._begin(key, stack)
        while stack:
            current = stack[-1]
            sender = self._next_unjudged(current)
            if sender is not None:
                self._begin(sender, stack)
                continue
            # All senders of what the look-up asks for are judged, so their digests can be sent in.
            try:
                answer = tuple(self.digest(name) for name in current.asked)
                current.asked = self._step(current, answer)
                current.unjudged = list(reversed(current.asked))
            except StopIteration as stop:
                stack.pop()
                # Inserted again at the end, so that senders come before receivers.
                del self.verdicts[current.key]
                self.verdicts[current.key] = stop.value

    def _next_unjudged(self, current: _LookUp) -> str | None:
        while current.unjudged:
            sender = self._unjudged_sender(current.unjudged[-1])
            if sender is not None:
                return sender
            current.unjudged.pop()
        return None

    def _step(self, current: _LookUp, answer: Answer) -> tuple[str, ...]:
        if current.begun:
            return current.demands.send(answer)
        current.begun = True
        return next(current.demands)

    def _begin(self, key: str, stack: list[_LookUp]) -> None:
        if key in self.verdicts:
            return
        found = self._context.start_lookup(key)
        if isinstance(found, Verdict):
            self.verdicts[key] = found
            return
        # Unknown until judged: stored executions may depend on each other in a circle, unlike the present code.
        self.verdicts[key] = Verdict(None, (), certain=False)
        stack.append(_LookUp(key, found))

    def _unjudged_sender(self, name: str) -> str | None:
        # Candidates are judged one by one: the first that would run, or that sent the name, decides.
        for key in self._context.candidates(name):
            verdict = self.verdicts.get(key)
            if verdict is None:
                return key
            if verdict.trace is None or self._output(verdict.trace, name) is not None:
                return None
        return None

    def _output(self, trace: Trace, name: str) -> Ingredient | None:
        """Return an output of a trace, found by an index if there are many."""
        if len(trace.outputs) <= _FEW_OUTPUTS:
            return trace.output(name)
        if trace.rank not in self._outputs:
            self._outputs[trace.rank] = {output.name: output for output in trace.outputs}
        return self._outputs[trace.rank].get(name)

    def digest(self, name: str) -> str | Unknown | None:
        """Return the digest of an ingredient whose possible senders are judged."""
        for key in self._context.candidates(name):
            verdict = self.verdicts[key]
            if verdict.trace is None:
                self._senders[name] = key
                return UNKNOWN
            output = self._output(verdict.trace, name)
            if output is not None:
                self._senders[name] = key
                # Uncertain: after a run a newer trace may verify, which has another digest.
                return output.digest if verdict.certain else UNKNOWN
        return None

    def verified(self, name: str) -> Trace | None:
        """Return the execution whose output ``name`` is up to date; ``None`` if there is none."""
        while (key := self._unjudged_sender(name)) is not None:
            self._judge(key)
        for key in self._context.candidates(name):
            verdict = self.verdicts[key]
            if verdict.trace is None or not verdict.certain:
                return None
            if self._output(verdict.trace, name) is not None:
                return verdict.trace
        return None

    # ------------------------------------------------------------------ reporting

    def entry(
        self,
        key: str,
        *,
        as_target: bool = False,
        sure: bool = True,
        now: Outcome | None = None,
        shows_failure: bool = False,
    ) -> ReactorEntry:
        """Return a judged reactor as an entry of a plan or status.

        Parameters
        ----------
        key
            The reactor.
        as_target
            Whether the user requests it: a reactor that sends nothing then always runs.
        sure
            Whether it is certainly demanded.
        now
            Its state in the current run.
        shows_failure
            Whether a reactor that failed is shown as failed, and not as one that would run.
        """
        definition = self._context.definitions[key]
        verdict = self.verdicts[key]
        # For a stale reactor, the time and size of the execution that comes nearest, or else of the newest one.
        trace = verdict.trace or next((r.trace for r in verdict.reasons if r.trace), None)
        trace = trace or self._context.last(definition.full_name)
        outcome = _outcome(verdict, cache=definition.cache)
        causes = self.causes(key) if outcome is not Outcome.CACHED else ()
        silent = as_target and trace is not None and self._context.runs_for_effect(trace)
        if silent and verdict.trace is not None:
            outcome = Outcome.UNCACHED
            causes = self._explainer.causes((Reason(ReasonKind.NO_OUTPUT, definition.name),), {})
        error = self._failed.get(key, NO_FAILURE).text if shows_failure and verdict.trace is None else ""
        if error:
            outcome = Outcome.FAILED
            causes = tuple(cause for cause in causes if cause.kind is not ReasonKind.NEW)
        return ReactorEntry(
            name=definition.name,
            outcome=now or outcome,
            causes=causes,
            seconds=trace.seconds if trace else 0.0,
            size=sum(output.size for output in trace.outputs) if trace else 0,
            finished=trace.finished if trace else 0.0,
            outputs=tuple(output.name for output in trace.outputs) if trace else (),
            certain=(verdict.certain or silent or outcome is Outcome.CACHED) and sure,
            error=error,
        )

    def causes(self, key: str) -> tuple[Cause, ...]:
        """Return why a judged reactor would run."""
        if key not in self._causes:
            for judged, verdict in self.verdicts.items():  # senders come before receivers
                if judged not in self._causes:
                    self._causes[judged] = self._causes_of(judged, verdict)
        return self._causes[key]

    def _causes_of(self, key: str, verdict: Verdict) -> tuple[Cause, ...]:
        causes = self._explainer.causes(verdict.reasons, self._causes)
        if key not in self._failed:
            return causes
        failed = f"its last run failed: {self._failed[key].text}"
        return tuple(
            replace(cause, summary=failed) if cause.kind is ReasonKind.NEW else cause for cause in causes
        )

    def edges(self) -> dict[str, dict[str, list[str]]]:
        """Return the edges of the graph by reactor name: receiver -> sender -> names of ingredients."""
        found: dict[str, dict[str, list[str]]] = {}
        for key, definition in self._context.definitions.items():
            trace = self.verdicts[key].trace or self._context.last(definition.full_name)
            expected = self._context.predicted[key].receives
            senders: dict[str, list[str]] = {}
            for name in dict.fromkeys([*(trace.inputs if trace else ()), *sorted(expected)]):
                for sender in self._keys_of([name]):
                    senders.setdefault(self._context.definitions[sender].name, []).append(name)
            found[definition.name] = senders
        return found

    # ------------------------------------------------------------------ planning

    def plan(self, target: str) -> list[ReactorEntry]:
        """Return the reactors that a run of ``target`` would involve, senders first."""
        self.judge([target])
        below: dict[str, list[str]] = {}
        certain: dict[str, bool] = {}
        work = [(target, True)]
        while work:
            key, is_certain = work.pop()
            # A reactor is visited again only if it turns out to be certain after it was found to be possible.
            if key in certain and (certain[key] or not is_certain):
                continue
            certain[key] = is_certain
            needed, possible = self._needs(key)
            below[key] = [*needed, *possible]
            work += [(other, is_certain) for other in needed]
            work += [(other, False) for other in possible]
        return [
            self.entry(
                key, as_target=key == target, sure=certain[key] or self.verdicts[key].trace is not None
            )
            for key in _senders_first([target], below)
        ]

    def in_order(self) -> list[str]:
        """Return the reactors in the order of definition, but senders before their receivers; each is judged."""
        below = {key: [*chain.from_iterable(self._needs(key))] for key in self._context.definitions}
        return _senders_first(below, below)

    def _needs(self, key: str) -> tuple[list[str], list[str]]:
        """Return the reactors whose outputs a reactor needs with certainty, and those whose outputs it may need."""
        verdict = self.verdicts[key]
        if verdict.trace is not None:
            return self._keys_of(verdict.trace.inputs), self._keys_of(_unknown_inputs(verdict))
        # It would run: what it receives then is predicted from its code and from the execution that comes nearest.
        expected = self._context.predicted[key]
        nearest = next((reason.trace for reason in verdict.reasons if reason.trace), None)
        # After a mismatch the reactor starts, and receives what it receives on every path. An uncertain look-up first
        # asks for what its reasons name, and the reactor may not start at all.
        asked = expected.unconditional_receives if verdict.certain else _unknown_inputs(verdict)
        # A name that no code contains has no known sender before the first run.
        certain = [name for name in sorted(asked) if self._context.literal_senders(name)]
        possible = [*sorted({*expected.receives, *asked}), *(nearest.inputs if nearest else ())]
        return self._keys_of(certain), self._keys_of(possible)

    def _keys_of(self, names: Iterable[str]) -> list[str]:
        found: dict[str, None] = {}
        for name in names:
            while (key := self._unjudged_sender(name)) is not None:
                self._judge(key)
            for key in self._context.candidates(name):
                trace = self.verdicts[key].trace
                if trace is None or self._output(trace, name) is not None:
                    found[key] = None
                    break
        return list(found)


def _unknown_inputs(verdict: Verdict) -> list[str]:
    return [reason.name for reason in verdict.reasons if reason.kind is ReasonKind.INPUT_UNKNOWN]


def _outcome(verdict: Verdict, *, cache: bool) -> Outcome:
    if not cache:
        return Outcome.UNCACHED
    if verdict.trace is not None:
        return Outcome.CACHED
    new = any(reason.kind is ReasonKind.NEW for reason in verdict.reasons)
    return Outcome.NEW if new else Outcome.STALE


def _senders_first(targets: Iterable[str], below: dict[str, list[str]]) -> list[str]:
    done: dict[str, None] = {}
    entered: set[str] = set()
    for target in targets:
        stack = [] if target in entered else [(target, iter(below[target]))]
        entered.add(target)
        while stack:
            key, others = stack[-1]
            other = next((other for other in others if other not in entered), None)
            if other is None:
                stack.pop()
                done[key] = None
            else:
                entered.add(other)
                stack.append((other, iter(below[other])))
    return list(done)
