"""The worker: attempts the task of a request and replies.

Everything here runs in a worker: a thread of the coordinator, or a process on this or another machine.
:func:`execute_pickled` is what pools of processes call, :func:`execute` what pools of threads call.

For each request a worker
1. reads the settings of the run from its folder, unless its last request belonged to the same run,
   and adopts the settings, environment and user modules of the coordinator;
2. unpickles the modules and the reactor that came with the request;
3. runs the reactor from its beginning. It loads given ingredients from the plant and stores sent ones in
   it, while :mod:`pyplant.workers.output` forwards what it prints;
4. replies with the record of the execution.

A worker in the process of the coordinator (a thread of any pool) must not change process-wide settings,
and needs no pickles: it takes the objects from :data:`~pyplant.workers.messages.in_process_runs`, and works in a copy
of the context of the thread that submitted the request.

Workers write objects but no journal. A result counts only once the coordinator has committed it, so a
worker may be killed at any time without leaving a wrong result.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from pyplant._definitions import Definition
from pyplant._fork import after_fork_in_child
from pyplant._tracer import Tracer
from pyplant.errors import ConfigError, DamagedError, PlantDirError
from pyplant.events import ReactorAssigned
from pyplant.execution.forking import reseed_if_forked
from pyplant.execution.reactor_execution import Needs, ReactorExecution
from pyplant.fingerprint.assignments import adopt_attributes
from pyplant.fingerprint.fingerprint import Fingerprinter, use_fingerprinter
from pyplant.fingerprint.origin import adopt_followed, begin_generation, package_versions
from pyplant.fingerprint.source import CodePart
from pyplant.ingredient import Ingredient
from pyplant.reads.answers import Outside
from pyplant.reads.silent_reads import SilentReads, silent_reads
from pyplant.store.latest_lines import LatestLines
from pyplant.store.layout import check_plant
from pyplant.store.read_only_files import ReadOnlyFiles
from pyplant.store.warehouse import Warehouse
from pyplant.workers.error_pickling import pickle_error, traceback_text
from pyplant.workers.imports import ImportsFailedError, import_modules, serving_program
from pyplant.workers.messages import (
    CONTEXT,
    MODULES,
    SETTINGS,
    Differs,
    Done,
    ImportsFailed,
    Interrupted,
    MoreInputs,
    PackageSettings,
    PlantUnreachable,
    Raised,
    RunEnded,
    RunSettings,
    SentModules,
    TaskReply,
    TaskRequest,
    Unloadable,
    in_process_runs,
    this_process,
)
from pyplant.workers.output import OutputForwarder, forward_threads, interrupt_if_told, redirected
from pyplant.workers.pickling import dumps, loads
from pyplant.workers.process_settings import write_settings
from pyplant.workers.sent_code import SentCode, read_sent_file
from pyplant.workers.user_modules import UserModule
from pyplant.workers.worker_environment import (
    adopt_variables,
    begin_environment,
    change_environment,
    is_own_worker,
)

__all__ = ["begin_own_worker", "check_visibility", "execute", "execute_in_own_worker", "execute_pickled"]

_KEPT_VERIFICATIONS = 32  # reactors whose code a worker keeps digests of
_PARENT_CHECK_INTERVAL = 1.0  # seconds between two checks whether the parent process still exists


def begin_own_worker(parent: int, environment: Mapping[str, str | None]) -> None:
    """Begin as a worker process that PyPlant starts, with the environment of the process ``parent``."""
    begin_environment(environment)
    _accept_sigint()
    _exit_with_parent(parent)


def _accept_sigint() -> None:
    """Handle SIGINT from now on; it is blocked while a worker starts."""
    signal.signal(signal.SIGINT, interrupt_if_told)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])


def _exit_with_parent(parent: int) -> None:
    """End this worker process within a second after the process that started it, also if that was killed.

    Parameters
    ----------
    parent
        The number of the process that started it.
    """

    # Polled: a signal at the death of the parent (PR_SET_PDEATHSIG) exists on Linux only, and comes when the thread of
    # the parent ends that has started this process.
    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_PARENT_CHECK_INTERVAL)
        os._exit(1)  # without clean-up: nothing waits for its result, and objects may be left half-written

    threading.Thread(target=watch, name="pyplant-orphan", daemon=True).start()


def execute_in_own_worker(data: bytes, environment: Mapping[str, str | None]) -> bytes:
    """Execute a pickled request in a worker that PyPlant has started, after these changes of its environment."""
    change_environment(environment)
    return execute_pickled(data)


def execute_pickled(data: bytes) -> bytes:
    """Execute a pickled request; returns the pickled reply."""
    request: TaskRequest = loads(data)
    # Threads of the coordinator share its random state, which must not change; forked workers have equal copies.
    if request.folder not in in_process_runs:
        reseed_if_forked()
    program = "" if request.modules is None else request.modules.folder
    with nullcontext() if request.folder in in_process_runs else serving_program(program):
        if request.environment is not None and request.folder not in in_process_runs:
            same_machine = request.process[0] == this_process()[0]
            adopt_variables(program, request.environment, same_machine=same_machine)
        reply = execute(request)
        try:
            return dumps(_with_pickled_error(reply))
        except Exception as error:  # noqa: BLE001 - a value that could not be stored cannot be pickled either
            return dumps(_with_pickled_error(reply._replace(outcome=Raised(error, ""))))


def _with_pickled_error(reply: TaskReply) -> TaskReply:
    match reply.outcome:
        case Raised(BaseException() as error, text):
            return reply._replace(outcome=Raised(pickle_error(error), text))
    return reply


def check_visibility(root: str) -> str:
    """Return why this worker cannot open a plant; ``""`` if it can."""
    try:
        check_plant(ReadOnlyFiles(), Path(root))
    except Exception as error:  # noqa: BLE001 - after any error no work can begin
        return f"{this_process()[0]}: {error}"
    return ""


def execute(request: TaskRequest) -> TaskReply:
    """Attempt the task of a request."""
    in_process = in_process_runs.get(request.folder)
    task = None if in_process is None else in_process.tasks.get(request.name)
    if task is None:
        return _execute(request)
    return task.variables.run(_execute_in_process, request, task.settings)


def _execute_in_process(request: TaskRequest, settings: Mapping[str, bytes]) -> TaskReply:
    write_settings(settings, before_imports=False, own_worker=True)
    return _execute(request)


def _execute(request: TaskRequest) -> TaskReply:
    try:
        worker_state = _worker_state(request)
    except FileNotFoundError:
        return TaskReply(_missing_context(request))
    except PlantDirError as error:
        return TaskReply(PlantUnreachable(str(error)))
    except ImportsFailedError as error:
        return TaskReply(ImportsFailed(error.reasons))
    except _UnusableSettingsError as unusable:
        return TaskReply(Raised(unusable.error, traceback_text(unusable.error)))
    except Exception as error:  # noqa: BLE001 - a pool may be unable to return it
        return TaskReply(Raised(error, traceback_text(error)))
    forwarder = OutputForwarder(
        Path(request.folder),
        request.name,
        worker_state.warehouse.files,
        shares_process=request.folder in in_process_runs,
    )
    outcome: MoreInputs | Differs | Done | Raised | Unloadable | Interrupted
    try:
        with redirected(forwarder):
            outcome = _run_attempt(request, worker_state, forwarder)
    except KeyboardInterrupt:
        outcome = Interrupted()
    objects = worker_state.warehouse.objects
    if request.process[0] != this_process()[0]:
        with suppress(OSError):  # the coordinator cannot sync what is in the memory of another machine
            objects.sync()
    # Syncing is left to the coordinator, which does it once for all results.
    unsynced = tuple(path.name for path in objects.unsynced)
    objects.unsynced.clear()
    objects.unnamed.clear()  # the coordinator names them
    return TaskReply(
        outcome,
        forwarder.take_items(),
        forwarder.written,
        worker_state.warehouse.journal.take_pending(),
        unsynced,
        forwarder.shares_process,
    )


def _missing_context(request: TaskRequest) -> PlantUnreachable | RunEnded:
    """Return the outcome if the settings of the run cannot be found."""
    root = Path(request.folder).parent.parent.parent
    if not root.is_dir():
        return PlantUnreachable(f"There is no directory {root}.")
    return RunEnded()


def _run_attempt(
    request: TaskRequest, worker_state: _WorkerState, forwarder: OutputForwarder
) -> MoreInputs | Differs | Done | Raised | Unloadable:
    execution: ReactorExecution | None = None
    try:
        in_process = in_process_runs.get(request.folder)
        if in_process is not None:
            definition = in_process.tasks[request.name].definition
        else:
            verified = _verified_definition(request, worker_state)
            if isinstance(verified, Differs):
                return verified
            definition = verified
            _adopt_settings(request, before_imports=False)
            forwarder.emit(
                ReactorAssigned(definition.name, "process {1} on host {0}".format(*this_process()))
            )
        context = _WorkerContext(worker_state)
        tracer = Tracer(definition, worker_state.warehouse, context, forwarder.emit)
        forward_threads(tracer, forwarder)
        execution = ReactorExecution(definition, tracer)
        outcome = execution.execute(request.given, partial(_load, worker_state.warehouse))
        if isinstance(outcome, Needs):
            return MoreInputs(outcome.names, tuple(execution.given))
        return Done(outcome.record, outcome.seconds)
    except _NotLoadedError as error:
        return Unloadable(error.name, error.reason)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt) and forwarder.interrupted:
            raise  # not by the reactor, but because the run is over
        return Raised(error, traceback_text(error))
    finally:
        if execution is not None:
            _close(execution)


def _verified_definition(request: TaskRequest, worker_state: _WorkerState) -> Definition | Differs:
    """Return the reactor of a request, if it has the fingerprint here that it has in the program."""
    code, packed = worker_state.code, request.reactor
    if code is None or packed is None:
        message = f"The request {request.name} has no code."
        raise ValueError(message)
    fingerprinter, found = worker_state.fingerprinter, ""
    code.read(packed.bundles)
    # A second time with new values of the variables that were sent, since reactors may have changed them here.
    for again in (False, True):
        definition: Definition = code.load(packed, again=again)
        worker_state.begin_verification()
        fingerprinter.add_state(worker_state.warehouse.ledger.state)
        found = fingerprinter.fingerprint(definition.function).digest
        if found in request.fingerprints:
            return definition
    # It keeps the texts of code, and the next request may come with others.
    worker_state.forget_code()
    return Differs(found, fingerprinter.records_below(found))


def _close(execution: ReactorExecution) -> None:
    try:
        execution.close()
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001, S110 - a finally block of the user raised; the outcome is already known
        pass


class _NotLoadedError(Exception):
    """A given value could not be loaded; distinguishes this from a ``DamagedError`` that the reactor raised."""

    def __init__(self, name: str, reason: DamagedError) -> None:
        super().__init__(name)
        self.name = name
        self.reason = reason


class _UnusableSettingsError(Exception):
    """The settings of the run cannot be loaded, since code of a user's class raised ``error``."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error


