"""The notebook as a run sees it: one object that ties cells, recordings and the graph together.

It is installed when PyPlant is imported in IPython, and listens before and after every
cell. Nothing in here raises into a run.
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
from pyplant.errors import DefinitionError, PlantError, PlantWarning, warn
from pyplant.events import Event, RunFinished
from pyplant.execution import frontend
from pyplant.execution.frontend import Recording
from pyplant.fingerprint.origin import is_own_file, is_user_file
from pyplant.notebook.body import CellSyntaxError, notebook_names
from pyplant.notebook.cells import Cells
from pyplant.notebook.output.recorder import Recorder
from pyplant.specs.recorded import Recorded

if TYPE_CHECKING:
    from pyplant.engine.trace import Trace
    from pyplant.plant import Plant
    from pyplant.reports.report import RunReport

from pyplant.plant import session_of

__all__ = ["Console", "show"]

_DEFAULT = "notebook.plant"  # where nobody tells the name of the notebook


def show(value: Any) -> None:
    """Display the last expression of a cell; ``None`` is not shown."""
    if value is not None:
        from IPython.display import display

        display(value)


class _Bound(NamedTuple):
    """A variable of the notebook that holds an ingredient."""

    digest: str
    definition: Definition


class _Follower:
    """Hears of the runs of one plant, and does not keep it alive."""

    def __init__(self, console: Console, plant: Plant) -> None:
        self._console = console
        self._plant = weakref.ref(plant)

    def __call__(self, event: Event) -> None:
        plant = self._plant()
        if isinstance(event, RunFinished) and plant is not None:
            self._console.after_run(plant, event.report)


class Console:
    """The notebook.

    Parameters
    ----------
    shell
        The IPython shell.
    """

    def __init__(self, shell: Any) -> None:
        self.shell = shell
        self.cells = Cells(shell, self.tell)
        self._recorder = Recorder(shell)
        self._plants: dict[Path, Plant] = {}
        self._count = 0
        self._ahead = 0  # of the number of the cell; versions differ in when they increase the counter
        self._followed: weakref.WeakSet[Plant] = weakref.WeakSet()
        self._bound: dict[str, _Bound] = {}
        self._about_to_bind: frozenset[str] = frozenset()
        self._locals: dict[str, str] = {}
        self._told: set[str] = set()

    # ------------------------------------------------------------------ life

    def install(self) -> None:
        """Listen to cells from now on; the cell that does this counts already."""
        self.shell.events.register("pre_run_cell", self._before_cell)
        self.shell.events.register("post_run_cell", self._after_cell)
        frontend.install(self)
        history = getattr(self.shell.history_manager, "input_hist_raw", None) or [""]
        self._ahead = int(self.shell.execution_count >= len(history))
        self.cells.begin(history[-1], self.shell.execution_count - self._ahead)

    def uninstall(self) -> None:
        """Listen no longer."""
        for event, callback in (("pre_run_cell", self._before_cell), ("post_run_cell", self._after_cell)):
            with suppress(ValueError):
                self.shell.events.unregister(event, callback)
        if frontend.current() is self:
            frontend.install(None)
        self.cells.end(failed=False)

    def _before_cell(self, info: Any) -> None:
        self._count = self.shell.execution_count
        self._recorder.reset_headings()
        self.cells.begin(info.raw_cell, self._count - self._ahead)

    def _after_cell(self, result: Any) -> None:
        if self._count and result.info.store_history:
            self._ahead = self._count - result.execution_count
        self.cells.end(failed=not result.success)
        self._about_to_bind = frozenset()
        error = result.error_in_exec
        if isinstance(error, NameError) and error.name in self._locals:
            self.tell(
                f"{error.name!r} is a local variable of reactor {self._locals[error.name]!r}: send it with "
                f"-o {error.name} to have it in the notebook."
            )
        widget = sys.modules.get("pyplant.notebook.graph.display")
        if widget is not None:
            widget.after_cell()

    # ------------------------------------------------------------------ what a run asks for

    def record(self, definition: Definition, *, is_target: bool) -> Recording:
        """Take down what an execution shows; the target's needs a heading only after that of others."""
        if self._bound:
            self._warn_of_unreceived(definition)
        return self._recorder.record(definition.name, heading="" if is_target else definition.name)

    def run_ended(self) -> None:
        """Nothing is taken down until the next run."""
        self._recorder.end_run()

    def replay(self, recorded: Recorded) -> None:
        """Show again what a reactor showed."""
        from pyplant.notebook.output.replay import replay

        replay(self.shell, recorded)

    def failed(self, error: BaseException) -> None:
        """Let the traceback of an error begin where the user's code does."""
        with suppress(Exception):  # an exception class may forbid attributes
            error._render_traceback_ = lambda: self._users_traceback(error)  # type: ignore[attr-defined]

    def show_graph(self, plant: Plant) -> bool:
        """Draw the graph of a plant."""
        from pyplant.notebook.graph.display import show_graph

        return show_graph(plant)

    # ------------------------------------------------------------------ plants

    def open_plant(self, directory: str) -> Plant:
        """The plant in a directory, which lies beside the notebook if it is relative."""
        from pyplant.plant import Plant

        path = (_folder(self.shell) / Path(directory).expanduser()).resolve()
        plant = self._plants.get(path)
        if plant is None or plant.is_closed:
            is_new = not path.exists()
            plant = self._plants[path] = Plant(path)
            if is_new:
                self.tell(f"New plant: {path}")
        return plant

    def find_plant(self, variable: str | None) -> Plant:
        """The plant of a cell: in the named variable, else in ``plant``, else one beside the notebook."""
        from pyplant.plant import Plant

        name = variable or "plant"
        found = self.shell.user_ns.get(name)
        if isinstance(found, Plant):
            plant = found
        elif variable is None and found is None:
            notebook = _notebook(self.shell)
            plant = self.open_plant(notebook.with_suffix(".plant").name if notebook else _DEFAULT)
            self.shell.user_ns[name] = plant
        else:
            what = "is not defined" if found is None else f"is a {type(found).__name__}"
            message = f"The variable {name!r} {what}, not a plant. Make one: {name} = Plant('my-project')"
            raise DefinitionError(message)
        if plant not in self._followed:
            self._followed.add(plant)
            plant.add_event_listener(_Follower(self, plant))
        return plant

    def bring(
        self, plant: Plant, definition: Definition, outputs: tuple[str, ...], *, force: bool, replay: bool
    ) -> None:
        """Bring the reactor of the running cell up to date, show what it shows, and bind what it sends."""
        session = session_of(plant)
        session.refuse_inside(f"%%reactor {definition.name}")
        self._about_to_bind = frozenset(outputs)
        with session.lock:
            result = session.run(definition, outputs, force=force).results[0]
            cached = result.cached(definition.key)
            if cached is not None:
                self._tell_cached(definition, cached)
                if replay:
                    session.show_again(cached)
        for name, value in result.values.items():
            self.shell.user_ns[name] = value
            self._bound[name] = _Bound(result.ingredients[name].digest, definition)

    # ------------------------------------------------------------------ what people read

    def tell(self, text: str) -> None:
        """Show one quiet line, which belongs to no reactor."""
        self.shell.display_pub.publish(
            {
                "text/plain": clean(text),
                "text/html": f'<div style="opacity:.65;font-size:.9em">{escape(text)}</div>',
            }
        )

    def _tell_cached(self, definition: Definition, trace: Trace) -> None:
        took = format_seconds(trace.seconds)
        unseen = "" if trace.recorded is not None else "; what it showed then was not recorded"
        self.tell(f"✓ {definition.name}: cached, computed {format_date(trace.finished)} in {took}{unseen}")

    def note_locals(self, definition: Definition, function: FunctionType) -> None:
        """Remember what a body keeps to itself, for whoever looks for it in the notebook."""
        for name in function.__code__.co_varnames[2:]:
            if name.isidentifier():
                self._locals[name] = definition.name

    def bound_names(self) -> frozenset[str]:
        """The variables of the notebook that hold ingredients."""
        return frozenset(self._bound)

    def after_run(self, plant: Plant, report: RunReport) -> None:
        """Say which variables of the notebook hold what a reactor no longer sends."""
        older: dict[str, list[str]] = {}
        for name, bound in self._bound.items():
            definition = bound.definition
            if definition.name not in report.ran or name in self._about_to_bind:
                continue
            trace = session_of(plant).last(definition)
            output = trace.output(name) if trace is not None else None
            if output is not None and output.digest != bound.digest:
                older.setdefault(f"{definition.name} ({definition.place})", []).append(repr(name))
        if older:
            names = [name for group in older.values() for name in group]
            verb = "is" if len(names) == 1 else "are"
            self.tell(f"{listed(list(older))} ran; the notebook's {listed(names)} {verb} older.")

    def _warn_of_unreceived(self, definition: Definition) -> None:
        """Warn if a reactor reads an ingredient from the notebook, where nobody tracks its sender."""
        if definition.name in self._told:
            return
        function = definition.function
        if not isinstance(function, FunctionType):
            return
        names = notebook_names(function, self.shell.user_ns) & self._bound.keys()
        for name in sorted(names):
            sender = self._bound[name].definition.name
            if sender != definition.name:
                self._told.add(definition.name)
                warn(
                    PlantWarning,
                    f"Reactor {definition.name!r} reads the notebook's variable {name!r}, which reactor {sender!r} "
                    f"sends: it will not notice a new value. Receive it: {name} = yield pipe.receive({name!r})",
                )

    # ------------------------------------------------------------------ errors

    @contextmanager
    def errors_of_users(self) -> Iterator[None]:
        """Errors of use are shown as one sentence, those of syntax at their line."""
        try:
            yield
        except CellSyntaxError as error:
            raise self._syntax_error(error) from None
        except PlantError as error:
            if _users_frames(error.__traceback__) is None:
                self.plainly(error)
            raise

    def plainly(self, error: PlantError) -> PlantError:
        """The error, shown without a traceback."""
        text = f"{type(error).__name__}: {error}"
        error._render_traceback_ = lambda: [text]  # type: ignore[attr-defined]
        return error

    def _syntax_error(self, error: CellSyntaxError) -> Exception:
        # IPython shows a real SyntaxError with the frames of whoever compiled.
        shown: Exception = type("SyntaxError", (Exception,), {})(str(error))
        lines = self.shell.SyntaxTB.structured_traceback(SyntaxError, error, [])
        shown._render_traceback_ = lambda: lines  # type: ignore[attr-defined]
        return shown

    def _users_traceback(self, error: BaseException) -> list[str]:
        trace = _users_frames(error.__traceback__)
        if trace is None or not (isinstance(error, PlantError) or _ends_in(error, trace)):
            trace = error.__traceback__  # an error of PyPlant itself
        lines: list[str] = self.shell.InteractiveTB.structured_traceback(
            type(error), error, trace, tb_offset=0
        )
        return lines


