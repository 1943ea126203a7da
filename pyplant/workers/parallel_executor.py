"""Performs reactors side by side, in workers: threads, processes, machines.

A reactor that is ready is packed with what it may need and becomes an *attempt*. The worker
runs it from the beginning, reading and writing the plant itself. If it asks for something
that was not given, the attempt is over; another is made when that is there. Prediction
makes it rare: what a reactor receives whatever happens is brought about before its first
attempt.

A worker that dies costs one attempt. One that dies again and again with the same reactor
is asked to perform it with nobody beside it, so that it is known whose fault it is.
"""

from __future__ import annotations

import itertools
import logging
import os
import queue
import sys
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import BrokenExecutor, CancelledError
from contextlib import nullcontext, suppress
from typing import Any

from pyplant import _streams
from pyplant._formatting import counted
from pyplant._tracer import ExecutionRecord
from pyplant.engine.trace import Dependency, DependencyKind
from pyplant.errors import PlantWarning, WorkerError, warn
from pyplant.execution.executor import ExecutionRequest, ExecutionResult, Failed, Job, Lost
from pyplant.execution.inline import advance_inline, execute_inline
from pyplant.execution.interrupts import held_interrupts
from pyplant.execution.nesting import start_of_processes
from pyplant.execution.reactor_execution import Finished, Load, Needs, ReactorExecution
from pyplant.fingerprint.digest import digest_bytes
from pyplant.fingerprint.origin import followed
from pyplant.ingredient import IN_MEMORY, Ingredient
from pyplant.store.files import unique_name
from pyplant.workers.messages import (
    CONTEXT,
    Done,
    Ended,
    Hidden,
    InputsWanted,
    Interrupted,
    Local,
    MoreInputs,
    Raised,
    RunSettings,
    Said,
    Surroundings,
    TaskReply,
    TaskRequest,
    Unloadable,
    here,
    local,
)
from pyplant.workers.output import Reader, event_of
from pyplant.workers.pickling import CodePickler, dumps, loads
from pyplant.workers.pools import Pool

__all__ = ["ParallelExecutor"]

_DEATHS = {"KilledWorker", "FutureCancelledError", "CommClosedError", "ShutdownExecutorError"}
_TICK = 0.1  # seconds between two looks at what attempts say
_SILENCE = 5.0  # seconds without a reply after which it is asked whether one can come
_AHEAD = 2  # attempts submitted for each worker, so that none waits for the next
_SUSPICIOUS = 2  # deaths with a reactor under way after which it is performed alone
_DEADLY = 3  # deaths of workers who performed it alone


