"""The blocks of a report, and their rendering as text and as HTML.

Front ends remove ``<style>`` from untrusted notebooks, and JupyterLab has rules for tables and code that no style sheet
of ours overrides reliably. So the arrangement is in ``style`` attributes, and the style sheet only adds fonts and
colours. Some front ends remove the attributes too. Lines are therefore rows of a table, whose cells stay separate
without any style.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pyplant._formatting import clean, escape
from pyplant.reports.table import Table, html_icon
from pyplant.reports.theme import REPORT

__all__ = ["Block", "as_html", "as_lines", "as_text"]

_CELL = "vertical-align:top;border:0;line-height:1.5"
_ICON = f"{_CELL};text-align:left;padding:0 .5em 0 0"
# Wide content does not widen the table: names are folded, diffs scroll. Where the style sheet is removed, so is the
# attribute that lets the keyboard scroll a diff, and its lines are folded instead.
_FOLDED = f"{_CELL};text-align:left;max-width:0;overflow-wrap:anywhere"
_TEXT = f"{_FOLDED};padding:0 .5em 0 0;width:100%"
_BELOW = f"{_FOLDED};padding:0"
_ASIDE = f"{_CELL};text-align:right;padding:0;white-space:nowrap;opacity:.75"
_CAUSE = "margin-left:1.2em"
_DIFF = (
    "margin:.2em 0 .4em;padding:.4em .6em;border:0;border-left:3px solid rgba(128,128,128,.4);"
    "background-color:rgba(128,128,128,.07);font-size:12px;line-height:1.45;white-space:pre-wrap;word-break:normal;"
    "overflow-wrap:anywhere;overflow-x:auto"
)
_LINES = {"+": "background-color:rgba(0,160,100,.18)", "-": "background-color:rgba(230,60,20,.16)"}


@dataclass(frozen=True, slots=True)
class Block:
    """A line of a report, and the blocks below it.

    Attributes
    ----------
    text
        The text of the line.
    icon
        A character before the text.
    aside
        A text at the right end of the line, such as a duration.
    style
        The name of an outcome, ``"cause"`` or ``"note"``; chooses the CSS class.
    code
        A diff shown below the line.
    children
        Blocks that are indented below the line.
    """

    text: str
    icon: str = ""
    aside: str = ""
    style: str = ""
    code: str = ""
    children: tuple[Block, ...] = ()


# ---------------------------------------------------------------------- text


def as_text(title: str, blocks: Iterable[Block | Table], width: int) -> str:
    """Return a report as plain text.

    Parameters
    ----------
    title
        The first line.
    blocks
        The lines and tables below it.
    width
        Maximum width of a line.
    """
    return "\n".join(as_lines(title, blocks, width))


def as_lines(title: str, blocks: Iterable[Block | Table], width: int) -> Iterator[str]:
    """Yield the lines of a report as plain text; see :func:`as_text`."""
    yield from _wrapped(clean(title), width, "")
    shown: set[str] = set()
    for block in blocks:
        yield from block.text(width) if isinstance(block, Table) else _text_lines(block, width, 1, shown)


def _wrapped(text: str, width: int, indent: str) -> list[str]:
    return textwrap.wrap(
        clean(text), width, subsequent_indent=indent + "  ", initial_indent=indent, break_on_hyphens=False
    ) or [indent.rstrip()]


def _text_lines(block: Block, width: int, depth: int, shown: set[str]) -> Iterator[str]:
    indent = "  " * depth
    mark = "" if block.style == "cause" else f"{block.icon} "
    aside = block.aside[: width // 2]
    room = width - len(aside) - 2 if aside else width
    again = " (see above)" if block.code in shown else ""
    lines = _wrapped(f"{mark}{block.text}{again}", room, indent)
    if aside:
        lines[0] = f"{lines[0]:<{room}}  {aside}"
    yield from lines
    if block.code and not again:
        shown.add(block.code)
        for line in block.code.splitlines():
            yield from _folded(clean(line), width, f"{indent}    ")
    for child in block.children:
        yield from _text_lines(child, width, depth + 1, shown)


def _folded(line: str, width: int, indent: str) -> Iterator[str]:
    """Yield a line of code, folded at the width; no character is dropped."""
    room = max(20, width - len(indent) - 2)
    yield f"{indent}{line[:room]}"
    for start in range(room, len(line), room):
        yield f"{indent}  {line[start : start + room]}"


# ---------------------------------------------------------------------- HTML


def as_html(title: str, blocks: Iterable[Block | Table]) -> str:
    """Return a report as HTML.

    Parameters
    ----------
    title
        The first line.
    blocks
        The lines and tables below it.
    """
    shown: set[str] = set()
    body, rows = "", ""
    for block in blocks:
        if isinstance(block, Table):
            body, rows = body + _html_rows(rows) + block.html(), ""
        else:
            rows += _html_row(block, shown)
    return (
        f'<div class="pyplant-report" style="max-width:48em"><style>{REPORT}</style>'
        f'<div style="font-weight:bold;margin-bottom:.3em">{escape(title)}</div>{body}{_html_rows(rows)}</div>'
    )


def _html_rows(rows: str) -> str:
    style = "border-collapse:collapse;table-layout:auto;border:0;margin:0;width:100%"
    return f'<table class="pp-rows" style="{style}"><tbody>{rows}</tbody></table>' if rows else ""


def _html_row(block: Block, shown: set[str]) -> str:
    kind = escape(block.style or "plain")
    icon = "" if block.style == "cause" else html_icon(block.icon, block.style)
    below = _html_below(block, shown)
    second = f'<td style="{_ICON}"></td><td colspan="2" class="pp-below" style="{_BELOW}">{below}</td>'
    return (
        f'<tr class="pp-{kind}" style="background:none">'
        f'<td class="pp-icon" style="{_ICON}">{icon}</td>'
        f'<td class="pp-text" style="{_TEXT}">{escape(block.text)}</td>'
        f'<td class="pp-aside" style="{_ASIDE}">{escape(block.aside)}</td></tr>'
    ) + (f'<tr style="background:none">{second}</tr>' if below else "")


def _html_below(block: Block, shown: set[str]) -> str:
    """Return the HTML below a line: its diff, and its causes with theirs."""
    code = ""
    if block.code in shown:
        code = " (see above)"
    elif block.code:
        # A box that scrolls must be reachable by keyboard.
        code = f'<pre class="pp-diff" tabindex="0" style="{_DIFF}">{_html_diff(block.code)}</pre>'
        shown.add(block.code)
    return code + "".join(
        f'<div class="pp-cause" style="{_CAUSE}">{escape(child.text)}{_html_below(child, shown)}</div>'
        for child in block.children
    )


def _html_diff(code: str) -> str:
    # A tint instead of a coloured text is readable on light and dark pages.
    styles = ((_LINES.get(line[:1]), escape(line)) for line in code.splitlines())
    return "\n".join(f'<span style="{style}">{line}</span>' if style else line for style, line in styles)
