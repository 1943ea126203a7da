"""A directive that draws the folders of the package and the imports between them, read from the code.

The picture cannot grow old: it is drawn anew with every build. Positions come from the package's own
layered layout, so no other program is needed.
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


def draw() -> str:
    """The rooms and arrows as SVG."""
    from pyplant.notebook.graph.layered_layout import arrange

    rooms, arrows = house()
    sizes = [(14.0 + 8.0 * len(name), 30.0) for name in rooms]
    numbers = {name: index for index, name in enumerate(rooms)}
    edges = [(numbers[start], numbers[end]) for start, end in arrows]
    layout = arrange(sizes, edges)
    lines = [
        f'<path d="M{" L".join(f"{x:.0f},{y:.0f}" for x, y in points)}" fill="none" stroke="currentColor" opacity="0.25"/>'
        for points in layout.routes
    ]
    boxes = [
        f'<g transform="translate({x - width / 2:.0f},{y - height / 2:.0f})"><rect width="{width:.0f}" height="{height:.0f}" '
        f'rx="6" fill="var(--pst-color-surface, #f4f4f4)" stroke="currentColor"/>'
        f'<text x="{width / 2:.0f}" y="{height / 2 + 4:.0f}" text-anchor="middle" font-size="13" fill="currentColor">{escape(name)}</text></g>'
        for name, (x, y), (width, height) in zip(rooms, layout.centres, sizes, strict=True)
    ]
    width, height = layout.size
    size = f'viewBox="0 0 {width:.0f} {height:.0f}" style="max-width:100%;height:auto"'
    label = "The folders of the package, and the imports between them"
    return f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{label}" {size}>{"".join(lines + boxes)}</svg>'


class House(SphinxDirective):
    """``.. house::`` draws the package."""

    def run(self) -> list[nodes.Node]:
        """The picture."""
        return [nodes.raw("", draw(), format="html")]


def setup(app: Any) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("house", House)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
