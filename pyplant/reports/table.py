"""A table as people see it: as text that fits a width, and as HTML."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

from pyplant._formatting import clean, escape
from pyplant.fingerprint.description import shorten

__all__ = ["Row", "Table", "aligned", "brief"]

_GAP = 2  # columns between two
_LEAST = 4  # of a cell that is cut off
_FEW = 6  # parts of a value that are told


@dataclass(frozen=True, slots=True)
class Row:
    """A row: its mark, what it is about in one word, its cells, and a sentence below them."""

    icon: str
    style: str
    cells: tuple[str, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a head."""

    head: tuple[str, ...]
    lines: tuple[Row, ...]

    def text(self, width: int) -> Iterator[str]:
        """The table in lines of at most ``width`` characters; cells that are too long are cut off."""
        head, *rest = aligned([self.head, *(line.cells for line in self.lines)], width - 4)
        yield f"    {head}".rstrip()
        for line, row in zip(self.lines, rest, strict=True):
            yield f"  {line.icon} {row}".rstrip()
            if line.note:
                yield f"    {_sized(clean(line.note), width - 4).rstrip()}"

    def html(self) -> str:
        """The table as HTML, in the look of :data:`pyplant.reports.theme.REPORT`."""
        head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in self.head)
        body = "".join(map(self._html_line, self.lines))
        return f'<table class="pp-table"><thead><tr><td></td>{head}</tr></thead><tbody>{body}</tbody></table>'

    def _html_line(self, line: Row) -> str:
        cells = "".join(f"<td>{escape(cell)}</td>" for cell in line.cells)
        icon = f'<td><span class="pp-icon" aria-hidden="true">{escape(line.icon)}</span></td>'
        note = ""
        if line.note:
            note = f'<tr><td></td><td colspan="{len(self.head)}">{escape(line.note)}</td></tr>'
        return f'<tr class="pp-{escape(line.style)}" title="{escape(line.style)}">{icon}{cells}</tr>{note}'


def aligned(
    rows: Iterable[Sequence[str]], width: float = math.inf, right: AbstractSet[int] = frozenset()
) -> Iterator[str]:
    """Rows as lines of text, their cells below each other.

    A ``rich.table.Table`` takes half a millisecond a row, so that a list of thousands of ingredients would
    take seconds. What it knows about the width of characters is used here.

    Parameters
    ----------
    rows
        The cells, in each row as many.
    width
        No line is wider; the widest cells are cut off.
    right
        Numbers of the columns that are aligned at their right end.
    """
    from rich.cells import cell_len

    rows = [tuple(map(clean, row)) for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    room = width - _GAP * (len(widths) - 1)
    while sum(widths) > room and max(widths) > _LEAST:
        widths[widths.index(max(widths))] -= 1
    is_narrow = sum(widths) > room
    for row in rows:
        cells = (
            _sized(cell, width, is_right=number in right)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        line = (" " * _GAP).join(cells)
        yield (_sized(line, int(width)) if is_narrow else line).rstrip()


def _sized(text: str, width: int, *, is_right: bool = False) -> str:
    """Fill a text up to a width, or cut it off."""
    from rich.cells import cell_len, set_cell_size

    length = cell_len(text)
    if length > width:
        return f"{set_cell_size(text, width - 1)}…"
    return " " * (width - length) + text if is_right else text + " " * (width - length)


def brief(value: Any) -> str:
    """What a value is about: four digits of numbers, and what small collections hold."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if type(value) is dict and 0 < len(value) <= _FEW:
        return ", ".join(f"{_name(key)}: {brief(part)}" for key, part in value.items())
    if type(value) in (list, tuple) and 0 < len(value) <= _FEW:
        return ", ".join(map(brief, value))
    return shorten(value)


def _name(key: Any) -> str:
    return key if isinstance(key, str) else shorten(key)
