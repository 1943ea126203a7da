"""The session of a plant: the state that lasts from one run to the next, and how a run is executed.

:class:`~pyplant.plant.Plant` is the public interface; it passes calls on to its session.

A run goes through these steps in :meth:`Session.run`:

1. :meth:`Session.context` reads what other processes wrote to the plant, collects the present
   definitions, and creates a new context with a snapshot of the configuration;
2. one :class:`~pyplant.execution.run.Run` is created for each configuration;
3. :mod:`pyplant.execution.loop` drives all of them, again if another process evicted a result meanwhile;
4. values are loaded, the journal is flushed, listeners get the report, and old history is removed.

One thread at a time uses a plant; others wait (:meth:`Session.exclusive_access`). A thread that works for a
reactor of the current run would wait for itself and gets an error.
"""

from __future__ import annotations

import gc
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from pyplant._definitions import Definition, orphans, withdraw
from pyplant._missing import MISSING
from pyplant.config.classes import ConfigBase
from pyplant.config.parameters import Parameters
from pyplant.config.views import is_value
from pyplant.engine.task import BUSY, NOT_BEGUN, State, Task
from pyplant.errors import (
    DamagedError,
    NestedRunError,
    PlantDirError,
    UnknownParameterWarning,
    logger,
    unknown_mark_message,
    warns_once,
)
from pyplant.events import Dispatcher, RunFinished, RunStarted
from pyplant.execution import frontend
from pyplant.execution.context import RunContext
from pyplant.execution.executor import Executor
from pyplant.execution.failures import Failure, failure_of
from pyplant.execution.interrupts import held_interrupts
from pyplant.execution.loop import run_to_completion
from pyplant.execution.nesting import (
    is_inside_reactor,
    module_imported_at_start,
    script_imported_for_definitions,
)
from pyplant.execution.registry import Registry
from pyplant.execution.run import Run
from pyplant.execution.tracebacks import without_inner_frames
from pyplant.fingerprint.fingerprint import Fingerprinter
from pyplant.fingerprint.gc_pause import gc_paused
from pyplant.fingerprint.origin import begin_generation, defining_packages, follow_packages
from pyplant.fingerprint.reactor_packages import follow_used_packages
from pyplant.reads.recorder import Tracking
from pyplant.specs.recorded import RecordedSpec
from pyplant.store.warehouse import Warehouse

if TYPE_CHECKING:
    from pyplant.engine.trace import Trace
    from pyplant.ingredient import Ingredient
    from pyplant.reports.report import RunReport
    from pyplant.store.retention import CollectionReport

__all__ = ["RunOutcome", "RunResult", "Session"]


class RunResult(NamedTuple):
    """The result of a run under one configuration.

    Attributes
    ----------
    values, ingredients
        Of the requested names; empty if a reactor failed.
    tasks
        The states of the reactors, by key.
    errors
        What reactors raised, by key.
    """

    values: dict[str, Any]
    ingredients: dict[str, Ingredient]
    tasks: Mapping[str, Task]
    errors: Mapping[str, BaseException]

    def cached(self, key: str) -> Trace | None:
        """Return the stored execution of a reactor if the run found it up to date, else ``None``."""
        task = self.tasks[key]
        return task.trace if task.state is State.CACHED else None


class RunOutcome(NamedTuple):
    """A result for each configuration, and a function that returns the report."""

    results: list[RunResult]
    report: Callable[[], RunReport]


