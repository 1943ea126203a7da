"""Reactors executed by workers: threads, processes, a Dask cluster."""

import importlib
import logging
import os
import signal
import sys
import textwrap
import threading
import time
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from pyplant import Plant, ReactorFunc, SubreactorFunc, specs
from pyplant.errors import PlantDirError, PlantWarning, RunError, UnsavedWarning, WorkerError
from pyplant.events import ProgressAdvanced, ReactorAssigned, ReactorStarted, ReactorWaiting
from pyplant.execution.budget import Grant
from pyplant.execution.context import RunContext
from pyplant.fingerprint.digest import digest_bytes
from pyplant.workers import parallel_executor
from pyplant.workers.messages import CONTEXT, PlantUnreachable, TaskRequest, in_process_runs, this_process
from pyplant.workers.pickling import dumps, loads
from pyplant.workers.pools import DaskPool, FuturesPool, LocalPool, pool_of
from pyplant.workers.worker_main import check_visibility, execute

PATIENCE = 60
pytestmark = pytest.mark.slow


def wait_for(path):
    """Wait for a file that another process creates."""
    limit = time.monotonic() + PATIENCE
    while not Path(path).exists():
        if time.monotonic() > limit:
            raise TimeoutError(path)
        time.sleep(0.01)


@pytest.fixture
def plant(tmp_path, executor):
    with Plant(tmp_path / "plant", executor=executor, progress=False) as plant:
        yield plant


@pytest.fixture
def events(plant):
    seen = []
    plant.add_event_listener(seen.append)
    return seen


def started(events):
    return [event.reactor for event in events if isinstance(event, ReactorStarted)]


# ---------------------------------------------------------------------- order of execution


def test_a_chain_gives_the_same_results_as_inline(plant):
    @ReactorFunc
    def numbers(pipe, config):
        pipe.send("numbers", list(range(config.count)))

    @ReactorFunc
    def total(pipe):
        numbers = yield pipe.receive("numbers")
        pipe.send("total", sum(numbers))

    plant.set_config({"count": 5})
    plant.add_reactor(numbers, total)
    assert plant.get("total") == 10
    assert plant.run_reactor(total).ran == ()
    plant.set_config({"count": 6})
    assert plant.get("total") == 15


def test_two_reactors_run_at_the_same_time(plant, tmp_path):
    folder = str(tmp_path)

    def meet(mine, other):
        Path(folder, mine).touch()
        wait_for(Path(folder, other))

    @ReactorFunc
    def left(pipe):
        meet("left", "right")
        pipe.send("left", 1)

    @ReactorFunc
    def right(pipe):
        meet("right", "left")
        pipe.send("right", 2)

    plant.add_reactor(left, right)
    assert plant.get("left", "right") == (1, 2)


def test_unconditional_receives_are_made_at_the_same_time(plant, tmp_path):
    folder = str(tmp_path)

    @ReactorFunc
    def left(pipe):
        Path(folder, "left").touch()
        wait_for(Path(folder, "right"))
        pipe.send("left", 1)

    @ReactorFunc
    def right(pipe):
        Path(folder, "right").touch()
        wait_for(Path(folder, "left"))
        pipe.send("right", 2)

    @ReactorFunc
    def both(pipe):
        a = yield pipe.receive("left")
        b = yield pipe.receive("right")
        pipe.send("both", a + b)

    plant.add_reactor(left, right, both)
    assert plant.get("both") == 3


def test_a_reactor_with_a_thousand_predicted_receives_starts_once(plant, tmp_path):
    log = str(tmp_path / "log")
    names = [f"x{number}" for number in range(1000)]

    @ReactorFunc
    def many(pipe):
        for number in range(1000):
            pipe.send(f"x{number}", number)

    @ReactorFunc
    def collect(pipe):
        with open(log, "a") as stream:
            stream.write("begun\n")
        values = yield pipe.receive(*names)
        pipe.send("sum", sum(values))

    plant.add_reactor(many, collect)
    plant.run_reactor(many)
    assert plant.get("sum") == 499_500
    begun = Path(log).read_text().count("begun")
    assert begun <= 2  # the names are no literals: it may have to ask once


