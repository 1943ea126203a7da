"""What a worker does with an order: one attempt to perform a reactor, from the beginning.

Everything here runs in the worker, be it a thread, a process or a machine. It reads and
writes values in the plant itself, and writes no journal: what the run must know comes back
in the reply.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pyplant._fork import after_fork_in_child
from pyplant._tracer import Tracer
from pyplant.config.parameters import Parameters
from pyplant.errors import DamagedError, PlantDirError
from pyplant.execution.forking import reseed_if_forked
from pyplant.execution.nesting import start_processes_like
from pyplant.execution.reactor_execution import Needs, ReactorExecution
from pyplant.fingerprint.digest import digest_bytes
from pyplant.fingerprint.fingerprint import Fingerprinter, use_fingerprinter
from pyplant.fingerprint.origin import adopt_followed, is_own_file
from pyplant.ingredient import Ingredient
from pyplant.store.files import Files, ReadOnlyFiles
from pyplant.store.inputs import InputFiles
from pyplant.store.layout import check_plant
from pyplant.store.warehouse import Warehouse
from pyplant.workers.messages import (
    CONTEXT,
    Done,
    Ended,
    Hidden,
    InputsWanted,
    Interrupted,
    MoreInputs,
    Raised,
    RunSettings,
    Surroundings,
    TaskReply,
    TaskRequest,
    Unloadable,
    here,
    local,
)
from pyplant.workers.output import OutputForwarder, redirected
from pyplant.workers.pickling import (
    Wanted,
    dumps,
    dumps_error,
    expect_modules,
    loads,
    number_of,
    unpack,
    using_code,
    wanting,
)

__all__ = ["end_with", "execute", "execute_pickled", "sees"]

_LOOK = 1.0  # seconds between two looks whether the user's process is still there


def end_with(parent: int) -> None:
    """Let this worker process end soon after the one that started it, however that ends.

    Parameters
    ----------
    parent
        The process that started it.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_LOOK)
        os._exit(1)  # nobody waits for what it does, and what it writes may be cut off anywhere

    threading.Thread(target=watch, name="pyplant-orphan", daemon=True).start()


def execute_pickled(data: bytes) -> bytes:
    """Carry out a pickled order; returns the pickled reply."""
    order: TaskRequest = loads(data)
    if order.folder not in local:
        reseed_if_forked()
    with nullcontext() if order.folder in local else using_code(order.code):
        reply = execute(order)
        if isinstance(reply.outcome, Raised):
            return _pickled_error(reply, reply.outcome)
        try:
            return dumps(reply)
        except Exception as error:  # noqa: BLE001 - an unsaved value
            return dumps(reply._replace(outcome=Raised(error, "")))


def _pickled_error(reply: TaskReply, raised: Raised) -> bytes:
    """A packed reply with the exception as it was, or without what cannot leave the process, or as a text."""
    error = raised.error
    for attempt in (dumps_error, dumps):
        with suppress(Exception):
            packed = attempt(reply)
            loads(packed)
            return packed
    with suppress(Exception):
        for name, value in list(vars(error).items()):
            try:
                dumps(value)
            except Exception:  # noqa: BLE001 - a lock, a connection
                setattr(error, name, repr(value))
        return dumps_error(reply)
    return dumps(
        reply._replace(outcome=Raised(RuntimeError(f"{type(error).__name__}: {error}"), raised.traceback))
    )


def sees(root: str) -> str:
    """Why a worker does not see a plant; empty if it does."""
    try:
        check_plant(ReadOnlyFiles(), Path(root))
    except Exception as error:  # noqa: BLE001 - whatever it is, work cannot begin
        return f"{here()[0]}: {error}"
    return ""


def execute(order: TaskRequest) -> TaskReply:
    """Make an attempt."""
    try:
        worker_state = _worker_state(order)
    except FileNotFoundError:
        return TaskReply(_why_not(order))
    except PlantDirError as error:
        return TaskReply(Hidden(str(error)))
    forwarder = OutputForwarder(
        Path(order.folder), order.name, worker_state.warehouse.files, is_home=order.folder in local
    )
    outcome: MoreInputs | InputsWanted | Done | Raised | Unloadable | Interrupted
    try:
        with redirected(forwarder), wanting():
            outcome = _attempt(order, worker_state, forwarder)
    except KeyboardInterrupt:
        outcome = Interrupted()
    objects = worker_state.warehouse.objects
    if order.process[0] != here()[0]:
        with suppress(OSError):  # nobody else can bring them from here to the disk
            objects.sync()
    unsynced = tuple(path.name for path in objects.unsynced)
    objects.unsynced.clear()
    return TaskReply(
        outcome,
        forwarder.rest(),
        forwarder.written,
        worker_state.warehouse.journal.take_pending(),
        unsynced,
        forwarder.is_home,
    )


def _why_not(order: TaskRequest) -> Hidden | Ended:
    """The context of the run is not there."""
    root = Path(order.folder).parent.parent.parent
    if not root.is_dir():
        return Hidden(f"There is no directory {root}.")
    return Ended()


