"""The data that the widget sends to the front end, as plain JSON-able values made from a snapshot.

Reactors have the ids ``n0``, ``n1``, ... in the order of the snapshot, folds ``f0``, ``f1``, ... Three traits
carry the data; the front end (``static/``) reads these keys:

``graph``
    Changes with the structure: ``nodes`` by id (name, place of definition, inputs with their senders,
    outputs, receivers) and ``views``. A view is a drawing: positions of ``nodes``, ``folds`` and ``edges``.
    Each graph has the view ``all``, a large one also ``focus``, in which some reactors are folded.
``details``
    Changes when staleness is judged, by id: causes with diffs, the error with its line, notes, and ``cause``: what kind of
    change makes the reactor, and those that depend on it, stale. The text of a cause that has another one after the
    reactor ran is in ``past``.
``state``
    Changes often during a run; see :mod:`pyplant.notebook.graph.live_state`.

Names, values and errors are data of users: control and direction characters are removed here, and long
texts are cut.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from types import MappingProxyType
from typing import Any

from pyplant._formatting import clean
from pyplant.engine.verdict import ReasonKind
from pyplant.execution.failures import Failure
from pyplant.notebook.graph.folding import (
    MAX_NODES,
    Fold,
    Folding,
    choose_folding,
    fold_siblings,
    group_labels,
)
from pyplant.notebook.graph.geometry import (
    Arranger,
    GraphGeometry,
    compute_geometry,
    indexed_edges,
    svg_paths,
)
from pyplant.notebook.graph.snapshot import GraphSnapshot, ReactorInfo
from pyplant.reports.explain import FIRST_RUN, Cause
from pyplant.reports.report import Outcome, ReactorEntry

__all__ = [
    "NO_DETAILS",
    "detail_data",
    "failure_data",
    "geometry_of",
    "graph_data",
    "initial_folding",
    "node_ids",
    "views_data",
]

_MAX_DIFF = 6000  # characters
_MAX_READS = 50
_MAX_SHORT = 60  # characters of a text for a box
_MAX_ALL_DIFFS = 200_000  # characters; when a helper of all reactors changes, each of them has its diff
NO_DETAILS: Mapping[str, Any] = MappingProxyType({"causes": [], "notes": [], "reads": []})
"""The details of a reactor of which nothing is known."""
_INPUTS = frozenset({ReasonKind.INPUT, ReasonKind.INPUT_UNKNOWN})


def node_ids(count: int) -> list[str]:
    """Return the ids of the reactors."""
    return [f"n{number}" for number in range(count)]


def initial_folding(
    snapshot: GraphSnapshot, opened: AbstractSet[str] = frozenset(), seen: AbstractSet[str] = frozenset()
) -> Folding:
    """Choose what a graph shows first: nearly all of a small one, a folding of a large one.

    Parameters
    ----------
    snapshot
        The snapshot of the plant.
    opened
        Names of reactors that the user unfolded.
    seen
        Names of reactors that were shown before.
    """
    names = [info.name for info in snapshot.reactors]
    edges = list(indexed_edges(names, snapshot.edges))
    is_opened = {number for number, name in enumerate(names) if name in opened}
    causes = {number for number, entry in enumerate(snapshot.status) if _own_cause(entry)}
    outcomes = [entry.outcome for entry in snapshot.status]
    if len(names) <= MAX_NODES:
        failed = {number for number, outcome in enumerate(outcomes) if outcome is Outcome.FAILED}
        return fold_siblings(names, edges, is_opened | causes | failed)
    was_seen = {number for number, name in enumerate(names) if name in seen}
    return choose_folding(outcomes, edges, _groups(snapshot), is_opened, was_seen, causes)


def _own_cause(entry: ReactorEntry) -> Cause | None:
    """Return the change that makes a reactor stale, unless it is only stale because of its inputs."""
    if entry.outcome is not Outcome.STALE or not entry.certain:
        return None
    return next((cause for cause in entry.causes if cause.kind not in _INPUTS), None)


def _short_texts(cause: Cause | None) -> list[str]:
    """Return texts for a box that say what changed, the longest first; none without a cause."""
    if cause is None:
        return []
    name = cause.name.removeprefix("config.")
    values = [f"{name}: {cause.old} → {cause.new}"] if cause.old and cause.new else []
    texts = [cause.summary, *values, cause.kind.value]
    if name and cause.kind is not ReasonKind.CODE:  # there the summary is as short
        texts.insert(-1, f"{name} changed")
    return [clean(text) for text in texts if len(text) <= _MAX_SHORT]


def geometry_of(
    snapshot: GraphSnapshot, folding: Folding, arranger: Arranger, before: GraphGeometry | None = None
) -> GraphGeometry:
    """Compute the positions of what a folding shows.

    Parameters
    ----------
    snapshot
        The snapshot of the plant.
    folding
        Which reactors to show, and which to fold.
    arranger
        The layout function.
    before
        What was drawn before.
    """
    names = [info.name for info in snapshot.reactors]
    return compute_geometry(names, indexed_edges(names, snapshot.edges), folding, arranger, before)


def graph_data(
    snapshot: GraphSnapshot, first: GraphGeometry, everything: GraphGeometry, variable: str = "plant"
) -> dict[str, Any]:
    """Return the trait ``graph``, without its header.

    Parameters
    ----------
    snapshot
        The snapshot of the plant.
    first
        The positions of what is shown first.
    everything
        The positions of all reactors; if none is folded they are shown first.
    variable
        The variable of the notebook that holds the plant.
    """
    return {"nodes": dict(_nodes(snapshot, variable)), **views_data(first, _view(everything))}


def views_data(first: GraphGeometry, everything: dict[str, Any]) -> dict[str, Any]:
    """Return the part of the trait ``graph`` that changes with the folding.

    Parameters
    ----------
    first
        The positions of what is shown first.
    everything
        The view ``all``, which is not made again for each folding during a run.
    """
    if not any(isinstance(box.content, Fold) for box in first.boxes):
        return {"views": {"all": _view(first)}, "view": "all"}
    return {"views": {"all": everything, "focus": _view(first)}, "view": "focus"}


def detail_data(
    snapshot: GraphSnapshot, file_label: Callable[[str], str] = os.path.basename
) -> dict[str, Any]:
    """Return the trait ``details``; reactors without details are left out.

    Parameters
    ----------
    snapshot
        The snapshot of the plant.
    file_label
        Returns the name of a file of code, or of a cell.
    """
    identities = node_ids(len(snapshot.reactors))
    senders = _senders(snapshot)
    remaining = _MAX_ALL_DIFFS
    found: dict[str, Any] = {}
    for identity, entry, info, sent_by in zip(
        identities, snapshot.status, snapshot.reactors, senders, strict=True
    ):
        causes: list[dict[str, Any]] = []
        for cause in entry.causes:
            diff = _diff(cause) if remaining > 0 else ""
            remaining -= len(diff)
            sender = sent_by.get(cause.name) if cause.kind in _INPUTS else None
            hidden = f" (see plant.explain({info.address!r}))" if cause.diff and not diff else ""
            data = {"text": clean(cause.summary + hidden), "diff": diff, "from": sender}
            root = _root_of(snapshot, senders, sender)
            is_told = root is None or any(root == other.get("root") for other in causes)
            causes.append({**data, **_past(cause), **({} if is_told else {"root": root})})
        if causes or entry.error or info.notes or info.reads:
            found[identity] = {
                "cause": _short_texts(_own_cause(entry)),
                "causes": causes,
                **failure_data(info.failure._replace(text=entry.error), file_label),
                "notes": [clean(note) for note in info.notes],
                "reads": [clean(read) for read in info.reads[:_MAX_READS]],
            }
    return found


def _root_of(
    snapshot: GraphSnapshot, senders: Sequence[Mapping[str, str]], sender: str | None
) -> dict[str, str] | None:
    """Return the change that makes the sender of a changed input stale, and the reactor that it is in."""
    seen: set[str] = set()
    while sender is not None and sender not in seen:
        seen.add(sender)
        number = int(sender[1:])
        causes, error = snapshot.status.entries[number].causes, snapshot.status.entries[number].error
        if error:
            return {"text": f"its last run failed: {clean(error)}", "id": sender}
        # Also an input that changed because its sender ran already: there is nothing further away.
        own = next((cause for cause in causes if cause.kind is not ReasonKind.INPUT_UNKNOWN), None)
        if own is not None:
            return {"text": clean(own.summary), "id": sender}
        sender = next((senders[number].get(cause.name) for cause in causes), None)
    return None


def _past(cause: Cause) -> dict[str, str]:
    """Return the text of a cause for a reactor that has run meanwhile, if it differs."""
    if cause.kind is ReasonKind.NEW:
        return {"past": FIRST_RUN}
    if cause.kind is ReasonKind.INPUT_UNKNOWN:
        return {"past": clean(cause.summary.replace(" may change", " may have changed"))}
    return {}


def failure_data(failure: Failure, file_label: Callable[[str], str]) -> dict[str, Any]:
    """Return a failure as a part of the details of its reactor: the error, its line, and how often it was raised."""
    data: dict[str, Any] = {"error": clean_lines(failure.text)}
    if failure.text and failure.line:
        inside = f", in {failure.function}" if failure.function.isidentifier() else ""
        data["at"] = clean(f"{file_label(failure.file)}, line {failure.line}{inside}")
    if failure.text and failure.times > 1:
        data["times"] = failure.times
    return data


def _diff(cause: Cause) -> str:
    text = clean_lines(cause.diff)
    return text if len(text) <= _MAX_DIFF else f"{text[:_MAX_DIFF]}\n…"


def clean_lines(text: str) -> str:
    """Remove control and direction characters from text of several lines."""
    return "\n".join(map(clean, text.expandtabs(4).splitlines()))


def _nodes(snapshot: GraphSnapshot, variable: str) -> Iterator[tuple[str, dict[str, Any]]]:
    # Dicts instead of sets, which would list the receivers in another order in each process.
    identities = node_ids(len(snapshot.reactors))
    senders = _senders(snapshot)
    used_by: dict[str, dict[str, None]] = {identity: {} for identity in identities}
    for receiver, sent_by in zip(identities, senders, strict=True):
        for sender in sent_by.values():
            used_by[sender][receiver] = None
    groups = _groups(snapshot)
    for identity, info, group, sent_by in zip(identities, snapshot.reactors, groups, senders, strict=True):
        yield (
            identity,
            {
                "name": clean(info.name),
                "where": clean(info.where),
                "group": clean(group),
                "orphan": info.is_orphan,
                "inputs": [[clean(name), sent_by.get(name)] for name in info.inputs],
                "outputs": [[clean(name), form, size] for name, form, size in info.outputs],
                "used_by": list(used_by[identity]),
                # To be copied, so it is not cleaned: repr() escapes what must not be shown.
                "run": _statement(info, variable),
            },
        )


def _statement(info: ReactorInfo, variable: str) -> str:
    if info.is_kept and info.outputs:
        return f"{variable}.fetch_ingredient({info.outputs[0][0]!r})"
    return f"{variable}.run_reactor({info.address!r})"


def _senders(snapshot: GraphSnapshot) -> list[dict[str, str]]:
    """Return for each reactor the senders of its ingredients, by the name of the ingredient."""
    names = [info.name for info in snapshot.reactors]
    found: list[dict[str, str]] = [{} for _ in names]
    for (sender, receiver), flowing in indexed_edges(names, snapshot.edges).items():
        for name in flowing:
            found[receiver].setdefault(name, f"n{sender}")
    return found


def _groups(snapshot: GraphSnapshot) -> Sequence[str]:
    return group_labels(
        [info.name for info in snapshot.reactors], [info.module for info in snapshot.reactors]
    )


def _view(geometry: GraphGeometry) -> dict[str, Any]:
    names: list[str] = []
    nodes: list[Any] = []
    folds: list[Any] = []
    for content, centre, size, _ in geometry.boxes:
        # Whole pixels, since a large graph has thousands of these numbers.
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
            names[edge.source],
            names[edge.target],
            [clean(name) for name in edge.names],
            *svg_paths(edge.route),
        ]
        for edge in geometry.edges
    ]
    return {
        "size": [round(length) for length in geometry.size],
        "nodes": nodes,
        "folds": folds,
        "edges": edges,
    }
