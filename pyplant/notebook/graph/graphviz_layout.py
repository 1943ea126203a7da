"""Positions computed by Graphviz if it is installed and fast enough, else by :mod:`.layered_layout`.

Graphviz runs in a process of its own, as ``dot`` or, if only its Python bindings are installed, in a
second interpreter: neither a crash in native code nor an endless layout affects the kernel of the user.
It gets sizes and numbers only, no names, so nothing needs quoting.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import lru_cache

from pyplant.errors import logger
from pyplant.notebook.graph.layered_layout import Edge, Layout, Point, Size
from pyplant.notebook.graph.layered_layout import arrange as arrange_ourselves

__all__ = ["arrange"]

_TIMEOUT = 2.0  # seconds; the user waits for the graph meanwhile
_MAX_NODES = 150  # Graphviz may take seconds for more
_MAX_EDGES = 400
_INCH = 72.0
_MARGIN = 10.0
_CODE = """\
import sys, pygraphviz
graph = pygraphviz.AGraph(string=sys.stdin.read())
sys.stdout.buffer.write(graph.draw(format="plain", prog="dot"))
"""
_DOT_HEADER = """\
digraph {
graph [rankdir=LR nodesep=0.2 ranksep=0.6]
node [shape=box fixedsize=true label=""]
edge [arrowhead=none tailport=e headport=w]
"""


def arrange(sizes: Sequence[Size], edges: Sequence[Edge]) -> Layout:
    """Lay a graph out, like :func:`pyplant.notebook.graph.layered_layout.arrange`, with a cache.

    Parameters
    ----------
    sizes
        The sizes of the nodes.
    edges
        Pairs of indices, source and target; each pair once.
    """
    return _arrange(tuple(sizes), tuple(edges))


# Graphs are shown again, and folded and unfolded, with the same boxes, and each call of Graphviz starts a process.
@lru_cache(maxsize=64)
def _arrange(sizes: tuple[Size, ...], edges: tuple[Edge, ...]) -> Layout:
    command = _command() if 0 < len(sizes) <= _MAX_NODES and len(edges) <= _MAX_EDGES else None
    if command is not None:
        try:
            return _from_plain(_run(command, _to_dot(sizes, edges)), len(sizes), edges)
        except (OSError, subprocess.SubprocessError, ValueError, LookupError) as error:
            logger().info("Graphviz gave no layout, so the built-in one is used: %s", error)
    return arrange_ourselves(sizes, edges)


def _command() -> list[str] | None:
    """Return the command that reads a graph from its input and writes it with positions."""
    dot = shutil.which("dot")
    if dot is not None:
        return [dot, "-Tplain"]
    if sys.executable and importlib.util.find_spec("pygraphviz") is not None:
        # -P: a file of the user beside the notebook must not take the place of pygraphviz or of what it imports.
        return [sys.executable, "-P", "-c", _CODE]
    return None


def _run(command: Sequence[str], graph: str) -> str:
    done = subprocess.run(  # noqa: S603 - our own program on our own numbers
        command,
        input=graph,
        capture_output=True,
        text=True,
        check=True,
        timeout=_TIMEOUT,
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )
    return done.stdout


def _to_dot(sizes: Sequence[Size], edges: Sequence[Edge]) -> str:
    lines = [
        f"n{node} [width={width / _INCH:.4f} height={height / _INCH:.4f}]"
        for node, (width, height) in enumerate(sizes)
    ]
    lines += [f"n{source} -> n{target}" for source, target in edges]
    return _DOT_HEADER + "\n".join(lines) + "\n}\n"


def _from_plain(plain: str, count: int, edges: Sequence[Edge]) -> Layout:
    """Read Graphviz's "plain" format: one node or edge a line, in inches, from bottom to top."""
    centres: dict[int, Point] = {}
    routes: dict[Edge, list[Point]] = {}
    width = height = 0.0

    def point(x: str, y: str) -> Point:
        return float(x) * _INCH + _MARGIN, (height - float(y)) * _INCH + _MARGIN

    for line in plain.splitlines():
        kind, *words = line.split()
        if kind == "graph":
            width, height = float(words[1]), float(words[2])
        elif kind == "node":
            centres[int(words[0][1:])] = point(words[1], words[2])
        elif kind == "edge":
            numbers = words[3 : 3 + 2 * int(words[2])]
            # Consecutive cubic Bézier curves: every third point lies on the edge, the others are control points.
            on_it = zip(numbers[::6], numbers[1::6], strict=True)
            routes[int(words[0][1:]), int(words[1][1:])] = [point(x, y) for x, y in on_it]
    size = (width * _INCH + 2 * _MARGIN, height * _INCH + 2 * _MARGIN)
    return Layout([centres[node] for node in range(count)], [routes[edge] for edge in edges], size)
