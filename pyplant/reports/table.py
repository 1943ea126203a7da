"""Tables, as text that fits a width and as HTML."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

from pyplant._formatting import clean, escape
from pyplant.fingerprint.graph_node import shorten

__all__ = ["Row", "Table", "aligned", "brief", "html_icon"]

_GAP = 2  # spaces between two columns
_MIN_CELL_WIDTH = 4  # below this a truncated cell says nothing
_MAX_PARTS = 6  # parts of a collection that are shown
_MAX_DEPTH = 3  # collections in each other that are shown; a part can contain itself

# Front ends have rules of their own for tables, and remove the style sheet from untrusted notebooks.
_TABLE = "border-collapse:collapse;table-layout:auto;border:0;margin:0"
_CELL = "text-align:left;vertical-align:baseline;border:0;padding:.1em 1.6em .1em 0;max-width:32em;white-space:normal"
_ICON = "text-align:left;vertical-align:baseline;border:0;padding:.1em .5em .1em 0"


@dataclass(frozen=True, slots=True)
class Row:
    """A row: an icon, a style name, the cells, and an optional sentence below them."""

    icon: str
    style: str
    cells: tuple[str, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows with a header."""

    head: tuple[str, ...]
    rows: tuple[Row, ...]

    def text(self, width: int) -> Iterator[str]:
        """Yield the lines of the table, at most ``width`` characters each; long cells are truncated."""
        head, *lines = aligned([self.head, *(row.cells for row in self.rows)], width - 4)
        yield f"    {head}".rstrip()
        for row, line in zip(self.rows, lines, strict=True):
            yield f"  {row.icon} {line}".rstrip()
            if row.note:
                yield f"    {_fit(clean(row.note), width - 4).rstrip()}"

    def html(self) -> str:
        """Return the table as HTML, for the style sheet :data:`pyplant.reports.theme.REPORT`."""
        head = "".join(
            f'<th scope="col" style="{_CELL};font-weight:bold">{escape(cell)}</th>' for cell in self.head
        )
        body = "".join(map(self._html_row, self.rows))
        return (
            f'<table class="pp-table" style="{_TABLE}"><thead><tr><td style="{_ICON}"></td>{head}</tr></thead>'
            f"<tbody>{body}</tbody></table>"
        )

    def _html_row(self, row: Row) -> str:
        cells = "".join(f'<td style="{_CELL}">{escape(cell)}</td>' for cell in row.cells)
        icon = f'<td class="pp-icon" style="{_ICON}">{html_icon(row.icon, row.style)}</td>'
        note = ""
        if row.note:
            note = (
                f'<tr style="background:none"><td style="{_ICON}"></td>'
                f'<td colspan="{len(self.head)}" style="{_CELL}">{escape(row.note)}</td></tr>'
            )
        return f'<tr class="pp-{escape(row.style)}" style="background:none">{icon}{cells}</tr>{note}'


def html_icon(icon: str, meaning: str) -> str:
    """Return an icon as HTML; screen readers read its meaning instead, and the pointer shows it."""
    word = escape(meaning)
    return (
        f'<span role="img" aria-label="{word}" title="{word}">{escape(icon)}</span>' if word else escape(icon)
    )


def aligned(
    rows: Iterable[Sequence[str]], width: float = math.inf, right: AbstractSet[int] = frozenset()
) -> Iterator[str]:
    """Yield rows as lines of text with aligned columns.

    A ``rich.table.Table`` takes half a millisecond per row, seconds for thousands of ingredients. Only the
    character widths come from rich.

    Parameters
    ----------
    rows
        The cells; all rows have the same number of them.
    width
        Maximum width of a line; the widest columns are truncated.
    right
        Indices of the right-aligned columns.
    """
    from rich.cells import cell_len

    rows = [tuple(map(clean, row)) for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    room = width - _GAP * (len(widths) - 1)
    while sum(widths) > room and max(widths) > _MIN_CELL_WIDTH:
        widths[widths.index(max(widths))] -= 1
    is_narrow = sum(widths) > room
    for row in rows:
        cells = (
            _fit(cell, width, is_right=number in right)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        line = (" " * _GAP).join(cells)
        yield (_fit(line, int(width)) if is_narrow else line).rstrip()


def _fit(text: str, width: int, *, is_right: bool = False) -> str:
    """Pad or truncate a text to a width."""
    from rich.cells import cell_len, set_cell_size

    length = cell_len(text)
    if length > width:
        return f"{set_cell_size(text, width - 1)}…"
    return " " * (width - length) + text if is_right else text + " " * (width - length)


def brief(value: Any, depth: int = 0) -> str:
    """Return a short text of a value: floats with four digits, small collections with their parts."""
    if isinstance(value, float):
        return f"{value:.4g}"
    is_small = type(value) in (dict, list, tuple) and 0 < len(value) <= _MAX_PARTS and depth < _MAX_DEPTH
    if is_small and type(value) is dict:
        return ", ".join(f"{_key_text(key)}: {brief(part, depth + 1)}" for key, part in value.items())
    if is_small:
        return ", ".join(brief(part, depth + 1) for part in value)
    return shorten(value)


def _key_text(key: Any) -> str:
    return key if isinstance(key, str) else shorten(key)
