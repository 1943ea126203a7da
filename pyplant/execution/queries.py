"""Queries that run nothing: ``status``, ``explain``, ``plan``, ``history``, ``edges`` and ``fetch``."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pyplant._formatting import format_age
from pyplant.config.views import described, is_value
from pyplant.engine.task import State
from pyplant.engine.trace import Trace
from pyplant.errors import DamagedError, MissingIngredientError, StaleWarning, logger, warn
from pyplant.execution.failures import failures_now
from pyplant.execution.finding import find
from pyplant.execution.staleness import Staleness
from pyplant.execution.summary import found_reads, history_entry
from pyplant.fingerprint.gc_pause import gc_paused
from pyplant.reports.report import Explanation, History, Outcome, Overview, Plan, Status

if TYPE_CHECKING:
    from pyplant.execution.session import Session

__all__ = ["edges", "explain", "fetch", "history", "overview", "plan", "status"]

_LIVE = {
    State.RUNNING: Outcome.RUNNING,
    State.SLEEPING: Outcome.WAITING,
    State.BLOCKED: Outcome.WAITING,
}


def status(session: Session) -> Status:
    """Return the state of every reactor, also in the current run."""
    with session.exclusive_access("plant.status"), gc_paused(enabled=False):
        live, context = session.states(), session.context().without_long_hashing()
        failed = failures_now(session.failed, context)
        staleness = Staleness.of_all(context, failed)
        entries = (
            staleness.entry(key, now=_LIVE.get(live.get(key, State.PENDING)), shows_failure=True)
            for key in staleness.in_order()  # not that of definition: a cell that runs again defines its reactor last
        )
        functions = [definition.function for definition in context.definitions.values()]
        edited = context.fingerprinter.edited_files(functions)
        return Status(tuple(entries), str(session.warehouse.root), tuple(sorted(edited)))


def overview(session: Session) -> Overview:
    """Return the number and size of stored executions, and the state of every reactor."""
    found = status(session)
    executions, inline = 0, 0
    objects: dict[str, int] = {}
    for trace in session.warehouse.ledger.traces():
        executions += 1
        for value in trace.stored:
            if value.object:
                objects[value.object] = value.size
            else:
                inline += value.size
    return Overview(found.directory, executions, inline + sum(objects.values()), found)


def explain(session: Session, wanted: Callable[..., Any] | str) -> Explanation:
    """Return why a reactor would run."""
    with session.exclusive_access("plant.explain"), gc_paused(enabled=False):
        definition, ingredient, context = find(session, wanted)
        staleness = Staleness(context.without_long_hashing(), failures_now(session.failed, context))
        staleness.judge([definition.key])
        key = definition.key
        last, verified = context.last(definition.full_name), staleness.verdicts[key].trace
        trace = verified or last
        entry = staleness.entry(key, as_target=True)
        reads, last_run = tuple(found_reads(trace)), _other_run(verified, last)
        edited = tuple(sorted(context.fingerprinter.edited_files([definition.function])))
        return Explanation(entry, context.notes(key, trace), ingredient, reads, last_run, edited)


def _other_run(verified: Trace | None, last: Trace | None) -> str:
    """Return how the last run of a reactor that is up to date differs from what is asked about now."""
    if verified is None or last is None or last.rank == verified.rank:
        return ""
    age = format_age(last.finished)
    when = (
        f"the last run, {age}, was another one"
        if last.rank > verified.rank
        else f"the last run used another one, computed {age}"  # which is no age of the run
    )
    if last.fingerprint != verified.fingerprint:
        return f"{when}: its code was different"
    differ = [
        f"{described(name)} was {old}, and is {verified.shown[name]} here"
        for name, old in last.shown.items()
        if verified.shown.get(name, old) != old and is_value(name, old)
    ]
    return f"{when}: {', '.join(differ) or 'what it received was different'}"


def plan(session: Session, wanted: Callable[..., Any] | str) -> Plan:
    """Return the reactors that running a reactor would involve."""
    with session.exclusive_access("plant.plan"), gc_paused(enabled=False):
        definition, ingredient, context = find(session, wanted)
        failed = failures_now(session.failed, context)
        entries = Staleness(context.without_long_hashing(), failed).plan(definition.key)
        return Plan(definition.name, tuple(entries), ingredient)


def history(session: Session, wanted: Callable[..., Any] | str) -> History:
    """Return the stored executions of a reactor, newest first."""
    with session.exclusive_access("plant.history"):
        definition, ingredient, _ = find(session, wanted)  # reads what other processes committed
        ledger = session.warehouse.ledger
        traces = [trace for name in definition.full_names for trace in ledger.of_reactor(name)]
        traces.sort(key=lambda trace: trace.rank, reverse=True)
        return History(definition.name, tuple(map(history_entry, traces)), ingredient)


def edges(session: Session) -> dict[str, dict[str, list[str]]]:
    """Return the edges of the graph by reactor name: receiver -> sender -> names of ingredients."""
    with session.exclusive_access("plant.graph"), gc_paused(enabled=False):
        return Staleness.of_all(session.context().without_long_hashing()).edges()


def fetch(session: Session, name: str) -> Any:
    """Return the stored value of an ingredient: the one that is up to date, else the newest, with a warning.

    Raises
    ------
    pyplant.errors.MissingIngredientError
        If the plant has no value of that name.
    pyplant.errors.NestedRunError
        If a reactor of this plant calls it: the result would not depend on what it read.
    """
    session.refuse_unrecorded_read(f"plant.fetch_ingredient({name!r})")
    with session.exclusive_access("plant.fetch_ingredient"):
        context = session.context()
        verified = Staleness(context).verified(name)
        stored = session.warehouse.ledger.senders_of(name)
    # The value that is up to date first, then older ones, newest first; damaged values are skipped.
    for trace in [verified, *stored] if verified is not None else stored:
        ingredient = trace.output(name)
        try:
            value = session.warehouse.load(ingredient) if ingredient is not None else None
        except DamagedError as error:
            logger().info("%s", error)
            continue
        if trace is not verified:
            message = f"{name!r} is not up to date; this is the value of {time.ctime(trace.finished)}."
            warn(StaleWarning, message)
        return value
    message = f"The plant has no value of {name!r}.{context.where_from(name)}"
    raise MissingIngredientError(message)
