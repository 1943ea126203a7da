"""Reactors that share the resources of a plant (``Plant(resources=...)``)."""

import os
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pyplant import Plant, ReactorFunc
from pyplant.errors import DefinitionError, PlantWarning, ResourcesError
from pyplant.events import ReactorStarted
from pyplant.store.processes import is_alive
from pyplant.workers.worker_environment import visible_devices

PATIENCE = 60
# Reactors count in objects of their test, which thread pools share.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pyplant.errors.StateWarning"),
    pytest.mark.filterwarnings("ignore::pyplant.errors.OpaqueWarning"),
]


def wait_until(condition):
    limit = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > limit:
            raise TimeoutError
        time.sleep(0.01)


def wait_for(path):
    """Wait for a file that another worker creates."""
    wait_until(Path(path).exists)


@pytest.fixture
def threads():
    with ThreadPoolExecutor(4) as pool:
        yield pool


class Meter:
    """Counts how many of its users run at the same time."""

    def __init__(self):
        self.lock = threading.Lock()
        self.running = self.most = 0

    def __enter__(self):
        with self.lock:
            self.running += 1
            self.most = max(self.most, self.running)

    def __exit__(self, *_):
        with self.lock:
            self.running -= 1


def users(count, meter, seconds=0.05, **resources):
    """Return reactors that need the same and measure how many of them run at once."""

    def user(number):
        @ReactorFunc(name=f"user {number}", resources=resources)
        def use(pipe):
            with meter:
                time.sleep(seconds)
            pipe.send(f"user {number}", number)

        return use

    return [user(number) for number in range(count)]


def get_all(plant, reactors):
    plant.add_reactor(reactors)
    assert plant.get([f"user {number}" for number in range(len(reactors))]) == list(range(len(reactors)))


