"""Shows one plant in a notebook: its pictures and widgets, and when they are updated.

Theory of operation. A plant has one controller while its graph is shown anywhere in the notebook. All
widgets of the plant show the same.

* ``show_graph`` publishes a picture, which is saved with the notebook, and a widget, which hides the
  picture while it is live.
* *Refreshing* takes a snapshot of the plant and judges staleness, under the lock of the plant. It
  happens when the graph is shown, after each cell, and when a run begins with other definitions. It is
  skipped if it is expected to take too long; the widgets then say that staleness was not checked.
* During a run, :class:`~pyplant.notebook.graph.live_state.LiveState` updates the widgets from events.
  At the end of a run and after a cell, the pictures are replaced.
* A change of the structure or of the folding gives the graph a new *version*; states of another version
  are ignored by the front end, since ids differ between versions.

Threads: events arrive in the threads of runs, requests of the front end in the main thread or, with
subshells, in another one. ``_lock`` protects what belongs to one version.
"""

from __future__ import annotations

import sys
import threading
import time
import uuid
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyplant._definitions import Definition, orphans, withdraw
from pyplant._formatting import clean
from pyplant.errors import PlantError, logger
from pyplant.execution import frontend
from pyplant.notebook.graph import facts, graphviz_layout, payload, svg
from pyplant.notebook.graph.folding import MAX_NODES, Folding, active, next_members, without_folds
from pyplant.notebook.graph.geometry import GraphGeometry, indexed_edges
from pyplant.notebook.graph.kernel import interrupt_kernel, kernel_id
from pyplant.notebook.graph.live_state import LiveState
from pyplant.notebook.graph.node_state import NodeState
from pyplant.notebook.graph.other_processes import OtherProcesses
from pyplant.notebook.graph.snapshot import GraphSnapshot, ReactorInfo, in_order, take_snapshot
from pyplant.plant import Plant, session_of
from pyplant.reports.graph import tree
from pyplant.reports.report import Outcome, ReactorEntry, RunReport, Status

if TYPE_CHECKING:
    from pyplant.notebook.graph.widget import GraphWidget

__all__ = ["MAX_REFRESH_SECONDS", "GraphController"]

MAX_REFRESH_SECONDS = 0.05
"""Seconds that refreshing may take after each cell."""
_EXPECTATION_DECAY = 0.9  # for each skipped refresh, so that it is tried again some time
_BUSY_FACTOR = 4  # elapsed time on a busy machine is taken to be at most this multiple of the usual
_MAX_SHOWN_GRAPHS = 8  # of one plant, the newest
_PICTURE_PERIOD = 1.0  # seconds between two pictures while a cell runs
_FOLLOW_PERIOD = 1.0  # seconds between two foldings during a run, at least; a person must be able to read one
_FOLLOW_FACTOR = 30  # this period in multiples of the time that a folding takes
_OLD = "no longer updated"
_DONE = frozenset({Outcome.CACHED, Outcome.RAN})


class _ShownGraph:
    """The result of one call of ``show_graph``: a picture and, if possible, a widget."""

    def __init__(self, cell: str, request: str) -> None:
        self.identity = f"pyplant-{uuid.uuid4().hex[:16]}"
        self.cell = cell
        self.request = request
        self.widget: GraphWidget | None = None

    @property
    def is_gone(self) -> bool:
        """Whether the front end has closed the widget."""
        return self.widget is not None and not self.widget.is_open


