"""A run: connects the scheduler, which decides, with the executor, which executes, and the warehouse, which stores.

The scheduler (:mod:`pyplant.engine.scheduler`) is pure: it returns actions and is told what happened. A run
turns each action into a :class:`~pyplant.execution.executor.Job` and each result of a job into a message to
the scheduler, and does everything else that has effects:

- events and warnings;
- claims, so that no other process executes the same reactor at the same time (``claims_guard``);
- traces of finished executions (``trace_writer``), and leases, which protect results that the run uses from
  eviction;
- damaged values: a value that cannot be loaded is reported to the scheduler as lost, and its sender runs
  again. A value that cannot be loaded twice in one run is an error, since recomputing does not help.

:mod:`pyplant.execution.loop` drives one or several runs. It calls :meth:`Run.next_job`, submits the job, and
calls :meth:`Run.conclude` with its result, until :meth:`Run.is_over`.
"""

from __future__ import annotations

import heapq
import itertools
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from pyplant._definitions import Definition
from pyplant._formatting import error_text
from pyplant._tracer import ExecutionRecord
from pyplant.config.classes import private_copy
from pyplant.engine.actions import Action, Resume, Start
from pyplant.engine.scheduler import Scheduler
from pyplant.engine.task import State, Task
from pyplant.engine.trace import Note, Trace
from pyplant.engine.verdict import Reason, ReasonKind
from pyplant.errors import (
    DamagedError,
    DamageWarning,
    EvictedError,
    OpaqueWarning,
    PlantWarning,
    ResourcesError,
    ReturnedWarning,
    UntrustedError,
    add_note,
    dropped_result_message,
    opaque_message,
    reactor_exit_error,
)
from pyplant.events import (
    Event,
    IngredientReceived,
    ReactorCached,
    ReactorFailed,
    ReactorFinished,
    ReactorResumed,
    ReactorStarted,
    ReactorWaiting,
)
from pyplant.execution import frontend
from pyplant.execution.claims_guard import ClaimsGuard
from pyplant.execution.context import RunContext
from pyplant.execution.coroutines import needs_own_loop
from pyplant.execution.executor import (
    ExecutionHandle,
    ExecutionRequest,
    ExecutionResult,
    Executor,
    Failed,
    Job,
    Lost,
)
from pyplant.execution.interrupts import close_all, held_interrupts
from pyplant.execution.reactor_execution import Finished, Needs
from pyplant.execution.side_effects import SideEffects
from pyplant.execution.trace_writer import TraceWriter
from pyplant.fingerprint.fingerprint import Fingerprint
from pyplant.ingredient import IN_MEMORY, Ingredient
from pyplant.store.warehouse import Warehouse

__all__ = ["Run"]


