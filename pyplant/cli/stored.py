"""Commands on a plant directory: they need no reactors and run no user code."""

from __future__ import annotations

import math
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from itertools import chain
from pathlib import Path
from sys import intern
from typing import Any, NamedTuple

import click

from pyplant._formatting import (
    clean,
    counted,
    format_age,
    format_date,
    format_seconds,
    format_size,
    parse_seconds,
    parse_size,
)
from pyplant.cli.output import DirectoryOrFile, emit, json_option, to_json_value
from pyplant.config.classes import unquoted
from pyplant.config.views import is_value
from pyplant.engine.trace import Dependency, DependencyKind, Trace
from pyplant.errors import (
    DamagedError,
    MissingIngredientError,
    PlantDirError,
    UnknownReactorError,
    near_misses,
)
from pyplant.execution.summary import history_entry
from pyplant.fingerprint.graph_node import shorten
from pyplant.ingredient import Ingredient
from pyplant.portable import export as export_to
from pyplant.reports.blocks import as_lines
from pyplant.reports.report import History, HistoryEntry, terminal_width
from pyplant.reports.table import aligned
from pyplant.store.doctor import Check, CheckResult, examine
from pyplant.store.fsck import audit
from pyplant.store.journal import Rank
from pyplant.store.ledger import Ledger
from pyplant.store.retention import collect, stored_bytes
from pyplant.store.warehouse import Warehouse

__all__ = ["COMMANDS"]

_MAX_PREVIEW = 16 << 20  # bytes; larger values are not loaded for display
_PREVIEWED_FORMATS = frozenset({"simple", "list", "array"})
_NO_LIMIT = 1 << 62  # bytes

_plant_argument = click.argument("plant", type=DirectoryOrFile(path_type=Path))

StoredValue = tuple[Ingredient, Trace]
"""An ingredient, and the trace of the execution that sent it."""


def _open_warehouse(plant: Path, *, read_only: bool = True) -> closing[Warehouse]:
    if not read_only:
        # Fails if there is no plant; opening for writing would create one.
        Warehouse(plant, read_only=True).close()
    return closing(Warehouse(plant, read_only=read_only, keeps_code=not read_only))


class _Listed(NamedTuple):
    """What is listed of a value; a plant may store more executions than fit into memory."""

    name: str
    type: str
    size: int
    finished: float
    reactor: str
    digest: str
    recency: Rank


def _listed_values(warehouse: Warehouse) -> Iterator[_Listed]:
    """Yield every stored value, in no order."""
    ledger = warehouse.ledger
    for trace in ledger.traces():
        recency = ledger.recency(trace)
        for o in trace.outputs:
            kind, reactor = intern(o.format), intern(trace.reactor)
            yield _Listed(o.name, kind, o.size, trace.finished, reactor, o.digest, recency)


def _current_values(warehouse: Warehouse) -> dict[str, _Listed]:
    """Return the value of each ingredient that was last brought up to date."""
    found: dict[str, _Listed] = {}
    for value in _listed_values(warehouse):
        known = found.get(value.name)
        if known is None or known.recency < value.recency:
            found[value.name] = value
    return found


def _find(warehouse: Warehouse, name: str, plant: Path) -> StoredValue:
    trace = warehouse.ledger.last_sender(name)
    output = None if trace is None else trace.output(name)
    if trace is not None and output is not None:
        return output, trace
    hint = _hint(name, _current_values(warehouse), f"pyplant ls {plant}")
    message = f"The plant {plant} stores no ingredient {name!r}. {hint}"
    raise MissingIngredientError(message)


def _hint(name: str, known: Iterable[str], listing: str) -> str:
    close = near_misses(name, known)
    return f"Did you mean {' or '.join(map(repr, close))}?" if close else f"See: {listing}"


def _short(reactor: str) -> str:
    return reactor.rpartition(".")[2]


# ---------------------------------------------------------------------- queries