class TestThreads:
    def test_no_more_reactors_run_than_the_budget_has_resources_for(self, tmp_path, threads):
        meter = Meter()
        with Plant(tmp_path, executor=threads, resources={"license": 2}, progress=False) as plant:
            get_all(plant, users(8, meter, license=1))
        assert meter.most == 2

    def test_control_with_enough_resources_all_workers_are_used(self, tmp_path, threads):
        meter = Meter()
        with Plant(tmp_path, executor=threads, resources={"license": 9}, progress=False) as plant:
            get_all(plant, users(8, meter, license=1))
        assert meter.most == 4

    def test_memory_is_a_text_on_either_side(self, tmp_path, threads):
        meter = Meter()
        with Plant(tmp_path, executor=threads, resources={"memory": "60 GB"}, progress=False) as plant:
            get_all(plant, users(6, meter, memory="0.02 TB"))
        assert meter.most == 3

    def test_reactors_that_need_nothing_pass_those_that_wait(self, tmp_path, threads):
        folder = str(tmp_path)

        def holder(name):
            @ReactorFunc(name=name, resources={"GPU": 1})
            def hold(pipe):
                wait_for(Path(folder, "free ran"))
                pipe.send(name, 1)

            return hold

        holders = [holder(f"holder {number}") for number in range(20)]

        @ReactorFunc
        def free(pipe):
            Path(folder, "free ran").touch()
            pipe.send("free", 2)

        with Plant(tmp_path / "plant", executor=threads, resources={"GPU": 1}, progress=False) as plant:
            plant.add_reactor(holders, free)
            names = [f"holder {number}" for number in range(20)]
            assert plant.get([*names, "free"]) == [1] * 20 + [2]

    @pytest.mark.slow
    def test_a_big_one_gets_its_turn_in_a_stream_of_small_ones(self, tmp_path, threads):
        order = []

        def small(number):
            @ReactorFunc(name=f"user {number}", resources={"GPU": 1})
            def use(pipe):
                time.sleep(0.02)
                order.append("small")
                pipe.send(f"user {number}", number)

            return use

        @ReactorFunc(resources={"GPU": 2})
        def big(pipe):
            order.append("big")
            pipe.send("big", 1)

        with Plant(tmp_path, executor=threads, resources={"GPU": 2}, progress=False) as plant:
            plant.add_reactor(*[small(number) for number in range(2)], big, *[small(n) for n in range(2, 40)])
            plant.get(["user 0", "user 1", "big", *[f"user {number}" for number in range(2, 40)]])
        assert order.index("big") < 20

    def test_a_reactor_that_waits_for_resources_has_not_started(self, tmp_path, threads):
        started, seen = [], []

        def user(number):
            @ReactorFunc(name=f"user {number}", resources={"GPU": 1})
            def use(pipe):
                time.sleep(0.05)
                seen.append(len(started))
                pipe.send(f"user {number}", number)

            return use

        with Plant(tmp_path, executor=threads, resources={"GPU": 1}, progress=False) as plant:
            plant.add_event_listener(
                lambda event: started.append(event) if isinstance(event, ReactorStarted) else None
            )
            get_all(plant, [user(number) for number in range(4)])
        assert seen == [1, 2, 3, 4]

    def test_resources_are_returned_after_a_failure_and_in_the_next_run(self, tmp_path, threads):
        @ReactorFunc(resources={"GPU": 1})
        def bad(pipe):
            raise ValueError

        @ReactorFunc(resources={"GPU": 1})
        def good(pipe):
            pipe.send("good", 1)

        with Plant(tmp_path, executor=threads, resources={"GPU": 1}, progress=False) as plant:
            plant.add_reactor(bad, good)
            for _ in range(3):
                with pytest.raises(ValueError):
                    plant.run_reactor(bad)
            assert plant.get("good") == 1

    def test_a_reactor_that_asks_for_more_inputs_returns_its_resources_meanwhile(self, tmp_path, threads):
        @ReactorFunc(resources={"GPU": 1})
        def source(pipe):
            pipe.send("source", 2)

        @ReactorFunc(resources={"GPU": 1})
        def target(pipe):
            value = yield pipe.receive(
                "".join(["sou", "rce"])
            )  # not named literally, so it is asked for late
            pipe.send("target", value + 1)

        with Plant(tmp_path, executor=threads, resources={"GPU": 1}, progress=False) as plant:
            plant.add_reactor(source, target)
            assert plant.get("target") == 3

    def test_reactors_that_only_this_process_can_execute_keep_to_it_too(self, tmp_path, threads):
        meter = Meter()

        def of_kernel(number):
            @ReactorFunc(name=f"user {number}", resources={"GPU": 1})
            def use(pipe):
                with meter:
                    time.sleep(0.02)
                if number < 0:
                    get_ipython()  # noqa: F821 - only the kernel has it
                pipe.send(f"user {number}", number)

            return use

        kernel = [of_kernel(number) for number in range(4, 7)]
        with Plant(tmp_path, executor=threads, resources={"GPU": 1}, progress=False) as plant:
            get_all(plant, [*users(4, meter, GPU=1), *kernel])
        assert meter.most == 1

    def test_a_sweep_keeps_to_the_budget(self, tmp_path, threads):
        meter = Meter()

        @ReactorFunc(resources={"GPU": 1})
        def use(pipe, config):
            with meter:
                time.sleep(0.02)
            pipe.send("x", config.step)

        with Plant(tmp_path, executor=threads, resources={"GPU": 1}, progress=False) as plant:
            plant.add_reactor(use)
            plant.set_config({"step": 0})
            assert len(plant.sweep(use, {"step": range(6)}, ["x"]).rows) == 6
        assert meter.most == 1


