"""The notebook as a run sees it: one object that connects cells, recordings and the graph.

Theory of operation. Importing PyPlant in IPython creates one :class:`Console` and installs it as the
front end of the process (:mod:`pyplant.execution.frontend`) and as a listener of IPython.

* Before and after each cell it informs :class:`~pyplant.notebook.cells.Cells`, resets the headings of recorded
  output, and updates the graphs.
* A run asks it to record what a reactor shows, to replay what a cached reactor showed, and to shorten
  the traceback of an error to the frames of the user.
* For ``%%reactor`` it finds the plant, runs the reactor of the cell, and binds what the reactor sends
  to variables of the notebook. It remembers these variables, to warn when their values become
  outdated or a reactor reads them without receiving them.

Nothing in here raises into a run.
"""

from __future__ import annotations

import os
import sys
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FunctionType, TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

from pyplant._definitions import Definition
from pyplant._formatting import clean, escape, format_date, format_seconds
from pyplant.engine.task import State
from pyplant.errors import DefinitionError, PlantError, PlantWarning, warn
from pyplant.events import Dispatcher, Event, RunFinished, RunStarted
from pyplant.execution import frontend
from pyplant.execution.frontend import Recording
from pyplant.fingerprint.origin import is_own_file, is_user_file
from pyplant.notebook.body import CellSyntaxError, notebook_names
from pyplant.notebook.cells import Cells
from pyplant.notebook.output.recorder import Recorder
from pyplant.plant import session_of
from pyplant.reports.report import RunReport
from pyplant.reports.sweep import Sweep
from pyplant.specs.recorded import Recorded
from pyplant.store.owner import notebook_file

if TYPE_CHECKING:
    from pyplant.engine.trace import Trace
    from pyplant.notebook.progress import ProgressLine
    from pyplant.plant import Plant

__all__ = ["Console", "show"]

_DEFAULT_DIRECTORY = "notebook.plant"  # if the front end does not report the file of the notebook


def show(value: Any) -> None:
    """Display the value of the last expression of a cell, unless it is ``None``."""
    if value is not None:
        from IPython.display import display

        display(value)


class _BoundVariable(NamedTuple):
    """A variable of the notebook that holds an ingredient."""

    digest: str
    definition: Definition


class _RunListener:
    """Listens to the runs of one plant without keeping it alive."""

    def __init__(self, console: Console, plant: Plant) -> None:
        self._console = console
        self._plant = weakref.ref(plant)

    def __call__(self, event: Event) -> None:
        plant = self._plant()
        if isinstance(event, RunFinished) and plant is not None:
            self._console.after_run(plant, event.report)
        elif isinstance(event, RunStarted) and plant is not None:
            self._console.before_run(plant)