def _users_frames(trace: TracebackType | None) -> TracebackType | None:
    """The frames of a traceback that are the user's, and those of libraries below them."""
    kept: list[TracebackType] = []
    below_user = False  # or below code of ours, or of IPython
    while trace is not None:
        code = trace.tb_frame.f_code
        if code.co_name == "run_cell_magic":
            kept = kept[:-1]  # the line that IPython makes of the magic
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
    """Whether the innermost frame of an error is one of these, or of Python's own."""
    while trace.tb_next is not None:
        trace = trace.tb_next
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    return last is not None and (
        last.tb_frame is trace.tb_frame or not is_own_file(last.tb_frame.f_code.co_filename)
    )


def listed(words: list[str]) -> str:
    """Words as people list them."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _is_ipython(filename: str) -> bool:
    return f"{os.sep}IPython{os.sep}core{os.sep}" in filename


def _notebook(shell: Any) -> Path | None:
    """The file of the notebook, where the front end tells."""
    told = shell.user_ns.get("__vsc_ipynb_file__") or os.environ.get("JPY_SESSION_NAME", "")
    return Path(told) if isinstance(told, str) and told.endswith(".ipynb") else None


def _folder(shell: Any) -> Path:
    notebook = _notebook(shell)
    return notebook.parent if notebook is not None and notebook.parent.is_dir() else Path.cwd()
