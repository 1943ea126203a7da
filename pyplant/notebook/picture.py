"""The graph of a plant as a picture: HTML with an SVG in it, and no script.

It is what a saved notebook shows, and what the live widget starts from. Every status has
an icon and an outline of its own besides its colour; texts and lines take their colours
from the theme of the page.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

from pyplant.graph import Edges
from pyplant.notebook.layout import Edge, Layout, Point, Size, arrange
from pyplant.report import ICONS, Entry, Status, clean, escape, format_seconds, format_size

__all__ = ["STYLE", "draw", "graph_of", "node_size"]

_LONGEST = 28  # characters of a label
_LETTER = 6.7  # pixels that one takes on average
_SMALL_LETTER = 5.2
_HEIGHT = 38.0
_LOW_HEIGHT = 24.0
_DETAILED = 60  # nodes up to which each says how long it took

Arranger = Callable[[Sequence[Size], Sequence[Edge]], Layout]

STYLE = """
.pp-graph{--pp-fg:var(--jp-ui-font-color1,currentColor);--pp-muted:var(--jp-ui-font-color2,#7a828c);
--pp-face:var(--jp-layout-color1,transparent);--pp-line:var(--jp-border-color0,#9aa2ab);
--pp-warn:#c77700;--pp-live:#2f7fe0;--pp-bad:#d6453d;--pp-good:#3a8f4a;
font:11px/1.4 system-ui,-apple-system,"Segoe UI",sans-serif;color:var(--pp-fg);overflow:auto;max-width:100%}
.pp-graph .pp-head{font-size:12px;margin:0 0 4px 2px}
.pp-graph svg{display:block}
.pp-graph rect{fill:var(--pp-face);stroke:var(--pp-line);stroke-width:1.2}
.pp-graph text{fill:var(--pp-fg)}
.pp-graph .pp-meta{fill:var(--pp-muted);font-size:9px}
.pp-graph .pp-icon{font-size:12px;fill:var(--pp-muted)}
.pp-graph .pp-edge{fill:none;stroke:var(--pp-line);stroke-width:1.2;opacity:.75}
.pp-graph .pp-tip{fill:var(--pp-line);stroke:none}
.pp-graph .pp-cached .pp-icon,.pp-graph .pp-ran .pp-icon{fill:var(--pp-good)}
.pp-graph .pp-stale rect{stroke:var(--pp-warn);stroke-width:1.6;stroke-dasharray:5 3}
.pp-graph .pp-new rect{stroke:var(--pp-warn);stroke-dasharray:1.5 3}
.pp-graph .pp-stale .pp-icon,.pp-graph .pp-new .pp-icon{fill:var(--pp-warn)}
.pp-graph .pp-uncached rect{stroke-dasharray:8 2}
.pp-graph .pp-running rect{stroke:var(--pp-live);stroke-width:2.6}
.pp-graph .pp-waiting rect{stroke:var(--pp-live);stroke-dasharray:2 2}
.pp-graph .pp-running .pp-icon,.pp-graph .pp-waiting .pp-icon{fill:var(--pp-live)}
.pp-graph .pp-failed rect{stroke:var(--pp-bad);stroke-width:2.6}
.pp-graph .pp-failed .pp-icon{fill:var(--pp-bad)}
.pp-graph .pp-maybe rect{opacity:.6}
.pp-graph .pp-maybe text{opacity:.75}
"""


def draw(status: Status, edges: Edges, arranger: Arranger = arrange) -> str:
    """The graph as HTML.

    Parameters
    ----------
    status
        The reactors.
    edges
        What flows between them.
    arranger
        Lays the graph out.
    """
    entries = list(status)
    detailed = len(entries) <= _DETAILED
    sizes = [node_size(entry, detailed=detailed) for entry in entries]
    pairs, names = graph_of(entries, edges)
    layout = arranger(sizes, pairs)
    lines = [
        _edge(route, names[pair], entries[pair[0]], entries[pair[1]])
        for pair, route in zip(pairs, layout.routes, strict=True)
    ]
    nodes = [
        _node(entry, centre, size, detailed=detailed)
        for entry, centre, size in zip(entries, layout.centres, sizes, strict=True)
    ]
    width, height = layout.size
    title = escape(status.title())
    return (
        f'<div class="pp-graph"><style>{STYLE}</style><div class="pp-head">{title}</div>'
        f'<svg role="img" aria-label="{title}" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" xmlns="http://www.w3.org/2000/svg">'
        f"{''.join(lines)}{''.join(nodes)}</svg></div>"
    )


def graph_of(entries: Sequence[Entry], edges: Edges) -> tuple[list[Edge], Mapping[Edge, list[str]]]:
    """The edges as pairs of indices, and the ingredients that flow along each."""
    index = {entry.name: number for number, entry in enumerate(entries)}
    names = {
        (index[sender], index[receiver]): flowing
        for receiver, senders in edges.items()
        for sender, flowing in senders.items()
    }
    return list(names), names


def node_size(entry: Entry, *, detailed: bool) -> Size:
    """The size of a node, from its texts."""
    texts = len(_label(entry.name)) * _LETTER
    if detailed:
        texts = max(texts, len(_meta(entry)) * _SMALL_LETTER)
    return texts + 36, _HEIGHT if detailed else _LOW_HEIGHT


def _label(name: str) -> str:
    name = clean(name)
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"


def _meta(entry: Entry) -> str:
    if not entry.finished:
        return entry.outcome.value
    took = format_seconds(entry.seconds)
    return f"{took} · {format_size(entry.size)}" if entry.size else took


def _node(entry: Entry, centre: Point, size: Size, *, detailed: bool) -> str:
    (x, y), (width, height) = centre, size
    left, top = x - width / 2, y - height / 2
    tip = clean("; ".join([f"{entry.name}: {entry.outcome.value}", *entry.reasons]))
    maybe = "" if entry.certain else " pp-maybe"
    base = y - 3 if detailed else y + 4
    meta = (
        f'<text class="pp-meta" x="{left + 26:.1f}" y="{y + 11:.1f}">{escape(_meta(entry))}</text>'
        if detailed
        else ""
    )
    return (
        f'<g class="pp-node pp-{entry.outcome.value}{maybe}"><title>{escape(tip)}</title>'
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}" rx="6"/>'
        f'<text class="pp-icon" x="{left + 9:.1f}" y="{y + 4:.1f}">{ICONS[entry.outcome]}</text>'
        f'<text x="{left + 26:.1f}" y="{base:.1f}">{escape(_label(entry.name))}</text>{meta}</g>'
    )


def _edge(route: Sequence[Point], names: Sequence[str], sender: Entry, receiver: Entry) -> str:
    tip = escape(clean(f"{sender.name} → {receiver.name}: {', '.join(names)}"))
    (x, y), (before, _) = route[-1], route[-2]
    back = 6 if x >= before else -6
    end = (x - back, y)
    points = [*route[:-1], end]
    path = f"M{points[0][0]:.1f} {points[0][1]:.1f}"
    for (ax, ay), (bx, by) in pairwise(points):
        middle = (ax + bx) / 2
        path += f"C{middle:.1f} {ay:.1f} {middle:.1f} {by:.1f} {bx:.1f} {by:.1f}"
    tail = f"M{x:.1f} {y:.1f}l{-back} -3.2v6.4z"
    return f'<g><title>{tip}</title><path class="pp-edge" d="{path}"/><path class="pp-tip" d="{tail}"/></g>'
