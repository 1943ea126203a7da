"""What the widget shows, as plain JSON-able data made from one look at a plant.

Reactors are called ``n0``, ``n1``, ... in the order of the look. Names, values and errors
are data of users: they are freed of control and direction characters here, and what can be
long is cut.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from pyplant._formatting import clean
from pyplant.engine.verdict import ReasonKind
from pyplant.notebook.graph.folding import MOST, Fold, Folding, folded, grouped, unfolded
from pyplant.notebook.graph.geometry import Arranger, GraphGeometry, compose, curve, flows
from pyplant.notebook.graph.snapshot import GraphSnapshot
from pyplant.reports.explain import Cause

__all__ = ["details", "focus", "geometry_of", "graph", "ids"]

_LONGEST_DIFF = 6000  # characters
_ALL_DIFFS = 200_000  # characters; when a helper of all reactors changed, all have its diff
_INPUTS = frozenset({ReasonKind.INPUT, ReasonKind.INPUT_UNKNOWN})


def ids(count: int) -> list[str]:
    """What the reactors are called in all that is sent."""
    return [f"n{number}" for number in range(count)]


def focus(
    snapshot: GraphSnapshot, opened: AbstractSet[str] = frozenset(), seen: AbstractSet[str] = frozenset()
) -> Folding:
    """What to show of a graph first: all of a small one, else what matters.

    Parameters
    ----------
    look
        The plant.
    opened
        Names of reactors to show in any case.
    seen
        Names of reactors that were shown so far.
    """
    names = [known.name for known in snapshot.reactors]
    if len(names) <= MOST:
        return unfolded(len(names))
    return folded(
        [entry.outcome for entry in snapshot.status],
        list(flows(names, snapshot.edges)),
        _groups(snapshot),
        {number for number, name in enumerate(names) if name in opened},
        {number for number, name in enumerate(names) if name in seen},
    )


def geometry_of(snapshot: GraphSnapshot, folding: Folding, arranger: Arranger) -> GraphGeometry:
    """The graph with places for what a folding leaves of it.

    Parameters
    ----------
    look
        The plant.
    folding
        What to show.
    arranger
        Lays graphs out.
    """
    names = [known.name for known in snapshot.reactors]
    return compose(names, flows(names, snapshot.edges), folding, arranger)


def graph(
    snapshot: GraphSnapshot, first: GraphGeometry, arranger: Arranger, variable: str = "plant"
) -> dict[str, Any]:
    """What changes only with the structure, and with what is folded.

    Parameters
    ----------
    look
        The plant.
    first
        What is shown first: all of a small graph, the focus of a large one.
    arranger
        Lays the rest of a large graph out.
    variable
        What the notebook calls the plant.
    """
    nodes, count = dict(_nodes(snapshot, variable)), len(snapshot.reactors)
    if count <= MOST:
        return {"nodes": nodes, "views": {"all": _view(first)}, "view": "all"}
    everything = geometry_of(snapshot, unfolded(count), arranger)
    return {"nodes": nodes, "views": {"all": _view(everything), "focus": _view(first)}, "view": "focus"}


def details(snapshot: GraphSnapshot) -> dict[str, Any]:
    """Why reactors would run, how they failed, and what could not be followed."""
    places = ids(len(snapshot.reactors))
    senders = _senders(snapshot)
    room = _ALL_DIFFS
    found: dict[str, Any] = {}
    for place, entry, known, sent_by in zip(places, snapshot.status, snapshot.reactors, senders, strict=True):
        causes = []
        for cause in entry.causes:
            diff = _diff(cause) if room > 0 else ""
            room -= len(diff)
            sender = sent_by.get(cause.name) if cause.kind in _INPUTS else None
            hidden = f" (see plant.explain({known.address!r}))" if cause.diff and not diff else ""
            causes.append({"text": clean(cause.summary + hidden), "diff": diff, "from": sender})
        if causes or entry.error or known.notes:
            notes = [clean(note) for note in known.notes]
            found[place] = {"causes": causes, "error": clean_lines(entry.error), "notes": notes}
    return found


def _diff(cause: Cause) -> str:
    text = clean_lines(cause.diff)
    return text if len(text) <= _LONGEST_DIFF else f"{text[:_LONGEST_DIFF]}\n…"


def clean_lines(text: str) -> str:
    """Text of several lines without control and direction characters."""
    return "\n".join(map(clean, text.expandtabs(4).splitlines()))


def _nodes(snapshot: GraphSnapshot, variable: str) -> Iterator[tuple[str, dict[str, Any]]]:
    places = ids(len(snapshot.reactors))
    senders = _senders(snapshot)
    used_by: dict[str, dict[str, None]] = {place: {} for place in places}
    for receiver, sent_by in zip(places, senders, strict=True):
        for sender in sent_by.values():
            used_by[sender][receiver] = None
    groups = _groups(snapshot)
    for place, known, group, sent_by in zip(places, snapshot.reactors, groups, senders, strict=True):
        yield (
            place,
            {
                "name": clean(known.name),
                "where": clean(known.where),
                "group": clean(group),
                "orphan": known.is_orphan,
                "inputs": [[clean(name), sent_by.get(name)] for name in known.inputs],
                "outputs": [[clean(name), form, size] for name, form, size in known.outputs],
                "used_by": list(used_by[place]),
                "run": f"{variable}.run_reactor({known.address!r})",
            },
        )


def _senders(snapshot: GraphSnapshot) -> list[dict[str, str]]:
    """For each reactor, who sends each of its ingredients."""
    names = [known.name for known in snapshot.reactors]
    found: list[dict[str, str]] = [{} for _ in names]
    for (sender, receiver), flowing in flows(names, snapshot.edges).items():
        for name in flowing:
            found[receiver].setdefault(name, f"n{sender}")
    return found


def _groups(snapshot: GraphSnapshot) -> Sequence[str]:
    return grouped([known.name for known in snapshot.reactors], [known.module for known in snapshot.reactors])


def _view(scene: GraphGeometry) -> dict[str, Any]:
    names: list[str] = []
    nodes: list[Any] = []
    folds: list[Any] = []
    for content, centre, size in scene.boxes:
        at = [round(number) for number in (*centre, *size)]
        if isinstance(content, Fold):
            names.append(f"f{len(folds)}")
            members = [f"n{member}" for member in content.members]
            folds.append({"id": names[-1], "members": members, "at": at, "label": clean(content.label)})
        else:
            names.append(f"n{content}")
            nodes.append([names[-1], *at])
    edges = [
        [
            names[line.source],
            names[line.target],
            [clean(name) for name in line.names],
            *curve(line.route),
        ]
        for line in scene.lines
    ]
    return {"size": [round(length) for length in scene.size], "nodes": nodes, "folds": folds, "edges": edges}
