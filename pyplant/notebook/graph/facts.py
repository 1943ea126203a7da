"""Facts about one reactor that the panel of the graph asks for: what it costs, reads, sends, and who made it.

They are computed when a panel is opened and sent as a message, so that they are never saved with a notebook.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pyplant._definitions import Definition
from pyplant._formatting import clean
from pyplant.engine.trace import DependencyKind, Trace
from pyplant.errors import PlantError
from pyplant.execution.context import RunContext
from pyplant.execution.session import Session
from pyplant.execution.staleness import Staleness
from pyplant.execution.summary import history_entry
from pyplant.fingerprint.graph_node import NodeKind
from pyplant.ingredient import Ingredient
from pyplant.notebook.graph.preview import preview_of, shape_text
from pyplant.notebook.graph.snapshot import kept_traces
from pyplant.plant import Plant, session_of
from pyplant.reports.report import Outcome

__all__ = ["facts_of", "preview"]

_OWN = f"{__name__.partition('.')[0]}."
_MAX_NAMES = 30  # of helpers, parameters and reactors
_MAX_BYTES = 200_000_000  # of a value that is loaded for a preview; arrays are mapped


def facts_of(plant: Plant, reactor: Definition | str) -> dict[str, Any] | None:
    """Return the facts about a reactor; ``None`` while another thread uses the plant.

    Parameters
    ----------
    plant
        The plant.
    reactor
        The reactor; its name if only the plant knows it, of which there are fewer facts.

    Returns
    -------
    facts
        ``rerun``: the reactors that would run, and whether that is certain; ``seconds`` that they took last. ``parameters``, ``helpers``, ``files``: what the
        last execution read. ``shapes``: the shapes of arrays by name of the ingredient. ``made``: where. ``reused``,
        ``stored``: how often its results were found since the plant was opened, and how many are kept.
    """
    session = session_of(plant)
    with _unless_in_use(session) as context:
        if context is None:
            return None
        ledger = session.warehouse.ledger
        if isinstance(reactor, str):
            trace = kept_traces(ledger).get(reactor)
            return {} if trace is None else _facts_of_execution(trace)
        definition, staleness = reactor, Staleness(context)
        entries = staleness.plan(definition.key)
        trace = _trace_of(context, staleness, definition)
        stored = len(ledger.of_reactor(definition.full_name))
        would_run = [entry for entry in entries if entry.outcome is not Outcome.CACHED]
        return {
            "rerun": [[clean(entry.name), entry.certain] for entry in would_run][:_MAX_NAMES],
            "reruns": len(would_run),
            "seconds": sum(entry.seconds for entry in would_run),
            "helpers": list(dict.fromkeys(_helpers(context, definition.key)))[:_MAX_NAMES],
            "reused": session.reused[definition.key],
            "stored": stored,
            **(_facts_of_execution(trace) if trace is not None else {}),
        }


@contextmanager
def _unless_in_use(session: Session) -> Iterator[RunContext | None]:
    """Keep other threads from using the plant in the block, and provide a context; ``None`` if one uses it now."""
    if not session.lock.acquire(blocking=False):
        yield None
        return
    try:
        yield session.context().without_long_hashing()
    finally:
        session.lock.release()


def _trace_of(context: RunContext, staleness: Staleness, definition: Definition) -> Trace | None:
    """Return the trace of a judged reactor that is up to date, else its last one."""
    return staleness.verdicts[definition.key].trace or context.last(definition.full_name)


def _facts_of_execution(trace: Trace) -> dict[str, Any]:
    parameters = list(history_entry(trace).parameters.items())[:_MAX_NAMES]
    files = [
        dependency.names[0]
        for dependency in trace.dependencies
        if dependency.kind is DependencyKind.FILE and dependency.names[0] not in trace.shown
    ]
    place = [f"by {trace.program}"] if trace.program else []
    return {
        "parameters": [[clean(name), clean(text)] for name, text in parameters],
        "files": [clean(file) for file in dict.fromkeys(files)],
        "shapes": {clean(one.name): text for one in trace.outputs if (text := _shape(one))},
        "made": clean(" ".join([*place, f"on {trace.host}"])),
    }


def _shape(ingredient: Ingredient) -> str:
    shape, dtype = ingredient.metadata.get("shape"), ingredient.metadata.get("dtype")
    if not isinstance(shape, list):
        return ""
    return clean(shape_text(shape, dtype if isinstance(dtype, str) else ""))


def _helpers(context: RunContext, key: str) -> Iterator[str]:
    """Yield the functions and classes of the user that the code of a reactor uses, the nearest first."""
    work, seen = [context.fingerprint(key).digest], set[str]()
    for digest in work:
        record = context.record(digest)
        if record is None or digest in seen:
            continue
        seen.add(digest)
        if record.name.startswith(_OWN):  # what a `%%reactor` cell calls to show its last expression
            continue
        name = clean(record.name.rpartition(".")[2])
        if len(seen) > 1 and record.kind in {NodeKind.FUNCTION, NodeKind.CLASS}:
            yield f"{name}()" if record.kind is NodeKind.FUNCTION else name
        work += [below for _, _, below in record.edges.values() if not below.startswith("=")]


def preview(plant: Plant, reactor: Definition | str, name: str) -> dict[str, Any]:
    """Return a preview of an ingredient that a reactor has sent.

    Parameters
    ----------
    plant
        The plant.
    reactor
        The reactor; its name if only the plant knows it.
    name
        The name of the ingredient.

    Returns
    -------
    preview
        ``text``, and possibly ``rows`` of a table with the head first, or ``image``, a PNG as base64.
    """
    session = session_of(plant)
    try:
        with _unless_in_use(session) as context:
            if context is None:
                return {"text": "The plant is in use; try again after the run."}
            if isinstance(reactor, str):
                trace = kept_traces(session.warehouse.ledger).get(reactor)
            else:
                staleness = Staleness(context)
                staleness.judge([reactor.key])
                trace = _trace_of(context, staleness, reactor)
            ingredient = trace.output(name) if trace is not None else None
            if ingredient is None:
                return {"text": "No value is kept."}
            if ingredient.size > _MAX_BYTES and not _shape(ingredient):
                return {"text": f"It is too large for a preview: plant.fetch_ingredient({name!r})"}
            return preview_of(session.warehouse.load(ingredient))
    except PlantError as error:
        return {"text": clean(str(error))}
