"""Reports of runs, and history entries of stored executions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pyplant._formatting import error_text
from pyplant.config.classes import unquoted
from pyplant.config.views import is_value
from pyplant.engine.task import State, Task
from pyplant.engine.trace import DependencyKind, Trace
from pyplant.execution.run import Run
from pyplant.reads.answers import OUTSIDE
from pyplant.reports.explain import Cause, Explainer
from pyplant.reports.report import HistoryEntry, Outcome, ReactorEntry, RunReport

__all__ = ["OUTCOMES", "found_reads", "history_entry", "summarise"]

_READ = {
    DependencyKind.FILE: "",
    DependencyKind.SOURCE: "the code in ",
    DependencyKind.LISTING: "the names in ",
    DependencyKind.PATTERN: "files that match ",
    DependencyKind.EXISTENCE: "whether there is ",
    DependencyKind.STATUS: "size and time of ",
    DependencyKind.TARGET: "where links lead from ",
    DependencyKind.ENVIRONMENT: "environment variable ",
    DependencyKind.WORKING_DIRECTORY: "the ",
}

OUTCOMES = {
    State.CACHED: Outcome.CACHED,
    State.DONE: Outcome.RAN,
    State.FAILED: Outcome.FAILED,
    State.SKIPPED: Outcome.SKIPPED,
}


def summarise(runs: Sequence[Run], targets: tuple[str, ...], seconds: float) -> RunReport:
    """Return the report of runs that have ended.

    Parameters
    ----------
    runs
        One run, or one for each configuration.
    targets
        The names of what was requested.
    seconds
        Their duration.
    """
    entries = tuple(entry for run in runs for entry in _entries(run))
    errors = tuple(error for run in runs for error in run.errors.values())
    return RunReport(", ".join(targets), entries, seconds, errors)


def _entries(run: Run) -> Iterator[ReactorEntry]:
    context, tasks = run.context, run.tasks
    explainer = Explainer(context.record, context.parameters, run.senders(), context.label, has_run=True)
    causes: dict[str, tuple[Cause, ...]] = {}
    skipped = [key for key, task in tasks.items() if task.state is State.SKIPPED]
    # Senders end before their receivers, whose causes include those of the senders.
    for key in [*run.ended, *skipped]:
        task = tasks[key]
        if task.state is not State.CACHED:
            causes[key] = explainer.causes(task.reasons, causes)
        if task.state in OUTCOMES:
            yield _entry(context.definitions[key].name, task, causes.get(key, ()), run.errors.get(key))


def _entry(name: str, task: Task, causes: tuple[Cause, ...], error: BaseException | None) -> ReactorEntry:
    trace = task.trace
    return ReactorEntry(
        name=name,
        outcome=OUTCOMES[task.state],
        causes=causes,
        seconds=trace.seconds if trace else 0.0,
        size=sum(output.size for output in trace.outputs) if trace else 0,
        finished=trace.finished if trace else 0.0,
        outputs=tuple(output.name for output in trace.outputs) if trace else (),
        error=error_text(error) if error is not None else "",
    )


def found_reads(trace: Trace | None) -> Iterator[str]:
    """Yield what an execution, if there is one, read outside the plant without declaring it, and where."""
    if trace is None:
        return
    found = [
        dependency
        for dependency in trace.dependencies
        if dependency.kind in OUTSIDE and dependency.names[0] in trace.shown
    ]
    for dependency in found:
        name = dependency.names[0]
        if dependency.kind is DependencyKind.MANIFEST:
            yield trace.shown[name]
        # Beside other reads the directory only says that one of their paths is relative.
        elif dependency.kind is not DependencyKind.WORKING_DIRECTORY or len(found) == 1:
            separator = "/" if dependency.kind is DependencyKind.LISTING else ""
            yield f"{_READ[dependency.kind]}{name}{separator}, in {trace.shown[name]}"


def history_entry(trace: Trace) -> HistoryEntry:
    """Return a stored execution as an entry of the history."""
    parameters = {
        unquoted(name): trace.shown.get(name, "?")
        for dependency in trace.dependencies
        if dependency.kind is DependencyKind.PARAMETER
        for name in dependency.names
        if is_value(name, trace.shown.get(name, ""))
    }
    outputs = {output.name: output.digest for output in trace.outputs}
    return HistoryEntry(trace.finished, trace.seconds, trace.host, trace.fingerprint, parameters, outputs)