def test_a_reactor_that_receives_an_unpredicted_name_restarts_and_shows_nothing_twice(plant, capfd, events):
    @ReactorFunc
    def part(pipe):
        pipe.send("part 1", 1)

    @ReactorFunc
    def chooses(pipe, config):
        print("before")
        value = yield pipe.receive(f"part {config.number}")
        print("after")
        pipe.send("chosen", value)

    plant.set_config({"number": 1})
    plant.add_reactor(part, chooses)
    assert plant.get("chosen") == 1
    out = capfd.readouterr().out
    assert out.count("before") == out.count("after") == 1
    assert [event.names for event in events if isinstance(event, ReactorWaiting)] == [("part 1",)]


def test_an_attempt_that_asked_for_more_stores_nothing(plant, tmp_path):
    @ReactorFunc
    def part(pipe):
        pipe.send("part 1", 1)

    @ReactorFunc
    def chooses(pipe, config):
        array = pipe.allocate("array", "array", shape=(100_000,), dtype=float)
        value = yield pipe.receive(f"part {config.number}")
        array[:] = value
        pipe.send("array", array)

    plant.set_config({"number": 1})
    plant.add_reactor(part, chooses)
    assert plant.get("array").sum() == 100_000
    left = [path for path in (tmp_path / "plant" / "tmp").rglob("*") if path.is_file()]
    assert left == []


def test_workers_leave_no_scratch(plant, tmp_path):
    @ReactorFunc
    def many(pipe):
        pipe.send("many", np.arange(10_000))

    plant.add_reactor(many)
    plant.run_reactor(many)
    plant.close()
    assert list((tmp_path / "plant" / "tmp").iterdir()) == []


def test_no_more_run_than_there_are_workers(tmp_path, processes):
    folder = str(tmp_path)

    def step(number):
        @ReactorFunc(name=f"step{number}")
        def reactor(pipe):
            mine = Path(folder, f"running-{number}")
            mine.touch()
            time.sleep(0.05)
            pipe.send(f"seen {number}", len(list(Path(folder).glob("running-*"))))
            mine.unlink()

        return reactor

    with Plant(tmp_path / "plant", executor=processes, progress=False) as plant:
        plant.add_reactor(*map(step, range(8)))
        assert max(plant.get(*(f"seen {number}" for number in range(8)))) <= 2


def test_the_reactor_on_the_critical_path_runs_first(tmp_path, pools):
    log = tmp_path / "log"
    path = str(log)

    def chain(name, seconds):
        @ReactorFunc(name=name)
        def reactor(pipe, config):
            with open(path, "a") as stream:
                stream.write(f"{name}\n")
            time.sleep(seconds)
            pipe.send(name, config.version)

        return reactor

    with Plant(tmp_path / "plant", executor=pools("threads"), progress=False) as plant:
        names = ["a", "b", "c", "d", "e", "slow"]
        plant.add_reactor(*(chain(name, 1.0 if name == "slow" else 0.01) for name in names))
        plant.set_config({"version": 1})
        plant.get(*names)
        log.unlink()
        plant.set_config({"version": 2})
        plant.get(*names)
    assert log.read_text().split().index("slow") < 2


def test_the_reactor_on_the_critical_path_has_the_highest_priority(tmp_path, pools, monkeypatch):
    priority = {}

    def submit(self, order, packed, resources, urgent):
        priority.setdefault(in_process_runs[order.folder].tasks[order.name].definition.name, urgent)
        return original(self, order, packed, resources, urgent)

    original = FuturesPool.submit

    @ReactorFunc
    def quick(pipe, config):
        pipe.send("quick", config.version)

    @ReactorFunc
    def slow(pipe, config):
        time.sleep(1.0)
        pipe.send("slow", config.version)

    with Plant(tmp_path / "plant", executor=pools("threads"), progress=False) as plant:
        plant.add_reactor(quick, slow)
        plant.set_config({"version": 1})
        plant.get("quick", "slow")
        monkeypatch.setattr(FuturesPool, "submit", submit)
        plant.set_config({"version": 2})
        plant.get("quick", "slow")
    assert priority["slow"] > priority["quick"]