class GraphController:
    """Shows one plant; it does not keep the plant alive.

    Parameters
    ----------
    plant
        The plant.
    shell
        The IPython shell.

    Attributes
    ----------
    directory
        The plant directory.
    """

    def __init__(self, plant: Plant, shell: Any) -> None:
        self._plant = weakref.ref(plant)
        self.directory = plant.directory
        self._shell = shell
        self._lock = threading.RLock()
        self._shown_graphs: list[_ShownGraph] = []
        self._snapshot = GraphSnapshot(Status(()), {}, ())
        self._folding = Folding((), ())
        self._geometry = self._everything = GraphGeometry([], [], (0.0, 0.0))
        self._opened_names: frozenset[str] = frozenset()
        self._shown_names: frozenset[str] = frozenset()
        self._version = 0
        self._graph: dict[str, Any] = {}
        self._details: dict[str, Any] = {}
        self._last_cost = self._expected_cost = 0.0  # seconds of a refresh
        self._last_drawn: object = None
        self._draw_after = self._follow_after = 0.0
        self._live = LiveState(
            self._publish, self._on_run_started, self._on_run_finished, self._queued, self._follow_run
        )
        # The sending thread ends with the plant. At interpreter exit it is a daemon and needs no end.
        weakref.finalize(plant, self._live.close).atexit = False
        plant.add_event_listener(self._live)
        self._others = OtherProcesses(plant, self._on_others_changed)

    # ------------------------------------------------------------------ showing

    def show(self) -> None:
        """Show the graph in the cell that is running.

        Raises
        ------
        pyplant.errors.PlantError
            If the status cannot be judged, for example because the plant was closed.
        """
        self._refresh()
        self._update_pictures()
        shown = _ShownGraph(*self._current_cell())
        # Before the widget: if that fails the picture is there, and it is what the notebook saves.
        self._publish_picture(shown, self._status(), is_new=True)
        self._shown_graphs.append(shown)
        self._drop_obsolete()
        try:
            self._add_widget(shown)
        except Exception as error:  # noqa: BLE001 - the picture is shown already, and works without widgets
            logger().warning("The graph is shown as a picture that is not live: %s", error)
            logger().debug("Why there is no widget:", exc_info=True)

    def _add_widget(self, shown: _ShownGraph) -> None:
        from pyplant.notebook.graph.widget import GraphWidget

        shown.widget = GraphWidget(
            self._handle_request,
            graph=self._graph_of(shown),
            details=self._details,
            state=self._live.snapshot(),
        )
        data, metadata = self._shell.display_formatter.format(shown.widget)
        # Where there are no widgets, its text would stand below the picture, and be older than it.
        self._shell.display_pub.publish({**data, "text/plain": ""}, metadata)

    def _drop_obsolete(self) -> None:
        """Drop graphs that the page no longer shows: closed, or in a cell that was run again."""
        cell, request = self._current_cell()
        newest = self._shown_graphs[-_MAX_SHOWN_GRAPHS:]
        # A request is one execution of a cell; several graphs in one execution are all kept.
        kept = [
            shown
            for shown in newest
            if not shown.is_gone and not (cell and shown.cell == cell and shown.request != request)
        ]
        for shown in self._shown_graphs:
            if shown not in kept and shown.widget is not None:
                if (
                    not shown.is_gone
                ):  # another tab may show it still, with the picture once the widget is closed
                    self._publish_picture(shown, self._status(), note=_OLD)
                shown.widget.close()
        self._shown_graphs = kept

    def _current_cell(self) -> tuple[str, str]:
        """Return ids of the running cell and of this execution of it; empty if the front end has none."""
        parent = self._shell.get_parent() if hasattr(self._shell, "get_parent") else {}
        metadata, header = parent.get("metadata") or {}, parent.get("header") or {}
        return str(metadata.get("cellId") or ""), str(header.get("msg_id") or "")

    def close(self) -> None:
        """Stop listening; what is shown stays as it is."""
        self._live.close()
        self._others.close()
        plant = self._plant()
        if plant is not None:
            plant.remove_event_listener(self._live)

    # ------------------------------------------------------------------ refreshing

    @property
    def has_ended(self) -> bool:
        """Whether the plant was closed or is gone."""
        plant = self._plant()
        return plant is None or plant.is_closed

    def take_over(self, other: GraphController) -> None:
        """Show what another controller has shown, whose plant has ended, with the nodes in their places."""
        with self._lock:
            for shown in other._shown_graphs:
                if shown.widget is not None:
                    shown.widget.on_request = self._handle_request
            self._shown_graphs, other._shown_graphs = [*other._shown_graphs, *self._shown_graphs], []
            self._geometry, self._everything = other._geometry, other._everything
            self._opened_names, self._shown_names = other._opened_names, other._shown_names
            self._version = max(self._version, other._version)
            self._live.continue_numbers(other._live)
            self._snapshot = GraphSnapshot(Status(()), {}, ())  # differs, so that the widgets get all of it
        if self._refresh():
            self._live.send(graph=self._graph, details=self._details)
            self._update_pictures()

    def after_cell(self) -> bool:
        """Refresh after a cell if that is quick; return whether anything is still shown."""
        with self._lock:
            self._drop_obsolete()
        if self.has_ended and not self._live.is_closed_plant:
            self._live.is_closed_plant = True
            self._live.send()
        if self.has_ended or not self._shown_graphs:
            self.close()
            return bool(self._shown_graphs)
        # Sent once: the widgets say that staleness was not checked until a refresh succeeds.
        if not self._refresh_if_quick() and self._live.checked:
            self._live.checked = False
            self._live.send()
        self._update_pictures()
        return True

    def _refresh_if_quick(self) -> bool:
        """Refresh unless that is expected to take too long; return whether it was done."""
        if self._expected_cost > MAX_REFRESH_SECONDS:
            self._expected_cost *= _EXPECTATION_DECAY
            return False
        try:
            return self._refresh()
        except PlantError as error:  # for example, the plant was closed
            logger().debug("Staleness is not judged: %s", error)
            return False

    def _refresh(self) -> bool:
        """Take a snapshot and send what changed; return ``False`` if another thread uses the plant."""
        plant, began, worked = self._plant(), time.perf_counter(), time.thread_time()
        snapshot = take_snapshot(plant) if plant is not None else None
        if snapshot is None:
            return False
        # Processor time, or elapsed time if it is much longer: a slow disk will be slow again, but a busy
        # machine may be idle next time.
        cost = max(time.thread_time() - worked, (time.perf_counter() - began) / _BUSY_FACTOR)
        # The lesser of the last two, since one slow refresh may be an exception: the first reads all code,
        # and one after an edit reads some.
        self._expected_cost, self._last_cost = min(cost, self._last_cost), cost
        with self._lock:
            before, self._snapshot = self._snapshot, snapshot
            is_same = self._version and snapshot.structure == before.structure
            sent = self._update_graph(snapshot, must_differ=not is_same)
            details = payload.detail_data(snapshot, self._file_label)
            if details != self._details:
                self._details = sent["details"] = details
            names = payload.node_ids(len(snapshot.status))
            nodes = {
                name: _node_state(entry, info)
                for name, entry, info in zip(names, snapshot.status, snapshot.reactors, strict=True)
            }
            if self._live.set_nodes(self._version, nodes) or sent:
                self._live.send(**sent)
        return True

    def _update_graph(self, snapshot: GraphSnapshot, *, must_differ: bool) -> dict[str, Any]:
        """Compute the graph if it or its folding changed; return the traits to send.

        The caller holds the lock, and sends the traits together with the state of the new version.
        """
        folding = payload.initial_folding(snapshot, self._opened_names, self._shown_names)
        if folding == self._folding and not must_differ:
            return {}
        # The version goes first: states of the old one, possibly on their way, must not reach new ids.
        self._version += 1
        self._folding = folding
        self._shown_names = frozenset(snapshot.reactors[node].name for node in folding.shown)
        self._geometry = payload.geometry_of(snapshot, folding, graphviz_layout.arrange, self._geometry)
        if not folding.folds:
            self._everything = self._geometry
        elif must_differ:  # else only the folding differs
            everything = without_folds(len(snapshot.reactors))
            self._everything = payload.geometry_of(
                snapshot, everything, graphviz_layout.arrange, self._everything
            )
        if must_differ:
            self._graph = self._build_graph(snapshot)
        else:
            header = {"version": self._version, "unfolded": bool(self._opened_names)}
            views = payload.views_data(self._geometry, self._graph["views"]["all"])
            self._graph = {**self._graph, **header, **views}
        return {"graph": self._graph}

    def _build_graph(self, snapshot: GraphSnapshot) -> dict[str, Any]:
        plant = self._plant()
        # Names with an underscore are IPython's own, such as `_` for the last value.
        variables = (name for name, value in self._shell.user_ns.items() if value is plant and name[0] != "_")
        return {
            "version": self._version,
            "plant": clean(Path(snapshot.status.directory).name),
            "kernel": kernel_id(),
            "unfolded": bool(self._opened_names),
            **payload.graph_data(snapshot, self._geometry, self._everything, next(variables, "plant")),
        }

    def _graph_of(self, shown: _ShownGraph) -> dict[str, Any]:
        # In Colab a widget gets no messages in later cells, so it must not hide the picture.
        return {**self._graph, "snapshot": "" if "google.colab" in sys.modules else shown.identity}

    # ------------------------------------------------------------------ called by the live state

    def _publish(self, traits: dict[str, Any]) -> None:
        for shown in tuple(self._shown_graphs):  # a copy: a cell may show another graph meanwhile
            if shown.widget is None or shown.is_gone:
                continue
            own = {"graph": self._graph_of(shown)} if "graph" in traits else {}
            try:
                shown.widget.update_traits({**traits, **own})
            except Exception:  # noqa: BLE001 - a broken widget must not keep others from being updated
                logger().debug("A widget is no longer updated:", exc_info=True)
                shown.widget.is_open = False

    def _on_run_started(self) -> None:
        """Refresh before a run if reactors were defined or edited since the last snapshot."""
        plant = self._plant()
        if plant is None:
            return
        definitions = in_order(session_of(plant).definitions())
        if tuple(definitions.values()) != self._snapshot.definitions:
            self._refresh_if_quick()

    def _follow_run(self) -> None:
        """Fold a large graph again if what runs or failed is hidden in a fold."""
        if not self._folding.folds or time.monotonic() < self._follow_after:
            return
        if not self._lock.acquire(blocking=False):
            return  # another thread sends a graph, or will ask later
        try:
            began = time.thread_time()
            outcomes = [node.outcome for node in self._live.nodes.values()]
            shown = set(self._folding.shown)
            # Siblings that run stay folded.
            wanted = {Outcome.FAILED} if len(outcomes) <= MAX_NODES else {Outcome.FAILED, Outcome.RUNNING}
            if all(node in shown or outcomes[node] not in wanted for node in active(outcomes)):
                return
            self._change_folding(self._opened_names)
            pause = max(_FOLLOW_PERIOD, _FOLLOW_FACTOR * (time.thread_time() - began))
            self._follow_after = time.monotonic() + pause
        finally:
            self._lock.release()

    def _on_others_changed(self) -> None:
        """Refresh while this kernel is idle, since another process has begun or ended to execute a reactor."""
        if self._shown_graphs and self._refresh_if_quick():
            self._update_pictures()

    def _on_run_finished(self, report: RunReport) -> None:
        """Send the errors of failed reactors, and replace the pictures."""
        plant, failed = self._plant(), {entry.name for entry in report if entry.outcome is Outcome.FAILED}
        details = dict(self._details)
        failures = session_of(plant).failed if plant is not None else {}
        for (identity, node), definition in zip(
            self._live.nodes.items(), self._snapshot.definitions, strict=False
        ):
            failure = failures.get(definition.key)
            if node.entry.name in failed and node.outcome is Outcome.FAILED and failure is not None:
                known = details.get(identity, payload.NO_DETAILS)
                details[identity] = {**known, **payload.failure_data(failure, self._file_label)}
        if details != self._details:
            self._details = details
            self._live.send(details=details)
        # Otherwise the end of the cell replaces them; a loop of short runs would draw hundreds.
        if time.monotonic() >= self._draw_after:
            self._update_pictures()

    def _queued(self) -> frozenset[str]:
        """Return the names of the reactors that the run has requested and not begun."""
        plant = self._plant()
        if plant is None:
            return frozenset()
        not_begun = session_of(plant).not_begun()
        return frozenset(one.name for one in self._snapshot.definitions if one.key in not_begun)

    def _file_label(self, file: str) -> str:
        """Return the name of a file, or of a cell by its present number, as tracebacks do."""
        find = getattr(getattr(self._shell, "compile", None), "format_code_name", None)
        found = find(file) if find is not None else None
        return " ".join(found) if found else Path(file).name

    # ------------------------------------------------------------------ called by the front end

    def _handle_request(self, content: dict[str, Any]) -> None:
        """Handle a message of the front end, in any thread, possibly during a run.

        ``resync``: send everything again. ``stop``: interrupt the given run. ``unfold``: show the given members of
        the given folds, or the next ones. ``fold``: fold what was unfolded. ``remove``: withdraw the reactor of a
        deleted cell. ``inspect``, ``preview``: answer with facts about a reactor, or with a preview of an
        ingredient; the answers are messages, which are not saved. Other messages are ignored.
        """
        match content:
            case {"kind": "resync"}:
                for shown in self._shown_graphs:
                    if shown.widget is not None:
                        shown.widget.send_state(["graph", "details"])
                self._live.send()
            # A late click must not hit the next run.
            case {"kind": "stop", "run": int(run)} if run == self._live.run:
                interrupt_kernel()
            case {"kind": "unfold", "folds": list(folds), **more}:
                self._unfold(folds, more.get("nodes"))
            case {"kind": "remove" | "inspect" | "preview", "id": str(identity), "version": self._version}:
                self._handle_request_for_reactor(identity, content)
            case {"kind": "fold"}:
                # Else reactors would stay unfolded because they were shown before.
                self._shown_names = frozenset()
                self._change_folding(frozenset())

    def _handle_request_for_reactor(self, identity: str, content: dict[str, Any]) -> None:
        """Handle a message about a reactor of the present version of the graph."""
        plant = self._plant()
        # What only the plant knows has no definition.
        reactors = self._snapshot.definitions or [info.name for info in self._snapshot.reactors]
        reactor = dict(zip(self._graph["nodes"], reactors, strict=False)).get(identity)
        if plant is None or plant.is_closed or reactor is None:
            return
        reply: dict[str, Any] = {"id": identity, "version": self._version}
        if content["kind"] == "remove":
            if isinstance(reactor, Definition) and reactor in orphans and withdraw(reactor):
                self._refresh()
            return
        if content["kind"] == "inspect":
            front_end = frontend.current()
            reactor_name = reactor if isinstance(reactor, str) else reactor.name
            printed = front_end.last_prints(reactor_name) if front_end is not None else ""
            found = facts.facts_of(plant, reactor)
            reply |= {"kind": "facts", "prints": payload.clean_lines(printed), **(found or {"busy": True})}
        else:
            name = str(content.get("name", ""))
            reply |= {"kind": "preview", "name": name, **facts.preview(plant, reactor, name)}
        for shown in tuple(self._shown_graphs):
            if shown.widget is not None and not shown.is_gone:
                shown.widget.send(reply)

    def _unfold(self, folds: list[object], wanted: object) -> None:
        members = {f"f{n}": fold.members for n, fold in enumerate(self._folding.folds)}
        names = [info.name for info in self._snapshot.reactors]
        edges = list(indexed_edges(names, self._snapshot.edges))
        found = set(self._opened_names)
        for fold in folds:
            inside = members.get(fold, ()) if isinstance(fold, str) else ()
            some = [node for node in inside if isinstance(wanted, list) and f"n{node}" in wanted]
            found |= {names[node] for node in some or next_members(inside, edges, set(self._folding.shown))}
        self._change_folding(frozenset(found))

    def _change_folding(self, opened: frozenset[str]) -> None:
        """Show other parts of the graph without judging staleness."""
        with self._lock:
            self._opened_names = opened
            sent = self._update_graph(self._snapshot._replace(status=self._status()), must_differ=False)
            self._live.renumber(self._version)
            self._live.send(**sent)

    # ------------------------------------------------------------------ pictures

    def _status(self) -> Status:
        """Return the present status of the reactors."""
        return Status(tuple(map(_current_entry, self._live.nodes.values())), self._snapshot.status.directory)

    def _update_pictures(self) -> None:
        """Replace the pictures if they differ."""
        status = self._status()
        if (status, self._version) == self._last_drawn:
            return
        for shown in tuple(self._shown_graphs):
            self._publish_picture(shown, status)
        self._last_drawn = (status, self._version)
        self._draw_after = time.monotonic() + _PICTURE_PERIOD

    def _publish_picture(
        self, shown: _ShownGraph, status: Status, *, is_new: bool = False, note: str = ""
    ) -> None:
        html = svg.geometry_html(status, self._geometry, shown.identity, note)
        text = tree(status, self._snapshot.edges) if len(status) <= MAX_NODES else status.title()
        self._shell.display_pub.publish(
            {"text/html": html, "text/plain": text},
            {},
            transient={"display_id": shown.identity},
            update=not is_new,
        )


def _node_state(entry: ReactorEntry, info: ReactorInfo) -> NodeState:
    kinds = {"is_orphan": info.is_orphan, "is_kept": info.is_kept}
    node = NodeState(entry, info.failure.finished, info.missing, **kinds)
    if info.runs_in is not None:
        node.runs_elsewhere(info.runs_in.notebook or str(info.runs_in), info.runs_in.since)
    return node


def _current_entry(node: NodeState) -> ReactorEntry:
    """Return the present entry of a reactor."""
    before = node.entry
    if node.outcome is before.outcome and node.finished == before.finished:
        return before
    is_done = node.outcome in _DONE
    return ReactorEntry(  # dataclasses.replace takes four times as long, and there may be thousands
        before.name,
        node.outcome,
        () if is_done else before.causes,
        node.seconds,
        node.size,
        node.finished,
        before.outputs,
        error=node.text if node.outcome is Outcome.FAILED else "",
    )
