"""The order in which waiting jobs start."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyplant.execution.budget import Budget
from pyplant.execution.executor import Job
from pyplant.workers.admission import AdmissionQueue


def job(name, **resources):
    return Job(None, SimpleNamespace(definition=SimpleNamespace(name=name, resources=resources)))


def name_of(job):
    return job.execution.definition.name


def take(queue, max_overtaken=100):
    taken = queue.take(max_overtaken)
    return taken and taken[0]


@pytest.fixture
def queue():
    return AdmissionQueue(Budget({"GPU": 2, "memory": 10}))


def put(queue, *jobs):
    for one in jobs:
        queue.put(one)


def names(queue, max_overtaken=100):
    """Take all jobs that may start now."""
    found = []
    while (taken := take(queue, max_overtaken)) is not None:
        found.append(name_of(taken))
    return found


def test_without_a_budget_all_start_in_order():
    queue = AdmissionQueue(None)
    put(queue, job("a", GPU=9), job("b"), job("c", GPU=9))
    assert names(queue) == ["a", "b", "c"]


def test_a_job_waits_until_its_resources_are_free(queue):
    first = job("first", GPU=1)
    put(queue, first, job("second", GPU=1), job("third", GPU=1))
    assert names(queue) == ["first", "second"]
    assert len(queue) == 1
    queue.release(first)
    assert names(queue) == ["third"]


def test_one_that_waits_does_not_keep_out_those_that_fit(queue):
    put(queue, job("a", GPU=1), job("big", GPU=2), job("b", memory=5), job("c"), job("d", GPU=1))
    assert names(queue) == ["a", "b", "c", "d"]
    assert name_of(queue.first) == "big"


def test_a_job_put_back_is_the_first_again(queue):
    returned = job("returned", GPU=2)
    put(queue, job("a", GPU=1))
    queue.put(returned, first=True)
    assert names(queue) == ["returned"]


def test_zero_is_not_an_amount(queue):
    put(queue, job("all", GPU=2), job("none", GPU=0, TPU=0))
    assert names(queue) == ["all", "none"]


def test_a_big_one_gets_its_turn_in_a_stream_of_small_ones():
    queue = AdmissionQueue(Budget({"GPU": 2}))
    running = [job("small", GPU=1), job("small", GPU=1)]
    put(queue, *running)
    assert names(queue) == ["small", "small"]
    put(queue, job("big", GPU=2), *[job("small", GPU=1) for _ in range(20)])
    started = []
    while "big" not in started:
        queue.release(running.pop(0))
        while (taken := take(queue, 3)) is not None:
            started.append(name_of(taken))
            running.append(taken)
    assert started == ["small"] * 3 + ["big"]


def test_control_without_a_limit_it_is_the_last():
    queue = AdmissionQueue(Budget({"GPU": 2}))
    running = [job("small", GPU=1), job("small", GPU=1)]
    put(queue, *running, job("big", GPU=2), *[job("small", GPU=1) for _ in range(20)])
    names(queue)
    started = []
    while len(queue):
        queue.release(running.pop(0))
        while (taken := take(queue)) is not None:
            started.append(name_of(taken))
            running.append(taken)
    assert started[-1] == "big"


def test_one_that_was_overtaken_often_keeps_out_only_those_with_its_resources(queue):
    put(queue, job("a", GPU=1), job("big", GPU=2), job("b", GPU=1), job("c", memory=1), job("d"))
    assert names(queue, max_overtaken=0) == ["a", "c", "d"]


def test_clear_returns_everything(queue):
    put(queue, job("a", GPU=2), job("b", GPU=2))
    names(queue)
    queue.clear()
    put(queue, job("c", GPU=2))
    assert names(queue) == ["c"]


@given(
    st.lists(st.fixed_dictionaries({"GPU": st.integers(0, 2), "memory": st.integers(0, 10)}), max_size=25),
    st.integers(0, 4),
    st.randoms(),
)
def test_every_job_starts_and_the_budget_holds(wanted, max_overtaken, random):
    queue, running, started = AdmissionQueue(Budget({"GPU": 2, "memory": 10})), [], 0
    put(queue, *[job(str(number), **resources) for number, resources in enumerate(wanted)])
    while len(queue) or running:
        while (taken := take(queue, max_overtaken)) is not None:
            started += 1
            running.append(taken)
        for name, limit in (("GPU", 2), ("memory", 10)):
            assert sum(one.execution.definition.resources[name] for one in running) <= limit
        assert running
        queue.release(running.pop(random.randrange(len(running))))
    assert started == len(wanted)
