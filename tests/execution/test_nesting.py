"""Calls of a plant from threads that work for its reactors: an error, never a deadlock."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.pool import ThreadPool

import pytest

from pyplant import Plant, ReactorFunc
from pyplant.errors import ConfigChangedError, NestedRunError
from pyplant.execution import nesting
from pyplant.execution.nesting import is_inside_reactor

PATIENCE = 30

pytestmark = [pytest.mark.timeout(120), pytest.mark.filterwarnings("ignore::pyplant.errors.PlantWarning")]


def in_a_thread(call):
    found = []

    def run():
        try:
            found.append(call())
        except BaseException as error:
            found.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    if isinstance(found[0], BaseException):
        raise found[0]
    return found[0]


def in_a_pool(call):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call).result(PATIENCE)


def in_a_standing_pool(call):
    return standing.submit(call).result(PATIENCE)


@pytest.fixture(scope="module", autouse=True)
def _standing_pools():
    """Pools whose threads start before any reactor."""
    global standing, standing_threads
    with ThreadPoolExecutor(1) as standing, ThreadPool(1) as standing_threads:
        standing.submit(int).result()
        standing_threads.apply(int)
        yield


def in_a_standing_multiprocessing_pool(call):
    return standing_threads.apply_async(call).get(PATIENCE)


def by_map_of_a_multiprocessing_pool(call):
    return standing_threads.map_async(lambda _: call(), [0]).get(PATIENCE)[0]


def by_map(call):
    return next(standing.map(lambda _: call(), [0]))


def in_a_thread_of_a_thread(call):
    return in_a_thread(lambda: in_a_pool(call))


def in_a_multiprocessing_pool(call):
    with ThreadPool(1) as pool:
        return pool.apply_async(call).get(PATIENCE)


def by_asyncio(call):
    return asyncio.run(asyncio.wait_for(asyncio.to_thread(call), PATIENCE))


def by_the_executor_of_a_loop(call):
    async def run():
        return await asyncio.get_running_loop().run_in_executor(None, call)

    return asyncio.run(asyncio.wait_for(run(), PATIENCE))


def on_a_loop_of_another_thread(call):
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def run():
        return call()

    try:
        return asyncio.run_coroutine_threadsafe(run(), loop).result(PATIENCE)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(PATIENCE)


def directly(call):
    return call()


WAYS = [
    directly,
    in_a_thread,
    in_a_pool,
    in_a_standing_pool,
    by_map,
    in_a_thread_of_a_thread,
    in_a_multiprocessing_pool,
    in_a_standing_multiprocessing_pool,
    by_map_of_a_multiprocessing_pool,
    by_asyncio,
    by_the_executor_of_a_loop,
    on_a_loop_of_another_thread,
]

CALLS = {
    "get": lambda plant: plant.get("data"),
    "run_reactor": lambda plant: plant.run_reactor("data"),
    "sweep": lambda plant: plant.sweep("data", {"n": [1]}),
    "export": lambda plant: plant.export(["data"], "nowhere"),
    "status": lambda plant: plant.status(),
    "plan": lambda plant: plant.plan("data"),
    "explain": lambda plant: plant.explain("data"),
    "history": lambda plant: plant.history("data"),
    "fetch_ingredient": lambda plant: plant.fetch_ingredient("data"),
    "gc": lambda plant: plant.gc(),
    "fsck": lambda plant: plant.fsck(),
    "invalidate": lambda plant: plant.invalidate("data"),
    "graph": lambda plant: plant.graph(),
}


@pytest.fixture(params=["inline", "threads"])
def place(request):
    return request.param


def reactors(plant, call):
    @ReactorFunc
    def data(pipe):
        pipe.send("data", 1)

    @ReactorFunc
    def asks(pipe):
        pipe.send("answer", str(call()))

    plant.add_reactor(data, asks)


@pytest.mark.parametrize("way", WAYS)
def test_a_run_inside_a_run_is_refused_in_every_thread(way, plant):
    reactors(plant, lambda: way(lambda: plant.get("data")))
    with pytest.raises(NestedRunError, match="inside a reactor"):
        plant.get("answer")
    assert plant.get("data") == 1


@pytest.mark.parametrize("name", CALLS)
def test_every_call_returns_or_raises_in_a_thread_of_a_reactor(name, plant):
    reactors(plant, lambda: in_a_thread(lambda: CALLS[name](plant)))
    with pytest.raises(NestedRunError, match=r"plant\."):
        plant.get("answer")


def test_a_reactor_cannot_fetch_from_its_own_plant(plant):
    reactors(plant, lambda: plant.fetch_ingredient("data"))
    assert plant.get("data") == 1
    with pytest.raises(NestedRunError, match=r"pipe\.receive"):  # an edit of data would not rerun the reactor
        plant.get("answer")


def test_a_reactor_cannot_read_the_configuration_of_the_plant(plant):
    reactors(plant, lambda: plant.config["n"])
    plant.set_config({"n": 1})
    with pytest.raises(
        NestedRunError, match=r"\(pipe, config\)"
    ):  # a change of n would not rerun the reactor
        plant.get("answer")
    assert plant.config == {"n": 1}


def test_a_listener_can_read_the_configuration_of_the_plant(plant):
    seen = []
    plant.set_config({"n": 1})
    plant.add_event_listener(lambda event: seen.append((type(event).__name__, plant.config["n"])))
    reactors(plant, int)
    assert plant.get("answer") == "0"
    assert ("IngredientSent", 1) in seen


def test_a_reactor_can_fetch_from_another_plant(plant, tmp_path):
    with Plant(tmp_path / "other", progress=False) as other:
        reactors(other, int)
        assert other.get("data") == 1
        reactors(plant, lambda: other.fetch_ingredient("data"))
        assert plant.get("answer") == "1"


def test_the_configuration_is_read_only_in_threads_too(plant):
    reactors(plant, lambda: in_a_thread(lambda: plant.set_config({})))
    with pytest.raises(ConfigChangedError):
        plant.get("answer")


def test_a_thread_that_outlives_its_reactor_may_use_the_plant(plant):
    goes_on = threading.Event()
    answers = []

    def later():
        goes_on.wait(PATIENCE)
        answers.append(plant.get("data"))

    threads = []

    def start():
        threads.append(threading.Thread(target=later, daemon=True))
        threads[0].start()
        return ""

    @ReactorFunc(cache=False)
    def begins(pipe):
        start()
        pipe.send("begun", 1)

    @ReactorFunc
    def data(pipe):
        pipe.send("data", 1)

    plant.add_reactor(begins, data)
    assert plant.get("begun") == 1
    goes_on.set()
    threads[0].join(PATIENCE)
    assert answers == [1]


def test_a_thread_of_a_pool_may_use_the_plant_after_its_task(tmp_path):
    with Plant(tmp_path / "plant", progress=False) as plant:
        reactors(plant, lambda: in_a_standing_pool(is_inside_reactor))
        assert plant.get("answer") == "True"
        assert in_a_standing_pool(is_inside_reactor) is False
        assert in_a_standing_pool(lambda: plant.get("data")) == 1


def test_threads_of_the_user_wait_for_each_other(tmp_path):
    began = threading.Event()
    ends = threading.Event()

    @ReactorFunc
    def slow(pipe):
        began.set()
        ends.wait(PATIENCE)
        pipe.send("slow", 1)

    @ReactorFunc
    def data(pipe):
        pipe.send("data", 2)

    with Plant(tmp_path / "plant", progress=False) as plant, ThreadPoolExecutor(2) as users:
        plant.add_reactor(slow, data)
        first = users.submit(plant.get, "slow")
        assert began.wait(PATIENCE)
        second = users.submit(plant.get, "data")
        time.sleep(0.2)
        assert not second.done()
        ends.set()
        assert [first.result(PATIENCE), second.result(PATIENCE)] == [1, 2]


def test_methods_that_start_threads_are_wrapped_once(tmp_path):
    start = threading.Thread.start
    nesting.watch_threads()
    with Plant(tmp_path / "plant", progress=False) as plant:
        reactors(plant, lambda: 1)
        plant.get("answer")
    nesting.watch_threads()
    assert threading.Thread.start is nesting.threading.Thread.start
    assert start.__name__ == "start"
    assert threading.Thread.start.__wrapped__.__name__ == "start"
    assert not hasattr(threading.Thread.start.__wrapped__, "__wrapped__")