class TestNever:
    @pytest.fixture(params=["inline", "threads"])
    def plant(self, request, tmp_path):
        executor = None if request.param == "inline" else request.getfixturevalue("threads")
        with Plant(tmp_path, executor=executor, resources={"GPU": 2}, progress=False) as plant:
            yield plant

    def test_what_can_never_be_given_is_an_error_before_anything_runs(self, plant):
        ran = []

        @ReactorFunc
        def source(pipe):
            ran.append("source")
            pipe.send("source", 1)

        @ReactorFunc(resources={"GPU": 3})
        def train(pipe):
            yield pipe.receive("source")
            pipe.send("model", 1)

        @ReactorFunc
        def plot(pipe):
            yield pipe.receive("model")

        plant.add_reactor(source, train, plot)
        with pytest.raises(ResourcesError, match=r"Reactor 'train' needs 3 of 'GPU', and the plant has 2"):
            plant.run_reactor(plot)
        assert ran == []
        assert plant.get("source") == 1  # the plant works on

    def test_the_error_does_not_wait_for_others_that_are_ready(self, plant):
        ran = []

        @ReactorFunc(resources={"GPU": 3})
        def train(pipe):
            pipe.send("model", 1)

        @ReactorFunc
        def slow(pipe):
            ran.append("slow")
            pipe.send("slow", 1)

        @ReactorFunc
        def plot(pipe):
            yield pipe.receive("model", "slow")

        plant.add_reactor(train, slow, plot)
        with pytest.raises(ResourcesError):
            plant.run_reactor(plot)
        assert ran == []

    def test_others_run_if_the_run_keeps_going(self, plant):
        @ReactorFunc(resources={"GPU": 3})
        def train(pipe):
            pipe.send("model", 1)

        @ReactorFunc
        def source(pipe):
            pipe.send("source", 1)

        @ReactorFunc
        def plot(pipe):
            yield pipe.receive("source", "model")

        plant.add_reactor(train, source, plot)
        with pytest.raises(ExceptionGroup) as caught:
            plant.run_reactor(plot, keep_going=True)
        assert [type(error) for error in caught.value.exceptions] == [ResourcesError]
        assert plant.fetch_ingredient("source") == 1

    def test_a_stored_result_needs_no_resources(self, plant, tmp_path):
        @ReactorFunc(resources={"GPU": 3})
        def train(pipe):
            pipe.send("model", 1)

        with Plant(tmp_path, progress=False) as other:
            other.add_reactor(train)
            assert other.get("model") == 1
        plant.add_reactor(train)
        assert plant.get("model") == 1


class TestWithoutBudget:
    def warnings_of(self, plant, runs=2):
        @ReactorFunc(resources={"GPU": 1})
        def train(pipe, config):
            pipe.send("model", config.n)

        @ReactorFunc(resources={"memory": "1 GB"})
        def other(pipe, config):
            pipe.send("other", config.n)

        plant.add_reactor(train, other)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            for number in range(runs):
                plant.set_config({"n": number})
                plant.get("model")
                plant.get("other")
        return [str(one.message) for one in said if one.category is PlantWarning]

    def test_one_warning_names_the_reactor_and_the_remedy(self, tmp_path, threads):
        with Plant(tmp_path, executor=threads, progress=False) as plant:
            assert self.warnings_of(plant) == [
                "Reactor 'train' declares resources={'GPU': 1}, but nothing limits how many reactors use them at once. Say "
                "what there is: Plant(..., resources={'GPU': 1})."
            ]

    def test_one_reactor_at_a_time_shares_with_none(self, tmp_path):
        with Plant(tmp_path / "inline", progress=False) as plant:
            assert self.warnings_of(plant) == []
        with ThreadPoolExecutor(1) as pool, Plant(tmp_path / "one", executor=pool, progress=False) as plant:
            assert self.warnings_of(plant) == []

    def test_with_a_budget_there_is_none(self, tmp_path, threads):
        resources = {"GPU": 1, "memory": "1 GB"}
        with Plant(tmp_path, executor=threads, resources=resources, progress=False) as plant:
            assert self.warnings_of(plant) == []


class TestArguments:
    def test_amounts_of_reactors_are_checked_where_they_are_defined(self):
        with pytest.raises(DefinitionError, match=r"Reactor 'train'.*'GPU' is 'two', which is not an amount"):

            @ReactorFunc(resources={"GPU": "two"})
            def train(pipe):
                pass

        with pytest.raises(DefinitionError, match=r"Reactor 'load'.*is not a size"):

            @ReactorFunc(resources={"memory": "much"})
            def load(pipe):
                pass

    def test_a_cluster_has_resources_of_its_own(self, tmp_path):
        class Client:
            submit = None

        Client.__module__ = "distributed.client"
        with pytest.raises(ResourcesError, match="dask worker --resources"):
            Plant(tmp_path, executor=Client(), resources={"GPU": 1}, progress=False)

    def test_a_plant_cannot_offer_more_devices_than_it_sees(self, tmp_path, monkeypatch):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
        with pytest.raises(ResourcesError, match=r"'GPU': 2.* than CUDA_VISIBLE_DEVICES=3 shows\. Offer 1"):
            Plant(tmp_path, executor=2, resources={"GPU": 2}, progress=False)


