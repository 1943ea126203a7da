"""The scheduler: *when* reactors run. A suspending scheduler, without recursion.

Theory of operation
-------------------
Every reactor that is demanded becomes a :class:`~pyplant.engine.task.Task`. A task first looks for a trace that
verifies; the look-up may demand ingredients, so it can sleep. If no trace verifies, the
task asks to be started, and from then on sleeps and resumes as its reactor receives. A
name that is demanded is *sought*: its likely senders are demanded one after another until
one has finished with it.

A sender whose code does not name what it sends is a *guess*. A task is *wanted* when the run
cannot do without it: it is a target, or surely sends what a wanted task waits for. A task that
is not wanted and fails, or waits for what nobody sends, is put aside: the search goes on without
it, and only when nobody else sends the name does its error count.

The scheduler runs nothing. It hands out actions (:class:`Start`, :class:`Resume`) and is
told what came of them (:meth:`Scheduler.needs`, :meth:`~Scheduler.finished`,
:meth:`~Scheduler.failed`, :meth:`~Scheduler.lost`, :meth:`~Scheduler.blocked`). Ready tasks form a stack, so that one
worker goes depth first, but any number of actions may be under way at once.

When nothing is ready and nothing is under way, tasks wait for one another in a circle.

Known is not present: a verified trace gives digests even when its stored bytes are gone.
Only a demand for the value runs its sender again; should that yield another value, what
this run concluded from the old one is judged again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from pyplant.engine.rebuilder import Answer, Reason, ReasonKind, Verdict
from pyplant.engine.scheduling import (
    Action,
    Resume,
    Start,
    World,
    conflict_error,
    cycle_error,
    missing_sender_error,
)
from pyplant.engine.task import FINISHED, State, Task
from pyplant.engine.trace import Trace
from pyplant.errors import MissingSenderError
from pyplant.ingredient import Ingredient

__all__ = ["Action", "Resume", "Scheduler", "Start"]


@dataclass(slots=True)
class _Search:
    """The search for the sender of one name."""

    candidates: Iterator[str]
    current: str | None = None
    tried: list[str] = field(default_factory=list)
    is_wanted: bool = False


class Scheduler:
    """Brings targets up to date; see the module's theory of operation.

    Parameters
    ----------
    world
        Answers questions about reactors.
    """

    def __init__(self, context: World) -> None:
        self.tasks: dict[str, Task] = {}
        self.available: dict[str, Ingredient] = {}
        self.nondeterministic: set[str] = set()
        self.put_aside: dict[
            str, BaseException
        ] = {}  # tasks that failed and are not needed, as far as is known
        self._context = context
        self._ready: list[Task] = []
        self._waiting: dict[str, list[Task]] = {}
        self._searches: dict[str, _Search] = {}
        self._sought_from: dict[str, set[str]] = {}
        self._sender: dict[str, str] = {}
        self._unsent: set[str] = set()
        self._goals: set[str] = set()
        self._replaced: dict[str, Trace] = {}
        self._cached: list[Task] = []
        self._failures: list[tuple[Task, BaseException]] = []
        self._orphaned: deque[str] | None = None  # names to be sought elsewhere, while that is being done

    # ------------------------------------------------------------------ demands

    def demand_reactor(self, key: str, must_run: Reason | None = None) -> None:
        """Bring a reactor up to date; with ``must_run`` it executes whatever its traces say."""
        task = self.tasks.setdefault(key, Task(key))
        task.must_run, task.is_target = must_run, True
        self._want(task)
        self._queue(task)

    def demand_names(self, names: Iterable[str]) -> None:
        """Bring ingredients up to date."""
        for name in reversed(list(names)):
            self._goals.add(name)
            if name not in self.available:
                self._seek(name, is_wanted=True)

    # ------------------------------------------------------------------ actions

    def next(self) -> Action | None:
        """The next thing to do; ``None`` when there is nothing to do for now."""
        while self._ready:
            task = self._ready.pop()
            task.queued = False
            action = self._advance(task)
            if action is not None:
                return action
        return None

    def _queue(self, task: Task) -> None:
        if not task.queued:
            task.queued = True
            self._ready.append(task)

    def _advance(self, task: Task) -> Action | None:
        if task.state is State.SLEEPING:
            if self._await(task, task.asked):  # one of them was lost again meanwhile
                return None
            task.move(State.RUNNING)
            return Resume(task, tuple(self.available[name] for name in task.asked))
        if task.state is State.PENDING:
            if task.must_run is not None:
                return self._start(task, (task.must_run,))
            task.move(State.CHECKING)
            found = self._context.check(task.key)
            if isinstance(found, Verdict):
                return self._judge(task, found)
            task.lookup, task.asked = found, ()
        if task.state is State.CHECKING:
            return self._look_up(task)
        return None

    def _look_up(self, task: Task) -> Action | None:
        lookup = task.lookup
        if lookup is None:
            return None
        try:
            names = next(lookup) if not task.asked else lookup.send(self._digests(task.asked))
            while not self._await(task, names):
                names = lookup.send(self._digests(names))
        except StopIteration as stop:
            return self._judge(task, stop.value)
        for name in self._context.prefetchable(task.key):
            if name not in self.available and name not in self._unsent:
                self._seek(name, is_wanted=task.is_wanted)
        return None

    def _digests(self, names: tuple[str, ...]) -> Answer:
        return tuple(self.available[name].digest if name in self.available else None for name in names)

    def _judge(self, task: Task, verdict: Verdict) -> Action | None:
        task.lookup, task.asked = None, ()
        if verdict.trace is None:
            return self._start(task, verdict.reasons)
        if task.is_target and self._context.runs_for_effect(verdict.trace):
            return self._start(task, (Reason(ReasonKind.NO_OUTPUT, task.key),))
        task.move(State.CACHED)
        task.reasons = verdict.reasons
        self._cached.append(task)
        self._settle_with(task, verdict.trace)
        return None

    def _start(self, task: Task, reasons: tuple[Reason, ...]) -> Action:
        task.move(State.RUNNING)
        task.reasons, task.asked, task.lookup = reasons, (), None
        return Start(task)

    # ------------------------------------------------------------------ outcomes

    def blocked(self, task: Task) -> None:
        """A reactor that was to start is being executed by another process."""
        task.move(State.BLOCKED)

    def check_again(self, task: Task) -> None:
        """Look for a trace once more instead of starting: another process may have left one."""
        task.move(State.PENDING)
        if task.must_run is not None and task.must_run.kind is ReasonKind.EVICTED:
            task.must_run = None
        self._queue(task)

    def needs(self, task: Task, names: tuple[str, ...]) -> None:
        """A reactor waits for ingredients."""
        task.move(State.SLEEPING)
        if not self._await(task, names):
            self._queue(task)

    def finished(self, task: Task, trace: Trace) -> None:
        """A reactor has finished, with this trace."""
        task.move(State.DONE)
        self._settle_with(task, trace)

    def _settle_with(self, task: Task, trace: Trace) -> None:
        task.trace = trace
        replaced = self._replaced.pop(task.key, None)
        if replaced is not None:
            self._compare(task, replaced, trace)
        self._publish(task, trace)

    def failed(self, task: Task, error: BaseException) -> None:
        """A reactor raised; what waits for it can never go on, unless it was a guess."""
        if task.is_wanted:
            task.move(State.FAILED)
            self._failures.append((task, error))
        else:
            self._defer_task(task, error)

    def take_failures(self) -> list[tuple[Task, BaseException]]:
        """Tasks that the run cannot do without and that failed since this was last asked."""
        found, self._failures = self._failures, []
        return found

    def lost(self, task: Task, names: Iterable[str]) -> None:
        """Values that ``task`` was to be resumed with are no longer stored."""
        task.move(State.SLEEPING)
        for name in names:
            self.lose(name)
        self._await(task, task.asked)

    def lose(self, name: str) -> None:
        """The value of an ingredient is no longer stored: its sender must run again."""
        ingredient = self.available.get(name)
        if ingredient is None:
            return
        sender = self.tasks[self._sender[name]]
        if sender.trace is not None:
            self._replaced[sender.key] = sender.trace
            self._retract(sender)
        sender.must_run = Reason(ReasonKind.EVICTED, name, ingredient.digest)
        sender.state = State.PENDING
        if name in self._goals:
            self._seek(name, is_wanted=True)

    def recheck(self, key: str) -> None:
        """Judge a reactor again whose trace is no longer kept, though it was when it was found."""
        task = self.tasks[key]
        if task.state is State.CACHED and task.trace is not None:
            self._replaced[key] = task.trace
            self._retract(task)
            task.move(State.PENDING)
            self._queue(task)

    def is_done(self) -> bool:
        """Whether everything demanded is there; asked when nothing is ready or under way."""
        return all(name in self.available for name in self._goals) and all(
            task.state in FINISHED or task.state is State.PENDING or not task.is_wanted
            for task in self.tasks.values()
        )

    def newly_cached(self) -> list[Task]:
        """Tasks found to be up to date since this was last asked."""
        found, self._cached = self._cached, []
        return found

    def sender(self, name: str) -> str | None:
        """The reactor that sent an ingredient in this run."""
        return self._sender.get(name)

    def skip_waiting(self) -> list[Task]:
        """Give up on all tasks that are not finished; returns them."""
        waiting = [task for task in self.tasks.values() if task.state not in FINISHED]
        for task in waiting:
            task.state = State.SKIPPED
        return waiting

    # ------------------------------------------------------------------ names

    def _await(self, task: Task, names: tuple[str, ...]) -> bool:
        """Let ``task`` wait for those names that are not there; whether there are any."""
        task.asked = names
        missing = [name for name in names if name not in self.available]
        unsent = [name for name in missing if name in self._unsent]
        if unsent and task.state is not State.CHECKING:
            self._abandon(unsent[0], [task])
            return True
        # To a look-up, a name that nobody sends any more is a mismatch, not an error.
        task.missing = set(missing).difference(unsent)
        for name in reversed(names):
            if name in task.missing:
                self._waiting.setdefault(name, []).append(task)
                self._seek(name, is_wanted=task.is_wanted)
                if task.state is State.FAILED:
                    break  # it was put aside meanwhile
        return bool(task.missing) or task.state is State.FAILED

    def _seek(self, name: str, *, is_wanted: bool = False) -> None:
        search = self._searches.get(name)
        if search is None:
            self._refuse_conflict(name)
            search = self._searches[name] = _Search(self._context.candidates(name))
        if is_wanted and not search.is_wanted:
            search.is_wanted = True
            if search.current is not None and self._is_unconditional(name, search.current):
                self._want(self.tasks[search.current])
        if search.current is not None:
            current = self.tasks[search.current]
            if current.state not in FINISHED:
                if current.state is State.PENDING:
                    self._queue(current)
                return
            if current.state in (State.FAILED, State.SKIPPED) and current.key not in self.put_aside:
                return
        self._try_next(name, search)

    def _try_next(self, name: str, search: _Search) -> None:
        if self._try_another(name, search):
            return
        for key in search.tried:
            if self.tasks[key].state not in FINISHED:  # passed over when all stood still
                search.current = key
                return
        self._give_up(name)

    def _try_another(self, name: str, search: _Search) -> bool:
        """Demand a sender that was not tried yet; whether there is one."""
        for key in search.candidates:
            task = self.tasks.setdefault(key, Task(key))
            if task.state in (State.CACHED, State.DONE):
                continue  # finished without sending it
            search.tried.append(key)
            if task.state is State.FAILED:
                continue
            search.current = key
            if search.is_wanted and self._is_unconditional(name, key):
                self._want(task)
            self._sought_from.setdefault(key, set()).add(name)
            if task.state is State.PENDING:
                self._queue(task)
            return True
        return False

    def _give_up(self, name: str) -> None:
        """Nobody sends ``name``: a mismatch for look-ups, an error for running reactors."""
        search = self._searches[name]
        failed = [key for key in search.tried if self.tasks[key].state is State.FAILED]
        if failed and search.is_wanted:
            search.current = failed[0]
            self._blame(failed[0])
            return
        waiting = self._waiting.pop(name, [])
        if failed:
            error = self.put_aside[failed[0]]
            for task in waiting:
                self._defer_task(task, error)
            return
        self._unsent.add(name)
        asleep = [task for task in waiting if task.state is State.SLEEPING]
        if asleep or name in self._goals:
            self._abandon(name, asleep)
        for task in waiting:
            self._arrived(task, name)

    def _arrived(self, task: Task, name: str) -> None:
        task.missing.discard(name)
        if not task.missing and task.state in (State.CHECKING, State.SLEEPING):
            self._queue(task)

    def _publish(self, task: Task, trace: Trace) -> None:
        for output in trace.outputs:
            sender = self._sender.setdefault(output.name, task.key)
            if sender != task.key:
                raise conflict_error(self._context, output.name, [sender, task.key])
            self.available[output.name] = output
            search = self._searches.get(output.name)
            if search is not None and search.is_wanted:
                self._want(task)
            for waiting in self._waiting.pop(output.name, []):
                self._arrived(waiting, output.name)
        for name in sorted(self._sought_from.pop(task.key, ())):
            if name not in self.available:
                self._seek(name)

    # ------------------------------------------------------------------ guesses

    def _is_unconditional(self, name: str, key: str) -> bool:
        return key in self._context.literal_senders(name) or self._sender.get(name) == key

    def _want(self, task: Task) -> None:
        """The run cannot do without a task, nor without what it waits for."""
        stack = [task]
        while stack:
            current = stack.pop()
            if current.is_wanted:
                continue
            current.is_wanted = True
            if current.state is State.FAILED:
                self._blame(current.key)
            for name in current.missing:
                search = self._searches[name]
                search.is_wanted = True
                if search.current is not None and self._is_unconditional(name, search.current):
                    stack.append(self.tasks[search.current])

    def _blame(self, key: str) -> None:
        """The error of a task that was put aside counts after all."""
        error = self.put_aside.pop(key, None)
        if error is not None:
            self._failures.append((self.tasks[key], error))

    def _missing_sender(self, name: str, waiting: list[Task]) -> MissingSenderError:
        literal = [self.tasks[key] for key in self._context.literal_senders(name) if key in self.tasks]
        silent = [task.key for task in literal if task.state in (State.CACHED, State.DONE)]
        return missing_sender_error(self._context, name, [task.key for task in waiting], silent)

    def _abandon(self, name: str, tasks: list[Task]) -> None:
        """Nobody sends what these wait for: an error if the run needs them."""
        wanted = [task for task in tasks if task.is_wanted]
        if wanted or name in self._goals:
            raise self._missing_sender(name, wanted)
        for task in tasks:
            self._defer_task(task, self._missing_sender(name, [task]))

    def _defer_task(self, task: Task, error: BaseException) -> None:
        """Go on without a task, and seek elsewhere what it might have sent; without recursion."""
        if task.state is State.FAILED:
            return
        task.move(State.FAILED)
        for name in task.missing:
            self._waiting[name] = [other for other in self._waiting.get(name, ()) if other is not task]
        task.lookup, task.missing = None, set()
        self.put_aside[task.key] = error
        sought = sorted(self._sought_from.pop(task.key, ()))
        if self._orphaned is not None:
            self._orphaned.extend(sought)
            return
        self._orphaned = deque(sought)
        try:
            while self._orphaned:
                name = self._orphaned.popleft()
                needed = self._waiting.get(name) or name in self._goals or self._searches[name].is_wanted
                if needed and name not in self.available:
                    self._seek(name)
        finally:
            self._orphaned = None

    # ------------------------------------------------------------------ values that changed

    def _retract(self, task: Task) -> None:
        for output in task.trace.outputs if task.trace is not None else ():
            self.available.pop(output.name, None)
            search = self._searches.setdefault(output.name, _Search(iter(())))
            search.current = task.key

    def _compare(self, task: Task, old: Trace, new: Trace) -> None:
        """Judge again what was concluded from values that came out differently."""
        before = {output.name: output.digest for output in old.outputs}
        after = {output.name: output.digest for output in new.outputs}
        changed = {name for name, digest in before.items() if after.get(name) != digest}
        if not changed:
            return
        self.nondeterministic.add(task.key)
        for other in self.tasks.values():
            if other.state is State.CHECKING:
                self._forget_lookup(other)
        pending = [changed]
        while pending:
            names = pending.pop()
            for other in self.tasks.values():
                if other.state is State.CACHED and other.trace and not names.isdisjoint(other.trace.inputs):
                    pending.append({output.name for output in other.trace.outputs})
                    self._retract(other)
                    other.move(State.PENDING)
                    self._requeue_sought(other)

    def _forget_lookup(self, task: Task) -> None:
        for name in task.missing:
            if task in self._waiting.get(name, ()):
                self._waiting[name].remove(task)
        task.missing.clear()
        task.lookup = None
        task.move(State.PENDING)
        self._queue(task)

    def _requeue_sought(self, task: Task) -> None:
        outputs = {output.name for output in task.trace.outputs} if task.trace else set()
        if outputs & (self._goals | self._waiting.keys()):
            self._queue(task)

    # ------------------------------------------------------------------ errors

    def stalled(self) -> None:
        """Nothing is ready and nothing under way: find another sender, or report the circle.

        Raises
        ------
        pyplant.errors.CycleError
            With the path of reactors and ingredients.
        """
        cycle = self._cycle()
        awaited = [name for _, name in cycle] + [name for name, tasks in self._waiting.items() if tasks]
        for name in awaited:
            search = self._searches[name]
            if search.current not in self._context.literal_senders(name) and self._try_another(name, search):
                return
        raise cycle_error(self._context, cycle)

    def _cycle(self) -> list[tuple[str, str]]:
        stuck = [task for task in self.tasks.values() if task.missing and task.state not in FINISHED]
        start = next((task for task in stuck if task.is_wanted), stuck[0])
        path: dict[str, str] = {}
        key = start.key
        while key not in path:
            name = min(self.tasks[key].missing)
            path[key] = name
            key = self._searches[name].current or key
        steps = list(path.items())
        return steps[list(path).index(key) :]

    def _refuse_conflict(self, name: str) -> None:
        senders = self._context.literal_senders(name)
        if len(senders) > 1:
            raise conflict_error(self._context, name, senders)
