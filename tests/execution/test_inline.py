"""The inline executor, which runs reactors in the calling thread."""

import gc
import tempfile
import warnings

import pytest

from pyplant import Plant, ReactorFunc
from pyplant._definitions import definition_of
from pyplant.engine.task import Task
from pyplant.execution.inline import Failed, InlineExecutor, Job
from pyplant.execution.reactor_execution import Finished, ReactorExecution
from pyplant.testing import PipeworkMock


def job(function):
    pipe = PipeworkMock(reactor=function)
    return Job(Task("key"), ReactorExecution(definition_of(function), pipe._tracer, pipework=pipe))


@ReactorFunc
def good(pipe):
    pipe.send("x", 1)


@ReactorFunc
def bad(pipe):
    raise ValueError


@ReactorFunc
def interrupted(pipe):
    raise KeyboardInterrupt


def test_jobs_run_when_they_are_collected_in_order():
    executor = InlineExecutor()
    first, second = job(good), job(good)
    executor.submit(first)
    executor.submit(second)
    assert executor.collect()[0] is first
    done, outcome = executor.collect()
    assert done is second
    assert isinstance(outcome, Finished)


def test_an_error_of_a_reactor_is_returned_as_a_result():
    executor = InlineExecutor()
    executor.submit(job(bad))
    outcome = executor.collect()[1]
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, ValueError)


def test_an_interrupt_of_a_reactor_is_its_result():
    executor = InlineExecutor()
    executor.submit(job(interrupted))
    _, outcome = executor.collect()
    assert isinstance(outcome.error, KeyboardInterrupt)


def test_the_values_are_not_held_by_the_job():
    @ReactorFunc
    def receives(pipe):
        yield pipe.receive("x")

    executor = InlineExecutor()
    started = job(receives)
    executor.submit(started)
    executor.collect()
    started.values = [object()]
    executor.submit(started)
    executor.collect()
    assert started.values == ()


def test_jobs_of_an_interrupted_run_are_forgotten(tmp_path, monkeypatch):
    @ReactorFunc
    def number(pipe):
        pipe.send("number", 1)

    with Plant(tmp_path / "plant", progress=False) as plant:
        plant.add_reactor(number)

        def interrupted(self):
            monkeypatch.undo()
            raise KeyboardInterrupt

        monkeypatch.setattr(InlineExecutor, "collect", interrupted)
        with pytest.raises(KeyboardInterrupt):
            plant.get("number")
        assert plant.get("number") == 1


def test_a_mock_that_is_freed_removes_its_folder_without_a_warning(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    mock = PipeworkMock()
    mock.send("x", 1)
    assert list(tmp_path.iterdir())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del mock
        gc.collect()
    assert not list(tmp_path.iterdir())
    assert not [warning for warning in caught if "cleaning up" in str(warning.message)]
