"""A table as people see it: as text that fits a width, and as HTML."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pyplant.engine.description import shorten
from pyplant.wording import clean, escape

__all__ = ["Line", "Table", "brief"]

_GAP = 2  # columns between two
_LEAST = 4  # of a cell that is cut off
_FEW = 6  # parts of a value that are told


@dataclass(frozen=True, slots=True)
class Line:
    """A row: its mark, what it is about in one word, its cells, and a sentence below them."""

    icon: str
    style: str
    cells: tuple[str, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a head."""

    head: tuple[str, ...]
    lines: tuple[Line, ...]

    def text(self, width: int) -> Iterator[str]:
        """The table in lines of at most ``width`` characters; cells that are too long are cut off."""
        rows = [tuple(map(clean, row)) for row in (self.head, *(line.cells for line in self.lines))]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        room = width - 4 - _GAP * (len(widths) - 1)
        while sum(widths) > room and max(widths) > _LEAST:
            widths[widths.index(max(widths))] -= 1
        head, *rest = (_joined(row, widths) for row in rows)
        yield f"    {head}"[:width].rstrip()
        for line, row in zip(self.lines, rest, strict=True):
            yield f"  {line.icon} {row}"[:width].rstrip()
            if line.note:
                yield f"    {_cut(clean(line.note), width - 4)}"

    def html(self) -> str:
        """The table as HTML, in the look of :data:`pyplant.theme.REPORT`."""
        head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in self.head)
        body = "".join(map(self._html_line, self.lines))
        return f'<table class="pp-table"><thead><tr><td></td>{head}</tr></thead><tbody>{body}</tbody></table>'

    def _html_line(self, line: Line) -> str:
        cells = "".join(f"<td>{escape(cell)}</td>" for cell in line.cells)
        icon = f'<td><span class="pp-icon" aria-hidden="true">{escape(line.icon)}</span></td>'
        note = ""
        if line.note:
            note = f'<tr><td></td><td colspan="{len(self.head)}">{escape(line.note)}</td></tr>'
        return f'<tr class="pp-{escape(line.style)}" title="{escape(line.style)}">{icon}{cells}</tr>{note}'


def _joined(row: tuple[str, ...], widths: list[int]) -> str:
    gap = " " * _GAP
    return gap.join(f"{_cut(cell, width):<{width}}" for cell, width in zip(row, widths, strict=True))


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


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
