"""One execution of a reactor, step by step, in the process that runs it.

A reactor is a plain function, which runs in one step, or a generator, which runs until it yields a
``Receive`` command and continues when its values are sent in. Around each step the tracer is set as the
active observer, so that subreactors and commands find the execution that they belong to, and the output of
the step is recorded in notebooks. Both executors use this class: the inline one in the calling thread, the
parallel one in workers.
"""

from __future__ import annotations

import inspect
import os
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

from pyplant._definitions import Definition, active_observer
from pyplant._tracer import ExecutionRecord, Tracer
from pyplant.engine.commands import Receive, RunCoroutine, Unyielded
from pyplant.errors import NotYieldedError, RunError
from pyplant.execution.coroutines import CoroutineRunner
from pyplant.execution.forking import end_forked_child
from pyplant.execution.frontend import Recording
from pyplant.execution.nesting import tracer_of_thread, watch_threads
from pyplant.ingredient import Ingredient
from pyplant.pipework import Pipework
from pyplant.reads.hook import install
from pyplant.reads.late_imports import WatchedImports
from pyplant.reads.recorder import ReadRecorder

__all__ = ["Finished", "Load", "Needs", "ReactorExecution"]

Load = Callable[[Ingredient], Any]
"""Returns the value of an ingredient."""


class Needs(NamedTuple):
    """The reactor waits for ingredients.

    Attributes
    ----------
    names
        The names that it asks for.
    held
        The names that it has received before, if it must start again and receive them again.
    """

    names: tuple[str, ...]
    held: tuple[str, ...] = ()


class Finished(NamedTuple):
    """The reactor has returned; its record, and its own time in seconds, without waiting."""

    record: ExecutionRecord
    seconds: float


def _recorder_of_thread() -> ReadRecorder | None:
    """Return the recorder of the reactor that this thread runs or works for."""
    tracer = active_observer.get() or tracer_of_thread()
    return getattr(tracer, "reads", None)


