"""Sweeps: run a reactor under several configurations."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pyplant._missing import MISSING
from pyplant.errors import auxiliary_in_sweep_error
from pyplant.execution.finding import find_reactor
from pyplant.execution.summary import OUTCOMES
from pyplant.reports.report import Outcome
from pyplant.reports.sweep import Sweep, SweepRow, combinations

if TYPE_CHECKING:
    from pyplant.execution.session import RunResult, Session

__all__ = ["sweep"]


def sweep(
    session: Session,
    reactor: Callable[..., Any] | str,
    parameters: Mapping[str, Iterable[Any]],
    names: tuple[str, ...],
    *,
    keep_going: bool,
) -> Sweep:
    """Run a reactor under each combination of parameters; returns a table of the results.

    Parameters
    ----------
    session
        The session of the plant.
    reactor
        The function or its name.
    parameters
        The values of each parameter that varies.
    names
        Ingredients whose values the table contains.
    keep_going
        Whether to continue with the other configurations after a failure.

    Raises
    ------
    pyplant.errors.MissingParameterError
        If there is no such parameter; nothing has run then.
    pyplant.errors.ConfigError
        If a parameter has no list of values, or is marked as auxiliary, so that no result depends on it.
    """
    chosen = combinations(parameters)
    with session.exclusive_access("plant.sweep"):
        definition = find_reactor(session, reactor)
        base = session.parameters.snapshot()
        began = time.perf_counter()
        for name in chosen[0] if chosen else ():
            if mark := base.covering_mark(base.recorded(name)):
                raise auxiliary_in_sweep_error(name, mark)
        # Reading all code is slow and only needed for names that the configuration does not have.
        is_complete = all(base.value(name) is not MISSING for values in chosen for name in values)
        reads = frozenset() if is_complete else session.reads()
        variants = [base.varied(values, reads) for values in chosen]
        results = session.run(definition, names, variants=variants, keep_going=keep_going).results
        rows = (_row(definition.key, values, result) for values, result in zip(chosen, results, strict=True))
        return Sweep(definition.name, tuple(rows), time.perf_counter() - began)


def _row(key: str, parameters: dict[str, Any], result: RunResult) -> SweepRow:
    task = result.tasks[key]
    seconds = task.trace.seconds if task.trace is not None else 0.0
    error = next(iter(result.errors.values()), None)
    outcome = OUTCOMES.get(task.state, Outcome.SKIPPED)
    return SweepRow(parameters, result.values, outcome, seconds, error)