@click.command("ls", epilog="Example: pyplant ls digits.plant")
@_plant_argument
@click.option(
    "--all", "every", is_flag=True, help="List every stored value, not only the current one of each name."
)
@json_option
def list_ingredients(plant: Path, *, every: bool, as_json: bool) -> None:
    """List the ingredients that PLANT stores.

    Each line shows the value that was last brought up to date: type, size, age, and the reactor that sent it.
    JSON: a list of objects with name, type, size (bytes), finished (seconds since the
    epoch), reactor, digest.
    """
    with _open_warehouse(plant) as warehouse:
        stored = list(_listed_values(warehouse) if every else _current_values(warehouse).values())
    stored.sort(key=lambda value: value.recency, reverse=True)
    stored.sort(key=lambda value: value.name)  # stable: newest first within a name
    if as_json:
        emit(
            "",
            ({k: v for k, v in value._asdict().items() if k != "recency"} for value in stored),
            as_json=True,
        )
        return
    rows = (
        (o.name, o.type, format_size(o.size), format_age(o.finished), _short(o.reactor), o.digest[:8])
        for o in stored
    )
    head = ("NAME", "TYPE", "SIZE", "AGE", "REACTOR", "DIGEST")
    # Whole in a pipe or a file, where the names are for another program.
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else math.inf
    lines = aligned(chain([head], rows), width, right={2})
    emit(lines if stored else f"{plant} stores no ingredients yet.", None, as_json=False)


@click.command(epilog="Example: pyplant show digits.plant accuracy")
@_plant_argument
@click.argument("name")
@json_option
def show(plant: Path, name: str, *, as_json: bool) -> None:
    """Show where an ingredient of PLANT comes from.

    NAME is an ingredient; the value that was last brought up to date is shown: its reactor, what the
    reactor read, when and where it ran, and how long it took. Small numbers, texts, lists and arrays are
    shown too. Nothing is unpickled. JSON: an object with name, type, size (bytes), digest, metadata,
    value (text or null), reactor, finished, seconds, host, versions, dependencies.
    """
    with _open_warehouse(plant) as warehouse:
        output, trace = _find(warehouse, name, plant)
        value = _preview(warehouse, output)
    document = {
        "name": output.name,
        "type": output.format,
        "size": output.size,
        "digest": output.digest,
        "metadata": output.metadata,
        "value": value,
        "reactor": trace.reactor,
        "finished": trace.finished,
        "seconds": trace.seconds,
        "host": trace.host,
        "versions": trace.versions,
        "dependencies": [_dependency(trace, dependency) for dependency in _value_dependencies(trace)],
    }
    emit("\n".join(map(clean, _show_lines(output, trace, value))), document, as_json=as_json)


def _preview(warehouse: Warehouse, output: Ingredient) -> str | None:
    """Return a short text of a small value; ``None`` if loading it could be slow or run code."""
    if output.format not in _PREVIEWED_FORMATS or output.size > _MAX_PREVIEW:
        return None
    try:
        return shorten(warehouse.load(output))
    except DamagedError:
        return "(damaged)"


def _value_dependencies(trace: Trace) -> Iterator[Dependency]:
    """Yield the dependencies except those on the structure of the configuration (its parts and names)."""
    for dependency in trace.dependencies:
        if dependency.kind is not DependencyKind.PARAMETER or all(
            is_value(name, trace.shown.get(name, "")) for name in dependency.names
        ):
            yield dependency


def _dependency(trace: Trace, dependency: Dependency) -> dict[str, Any]:
    names = [_display_name(dependency, name) for name in dependency.names]
    plain: dict[str, Any] = {"kind": dependency.kind.name.lower(), "names": names}
    if dependency.kind is DependencyKind.PARAMETER:
        plain["values"] = [trace.shown.get(name, "?") for name in dependency.names]
    return plain


def _display_name(dependency: Dependency, name: str) -> str:
    of_config = (DependencyKind.PARAMETER, DependencyKind.AUXILIARY, DependencyKind.ABSENCE)
    return unquoted(name) if dependency.kind in of_config else name


def _show_lines(output: Ingredient, trace: Trace, value: str | None) -> Iterator[str]:
    yield f"{output.name}: {output.format}, {format_size(output.size)}"
    if value is not None:
        yield f"  value      {value}"
    for key, item in output.metadata.items():
        yield f"  {key:<10} {shorten(to_json_value(item))}"
    yield f"  sent by    {trace.reactor}"
    yield f"  finished   {format_date(trace.finished)}, {format_age(trace.finished)}, on {trace.host or 'an unknown host'}"
    yield f"  took       {format_seconds(trace.seconds)}"
    yield f"  digest     {output.digest}"
    for dependency in _value_dependencies(trace):
        kind = dependency.kind.name.lower()
        for name in dependency.names:
            known = f" = {trace.shown[name]}" if name in trace.shown else ""
            yield f"  read       {kind} {_display_name(dependency, name)}{known}"