class Run:
    """Brings the demanded reactors and ingredients up to date, under one configuration.

    Parameters
    ----------
    context
        Answers questions about reactors and parameters.
    warehouse
        Stores values and traces.
    executor
        Executes reactors.
    emit
        Called with each event.
    warn
        Called with the class and text of each warning.
    keep_going
        Whether to continue, after a failure, with what does not depend on it.

    Attributes
    ----------
    errors
        What reactors raised, by key.
    ended
        The keys of reactors that were found cached, finished or failed, in this order.
    """

    def __init__(
        self,
        context: RunContext,
        warehouse: Warehouse,
        executor: Executor[Any],
        emit: Callable[[Event], None],
        warn: Callable[[type[PlantWarning], str], None],
        *,
        keep_going: bool = False,
    ) -> None:
        self._scheduler = Scheduler(context, keep_going=keep_going)
        self.errors: dict[str, BaseException] = {}
        self.ended: dict[str, None] = {}
        self.context = context
        self._warehouse = warehouse
        self._executor = executor
        self._emit = emit
        self._warn = warn
        self._keep_going = keep_going
        self._executions: dict[str, ExecutionHandle] = {}
        self._actions: list[tuple[float, int, Action]] = []  # a heap, if reactors run in parallel
        self._fingerprints: dict[str, Fingerprint] = {}  # of the code when its execution began
        self._in_memory: dict[str, Any] = {}  # values that could not be stored, by name
        self._reported: set[str] = set()
        self._recomputed: set[str] = set()  # ingredients whose stored value could not be loaded
        self._front_end = frontend.current()
        self._writer = TraceWriter(context, warehouse, warn)
        self._side_effects = SideEffects(context)
        self._claims_guard = ClaimsGuard(context, warehouse, self._scheduler, emit, warn)
        self._sequence = itertools.count()  # breaks ties in the heap: first come, first served
        self._evicted: list[str] = []  # keys of reactors whose results were evicted after the look-up
        self._warned_of: set[str] = set()  # variables that count by their class
        self._announced: set[str] = set()  # keys of reactors whose start was reported
        self._process = os.getpid()  # a forked child must not end the run

    def demand(self, target: Definition | None, names: Iterable[str], *, force: bool = False) -> None:
        """Demand a reactor and ingredients.

        Raises
        ------
        pyplant.errors.RunError
            If an ingredient has no sender, or more than one.
        """
        if target is not None:
            self._scheduler.demand_reactor(
                target.key, Reason(ReasonKind.FORCED, target.name) if force else None
            )
        self._scheduler.demand_names(names)

    @property
    def tasks(self) -> Mapping[str, Task]:
        """The reactors that the run has considered, with their states, by key."""
        return self._scheduler.tasks

    @property
    def available(self) -> Mapping[str, Ingredient]:
        """The ingredients that are up to date, by name."""
        return self._scheduler.available

    def senders(self) -> dict[str, str]:
        """Return the key of the sender of each available ingredient."""
        found = ((name, self._scheduler.sender(name)) for name in self.available)
        return {name: key for name, key in found if key is not None}

    # ------------------------------------------------------------------ for the loop

    def is_over(self) -> bool:
        """Return whether the run has ended; only meaningful when no job is ready or under way."""
        # With keep_going, a reactor that waits for another process is executed even after a failure.
        is_over = not self._claims_guard.is_blocked() and (self._scheduler.is_done() or bool(self.errors))
        if is_over:
            self._report_deferred_failures()
        return is_over

    def is_blocked(self) -> bool:
        """Return whether it waits for another process that executes a reactor it needs."""
        return self._claims_guard.is_blocked()

    def wait(self) -> None:
        """Wait for another process."""
        self._report_cached()  # releases claims that other processes may wait for
        self._claims_guard.wait()

    def identity(self, job: Job[ExecutionHandle]) -> str:
        """Identify an execution by its code, inputs and parameters: equal ones give the same result."""
        # What it will ask for is not known, so this is a guess: executions that are taken for different ones run twice,
        # and one that is taken for equal and is not finds no trace when the other has ended, and runs then.
        key = job.task.key
        given = [f"{name}={ingredient.digest}" for name, ingredient in sorted(job.execution.given.items())]
        read = self.context.digests(sorted(self.context.probably_reads(key)))
        return "\0".join([self._fingerprints[key].digest, *given, "", *read])

    def announce(self, job: Job[ExecutionHandle]) -> None:
        """Emit the events of a job that is about to be submitted."""
        name = job.execution.definition.name
        if job.task.key not in self._announced:
            self._announced.add(job.task.key)
            self._emit(ReactorStarted(name, job.task.reasons))
        elif job.received:
            self._emit(ReactorResumed(name))
        for ingredient in job.received:
            self._emit(IngredientReceived(name, ingredient))

    def defer(self, job: Job[ExecutionHandle]) -> None:
        """Wait for another run of this sweep that executes the same."""
        self._close_execution(job)
        self._claims_guard.release(job.task.key)
        self._scheduler.blocked(job.task)

    def check_again(self, task: Task) -> None:
        """Look up a stored execution again, since another run has ended one."""
        self._claims_guard.check_again(task)

    def refuse_stalled(self) -> None:
        """Raise the error for reactors that wait for one another."""
        self._scheduler.stalled()

    def close(self) -> None:
        """End the run, also after an error. Do nothing in a forked child: the run belongs to the parent."""
        if os.getpid() != self._process:
            return
        try:
            self._report_cached()
            self._writer.close()
            close_all(self._executions.values(), self._warn)
        finally:
            # A run that executed nothing has nothing to end, and to hold interrupts takes a tenth of it.
            if self._executions or self._front_end is not None or self._claims_guard.holds_claims():
                with held_interrupts():
                    self._executions.clear()
                    self._actions.clear()
                    if self._front_end is not None:
                        self._front_end.run_ended()
                    self._claims_guard.release_all()

    # ------------------------------------------------------------------ actions

    def next_job(self) -> Job[ExecutionHandle] | None:
        """Return the next job; ``None`` if no reactor can start or continue now."""
        while (action := self._next_action()) is not None:
            job = self._start(action.task) if isinstance(action, Start) else self._resume(action)
            if job is not None:
                return job
        self._count_failures()
        return None

    def _next_action(self) -> Action | None:
        """Return the next action: depth first if one job runs at a time, otherwise by the critical path."""
        # In parallel, starting the longest remaining path first keeps all workers busy until the end.
        if self._executor.capacity == 1:
            return self._scheduler.next()
        while (action := self._scheduler.next()) is not None:
            priority = self.context.remaining_seconds(action.task.key)
            heapq.heappush(self._actions, (-priority, next(self._sequence), action))
        return heapq.heappop(self._actions)[2] if self._actions else None

    def _start(self, task: Task) -> Job[ExecutionHandle] | None:
        # Events are reported in the order in which reactors ended, so found ones come before this start.
        self._report_cached()
        definition = self.context.definitions[task.key]
        self.context.refuse_ingredient_as_parameter(task.key)
        if definition.cache and not self._claims_guard.may_start(task):
            return None
        try:
            self._executor.check(definition)
        except ResourcesError as error:
            self._refuse(task, error)
            return None
        # Taken before the reactor runs: the trace must name the code that ran, and the reactor may change it.
        self._fingerprints[task.key] = fingerprint = self.context.fingerprint(task.key)
        self._writer.started(task.key)
        self._warn_of_opaque(task.key, fingerprint.notes)
        front_end = self._front_end
        recording = None if front_end is None else front_end.record(definition, is_target=task.is_target)
        request = ExecutionRequest(
            definition,
            self.context,
            self.context.fingerprinter,
            self._warehouse,
            self._emit,
            recording,
            self.load,
        )
        execution = self._executions[task.key] = self._executor.prepare(request)
        prefetched = tuple(self.context.prefetchable(task.key))
        # Known inputs are requested before the first attempt, since a later request would repeat the attempt.
        if prefetched:
            self._scheduler.suspended(task, prefetched)
            return None
        return self._job(task, execution)

    def _resume(self, action: Resume) -> Job[ExecutionHandle] | None:
        self._report_cached()
        task, execution = action.task, self._executions[action.task.key]
        values: list[Any] = []
        for ingredient in action.ingredients:
            try:
                values.append(execution.deliver(ingredient, self.load))
            except DamagedError as error:
                self._expect_recomputation(ingredient, error)
                self._scheduler.inputs_lost(task, [ingredient.name])
                return None
        # Recorded only when all are loaded: after a loss the others may be made again as well, with other digests.
        execution.received(action.ingredients)
        job = self._job(task, execution, values)
        job.received = task.awaited  # for the events, which name what the reactor asked for
        return job

    def _job(
        self, task: Task, execution: ExecutionHandle, values: Sequence[Any] = ()
    ) -> Job[ExecutionHandle]:
        job = Job(task, execution, values)
        if self._executor.restarts_on_receive:
            self._deliver_predicted(task, execution)
            job.priority = self.context.remaining_seconds(task.key)
        return job

    def _deliver_predicted(self, task: Task, execution: ExecutionHandle) -> None:
        """Give all available ingredients that its code may receive: each missing one costs a restart."""
        for name in self.context.predicted[task.key].receives:
            ingredient = self._scheduler.available.get(name)
            if ingredient is not None:
                with suppress(DamagedError):  # it is recomputed if the reactor asks for it
                    execution.deliver(ingredient, self.load)

    def _mark_ended(self, key: str) -> None:
        """Record that a reactor has ended; it moves to the end if it ended before."""
        self.ended.pop(key, None)
        self.ended[key] = None

    def current_traces(self) -> dict[str, Trace]:
        """Return the stored executions that this run verified or made, by the present name of their reactor."""
        return {
            self.context.definitions[task.key].full_name: task.trace
            for task in self._scheduler.tasks.values()
            # Number 0: the trace could not be stored, so the journal cannot refer to it.
            if task.trace is not None and task.trace.number and task.state in (State.CACHED, State.DONE)
        }

    def recheck_evicted(self) -> bool:
        """Verify reactors again whose executions another process evicted meanwhile; returns whether there are any."""
        lost, self._evicted = self._evicted, []
        for key in lost:
            self._scheduler.recheck(key)
        return bool(lost)

    def values(self, names: Iterable[str], again: Callable[[], None]) -> list[Any]:
        """Return the values of demanded ingredients; ``again`` runs to completion to recompute lost ones.

        The list is incomplete if a reactor fails meanwhile and the run keeps going.
        """
        values: list[Any] = []
        for name in names:
            while True:
                ingredient = self._scheduler.available[name]
                try:
                    values.append(self.load(ingredient))
                    break
                except DamagedError as error:
                    self._expect_recomputation(ingredient, error)
                    self._scheduler.value_lost(name)
                    again()
                    if self.errors:
                        return values
        return values

    def load(self, ingredient: Ingredient) -> Any:
        """Return the value of an ingredient of this run, as a private copy."""
        if ingredient.format == IN_MEMORY:
            return private_copy(self._in_memory[ingredient.name])
        return self._warehouse.load(ingredient)

    def _expect_recomputation(self, ingredient: Ingredient, error: DamagedError) -> None:
        """Note that a value is recomputed because it cannot be loaded; raise if this happens a second time."""
        if ingredient.name in self._recomputed:
            raise error
        self._recomputed.add(ingredient.name)
        if not isinstance(error, EvictedError | UntrustedError):
            self._warn(DamageWarning, f"{error} It is computed again.")

    # ------------------------------------------------------------------ results

    def conclude(self, job: Job[ExecutionHandle], outcome: ExecutionResult) -> None:
        """Process the result of a job."""
        # A reactor in this process may have changed global variables, so their digests are computed again.
        if self._executor.runs_inline:
            self.context.fingerprinter.invalidate_values()
        name = job.execution.definition.name
        match outcome:
            case Needs(names, held):
                self._emit(ReactorWaiting(name, names))
                self._scheduler.suspended(job.task, held + names)
            case Lost(ingredient, error, held):
                self._expect_recomputation(ingredient, error)
                # The reactor starts again when its lost input and all others that it had are available.
                self._scheduler.value_lost(ingredient.name)
                self._scheduler.suspended(job.task, held)
            case Finished(record, seconds):
                self._finish(job, record, seconds)
            case Failed(error):
                self._fail(job, error)
        self._count_failures()

    def _fail(self, job: Job[ExecutionHandle], error: BaseException) -> None:
        name = job.execution.definition.name
        if isinstance(error, SystemExit):
            error = reactor_exit_error(name, error)  # it would end a script as if it had succeeded
        self._close_execution(job)
        self._emit(ReactorFailed(name, error))
        self._claims_guard.release(job.task.key)
        self._mark_ended(job.task.key)
        add_note(error, f"Raised by reactor {name!r} ({job.execution.definition.place}).")
        if needs_own_loop(error):
            add_note(error, "Write in the reactor instead: value = yield pipe.run(coroutine)")
        # An interrupt ends the run also with keep_going, and also in a guess: the user wants to stop.
        if isinstance(error, KeyboardInterrupt):
            self.errors[job.task.key] = error
            raise error
        self._scheduler.failed(job.task, error)

    def _end_without_job(self, key: str, error: BaseException) -> None:
        """Report a reactor that failed before its first step, or while it waited."""
        self._emit(ReactorFailed(self.context.definitions[key].name, error))
        self._claims_guard.release(key)
        self._mark_ended(key)

    def _refuse(self, task: Task, error: ResourcesError) -> None:
        """Fail a reactor that can never be executed, before anything runs for it."""
        self._end_without_job(task.key, error)
        self._scheduler.failed(task, error)
        self._count_failures()

    def _count_failures(self) -> None:
        """Raise or note new failures. Failed guesses do not count unless the run turns out to need them."""
        for key, error in self._scheduler.take_failures():
            self.errors[key] = error
            if not self._keep_going:
                raise error
            if key in self.tasks and key not in self.ended:  # it waited for what does not come
                self._end_without_job(key, error)

    def _report_deferred_failures(self) -> None:
        for key, error in self._scheduler.deferred_failures.items():
            if key not in self._reported:
                self._reported.add(key)
                self._warn(
                    PlantWarning,
                    f"Reactor {self.context.definitions[key].name!r} was run because it may send what was asked for, "
                    f"and failed; nothing turned out to need it. {error_text(error)}",
                )

    def _close_execution(self, job: Job[ExecutionHandle]) -> None:
        self._announced.discard(job.task.key)
        self._executions.pop(job.task.key, None)
        job.execution.close()
        self.context.forget_outside()

    def _finish(self, job: Job[ExecutionHandle], record: ExecutionRecord, seconds: float) -> None:
        definition = job.execution.definition
        if record.returned:
            self._warn(ReturnedWarning, dropped_result_message(definition.name, record.returned))
        for name in record.unsent:
            self._warn(PlantWarning, f"Reactor {definition.name!r} allocated {name!r} and never sent it.")
        self._close_execution(job)
        for name, unsaved in record.unsaved.items():
            self._in_memory[name] = unsaved.value
        fingerprint = self._fingerprints[job.task.key]
        record.notes |= self._side_effects.finished(job.task.key, record)
        trace = self._writer.trace(definition, fingerprint, record, seconds)
        stored = self._writer.commit(job.task.key, fingerprint, record, trace)
        nondeterministic = self._scheduler.nondeterministic.copy()
        # Released after the commit, so that a process that waits for the claim finds the trace.
        self._claims_guard.release(job.task.key)
        self._mark_ended(job.task.key)
        # A trace that is not stored has outputs all the same, which the receivers in this run get.
        self._scheduler.finished(job.task, stored or trace)
        for key in self._side_effects.outdated_readers(record, self._scheduler.tasks.values()):
            self._scheduler.recheck(key)
        self._emit(ReactorFinished(definition.name, seconds, stored is not None))
        for key in self._scheduler.nondeterministic - nondeterministic:
            self._writer.note_nondeterminism(key)

    # ------------------------------------------------------------------ reporting

    def _report_cached(self) -> None:
        cached = self._scheduler.take_newly_cached()
        if not cached:
            return
        # The lease protects found results from eviction by other processes while this plant is open. A result
        # that was evicted between the look-up and the lease is lost; its reactor is verified again.
        found = [task.trace for task in cached if task.trace is not None]
        lost = {trace.rank for trace in self._warehouse.lease(found, self.context.configuration_tag)}
        for task in cached:
            self._claims_guard.release(task.key)
            if task.trace is not None and task.trace.rank in lost:
                self._evicted.append(task.key)
            # A task may become cached twice, if a value that its verdict rested on was lost and made again.
            elif task.trace is not None and task.key not in self._reported:
                self._reported.add(task.key)
                self._mark_ended(task.key)
                self._emit(ReactorCached(self.context.definitions[task.key].name, task.trace.seconds))

    def _warn_of_opaque(self, key: str, notes: frozenset[Note]) -> None:
        definition = self.context.definitions[key]
        for note in sorted(notes, key=lambda note: note.text):
            if note.kind == "opaque":
                place = self.context.fingerprinter.place_of(definition.function, note)
                if (place or note.text) not in self._warned_of:
                    self._warned_of.add(place or note.text)
                    self._warn(OpaqueWarning, opaque_message(place, note.text, definition.name))