def _load(warehouse: Warehouse, ingredient: Ingredient) -> Any:
    try:
        return warehouse.load(ingredient)
    except DamagedError as error:
        raise _NotLoadedError(ingredient.name, error) from None


class _WorkerContext:
    """The context of a reactor in a worker (:class:`~pyplant._tracer.ReactorContext`).

    It returns placeholders for digests of parameters; the coordinator replaces them.
    """

    def __init__(self, worker_state: _WorkerState) -> None:
        warehouse = worker_state.warehouse
        self.parameters = worker_state.context.parameters
        self.outside_in_run = self.outside_now = Outside(warehouse).digest
        self.track_reads = worker_state.context.track_reads
        self.plant_folders: dict[str, bool] = {}
        self._fingerprinter = worker_state.fingerprinter

    def parameter(self, name: str) -> str:
        del name
        return ""

    def silent_reads(self, reactor: Callable[..., Any]) -> SilentReads:
        return silent_reads(self._fingerprinter, reactor)

    def subreactor_entered(self, reactor: Callable[..., Any], function: Callable[..., Any]) -> str:
        if self._fingerprinter.reaches(reactor, function):
            return ""
        return self._fingerprinter.fingerprint(function).digest


# ---------------------------------------------------------------------- state of a worker


class _PartReader:
    """Reads parts of code that the program stored, and stores none (:class:`~pyplant.fingerprint.fingerprint.PartMemo`).

    A worker may lack the source that the program verified, and must not replace its part by one without.
    """

    def __init__(self, latest: LatestLines) -> None:
        self.get_part = latest.get_part

    def put_part(self, digest: str, part: CodePart) -> None:
        """Do nothing."""


