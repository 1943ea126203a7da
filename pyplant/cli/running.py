"""Commands on a script: they import it and use the reactors that it defines."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import click

from pyplant._formatting import error_text
from pyplant.cli.output import DirectoryOrFile, emit, json_option
from pyplant.cli.script import ScriptOptions, open_script, show_failure
from pyplant.errors import MissingSenderError, near_misses
from pyplant.events import Event, ReactorFailed
from pyplant.execution import queries
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
            click.argument("script"),
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


@contextmanager
def _open_plant(script: str, as_json: bool, **options: Any) -> Iterator[Plant]:  # noqa: FBT001 - click passes a flag
    """Open the plant of a script; with JSON output, prints of the script go to standard error."""
    with (
        _stdout_to_stderr() if as_json else nullcontext(),
        open_script(script, ScriptOptions(**options)) as plant,
    ):
        yield plant


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
@click.option(
    "--keep-going", is_flag=True, help="After a failure, continue with reactors that do not depend on it."
)
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
    reports: list[RunReport] = []
    values: dict[str, str] = {}
    failures: list[str] = []
    interrupt: KeyboardInterrupt | None = None
    with _open_plant(script, as_json, **options) as plant:
        for target in targets or _final_reactors(plant):
            try:
                _run_target(plant, target, reports, values, force=force, keep_going=keep_going)
            except _TargetFailed as failed:
                failures.append(str(failed))
                if not keep_going:
                    break
            except KeyboardInterrupt as error:
                interrupt = error
                failures.append(f"{target}: interrupted")
                break
    # Printed after an interrupt as well: what has finished is stored, and its report is not repeated.
    text = [str(report) for report in reports] + [f"{name} = {value}" for name, value in values.items()]
    if text or as_json:
        emit("\n".join(text), {"runs": reports, "values": values, "failed": failures}, as_json=as_json)
    if interrupt is not None:
        raise interrupt
    return 1 if failures else 0


class _TargetFailed(Exception):
    """A reactor raised; its traceback is printed already."""


def _run_target(
    plant: Plant,
    target: str,
    reports: list[RunReport],
    values: dict[str, str],
    *,
    force: bool,
    keep_going: bool,
) -> None:
    """Bring one target up to date."""
    failed: list[str] = []

    def listen(event: Event) -> None:
        if isinstance(event, ReactorFailed):
            failed.append(f"{event.reactor}: {error_text(event.error)}")

    plant.add_event_listener(listen)
    try:
        if _is_reactor(plant, target):
            reports.append(plant.run_reactor(target, force=force, keep_going=keep_going))
        else:
            values[target] = shorten(plant.get(target))
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        if failed:
            show_failure(error)
            raise _TargetFailed("; ".join(failed)) from error
        close = near_misses(target, [entry.name for entry in plant.status()])
        if isinstance(error, MissingSenderError) and close:
            message = f"{error} Or did you mean reactor {' or '.join(map(repr, close))}?"
            raise MissingSenderError(message) from error
        raise  # not raised by a reactor: main prints it as one line
    finally:
        plant.remove_event_listener(listen)


def _is_reactor(plant: Plant, target: str) -> bool:
    return any(target in (found.name, found.full_name) for found in session_of(plant).definitions().values())


def _final_reactors(plant: Plant) -> tuple[str, ...]:
    """Return the reactors that no other receives from."""
    edges = queries.edges(session_of(plant))
    used = {sender for senders in edges.values() for sender in senders}
    return tuple(entry.name for entry in plant.status() if entry.name not in used)


# ---------------------------------------------------------------------- queries


@click.command(epilog="Example: pyplant status digits.py")
@_script_command
def status(script: str, *, as_json: bool, **options: Any) -> None:
    """Show the state of the reactors of SCRIPT.

    States are new, cached or stale, with reasons. Nothing runs. JSON: an object with entries and
    directory; an entry has name, outcome, causes, seconds, size (bytes), finished, outputs, certain, error.
    """
    with _open_plant(script, as_json, **options) as plant:
        found = plant.status()
    emit(str(found), found, as_json=as_json)


@click.command(epilog="Example: pyplant explain digits.py train_forest")
@_script_command
@click.argument("reactor")
def explain(script: str, reactor: str, *, as_json: bool, **options: Any) -> None:
    """Explain why a reactor of SCRIPT would run.

    The reasons lead to the edit that caused the change. Nothing runs. JSON: an object with entry (name,
    outcome, causes, ...) and not_followed; a cause has kind, name, summary, old, new, diff, causes.
    """
    with _open_plant(script, as_json, **options) as plant:
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
    with _open_plant(script, as_json, **options) as plant:
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
    with _open_plant(script, as_json, **options) as plant:
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


COMMANDS = (run, status, explain, plan, graph)
"""The commands, in the order of ``pyplant --help``."""
