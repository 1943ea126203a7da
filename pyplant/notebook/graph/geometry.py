"""A graph ready to be drawn: boxes and lines with their places, for the picture and the widget alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from pyplant._formatting import clean
from pyplant.notebook.graph.folding import MOST, Fold, Folding
from pyplant.notebook.graph.layered_layout import Edge, Layout, Point, Size
from pyplant.reports.graph import Edges

__all__ = ["Arranger", "Box", "EdgePath", "GraphGeometry", "compose", "curve", "flows", "label", "node_size"]

_LONGEST = 28  # characters of a label
_LETTER = 6.7  # pixels that one takes on average
_META = 92.0  # pixels for "59 min 59 s · 999 MB" below it, whatever it says now
_ICON = 36.0
_HEIGHT = 38.0
_LOW_HEIGHT = 24.0
_FOLD_LETTERS = 16
_HEAD = (6.0, 3.2)  # pixels: length of an arrow head, and half its width
_MOST_NAMES = 8  # of ingredients on the line of a fold

Arranger = Callable[[Sequence[Size], Sequence[Edge]], Layout]


class Box(NamedTuple):
    """A reactor, given by its index, or a fold."""

    content: int | Fold
    centre: Point
    size: Size


class EdgePath(NamedTuple):
    """What flows from one box to another, by their numbers."""

    source: int
    target: int
    names: list[str]
    route: list[Point]


class GraphGeometry(NamedTuple):
    """Boxes, those of folds last, and lines between them.

    ``detailed`` says whether there is room below the names of reactors.
    """

    boxes: list[Box]
    lines: list[EdgePath]
    size: Size
    detailed: bool


def flows(names: Sequence[str], edges: Edges) -> Mapping[Edge, list[str]]:
    """The ingredients that flow between reactors, by the indices of sender and receiver.

    Parameters
    ----------
    names
        Of the reactors. Where several have one name, the last is meant.
    edges
        What flows between them.
    """
    index = {name: number for number, name in enumerate(names)}
    return {
        (index[sender], index[receiver]): flowing
        for receiver, senders in edges.items()
        for sender, flowing in senders.items()
        if sender in index and receiver in index
    }


def compose(
    names: Sequence[str], flowing: Mapping[Edge, list[str]], folding: Folding, arranger: Arranger
) -> GraphGeometry:
    """Give everything its place.

    Parameters
    ----------
    names
        Of the reactors.
    flowing
        What flows between them.
    folding
        What of it to draw.
    arranger
        Lays graphs out.
    """
    detailed = len(folding.shown) <= MOST
    contents: list[int | Fold] = [*folding.shown, *folding.folds]
    sizes = [
        fold_size(detailed=detailed)
        if isinstance(content, Fold)
        else node_size(names[content], detailed=detailed)
        for content in contents
    ]
    lines = _lines(contents, flowing)
    layout = arranger(sizes, list(lines))
    return GraphGeometry(
        [Box(*box) for box in zip(contents, layout.centres, sizes, strict=True)],
        [EdgePath(*pair, lines[pair], route) for pair, route in zip(lines, layout.routes, strict=True)],
        layout.size,
        detailed,
    )


def _lines(contents: Sequence[int | Fold], flowing: Mapping[Edge, list[str]]) -> dict[Edge, list[str]]:
    """What flows between boxes, by their numbers; what flows within a fold is not seen."""
    place: dict[int, int] = {}
    for number, content in enumerate(contents):
        members = content.members if isinstance(content, Fold) else (content,)
        place.update(dict.fromkeys(members, number))
    lines: dict[Edge, dict[str, None]] = {}
    for (sender, receiver), names in flowing.items():
        pair = place[sender], place[receiver]
        if pair[0] != pair[1] or contents[pair[0]] == sender:
            lines.setdefault(pair, {}).update(dict.fromkeys(names))
    return {
        pair: _bounded(list(names)) if any(isinstance(contents[end], Fold) for end in pair) else list(names)
        for pair, names in lines.items()
    }


def _bounded(names: list[str]) -> list[str]:
    more = len(names) - _MOST_NAMES
    return [*names[:_MOST_NAMES], f"… and {more} more"] if more > 0 else names


def curve(route: Sequence[Point]) -> tuple[str, str]:
    """A line as two SVG paths: the curve, and the arrow head at its end.

    Parameters
    ----------
    route
        The points that the line passes.
    """
    (before, _), (x, y) = route[-2:]
    length, width = _HEAD
    back = length if x >= before else -length
    (start_x, start_y), *_ = points = [*route[:-1], (x - back, y)]
    path = f"M{_short(start_x)} {_short(start_y)}"
    for (ax, ay), (bx, by) in pairwise(points):
        middle = _short((ax + bx) / 2)
        path += f"C{middle} {_short(ay)} {middle} {_short(by)} {_short(bx)} {_short(by)}"
    return path, f"M{_short(x)} {_short(y)}l{_short(-back)} {-width}v{2 * width}z"


def _short(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")


def node_size(name: str, *, detailed: bool) -> Size:
    """The size of a reactor's box; it is the same however the reactor stands."""
    width = len(label(name)) * _LETTER
    return max(width, _META if detailed else 0.0) + _ICON, _HEIGHT if detailed else _LOW_HEIGHT


def fold_size(*, detailed: bool) -> Size:
    """The size of a fold's box."""
    return _FOLD_LETTERS * _LETTER + _ICON, _HEIGHT if detailed else _LOW_HEIGHT


def label(name: str) -> str:
    """A name as it stands in a box."""
    name = clean(name)
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"
