"""The graph of a plant as a picture: an SVG in an ``<img>``, without scripts.

A saved notebook shows the picture, and front ends without a live widget do. Each status has an icon and
an outline of its own besides its colour.

Front ends remove ``<svg>`` and ``<style>`` from notebooks that are not trusted, such as those of a
colleague, and leave the text in them. An ``<img>`` with a data URL stays, with its text alternative, and
so do ``style`` attributes. Nothing in an ``<img>`` sees the theme of the page, so the picture has a
background of its own.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Sequence

from pyplant._formatting import clean, escape, format_seconds, format_size
from pyplant.notebook.graph.folding import MAX_NODES, Fold, choose_folding, fold_siblings, group_labels
from pyplant.notebook.graph.geometry import (
    Arranger,
    Box,
    EdgePath,
    GraphGeometry,
    box_label,
    compute_geometry,
    indexed_edges,
    svg_paths,
)
from pyplant.notebook.graph.layered_layout import arrange
from pyplant.reports.graph import Edges
from pyplant.reports.report import ICONS, ReactorEntry, Status, counts
from pyplant.reports.theme import GRAPH, LIGHT, PICTURE

__all__ = ["STYLE", "geometry_html", "graph_html"]

# A notebook that is opened without its kernel shows the picture, and below it JupyterLab shows "Loading widget..." or
# "Error displaying widget": an output with text but no element in it. These rules hide that output.
_NEXT_OUTPUT = ".jp-OutputArea-child:has(.pp-graph)+.jp-OutputArea-child"
_LOADING = f"{_NEXT_OUTPUT}:not(:has([data-mime-type])):not(:has(.jp-OutputArea-output>*))"
_FAILED = f"{_NEXT_OUTPUT}:has(.jupyter-widgets):not(:has(.jupyter-widgets>*))"
_NO_LEFTOVERS = f":is({_LOADING},{_FAILED}){{display:none}}"
STYLE = GRAPH + _NO_LEFTOVERS

_MIN_SCALE = 0.88  # on a narrow page, where names have 10 pixels then; beyond it the picture scrolls

_MAX_DESCRIBED = 60  # boxes that the text alternative names

# For renderers without style sheets or CSS variables, where shapes would be filled with black.
_FALLBACK_STROKE = f'fill="none" stroke="{LIGHT["line"]}"'
_FONT = f'font-family="system-ui,-apple-system,Segoe UI,sans-serif" font-size="10" fill="{LIGHT["fg"]}"'
_NAME_FONT = (
    'font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,DejaVu Sans Mono,monospace" font-size="11.5"'
)


def graph_html(status: Status, edges: Edges, arranger: Arranger = arrange) -> str:
    """Return the graph as HTML; in a large graph, cached reactors away from the others are folded, and many siblings.

    Parameters
    ----------
    status
        The status of the reactors.
    edges
        The ingredients that flow between them.
    arranger
        The layout function.
    """
    names = [entry.name for entry in status]
    flowing = indexed_edges(names, edges)
    folding = fold_siblings(names, list(flowing))
    if len(names) > MAX_NODES:
        folding = choose_folding([entry.outcome for entry in status], list(flowing), group_labels(names))
    return geometry_html(status, compute_geometry(names, flowing, folding, arranger))


def geometry_html(status: Status, geometry: GraphGeometry, identity: str = "", note: str = "") -> str:
    """Return a graph with known positions as HTML.

    Parameters
    ----------
    status
        The status of the reactors.
    geometry
        The positions.
    identity
        The DOM id of the element, by which the widget hides it.
    note
        A text behind the title.
    """
    entries = list(status)
    title = f"{status.title()} ({note})" if note else status.title()
    name = _name_of(geometry.boxes, entries)
    edges = [_edge(edge, name) for edge in geometry.edges]
    boxes = [_node(box, entries) for box in geometry.boxes]
    width, height = geometry.size
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" {_FONT}><style>{PICTURE}</style>'
        f'<rect class="pp-page" width="100%" height="100%" rx="6" fill="{LIGHT["page"]}"/>'
        f"{''.join(edges)}{''.join(boxes)}</svg>"
    )
    mark = f' id="{escape(identity)}"' if identity else ""
    data = b64encode(svg.encode("utf-8", "replace")).decode("ascii")
    return (
        f'<div class="pp-graph"{mark} style="overflow:auto;max-width:100%"><style>{STYLE}</style>'
        # The summary has the focus when the keyboard scrolls a picture that is wider than the page.
        f'<details open><summary class="pp-head" style="margin:0 0 4px 2px">{escape(title)}</summary>'
        f'<img src="data:image/svg+xml;base64,{data}" alt="{escape(_text_alternative(geometry, name, entries))}" '
        f'width="{width:.0f}" style="display:block;max-width:100%;min-width:{_MIN_SCALE * width:.0f}px;'
        f'height:auto;margin:0"></details></div>'
    )


def _text_alternative(
    geometry: GraphGeometry, name: Callable[[int], str], entries: Sequence[ReactorEntry]
) -> str:
    """Describe the graph in words: the status of each reactor, and its receivers."""
    targets: dict[int, list[str]] = {}
    for edge in geometry.edges:
        targets.setdefault(edge.source, []).append(name(edge.target))
    parts = []
    for number, box in enumerate(geometry.boxes[:_MAX_DESCRIBED]):
        content = box.content
        state = "folded" if isinstance(content, Fold) else entries[content].outcome.value
        receivers = f" → {', '.join(targets[number])}" if number in targets else ""
        parts.append(clean(f"{name(number)} ({state}){receivers}"))
    more = len(geometry.boxes) - _MAX_DESCRIBED
    return "Graph of reactors. " + "; ".join(parts) + (f"; and {more} more" if more > 0 else "")


def _name_of(boxes: Sequence[Box], entries: Sequence[ReactorEntry]) -> Callable[[int], str]:
    def name(number: int) -> str:
        content = boxes[number].content
        return _counts(content, entries) if isinstance(content, Fold) else entries[content].name

    return name


def _second_line(entry: ReactorEntry) -> str:
    if not entry.finished:
        return entry.outcome.value
    took = format_seconds(entry.seconds)
    return f"{took} · {format_size(entry.size)}" if entry.size else took


def _counts(fold: Fold, entries: Sequence[ReactorEntry]) -> str:
    """Return the numbers of reactors in a fold, as in "137 cached"."""
    return counts(entries[node].outcome for node in fold.members)


def _node(box: Box, entries: Sequence[ReactorEntry]) -> str:
    if isinstance(box.content, Fold):
        text, about = _counts(box.content, entries), box.content.label
        tip = f"{text}, folded" + (f": {about}" if about else "")
        return _shape(box, "pp-fold", "▸", text, box_label(about), tip, behind=(6, 3))
    entry = entries[box.content]
    style = f"pp-{entry.outcome.value}" + ("" if entry.certain else " pp-maybe")
    tip = "; ".join([f"{entry.name}: {entry.outcome.value}", *entry.reasons])
    return _shape(box, style, ICONS[entry.outcome], entry.name, _second_line(entry), tip)


def _shape(
    box: Box, style: str, icon: str, text: str, meta: str, tip: str, behind: Sequence[int] = ()
) -> str:
    """Draw one box; ``behind`` are the offsets of empty boxes behind it, which mark a fold."""
    (x, y), (width, height) = box.centre, box.size
    left, top = x - width / 2, y - height / 2
    base = y - 3 if meta else y + 4
    below = (
        f'<text class="pp-meta" x="{left + 26:.1f}" y="{y + 11:.1f}">{escape(meta)}</text>' if meta else ""
    )
    rects = "".join(
        f'<rect {_FALLBACK_STROKE} x="{left + by:.1f}" y="{top - by:.1f}" '
        f'width="{width:.1f}" height="{height:.1f}" rx="6"/>'
        for by in (*behind, 0)
    )
    return (
        f'<g class="pp-node {style}"><title>{escape(tip)}</title>{rects}'
        f'<text class="pp-icon" x="{left + 9:.1f}" y="{y + 4:.1f}">{icon}</text>'
        f'<text {_NAME_FONT} x="{left + 26:.1f}" y="{base:.1f}">{escape(box_label(text))}</text>{below}</g>'
    )


def _edge(edge: EdgePath, name: Callable[[int], str]) -> str:
    tip = escape(f"{name(edge.source)} → {name(edge.target)}: {', '.join(edge.names)}")
    path, head = svg_paths(edge.route)
    return (
        f'<g><title>{tip}</title><path {_FALLBACK_STROKE} class="pp-edge" d="{path}"/>'
        f'<path fill="{LIGHT["line"]}" class="pp-tip" d="{head}"/></g>'
    )
