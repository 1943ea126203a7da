"""A snapshot of a plant for its graph: the status of the reactors, the edges, and facts about each reactor."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from operator import attrgetter
from typing import NamedTuple

from pyplant._definitions import Definition, orphans
from pyplant.engine.trace import DependencyKind, Trace
from pyplant.execution.context import RunContext
from pyplant.execution.failures import NO_FAILURE, Failure, failures_now
from pyplant.execution.staleness import Staleness
from pyplant.execution.summary import found_reads
from pyplant.plant import Plant, session_of
from pyplant.reports.graph import Edges
from pyplant.reports.report import Outcome, ReactorEntry, Status
from pyplant.store.ledger import Ledger
from pyplant.store.owner import Owner

__all__ = ["GraphSnapshot", "ReactorInfo", "in_order", "kept_traces", "take_snapshot"]


_MAX_KEPT = 200  # reactors of a plant that are shown before any is defined
_MAX_CLAIMS = 200  # reactors that are looked for among those that other processes execute


class ReactorInfo(NamedTuple):
    """Facts about one reactor that do not change while it runs.

    Attributes
    ----------
    name
        Its short name.
    address
        The argument for ``plant.run_reactor``: its name, or its full name if several reactors have
        the same name.
    where
        The cell or file that defines it.
    module
        Its module.
    is_orphan
        Whether its cell was deleted.
    inputs
        The ingredients that it receives.
    outputs
        The ingredients that it sends: name, format and bytes; without a format if it never ran.
    notes
        What its fingerprint could not follow, and what it read that cannot be compared.
    reads
        What its code read outside the plant without declaring it, and where.
    failure
        Its last failure, if it has not succeeded since.
    missing
        The ingredients that it needs to run, and that no reactor sends.
    runs_in
        The other process that executes it.
    is_kept
        Whether only the plant knows it: no code of this process defines it.
    """

    name: str
    address: str = ""
    where: str = ""
    module: str = ""
    is_orphan: bool = False
    inputs: tuple[str, ...] = ()
    outputs: tuple[tuple[str, str, int], ...] = ()
    notes: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    failure: Failure = NO_FAILURE
    missing: tuple[str, ...] = ()
    runs_in: Owner | None = None
    is_kept: bool = False


class GraphSnapshot(NamedTuple):
    """The state of a plant; ``reactors`` and ``definitions`` are in the order of ``status``, by name."""

    status: Status
    edges: Edges
    reactors: tuple[ReactorInfo, ...]
    definitions: tuple[Definition, ...] = ()

    @property
    def structure(self) -> tuple[list[ReactorInfo], Edges]:
        """The part that a graph draws again if it differs."""
        infos = [info._replace(failure=NO_FAILURE, missing=(), runs_in=None) for info in self.reactors]
        return infos, self.edges


def in_order(definitions: Mapping[str, Definition]) -> dict[str, Definition]:
    """Sort reactors by name, numbers in names by value.

    Not in the order of definition, since a cell that runs again defines its reactor last: nodes would change places.

    Parameters
    ----------
    definitions
        The reactors by key. Of several with one name, the one defined last stays the last.
    """

    def place(item: tuple[str, Definition]) -> list[tuple[int, str]]:
        # A number with more digits is larger.
        parts = re.split(r"0*([0-9]+)", item[1].name)
        return [(len(part) if number % 2 else 0, part) for number, part in enumerate(parts)]

    return dict(sorted(definitions.items(), key=place))


def take_snapshot(plant: Plant) -> GraphSnapshot | None:
    """Judge the staleness of all reactors, running nothing; ``None`` if another thread uses the plant.

    Raises
    ------
    pyplant.errors.PlantError
        If the status cannot be judged, for example because the plant was closed.
    """
    session = session_of(plant)
    # Not waited for: the caller handles an event or the end of a cell, and a run may take hours. The thread of a run
    # itself gets the lock, which is reentrant, when its run begins.
    if not session.lock.acquire(blocking=False):
        return None
    try:
        context = session.context().without_long_hashing()
        failed = failures_now(session.failed, context)
        if not context.definitions:
            return kept_reactors(session.warehouse.ledger, str(plant.directory))
        staleness = Staleness.of_all(context, failed)
        definitions = in_order(context.definitions)
        entries = tuple(staleness.entry(key, shows_failure=True) for key in definitions)
        status, edges = Status(entries, str(plant.directory)), staleness.edges()
        elsewhere = _running_elsewhere(session.warehouse.claims.held_by_others(), context, staleness)
        reactors = tuple(_reactor_infos(context, staleness, definitions, failed, elsewhere))
        return GraphSnapshot(status, edges, reactors, tuple(definitions.values()))
    finally:
        session.lock.release()


def _reactor_infos(
    context: RunContext,
    staleness: Staleness,
    definitions: Mapping[str, Definition],
    failed: Mapping[str, Failure],
    elsewhere: Mapping[str, Owner],
) -> Iterator[ReactorInfo]:
    names = Counter(definition.name for definition in definitions.values())
    for key, definition in definitions.items():
        trace = staleness.verdicts[key].trace or context.last(definition.full_name)
        expected = context.predicted[key]
        received = tuple(dict.fromkeys([*_received(trace), *sorted(expected.receives)]))
        is_done = staleness.verdicts[key].trace is not None
        yield ReactorInfo(
            definition.name,
            definition.name if names[definition.name] == 1 else definition.full_name,
            definition.place,
            definition.module,
            definition in orphans,
            received,
            tuple(_sent(trace, expected.sends)),
            context.notes(key, trace),
            tuple(found_reads(trace)),
            failed.get(key, NO_FAILURE),
            ()
            if is_done
            else tuple(n for n in expected.unconditional_receives if not _has_sender(context, n)),
            elsewhere.get(key),
        )


def _running_elsewhere(
    held: Mapping[str, Owner], context: RunContext, staleness: Staleness
) -> dict[str, Owner]:
    """Return the reactors that other processes execute, by key."""
    if not held:
        return {}
    stale = [key for key, verdict in staleness.verdicts.items() if verdict.trace is None][:_MAX_CLAIMS]
    claims = ((key, held.get(context.claim_key(key))) for key in stale)
    return {key: owner for key, owner in claims if owner is not None}


def kept_traces(ledger: Ledger) -> dict[str, Trace]:
    """Return the newest trace of each reactor of which a plant holds one, by its short name."""
    newest: dict[str, Trace] = {}
    rank = attrgetter("number", "writer")
    for trace in ledger.traces():
        newest[trace.reactor] = max(trace, newest.get(trace.reactor, trace), key=rank)
    # Names without their modules may be ambiguous; those of the newest are taken.
    found = sorted(newest.values(), key=rank)[-_MAX_KEPT:]
    return {trace.reactor.rpartition(".")[2]: trace for trace in found}


def kept_reactors(ledger: Ledger, directory: str) -> GraphSnapshot:
    """Return what a plant holds, for a process that has defined no reactor yet."""
    traces = kept_traces(ledger)
    senders = {output.name: name for name, trace in traces.items() for output in trace.outputs}
    entries, infos, edges = [], [], dict[str, dict[str, list[str]]]()
    for name, trace in sorted(traces.items()):
        outputs, received = tuple(o.name for o in trace.outputs), tuple(dict.fromkeys(trace.inputs))
        size = sum(output.size for output in trace.outputs)
        entries.append(ReactorEntry(name, Outcome.CACHED, (), trace.seconds, size, trace.finished, outputs))
        sent = tuple(_sent(trace, frozenset()))
        infos.append(ReactorInfo(name, name, inputs=received, outputs=sent, is_kept=True))
        edges[name] = {}
        for one in received:
            if senders.get(one, name) != name:
                edges[name].setdefault(senders[one], []).append(one)
    return GraphSnapshot(Status(tuple(entries), directory), edges, tuple(infos))


def _has_sender(context: RunContext, name: str) -> bool:
    return next(iter(context.candidates(name)), None) is not None


def _received(trace: Trace | None) -> Iterator[str]:
    for dependency in trace.dependencies if trace is not None else ():
        if dependency.kind is DependencyKind.INGREDIENT:
            yield from dependency.names


def _sent(trace: Trace | None, expected: frozenset[str]) -> Iterator[tuple[str, str, int]]:
    sent = (
        {output.name: (output.name, output.format, output.size) for output in trace.outputs} if trace else {}
    )
    yield from sent.values()
    yield from ((name, "", 0) for name in sorted(expected - sent.keys()))
