"""The scheduler: *when* reactors run. A suspending scheduler, without recursion.

Theory of operation
-------------------
The scheduler does no work itself. It hands out :mod:`~pyplant.engine.actions` (start or resume a
reactor) and is told their outcome (:meth:`Scheduler.suspended`, :meth:`~Scheduler.finished`,
:meth:`~Scheduler.failed`, :meth:`~Scheduler.inputs_lost`, :meth:`~Scheduler.blocked`). Any number
of actions may be in progress. Ready tasks form a stack, so a single worker proceeds depth first
and few reactors are suspended at a time.

**Tasks.** Every demanded reactor is a :class:`~pyplant.engine.task.Task`. A task first looks for a
trace that verifies. The look-up may itself demand ingredients and wait for them. If no trace
verifies, the task starts; it sleeps whenever its reactor receives an ingredient that is missing.

**Names.** A demand for a name starts a :class:`~pyplant.engine.task_graph.SenderSearch`: the
possible senders are demanded one at a time, the likeliest first, until one has sent the name.
A finished candidate that did not send it, or that failed, makes the search go on.

**Required tasks and guesses.** A task is *required* if the run cannot succeed without it: it is a
target, or it is certain to send what a required task waits for. All others are guesses, demanded
because they may send a name. The failure of a guess is deferred: it counts only if no other
reactor sends the name, or if the task turns out to be required.

**Cycles.** If no task is ready and no action is in progress, tasks wait for one another. The
scheduler then tries another candidate for one of the awaited names, and otherwise reports the cycle.

**Lost values.** A trace that verifies makes digests available although the stored bytes may be
gone. Only a demand for the value itself runs its sender again. If that yields another digest, the
reactor is nondeterministic, and every verdict that rests on the old digest is dropped.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from pyplant.engine.actions import Action, Resume, Start
from pyplant.engine.context import EngineContext
from pyplant.engine.scheduler_errors import conflict_error, cycle_error, missing_sender_error
from pyplant.engine.task import FINISHED, State, Task
from pyplant.engine.task_graph import (
    SenderSearch,
    cached_dependents,
    find_cycle,
    possible_cycle,
    stop_waiting,
)
from pyplant.engine.trace import Trace
from pyplant.engine.verdict import Answer, Reason, ReasonKind, Verdict
from pyplant.errors import RunError
from pyplant.ingredient import Ingredient

__all__ = ["Scheduler"]


class Scheduler:
    """Brings targets up to date; see the module's theory of operation.

    Parameters
    ----------
    context
        Answers questions about reactors.
    keep_going
        Whether an ingredient without a sender, or a cycle, fails only the tasks that wait for it.

    Attributes
    ----------
    tasks
        All tasks of the run, by key.
    available
        The ingredients whose digests are known, by name.
    nondeterministic
        Keys of reactors that made another value from the same inputs.
    deferred_failures
        Errors of failed guesses, by key.
    """

    def __init__(self, context: EngineContext, *, keep_going: bool = False) -> None:
        self.tasks: dict[str, Task] = {}
        self.available: dict[str, Ingredient] = {}
        self.nondeterministic: set[str] = set()
        self.deferred_failures: dict[str, BaseException] = {}
        self._context = context
        self._keep_going = keep_going
        self._ready: list[Task] = []
        self._target_names: set[str] = set()  # of the ingredients that the user asked for
        # By name of an ingredient.
        self._waiting: dict[str, list[Task]] = {}
        self._searches: dict[str, SenderSearch] = {}
        self._sender: dict[str, str] = {}
        self._without_sender: set[str] = set()
        # By key of a reactor: the names it was demanded for, and its trace before its values were lost.
        self._expected_from: dict[str, set[str]] = {}
        self._previous_traces: dict[str, Trace] = {}
        # Results since the caller last took them.
        self._cached: list[Task] = []
        self._failures: list[tuple[str, BaseException]] = []
        # Set while a failure is deferred: deferring one may defer further ones, at any depth.
        self._names_to_retry: deque[str] | None = None

    # ------------------------------------------------------------------ demands

    def demand_reactor(self, key: str, forced_reason: Reason | None = None) -> None:
        """Bring a reactor up to date; with ``forced_reason`` it executes even if a trace verifies."""
        task = self.tasks.setdefault(key, Task(key))
        task.forced_reason, task.is_target = forced_reason, True
        self._require(task)
        self._queue(task)

    def demand_names(self, names: Iterable[str]) -> None:
        """Bring ingredients up to date."""
        for name in reversed(list(names)):  # the stack of ready tasks reverses the order again
            self._target_names.add(name)
            if name not in self.available:
                self._demand_name(name, is_required=True)

    # ------------------------------------------------------------------ actions

    def next(self) -> Action | None:
        """Return the next action; ``None`` if no task is ready."""
        while self._ready:
            task = self._ready.pop()
            task.is_queued = False
            action = self._advance(task)
            if action is not None:
                return action
        return None

    def _queue(self, task: Task) -> None:
        if not task.is_queued:
            task.is_queued = True
            self._ready.append(task)

    def _advance(self, task: Task) -> Action | None:
        if task.state is State.SLEEPING:
            if self._await(task, task.awaited):  # one was lost after the task became ready
                return None
            task.move(State.RUNNING)
            return Resume(task, tuple(self.available[name] for name in task.awaited))
        if task.state is State.PENDING:
            if task.forced_reason is not None:
                return self._start(task, (task.forced_reason,))
            task.move(State.CHECKING)
            found = self._context.check(task.key)
            if isinstance(found, Verdict):
                return self._judge(task, found)
            task.lookup, task.awaited = found, ()
        if task.state is State.CHECKING:
            return self._look_up(task)
        return None

    def _look_up(self, task: Task) -> Action | None:
        lookup = task.lookup
        if lookup is None:
            return None
        try:
            # Nothing awaited: it has asked nothing yet, since each question has at least one name.
            names = next(lookup) if not task.awaited else lookup.send(self._digests(task.awaited))
            while not self._await(task, names):
                names = lookup.send(self._digests(names))
        except StopIteration as stop:
            return self._judge(task, stop.value)
        # The look-up waits. What the reactor receives in any case is needed if it verifies and if it runs,
        # so its senders may run in parallel with those that the look-up waits for.
        for name in self._context.prefetchable(task.key):
            if name not in self.available and name not in self._without_sender:
                self._demand_name(name, is_required=task.is_required)
        return None

    def _digests(self, names: tuple[str, ...]) -> Answer:
        return tuple(self.available[name].digest if name in self.available else None for name in names)

    def _judge(self, task: Task, verdict: Verdict) -> Action | None:
        task.lookup, task.awaited = None, ()
        if verdict.trace is None:
            return self._start(task, verdict.reasons)
        if task.is_target and self._context.runs_for_effect(verdict.trace):
            return self._start(task, (Reason(ReasonKind.NO_OUTPUT, task.key),))
        task.move(State.CACHED)
        task.reasons = verdict.reasons
        self._cached.append(task)
        self._finish(task, verdict.trace)
        return None

    def _start(self, task: Task, reasons: tuple[Reason, ...]) -> Action:
        task.move(State.RUNNING)
        task.reasons, task.awaited, task.lookup = reasons, (), None
        return Start(task)

    # ------------------------------------------------------------------ outcomes

    def blocked(self, task: Task) -> None:
        """Another process executes the reactor that was to start."""
        task.move(State.BLOCKED)

    def check_again(self, task: Task, *, is_stored_again: bool) -> None:
        """Look for a trace once more instead of starting: another process may have recorded one."""
        task.move(State.PENDING)
        if is_stored_again:  # the lost value that forced the task to run; other reasons still hold
            task.forced_reason = None
        self._queue(task)

    def suspended(self, task: Task, names: tuple[str, ...]) -> None:
        """A running reactor waits for ingredients."""
        task.move(State.SLEEPING)
        if not self._await(task, names):
            self._queue(task)

    def finished(self, task: Task, trace: Trace) -> None:
        """A reactor finished with this trace."""
        task.move(State.DONE)
        self._finish(task, trace)

    def _finish(self, task: Task, trace: Trace) -> None:
        task.trace = trace
        previous = self._previous_traces.pop(task.key, None)
        if previous is not None:
            self._recheck_dependents(task, previous, trace)
        self._publish(task, trace)

    def failed(self, task: Task, error: BaseException) -> None:
        """A reactor raised an error, which counts now if the task is required and is deferred if not."""
        if task.is_required:
            task.move(State.FAILED)
            self._failures.append((task.key, error))
        else:
            self._defer_failure(task, error)

    def take_failures(self) -> list[tuple[str, BaseException]]:
        """Return the required tasks, and ingredients asked for, that failed since the last call, with their errors."""
        found, self._failures = self._failures, []
        return found

    def inputs_lost(self, task: Task, names: Iterable[str]) -> None:
        """Values that ``task`` needs in order to resume are no longer stored."""
        task.move(State.SLEEPING)
        for name in names:
            self.value_lost(name)
        self._await(task, task.awaited)

    def value_lost(self, name: str) -> None:
        """The value of an ingredient is no longer stored: its sender must run again."""
        ingredient = self.available.get(name)
        if ingredient is None:
            return
        sender = self.tasks[self._sender[name]]
        if sender.trace is not None:
            self._previous_traces[sender.key] = sender.trace
            self._retract(sender)
        sender.forced_reason = Reason(ReasonKind.EVICTED, name, ingredient.digest, trace=sender.trace)
        sender.state = State.PENDING  # from DONE too, which is legal in this case alone
        if name in self._target_names:
            self._demand_name(name, is_required=True)

    def recheck(self, key: str) -> None:
        """Look up a cached reactor again: its trace was removed, or its files were changed, after it had been found."""
        task = self.tasks[key]
        if task.state is State.CACHED and task.trace is not None:
            self._previous_traces[key] = task.trace
            self._retract(task)
            task.move(State.PENDING)
            self._demand_awaited(task)
            self._queue(task)

    def is_done(self) -> bool:
        """Return whether all demands are met. Ask only when no task is ready and no action is in progress."""
        # A task that is PENDING now lost values that nothing has asked for since.
        return all(name in self.available for name in self._target_names) and all(
            task.state in FINISHED or task.state is State.PENDING or not task.is_required
            for task in self.tasks.values()
        )

    def take_newly_cached(self) -> list[Task]:
        """Return the tasks found to be up to date since the last call."""
        found, self._cached = self._cached, []
        return found

    def sender(self, name: str) -> str | None:
        """Return the reactor that sent an ingredient in this run."""
        return self._sender.get(name)

    # ------------------------------------------------------------------ names

    def _await(self, task: Task, names: tuple[str, ...]) -> bool:
        """Make ``task`` wait for those names that are not available; return whether it has to wait."""
        task.awaited = names
        missing = [name for name in names if name not in self.available]
        without_sender = [name for name in missing if name in self._without_sender]
        if without_sender and task.state is not State.CHECKING:
            self._fail_without_sender(without_sender[0], [task])
            return True
        # To a look-up, a name without a sender is a mismatch, not an error: the trace is simply old.
        task.missing = set(missing).difference(without_sender)
        for name in reversed(names):
            if name in task.missing:
                self._waiting.setdefault(name, []).append(task)
                self._demand_name(name, is_required=task.is_required)
                if task.state is State.FAILED:
                    break  # the demand deferred the failure of this very task
        return bool(task.missing) or task.state is State.FAILED

    def _demand_name(self, name: str, *, is_required: bool = False) -> None:
        """Start the search for the sender of a name, or go on with it if its candidate has finished."""
        search = self._searches.get(name)
        if search is None:
            senders = self._context.literal_senders(name)
            if len(senders) > 1:
                raise conflict_error(self._context, name, senders)
            search = self._searches[name] = SenderSearch(self._context.candidates(name))
        if is_required and not search.is_required:
            search.is_required = True
            if search.current is not None and self._is_certain_sender(name, search.current):
                self._require(self.tasks[search.current])
        if search.current is not None:
            current = self.tasks[search.current]
            if current.state not in FINISHED:
                if current.state is State.PENDING:  # its values were lost or changed
                    self._expected_from.setdefault(current.key, set()).add(name)
                    self._queue(current)
                return
            # A failure that counts ends the search; after a deferred one the search goes on.
            if current.state in (State.FAILED, State.SKIPPED) and current.key not in self.deferred_failures:
                return
        self._continue_search(name, search)

    def _continue_search(self, name: str, search: SenderSearch) -> None:
        if self._demand_next_candidate(name, search):
            return
        for key in search.tried:
            if self.tasks[key].state not in FINISHED:  # skipped by stalled(), and may still send the name
                search.current = key
                return
        self._end_search(name)

    def _demand_next_candidate(self, name: str, search: SenderSearch) -> bool:
        """Demand the next possible sender; return whether there is one."""
        for key in search.candidates:
            task = self.tasks.setdefault(key, Task(key))
            if task.state in (State.CACHED, State.DONE):
                continue  # finished without sending it
            search.tried.append(key)  # a failed one too: its error counts if no reactor sends the name
            if task.state is State.FAILED:
                continue
            search.current = key
            if search.is_required and self._is_certain_sender(name, key):
                self._require(task)
            self._expected_from.setdefault(key, set()).add(name)
            if task.state is State.PENDING:
                self._queue(task)
            return True
        return False

    def _end_search(self, name: str) -> None:
        """No reactor sends ``name``: a mismatch for look-ups, an error for sleeping reactors."""
        search = self._searches[name]
        failed = [key for key in search.tried if self.tasks[key].state is State.FAILED]
        if failed and search.is_required:
            search.current = failed[0]
            self._report_deferred(failed[0])
            return
        waiting = self._waiting.pop(name, [])
        if failed:
            error = self.deferred_failures[failed[0]]
            for task in waiting:
                self._defer_failure(task, error)
            return
        self._without_sender.add(name)
        sleeping = [task for task in waiting if task.state is State.SLEEPING]
        if sleeping or name in self._target_names:
            self._fail_without_sender(name, sleeping)
        for task in waiting:
            self._settle_name(task, name)

    def _settle_name(self, task: Task, name: str) -> None:
        """End the wait of ``task`` for a name, which is available now or has no sender."""
        task.missing.discard(name)
        if not task.missing and task.state in (State.CHECKING, State.SLEEPING):
            self._queue(task)

    def _publish(self, task: Task, trace: Trace) -> None:
        """Make the outputs of a trace available, and search elsewhere for what it was expected to send."""
        for output in trace.outputs:
            sender = self._sender.get(output.name, task.key)
            if sender != task.key and output.name in self.available:  # else the value of the other was lost
                raise conflict_error(self._context, output.name, [sender, task.key])
            self._sender[output.name], self.available[output.name] = task.key, output
            search = self._searches.get(output.name)
            if search is not None and search.is_required:
                self._require(task)
            for waiting in self._waiting.pop(output.name, []):
                self._settle_name(waiting, output.name)
        for name in sorted(self._expected_from.pop(task.key, ())):  # the order of a set varies
            if name not in self.available:
                self._demand_name(name)

    # ------------------------------------------------------------------ guesses

    def _is_certain_sender(self, name: str, key: str) -> bool:
        """Return whether a reactor names the ingredient literally or already sent it in this run."""
        return key in self._context.literal_senders(name) or self._sender.get(name) == key

    def _require(self, task: Task) -> None:
        """Mark a task as required, and with it the certain senders of what it waits for."""
        stack = [task]  # no recursion: chains may be longer than Python's stack
        while stack:
            current = stack.pop()
            if current.is_required:
                continue
            current.is_required = True
            if current.state is State.FAILED:
                self._report_deferred(current.key)
            for name in current.missing:
                search = self._searches[name]
                search.is_required = True
                if search.current is not None and self._is_certain_sender(name, search.current):
                    stack.append(self.tasks[search.current])

    def _report_deferred(self, key: str) -> None:
        """Make a deferred failure count, because the task turned out to be required."""
        error = self.deferred_failures.pop(key, None)
        if error is not None:
            self._failures.append((key, error))

    def _fail_without_sender(self, name: str, tasks: list[Task]) -> None:
        """Fail tasks that wait for a name without a sender. It is the run's error if one is required."""
        required = [task for task in tasks if task.is_required]
        if required or name in self._target_names:
            error = missing_sender_error(self._context, name, required, self.tasks)
            self._fail_waiting(required, error)
            if name in self._target_names:
                self._failures.append((name, error))
        for task in tasks:
            if not task.is_required:
                self._defer_failure(task, missing_sender_error(self._context, name, [task], self.tasks))

    def _fail_waiting(self, tasks: Iterable[Task], error: RunError) -> None:
        """Fail required tasks that wait in vain, or the run if it does not keep going."""
        if not self._keep_going:
            raise error
        for task in tasks:
            task.move(State.FAILED)
            stop_waiting(task, self._waiting)
            self._failures.append((task.key, error))

    def _defer_failure(self, task: Task, error: BaseException) -> None:
        """Fail a guess without failing the run, and search elsewhere for the names expected from it."""
        if task.state is State.FAILED:
            return
        task.move(State.FAILED)
        stop_waiting(task, self._waiting)
        self.deferred_failures[task.key] = error
        names = sorted(self._expected_from.pop(task.key, ()))
        if self._names_to_retry is not None:  # called from the loop below: chains of guesses are long
            self._names_to_retry.extend(names)
            return
        self._names_to_retry = deque(names)
        try:
            while self._names_to_retry:
                name = self._names_to_retry.popleft()
                needed = (
                    self._waiting.get(name) or name in self._target_names or self._searches[name].is_required
                )
                if needed and name not in self.available:
                    self._demand_name(name)
        finally:
            self._names_to_retry = None

    # ------------------------------------------------------------------ values that changed

    def _retract(self, task: Task) -> None:
        """Withdraw the outputs of a task; a later demand for them leads to this task first."""
        for name in [output.name for output in task.trace.outputs] if task.trace is not None else ():
            self.available.pop(name, None)
            self._without_sender.discard(name)  # a look-up may have sought it before the task sent it
            search = self._searches.setdefault(name, SenderSearch(self._context.candidates(name)))
            search.current = task.key

    def _recheck_dependents(self, task: Task, old: Trace, new: Trace) -> None:
        """Drop the verdicts that rest on values which the second execution of ``task`` did not reproduce."""
        after = {output.name: output.digest for output in new.outputs}
        changed = {output.name for output in old.outputs if after.get(output.name) != output.digest}
        if not changed:
            return
        if old.dependencies == new.dependencies:  # else another reactor has changed a file that it reads
            self.nondeterministic.add(task.key)
        # Which digests a look-up has compared is not known, so each of them begins again.
        for other in [other for other in self.tasks.values() if other.state is State.CHECKING]:
            stop_waiting(other, self._waiting)
            other.move(State.PENDING)
            self._queue(other)
        for other in cached_dependents(self.tasks, changed):
            self._retract(other)
            other.move(State.PENDING)
            self._demand_awaited(other)

    def _demand_awaited(self, task: Task) -> None:
        outputs = {output.name for output in task.trace.outputs} if task.trace else set()
        for name in sorted(outputs & (self._target_names | self._waiting.keys())):
            self._demand_name(name)

    # ------------------------------------------------------------------ errors

    def stalled(self) -> None:
        """Resolve a stall, in which no task is ready and no action in progress, or report the cycle.

        A candidate that is not certain to send its name may have been a wrong guess that waits for
        the right one, so the next candidate is demanded.
        """
        cycle = find_cycle(self.tasks, self._searches)
        awaited = [name for _, name in cycle] + [name for name, tasks in self._waiting.items() if tasks]
        for name in awaited:
            search = self._searches[name]
            if search.current not in self._context.literal_senders(name) and self._demand_next_candidate(
                name, search
            ):
                return
        error = cycle_error(self._context, cycle, possible_cycle(self.tasks, self._searches, cycle[0][0]))
        self._fail_waiting([self.tasks[key] for key, _ in cycle], error)