class ReactorExecution:
    """One execution of a reactor.

    Parameters
    ----------
    definition
        The reactor.
    tracer
        Records what it reads and sends.
    recording
        Records its output, in a notebook.
    pipework
        Passed to the reactor in place of a usual pipework.

    Attributes
    ----------
    seconds
        Its own time so far, without waiting.
    given
        The ingredients that it has received, by name.
    """

    def __init__(
        self,
        definition: Definition,
        tracer: Tracer,
        recording: Recording | None = None,
        *,
        pipework: Pipework | None = None,
    ) -> None:
        self.definition = definition
        self.tracer = tracer
        self._pipework = pipework or Pipework(tracer)
        self._recording = recording
        self._recorded_step = nullcontext if recording is None else recording.step
        self.seconds = 0.0
        self.given: dict[str, Ingredient] = {}
        self._generator: Generator[Any, Any, Any] | None = None
        self._started = False
        self._asked: Receive | None = None  # the command that the generator waits for
        self._coroutines = CoroutineRunner()
        self._process = os.getpid()  # forked children must not leave the reactor
        watch_threads()
        install(_recorder_of_thread)

    def deliver(self, ingredient: Ingredient, load: Load) -> Any:
        """Return the value with which the reactor continues, for an ingredient that it waits for.

        Raises
        ------
        pyplant.errors.DamagedError
            If the value cannot be loaded.
        """
        return load(ingredient)

    def received(self, ingredients: tuple[Ingredient, ...]) -> None:
        """Record that the reactor receives these."""
        # Kept for a restart: an executor that runs a reactor from its beginning gives it these again.
        self.given.update((ingredient.name, ingredient) for ingredient in ingredients)
        self.tracer.received(ingredients)

    def execute(self, given: Mapping[str, Ingredient], load: Load) -> Needs | Finished:
        """Run the reactor from its beginning until it returns or asks for an ingredient that is not given.

        Raises
        ------
        Exception
            Whatever the reactor raises.
        pyplant.errors.DamagedError
            If a given value cannot be loaded.
        """
        outcome = self.advance()
        while isinstance(outcome, Needs) and all(name in given for name in outcome.names):
            ingredients = tuple(given[name] for name in outcome.names)
            values = [load(ingredient) for ingredient in ingredients]
            self.received(ingredients)
            outcome = self.advance(values)
        return outcome

    def advance(self, values: Sequence[Any] = ()) -> Needs | Finished:
        """Start or continue the reactor, until it waits or has returned.

        Parameters
        ----------
        values
            The values of the ingredients that it waited for, in the order in which it named them.

        Raises
        ------
        Exception
            Whatever the reactor raises.
        """
        began = time.perf_counter()
        # Set for each step only: between steps this thread runs other reactors and code of the plant.
        token = active_observer.set(self.tracer)
        try:
            with self._recorded_step(), WatchedImports(self.tracer.reads):
                needs = self._step_in_this_process(values)
            if needs is not None:
                return needs
            record = self.tracer.finish(self.seconds + time.perf_counter() - began)
            if self._recording is not None:
                record.showed = self._recording.finish()
        finally:
            active_observer.reset(token)
            self.seconds += time.perf_counter() - began
        return Finished(record, self.seconds)

    def _step_in_this_process(self, values: Sequence[Any]) -> Needs | None:
        """Execute a step. A process that the reactor forks in it ends here."""
        # Also for exceptions: they would unwind the stack of the run in the child.
        try:
            needs = self._step(values)
        except BaseException as error:
            end_forked_child(self._process, self.definition.name, error)
            raise
        end_forked_child(self._process, self.definition.name, waits=needs is not None)
        return needs

    def _step(self, values: Sequence[Any]) -> Needs | None:
        if not self._started:
            self._started = True
            self.tracer.begin()
            arguments = (
                (self._pipework, self.tracer.config) if self.definition.takes_config else (self._pipework,)
            )
            result = self.definition.function(*arguments)
            if not inspect.isgenerator(result):
                self.tracer.returned(result)
                return None
            self._generator = result
        # A generator that has not started accepts only None.
        value = None if self._asked is None else self._answer(self._asked, values)
        return self._resume(self._generator, value)

    def _resume(self, generator: Generator[Any, Any, Any] | None, value: Any) -> Needs | None:
        """Continue the generator with a value, until it waits for others or has returned."""
        error: BaseException | None = None
        while generator is not None:
            try:
                yielded = generator.send(value) if error is None else generator.throw(error)
            except StopIteration as stop:
                self.tracer.returned(stop.value)
                return None
            value = error = None  # a bare yield does nothing
            if isinstance(yielded, Receive):
                self.tracer.yielded(yielded)
                # What it has sent itself is no dependency, and there is nothing to wait for.
                others = tuple(name for name in yielded.names if not self.tracer.has_sent(name))
                if others:
                    self._asked = yielded
                    return Needs(others)
                value = self._answer(yielded, ())
            elif isinstance(yielded, RunCoroutine):
                self.tracer.yielded(yielded)
                try:
                    value = self._coroutines.run(yielded.awaitable)
                except Exception as raised:  # noqa: BLE001 - for the reactor, which may handle it
                    error = raised
            else:
                # Raised here and not thrown into the reactor, whose try blocks could hide the mistake.
                self._refuse_yield(yielded)
        return None

    def _answer(self, asked: Receive, values: Sequence[Any]) -> Any:
        """Return what the reactor is resumed with, given the values that others sent."""
        self.tracer.learn(values)
        sent_by_others = iter(values)
        return asked.deliver(
            [
                self.tracer.sent_value(name) if self.tracer.has_sent(name) else next(sent_by_others)
                for name in asked.names
            ]
        )

    def _refuse_yield(self, yielded: Any) -> None:
        if yielded is None:
            return
        if isinstance(yielded, Unyielded):
            raise NotYieldedError(yielded.hint())
        message = (
            f"Reactor {self.definition.name!r} yielded {type(yielded).__name__}; a reactor yields only "
            f"pipe.receive(...) and pipe.run(...). To send a value, use pipe.send(name, value); "
            f"pipe.allocate, pipe.input_file and the like return at once, without yield."
        )
        raise RunError(message)

    def close(self) -> None:
        """Close the generator, which runs its ``finally`` blocks. Do nothing in a forked child."""
        if os.getpid() != self._process:
            return
        try:
            if self._generator is not None:
                token = active_observer.set(self.tracer)
                # A step like others: its finally blocks may use the pipe, call subreactors and print.
                try:
                    with self._recorded_step():
                        self._close_generator(self._generator)
                finally:
                    active_observer.reset(token)
        finally:
            self._coroutines.close()
            if self._recording is not None:
                self._recording.abandon()
            self.tracer.close()

    def _close_generator(self, generator: Generator[Any, Any, Any]) -> None:
        try:
            generator.close()
        except BaseException as error:
            end_forked_child(self._process, self.definition.name, error)
            raise
        end_forked_child(self._process, self.definition.name)
