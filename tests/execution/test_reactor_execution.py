"""Executing one reactor, step by step."""

import pytest

from pyplant import ReactorFunc, SubreactorFunc, specs
from pyplant._definitions import active_observer, definition_of
from pyplant.errors import NotAllocatedError, NotYieldedError, RunError
from pyplant.execution.reactor_execution import Finished, Needs, ReactorExecution
from pyplant.testing import PipeworkMock


class execution(ReactorExecution):
    """An execution of a reactor, with a list of what it sent."""

    def __init__(self, function):
        self.pipe = PipeworkMock(reactor=function)
        super().__init__(definition_of(function), self.pipe._tracer, pipework=self.pipe)


def test_a_plain_function_finishes_at_once():
    @ReactorFunc
    def plain(pipe):
        pipe.send("x", 1)

    step = execution(plain).advance()
    assert isinstance(step, Finished)
    assert list(step.record.outputs) == ["x"]


def test_a_generator_waits_at_each_receive_and_continues_with_the_value():
    @ReactorFunc
    def adds(pipe):
        a = yield pipe.receive("a")
        b, c = yield pipe.receive("b", "c")
        pipe.send("sum", a + b + c)

    running = execution(adds)
    assert running.advance().names == ("a",)
    assert running.advance([1]).names == ("b", "c")
    assert isinstance(running.advance((2, 3)), Finished)
    assert running.pipe.sent == {"sum": 6}


def test_a_bare_yield_does_nothing():
    @ReactorFunc
    def polite(pipe):
        got = yield
        pipe.send("got", got)

    running = execution(polite)
    assert isinstance(running.advance(), Finished)
    assert running.pipe.sent == {"got": None}


def test_yielding_anything_else_is_an_error_that_names_send():
    @ReactorFunc
    def wrong(pipe):
        yield 5

    with pytest.raises(RunError, match="yielded int.*pipe.send"):
        execution(wrong).advance()


def test_returning_a_receive_is_the_error_of_a_missing_yield():
    @ReactorFunc
    def returns(pipe):
        return pipe.receive("x")

    with pytest.raises(NotYieldedError, match="yield pipe.receive"):
        execution(returns).advance()


def test_a_receive_that_was_never_yielded_is_an_error_at_the_end():
    @ReactorFunc
    def forgets(pipe):
        pipe.receive("x")
        yield

    with pytest.raises(NotYieldedError, match="yield pipe.receive"):
        execution(forgets).advance()


def test_a_subreactor_called_without_yield_from_is_the_same_error():
    @SubreactorFunc
    def sub(pipe):
        return 1

    @ReactorFunc
    def forgets(pipe):
        sub(pipe)

    with pytest.raises(NotYieldedError, match="yield from sub"):
        execution(forgets).advance()


def test_closing_runs_the_finally_blocks():
    closed = []

    @ReactorFunc
    def waits(pipe):
        try:
            yield pipe.receive("x")
        finally:
            closed.append(True)

    running = execution(waits)
    assert isinstance(running.advance(), Needs)
    running.close()
    assert closed == [True]


def test_the_reactor_is_active_only_while_it_is_stepped():
    seen = []

    @ReactorFunc
    def looks(pipe):
        seen.append(active_observer.get() is pipe._tracer)
        yield pipe.receive("x")

    running = execution(looks)
    running.advance()
    assert seen == [True]
    assert active_observer.get() is None


def test_only_its_own_time_counts():
    @ReactorFunc
    def quick(pipe):
        yield pipe.receive("x")

    running = execution(quick)
    running.advance()
    before = running.seconds
    assert before > 0
    running.advance([1])
    assert running.seconds > before


# ---------------------------------------------------------------------- what it sent itself


def test_a_reactor_receives_what_it_has_sent_itself_and_waits_for_nothing():
    @ReactorFunc
    def both(pipe):
        pipe.send("part", [1])
        part = yield pipe.receive("part")
        again = yield pipe.receive("part")
        part.append(2)
        pipe.send("whole", [part, again])

    running = execution(both)
    assert isinstance(running.advance(), Finished)
    assert running.pipe.sent["whole"] == [[1, 2], [1]]
    assert running.pipe.receives == []


def test_it_waits_for_the_others_of_one_receive_only():
    @ReactorFunc
    def both(pipe):
        pipe.send("own", 1)
        values = yield pipe.receive(["first", "own", "last"])
        pipe.send("values", values)

    running = execution(both)
    assert running.advance().names == ("first", "last")
    assert isinstance(running.advance([0, 2]), Finished)
    assert running.pipe.sent["values"] == [0, 1, 2]


def test_what_it_has_not_sent_yet_it_waits_for():
    @ReactorFunc
    def early(pipe):
        part = yield pipe.receive("part")
        pipe.send("part", part)

    assert execution(early).advance().names == ("part",)


def test_what_it_allocated_is_complete_only_at_its_end():
    @ReactorFunc
    def allocates(pipe):
        handle = pipe.allocate("array", specs.ArraySpec, shape=3)
        pipe.send("array", handle)
        yield pipe.receive("array")

    running = execution(allocates)
    with pytest.raises(NotAllocatedError, match="allocated itself.*pipe.allocate"):
        running.advance()
    running.close()
