"""Execute reactors in parallel, in workers: threads, processes, or machines of a cluster.

Each job becomes a request for a worker: the pickled reactor and the ingredients that it may receive.
The worker runs the reactor from its beginning, and reads and writes values in the plant itself, so no
value passes through the coordinator. A waiting generator cannot be pickled. So if the reactor asks for
an ingredient that was not given, the attempt ends, and the reactor starts again when the ingredient is
available. This is rare: ingredients that a reactor receives unconditionally are made before its first
attempt, and others that its code names are given if they exist. Output that a repeated attempt prints
again is not shown again.

The coordinator is one thread. It submits requests, waits for replies, and in between shows the output
that workers have written to files. Only the coordinator writes the journal.

When a worker process dies, its pool usually breaks, and all attempts under way are lost. Each is
repeated. A reactor whose attempts were lost twice is suspected of crashing workers and runs alone from
then on, so that a further crash identifies it. After three crashes alone it fails.
"""

from __future__ import annotations

import itertools
import queue
import time
from collections import deque
from collections.abc import Iterable, Mapping
from concurrent.futures import BrokenExecutor, CancelledError
from contextlib import suppress
from contextvars import copy_context
from typing import Any, TypeGuard

from pyplant._definitions import Definition
from pyplant._formatting import counted
from pyplant.errors import PlantWarning, WorkerError, warn
from pyplant.execution.budget import Budget, Grant
from pyplant.execution.executor import ExecutionRequest, ExecutionResult, Failed, Job, Lost
from pyplant.execution.inline import advance_inline, execute_inline
from pyplant.execution.interrupts import held_interrupts
from pyplant.execution.reactor_execution import Needs, ReactorExecution
from pyplant.fingerprint.code_records import CodeRecord
from pyplant.reads.environment import present_variables
from pyplant.store.files import unique_name
from pyplant.store.warehouse import Warehouse
from pyplant.workers.admission import AdmissionQueue
from pyplant.workers.code_pickling import CodePickler
from pyplant.workers.error_pickling import attach_traceback, load_error
from pyplant.workers.messages import (
    Differs,
    Done,
    ImportsFailed,
    InProcessTask,
    Interrupted,
    MoreInputs,
    PlantUnreachable,
    Raised,
    RunEnded,
    TaskReply,
    TaskRequest,
    Unloadable,
    Variable,
    this_process,
)
from pyplant.workers.pickling import dumps, loads
from pyplant.workers.pools import Pool
from pyplant.workers.process_settings import read_settings
from pyplant.workers.remote_execution import RemoteExecution
from pyplant.workers.run_folder import RunFolder
from pyplant.workers.user_modules import capture_user_modules
from pyplant.workers.verification import differing_variables, differs_error
from pyplant.workers.worker_environment import NamedVariables

__all__ = ["ParallelExecutor"]

_WORKER_LOST_ERRORS = {"KilledWorker", "FutureCancelledError", "CommClosedError", "ShutdownExecutorError"}
_POLL_INTERVAL = 0.1  # seconds between two reads of the output of workers
_SILENCE = 5.0  # seconds without a reply after which the pool is asked whether it has suitable workers
_VERIFICATIONS = 3  # differing fingerprints in workers after which a reactor is refused
_AHEAD = 2  # attempts submitted for each worker, so that no worker idles between two


_Job = Job[RemoteExecution] | Job[ReactorExecution]
"""A job for a worker, or for a reactor that only this process can execute."""