def _attempt(
    order: TaskRequest, worker_state: _WorkerState, forwarder: OutputForwarder
) -> MoreInputs | InputsWanted | Done | Raised | Unloadable:
    execution: ReactorExecution | None = None
    try:
        home = local.get(order.folder)
        if home is None:
            for module in order.modules:
                unpack(module)
        definition = unpack(order.reactor) if home is None else home.definitions[order.name]
        context = _WorkerContext(
            worker_state.context.parameters,
            InputFiles(worker_state.warehouse.ledger, worker_state.warehouse.root.parent),
        )
        execution = ReactorExecution(
            definition, Tracer(definition, worker_state.warehouse, context, forwarder.emit)
        )
        outcome = execution.perform(order.given, partial(_load, worker_state.warehouse))
        if isinstance(outcome, Needs):
            return MoreInputs(outcome.names, tuple(execution.given))
        return Done(outcome.record, outcome.seconds, tuple(context.subreactors))
    except _NotLoadedError as error:
        return Unloadable(error.name, error.reason)
    except Wanted as wanted:
        return InputsWanted(wanted.module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - a reactor may raise anything
        return Raised(error, _told(error))
    finally:
        if execution is not None:
            _close(execution)


def _close(execution: ReactorExecution) -> None:
    try:
        execution.close()
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001, S110 - a finally block of the user's; the outcome is known already
        pass


def _told(error: BaseException) -> str:
    """The traceback of an error in the user's code, as text; our own frames say nothing."""
    frames = error.__traceback__
    while frames is not None and is_own_file(frames.tb_frame.f_code.co_filename):
        frames = frames.tb_next
    return "".join(traceback.format_exception(type(error), error, frames or error.__traceback__))


class _NotLoadedError(Exception):
    """Passes through the reactor's frames from where a value was to be loaded."""

    def __init__(self, name: str, reason: DamagedError) -> None:
        super().__init__(name)
        self.name = name
        self.reason = reason


def _load(warehouse: Warehouse, ingredient: Ingredient) -> Any:
    try:
        return warehouse.load(ingredient)
    except DamagedError as error:
        raise _NotLoadedError(ingredient.name, error) from None


class _WorkerContext:
    """What a reactor asks in a worker (:class:`~pyplant._tracer.ReactorContext`).

    Digests of parameters and subreactors are filled in by the coordinator when it has the reply.
    """

    def __init__(self, parameters: Parameters, files: InputFiles) -> None:
        self.parameters = parameters
        self.file = files.digest
        self.subreactors: list[Any] = []

    def parameter(self, name: str) -> str:
        del name
        return ""

    def subreactor_entered(self, reactor: Callable[..., Any], function: Callable[..., Any]) -> str:
        del reactor
        self.subreactors.append(number_of(function))
        return str(len(self.subreactors) - 1)


# ---------------------------------------------------------------------- what lasts from attempt to attempt


@dataclass(slots=True)
class _WorkerState:
    """Where a worker works: a plant, and the context of the run it works for."""

    folder: str
    context: RunSettings
    warehouse: Warehouse
    surroundings: Surroundings | None
    fingerprinter: Fingerprinter

    def adapt(self) -> None:
        """Make this process as the run needs it, if that is one of another process; reactors change it."""
        if self.surroundings is not None:
            _adapt_to(self.surroundings)
            use_fingerprinter(self.fingerprinter)


_kept = threading.local()


@after_fork_in_child
def _after_fork() -> None:
    """What the parent had at hand for its attempts is the parent's."""
    _kept.__dict__.clear()


def _worker_state(order: TaskRequest) -> _WorkerState:
    """The bench for an order. Each thread has one of its own.

    Raises
    ------
    FileNotFoundError
        If the run is over, or what it wrote is not to be seen from here.
    pyplant.errors.PlantDirError
        If there is no plant, or if the context is not the one that the run wrote.
    """
    last: _WorkerState | None = getattr(_kept, "worker_state", None)
    if last is not None and last.folder == order.folder:
        last.adapt()
        last.warehouse.ledger.refresh()
        return last
    home = local.get(order.folder)
    context, surroundings = (home.context, None) if home is not None else _away(order.folder, order.context)
    root = Path(context.root)
    if last is not None and last.context.root == context.root and root.is_dir():
        warehouse = last.warehouse
        warehouse.ledger.refresh()
    else:
        warehouse = Warehouse(root, writes_journal=False)
    warehouse.formats = context.formats
    _kept.worker_state = worker_state = _WorkerState(
        order.folder, context, warehouse, surroundings, Fingerprinter(warehouse.ledger)
    )
    worker_state.adapt()
    return worker_state


def _away(folder: str, digest: str) -> tuple[RunSettings, Surroundings]:
    """The context of a run of another process, and what this process must be like for it.

    To unpickle it runs code, and other users may be able to write to the folder: its digest came with the order.
    """
    content = Files().read(Path(folder) / CONTEXT)
    if digest_bytes(content) != digest:
        message = f"{Path(folder) / CONTEXT} is not what the run wrote there"
        raise PlantDirError(message)
    surroundings, packed = loads(content)
    sys.path += [path for path in surroundings.paths if path not in sys.path]
    logging.getLogger().setLevel(surroundings.level)
    _adapt_to(surroundings)
    return unpack(packed), surroundings


def _adapt_to(surroundings: Surroundings) -> None:
    with suppress(OSError):  # on another machine it may not exist, nor matter
        os.chdir(surroundings.directory)
    start_processes_like(surroundings.processes)
    adopt_followed(surroundings.followed)
    expect_modules(surroundings.modules)
