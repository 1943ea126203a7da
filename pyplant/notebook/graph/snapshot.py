"""A snapshot of a plant for its graph: the status of the reactors, the edges, and facts about each reactor."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from pyplant._definitions import Definition, orphans
from pyplant.engine.trace import DependencyKind, Trace
from pyplant.execution.context import RunContext
from pyplant.execution.failures import NO_FAILURE, Failure
from pyplant.execution.staleness import Staleness
from pyplant.execution.summary import found_reads
from pyplant.plant import Plant, session_of
from pyplant.reports.graph import Edges
from pyplant.reports.report import Status

__all__ = ["GraphSnapshot", "ReactorInfo", "in_order", "take_snapshot"]


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


class GraphSnapshot(NamedTuple):
    """The state of a plant; ``reactors`` and ``definitions`` are in the order of ``status``, by name."""

    status: Status
    edges: Edges
    reactors: tuple[ReactorInfo, ...]
    definitions: tuple[Definition, ...] = ()


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
        context, failed = session.context().without_long_hashing(), session.failed
        staleness = Staleness.of_all(context)
        definitions = in_order(context.definitions)
        entries = tuple(staleness.entry(key, error=failed.get(key, NO_FAILURE).text) for key in definitions)
        status, edges = Status(entries, str(plant.directory)), staleness.edges()
        reactors = tuple(_reactor_infos(context, staleness, definitions, failed))
        return GraphSnapshot(status, edges, reactors, tuple(definitions.values()))
    finally:
        session.lock.release()


def _reactor_infos(
    context: RunContext,
    staleness: Staleness,
    definitions: Mapping[str, Definition],
    failed: Mapping[str, Failure],
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
        )


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