class ParallelExecutor:
    """Executes reactors in the workers of a pool.

    Parameters
    ----------
    pool
        The workers.
    budget
        The resources that reactors share; ``None`` if the plant limits none.
    imports
        The user modules and packages that workers import; ``None`` for all.
    """

    restarts_on_receive = True

    def __init__(
        self, pool: Pool, budget: Budget | None = None, imports: Iterable[str] | None = None
    ) -> None:
        self._pool = pool
        self._imports = None if imports is None else frozenset(imports)
        self._budget = budget
        pool.check_budget(budget)
        self._runs: dict[Any, RunFolder] = {}  # by configuration: a sweep has several runs
        self._code_pickler: CodePickler | None = None  # for the length of a run
        self._unimportable: dict[str, str] = {}  # modules that workers cannot import, with the reasons
        self._inline_jobs: deque[_Job] = deque()  # executed by collect(), in this process
        self._queue: AdmissionQueue[_Job] = AdmissionQueue(budget)  # not submitted to the pool yet
        self._under_way: dict[str, tuple[Job[RemoteExecution], Any]] = {}  # with futures, by attempt
        self._replies: queue.SimpleQueue[str] = queue.SimpleQueue()  # put by threads of the pool
        self._number = itertools.count()
        self._last_read = self._last_reply = 0.0
        self._has_backlog = False  # whether workers have written more output than was shown
        self._warned_of: set[str] = set()
        self._warned_of_resources = False
        self._named_variables = NamedVariables(present_variables())
        self._ran_inline = False  # whether a worker turned out to share this process
        if not pool.shares_process:
            capture_user_modules()

    @property
    def capacity(self) -> int:
        """The number of jobs that may be submitted at once."""
        if self._budget is None:
            return _AHEAD * self._pool.size
        # Jobs that wait for resources must not keep out others. It is never 1, which is for executors that run inline.
        return max(2, self._pool.size + len(self._queue))

    @property
    def runs_inline(self) -> bool:
        """Whether reactors run in this process."""
        # Also true of pools of threads that PyPlant does not know, as soon as one has replied.
        return self._pool.shares_process or self._ran_inline

    def check(self, definition: Definition) -> None:
        """Check that the budget can give a reactor what it needs; warn once if there is no budget."""
        if self._budget is not None:
            self._budget.check(definition.name, definition.resources)
        elif (
            definition.resources
            and self._pool.size > 1
            and not (self._pool.knows_resources or self._warned_of_resources)
        ):
            self._warned_of_resources = True
            message = (
                f"Reactor {definition.name!r} declares resources={dict(definition.resources)}, but nothing limits how many "
                f"reactors use them at once. Say what there is: Plant(..., resources={dict(definition.resources)})."
            )
            warn(PlantWarning, message)

    def prepare(self, request: ExecutionRequest) -> RemoteExecution | ReactorExecution:
        """Prepare the execution of a reactor."""
        if _needs_kernel(request):
            return execute_inline(request)
        parameters = request.context.parameters
        if parameters not in self._runs:
            if not self._runs:
                self._pool.check(str(request.warehouse.root))  # once a run, before any work
            try:
                if not self._runs:
                    self._code_pickler = self._new_code_pickler(request.warehouse)
                self._runs[parameters] = RunFolder(request, self._code_pickler)
            except OSError as error:
                self._warn_of_full_disk(error)
                return execute_inline(request)
        return RemoteExecution(request, self._runs[parameters])

    def _warn_of_full_disk(self, error: OSError) -> None:
        """Warn once in a run that workers cannot be used."""
        message = "Reactors run in this process, since what workers need cannot be written"
        if message not in self._warned_of:
            self._warned_of.add(message)
            warn(PlantWarning, f"{message}: {error}")

    def _new_code_pickler(self, warehouse: Warehouse) -> CodePickler | None:
        if self._pool.shares_process:
            return None
        return CodePickler(warehouse.objects.scratch_path(), warehouse.files, self._is_importable)

    def _is_importable(self, module: str) -> bool:
        if module in self._unimportable:
            return False
        # A package that contains one of them is imported with it.
        return self._imports is None or any(
            f"{module}.".startswith(f"{name}.") or name.startswith(f"{module}.") for name in self._imports
        )

    def submit(self, job: _Job) -> None:
        """Submit a job, or queue it until :meth:`collect`."""
        if _is_for_workers(job) or (self._budget is not None and job.execution.definition.resources):
            self._queue.put(job)
            self._submit_waiting()
        else:
            self._execute_later(job)

    def _execute_later(self, job: _Job) -> None:
        """Let :meth:`collect` execute a job in this process."""
        job.announce_start()
        self._inline_jobs.append(job)

    def _submit_waiting(self) -> None:
        """Submit waiting jobs. A reactor suspected of crashing workers runs alone."""
        while self._queue:
            if self._budget is not None and len(self._under_way) >= self._pool.size:
                return
            alone = _is_suspicious(self._queue.first)
            busy = any(_is_suspicious(job) for job, _ in self._under_way.values())
            if busy or (alone and self._under_way):
                return
            admitted = self._queue.take(max_overtaken=self._pool.size)
            if admitted is None:
                return
            job, grant = admitted
            if _is_for_workers(job):
                self._submit_task(job, grant)
            else:
                self._execute_later(job)

    def _submit_task(self, job: Job[RemoteExecution], grant: Grant) -> None:
        remote = job.execution
        job.announce_start()
        name = f"{unique_name(8)}-{next(self._number)}"
        remote.restart_output()
        try:
            task, packed = self._packed_request(remote, name)
        except OSError as error:
            self._warn_of_full_disk(error)
            self._inline_jobs.append(job)
            return
        try:
            future = self._pool.submit(task, packed, grant, job.priority)
        except BrokenExecutor:
            self._pool.replace_workers(None)
            future = self._pool.submit(task, packed, grant, job.priority)
        self._under_way[name] = job, future
        future.add_done_callback(lambda _: self._replies.put(name))

    def _packed_request(self, remote: RemoteExecution, name: str) -> tuple[TaskRequest, bytes]:
        """Return the request for an attempt, and its pickle for workers of other processes."""
        run = remote.run
        # As they are now: programs change them between runs, and while reactors run.
        settings = read_settings(of_thread=self._pool.shares_process)
        run.tasks[name] = InProcessTask(remote.definition, copy_context(), settings)
        task = TaskRequest(run.folder, run.context, name, None, (), dict(remote.given), this_process())
        packed = b""
        if self._code_pickler is not None:
            task = task._replace(
                reactor=self._code_pickler.definition(remote.definition),
                fingerprints=tuple(remote.verified),
                modules=self._code_pickler.sent_modules,
                settings=run.write_process_settings(settings),
                environment=self._environment_for(remote),
            )
            packed = dumps(task)
            remote.replaced = len(self._code_pickler.replaced)
        remote.request.warehouse.flush()  # the worker reads texts of code in the ledger
        return task, packed

    def _environment_for(self, remote: RemoteExecution) -> dict[str, str | None] | None:
        """Return the environment variables for a request to workers that PyPlant did not start."""
        if self._pool.starts_workers:
            return None
        return self._named_variables.now(remote.request.fingerprinter.records, present_variables())

    # ------------------------------------------------------------------ results

    def collect(self) -> tuple[_Job, ExecutionResult]:
        """Wait for a job to end; returns it with its result."""
        self._last_reply = time.monotonic()
        while True:
            self._submit_waiting()
            if self._inline_jobs:
                return self._execute_inline(self._inline_jobs.popleft())
            self._show_output()
            try:
                name = self._replies.get(timeout=0 if self._has_backlog else _POLL_INTERVAL)
            except queue.Empty:
                self._check_workers()
                continue
            if name not in self._under_way:
                continue  # the reply belongs to a run that is over
            job, future = self._under_way.pop(name)
            self._queue.release(job)
            outcome = self._conclude(job, name, future)
            if outcome is not None:
                return job, outcome

    def _show_output(self) -> None:
        """Show new output of the attempts under way."""
        now = time.monotonic()
        if now - self._last_read < _POLL_INTERVAL and not self._has_backlog:
            return
        self._last_read = now
        self._has_backlog = False
        for run in self._runs.values():
            for name, item in run.reader.read_new(self._under_way):
                self._under_way[name][0].execution.show(item)
            self._has_backlog |= run.reader.has_more

    def _check_workers(self) -> None:
        """After some time without a reply, warn once in a run if no worker can execute what was submitted."""
        now = time.monotonic()
        if now - self._last_reply < _SILENCE:
            return
        self._last_reply = now
        # Most tasks need the same resources, and each question is a round trip to the cluster.
        asked: list[Mapping[str, float]] = []
        for job, _ in self._under_way.values():
            definition = job.execution.definition
            if definition.resources in asked:
                continue
            asked.append(definition.resources)
            missing = self._pool.missing_resources(definition.resources)
            if missing and missing not in self._warned_of:
                self._warned_of.add(missing)
                warn(PlantWarning, f"Reactor {definition.name!r} waits to be executed: {missing}.")

    def _conclude(self, job: Job[RemoteExecution], name: str, future: Any) -> ExecutionResult | None:
        """Return the result of an attempt; ``None`` if the reactor is attempted again."""
        remote = job.execution
        try:
            answer = future.result()
            reply: TaskReply = answer if isinstance(answer, TaskReply) else loads(answer)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - a pool may raise anything
            self._show_rest(remote, name, None)
            return self._worker_lost(job, future, error) if _is_worker_lost(error) else Failed(error)
        self._take_reply(remote, name, reply)
        match reply.outcome:
            case MoreInputs(names, held):
                return Needs(names, held)
            case Done(record, seconds):
                return remote.finished(record, seconds)
            case ImportsFailed(reasons):
                return self._send_by_value(job, reasons)
            case Differs(fingerprint, records):
                return self._send_differing(job, fingerprint, records)
            case Raised(raised, text):
                if isinstance(raised, BaseException):
                    return Failed(raised)
                arrived = load_error(raised)
                attach_traceback(arrived, text)
                return Failed(arrived)
            case Unloadable(missing, damage):
                held = tuple(remote.given)
                return Lost(remote.given.pop(missing), damage, held)
            case PlantUnreachable():
                raise reply.outcome.error(remote.request.warehouse.root)
            case Interrupted():
                return Failed(KeyboardInterrupt())
            case RunEnded():
                return self._worker_lost(job, None, KeyboardInterrupt("the run was over"))
        return None

    def _send_by_value(self, job: Job[RemoteExecution], reasons: dict[str, str]) -> ExecutionResult | None:
        """Send modules variable by variable from now on, since workers cannot import them."""
        code = self._code_pickler
        if code is None or not reasons.keys() & code.modules.keys():
            self._queue.put(job, first=True)  # another attempt told so before
            return None
        for name, reason in reasons.items():
            if name not in self._unimportable:
                warn(
                    PlantWarning,
                    f"Workers cannot import {name} ({reason}), so what reactors use of it is sent by value: whatever the "
                    f"module does when it is imported does not happen there.",
                )
        self._unimportable |= reasons
        code.close()
        self._code_pickler = self._new_code_pickler(job.execution.request.warehouse)
        for run in self._runs.values():
            run.write_settings(self._code_pickler)
        self._queue.put(job, first=True)
        return None

    def _send_differing(
        self, job: Job[RemoteExecution], fingerprint: str, records: dict[str, CodeRecord]
    ) -> ExecutionResult | None:
        """Send the values that make the fingerprint of a reactor differ in workers."""
        remote, code = job.execution, self._code_pickler
        fingerprinter = remote.request.fingerprinter
        found = differing_variables(remote.fingerprint, fingerprint, fingerprinter.records, records)
        if self._has_present_values(remote, fingerprint, records, found):
            remote.verified.append(fingerprint)
            self._queue.put(job, first=True)
            return None
        # The worker cannot verify code whose file was edited since, if the plant lost the text.
        stored = fingerprinter.store_parts()
        remote.differed += 1
        # Another job may have found the same after this one was submitted, and another thread of the worker may have
        # changed a value meanwhile.
        may_agree = stored or remote.differed < _VERIFICATIONS
        if code is not None and (code.replace(found) or may_agree or remote.replaced < len(code.replaced)):
            self._queue.put(job, first=True)
            return None
        error = differs_error(
            remote.definition.name, remote.fingerprint, fingerprint, fingerprinter.records, records
        )
        return Failed(error)

    def _has_present_values(
        self, remote: RemoteExecution, found: str, records: dict[str, CodeRecord], differing: list[Variable]
    ) -> bool:
        """Return whether a worker differs only in having the present values of what reactors have changed here."""
        if found in remote.verified:
            return False
        present, own = remote.request.fingerprinter.with_present_values(remote.definition.function)
        if present == remote.fingerprint:
            return False
        return not set(differing).intersection(differing_variables(present, found, own, records))

    def _take_reply(self, remote: RemoteExecution, name: str, reply: TaskReply) -> None:
        """Show the rest of the output of an attempt, and take over its journal lines and unsynced objects."""
        warehouse = remote.request.warehouse
        self._ran_inline |= reply.shares_process
        self._show_rest(remote, name, reply.written)
        for item in reply.output:
            remote.show(item)
        warehouse.ledger.latest.append_pending(reply.journal_lines)
        warehouse.objects.unsynced.update(map(warehouse.objects.path, reply.unsynced))

    def _show_rest(self, remote: RemoteExecution, name: str, written: int | None) -> None:
        """Show the rest of what an attempt that ended has written to its file; ``None`` if its length is unknown."""
        run = remote.run
        run.tasks.pop(name, None)
        if written != 0:
            for item in run.reader.read(name, written or 0):
                remote.show(item)
        run.reader.forget(name)

    def _worker_lost(
        self, job: Job[RemoteExecution], future: Any, error: BaseException
    ) -> ExecutionResult | None:
        remote = job.execution
        if not remote.count_death():
            message = (
                f"The worker that executed reactor {remote.definition.name!r} died, {counted(remote.deaths, 'time')}: "
                f"killed, out of memory, or a crash in native code ({type(error).__name__}: {error}). With executor=None "
                f"it runs in this process."
            )
            return Failed(WorkerError(message))
        self._pool.replace_workers(future)
        self._queue.put(job, first=True)
        return None

    def _execute_inline(self, job: _Job) -> tuple[_Job, ExecutionResult]:
        """Execute a job that only this process can execute."""
        self._queue.release(job)  # no other job can start before it ends
        if not isinstance(job.execution, RemoteExecution):
            return job, advance_inline(job, job.execution)
        remote = job.execution
        execution = execute_inline(remote.request)
        try:
            outcome: ExecutionResult = execution.execute(remote.given, remote.request.load)
            if isinstance(outcome, Needs):
                outcome = Needs(outcome.names, tuple(execution.given))
        except BaseException as error:  # noqa: BLE001 - a reactor may raise anything
            outcome = Failed(error)
        finally:
            with suppress(Exception):
                execution.tracer.close()
        return job, outcome

    def close(self) -> None:
        """Close the pool."""
        self._pool.close()

    def reset(self) -> None:
        """Stop all jobs at the end of a run."""
        futures = [future for _, future in self._under_way.values()]
        with held_interrupts():
            self._inline_jobs.clear()
            self._queue.clear()
            self._under_way.clear()
            for run in self._runs.values():
                run.close()
            if self._code_pickler is not None:
                self._code_pickler.close()
                self._code_pickler = None  # functions may be redefined before the next run
            self._runs.clear()
            self._warned_of.clear()
        self._pool.stop(futures)


def _is_for_workers(job: _Job) -> TypeGuard[Job[RemoteExecution]]:
    """Return whether workers can execute a job, and not only this process."""
    return isinstance(job.execution, RemoteExecution) and not job.execution.needs_coordinator


def _is_suspicious(job: _Job) -> bool:
    """Return whether a job is suspected of crashing workers."""
    return isinstance(job.execution, RemoteExecution) and job.execution.is_suspicious


def _needs_kernel(request: ExecutionRequest) -> bool:
    """Return whether a reactor uses the notebook kernel, as magics do; only this process has it."""
    return "get_ipython" in request.definition.function.__code__.co_names


def _is_worker_lost(error: BaseException) -> bool:
    """Return whether an error of a pool means that a worker is lost, rather than that the work failed."""
    if isinstance(error, BrokenExecutor | CancelledError):
        return True
    return type(error).__name__ in _WORKER_LOST_ERRORS