class Session:
    """The state of an open plant.

    Parameters
    ----------
    warehouse, parameters, registry, fingerprinter, executor
        The parts that runs use.
    listeners
        Receive events.
    function_hash
        Replaces the fingerprint of a reactor's code.
    max_size
        Bytes of history to keep.
    track_reads
        What happens with reads that reactors do not declare.
    claim_timeout
        Seconds to wait for another process that executes a reactor.
    """

    def __init__(
        self,
        warehouse: Warehouse,
        parameters: Parameters,
        registry: Registry,
        fingerprinter: Fingerprinter,
        executor: Executor[Any],
        listeners: Dispatcher,
        function_hash: Callable[[Callable[..., Any]], str] | None,
        max_size: int,
        track_reads: Tracking,
        claim_timeout: float | None = None,
    ) -> None:
        self.lock = threading.RLock()  # held by the thread that uses the plant
        self.runs: Sequence[Run] = ()  # of the run that is under way
        self._collects = True  # whether the garbage collector was enabled before the run
        self.failed: dict[str, Failure] = {}  # of reactors that have not succeeded since
        self.reused: Counter[str] = Counter()  # how often results were found, by key of the reactor
        self.warehouse = warehouse
        self.parameters = parameters
        self.registry = registry
        self._fingerprinter = fingerprinter
        self._executor = executor
        self._listeners = listeners
        self._function_hash = function_hash
        self._max_size = max_size
        self._track_reads = track_reads
        self._claim_timeout = claim_timeout
        self._warn = warns_once()
        self._marks_checked = -1  # the number of marks at the last check
        self._next_collection = -1  # bytes that were written; -1 makes the first run check the history

    def close(self, close_warehouse: Callable[[], Any]) -> None:
        """Close the warehouse and end the workers."""
        try:
            with held_interrupts():
                close_warehouse()
        finally:
            self._executor.close()

    # ------------------------------------------------------------------ runs

    def run(
        self,
        target: Definition | None = None,
        names: tuple[str, ...] = (),
        *,
        variants: Sequence[Parameters] | None = None,
        force: bool = False,
        keep_going: bool = False,
    ) -> RunOutcome:
        """Bring a reactor and ingredients up to date.

        Parameters
        ----------
        target
            The reactor, if one is requested.
        names
            The ingredients whose values are requested.
        variants
            Configurations to run under, in parallel if the executor can; by default the present one.
        force
            Whether the target runs even if it is up to date.
        keep_going
            After a failure, whether to continue with what does not depend on it.

        Raises
        ------
        Exception
            What a reactor raises, unless ``keep_going``.
        """
        results: list[RunResult] = []
        asked_for = names if target is None else (target.name,)
        self._collects = gc.isenabled()  # the setting with which reactors run
        with gc_paused(enabled=False):
            context = self.context(target)
            self._check_marks(context)
            contexts = [context] if variants is None else map(context.variant, variants)
            runs = [self._run(one, keep_going=keep_going) for one in contexts]

            def work() -> None:
                for run in runs:
                    run.demand(target, names, force=force)
                self._run_to_completion(*runs)
                results.extend(self._result(run, names) for run in runs)

            # Values are loaded inside work(), since a lost one needs the run to make it again.
            return RunOutcome(results, self._execute(runs, asked_for, work))

    def _result(self, run: Run, names: tuple[str, ...]) -> RunResult:
        values: dict[str, Any] = {}
        ingredients: dict[str, Ingredient] = {}
        loaded = [] if run.errors else run.values(names, partial(self._run_to_completion, run))
        if not run.errors:  # a lost value may have been computed again in vain
            values = dict(zip(names, loaded, strict=True))
            ingredients = {name: run.available[name] for name in names}
        return RunResult(values, ingredients, run.tasks, run.errors)

    def _run_to_completion(self, *runs: Run) -> None:
        run_to_completion(runs, self._executor, collects=self._collects)
        # A list, not any(): each run must recheck its reactors.
        while [run for run in runs if run.recheck_evicted()]:
            run_to_completion(runs, self._executor, collects=self._collects)

    def sent_by_others(self, key: str) -> frozenset[str]:
        """Return the ingredients that the code of other reactors sends."""
        predicted = self.context().predicted
        return frozenset(
            name for other, expected in predicted.items() if other != key for name in expected.sends
        )

    def definitions(self) -> dict[str, Definition]:
        """Return the reactors by key, in order of definition."""
        return self.registry.current()

    def last(self, definition: Definition) -> Trace | None:
        """Return the newest stored execution of a reactor, with any code."""
        return self.warehouse.ledger.last(definition.full_name)

    def collect(self, unused_for: float | None) -> CollectionReport:
        """Remove leftovers, and history that is too large or was not used for so many seconds."""
        from pyplant.store.retention import collect

        with self.exclusive_access("plant.gc"):
            self.context()
            return collect(
                self.warehouse, self._max_size, verifying=self.verified_traces, unused_for=unused_for
            )

    def reads(self) -> frozenset[str]:
        """Return the parameters that the code of reactors names, and those that their last executions read."""
        return _reads(self.context())

    def refuse_inside(self, call: str) -> None:
        """Raise an error if a call would start a run inside a run."""
        if is_inside_reactor():
            raise NestedRunError(_nested(call))
        if (file := module_imported_at_start()) is not None:
            message = (
                f"{call} was called while {file} is imported by a process that is being started, which needs the "
                f"functions of that module. Put the code that runs the plant below: if __name__ == '__main__':"
            )
            raise NestedRunError(message)
        if (file := script_imported_for_definitions()) is not None:
            message = (
                f"{call} was called while {file} is imported for its reactors. Put the code that runs them below: "
                f"if __name__ == '__main__':"
            )
            raise NestedRunError(message)
        # The lock is reentrant, so in the middle of a run only the thread of the run acquires it at once.
        if self.runs and self.lock.acquire(blocking=False):
            self.lock.release()
            message = f"{call} was called by a listener of the run that is under way; call it after the run."
            raise NestedRunError(message)

    def config(self) -> dict[str, Any] | ConfigBase:
        """Return the configuration; an error inside a reactor, since its result would not depend on what it reads."""
        if self._is_reactor_asking():
            message = (
                "plant.config was read inside a reactor. A reactor has its own: def reactor(pipe, config)."
            )
            raise NestedRunError(message)
        return self.parameters.source

    def refuse_unrecorded_read(self, call: str) -> None:
        """Raise an error if a reactor of a run of this plant reads from the plant what no trace would record."""
        if self._is_reactor_asking():
            raise NestedRunError(_nested(call))

    def _is_reactor_asking(self) -> bool:
        """Return whether a reactor of this plant makes the call, and no listener that it triggered."""
        return bool(self.runs) and is_inside_reactor() and not self._listeners.is_emitting

    def exclusive_access(self, call: str) -> AbstractContextManager[Any]:
        """Return a context manager that waits until no other thread uses the plant, and keeps others out.

        Raises
        ------
        pyplant.errors.NestedRunError
            If the other thread does a run, and this thread works for one of its reactors.
        """
        # The caller enters the lock afterwards and may have to wait. Only a thread that works for a reactor of the run
        # would never get it.
        if self.lock.acquire(blocking=False):
            self.lock.release()
        elif is_inside_reactor():
            raise NestedRunError(_nested(call))  # waiting would be a deadlock
        return self.lock

    def replay(self, trace: Trace, heading: str = "") -> bool:
        """Show in the notebook the recorded output of an execution; returns whether that was possible.

        The heading is shown if the cell shows output of other reactors above it.
        """
        front_end = frontend.current()
        if front_end is None or trace.recorded is None:
            return False
        if not trace.recorded.signed and trace.recorded.format != RecordedSpec.name:
            return False  # HTML of another user; in its own format the warehouse refuses it
        try:
            recorded = self.warehouse.load(trace.recorded)
        except DamagedError as error:
            logger().warning("The output of %r cannot be shown again: %s", trace.reactor, error)
            return False
        front_end.replay(recorded, heading)
        return True

    # ------------------------------------------------------------------ one run

    def context(self, target: Definition | None = None) -> RunContext:
        """Return a new context, with the present state of the plant, the code and the configuration.

        Raises
        ------
        pyplant.errors.PlantDirError
            If the plant was closed.
        """
        directory = self.warehouse.root
        if self.warehouse.is_closed:
            message = f"The plant in {directory} is closed; open it again with Plant({str(directory)!r})."
            raise PlantDirError(message)
        with gc_paused(enabled=False):
            self.warehouse.ledger.refresh()
        # First it is decided which packages are followed: fingerprints that are computed before would lack their code.
        follow_packages(self.warehouse.ledger.followed)
        definitions = self.registry.current()
        follow_used_packages({definition.module for definition in definitions.values()})
        # Code and values are read again in each run: cells, modules and globals change between runs.
        begin_generation()
        self._fingerprinter.begin_generation()
        self.warehouse.ledger.add_followed(defining_packages())
        self._fingerprinter.add_state(self.warehouse.ledger.state)
        if target is not None:
            definitions[target.key] = target
        context = RunContext(
            definitions,
            self.warehouse,
            self._fingerprinter,
            self.parameters.snapshot(),
            self._function_hash,
            is_parallel=self._executor.restarts_on_receive,
            track_reads=self._track_reads,
            claim_timeout=self._claim_timeout,
        )
        # A cell that was edited or deleted may leave a reactor behind whose outputs another one sends now.
        replaced = context.replaced(orphans) if orphans else []
        for orphan in replaced:
            withdraw(orphan)
        # This ends, since a definition that is withdrawn is no orphan any more.
        return self.context(target) if replaced else context

    def verified_traces(self) -> list[Trace]:
        """Return the stored executions that are up to date now, without running anything."""
        from pyplant.execution.staleness import Staleness

        staleness = Staleness.of_all(self.context())
        return [verdict.trace for verdict in staleness.verdicts.values() if verdict.trace is not None]

    def _check_marks(self, context: RunContext) -> None:
        """Warn of marks on unknown parameters; checked in the first run, and after new marks."""
        number = self.parameters.mark_count
        if self._marks_checked == number:
            return
        self._marks_checked = number
        reads: frozenset[str] | None = None
        for name in context.parameters.marks():
            if context.parameters.value(name) is MISSING:
                reads = _reads(context) if reads is None else reads
                if name not in reads:
                    self._warn(
                        UnknownParameterWarning, unknown_mark_message(name, context.parameters.known(reads))
                    )

    def _run(self, context: RunContext, *, keep_going: bool) -> Run:
        return Run(
            context, self.warehouse, self._executor, self._listeners.emit, self._warn, keep_going=keep_going
        )

    def states(self) -> dict[str, State]:
        """Return the states of the reactors in the current run, by key; any thread may ask."""
        found: dict[str, State] = {}
        # The runs of a sweep share reactors: a state that says that one is being executed is the one to show.
        for run in reversed(self.runs):
            tasks = list(run.tasks.items())  # a copy, since the run adds tasks
            found.update((key, task.state) for key, task in tasks if found.get(key) not in BUSY)
        return found

    def not_begun(self) -> set[str]:
        """Return the keys of the reactors that the current run has requested, and that have not begun or wait."""
        return {key for key, state in self.states().items() if state in NOT_BEGUN}

    def _execute(
        self, runs: Sequence[Run], targets: tuple[str, ...], work: Callable[[], None]
    ) -> Callable[[], RunReport]:
        """Execute ``work`` as a run; returns a function for its report, which is rarely needed and slow to build."""
        self.runs = runs
        began = time.perf_counter()
        self.warehouse.claims.forget_full_disk()
        self.warehouse.leases.forget_full_disk()
        self._listeners.emit(RunStarted(targets))
        try:
            work()
        except BaseException as error:
            if (front_end := frontend.current()) is not None:
                front_end.failed(error)
            # A script shows the traceback as it is: the user's lines, and of PyPlant only the call.
            # By the base class: an exception class of the user may be frozen.
            BaseException.with_traceback(error, without_inner_frames(error))
            raise
        finally:
            self.runs = ()  # before RunFinished, since its listeners may start a run
            used: dict[str, Trace] = {}
            for run in runs:
                for key, failure in run.errors.items():
                    # An ingredient that was asked for did not run, and what the user stopped did not fail.
                    if key not in run.tasks or (type(failure) is KeyboardInterrupt and not failure.args):
                        continue
                    self.failed[key] = failure_of(
                        failure, self.failed.get(key), run.context.fingerprint(key).digest
                    )
                for key in run.ended.keys() - run.errors.keys():
                    self.failed.pop(key, None)
                    self.reused[key] += run.tasks[key].state is State.CACHED
                used.update(run.current_traces())
            # Also after an error: finished results are stored and must not be evicted as history.
            self.warehouse.ledger.note_used(used)
            self.warehouse.flush()
            self.warehouse.objects.clear_scratch()
            seconds = time.perf_counter() - began
            report = _report(runs, targets, seconds) if self._listeners.needs_report else None
            self._listeners.emit(RunFinished(report))
        # After the report, since it may take long. Not after an error: the user wants to see the error first.
        self._bound_history()
        return lambda: _report(runs, targets, seconds) if report is None else report

    def _bound_history(self) -> None:
        """Remove old history: after the first run, then whenever a hundredth of ``max_size`` was added."""
        if self.warehouse.bytes_added > self._next_collection or self.warehouse.leftovers.are_found:
            from pyplant.store.retention import collect

            stored = 0
            try:
                done = collect(
                    self.warehouse, self._max_size, only_if_needed=True, verifying=self.verified_traces
                )
                # Where all is in use, trying again soon would be in vain.
                stored = 0 if done.results else done.stored
            except Exception as error:  # noqa: BLE001 - verifying reads code and configuration, which may be broken by now
                logger().warning("Old results in %s were not removed: %s", self.warehouse.root, error)
            # Also after a failure: to try again after each run would cost as much each time.
            self._next_collection = self.warehouse.bytes_added + max(self._max_size // 100, stored // 20)


def _nested(call: str) -> str:
    return (
        f"{call} was called inside a reactor, or by a thread that works for one. A reactor receives what it needs: "
        f"x = yield pipe.receive('x')."
    )


def _reads(context: RunContext) -> frozenset[str]:
    names = {name for key in context.predicted for name in context.probably_reads(key)}
    return frozenset(name for name in names if is_value(name, ""))


def _report(runs: Sequence[Run], targets: tuple[str, ...], seconds: float) -> RunReport:
    from pyplant.execution.summary import summarise  # slow to import, and most runs need no report

    return summarise(runs, targets, seconds)
