"""A directive that draws the folders of the package and the imports between them, read from the code.

Every build draws the picture again, so it always shows the present code. The layout is that of the live graph, so
no other program is needed. With an arrow for each import nobody could follow one (25 rooms, 145 pairs), so:

- an arrow that a longer path implies is left out (the transitive reduction);
- modules that import no folder, such as ``errors``, are a row of their own without arrows, since most rooms use them.
"""

from __future__ import annotations

import ast
from collections import Counter
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

PACKAGE = Path(__file__).resolve().parents[2] / "pyplant"
_HEIGHT = 28.0  # of a box, in pixels
_GAP = 12.0  # between two boxes of the row at the bottom
_TIP = (
    '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    '<path d="M0,0 L8,4 L0,8 z" fill="currentColor"/></marker></defs>'
)


def imports(path: Path) -> set[str]:
    """The modules of the package that a file imports, also inside functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "pyplant":
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.split(".")[0] == "pyplant"}
    return found


def room(module: str) -> str:
    """The folder that a module lies in; modules at the top of the package stand for themselves."""
    parts = module.split(".")[1:]
    if not parts:
        return ""
    top = PACKAGE / parts[0]
    return f"{parts[0]}/" if top.is_dir() else parts[0] if top.with_suffix(".py").exists() else ""


def house() -> tuple[list[str], Counter[tuple[str, str]]]:
    """The rooms, and how many imports lead from one to another."""
    arrows: Counter[tuple[str, str]] = Counter()
    rooms: dict[str, None] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        own = room(".".join(["pyplant", *path.relative_to(PACKAGE).with_suffix("").parts]))
        if own in ("", "__init__", "__main__"):
            continue
        rooms[own] = None
        for target in {room(name) for name in imports(path)} - {own, "", "__init__"}:
            arrows[own, target] += 1
    return list(rooms), arrows


def shared(rooms: list[str], arrows: Counter[tuple[str, str]]) -> set[str]:
    """The modules at the top of the package that import only each other."""
    found = {name for name in rooms if not name.endswith("/")}
    while leaving := {start for start, end in arrows if start in found and end not in found}:
        found -= leaving
    return found


def reduced(edges: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """The edges that no longer path implies."""
    followers: dict[str, set[str]] = {}
    for start, end in edges:
        followers.setdefault(start, set()).add(end)

    def below(start: str) -> set[str]:
        found: set[str] = set()
        stack = list(followers.get(start, ()))
        while stack:
            name = stack.pop()
            if name not in found:
                found.add(name)
                stack += followers.get(name, ())
        return found

    return {
        (start, end)
        for start, end in edges
        if not any(end in below(other) for other in followers[start] - {end})
    }


def draw() -> str:
    """The rooms and arrows as SVG, from top to bottom."""
    from pyplant.notebook.graph.layered_layout import arrange

    rooms, arrows = house()
    row = [name for name in rooms if name in shared(rooms, arrows)]
    columns = [name for name in rooms if name not in row]
    numbers = {name: index for index, name in enumerate(columns)}
    pairs = {(start, end) for start, end in arrows if start in numbers and end in numbers}
    # The layout runs from left to right; with both axes exchanged it runs from top to bottom.
    edges = [(numbers[start], numbers[end]) for start, end in sorted(reduced(pairs))]
    layout = arrange([(_HEIGHT, _width(name)) for name in columns], edges)
    row_width = _GAP + sum(_width(name) + _GAP for name in row)
    height, columns_width = layout.size
    width = max(columns_width, row_width)
    offset, left, top = (width - columns_width) / 2, (width - row_width) / 2 + _GAP, height + _HEIGHT
    lines = [_arrow([(offset + y, x) for x, y in points]) for points in layout.routes]
    boxes = [_box(name, offset + y, x) for name, (x, y) in zip(columns, layout.centres, strict=True)]
    for name in row:
        boxes.append(_box(name, left + _width(name) / 2, top))
        left += _width(name) + _GAP
    height = top + _HEIGHT
    size = f'viewBox="0 0 {width:.0f} {height:.0f}" style="max-width:100%;width:{width:.0f}px;height:auto"'
    label = "The folders of the package, and the imports between them"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{label}" {size}>{_TIP}'
        f"{''.join(lines + boxes)}</svg>"
    )


def _width(name: str) -> float:
    return 16.0 + 7.5 * len(name)


def _arrow(points: list[tuple[float, float]]) -> str:
    path = " L".join(f"{x:.0f},{y:.0f}" for x, y in points)
    return f'<path d="M{path}" fill="none" stroke="currentColor" opacity="0.55" marker-end="url(#tip)"/>'


def _box(name: str, x: float, y: float) -> str:
    width = _width(name)
    return (
        f'<g transform="translate({x - width / 2:.0f},{y - _HEIGHT / 2:.0f})"><rect width="{width:.0f}" '
        f'height="{_HEIGHT:.0f}" rx="6" fill="var(--pst-color-surface, #f4f4f4)" stroke="currentColor"/>'
        f'<text x="{width / 2:.0f}" y="{_HEIGHT / 2 + 4:.0f}" text-anchor="middle" font-size="13" '
        f'fill="currentColor">{escape(name)}</text></g>'
    )


class House(SphinxDirective):
    """``.. house::`` draws the package."""

    def run(self) -> list[nodes.Node]:
        """The picture."""
        return [nodes.raw("", draw(), format="html")]


def setup(app: Any) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("house", House)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
