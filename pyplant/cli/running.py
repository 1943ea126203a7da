"""Commands on a script: they import it and use the reactors that it defines."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from pyplant._formatting import error_text
from pyplant.cli.output import DirectoryOrFile, emit, json_option, note
from pyplant.cli.script import OpenScript, ScriptOptions, open_script, show_failure
from pyplant.cli.settings import varied_values
from pyplant.errors import MissingSenderError, RunError, near_misses
from pyplant.events import Event, ReactorFailed, RunFinished
from pyplant.execution import queries
from pyplant.execution.finding import find
from pyplant.fingerprint.graph_node import shorten
from pyplant.plant import Plant, session_of
from pyplant.reports.graph import tree
from pyplant.reports.report import RunReport

__all__ = ["COMMANDS"]

_Command = Callable[..., Any]


def _script_command(command: _Command) -> _Command:
    """Add the argument and the options that all commands on a script have."""
    for decorate in reversed(
        (
            click.argument("script", type=click.Path(readable=False)),  # or a module; shells complete files
            click.option("--plant", type=DirectoryOrFile(path_type=Path), help="The plant directory."),
            click.option("--config-class", metavar="NAME", help="The configuration class of the script."),
            click.option(
                "--config",
                type=DirectoryOrFile(exists=True, dir_okay=False, path_type=Path),
                help="A JSON file with parameters.",
            ),
            click.option(
                "--set",
                "settings",
                multiple=True,
                metavar="NAME=VALUE",
                help="Set one parameter, converted to its type; +NAME=VALUE adds a new one.",
            ),
            json_option,
        )
    ):
        command = decorate(command)
    return command


_keep_going = click.option(
    "--keep-going", is_flag=True, help="After a failure, continue with reactors that do not depend on it."
)
_jobs = click.option(
    "-j",
    "--jobs",
    type=click.IntRange(min=1),
    metavar="N",
    help="Run reactors in N worker processes, whatever the script says.",
)


@contextmanager
def _open_script(
    script: str,
    as_json: bool,  # noqa: FBT001 - click passes a flag
    *,
    runs: bool = False,
    check: Callable[[Plant], object] | None = None,
    **options: Any,
) -> Iterator[OpenScript]:
    """Open the plant of a script; with JSON output, prints of the script go to standard error."""
    with (
        _stdout_to_stderr() if as_json else nullcontext(),
        open_script(script, ScriptOptions(**options), runs=runs, check=check) as opened,
    ):
        yield opened


def _stderr_descriptor() -> int:
    """Return the descriptor of standard error; of the null device if there is none."""
    return os.open(os.devnull, os.O_WRONLY) if sys.stderr is None else sys.stderr.fileno()


@contextmanager
def _stdout_to_stderr() -> Iterator[None]:
    """Redirect standard output to standard error, also that of child processes."""
    if sys.stdout is None:
        yield
        return
    # By descriptor: assigning sys.stdout would not redirect child processes and code in C.
    sys.stdout.flush()
    stdout, stderr = sys.stdout.fileno(), _stderr_descriptor()
    saved = os.dup(stdout)
    os.dup2(stderr, stdout)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(saved, stdout)
        os.close(saved)


# ---------------------------------------------------------------------- running


@click.command(epilog="Example: pyplant run digits.py report --set margin=5")
@_script_command
@click.argument("targets", nargs=-1, metavar="[TARGET]...")
@click.option("--force", is_flag=True, help="Run the given reactors even if they are up to date.")
@_keep_going
@_jobs
def run(
    script: str, targets: tuple[str, ...], *, force: bool, keep_going: bool, as_json: bool, **options: Any
) -> int:
    """Bring the reactors of SCRIPT up to date.

    SCRIPT is a Python file or the dotted name of a module. It is imported, so the code below its
    main guard does not run. TARGET is a reactor or an ingredient; without TARGET, every reactor that
    no other receives from is run. The plant is the one that the script opens, else NAME.plant beside
    NAME.py. JSON: an object with runs (target, entries, seconds, errors), values (text by
    ingredient) and failed (messages).
    """
    done = _Done()
    interrupt: KeyboardInterrupt | None = None
    with _open_script(script, as_json, runs=True, **options) as (plant, _):
        plant.add_event_listener(done.listen)
        for target in targets or _final_reactors(plant):
            try:
                _run_target(plant, target, done, force=force, keep_going=keep_going)
            except _TargetFailed:
                if not keep_going:
                    break
            except KeyboardInterrupt as error:
                interrupt = error
                done.failures.append(f"{target}: interrupted")
                break
    # Printed after an interrupt as well: what has finished is stored, and its report is not repeated.
    text = [str(report) for report in done.reports]
    text += [f"{name} = {value}" for name, value in done.values.items()]
    if text or as_json:
        document = {"runs": done.reports, "values": done.values, "failed": done.failures}
        emit("\n".join(text), document, as_json=as_json)
    if interrupt is not None:
        raise interrupt
    return 1 if done.failures else 0


class _Done:
    """What a command ran, as its listener hears of it.

    Attributes
    ----------
    reports
        The reports of its runs, also of those that failed.
    values
        The values of ingredients that were asked for, as text.
    failures
        A message for each reactor that failed.
    """

    def __init__(self) -> None:
        self.reports: list[RunReport] = []
        self.values: dict[str, str] = {}
        self.failures: list[str] = []

    def listen(self, event: Event) -> None:
        """Note failures and reports."""
        if isinstance(event, ReactorFailed) and not isinstance(event.error, KeyboardInterrupt):
            self.failures.append(f"{event.reactor}: {error_text(event.error)}")
        elif isinstance(event, RunFinished) and event.report.entries:
            self.reports.append(event.report)


class _TargetFailed(Exception):
    """A reactor raised; its traceback is printed already."""


def _run_target(plant: Plant, target: str, done: _Done, *, force: bool, keep_going: bool) -> None:
    """Bring one target up to date."""
    before = len(done.failures)
    try:
        if _is_reactor(plant, target):
            plant.run_reactor(target, force=force, keep_going=keep_going)
            return
        session = session_of(plant)
        with session.exclusive_access("pyplant run"):
            sender = find(session, target)[0] if force else None
            outcome = session.run(sender, (target,), force=force, keep_going=keep_going)
        errors = list(outcome.results[0].errors.values())
        if errors:
            message = f"{target} could not be brought up to date"
            raise BaseExceptionGroup(message, errors)
        done.values[target] = shorten(outcome.results[0].values[target])
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        if len(done.failures) > before:
            _show_failures(error)
            raise _TargetFailed from error
        is_missing = isinstance(error, MissingSenderError) and not _is_reactor(plant, target)
        close = near_misses(target, [entry.name for entry in plant.status()]) if is_missing else ()
        if close:
            message = f"{error} Or did you mean reactor {' or '.join(map(repr, close))}?"
            raise MissingSenderError(message) from error
        raise  # not raised by a reactor: main prints it as one line


def _show_failures(error: BaseException) -> None:
    """Print what reactors raised, and in one line each what the run found."""
    found, others = error.split(RunError) if isinstance(error, BaseExceptionGroup) else (None, error)
    for one in () if found is None else found.exceptions:
        note(f"error: {one}")
    if others is not None:
        show_failure(others)


def _is_reactor(plant: Plant, target: str) -> bool:
    return any(target in (found.name, found.full_name) for found in session_of(plant).definitions().values())


def _final_reactors(plant: Plant) -> tuple[str, ...]:
    """Return the reactors that no other receives from."""
    edges = queries.edges(session_of(plant))
    used = {sender for senders in edges.values() for sender in senders}
    return tuple(entry.name for entry in plant.status() if entry.name not in used)


@click.command(epilog="Example: pyplant sweep digits.py evaluate forest.trees=50,150 --get accuracy")
@_script_command
@click.argument("reactor")
@click.argument("varied", nargs=-1, required=True, metavar="NAME=VALUE,...")
@click.option(
    "--get",
    "names",
    multiple=True,
    metavar="INGREDIENT",
    help="Show the values of an ingredient as a column.",
)
@_keep_going
@_jobs
def sweep(
    script: str,
    reactor: str,
    varied: tuple[str, ...],
    *,
    names: tuple[str, ...],
    keep_going: bool,
    as_json: bool,
    **options: Any,
) -> int:
    """Run a reactor of SCRIPT under many configurations.

    All combinations of the values of the parameters are run; stored results are not computed again.
    JSON: an object with reactor, rows (parameters, ingredients, outcome, seconds, error) and seconds.
    """
    done = _Done()
    values: dict[str, list[Any]] = {}

    def check(plant: Plant) -> None:
        session = session_of(plant)
        find(session, reactor)
        values.update(varied_values(session.parameters.snapshot(), varied, session.reads()))

    with _open_script(script, as_json, runs=True, check=check, **options) as (plant, _):
        plant.add_event_listener(done.listen)
        try:
            found = plant.sweep(reactor, values, names, keep_going=keep_going)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            if not done.failures:
                raise
            _show_failures(error)
            if as_json:
                emit("", {"reactor": reactor, "rows": [], "failed": done.failures}, as_json=True)
            return 1
    emit(str(found), found, as_json=as_json)
    return 1 if any(row.error is not None for row in found) else 0


@click.command(epilog="Example: pyplant invalidate digits.py train_forest")
@_script_command
@click.argument("reactors", nargs=-1, required=True, metavar="REACTOR...")
def invalidate(script: str, reactors: tuple[str, ...], *, as_json: bool, **options: Any) -> None:
    """Forget the stored executions of reactors of SCRIPT.

    They run when they are next needed. Nothing runs now. JSON: an object with invalidated (names of reactors).
    """
    found: list[str] = []

    def check(plant: Plant) -> None:
        found.extend(find(session_of(plant), reactor)[0].name for reactor in reactors)

    with _open_script(script, as_json, runs=True, check=check, **options) as (plant, _):
        for name in found:
            plant.invalidate(name)
    text = f"{', '.join(found)} will run when next needed"
    emit(text, {"invalidated": found}, as_json=as_json)


# ---------------------------------------------------------------------- queries


@click.command(epilog="Example: pyplant status digits.py")
@_script_command
def status(script: str, *, as_json: bool, **options: Any) -> None:
    """Show the state of the reactors of SCRIPT.

    States are new, cached or stale, with reasons. Nothing runs. JSON: an object with entries and
    directory; an entry has name, outcome, causes, seconds, size (bytes), finished, outputs, certain, error.
    """
    with _open_script(script, as_json, **options) as (plant, directory):
        found = replace(plant.status(), directory=str(directory.absolute()))
    emit(str(found), found, as_json=as_json)


@click.command(epilog="Example: pyplant explain digits.py train_forest")
@_script_command
@click.argument("reactor")
def explain(script: str, reactor: str, *, as_json: bool, **options: Any) -> None:
    """Explain why a reactor of SCRIPT would run.

    The reasons lead to the edit that caused the change. Nothing runs. JSON: an object with entry (name,
    outcome, causes, ...) and not_followed; a cause has kind, name, summary, old, new, diff, causes.
    """
    with _open_script(script, as_json, **options) as (plant, _):
        found = plant.explain(reactor)
    emit(str(found), found, as_json=as_json)


@click.command(epilog="Example: pyplant plan digits.py report")
@_script_command
@click.argument("reactors", nargs=-1, metavar="[REACTOR]...")
def plan(script: str, reactors: tuple[str, ...], *, as_json: bool, **options: Any) -> None:
    """Show what running reactors of SCRIPT would do.

    Nothing runs. Without REACTOR it shows what 'pyplant run SCRIPT' would do. JSON: a list of
    objects with target and entries.
    """
    with _open_script(script, as_json, **options) as (plant, _):
        found = [plant.plan(reactor) for reactor in reactors or _final_reactors(plant)]
    emit("\n".join(map(str, found)), found, as_json=as_json)


@click.command(epilog="Example: pyplant graph digits.py --dot | dot -Tsvg > digits.svg")
@_script_command
@click.option("--dot", is_flag=True, help="Print the graph in the language of Graphviz.")
def graph(script: str, *, dot: bool, as_json: bool, **options: Any) -> None:
    """Show the reactors of SCRIPT and the ingredients between them.

    Nothing runs. JSON: an object with reactors (name, outcome) and edges (sender,
    receiver, ingredients).
    """
    with _open_script(script, as_json, **options) as (plant, _):
        found, edges = plant.status(), queries.edges(session_of(plant))
        text = plant.graph().source.rstrip() if dot else tree(found, edges)
    document = {
        "reactors": [{"name": entry.name, "outcome": entry.outcome} for entry in found],
        "edges": [
            {"sender": sender, "receiver": receiver, "ingredients": names}
            for receiver, senders in edges.items()
            for sender, names in senders.items()
        ],
    }
    emit(text, document, as_json=as_json)


COMMANDS = (run, sweep, status, explain, plan, graph, invalidate)
"""The commands, in the order of ``pyplant --help``."""