@dataclass(slots=True)
class _WorkerState:
    """The plant and the run that a worker thread works for; reused by the next attempt."""

    folder: str
    digest: str
    context: RunSettings
    warehouse: Warehouse
    packages: PackageSettings | None
    code: SentCode | None
    fingerprinter: Fingerprinter = field(init=False)
    verifications: int = 0

    def __post_init__(self) -> None:
        self.forget_code()

    def forget_code(self) -> None:
        """Compute fingerprints with what the plant has now."""
        versions = _versions(self.packages)
        self.fingerprinter = Fingerprinter(_PartReader(self.warehouse.ledger.latest), versions=versions)

    def begin_verification(self) -> None:
        """Prepare the fingerprinter for a reactor; values may have changed since the last one."""
        # Reactors share helpers, so what one of them reached is kept for the next ones, but not for ever: it may hold
        # large values that were replaced.
        if self.verifications % _KEPT_VERIFICATIONS:
            self.fingerprinter.invalidate_values()
        else:
            self.fingerprinter.begin_generation()
        self.verifications += 1

    def use(self) -> None:
        """Prepare this thread for an attempt."""
        if self.packages is not None:
            adopt_followed(self.packages.followed)
            begin_generation()
            use_fingerprinter(self.fingerprinter)


# Threads of one process may work for different runs of a program, such as those of a sweep.
_thread_state = threading.local()


