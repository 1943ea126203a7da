"""A graph ready to be drawn: boxes and edges with positions, shared by the picture and the widget.

A *box* stands for a reactor or a fold. Sizes do not depend on the state of a reactor, so a run never
changes the layout. A graph that was drawn before is drawn around the boxes that are still there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate, pairwise, takewhile
from typing import NamedTuple
from unicodedata import combining, east_asian_width

from pyplant._formatting import clean
from pyplant.notebook.graph.folding import Fold, Folding
from pyplant.notebook.graph.incremental_layout import extend
from pyplant.notebook.graph.layered_layout import Edge, Layout, Point, Size
from pyplant.notebook.graph.wrapping import arrange_in_rows, is_long
from pyplant.reports.graph import Edges

__all__ = [
    "Arranger",
    "Box",
    "EdgePath",
    "GraphGeometry",
    "box_label",
    "compute_geometry",
    "indexed_edges",
    "reactor_size",
    "svg_paths",
]

_MAX_LABEL = 28  # columns of a label; a wide character takes two
_COLUMN_WIDTH = 11.5 * 0.602  # pixels of a column: names are drawn in a monospaced font of 11.5 pixels
_STATUS_WIDTH = 97.0  # pixels of the longest second line, "59 min 59 s · 999 MB"
_ICON_WIDTH = 36.0
_HEIGHT = 38.0
_FOLD_SIZE = 16 * _COLUMN_WIDTH + _ICON_WIDTH, _HEIGHT
_ARROW = (6.0, 3.2)  # pixels: length of an arrow head, and half its width
_MAX_NAMES = 8  # names of ingredients in the tooltip of an edge of a fold

Arranger = Callable[[Sequence[Size], Sequence[Edge]], Layout]
BoxKey = tuple[str, str, int]
"""Kind, name or label, and number among equal ones."""


class Box(NamedTuple):
    """The box of a reactor, given by its index, or of a fold; ``key`` is the same in each drawing."""

    content: int | Fold
    centre: Point
    size: Size
    key: BoxKey


class EdgePath(NamedTuple):
    """An edge between two boxes, by their indices: the ingredients that flow and its route."""

    source: int
    target: int
    names: list[str]
    route: list[Point]


class GraphGeometry(NamedTuple):
    """Boxes, those of folds last, and the edges between them; ``rows`` is more than one for a long chain."""

    boxes: list[Box]
    edges: list[EdgePath]
    size: Size
    rows: int = 1


def indexed_edges(names: Sequence[str], edges: Edges) -> Mapping[Edge, list[str]]:
    """Return the ingredients that flow between reactors, by the indices of sender and receiver.

    Parameters
    ----------
    names
        The names of the reactors. If several have one name, the last is meant.
    edges
        The edges by name.
    """
    index = {name: number for number, name in enumerate(names)}
    return {
        (index[sender], index[receiver]): flowing
        for receiver, senders in edges.items()
        for sender, flowing in senders.items()
        if sender in index and receiver in index
    }


def compute_geometry(
    names: Sequence[str],
    flowing: Mapping[Edge, list[str]],
    folding: Folding,
    arranger: Arranger,
    before: GraphGeometry | None = None,
) -> GraphGeometry:
    """Compute the positions of boxes and edges.

    Parameters
    ----------
    names
        The names of the reactors.
    flowing
        The ingredients that flow between them, by index.
    folding
        Which reactors to show, and which to fold.
    arranger
        The layout function.
    before
        What was drawn before. If half of the boxes were in it, these stay in their places.
    """
    contents: list[int | Fold] = [*folding.shown, *folding.folds]
    sizes = [
        _FOLD_SIZE if isinstance(content, Fold) else reactor_size(names[content]) for content in contents
    ]
    edges = _edges_between_boxes(contents, flowing)
    keys = _keys(contents, names)
    layout, sizes = _layout(keys, sizes, list(edges), arranger, before)
    return GraphGeometry(
        [Box(*box) for box in zip(contents, layout.centres, sizes, keys, strict=True)],
        [EdgePath(*pair, edges[pair], route) for pair, route in zip(edges, layout.routes, strict=True)],
        layout.size,
        layout.rows,
    )


def _keys(contents: Sequence[int | Fold], names: Sequence[str]) -> list[BoxKey]:
    counts: Counter[tuple[str, str]] = Counter()
    keys = []
    for content in contents:
        about = ("fold", content.label) if isinstance(content, Fold) else ("reactor", names[content])
        keys.append((*about, counts[about]))
        counts[about] += 1
    return keys


def _layout(
    keys: Sequence[BoxKey],
    sizes: list[Size],
    edges: Sequence[Edge],
    arranger: Arranger,
    before: GraphGeometry | None,
) -> tuple[Layout, list[Size]]:
    """Arrange the boxes around those that were drawn before, or all of them if few were."""
    drawn = {box.key: box for box in before.boxes} if before is not None else {}
    known = {number: drawn[key] for number, key in enumerate(keys) if key in drawn}
    if before is None or before.rows > 1 or 2 * len(known) <= len(keys):
        return arrange_in_rows(sizes, edges, arranger), sizes
    number_of = {key: number for number, key in enumerate(keys)}
    numbers = [number_of.get(box.key, -1) for box in before.boxes]
    routes = {(numbers[edge.source], numbers[edge.target]): edge.route for edge in before.edges}
    centres = {number: box.centre for number, box in known.items()}
    drawn_sizes = [known[number].size if number in known else size for number, size in enumerate(sizes)]
    layout, new_sizes = extend(drawn_sizes, edges, centres, routes)
    if is_long(layout):
        return arrange_in_rows(sizes, edges, arranger), sizes
    return layout, new_sizes


def _edges_between_boxes(
    contents: Sequence[int | Fold], flowing: Mapping[Edge, list[str]]
) -> dict[Edge, list[str]]:
    """Return the edges between boxes, by index. Edges within a fold are left out.

    A reactor that receives what it sends itself has an edge to itself, a fold has not.
    """
    box_of: dict[int, int] = {}
    for number, content in enumerate(contents):
        members = content.members if isinstance(content, Fold) else (content,)
        box_of.update(dict.fromkeys(members, number))
    edges: dict[Edge, dict[str, None]] = {}
    for (sender, receiver), names in flowing.items():
        pair = box_of[sender], box_of[receiver]
        if pair[0] != pair[1] or contents[pair[0]] == sender:
            edges.setdefault(pair, {}).update(dict.fromkeys(names))
    return {
        pair: _shortened_list(list(names))
        if any(isinstance(contents[end], Fold) for end in pair)
        else list(names)
        for pair, names in edges.items()
    }


def _shortened_list(names: list[str]) -> list[str]:
    more = len(names) - _MAX_NAMES
    return [*names[:_MAX_NAMES], f"… and {more} more"] if more > 0 else names


def svg_paths(route: Sequence[Point]) -> tuple[str, str]:
    """Return an edge as two SVG paths: the curve, and the arrow head at its end.

    Parameters
    ----------
    route
        The points of the edge.
    """
    (before, _), (x, y) = route[-2:]
    # The curve ends at the base of the arrow head; an edge of a cycle may arrive from the right.
    length, width = _ARROW
    back = length if x >= before else -length
    (start_x, start_y), *_ = points = [*route[:-1], (x - back, y)]
    path = f"M{_number(start_x)} {_number(start_y)}"
    for (ax, ay), (bx, by) in pairwise(points):
        middle = _number((ax + bx) / 2)
        path += f"C{middle} {_number(ay)} {middle} {_number(by)} {_number(bx)} {_number(by)}"
    return path, f"M{_number(x)} {_number(y)}l{_number(-back)} {-width}v{2 * width}z"


def _number(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")


def reactor_size(name: str) -> Size:
    """Return the size of the box of a reactor."""
    width = sum(map(_columns, box_label(name))) * _COLUMN_WIDTH
    return max(width, _STATUS_WIDTH) + _ICON_WIDTH, _HEIGHT


def box_label(name: str) -> str:
    """Return a name without control characters; if it is too long, without its middle.

    Long names often have the same beginning, and differ at the end.
    """
    name = clean(name)
    room = _MAX_LABEL - 1
    if sum(map(_columns, name)) <= room + 1:
        return name
    return f"{_beginning(name, room - room // 2)}…{_beginning(name[::-1], room // 2)[::-1]}"


def _beginning(text: str, room: int) -> str:
    """Return the characters of a text that fit into a number of columns."""
    widths = accumulate(map(_columns, text))
    return text[: sum(1 for _ in takewhile(lambda width: width <= room, widths))]


def _columns(character: str) -> int:
    """Return how many columns of a monospaced font a character takes."""
    if combining(character):
        return 0
    return 2 if east_asian_width(character) in "WF" else 1
