"""Carrying out a sweep: a run for each configuration, in one loop."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pyplant._definitions import Definition
from pyplant._missing import MISSING
from pyplant.config.parameters import Parameters
from pyplant.errors import auxiliary_in_sweep_error
from pyplant.execution.summary import OUTCOMES
from pyplant.reports.report import Outcome
from pyplant.reports.sweep import Sweep, SweepRow

if TYPE_CHECKING:
    from pyplant.execution.session import Session, Variant

__all__ = ["sweep"]


def sweep(
    session: Session,
    definition: Definition,
    base: Parameters,
    chosen: Sequence[dict[str, Any]],
    names: tuple[str, ...],
    *,
    keep_going: bool,
) -> Sweep:
    """Bring a reactor up to date under each configuration, and make a table of it.

    Parameters
    ----------
    session
        Of the plant.
    definition
        The reactor.
    base, chosen
        The configuration, and the values that take the place of others in it.
    names
        Ingredients whose values the table is to hold.
    keep_going
        Whether one failure leaves the others be.

    Raises
    ------
    pyplant.errors.MissingParameterError
        If a name leads nowhere; nothing has run then.
    pyplant.errors.ConfigError
        If a name is marked as auxiliary, so that no result depends on it.
    """
    began = time.perf_counter()
    for name in chosen[0] if chosen else ():
        if mark := base.covering_mark(base.recorded(name)):
            raise auxiliary_in_sweep_error(name, mark)
    is_complete = all(base.value(name) is not MISSING for values in chosen for name in values)
    reads = frozenset() if is_complete else session.reads()
    variants = [base.varied(values, reads) for values in chosen]
    found = session.run_variants(definition, variants, names, keep_going=keep_going)
    rows = [
        _row(definition.key, values, names, variant) for values, variant in zip(chosen, found, strict=True)
    ]
    return Sweep(definition.name, tuple(rows), time.perf_counter() - began)


def _row(key: str, parameters: dict[str, Any], names: tuple[str, ...], variant: Variant) -> SweepRow:
    task = variant.run.scheduler.tasks[key]
    ingredients = dict(zip(names, variant.values, strict=False))
    seconds = task.trace.seconds if task.trace is not None else 0.0
    error = next(iter(variant.run.errors.values()), None)
    outcome = OUTCOMES.get(task.state, Outcome.SKIPPED)
    return SweepRow(parameters, ingredients, outcome, seconds, error)
