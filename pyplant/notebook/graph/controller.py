"""Where one plant is shown in a notebook: the pictures and widgets, and what they show.

A plant has one board as long as its graph stands somewhere in the notebook. The board
listens to the plant, which it does not keep alive; all its widgets show the same.
"""

from __future__ import annotations

import _thread
import re
import signal
import sys
import threading
import time
import uuid
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyplant._formatting import clean
from pyplant.errors import PlantError, logger
from pyplant.notebook.graph import graphviz_layout, payload, svg
from pyplant.notebook.graph.folding import MOST, Folding
from pyplant.notebook.graph.geometry import GraphGeometry
from pyplant.notebook.graph.live_state import LiveState, NodeState
from pyplant.notebook.graph.snapshot import GraphSnapshot, take_snapshot
from pyplant.reports.graph import tree
from pyplant.reports.report import Outcome, ReactorEntry, RunReport, Status

if TYPE_CHECKING:
    from pyplant.notebook.graph.widget import GraphWidget

from pyplant.plant import Plant, session_of

__all__ = ["AFFORDABLE", "GraphController"]

AFFORDABLE = 0.05
"""Seconds that judging staleness may take after each cell."""
_HOPE = 0.9  # each cell that goes by unjudged makes it likelier that judging became quick again
_BUSY_MACHINE = 4  # times as long as alone is as long as anything takes on one
_MOST_SHOWINGS = 8
_PICTURE_PERIOD = 1.0  # seconds between two pictures while a cell runs
_DONE = frozenset({Outcome.CACHED, Outcome.RAN})


class _Showing:
    """One call of ``show_graph``: a picture and, where that is possible, a widget."""

    def __init__(self, cell: str, request: str) -> None:
        self.identity = f"pyplant-{uuid.uuid4().hex[:16]}"
        self.cell = cell
        self.request = request
        self.widget: GraphWidget | None = None

    @property
    def is_gone(self) -> bool:
        """Whether the front end has closed it."""
        return self.widget is not None and not self.widget.is_open