class RemoteError(Exception):
    """The traceback of an error in a worker."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


class RemoteExecution:
    """One execution of a reactor by workers (:class:`~pyplant.execution.executor.ExecutionHandle`)."""

    def __init__(self, part: ExecutionRequest, run: _InFlight) -> None:
        self.run = run
        self.definition = part.definition
        self.part = part
        self.given: dict[str, Ingredient] = {}
        self.modules: dict[str, None] = {}
        self.deaths = 0
        self.deaths_alone = 0
        self._shown: dict[str, str] = {}
        self._heard: dict[str, int] = {}

    @property
    def needs_coordinator(self) -> bool:
        """Whether only this process can perform it: it is given what lies in its memory alone."""
        return any(ingredient.format == IN_MEMORY for ingredient in self.given.values())

    @property
    def is_suspicious(self) -> bool:
        """Whether workers died while they performed it, or something else at the time."""
        return self.deaths >= _SUSPICIOUS

    def deliver(self, ingredient: Ingredient, load: Load) -> None:
        """Give an ingredient along with the next attempt; its value stays where it is."""
        del load
        if ingredient.format != IN_MEMORY:
            self.part.warehouse.formats.trusted_spec(ingredient)
        self.given[ingredient.name] = ingredient

    def received(self, ingredients: tuple[Ingredient, ...]) -> None:
        """The worker notes what the reactor is handed."""

    def close(self) -> None:
        """End it where it stands."""
        if self.part.recording is not None:
            self.part.recording.abandon()

    def begins(self) -> None:
        """Another attempt begins, which says again what the last one said."""
        self._heard.clear()

    def show(self, said: Said) -> None:
        """Show something that an attempt said, unless an earlier one did."""
        kind = said[0]
        if kind not in ("stdout", "stderr", "log"):
            event = event_of(said)
            if event is not None:
                self.part.emit(event)
            return
        text = said[1] if kind != "log" else "\0".join(map(str, said[1:])) + "\n"
        start, shown = self._heard.get(kind, 0), self._shown.get(kind, "")
        self._heard[kind] = start + len(text)
        again = shown[start : start + len(text)]
        if text.startswith(again):
            new = text[len(again) :]
            self._shown[kind] = shown + new
        else:
            new = text
        if new:
            self._speak(kind, new if kind != "log" else said)

    def _speak(self, kind: str, what: Any) -> None:
        recording = self.part.recording
        with recording.step() if recording is not None else nullcontext():
            if kind == "log":
                _, name, level, text = what
                logger = logging.getLogger(name)
                if logger.isEnabledFor(level):
                    logger.log(level, "%s", text, extra={"reactor": self.definition.name})
            else:
                text = what if recording is not None else _attributed(self.definition.name, what)
                _streams.write(getattr(sys, kind), text)


def _attributed(name: str, text: str) -> str:
    """Lines with the name of whose they are: several reactors speak at once."""
    return "".join(f"{name} | {line}" for line in text.splitlines(keepends=True))


class _InFlight:
    """What there is for one run: its folder, and who listens to it.

    Parameters
    ----------
    part
        Any part of the run.
    code_pickler
        Pickles what is sent to workers; ``None`` if they share this process.
    """

    def __init__(self, part: ExecutionRequest, code_pickler: CodePickler | None) -> None:
        warehouse = part.warehouse
        self.path = warehouse.objects.scratch_path()
        self.folder = str(self.path)
        self._process = os.getpid()
        self.reader = Reader(self.path, warehouse.files)
        self._files = warehouse.files
        self._files.make_directory(self.path)
        context = RunSettings(
            str(warehouse.root), part.context.parameters, warehouse.formats.copy_for_workers()
        )
        self.definitions: dict[str, Any] = {}
        local[self.folder] = Local(context, self.definitions)
        self.context = ""
        if code_pickler is None:
            return
        level = logging.getLogger().getEffectiveLevel()
        surroundings = Surroundings(
            os.getcwd(), tuple(sys.path), level, code_pickler.names(), start_of_processes(), followed()
        )
        content = dumps((surroundings, code_pickler.pack(context)))
        self.context = digest_bytes(content)
        stream = self._files.create(self.path / CONTEXT)
        try:
            stream.write(content)
        finally:
            stream.close()

    def close(self) -> None:
        """The run is over; whoever still works for it notices it by this. In a forked process it goes on."""
        if os.getpid() != self._process:
            return
        local.pop(self.folder, None)
        self._files.remove_tree(self.path)


_Job = Job[RemoteExecution] | Job[ReactorExecution]
"""A reactor in a worker, or one that only this process can run."""


class ParallelExecutor:
    """Has reactors performed by the workers of a pool.

    Parameters
    ----------
    pool
        The workers.
    """

    restarts_on_receive = True

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._runs: dict[Any, _InFlight] = {}
        self._code_pickler = None if pool.is_here else CodePickler()
        self._here: deque[_Job] = deque()
        self._waiting: deque[Job[RemoteExecution]] = deque()
        self._under_way: dict[str, tuple[Job[RemoteExecution], Any]] = {}
        self._replies: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._number = itertools.count()
        self._looked = self._replied = 0.0
        self._told: set[str] = set()
        self._were_here = False

    @property
    def capacity(self) -> int:
        """Jobs that may be under way at once."""
        return _AHEAD * self._pool.size

    @property
    def runs_inline(self) -> bool:
        """Whether reactors run in this process."""
        return self._pool.is_here or self._were_here

    def prepare(self, part: ExecutionRequest) -> RemoteExecution | ReactorExecution:
        """A reactor is about to begin."""
        if _needs_kernel(part):
            return execute_inline(part)
        parameters = part.context.parameters
        if parameters not in self._runs:
            if not self._runs:
                self._pool.check(str(part.warehouse.root))
            self._runs[parameters] = _InFlight(part, self._code_pickler)
        return RemoteExecution(part, self._runs[parameters])

    def submit(self, job: _Job) -> None:
        """Begin a job."""
        if not isinstance(job.execution, RemoteExecution) or job.execution.needs_coordinator:
            self._here.append(job)
        else:
            self._waiting.append(job)
            self._send()

    def _send(self) -> None:
        """Submit what may be: who is suspicious gets the pool for itself."""
        while self._waiting:
            alone = self._waiting[0].execution.is_suspicious
            busy = any(job.execution.is_suspicious for job, _ in self._under_way.values())
            if busy or (alone and self._under_way):
                return
            self._request(self._waiting.popleft())

    def _request(self, job: Job[RemoteExecution]) -> None:
        remote = job.execution
        run = remote.run
        name = f"{unique_name(8)}-{next(self._number)}"
        remote.begins()
        run.definitions[name] = remote.definition
        order = TaskRequest(run.folder, run.context, name, b"", (), dict(remote.given), here())
        packed = b""
        if self._code_pickler is not None:
            modules = tuple(map(self._code_pickler.module, remote.modules))
            pickled_reactor = self._code_pickler.definition(remote.definition)
            order = order._replace(reactor=pickled_reactor, modules=modules, code=self._code_pickler.code)
            packed = dumps(order)
        resources = remote.definition.resources
        remote.part.warehouse.flush()  # a worker looks there for the text of code it has none of
        try:
            future = self._pool.submit(order, packed, resources, job.priority)
        except BrokenExecutor:
            self._pool.mend(None)
            future = self._pool.submit(order, packed, resources, job.priority)
        self._under_way[name] = job, future
        future.add_done_callback(lambda _: self._replies.put(name))

    # ------------------------------------------------------------------ what comes back

    def collect(self) -> tuple[_Job, ExecutionResult]:
        """Wait for the outcome of a job."""
        self._replied = time.monotonic()
        while True:
            if self._here:
                return self._execute_inline(self._here.popleft())
            self._send()
            self._listen()
            try:
                name = self._replies.get(timeout=_TICK)
            except queue.Empty:
                self._check_workers()
                continue
            if name not in self._under_way:
                continue  # of a run that is over
            job, future = self._under_way.pop(name)
            outcome = self._conclude(job, name, future)
            if outcome is not None:
                return job, outcome

    def _listen(self) -> None:
        """Show what attempts say meanwhile."""
        now = time.monotonic()
        if now - self._looked < _TICK:
            return
        self._looked = now
        for run in self._runs.values():
            for name, said in list(run.reader.news(self._under_way)):
                self._under_way[name][0].execution.show(said)

    def _check_workers(self) -> None:
        """Nothing came back for some time: say so, once in a run, if nothing can."""
        now = time.monotonic()
        if now - self._replied < _SILENCE:
            return
        self._replied = now
        asked: list[dict[str, Any]] = []  # most need the same, and each question goes to the cluster
        for job, _ in self._under_way.values():
            definition = job.execution.definition
            if definition.resources in asked:
                continue
            asked.append(definition.resources)
            missing = self._pool.lacks(definition.resources)
            if missing and missing not in self._told:
                self._told.add(missing)
                warn(PlantWarning, f"Reactor {definition.name!r} waits to be executed: {missing}.")

    def _conclude(self, job: Job[RemoteExecution], name: str, future: Any) -> ExecutionResult | None:
        """What came of an attempt; ``None`` if another is made."""
        remote = job.execution
        try:
            answer = future.result()
            reply: TaskReply = answer if isinstance(answer, TaskReply) else loads(answer)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever the pool says
            return self._died(job, future, error) if _is_death(error) else Failed(error)
        self._hear(remote, name, reply)
        match reply.outcome:
            case MoreInputs(names, held):
                return Needs(names, held)
            case Done(record, seconds, subreactors):
                sent = self._code_pickler.functions if self._code_pickler is not None else ()
                return _judged(remote.part, record, seconds, [_function(one, sent) for one in subreactors])
            case InputsWanted(module):
                if module in remote.modules:
                    return Failed(_wanted_again(remote.definition.name, module))
                remote.modules[module] = None
                self._waiting.appendleft(job)
                return None
            case Raised(raised, text):
                if not self._pool.is_here:
                    raised.__cause__ = RemoteError(text)
                return Failed(raised)
            case Unloadable(missing, damage):
                held = tuple(remote.given)
                return Lost(remote.given.pop(missing), damage, held)
            case Hidden():
                raise reply.outcome.error(remote.part.warehouse.root)
            case Interrupted():
                return Failed(KeyboardInterrupt())
            case Ended():
                return self._died(job, None, KeyboardInterrupt("the run was over"))
        return None

    def _hear(self, remote: RemoteExecution, name: str, reply: TaskReply) -> None:
        """Take over what an attempt said and noted."""
        run, warehouse = remote.run, remote.part.warehouse
        run.definitions.pop(name, None)
        self._were_here |= reply.was_here
        for said in run.reader.rest(name, reply.written) if reply.written else ():
            remote.show(said)
        run.reader.forget(name)
        for said in reply.said:
            remote.show(said)
        warehouse.ledger.append_pending(reply.journal_lines)
        warehouse.objects.unsynced.update(map(warehouse.objects.path, reply.unsynced))

    def _died(self, job: Job[RemoteExecution], future: Any, error: BaseException) -> ExecutionResult | None:
        remote = job.execution
        remote.deaths_alone += remote.is_suspicious
        remote.deaths += 1
        if remote.deaths_alone >= _DEADLY:
            message = (
                f"The worker that performed reactor {remote.definition.name!r} died, {counted(remote.deaths, 'time')}: "
                f"killed, out of memory, or a crash in native code ({type(error).__name__}: {error}). With executor=None "
                f"it runs in this process."
            )
            return Failed(WorkerError(message))
        self._pool.mend(future)
        self._waiting.appendleft(job)
        return None

    def _execute_inline(self, job: _Job) -> tuple[_Job, ExecutionResult]:
        """Perform a reactor in this process, when no other can."""
        if not isinstance(job.execution, RemoteExecution):
            return job, advance_inline(job, job.execution)
        remote = job.execution
        execution = execute_inline(remote.part)
        try:
            outcome: ExecutionResult = execution.perform(remote.given, remote.part.load)
            if isinstance(outcome, Needs):
                outcome = Needs(outcome.names, tuple(execution.given))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - a reactor may raise anything
            outcome = Failed(error)
        finally:
            with suppress(Exception):
                execution.tracer.close()
        return job, outcome

    def close(self) -> None:
        """The plant is closed."""
        self._pool.close()

    def reset(self) -> None:
        """The run is over: stop what is under way, and forget it."""
        futures = [future for _, future in self._under_way.values()]
        with held_interrupts():
            self._here.clear()
            self._waiting.clear()
            self._under_way.clear()
            for run in self._runs.values():
                run.close()
            if self._runs and self._code_pickler is not None:
                self._code_pickler.close()
                self._code_pickler = CodePickler()
            self._runs.clear()
            self._told.clear()
        self._pool.stop(futures)


def _function(one: Any, sent: Sequence[Any]) -> Any:
    """A function that a worker was sent, by its number, or made itself."""
    return sent[one] if isinstance(one, int) else one


def _judged(
    part: ExecutionRequest, record: ExecutionRecord, seconds: float, subreactors: Sequence[Any]
) -> ExecutionResult:
    """A record with the digests that only the run knows."""
    judged = []
    try:
        for dependency in record.dependencies:
            kind, names, digests = dependency
            if kind is DependencyKind.PARAMETER:
                digests = (part.context.parameter(names[0]) or "",)
            elif kind is DependencyKind.SUBREACTOR:
                digests = (
                    part.context.subreactor_entered(part.definition.function, subreactors[int(digests[0])]),
                )
                if not digests[0]:
                    continue
            judged.append(Dependency(kind, names, digests))
    except Exception as error:  # noqa: BLE001 - such as a parameter without content to compare
        return Failed(error)
    record.dependencies[:] = judged
    if part.recording is not None:
        record.showed = part.recording.finish()
    return Finished(record, seconds)


def _wanted_again(reactor: str, module: str) -> WorkerError:
    message = (
        f"Reactor {reactor!r} asks again for module {module!r}, which was sent to its worker: something takes it out "
        f"of sys.modules there, or puts another in its place. With executor=None it runs in this process."
    )
    return WorkerError(message)


def _needs_kernel(part: ExecutionRequest) -> bool:
    """Whether a reactor talks to the kernel, as magics do."""
    return "get_ipython" in part.definition.function.__code__.co_names


def _is_death(error: BaseException) -> bool:
    """Whether a worker is gone, rather than that something was wrong with the work."""
    if isinstance(error, BrokenExecutor | CancelledError):
        return True
    return type(error).__name__ in _DEATHS