@after_fork_in_child
def _after_fork() -> None:
    """Forget the state in a forked child: files and locks in it belong to the parent."""
    _thread_state.__dict__.clear()


def _worker_state(request: TaskRequest) -> _WorkerState:
    """Return the state for a request. Each thread has its own.

    Raises
    ------
    FileNotFoundError
        If the run is over, or its folder is not visible here.
    pyplant.errors.PlantDirError
        If there is no plant, or if the settings are not those that the run wrote.
    """
    last: _WorkerState | None = getattr(_thread_state, "worker_state", None)
    # The state of the last request is reused: opening a plant reads its journal.
    if last is not None and (last.folder, last.digest) == (request.folder, request.context):
        last.use()
        last.warehouse.ledger.refresh()
        return last
    in_process = in_process_runs.get(request.folder)
    if in_process is not None:
        context, packages, code = in_process.context, None, None
    else:
        context, packages, code = _load_settings(request)
    root = Path(context.root)
    if last is not None and last.context[:3] == context[:3] and root.is_dir():
        warehouse = last.warehouse
        warehouse.ledger.refresh()
    else:
        overlay = Path(context.overlay) if context.overlay else None
        warehouse = Warehouse(root, writes_journal=False, overlay=overlay)
    warehouse.formats = context.formats
    warehouse.objects.write_in(Path(request.folder))
    _thread_state.worker_state = worker_state = _WorkerState(
        request.folder, request.context, context, warehouse, packages, code
    )
    worker_state.use()
    return worker_state


def _versions(packages: PackageSettings | None) -> dict[str, str]:
    tracked = () if packages is None else packages.tracked
    versions: dict[str, str] = {}
    for package in tracked:
        with suppress(ConfigError):  # it is not installed here, so fingerprints differ
            versions |= package_versions([package])
    return versions


def _load_settings(request: TaskRequest) -> tuple[RunSettings, PackageSettings, SentCode]:
    """Read the settings of a run of another process, adopt those of the process, and import its modules."""
    packages, packed = loads(read_sent_file(Path(request.folder) / CONTEXT, request.context))
    _adopt_settings(request, before_imports=True)
    adopt_followed(packages.followed)
    adopt_attributes(packages.assigned, packages.effects)
    begin_generation()
    if request.modules is None:
        message = f"The request {request.name} has no modules."
        raise ValueError(message)
    import_modules(_modules(request.modules))
    code = _sent_code(request.modules.folder)
    code.read(packed.bundles)
    try:
        return code.load(packed), packages, code
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise _UnusableSettingsError(error) from error


# One is kept: attempts of different programs do not run at the same time in a process (serving_program).
@lru_cache(maxsize=1)
def _modules(sent: SentModules) -> dict[str, UserModule]:
    modules: dict[str, UserModule] = loads(read_sent_file(Path(sent.folder) / MODULES, sent.digest))
    return modules


@lru_cache(maxsize=1)
def _sent_code(folder: str) -> SentCode:
    return SentCode(folder)


def _adopt_settings(request: TaskRequest, *, before_imports: bool) -> None:
    """Adopt the settings of the program; done before each attempt, since reactors change them."""
    settings = _process_settings(request.folder, request.settings)
    write_settings(settings, before_imports=before_imports, own_worker=is_own_worker())


# The digest of the content is part of the key, so no entry is ever outdated.
@lru_cache(maxsize=100)
def _process_settings(folder: str, digest: str) -> Mapping[str, bytes]:
    settings: dict[str, bytes] = loads(read_sent_file(Path(folder) / f"{SETTINGS}{digest}", digest))
    return settings