@click.command(epilog="Example: pyplant history digits.plant train_forest")
@_plant_argument
@click.argument("reactor", required=False)
@json_option
def history(plant: Path, reactor: str | None, *, as_json: bool) -> None:
    """List the executions that PLANT stores.

    With REACTOR only those of this reactor; newest first. JSON: a list of objects with reactor and
    entries; an entry has finished, seconds, host, fingerprint (of the code), parameters,
    outputs (name to digest).
    """
    with _open_warehouse(plant) as warehouse:
        ledger = warehouse.ledger
        executions = Counter[str]()
        newest: dict[str, Trace] = {}
        for trace in ledger.traces():
            executions[trace.reactor] += 1
            known = newest.get(trace.reactor)
            if known is None or known.rank < trace.rank:
                newest[trace.reactor] = trace
        names, ingredient = sorted(newest), ""
        if reactor is not None:
            named = [name for name in names if reactor in (name, name.rpartition(".")[2])]
            # The newest execution only: an earlier version of a reactor may have sent other ingredients.
            sending = [name for name in names if newest[name].output(reactor) is not None]
            if not named and not sending:
                raise _no_executions(reactor, names, plant)
            names = named or sending
            ingredient = "" if named else reactor
        # Executions are printed while they are read, since all of them may not fit into memory.
        histories = (History(name, _Executions(ledger, name, executions[name]), ingredient) for name in names)
        width = terminal_width()
        if as_json:
            emit("", map(_history_document, histories), as_json=True)
        elif names:
            emit(
                chain.from_iterable(as_lines(found.title(), found.blocks(), width) for found in histories),
                None,
                as_json=False,
            )
        else:
            emit(f"{plant} stores no executions yet.", None, as_json=False)


class _Executions(Sequence[HistoryEntry]):
    """The stored executions of a reactor, read one by one."""

    def __init__(self, ledger: Ledger, reactor: str, number: int) -> None:
        self._ledger = ledger
        self._reactor = reactor
        self._number = number

    def __len__(self) -> int:
        return self._number

    def __iter__(self) -> Iterator[HistoryEntry]:
        return map(history_entry, self._ledger.newest_first(self._reactor))

    def __getitem__(self, index: Any) -> Any:
        return tuple(self)[index]


def _history_document(found: History) -> dict[str, Any]:
    return {"reactor": found.reactor, "entries": iter(found.entries), "ingredient": found.ingredient}


def _no_executions(reactor: str, known: Iterable[str], plant: Path) -> UnknownReactorError:
    short = sorted({name.rpartition(".")[2] for name in known})
    hint = _hint(reactor, short, f"pyplant history {plant}")
    return UnknownReactorError(f"The plant {plant} stores no execution of reactor {reactor!r}. {hint}")


# ---------------------------------------------------------------------- maintenance


@click.command(epilog='Example: pyplant gc digits.plant --max-size "5 GB"')
@_plant_argument
@click.option(
    "--max-size", help="Also remove old results until the rest fits into this size, such as '20 GB'."
)
@click.option(
    "--unused-for", help="Also remove old results that were not used for so long, such as '30 days'."
)
@json_option
def gc(plant: Path, max_size: str | None, unused_for: str | None, *, as_json: bool) -> None:
    """Reclaim space in PLANT.

    Without options only leftovers of killed runs are removed, no results. With --max-size the
    least recently used results are removed. Results that an open plant uses, and the current result
    of each reactor, are never removed. JSON: an object with freed and stored (bytes), and the number of
    results, objects and leftovers that were removed.
    """
    limit = _NO_LIMIT if max_size is None else parse_size(max_size)
    with _open_warehouse(plant, read_only=False) as warehouse:
        seconds = None if unused_for is None else parse_seconds(unused_for)
        done = collect(warehouse, limit, unused_for=seconds)
    document = {
        "results": done.results,
        "objects": len(done.objects),
        "leftovers": len(done.leftovers),
        "freed": done.freed,
        "stored": done.stored,
    }
    emit(str(done), document, as_json=as_json)


