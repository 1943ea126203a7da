"""Sweeps: the results of one reactor under many configurations, as a table."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pyplant._formatting import counted, error_text, format_seconds
from pyplant.errors import ConfigError
from pyplant.fingerprint.graph_node import shorten
from pyplant.reports.blocks import Block
from pyplant.reports.report import ICONS, Outcome, Report, counts
from pyplant.reports.table import Row, Table, brief

__all__ = ["Sweep", "SweepRow", "combinations"]

_MAX_ROWS = 60  # displayed rows; to_pandas returns all of them


@dataclass(frozen=True, slots=True)
class SweepRow:
    """One configuration of a sweep.

    Attributes
    ----------
    parameters
        The values that were varied.
    ingredients
        The values of the requested ingredients; empty if the reactor failed.
    outcome
        ``CACHED``, ``RAN``, ``FAILED`` or ``SKIPPED``.
    seconds
        Duration of the execution, also of a cached one.
    error
        The exception that the reactor raised, or ``None``.
    """

    parameters: dict[str, Any]
    ingredients: dict[str, Any]
    outcome: Outcome
    seconds: float
    error: BaseException | None = None

    def flat(self) -> dict[str, Any]:
        """Return all fields as one dictionary, as for a row of a table."""
        return {**self.parameters, **self.ingredients, "outcome": self.outcome.value, "seconds": self.seconds}


@dataclass(frozen=True, repr=False)
class Sweep(Report):
    """The result of a sweep: one row for each configuration, in the order of the parameters."""

    reactor: str
    rows: tuple[SweepRow, ...]
    seconds: float

    def __iter__(self) -> Iterator[SweepRow]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> SweepRow:
        return self.rows[index]

    def to_pandas(self) -> Any:
        """Return a ``pandas.DataFrame`` with a column for each parameter and ingredient, ``outcome`` and ``seconds``.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        import pandas

        return pandas.DataFrame([row.flat() for row in self.rows])

    def title(self) -> str:
        """Return the first line."""
        found = counts(row.outcome for row in self.rows)
        many = counted(len(self.rows), "configuration")
        return f"{self.reactor}: {many}, {found or 'nothing to do'} in {format_seconds(self.seconds)}"

    def blocks(self) -> Iterator[Block | Table]:
        """Yield the content."""
        if self.rows:
            shown = self.rows[:_MAX_ROWS]
            names = dict.fromkeys(name for row in shown for name in row.ingredients)
            head = (*self.rows[0].parameters, *names, "time")
            yield Table(head, tuple(_table_row(row, tuple(names)) for row in shown))
        if len(self.rows) > _MAX_ROWS:
            yield Block(f"and {len(self.rows) - _MAX_ROWS} more; to_pandas() has them all", style="cause")


def _table_row(row: SweepRow, names: tuple[str, ...]) -> Row:
    parameters = map(shorten, row.parameters.values())
    ingredients = (brief(row.ingredients[name]) if name in row.ingredients else "" for name in names)
    cells = (*parameters, *ingredients, format_seconds(row.seconds) if row.seconds else "")
    error = "" if row.error is None else error_text(row.error)
    return Row(ICONS[row.outcome], row.outcome.value, cells, error)


def combinations(varied: Mapping[str, Iterable[Any]]) -> list[dict[str, Any]]:
    """Return all combinations of the values; the last parameter varies fastest.

    Raises
    ------
    pyplant.errors.ConfigError
        If a parameter is not given a list of values.
    """
    if not isinstance(varied, Mapping) or not varied:
        message = 'A sweep takes the parameters to vary, as in plant.sweep("train", {"alpha": [0.1, 1.0]}).'
        raise ConfigError(message)
    lists: list[list[Any]] = []
    for name, values in varied.items():
        if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
            message = f"Parameter {name!r} is varied over {values!r}; give a list of values: [{values!r}]."
            raise ConfigError(message)
        lists.append(list(values))
    return [dict(zip(varied, chosen, strict=True)) for chosen in itertools.product(*lists)]
