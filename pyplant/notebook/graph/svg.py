"""The graph of a plant as a picture: an SVG in an ``<img>``, and no script.

It is what a saved notebook shows, and what is there when there is no live widget. Every
status has an icon and an outline of its own besides its colour.

Front ends take ``<svg>`` and ``<style>`` out of notebooks that are not trusted, which a colleague's
notebook is not, and keep the text in them. An ``<img>`` with its data in it is left alone, with its
text alternative, and so are ``style`` attributes. As nothing in an ``<img>`` sees the theme of the
page, the picture has a background of its own.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Sequence

from pyplant._formatting import clean, escape, format_seconds, format_size
from pyplant.notebook.graph.folding import MOST, Fold, folded, grouped, unfolded
from pyplant.notebook.graph.geometry import (
    Arranger,
    Box,
    EdgePath,
    GraphGeometry,
    compose,
    curve,
    flows,
    label,
)
from pyplant.notebook.graph.layered_layout import arrange
from pyplant.reports.graph import Edges
from pyplant.reports.report import ICONS, ReactorEntry, Status, counts
from pyplant.reports.theme import GRAPH, LIGHT, PICTURE

__all__ = ["STYLE", "draw", "paint"]

# A notebook that was reopened without its kernel has a picture, and where the widget was the line
# "Error displaying widget": an output of JupyterLab with text and no element in it.
_NEXT = ".jp-OutputArea-child:has(.pp-graph)+.jp-OutputArea-child"
_NO_LEFTOVERS = f"{_NEXT}:has(.jupyter-widgets):not(:has(.jupyter-widgets>*)){{display:none}}"
STYLE = GRAPH + _NO_LEFTOVERS

_SMALLEST = 0.8  # as far as it shrinks on a narrow page, before one has to scroll

_MOST_DESCRIBED = 60  # reactors that the text alternative names

# For renderers without style sheets, or without variables in them: shapes would be black.
_PLAIN = f'fill="none" stroke="{LIGHT["line"]}"'
_FONT = f'font-family="system-ui,-apple-system,Segoe UI,sans-serif" font-size="11" fill="{LIGHT["fg"]}"'


def draw(status: Status, edges: Edges, arranger: Arranger = arrange) -> str:
    """The graph as HTML. Of a large one, what is cached and far from all else is folded.

    Parameters
    ----------
    status
        The reactors.
    edges
        What flows between them.
    arranger
        Lays the graph out.
    """
    names = [entry.name for entry in status]
    flowing = flows(names, edges)
    folding = unfolded(len(names))
    if len(names) > MOST:
        folding = folded([entry.outcome for entry in status], list(flowing), grouped(names))
    return paint(status, compose(names, flowing, folding, arranger))


def paint(status: Status, scene: GraphGeometry, identity: str = "") -> str:
    """The graph as HTML, when everything has its place already.

    Parameters
    ----------
    status
        The reactors.
    scene
        Where they stand.
    identity
        The DOM id of the whole, so that a page can find it.
    """
    entries = list(status)
    name = _name_of(scene.boxes, entries)
    lines = [_line(line, name) for line in scene.lines]
    boxes = [_box(box, entries, detailed=scene.detailed) for box in scene.boxes]
    width, height = scene.size
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" {_FONT}><style>{PICTURE}</style>'
        f'<rect class="pp-page" width="100%" height="100%" rx="6" fill="{LIGHT["page"]}"/>'
        f"{''.join(lines)}{''.join(boxes)}</svg>"
    )
    mark = f' id="{escape(identity)}"' if identity else ""
    data = b64encode(svg.encode("utf-8", "replace")).decode("ascii")
    return (
        f'<div class="pp-graph"{mark} style="overflow:auto;max-width:100%"><style>{STYLE}</style>'
        f'<div class="pp-head" style="margin:0 0 4px 2px">{escape(status.title())}</div>'
        f'<img src="data:image/svg+xml;base64,{data}" alt="{escape(_described(scene, name, entries))}" '
        f'width="{width:.0f}" style="display:block;max-width:100%;min-width:{_SMALLEST * width:.0f}px;'
        f'height:auto;margin:0"></div>'
    )


def _described(scene: GraphGeometry, name: Callable[[int], str], entries: Sequence[ReactorEntry]) -> str:
    """The graph in words: how each reactor stands, and where what it sends goes."""
    targets: dict[int, list[str]] = {}
    for line in scene.lines:
        targets.setdefault(line.source, []).append(name(line.target))
    said = []
    for number, box in enumerate(scene.boxes[:_MOST_DESCRIBED]):
        content = box.content
        state = "folded" if isinstance(content, Fold) else entries[content].outcome.value
        goes = f" → {', '.join(targets[number])}" if number in targets else ""
        said.append(clean(f"{name(number)} ({state}){goes}"))
    more = len(scene.boxes) - _MOST_DESCRIBED
    return "Graph of reactors. " + "; ".join(said) + (f"; and {more} more" if more > 0 else "")


def _name_of(boxes: Sequence[Box], entries: Sequence[ReactorEntry]) -> Callable[[int], str]:
    def name(number: int) -> str:
        content = boxes[number].content
        return _counts(content, entries) if isinstance(content, Fold) else entries[content].name

    return name


def _meta(entry: ReactorEntry) -> str:
    if not entry.finished:
        return entry.outcome.value
    took = format_seconds(entry.seconds)
    return f"{took} · {format_size(entry.size)}" if entry.size else took


def _counts(fold: Fold, entries: Sequence[ReactorEntry]) -> str:
    """What stands in a fold, as in "137 cached"."""
    return counts(entries[node].outcome for node in fold.members)


def _box(box: Box, entries: Sequence[ReactorEntry], *, detailed: bool) -> str:
    if isinstance(box.content, Fold):
        text, about = _counts(box.content, entries), box.content.label
        tip = f"{text}, folded" + (f": {about}" if about else "")
        return _shape(box, "pp-fold", "▸", text, label(about) if detailed else "", tip, behind=(6, 3))
    entry = entries[box.content]
    style = f"pp-{entry.outcome.value}" + ("" if entry.certain else " pp-maybe")
    tip = "; ".join([f"{entry.name}: {entry.outcome.value}", *entry.reasons])
    meta = _meta(entry) if detailed else ""
    return _shape(box, style, ICONS[entry.outcome], entry.name, meta, tip)


def _shape(
    box: Box, style: str, icon: str, text: str, meta: str, tip: str, behind: Sequence[int] = ()
) -> str:
    """One box; ``behind`` says by how much others stick out behind it."""
    (x, y), (width, height) = box.centre, box.size
    left, top = x - width / 2, y - height / 2
    base = y - 3 if meta else y + 4
    below = (
        f'<text class="pp-meta" x="{left + 26:.1f}" y="{y + 11:.1f}">{escape(meta)}</text>' if meta else ""
    )
    rects = "".join(
        f'<rect {_PLAIN} x="{left + by:.1f}" y="{top - by:.1f}" '
        f'width="{width:.1f}" height="{height:.1f}" rx="6"/>'
        for by in (*behind, 0)
    )
    return (
        f'<g class="pp-node {style}"><title>{escape(tip)}</title>{rects}'
        f'<text class="pp-icon" x="{left + 9:.1f}" y="{y + 4:.1f}">{icon}</text>'
        f'<text x="{left + 26:.1f}" y="{base:.1f}">{escape(label(text))}</text>{below}</g>'
    )


def _line(line: EdgePath, name: Callable[[int], str]) -> str:
    tip = escape(f"{name(line.source)} → {name(line.target)}: {', '.join(line.names)}")
    path, head = curve(line.route)
    return (
        f'<g><title>{tip}</title><path {_PLAIN} class="pp-edge" d="{path}"/>'
        f'<path fill="{LIGHT["line"]}" class="pp-tip" d="{head}"/></g>'
    )