class Console:
    """The front end of a notebook; see the module for what it connects.

    Parameters
    ----------
    shell
        The IPython shell.

    Attributes
    ----------
    cells
        The cells as definitions of reactors.
    """

    def __init__(self, shell: Any) -> None:
        self.shell = shell
        self.cells = Cells(shell, self.notify)
        self._recorder = Recorder(shell)
        self._plants: dict[Path, Plant] = {}
        self._execution_count = 0
        # How far `execution_count` is ahead of the number of the running cell: IPython versions differ in when
        # they increase it.
        self._counter_offset = 0
        self._listening_to: weakref.WeakSet[Plant] = weakref.WeakSet()
        self._progress_lines: weakref.WeakSet[ProgressLine] = weakref.WeakSet()
        self._bound: dict[str, _BoundVariable] = {}
        self._about_to_bind: frozenset[str] = frozenset()
        self._new_plants: weakref.WeakSet[Plant] = weakref.WeakSet()  # made for the notebook in this session
        self._locals: dict[str, str] = {}  # local variables of %%reactor bodies, with their reactor
        self._warned: set[str] = set()

    # ------------------------------------------------------------------ installing

    def install(self) -> None:
        """Start to listen; the running cell already counts as begun."""
        self.shell.events.register("pre_run_cell", self._before_cell)
        self.shell.events.register("post_run_cell", self._after_cell)
        frontend.install(self)
        # Also of errors that no run raises, such as of an unknown name. A bound method would not get the error.
        PlantError._render_traceback_ = lambda error: self._user_traceback(error)  # type: ignore[attr-defined]  # noqa: PLW0108
        history = getattr(self.shell.history_manager, "input_hist_raw", None) or [""]
        self._counter_offset = int(self.shell.execution_count >= len(history))
        self.cells.begin(history[-1], self.shell.execution_count - self._counter_offset)

    def uninstall(self) -> None:
        """Stop listening."""
        for event, callback in (("pre_run_cell", self._before_cell), ("post_run_cell", self._after_cell)):
            with suppress(ValueError):
                self.shell.events.unregister(event, callback)
        if frontend.current() is self:
            frontend.install(None)
            del PlantError._render_traceback_  # type: ignore[attr-defined]
        self.cells.end(failed=False)

    def _before_cell(self, info: Any) -> None:
        self._execution_count = self.shell.execution_count
        self._recorder.reset_headings()
        for line in self._progress_lines:
            line.begin_cell()
        self.cells.begin(info.raw_cell, self._execution_count - self._counter_offset)

    def _after_cell(self, result: Any) -> None:
        # Executions without history, such as those of widgets, have no number, and empty cells have none.
        if self._execution_count and result.info.store_history and result.execution_count is not None:
            self._counter_offset = self._execution_count - result.execution_count
        self.cells.end(failed=not result.success)
        self._about_to_bind = frozenset()
        if isinstance(result.result, (RunReport, Sweep)):
            self._clear_progress()
        error = result.error_in_exec
        if isinstance(error, NameError) and error.name == "plant":
            self.notify(
                "%plant opens the plant of this notebook and calls it 'plant'; so does a %%reactor cell."
            )
        elif isinstance(error, NameError) and error.name in self._locals:
            self.notify(
                f"{error.name!r} is a local variable of reactor {self._locals[error.name]!r}: send it with "
                f"-o {error.name} to have it in the notebook."
            )
        # Only if a graph was shown: most notebooks never load that module.
        display = sys.modules.get("pyplant.notebook.graph.display")
        if display is not None:
            display.after_cell()

    def _clear_progress(self) -> None:
        """Remove the line about the run from the running cell, since what follows says more."""
        for line in self._progress_lines:
            line.clear()

    # ------------------------------------------------------------------ what a run asks for

    def record(self, definition: Definition, *, is_target: bool) -> Recording:
        """Create the recording of an execution; output of the target needs no heading of its own."""
        if self._bound:
            self._warn_of_unreceived(definition)
        return self._recorder.record(definition.name, heading="" if is_target else definition.name)

    def run_ended(self) -> None:
        """Stop recording until the next run."""
        self._recorder.end_run()

    def replay(self, recorded: Recorded, heading: str = "") -> None:
        """Show the recorded output of a reactor again, below a heading if it follows output of others."""
        from pyplant.notebook.output.replay import replay

        if heading:
            self._recorder.show_heading_of_replay(heading)
        replay(self.shell, recorded)

    def failed(self, error: BaseException) -> None:
        """Shorten the traceback of an error to the frames of the user."""
        # IPython calls this method of an exception, if there is one, in place of its own formatting.
        with suppress(Exception):  # an exception class may refuse attributes
            error._render_traceback_ = lambda: self._user_traceback(error)  # type: ignore[attr-defined]

    def last_prints(self, reactor: str) -> str:
        """Return the last lines that a reactor has printed in this kernel."""
        return self._recorder.last_prints(reactor)

    def show_progress(self, plant: Plant, listeners: Dispatcher) -> bool:
        """Show the progress of the runs of a plant below cells; return whether this is a notebook."""
        if getattr(self.shell, "kernel", None) is None:
            return False
        from pyplant.notebook.progress import ProgressLine

        line = ProgressLine(plant, self._recorder.publish_unrecorded, lambda: self._recorder.outputs)
        self._progress_lines.add(line)
        listeners.add(line, needs_report=False)
        return True

    def show_graph(self, plant: Plant) -> bool:
        """Show the graph of a plant; return whether that was possible."""
        from pyplant.notebook.graph.display import show_graph

        return show_graph(plant)

    # ------------------------------------------------------------------ plants

    def open_plant(self, directory: str) -> Plant:
        """Open the plant in a directory; a relative one is relative to the folder of the notebook."""
        from pyplant.plant import Plant

        path = (_notebook_folder() / Path(directory).expanduser()).resolve()
        plant = self._plants.get(path)
        if plant is None or plant.is_closed:
            is_new = not path.exists()
            plant = self._plants[path] = Plant(path)
            if is_new:
                self.notify(f"New plant: {path}")
        return plant

    def find_plant(self, variable: str | None) -> Plant:
        """Return the plant of a cell.

        It is in the named variable, or in the variable ``plant``. If neither is given, a plant beside
        the notebook is opened and bound to ``plant``.
        """
        from pyplant.plant import Plant

        name = variable or "plant"
        found = self.shell.user_ns.get(name)
        if isinstance(found, Plant):
            plant = found
        elif variable is None and found is None:
            notebook = notebook_file()
            known = {*self._plants.values()}
            plant = self.open_plant(notebook.with_suffix(".plant").name if notebook else _DEFAULT_DIRECTORY)
            if plant not in known and not any(session_of(plant).warehouse.ledger.traces()):
                self._new_plants.add(plant)
            self.shell.user_ns[name] = plant
        else:
            what = "is not defined" if found is None else f"is a {type(found).__name__}"
            message = f"The variable {name!r} {what}, not a plant. Make one: {name} = Plant('my-project')"
            raise DefinitionError(message)
        if plant not in self._listening_to:
            self._listening_to.add(plant)
            plant.add_event_listener(_RunListener(self, plant))
        return plant

    def run_cell_reactor(
        self, plant: Plant, definition: Definition, outputs: tuple[str, ...], *, force: bool, replay: bool
    ) -> None:
        """Run the reactor of the running cell if it is stale, else replay its output; bind what it sends."""
        session = session_of(plant)
        session.refuse_inside(f"%%reactor {definition.name}")
        # Before the run, which warns about outdated variables: these are about to be replaced.
        self._about_to_bind = frozenset(outputs)
        # One lock for both: between the run and the replay another thread could evict the recorded output.
        with session.lock:
            result = session.run(definition, outputs, force=force).results[0]
            cached = result.cached(definition.key)
            if cached is not None:
                if all(task.state is State.CACHED for task in result.tasks.values()):
                    self._clear_progress()
                self._notify_cached(definition, cached)
                if replay:
                    session.replay(cached)
        for name, value in result.values.items():
            self.shell.user_ns[name] = value
            self._bound[name] = _BoundVariable(result.ingredients[name].digest, definition)

    # ------------------------------------------------------------------ notices and warnings

    def notify(self, text: str) -> None:
        """Show a line of small grey text that belongs to no reactor."""
        self.shell.display_pub.publish(
            {
                "text/plain": clean(text),
                "text/html": f'<div style="opacity:.65;font-size:.9em">{escape(text)}</div>',
            }
        )

    def _notify_cached(self, definition: Definition, trace: Trace) -> None:
        took = format_seconds(trace.seconds)
        missing = "" if trace.recorded is not None else "; what it showed then was not recorded"
        self.notify(f"✓ {definition.name}: cached, computed {format_date(trace.finished)} in {took}{missing}")

    def remember_locals(self, definition: Definition, function: FunctionType) -> None:
        """Remember the local variables of a body, to explain a later ``NameError`` in the notebook."""
        for name in function.__code__.co_varnames[2:]:  # after pipe and config
            if name.isidentifier():  # names of generated variables have a dot
                self._locals[name] = definition.name

    def bound_names(self) -> frozenset[str]:
        """Return the variables of the notebook that hold ingredients."""
        return frozenset(self._bound)

    def before_run(self, plant: Plant) -> None:
        """Tell of a plant beside a new one that holds results of its reactors: the notebook may have been renamed."""
        session = session_of(plant)
        if plant not in self._new_plants or not session.runs:
            return
        from pyplant.notebook.neighbours import find_neighbour

        context = session.runs[0].context
        fingerprints = {
            definition.full_name: context.fingerprint(key).digest
            for key, definition in context.definitions.items()
        }
        found = find_neighbour(plant.directory, fingerprints)
        if found is not None:
            self._new_plants.discard(plant)
            self.notify(found.notice())

    def after_run(self, plant: Plant, report: RunReport) -> None:
        """Notify the user of variables that hold an older value than the reactor now sends."""
        older: dict[str, list[str]] = {}
        for name, bound in self._bound.items():
            definition = bound.definition
            if definition.name not in report.ran or name in self._about_to_bind:
                continue  # a cached reactor sends what it sent before
            # By digest: a reactor that ran for another reason may have sent the value that the variable holds.
            trace = session_of(plant).last(definition)
            output = trace.output(name) if trace is not None else None
            if output is not None and output.digest != bound.digest:
                older.setdefault(f"{definition.name} ({definition.place})", []).append(repr(name))
        if older:
            names = [name for group in older.values() for name in group]
            verb, them = ("is", "it") if len(names) == 1 else ("are", "them")
            cells = "its cell" if len(older) == 1 else "their cells"
            self.notify(
                f"{listed(list(older))} ran; the notebook's {listed(names)} {verb} older. Run {cells} to update {them}."
            )

    def _warn_of_unreceived(self, definition: Definition) -> None:
        """Warn if a reactor reads an ingredient from a variable of the notebook.

        It would not depend on the sender, and not become stale with it.
        """
        if definition.name in self._warned:
            return
        function = definition.function
        if not isinstance(function, FunctionType):
            return
        names = notebook_names(function, self.shell.user_ns) & self._bound.keys()
        for name in sorted(names):
            sender = self._bound[name].definition.name
            if sender != definition.name:  # it may read its own result of an earlier run
                self._warned.add(definition.name)
                warn(
                    PlantWarning,
                    f"Reactor {definition.name!r} reads the notebook's variable {name!r}, which reactor {sender!r} "
                    f"sends: it will not notice a new value. Receive it: {name} = yield pipe.receive({name!r})",
                )

    # ------------------------------------------------------------------ errors

    @contextmanager
    def concise_errors(self) -> Iterator[None]:
        """Show errors of usage without a traceback, and syntax errors at their line of the cell."""
        try:
            yield
        except CellSyntaxError as error:
            raise self._syntax_error(error) from None
        except PlantError as error:
            if _user_frames(error.__traceback__) is None:
                self.without_traceback(error)
            raise

    def without_traceback(self, error: PlantError) -> PlantError:
        """Return the error, set to be shown without a traceback."""
        text = f"{type(error).__name__}: {error}"
        error._render_traceback_ = lambda: [text]  # type: ignore[attr-defined]
        return error

    def _syntax_error(self, error: CellSyntaxError) -> Exception:
        # IPython would show the frames of the compiling code above a real SyntaxError.
        shown: Exception = type("SyntaxError", (Exception,), {})(str(error))
        lines = self.shell.SyntaxTB.structured_traceback(SyntaxError, error, [])
        shown._render_traceback_ = lambda: lines  # type: ignore[attr-defined]
        return shown

    def _user_traceback(self, error: BaseException) -> list[str]:
        trace = _user_frames(error.__traceback__)
        # An interrupt comes anywhere, such as in the wait for another process.
        is_interrupt = isinstance(error, KeyboardInterrupt)
        if is_interrupt and trace is None:
            return ["KeyboardInterrupt"]
        if trace is None or not (is_interrupt or isinstance(error, PlantError) or _ends_in(error, trace)):
            trace = error.__traceback__  # a bug of PyPlant: show all frames
        lines: list[str] = self.shell.InteractiveTB.structured_traceback(
            type(error), error, trace, tb_offset=0
        )
        return lines


