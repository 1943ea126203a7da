"""Commands on a script: they import it, and use the reactors that it defines."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import click

from pyplant.cli.output import DirectoryOrFile, emit, json_option
from pyplant.cli.script import Choice, open_script, show_failure
from pyplant.errors import MissingSenderError, near_misses
from pyplant.events import Event, ReactorFailed
from pyplant.execution import queries
from pyplant.fingerprint.description import shorten
from pyplant.plant import Plant, session_of
from pyplant.reports.graph import tree
from pyplant.reports.report import RunReport

__all__ = ["COMMANDS"]

_Command = Callable[..., Any]


def _on_a_script(command: _Command) -> _Command:
    """The argument and the options that all of these commands have."""
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
                help="One parameter, as the type that it has; +NAME=VALUE adds one.",
            ),
            json_option,
        )
    ):
        command = decorate(command)
    return command


@contextmanager
def _opened(script: str, as_json: bool, **said: Any) -> Iterator[Plant]:  # noqa: FBT001 - a flag of click's
    """The plant of a script; what the script prints must not get between the JSON."""
    with _printing_aside() if as_json else nullcontext(), open_script(script, Choice(**said)) as plant:
        yield plant


def _descriptor_of_errors() -> int:
    """Where standard error goes; nowhere if there is none."""
    return os.open(os.devnull, os.O_WRONLY) if sys.stderr is None else sys.stderr.fileno()


@contextmanager
def _printing_aside() -> Iterator[None]:
    """Let standard output go to standard error, also that of child processes."""
    if sys.stdout is None:
        yield
        return
    sys.stdout.flush()
    out, aside = sys.stdout.fileno(), _descriptor_of_errors()
    saved = os.dup(out)
    os.dup2(aside, out)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(saved, out)
        os.close(saved)


# ---------------------------------------------------------------------- running


@click.command(epilog="Example: pyplant run digits.py report --set margin=5")
@_on_a_script
@click.argument("targets", nargs=-1, metavar="[TARGET]...")
@click.option("--force", is_flag=True, help="Run the reactors named even if they are up to date.")
@click.option("--keep-going", is_flag=True, help="After a failure, go on with what does not depend on it.")
def run(
    script: str, targets: tuple[str, ...], *, force: bool, keep_going: bool, as_json: bool, **said: Any
) -> int:
    """Bring what SCRIPT defines up to date.

    SCRIPT is a Python file or the dotted name of a module; it is imported, so what stands
    below its main guard does not run. TARGET is a reactor, else an ingredient; without
    any, every reactor that no other receives from. The plant is the one the script opens, else
    NAME.plant beside NAME.py. JSON: an object with runs (target, entries, seconds, errors),
    values (text by ingredient) and failed (messages).
    """
    reports: list[RunReport] = []
    values: dict[str, str] = {}
    failures: list[str] = []
    interrupt: KeyboardInterrupt | None = None
    with _opened(script, as_json, **said) as plant:
        for target in targets or _ends(plant):
            try:
                _bring(plant, target, reports, values, force=force, keep_going=keep_going)
            except _Failed as failed:
                failures.append(str(failed))
                if not keep_going:
                    break
            except KeyboardInterrupt as error:
                interrupt = error
                failures.append(f"{target}: interrupted")
                break
    text = [str(report) for report in reports] + [f"{name} = {value}" for name, value in values.items()]
    if text or as_json:
        emit("\n".join(text), {"runs": reports, "values": values, "failed": failures}, as_json=as_json)
    if interrupt is not None:
        raise interrupt
    return 1 if failures else 0


class _Failed(Exception):
    """A reactor raised; how was shown."""


def _bring(
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
            failed.append(f"{event.reactor}: {type(event.error).__name__}: {event.error}")

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
            raise _Failed("; ".join(failed)) from error
        close = near_misses(target, [entry.name for entry in plant.status()])
        if isinstance(error, MissingSenderError) and close:
            message = f"{error} Or did you mean reactor {' or '.join(map(repr, close))}?"
            raise MissingSenderError(message) from error
        raise  # not a reactor's: the command line says it in a line
    finally:
        plant.remove_event_listener(listen)


def _is_reactor(plant: Plant, target: str) -> bool:
    return any(target in (found.name, found.full_name) for found in session_of(plant).definitions().values())


def _ends(plant: Plant) -> tuple[str, ...]:
    """The reactors that no other receives from: what all the others are for."""
    edges = queries.edges(session_of(plant))
    used = {sender for senders in edges.values() for sender in senders}
    return tuple(entry.name for entry in plant.status() if entry.name not in used)


# ---------------------------------------------------------------------- looking


@click.command(epilog="Example: pyplant status digits.py")
@_on_a_script
def status(script: str, *, as_json: bool, **said: Any) -> None:
    """Show how the reactors of SCRIPT stand.

    New, cached or stale, and why. Nothing runs. JSON: an object with entries and directory; an entry has name, outcome,
    causes, seconds, size (bytes), finished, outputs, certain, error.
    """
    with _opened(script, as_json, **said) as plant:
        found = plant.status()
    emit(str(found), found, as_json=as_json)


@click.command(epilog="Example: pyplant explain digits.py train_forest")
@_on_a_script
@click.argument("reactor")
def explain(script: str, reactor: str, *, as_json: bool, **said: Any) -> None:
    """Explain why a reactor of SCRIPT would run.

    REACTOR is explained down to the edit. Nothing runs. JSON: an object with entry (name, outcome, causes, ...) and not_followed;
    a cause has kind, name, summary, old, new, diff, causes.
    """
    with _opened(script, as_json, **said) as plant:
        found = plant.explain(reactor)
    emit(str(found), found, as_json=as_json)


@click.command(epilog="Example: pyplant plan digits.py report")
@_on_a_script
@click.argument("reactors", nargs=-1, metavar="[REACTOR]...")
def plan(script: str, reactors: tuple[str, ...], *, as_json: bool, **said: Any) -> None:
    """Show what running reactors of SCRIPT would involve.

    Nothing runs. Without REACTOR: what 'pyplant run SCRIPT' would do. JSON: a list of
    objects with target and entries.
    """
    with _opened(script, as_json, **said) as plant:
        found = [plant.plan(reactor) for reactor in reactors or _ends(plant)]
    emit("\n".join(map(str, found)), found, as_json=as_json)


@click.command(epilog="Example: pyplant graph digits.py --dot | dot -Tsvg > digits.svg")
@_on_a_script
@click.option("--dot", is_flag=True, help="Print it for Graphviz.")
def graph(script: str, *, dot: bool, as_json: bool, **said: Any) -> None:
    """Show what the reactors of SCRIPT send.

    Nothing runs. JSON: an object with reactors (name, outcome) and edges (sender,
    receiver, ingredients).
    """
    with _opened(script, as_json, **said) as plant:
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
"""In the order in which people need them."""
