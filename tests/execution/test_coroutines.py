"""Coroutines of reactors, on an event loop of their own."""

import asyncio
import contextvars
import threading

import pytest

from pyplant import Plant, ReactorFunc
from pyplant.errors import NotYieldedError

COLOUR = contextvars.ContextVar("colour", default="none")


async def add(a, b):
    await asyncio.sleep(0)
    return a + b


async def fail():
    await asyncio.sleep(0)
    raise ValueError("from the coroutine")


async def running_loop():
    return asyncio.get_running_loop()


@ReactorFunc
def adds(pipe):
    total = 0
    for number in range(3):
        total = yield pipe.run(add(total, number))
    pipe.send("total", total)


@ReactorFunc
def doubles(pipe):
    total = yield pipe.receive("total")
    doubled = yield from pipe.run(add(total, total))
    pipe.send("doubled", doubled)


@ReactorFunc
def recovers(pipe):
    try:
        yield pipe.run(fail())
    except ValueError as error:
        pipe.send("text", str(error))


@ReactorFunc
def fails(pipe):
    yield pipe.run(fail())


@ReactorFunc
def one_loop(pipe):
    first = yield pipe.run(running_loop())
    yield pipe.receive("total")
    second = yield pipe.run(running_loop())
    pipe.send("is one", first is second)


async def uses(pipe):
    pipe.send("colour", COLOUR.get() + pipe.read_config("suffix"))


@ReactorFunc
def in_context(pipe):
    COLOUR.set("red")
    yield pipe.run(uses(pipe))


def test_results_come_out_of_yield(plant):
    plant.add_reactor([adds, doubles])
    assert plant.get("doubled") == 6
    assert plant.run_reactor(doubles).ran == ()


def test_a_reactor_may_handle_the_exception(plant):
    plant.add_reactor(recovers)
    assert plant.get("text") == "from the coroutine"


def test_otherwise_it_is_that_of_the_reactor(plant):
    plant.add_reactor(fails)
    with pytest.raises(ValueError, match="from the coroutine"):
        plant.run_reactor(fails)


@pytest.fixture
def inline(plant_dir):
    with Plant(plant_dir, progress=False) as plant:
        yield plant


def test_a_reactor_has_one_loop_which_ends_with_it(inline):
    inline.add_reactor([adds, one_loop])
    assert inline.get("is one") is True
    assert not [thread for thread in threading.enumerate() if thread.name == "pyplant-coroutines"]


def test_the_coroutine_has_the_context_of_the_reactor(inline):
    inline.add_reactor(in_context)
    inline.set_config({"suffix": "!"})
    assert inline.get("colour") == "red!"
    inline.set_config({"suffix": "?"})
    assert inline.get("colour") == "red?"


def test_it_works_in_a_thread_with_a_running_loop(inline):
    async def ask():
        return inline.get("doubled")

    inline.add_reactor([adds, doubles])
    assert asyncio.run(ask()) == 6


def test_asyncio_run_in_such_a_thread_gets_a_hint(inline):
    @ReactorFunc
    def wrong(pipe):
        coroutine = add(1, 2)
        try:
            asyncio.run(coroutine)
        finally:
            coroutine.close()

    async def ask():
        inline.run_reactor(wrong)

    inline.add_reactor(wrong)
    with pytest.raises(RuntimeError, match="running event loop") as caught:
        asyncio.run(ask())
    assert any("yield pipe.run(coroutine)" in note for note in caught.value.__notes__)


def test_without_yield_it_is_an_error(inline):
    @ReactorFunc
    def forgets(pipe):
        coroutine = add(1, 2)
        pipe.run(coroutine)
        coroutine.close()
        yield

    inline.add_reactor(forgets)
    with pytest.raises(NotYieldedError, match=r"yield pipe\.run"):
        inline.run_reactor(forgets)


def test_what_is_no_coroutine_is_refused(inline):
    @ReactorFunc
    def wrong(pipe):
        yield pipe.run(add)

    inline.add_reactor(wrong)
    with pytest.raises(TypeError, match="takes a coroutine"):
        inline.run_reactor(wrong)