def test_the_inline_executor_computes_no_priorities(tmp_path, monkeypatch):
    monkeypatch.setattr(RunContext, "remaining_seconds", lambda self, key: pytest.fail("asked"))

    @ReactorFunc
    def sends(pipe):
        pipe.send("x", 1)

    with Plant(tmp_path / "plant", progress=False) as plant:
        plant.add_reactor(sends)
        assert plant.get("x") == 1


# ---------------------------------------------------------------------- user code in workers


def test_values_stay_in_the_plant(tmp_path, processes, monkeypatch):
    sizes = []
    monkeypatch.setattr(parallel_executor, "loads", lambda data: sizes.append(len(data)) or loads(data))

    @ReactorFunc
    def big(pipe):
        pipe.send("array", np.ones(4_000_000))

    @ReactorFunc
    def reduces(pipe):
        array = yield pipe.receive("array")
        pipe.send("sum", float(array.sum()))

    with Plant(tmp_path / "plant", executor=processes, progress=False) as plant:
        plant.add_reactor(big, reduces)
        assert plant.get("sum") == 4e6
    assert max(sizes) < 20_000


class Shape:
    """A class of the user."""

    def __init__(self, sides):
        self.sides = sides


def test_instances_of_user_classes_keep_their_class(plant):
    @ReactorFunc
    def makes(pipe):
        pipe.send("shape", Shape(3))

    @ReactorFunc
    def looks(pipe):
        shape = yield pipe.receive("shape")
        pipe.send("same", isinstance(shape, Shape) and shape.sides == 3)

    plant.add_reactor(makes, looks)
    assert plant.get("same") is True
    assert type(plant.get("shape")) is Shape


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A user module that workers cannot import, since its folder is not on their path."""
    folder = tmp_path / "modules"
    folder.mkdir()
    path = folder / "sbs_helpers.py"

    def write(text):
        path.write_text(textwrap.dedent(text))
        importlib.invalidate_caches()
        sys.modules.pop("sbs_helpers", None)
        # It would serve texts of one second and one size.
        monkeypatch.setattr(sys, "dont_write_bytecode", True)
        monkeypatch.syspath_prepend(folder)
        return importlib.import_module("sbs_helpers")

    yield write
    sys.modules.pop("sbs_helpers", None)


@pytest.mark.parametrize("how", ["of the module", "of the function"])
def test_workers_run_the_edited_version_of_a_module_they_ran_before(plant, module, how):
    for factor in (2, 3, 2):
        helpers = module(f"def scale(x):\n    return {factor} * x\n")

        if how == "of the module":

            @ReactorFunc
            def scaled(pipe):
                pipe.send("scaled", helpers.scale(10))

        else:

            @ReactorFunc
            def scaled(pipe):
                import sbs_helpers

                pipe.send("scaled", sbs_helpers.scale(10))

        plant.add_reactor(scaled)
        assert plant.get("scaled") == 10 * factor


def test_all_configurations_run_the_loaded_code_not_the_code_on_disk(plant, module, tmp_path):
    module("def scale(x):\n    return 2 * x\n")
    (tmp_path / "modules" / "sbs_helpers.py").write_text("def scale(x):\n    return 3 * x\n")

    @ReactorFunc
    def scaled(pipe, config):
        import sbs_helpers

        pipe.send("scaled", sbs_helpers.scale(config.seed))

    plant.add_reactor(scaled)
    table = plant.sweep(scaled, {"seed": [1, 2, 3, 4]}, ["scaled"])
    assert [row.ingredients["scaled"] for row in table] == [2, 4, 6, 8]


@pytest.mark.filterwarnings("ignore::pyplant.errors.OpaqueWarning")
def test_a_module_is_sent_without_what_cannot_be_pickled(plant, module):
    helpers = module("import threading\nlock = threading.Lock()\ndef scale(x):\n    return 2 * x\n")

    @ReactorFunc
    def scaled(pipe):
        pipe.send("scaled", helpers.scale(10))

    plant.add_reactor(scaled)
    assert plant.get("scaled") == 20


@pytest.mark.filterwarnings("ignore::pyplant.errors.OpaqueWarning")
def test_a_subreactor_that_the_code_does_not_name_is_a_dependency(plant):
    def make(factor):
        @SubreactorFunc
        def chosen(pipe):
            return factor

        return chosen

    table = {"a": make(2), "b": make(3)}

    @ReactorFunc
    def uses(pipe, config):
        value = yield from table[config.which](pipe)
        pipe.send("value", value)

    plant.add_reactor(uses)
    plant.set_config({"which": "a"})
    assert plant.get("value") == 2
    plant.set_config({"which": "b"})
    assert plant.get("value") == 3
    assert plant.run_reactor(uses).ran == ()


# ---------------------------------------------------------------------- output and errors


def test_output_names_its_reactor(plant, capfd):
    @ReactorFunc
    def speaks(pipe):
        print("to out\nagain")
        print("to err", file=sys.stderr)
        pipe.send("x", 1)

    plant.add_reactor(speaks)
    plant.get("x")
    out, err = capfd.readouterr()
    assert out.splitlines() == ["speaks | to out", "speaks | again"]
    assert "speaks | to err" in err


def test_log_records_reach_the_loggers_of_the_coordinator(plant, caplog):
    @ReactorFunc
    def logs(pipe):
        logging.getLogger("of.the.user").warning("number %d", 7)
        pipe.send("x", 1)

    plant.add_reactor(logs)
    plant.get("x")
    assert ("of.the.user", logging.WARNING, "number 7") in caplog.record_tuples


def test_progress_and_prints_are_shown_while_the_reactor_runs(plant, tmp_path, capfd):
    gate = str(tmp_path / "gate")
    seen = []

    @ReactorFunc
    def slow(pipe):
        print("begun")
        for _ in pipe.progress(range(2), "steps"):
            wait_for(gate)
        pipe.send("x", 1)

    def listener(event):
        if isinstance(event, ProgressAdvanced):
            seen.append(event.done)
            Path(gate).touch()  # the reactor waits for this file

    plant.add_event_listener(listener)
    plant.add_reactor(slow)
    plant.get("x")
    assert seen[0] == 0
    assert seen[-1] == 2


def test_the_worker_of_a_reactor_is_named(plant, events):
    @ReactorFunc
    def asks(pipe):
        pipe.send("pid", os.getpid())

    plant.add_reactor(asks)
    pid = plant.get("pid")
    told = [event for event in events if isinstance(event, ReactorAssigned)]
    named = [ReactorAssigned("asks", f"process {pid} on host {this_process()[0]}")]
    assert told == ([] if pid == os.getpid() else named)


def test_an_error_is_raised_with_the_traceback_of_the_worker(plant):
    @ReactorFunc
    def fails(pipe):
        value = {}
        value["missing"]

    plant.add_reactor(fails)
    with pytest.raises(KeyError, match="missing") as caught:
        plant.run_reactor(fails)
    assert "Raised by reactor 'fails'" in "".join(caught.value.__notes__)
    whole = f"{caught.value.__cause__}" if caught.value.__cause__ else "".join(map(str, caught.traceback))
    assert "test_parallel_executor.py" in whole


def test_an_error_that_cannot_be_pickled_is_raised_as_text(tmp_path, processes):
    @ReactorFunc
    def fails(pipe):
        class Odd(Exception):
            def __reduce__(self):
                raise TypeError("no")

        raise Odd("what happened")

    with Plant(tmp_path / "plant", executor=processes, progress=False) as plant:
        plant.add_reactor(fails)
        with pytest.raises(RuntimeError, match="Odd: what happened"):
            plant.run_reactor(fails)


def test_reactors_that_do_not_depend_on_a_failure_continue(plant):
    @ReactorFunc
    def fails(pipe):
        raise ValueError("no")

    @ReactorFunc
    def works(pipe):
        pipe.send("x", 1)

    @ReactorFunc
    def target(pipe):
        yield pipe.receive("x", "y")

    @ReactorFunc
    def sends_y(pipe):
        pipe.send("y", (yield pipe.receive("z")))

    @ReactorFunc
    def sends_z(pipe):
        pipe.send("z", 1 / 0)

    plant.add_reactor(fails, works, target, sends_y, sends_z)
    with pytest.raises(ExceptionGroup):
        plant.run_reactor(target, keep_going=True)
    assert plant.run_reactor(works).ran == ()


# ---------------------------------------------------------------------- workers that crash


@pytest.fixture
def own(tmp_path):
    """A plant with workers that no other test uses, so that they may be killed."""
    with Plant(tmp_path / "plant", executor=2, progress=False) as plant:
        yield plant


def survives_idle_deaths(plant):
    """Check that workers killed while idle are replaced."""

    @ReactorFunc
    def process(pipe, config):
        pipe.send("process", os.getpid() + 0 * config["n"])

    plant.add_reactor(process)
    plant.set_config({"n": 0})
    for n in range(1, 4):
        os.kill(plant.get("process"), signal.SIGKILL)
        time.sleep(0.1 * n)  # until the pool knows
        plant.set_config({"n": n})
        assert plant.run_reactor(process).ran == ("process",)


def test_workers_that_died_idle_are_replaced(own):
    survives_idle_deaths(own)


def dies_once(folder):
    """A reactor that kills the worker of its first attempt."""
    flag = str(folder / "died")

    @ReactorFunc
    def dies_once(pipe):
        if not Path(flag).exists():
            Path(flag).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        pipe.send("x", 1)

    return dies_once


def test_the_attempt_of_a_worker_that_dies_is_repeated(own, tmp_path):
    @ReactorFunc
    def beside(pipe):
        time.sleep(0.2)
        pipe.send("y", 2)

    own.add_reactor(dies_once(tmp_path), beside)
    assert own.get("x", "y") == (1, 2)


def test_only_the_reactor_that_kills_its_workers_fails(own):
    @ReactorFunc
    def harmless(pipe):
        time.sleep(0.05)
        pipe.send("y", 2)

    @ReactorFunc
    def both(pipe):
        yield pipe.receive("y")
        yield pipe.receive("x")

    @ReactorFunc
    def sends_x(pipe):
        os.kill(os.getpid(), signal.SIGKILL)
        pipe.send("x", 1)

    own.add_reactor(harmless, both, sends_x)
    with pytest.raises(WorkerError, match="'sends_x' died"):
        own.run_reactor(both)
    assert own.get("y") == 2


def test_a_broken_executor_of_the_user_is_replaced(tmp_path):
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    with (
        ProcessPoolExecutor(1, mp_context=get_context("forkserver")) as executor,
        Plant(tmp_path / "plant", executor=executor, progress=False) as plant,
    ):
        plant.add_reactor(dies_once(tmp_path))
        assert plant.get("x") == 1
        survives_idle_deaths(plant)


def test_an_interrupt_stops_the_workers_and_finished_results_stay_stored(own, tmp_path):
    folder = str(tmp_path)

    @ReactorFunc
    def quick(pipe):
        pipe.send("quick", 1)

    @ReactorFunc
    def endless(pipe):
        yield pipe.receive("quick")
        Path(folder, "begun").touch()
        try:
            while True:
                time.sleep(0.05)
        finally:
            Path(folder, "stopped").touch()

    def interrupt():
        wait_for(Path(folder, "begun"))
        os.kill(os.getpid(), signal.SIGINT)

    own.add_reactor(quick, endless)
    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        own.run_reactor(endless)
    thread.join()
    wait_for(Path(folder, "stopped"))
    assert own.run_reactor(quick).ran == ()


# ---------------------------------------------------------------------- one array, several readers


def test_reactors_read_parts_of_one_array_at_the_same_time(plant, tmp_path):
    folder = str(tmp_path)

    @ReactorFunc
    def fills(pipe):
        data = pipe.allocate(
            "data", specs.HdfArraySpec, shape=(4, 1000), dtype="f8", chunks=(1, 1000), compression="gzip"
        )
        for row in range(4):
            data[row] = row
        pipe.send("data", data)

    def reduce(data, row):
        Path(folder, f"open-{row}").touch()
        wait_for(Path(folder, f"open-{1 - row}"))  # the other has it open as well
        return float(data[row].sum() + data[row + 2].sum())

    @ReactorFunc
    def reads_even(pipe):
        data = yield pipe.receive("data")
        pipe.send("even", reduce(data, 0))

    @ReactorFunc
    def reads_odd(pipe):
        data = yield pipe.receive("data")
        pipe.send("odd", reduce(data, 1))

    @ReactorFunc
    def adds(pipe):
        sums = yield pipe.receive("even", "odd")
        pipe.send("sum", sum(sums))

    plant.add_reactor(fills, reads_even, reads_odd, adds)
    assert plant.get("sum") == 6000.0


# ---------------------------------------------------------------------- values that workers cannot load


def test_values_that_could_not_be_saved_are_used_in_the_coordinator(plant):
    @ReactorFunc
    def makes(pipe):
        from pyplant.store.warehouse import Warehouse

        original = Warehouse.save

        def refuse(self, name, value, kind=None):
            raise OSError(28, "No space left on device")

        Warehouse.save = refuse
        try:
            pipe.send("fragile", [1, 2])
        finally:
            Warehouse.save = original

    @ReactorFunc
    def uses(pipe):
        value = yield pipe.receive("fragile")
        pipe.send("used", sum(value))

    plant.add_reactor(makes, uses)
    with pytest.warns(UnsavedWarning):
        assert plant.get("used") == 3


@pytest.mark.parametrize("fails", ["CodePickler", "RunFolder", "TaskRequest"])
def test_on_a_full_disk_reactors_run_in_this_process_after_one_warning(plant, monkeypatch, fails):
    def full(*_):
        raise OSError(28, "No space left on device")

    def sender(number):
        def sends(pipe):
            pipe.send(f"process{number}", os.getpid())

        return ReactorFunc(sends, name=f"sends{number}")

    plant.add_reactor([sender(number) for number in range(3)])
    if fails == "CodePickler" and plant._session._executor._pool.shares_process:
        pytest.skip("nothing is pickled")
    monkeypatch.setattr(f"pyplant.workers.parallel_executor.{fails}", full)
    with pytest.warns(PlantWarning, match="No space left on device") as warned:
        assert set(plant.get("process0", "process1", "process2")) == {os.getpid()}
    assert len(warned) == 1


# ---------------------------------------------------------------------- pools


@pytest.mark.parametrize("wanted", [0, -1, True, "two", object()])
def test_the_error_for_an_unknown_executor_lists_the_supported_ones(wanted, tmp_path):
    with pytest.raises(RunError, match="executor="):
        Plant(tmp_path / "plant", executor=wanted)


def test_a_number_starts_worker_processes():
    pool = pool_of(3)
    assert isinstance(pool, LocalPool)
    assert pool.size == 3


def test_a_worker_that_cannot_open_the_plant_replies_so(tmp_path):
    folder = tmp_path / "nowhere" / "plant" / "tmp" / "scratch" / "run"
    reply = execute(TaskRequest(str(folder), "", "1", b"", (), {}, this_process()))
    assert isinstance(reply.outcome, PlantUnreachable)
    assert str(tmp_path / "nowhere" / "plant") in reply.outcome.reason
    assert str(tmp_path) in check_visibility(str(tmp_path / "nowhere"))


def test_a_context_that_the_run_did_not_write_is_not_unpickled(tmp_path):
    class Canary:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "canary"),)

    (tmp_path / CONTEXT).write_bytes(dumps((Canary(), b"")))
    reply = execute(TaskRequest(str(tmp_path), digest_bytes(b"as written"), "1", b"", (), {}, this_process()))
    assert isinstance(reply.outcome, PlantUnreachable)
    assert "not what the run wrote" in reply.outcome.reason
    assert not (tmp_path / "canary").exists()


class Cluster:
    """A client with two workers that return given answers."""

    def __init__(self, *answers):
        self.answers = dict(zip(("tcp://a", "tcp://b"), answers, strict=True))
        self.asked = []

    def nthreads(self):
        return dict.fromkeys(self.answers, 1)

    def run(self, function, *arguments, workers, on_error):
        assert on_error == "return"
        self.asked.append(list(workers))
        return {worker: self.answers[worker] or function(*arguments) for worker in workers}


def test_all_workers_of_a_cluster_are_asked_before_any_work(tmp_path):
    with pytest.raises(PlantDirError, match="does not see the plant in .*nowhere"):
        DaskPool(Cluster(None, None)).check(str(tmp_path / "nowhere"))


def test_a_leaving_worker_is_asked_when_it_returns(tmp_path):
    Plant(tmp_path, progress=False).close()
    cluster = Cluster(None, OSError("the stream is closed"))
    pool = DaskPool(cluster)
    for _ in range(2):
        pool.check(str(tmp_path))
    assert cluster.asked == [["tcp://a", "tcp://b"], ["tcp://b"]]


def test_a_worker_without_pyplant_is_an_error(tmp_path):
    Plant(tmp_path, progress=False).close()
    with pytest.raises(ModuleNotFoundError):
        DaskPool(Cluster(None, ModuleNotFoundError("No module named 'pyplant'"))).check(str(tmp_path))


def test_resources_reach_dask(tmp_path):
    asked = {}

    class Client:
        loop = SimpleNamespace(add_callback=lambda fetch: None)

        def submit(self, function, *arguments, **options):
            asked.update(options)

    order = TaskRequest("folder", "", "1", b"", (), {}, this_process())
    DaskPool(Client()).submit(order, b"", Grant({"GPU": 1}), 2.0)
    assert asked["resources"] == {"GPU": 1}
    assert asked["priority"] == 2.0


def test_a_cluster_without_workers_causes_a_warning_and_is_waited_for(tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr(parallel_executor, "_SILENCE", 0.2)

    @ReactorFunc
    def answers(pipe):
        pipe.send("answer", 42)

    def scale_when_told():
        while not told:
            time.sleep(0.01)
        cluster.scale(1)

    with (
        distributed.LocalCluster(n_workers=0, host="127.0.0.1", dashboard_address="127.0.0.1:0") as cluster,
        distributed.Client(cluster) as client,
        Plant(tmp_path / "plant", executor=client, progress=False) as plant,
        warnings.catch_warnings(record=True) as told,
    ):
        warnings.simplefilter("always", PlantWarning)
        thread = threading.Thread(target=scale_when_told)
        thread.start()
        plant.add_reactor(answers)
        assert plant.get("answer") == 42
        thread.join()
    said = [str(warning.message) for warning in told if warning.category is PlantWarning]
    assert said == ["Reactor 'answers' waits to be executed: the Dask cluster has no worker."]


def test_missing_resources_of_a_cluster_are_described():
    workers = {"a": {"resources": {}}, "b": {"resources": {"GPU": 2.0, "disk": 1.0}}}
    pool = DaskPool(SimpleNamespace(scheduler_info=lambda **_: {"workers": workers}))
    for wanted in ({}, {"GPU": 2}, {"GPU": 1, "disk": 1}):
        assert pool.missing_resources(wanted) == ""
    for wanted in ({"GPU": 3}, {"FPGA": 1}, {"GPU": 1, "FPGA": 1}):
        assert pool.missing_resources(wanted) == f"no worker of the Dask cluster offers {wanted}"
    workers.clear()
    assert pool.missing_resources({}) == "the Dask cluster has no worker"
