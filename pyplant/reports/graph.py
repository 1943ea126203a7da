"""The graph of reactors, for Graphviz and as a text tree."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any

from pyplant._formatting import clean, escape
from pyplant.reports.report import ICONS, Outcome, Status
from pyplant.reports.theme import LIGHT

if TYPE_CHECKING:
    import graphviz

__all__ = ["Edges", "draw", "tree"]

Edges = Mapping[str, Mapping[str, list[str]]]
"""Receiver -> sender -> names of the ingredients sent from one to the other."""

_STATE_COLOURS = {
    Outcome.CACHED: LIGHT["good"],
    Outcome.RAN: LIGHT["good"],
    Outcome.RUNNING: LIGHT["live"],
    Outcome.WAITING: LIGHT["live"],
    Outcome.NEW: LIGHT["new"],
    Outcome.FAILED: LIGHT["bad"],
}
_DEFAULT_COLOUR = LIGHT["warn"]
_MAX_NAMES = 3
_MAX_INDENTED = 30  # levels; without a limit, the text of a chain would grow with the square of its length


def draw(status: Status, edges: Edges) -> graphviz.Digraph:
    """Return the graph for Graphviz, drawn from left to right.

    Parameters
    ----------
    status
        The reactors and their states.
    edges
        The ingredients between them.
    """
    graph = _graph_class()("plant", graph_attr={"rankdir": "LR"})
    graph.pyplant_text = tree(status, edges)
    graph.attr("node", shape="box", style="rounded", fontname="sans-serif", fontsize="11")
    graph.attr("edge", fontname="sans-serif", fontsize="9", color=LIGHT["line"], fontcolor=LIGHT["muted"])
    for entry in status:
        colour = _STATE_COLOURS.get(entry.outcome, _DEFAULT_COLOUR)
        style = "rounded" if entry.certain else "rounded,dashed"
        tip = "; ".join([entry.outcome.value, *entry.reasons])
        label = f"{ICONS[entry.outcome]} {entry.name}"
        graph.node(
            _node_id(entry.name),
            _escape_label(label),
            color=colour,
            style=style,
            tooltip=_escape_label(tip),
        )
    for receiver, senders in edges.items():
        for sender, names in senders.items():
            graph.edge(_node_id(sender), _node_id(receiver), label=_escape_label(_join_names(names)))
    return graph


@cache
def _graph_class() -> Any:
    """Return a subclass of ``graphviz.Digraph`` that also displays in untrusted notebooks and without ``dot``."""
    import graphviz

    class PlantGraph(graphviz.Digraph):  # type: ignore[misc] # it has no types
        pyplant_text = ""

        def _repr_mimebundle_(self, include: Any = None, exclude: Any = None, **_: Any) -> dict[str, str]:
            bundle = {"text/plain": self.pyplant_text or self.source}
            with suppress(graphviz.ExecutableNotFound, graphviz.CalledProcessError, OSError):
                svg = bundle["image/svg+xml"] = self.pipe("svg", encoding="utf-8")
                # Front ends remove <svg> elements from untrusted output but leave the text inside them.
                data = b64encode(svg.encode()).decode("ascii")
                alt = escape("; ".join(self.pyplant_text.splitlines()))
                bundle["text/html"] = (
                    f'<img src="data:image/svg+xml;base64,{data}" alt="{alt}" style="max-width:100%">'
                )
            return {
                kind: content
                for kind, content in bundle.items()
                if (not include or kind in include) and kind not in (exclude or ())
            }

    return PlantGraph


def _escape_label(text: str) -> str:
    """Escape a text for Graphviz, which interprets backslashes and HTML entities in labels."""
    import graphviz

    return str(graphviz.escape(clean(text).replace("&", "&amp;")))


def _node_id(name: str) -> str:
    """Return a node name without colons, which Graphviz would parse as ports."""
    return name.encode("utf-8", "surrogatepass").hex()


def _join_names(names: list[str]) -> str:
    shown = ", ".join(names[:_MAX_NAMES])
    return shown if len(names) <= _MAX_NAMES else f"{shown} and {len(names) - _MAX_NAMES} more"


def tree(status: Status, edges: Edges) -> str:
    """Return the graph as a text tree: each reactor once, below the first reactor that receives from it.

    Lines that are many levels deep are not indented further, and begin with their level.

    Parameters
    ----------
    status
        The reactors and their states.
    edges
        The ingredients between them.
    """
    entries = {entry.name: entry for entry in status}
    used = {sender for senders in edges.values() for sender in senders}
    roots = [name for name in entries if name not in used] or list(entries)[:1]
    lines = [status.title()]
    shown: set[str] = set()
    for start in [*roots, *(name for name in entries if name in used)]:
        stack = [(start, 0, "")] if start not in shown else []
        while stack:
            name, depth, flows = stack.pop()
            again = name in shown and bool(edges.get(name))
            shown.add(name)
            entry = entries[name]
            about = f"  ← {flows}" if flows else ""
            more = "  (see above)" if again else ""
            level = f"[{depth}] " if depth > _MAX_INDENTED else ""
            indent = "   " * min(depth, _MAX_INDENTED)
            lines.append(f"{indent}{level}{ICONS[entry.outcome]} {clean(name)}{clean(about)}{more}")
            if not again:
                below = edges.get(name, {})
                stack += [
                    (sender, depth + 1, _join_names(names)) for sender, names in reversed(list(below.items()))
                ]
    return "\n".join(lines)
