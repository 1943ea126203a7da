"""The blocks of a report, and their rendering as text and as HTML.

The HTML is readable without its style sheet, since front ends remove ``<style>`` from untrusted notebooks, and some
remove ``style`` attributes too. Lines are therefore rows of a table, whose cells stay separate without styles.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pyplant._formatting import clean, escape
from pyplant.reports.table import Table
from pyplant.reports.theme import REPORT

__all__ = ["Block", "as_html", "as_text"]

_TOP = 'style="vertical-align:top"'  # notebooks centre cells vertically and align them to the right
_LEFT = 'style="text-align:left;vertical-align:top"'


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
    lines = [*_wrapped(clean(title), width, "")]
    shown: set[str] = set()
    for block in blocks:
        lines += block.text(width) if isinstance(block, Table) else _text_lines(block, width, 1, shown)
    return "\n".join(lines)


def _wrapped(text: str, width: int, indent: str) -> list[str]:
    return textwrap.wrap(
        clean(text), width, subsequent_indent=indent + "  ", initial_indent=indent, break_on_hyphens=False
    ) or [indent.rstrip()]


def _text_lines(block: Block, width: int, depth: int, shown: set[str]) -> Iterator[str]:
    indent = "  " * depth
    mark = "" if block.style == "cause" else f"{block.icon} "
    aside = block.aside[: width // 2]
    room = width - len(aside) - 2 if aside else width
    lines = _wrapped(f"{mark}{block.text}", room, indent)
    if aside:
        lines[0] = f"{lines[0]:<{room}}  {aside}"
    yield from lines
    if block.code in shown:
        yield f"{indent}    (see above)"
    elif block.code:
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
        f'<div class="pp-title" style="font-weight:bold">{escape(title)}</div>{body}{_html_rows(rows)}</div>'
    )


def _html_rows(rows: str) -> str:
    return f'<table class="pp-rows"><tbody>{rows}</tbody></table>' if rows else ""


def _html_row(block: Block, shown: set[str]) -> str:
    icon = "" if block.style == "cause" else escape(block.icon)
    state = f' title="{escape(block.style)}"' if block.style not in ("", "cause") else ""
    return (
        f'<tr class="pp-row pp-{escape(block.style or "plain")}"{state}>'
        f'<td {_LEFT} class="pp-icon" aria-hidden="true">{icon}</td>'
        f'<td {_LEFT} class="pp-text">{escape(block.text)}{_html_below(block, shown)}</td>'
        f'<td {_TOP} class="pp-aside">{escape(block.aside)}</td></tr>'
    )


def _html_below(block: Block, shown: set[str]) -> str:
    """Return the HTML below a line: its diff, and its causes with theirs."""
    diff = "(see above)" if block.code in shown else _html_diff(block.code)
    code = f'<pre class="pp-diff">{diff}</pre>' if block.code else ""
    shown.add(block.code)
    return code + "".join(
        f'<div class="pp-cause" style="margin-left:1.6em">{escape(child.text)}{_html_below(child, shown)}</div>'
        for child in block.children
    )


def _html_diff(code: str) -> str:
    lines = []
    for line in code.splitlines():
        kind = {"+": "pp-add", "-": "pp-del"}.get(line[:1], "pp-same")
        lines.append(f'<span class="{kind}">{escape(line)}</span>')
    return "\n".join(lines)