@pytest.mark.parametrize(
    ("seen", "devices", "expected"),
    [
        (None, (0, 2), "0,2"),
        ("3,5,7", (0, 2), "3,7"),
        ("GPU-8f, MIG-1", (1,), "MIG-1"),
        ("", (0,), ""),
        ("-1", (1,), "-1"),
    ],
)
def test_devices_index_those_that_the_user_shows(seen, devices, expected):
    environment = {} if seen is None else {"CUDA_VISIBLE_DEVICES": seen}
    assert visible_devices(devices, environment) == expected


@pytest.mark.slow
class TestProcesses:
    @pytest.fixture
    def plant(self, tmp_path, monkeypatch):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
        with Plant(tmp_path / "plant", executor=2, resources={"GPU": 2}, progress=False) as plant:
            yield plant

    @staticmethod
    def users(count, gpus, meet_in=None):
        def user(number):
            @ReactorFunc(name=f"user {number}", resources={"GPU": gpus})
            def use(pipe):
                if meet_in is not None:
                    Path(meet_in, str(number)).touch()
                    wait_for(Path(meet_in, str(1 - number)))
                pipe.send(f"user {number}", [os.environ["CUDA_VISIBLE_DEVICES"], os.getpid()])

            return use

        return [user(number) for number in range(count)]

    def test_two_reactors_at_once_see_different_devices(self, plant, tmp_path):
        plant.add_reactor(self.users(2, 1, str(tmp_path)))
        first, second = plant.get("user 0", "user 1")
        assert {first[0], second[0]} == {"4", "6"}
        assert first[1] != second[1]

    def test_a_worker_keeps_its_devices(self, plant):
        plant.add_reactor(self.users(6, 1))
        seen = plant.get([f"user {number}" for number in range(6)])
        assert len({tuple(one) for one in seen}) == len({process for _, process in seen}) <= 2

    def test_a_reactor_may_use_all_devices_after_the_workers_that_used_them_ended(self, plant):
        @ReactorFunc(resources={"GPU": 2})
        def both(pipe):
            yield pipe.receive("user 0", "user 1")
            pipe.send("both", os.environ["CUDA_VISIBLE_DEVICES"])

        plant.add_reactor(self.users(2, 1), both)
        assert plant.get("both") == "4,6"
        for _, process in plant.get("user 0", "user 1"):  # they would keep memory of the devices
            wait_until(lambda process=process: not is_alive(process))

    def test_two_reactors_may_share_a_device(self, plant, tmp_path):
        plant.add_reactor(self.users(2, 0.5, str(tmp_path)))
        first, second = plant.get("user 0", "user 1")
        assert first[0] == second[0] == "4"
        assert first[1] != second[1]

    def test_others_see_what_the_plant_sees(self, plant):
        @ReactorFunc
        def plain(pipe):
            pipe.send("plain", os.environ["CUDA_VISIBLE_DEVICES"])

        plant.add_reactor(plain)
        assert plant.get("plain") == "4,6"

    def test_a_worker_that_dies_takes_no_others_with_it(self, plant, tmp_path):
        folder = str(tmp_path)

        @ReactorFunc(resources={"GPU": 1})
        def dies(pipe):
            if not Path(folder, "died").exists():
                Path(folder, "died").touch()
                wait_for(Path(folder, "lives"))
                os._exit(1)
            pipe.send("dies", os.environ["CUDA_VISIBLE_DEVICES"])

        @ReactorFunc(resources={"GPU": 1})
        def lives(pipe):
            assert not Path(folder, "lives").exists()  # it is not repeated
            Path(folder, "lives").touch()
            wait_for(Path(folder, "died"))
            time.sleep(0.5)
            pipe.send("lives", os.environ["CUDA_VISIBLE_DEVICES"])

        plant.add_reactor(dies, lives)
        assert set(plant.get("dies", "lives")) == {"4", "6"}