def _user_frames(trace: TracebackType | None) -> TracebackType | None:
    """Return the frames of a traceback that belong to the user or to libraries that the user called.

    Frames of PyPlant and IPython are left out, and frames of libraries that these called.
    """
    kept: list[TracebackType] = []
    below_user = False  # whether the last frame was the user's, or a library's called from there
    while trace is not None:
        code = trace.tb_frame.f_code
        if code.co_name == "run_cell_magic":
            kept = kept[:-1]  # the call that IPython generates for a cell magic
        is_user = is_user_file(code.co_filename)
        below_user = is_user or (
            below_user and not is_own_file(code.co_filename) and not _is_ipython(code.co_filename)
        )
        if below_user:
            kept.append(trace)
        trace = trace.tb_next
    linked: TracebackType | None = None
    for part in reversed(kept):
        linked = TracebackType(linked, part.tb_frame, part.tb_lasti, part.tb_lineno)
    return linked


def _ends_in(error: BaseException, trace: TracebackType) -> bool:
    """Return whether the innermost frame of an error is in a traceback, or not in PyPlant."""
    while trace.tb_next is not None:
        trace = trace.tb_next
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    return last is not None and (
        last.tb_frame is trace.tb_frame or not is_own_file(last.tb_frame.f_code.co_filename)
    )


def listed(words: list[str]) -> str:
    """Join words by commas and a final "and"."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _is_ipython(filename: str) -> bool:
    return f"{os.sep}IPython{os.sep}core{os.sep}" in filename


def _notebook_folder() -> Path:
    notebook = notebook_file()
    return notebook.parent if notebook is not None and notebook.parent.is_dir() else Path.cwd()