@click.command(epilog="Example: pyplant fsck digits.plant --repair")
@_plant_argument
@click.option("--repair", is_flag=True, help="Move damaged values aside, so that they are computed again.")
@json_option
def fsck(plant: Path, *, repair: bool, as_json: bool) -> int:
    """Check everything that PLANT stores.

    Every file is read and compared with its digest. The exit code is 1 if a problem was found and
    not repaired. JSON: an object with findings (a list of problem, text,
    ingredient, reactor, object), objects, size (bytes), repaired.
    """
    with _open_warehouse(plant, read_only=not repair) as warehouse:
        found = audit(warehouse, repair=repair)
    text = str(found).replace("plant.fsck(repair=True)", "--repair").replace("plant.gc()", "pyplant gc")
    emit(text, found, as_json=as_json)
    return 0 if found.is_clean or repair else 1


@click.command(epilog="Example: pyplant export digits.plant accuracy confusion --to results")
@_plant_argument
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option(
    "--to",
    "folder",
    required=True,
    type=DirectoryOrFile(path_type=Path),
    help="A folder that is new, empty, or holds an earlier export, which is replaced.",
)
@json_option
def export(plant: Path, names: tuple[str, ...], folder: Path, *, as_json: bool) -> None:
    """Copy values from PLANT to a folder.

    The values that were last brought up to date are copied to a folder that can be read without a
    plant. Nothing runs, so the values may be older than the code; 'pyplant run' brings them up to date
    first. pyplant.load_ingredients(folder) reads them. JSON: an object with folder and ingredients (names).
    """
    with _open_warehouse(plant) as warehouse:
        wanted = [_find(warehouse, name, plant)[0] for name in dict.fromkeys(names)]
        written = export_to(warehouse, wanted, folder)
    text = f"{counted(len(wanted), 'ingredient')} written to {folder}"
    emit(text, {"folder": written, "ingredients": [i.name for i in wanted]}, as_json=as_json)


# ---------------------------------------------------------------------- doctor


@click.command(epilog="Example: pyplant doctor /shared/project")
@click.argument("directory", default=".", type=DirectoryOrFile(path_type=Path))
@json_option
def doctor(directory: Path, *, as_json: bool) -> int:
    """Test whether a file system supports a plant.

    The file system of DIRECTORY is tested; if DIRECTORY is a plant, that is checked too. The exit code
    is 1 if something essential does not work. JSON: a list of objects with name, verdict (ok,
    warning or failed), text.
    """
    if not directory.is_dir():
        message = f"{directory} is not a directory."
        raise PlantDirError(message)
    checks = [*examine(directory), *_plant_checks(directory)]
    marks = {CheckResult.OK: "✓", CheckResult.WARNING: "!", CheckResult.FAILED: "✗"}
    text = "\n".join(f"{marks[check.verdict]} {check.name:<16} {check.text}" for check in checks)
    emit(text, checks, as_json=as_json)
    return 1 if any(check.verdict is CheckResult.FAILED for check in checks) else 0


def _plant_checks(directory: Path) -> Iterator[Check]:
    if not (directory / "FORMAT").exists():
        yield Check("plant", CheckResult.OK, "none here")
        return
    try:
        with _open_warehouse(directory) as warehouse:
            executions = sum(1 for _ in warehouse.ledger.traces())
            size = stored_bytes(warehouse.ledger.traces())
            files = len(warehouse.journal.files())
            damaged = warehouse.journal.damaged_lines - warehouse.ledger.known_damage
            unknown = warehouse.ledger.unknown_traces
    except OSError as error:
        yield Check("plant", CheckResult.FAILED, str(error))
        return
    yield Check(
        "plant",
        CheckResult.OK,
        f"{counted(executions, 'stored execution')}, {format_size(size)}",
    )
    yield Check("journal", CheckResult.OK, counted(files, "file"))
    if damaged > 0:
        text = f"{counted(damaged, 'line')} damaged; lost results are computed again when they are needed"
        yield Check("damage", CheckResult.WARNING, text)
    if unknown:
        text = f"{counted(unknown, 'execution')} written by a later version of PyPlant; update to use their results"
        yield Check("version", CheckResult.WARNING, text)


COMMANDS = (list_ingredients, show, history, gc, fsck, export, doctor)
"""The commands, in the order of ``pyplant --help``."""
