"""Wraps the drawing of a long chain into rows, as text is wrapped into lines, and many lone nodes likewise.

A drawing is wrapped if it is much wider than a page and so low that some rows fit below each other. An edge to the next
row turns at the right end of its row, leads back between the rows, and enters the next one from the left. Several edges
that turn together are nested, so that they do not cross.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable, Sequence
from itertools import pairwise

from pyplant.notebook.graph.layered_layout import COLUMN_GAP, MARGIN, NODE_GAP, Edge, Layout, Point, Size

__all__ = ["arrange_in_rows", "is_long", "wrap"]

_ROW_WIDTH = 1080.0  # pixels; a cell of a notebook is about as wide
_MIN_WIDTH = 2 * _ROW_WIDTH  # of a drawing that is wrapped
_MAX_HEIGHT = 240.0  # four nodes
_MAX_LONE = 9  # nodes without edges that may stand below each other
_LANE = 5.0  # pixels between two edges that turn together
_TURN = 14.0  # pixels between the end of a row and the first edge that turns there


def arrange_in_rows(
    sizes: Sequence[Size], edges: Sequence[Edge], arranger: Callable[[Sequence[Size], Sequence[Edge]], Layout]
) -> Layout:
    """Lay a graph out, with a long chain in rows, and with many nodes without edges in rows below the others.

    Parameters
    ----------
    sizes
        The sizes of the nodes.
    edges
        Pairs of indices, source and target.
    arranger
        The layout function.
    """
    joined = sorted({node for edge in edges for node in edge})
    if len(sizes) - len(joined) <= _MAX_LONE:
        return wrap(arranger(sizes, edges), sizes)
    place = {node: index for index, node in enumerate(joined)}
    some = [sizes[node] for node in joined]
    layout = wrap(arranger(some, [(place[one], place[other]) for one, other in edges]), some)
    centres = dict(zip(joined, layout.centres, strict=True))
    lone = [node for node in range(len(sizes)) if node not in place]
    width, height = (max(lengths) + NODE_GAP for lengths in zip(*(sizes[node] for node in lone), strict=True))
    count = max(1, int(_ROW_WIDTH / width))
    top = max(layout.size[1], MARGIN)
    for number, node in enumerate(lone):
        row, column = divmod(number, count)
        centres[node] = MARGIN + column * width + sizes[node][0] / 2, top + row * height + sizes[node][1] / 2
    right = MARGIN + min(count, len(lone)) * width - NODE_GAP + MARGIN
    rows = -(-len(lone) // count)
    size = max(layout.size[0], right), top + rows * height - NODE_GAP + MARGIN
    return Layout([centres[node] for node in range(len(sizes))], layout.routes, size, layout.rows + rows)


def is_long(layout: Layout) -> bool:
    """Return whether a drawing is to be wrapped."""
    width, height = layout.size
    return width > _MIN_WIDTH and height <= _MAX_HEIGHT


def wrap(layout: Layout, sizes: Sequence[Size]) -> Layout:
    """Wrap a drawing if it is long.

    Parameters
    ----------
    layout
        The drawing.
    sizes
        The sizes of the nodes.
    """
    if not is_long(layout):
        return layout
    starts = _row_starts(layout, sizes)
    turns = _Turns(layout, sizes, starts)
    centres = [turns.moved(centre) for centre in layout.centres]
    routes = [turns.route(number, route) for number, route in enumerate(layout.routes)]
    points = [point for route in routes for point in route]
    corners = [(x + w / 2, y + h / 2) for (x, y), (w, h) in zip(centres, sizes, strict=True)]
    right, bottom = (max(values) for values in zip(*corners, *points, strict=True))
    return Layout(centres, routes, (right + MARGIN, bottom + MARGIN), len(starts))


def _row_starts(layout: Layout, sizes: Sequence[Size]) -> list[float]:
    """Return where each row starts in the drawing: in the gap before its first column."""
    columns: dict[float, float] = {}
    for (x, _), (width, _) in zip(layout.centres, sizes, strict=True):
        columns[x] = max(columns.get(x, 0.0), width)
    starts = [min(x - width / 2 for x, width in columns.items()) - COLUMN_GAP / 2]
    for x, width in sorted(columns.items()):
        if x + width / 2 - starts[-1] > _ROW_WIDTH:
            starts.append(x - width / 2 - COLUMN_GAP / 2)
    return starts


class _Turns:
    """The rows, and the edges that turn at the end of each."""

    def __init__(self, layout: Layout, sizes: Sequence[Size], starts: Sequence[float]) -> None:
        self._starts = starts
        self._lanes: list[list[tuple[float, int]]] = [[] for _ in starts]
        for number, route in enumerate(layout.routes):
            for one, other in pairwise(sorted(route)):
                for row in range(self._row(one), self._row(other)):
                    self._lanes[row].append((one[1], number))
        for lanes in self._lanes:
            lanes.sort()
        self._indent = _TURN + max(map(len, self._lanes)) * _LANE
        self._shifts, self._bottoms = self._heights(layout, sizes)

    def _heights(self, layout: Layout, sizes: Sequence[Size]) -> tuple[list[float], list[float]]:
        """Return how far each row is moved downwards, and where it ends then."""
        corners = [
            (self._row((x, y)), y + sign * height / 2)
            for (x, y), (_, height) in zip(layout.centres, sizes, strict=True)
            for sign in (-1, 1)
        ]
        corners += [(self._row(point), point[1]) for route in layout.routes for point in route]
        shifts, bottoms, top = [], [], MARGIN
        for row, lanes in enumerate(self._lanes):
            heights = [y for at, y in corners if at == row]
            shifts.append(top - min(heights))
            bottoms.append(max(heights) + shifts[-1])
            top = bottoms[-1] + 2 * _TURN + len(lanes) * _LANE
        return shifts, bottoms

    def _row(self, point: Point) -> int:
        return bisect(self._starts, point[0]) - 1

    def moved(self, point: Point) -> Point:
        """Return where a point of the drawing is."""
        row = self._row(point)
        return point[0] - self._starts[row] + self._indent, point[1] + self._shifts[row]

    def route(self, number: int, route: Sequence[Point]) -> list[Point]:
        """Return the route of an edge, with its turns."""
        forward = sorted(route)
        points = [self.moved(forward[0])]
        for one, other in pairwise(forward):
            height = points[-1][1]
            for row in range(self._row(one), self._row(other)):
                # The highest edge is the outermost on the right, the lowest between the rows, and the first on the left.
                lane = self._lanes[row].index((one[1], number))
                outer = len(self._lanes[row]) - 1 - lane
                end = self._starts[row + 1] - self._starts[row] + self._indent
                right, left = end - COLUMN_GAP / 2 + _TURN + outer * _LANE, self._indent - lane * _LANE
                between = self._bottoms[row] + _TURN + outer * _LANE
                after = one[1] + self._shifts[row + 1] if row + 1 < self._row(other) else self.moved(other)[1]
                points += [(right, height), (right, between), (left, between), (left, after)]
                height = after
            points.append(self.moved(other))
        return points if list(route) == forward else points[::-1]