class GraphController:
    """Shows one plant.

    Parameters
    ----------
    plant
        The plant.
    shell
        The IPython shell.
    """

    def __init__(self, plant: Plant, shell: Any) -> None:
        self._plant = weakref.ref(plant)
        self._shell = shell
        self._lock = threading.RLock()
        self._showings: list[_Showing] = []
        self._snapshot = GraphSnapshot(Status(()), {}, ())
        self._folding = Folding((), ())
        self._scene = GraphGeometry([], [], (0.0, 0.0), detailed=True)
        self._opened: frozenset[str] = frozenset()
        self._seen: frozenset[str] = frozenset()
        self._version = 0
        self._graph: dict[str, Any] = {}
        self._details: dict[str, Any] = {}
        self._cost = self._expected = 0.0
        self._drawn: object = None
        self._draw_after = 0.0
        self._live = LiveState(self._publish, self._began, self._ended)
        weakref.finalize(plant, self._live.close).atexit = False
        plant.add_event_listener(self._live)

    # ------------------------------------------------------------------ showing

    def show(self) -> None:
        """Show the graph in the cell that is running.

        Raises
        ------
        pyplant.errors.PlantError
            If nothing can be said of the plant, because it was closed for example.
        """
        self._judge()
        self._draw()
        showing = _Showing(*self._cell())
        self._publish_picture(showing, self._status(), is_new=True)
        self._showings.append(showing)
        self._drop_replaced()
        try:
            self._add_widget(showing)
        except Exception as error:  # noqa: BLE001 - anything may be missing or broken, and a picture is there
            logger().warning("The graph is shown as a picture that is not live: %s", error)
            logger().debug("Why there is no widget:", exc_info=True)

    def _add_widget(self, showing: _Showing) -> None:
        from pyplant.notebook.graph.widget import GraphWidget

        showing.widget = GraphWidget(
            self._hear, graph=self._graph_for(showing), details=self._details, state=self._live.snapshot()
        )
        data, metadata = self._shell.display_formatter.format(showing.widget)
        self._shell.display_pub.publish(data, metadata)

    def _drop_replaced(self) -> None:
        """Drop what the page shows no longer: closed there, or its cell was run again since."""
        cell, request = self._cell()
        newest = self._showings[-_MOST_SHOWINGS:]
        kept = [
            showing
            for showing in newest
            if not showing.is_gone and not (cell and showing.cell == cell and showing.request != request)
        ]
        for showing in self._showings:
            if showing not in kept and showing.widget is not None:
                showing.widget.close()
        self._showings = kept

    def _cell(self) -> tuple[str, str]:
        """Identifies the cell that is running, and this execution of it; empty if the front end does not."""
        parent = self._shell.get_parent() if hasattr(self._shell, "get_parent") else {}
        metadata, header = parent.get("metadata") or {}, parent.get("header") or {}
        return str(metadata.get("cellId") or ""), str(header.get("msg_id") or "")

    def close(self) -> None:
        """Listen no longer. What is shown stays as it is."""
        self._live.close()
        plant = self._plant()
        if plant is not None:
            plant.remove_event_listener(self._live)

    # ------------------------------------------------------------------ judging

    def after_cell(self) -> bool:
        """Bring what is shown up to date if that is quick; whether anything is shown at all."""
        with self._lock:
            self._drop_replaced()
        if not self._showings or self._plant() is None:
            self.close()
            return False
        if not self._judge_if_affordable() and self._live.checked:
            self._live.checked = False
            self._live.send()
        self._draw()
        return True

    def _judge_if_affordable(self) -> bool:
        if self._expected > AFFORDABLE:
            self._expected *= _HOPE
            return False
        try:
            return self._judge()
        except PlantError as error:  # the plant was closed, say
            logger().debug("Staleness is not judged: %s", error)
            return False

    def _judge(self) -> bool:
        """Look at the plant anew; ``False`` if it is busy."""
        plant, began, worked = self._plant(), time.perf_counter(), time.thread_time()
        found = take_snapshot(plant) if plant is not None else None
        if found is None:
            return False
        # A busy machine may be in the way for once; a slow disk will be again.
        cost = max(time.thread_time() - worked, (time.perf_counter() - began) / _BUSY_MACHINE)
        # What takes long once may be quick again: the first look reads all code, one after an edit some.
        self._expected, self._cost = min(cost, self._cost), cost
        with self._lock:
            before, self._snapshot = self._snapshot, found
            is_same = self._version and (found.reactors, found.edges) == (before.reactors, before.edges)
            sent = self._refold(found, must_differ=not is_same)
            details = payload.details(found)
            if details != self._details:
                self._details = sent["details"] = details
            names = payload.ids(len(found.status))
            nodes = {name: NodeState(entry) for name, entry in zip(names, found.status, strict=True)}
            if self._live.show(self._version, nodes) or sent:
                self._live.send(**sent)
        return True

    def _refold(self, now: GraphSnapshot, *, must_differ: bool) -> dict[str, Any]:
        """Make the graph again where it differs; what is to be sent then."""
        folding = payload.focus(now, self._opened, self._seen)
        if folding == self._folding and not must_differ:
            return {}
        self._version += 1
        self._folding = folding
        self._seen = frozenset(now.reactors[node].name for node in folding.shown)
        self._scene = payload.geometry_of(now, folding, graphviz_layout.arrange)
        self._graph = self._new_graph(now)
        return {"graph": self._graph}

    def _new_graph(self, found: GraphSnapshot) -> dict[str, Any]:
        plant = self._plant()
        variables = (name for name, value in self._shell.user_ns.items() if value is plant and name[0] != "_")
        return {
            "version": self._version,
            "plant": clean(Path(found.status.directory).name),
            "kernel": _kernel(),
            "unfolded": bool(self._opened),
            **payload.graph(found, self._scene, graphviz_layout.arrange, next(variables, "plant")),
        }

    def _graph_for(self, showing: _Showing) -> dict[str, Any]:
        # In Colab a widget hears nothing of later cells, so the picture stays to be looked at.
        return {**self._graph, "snapshot": "" if "google.colab" in sys.modules else showing.identity}

    # ------------------------------------------------------------------ what the plant tells

    def _publish(self, traits: dict[str, Any]) -> None:
        for showing in tuple(self._showings):
            if showing.widget is None or showing.is_gone:
                continue
            own = {"graph": self._graph_for(showing)} if "graph" in traits else {}
            try:
                showing.widget.tell({**traits, **own})
            except Exception:  # noqa: BLE001 - one that cannot be told must not keep others from being told
                logger().debug("A graph is not updated any longer:", exc_info=True)
                showing.widget.is_open = False

    def _began(self) -> None:
        """A run begins; what was defined or edited since the last look is to be seen in it."""
        plant = self._plant()
        if (
            plant is not None
            and tuple(session_of(plant).definitions().values()) != self._snapshot.definitions
        ):
            self._judge_if_affordable()

    def _ended(self, report: RunReport) -> None:
        failed = {entry.name: entry.error for entry in report if entry.outcome is Outcome.FAILED}
        details = dict(self._details)
        for identity, node in self._live.nodes.items():
            if node.entry.name in failed and node.outcome is Outcome.FAILED:
                known = details.get(identity, {"causes": [], "notes": []})
                details[identity] = {**known, "error": payload.clean_lines(failed[node.entry.name])}
        if details != self._details:
            self._details = details
            self._live.send(details=details)
        if time.monotonic() >= self._draw_after:
            self._draw()

    # ------------------------------------------------------------------ what the front end tells

    def _hear(self, content: dict[str, Any]) -> None:
        """Do what the front end asks for; this may be any thread, and a run may be under way."""
        match content:
            case {"kind": "resync"}:
                for showing in self._showings:
                    if showing.widget is not None:
                        showing.widget.send_state(["graph", "details"])
                self._live.send()
            case {"kind": "stop", "run": int(run)} if run == self._live.run:
                _interrupt()
            case {"kind": "unfold", "folds": list(folds)}:
                members = {f"f{n}": fold.members for n, fold in enumerate(self._folding.folds)}
                nodes = [node for fold in folds for node in members.get(fold, ())]
                self._fold(self._opened.union(self._snapshot.reactors[node].name for node in nodes))
            case {"kind": "fold"}:
                self._seen = frozenset()
                self._fold(frozenset())

    def _fold(self, opened: frozenset[str]) -> None:
        """Show another part of the graph; how reactors stand stays as it is."""
        with self._lock:
            self._opened = opened
            sent = self._refold(self._snapshot._replace(status=self._status()), must_differ=True)
            self._live.renumber(self._version)
            self._live.send(**sent)

    # ------------------------------------------------------------------ pictures

    def _status(self) -> Status:
        """How reactors stand now, as far as that is known."""
        return Status(tuple(map(_entry, self._live.nodes.values())), self._snapshot.status.directory)

    def _draw(self) -> None:
        """Replace the pictures, if they would differ."""
        status = self._status()
        if (status, self._version) == self._drawn:
            return
        for showing in tuple(self._showings):
            self._publish_picture(showing, status)
        self._drawn = (status, self._version)
        self._draw_after = time.monotonic() + _PICTURE_PERIOD

    def _publish_picture(self, showing: _Showing, status: Status, *, is_new: bool = False) -> None:
        html = svg.paint(status, self._scene, showing.identity)
        text = tree(status, self._snapshot.edges) if len(status) <= MOST else status.title()
        self._shell.display_pub.publish(
            {"text/html": html, "text/plain": text},
            {},
            transient={"display_id": showing.identity},
            update=not is_new,
        )


def _entry(node: NodeState) -> ReactorEntry:
    """How a reactor stands now, for a report."""
    before = node.entry
    if node.outcome is before.outcome and node.finished == before.finished:
        return before
    is_done = node.outcome in _DONE
    return ReactorEntry(  # dataclasses.replace would take four times as long, and there may be thousands
        before.name,
        node.outcome,
        () if is_done else before.causes,
        node.seconds,
        node.size,
        node.finished,
        before.outputs,
        error=node.text if node.outcome is Outcome.FAILED else "",
    )


def _kernel() -> str | None:
    """What the Jupyter server calls this kernel, if it was started by one."""
    if "ipykernel" not in sys.modules:
        return None
    from ipykernel.connect import get_connection_file

    try:
        name = Path(get_connection_file()).name
    except Exception:  # noqa: BLE001 - not every kernel has such a file
        return None
    found = re.fullmatch(r"kernel-(.+)\.json", name)
    return found[1] if found else None


def _interrupt() -> None:
    """Do what the stop button does; a signal to this very thread also ends a sleep."""
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    else:
        _thread.interrupt_main()
