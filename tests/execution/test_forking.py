"""Processes that a reactor forks: the run belongs to the parent."""

import copy
import multiprocessing
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

from pyplant import Ingredient, Plant, ReactorFunc
from pyplant.execution.forking import end_forked_child

PATIENCE = 30

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")


def ended(pid):
    """The exit status of a child; one that does not end is killed."""
    limit = time.monotonic() + PATIENCE
    while time.monotonic() < limit:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    return "did not end"


def exits():
    raise SystemExit(0)


def exits_with_status():
    sys.exit(7)


def says_why():
    sys.exit("no more")


def raises():
    raise ValueError("in the child")


def returns():
    pass


WAYS = {exits: 0, exits_with_status: 7, says_why: 1, raises: 1, returns: 0}


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_a_forked_child_does_not_continue_the_run(way, plant, tmp_path):
    log = str(tmp_path / "log")

    def note(text):
        with open(log, "a") as stream:
            stream.write(f"{text}\n")

    @ReactorFunc
    def waits(pipe):
        try:
            data, status = yield pipe.receive("data", "status")
        finally:
            note("finally")
        pipe.send("end", [data.tolist(), status])

    @ReactorFunc
    def fill(pipe):
        data = pipe.allocate("data", Ingredient.Type.array, shape=(4,), dtype=np.float64)
        temporary = pipe.allocate_temp("temporary", Ingredient.Type.file)
        Path(temporary).write_text("parent")
        child = os.fork()
        if child == 0:
            data[2:] = 7
            way()
            return  # from the reactor, in the child
        status = ended(child)
        data[:2] = 3
        pipe.send("data", data)
        pipe.send("status", [status, Path(temporary).read_text()])

    plant.add_reactor(waits, fill)
    assert plant.get("end") == [[3, 3, 7, 7], [WAYS[way], "parent"]]
    assert plant.run_reactor(waits).ran == ()
    begun = Path(log).read_text().split()
    assert set(begun) == {"finally"}
    assert len(begun) <= 2  # a worker may have begun it twice; the child closes nothing


def test_a_child_that_asks_for_an_ingredient_ends(plant, capfd):
    @ReactorFunc
    def number(pipe):
        pipe.send("number", 1)

    @ReactorFunc
    def forks(pipe, config):
        child = os.fork()
        if child == 0:
            yield pipe.receive(config.name)
        pipe.send("status", ended(child))

    plant.add_reactor(number, forks)
    plant.set_config({"name": "number"})
    assert plant.get("status") == 1


def test_a_child_does_not_use_the_pipe(plant):
    def use(pipe, queue):
        try:
            pipe.send("from the child", 1)
        except Exception as error:
            queue.put(str(error))
        else:
            queue.put("sent")

    @ReactorFunc
    def starts(pipe):
        context = multiprocessing.get_context("fork")
        queue = context.SimpleQueue()
        process = context.Process(target=use, args=(pipe, queue))
        process.start()
        said = queue.get()
        process.join(PATIENCE)
        pipe.send("said", said)

    plant.add_reactor(starts)
    assert "in a process that it forked" in plant.get("said")


IN_A_THREAD = """
import os, sys, threading
from concurrent.futures import ThreadPoolExecutor
import numpy as np
from pyplant import *

@ReactorFunc
def fill(pipe):
    data = pipe.allocate("data", Ingredient.Type.array, shape=(2,), dtype=np.float64)
    statuses = []

    def fork():
        child = os.fork()
        if child == 0:
            sys.exit(0)
        statuses.append(os.waitpid(child, 0)[1])

    thread = threading.Thread(target=fork)
    thread.start()
    thread.join()
    data[:] = statuses == [0]
    pipe.send("data", data)

if __name__ == "__main__":
    pools = {"inline": None, "threads": ThreadPoolExecutor(1), "processes": 1}
    with Plant("plant", executor=pools[sys.argv[1]], progress=False) as plant:
        print(plant.get("data").tolist())
"""


@pytest.mark.parametrize("place", ["inline", "threads", "processes"])
def test_a_child_forked_in_a_thread_of_a_reactor(run_script, place):
    # An interpreter of its own: a process that has loaded some libraries in C++ aborts or hangs when its last thread ends.
    assert run_script(IN_A_THREAD, place).stdout == "[1.0, 1.0]\n"


def test_a_child_forked_in_a_finally_block(tmp_path):
    log = tmp_path / "log"

    @ReactorFunc
    def fails(pipe):
        raise ValueError("broken")
        pipe.send("never", 1)

    @ReactorFunc
    def waits(pipe):
        try:
            yield pipe.receive("never")
        finally:
            child = os.fork()
            if child != 0:
                log.write_text(str(ended(child)))

    with Plant(tmp_path / "plant", progress=False) as plant:
        plant.add_reactor(fails, waits)
        with pytest.raises(ValueError, match="broken"):
            plant.run_reactor(waits)
        assert log.read_text() == "0"


def test_what_a_child_prints_is_not_lost(run_script):
    done = run_script(
        """
        import os, sys
        from pyplant import *

        @ReactorFunc
        def forks(pipe):
            child = os.fork()
            if child == 0:
                print("from the child")
                sys.exit(0)
            os.waitpid(child, 0)
            pipe.send("done", 1)

        if __name__ == "__main__":
            with Plant("plant", executor=int(sys.argv[1]) or None, progress=False) as plant:
                plant.get("done")
        """.replace("\n        ", "\n"),
        2,
    )
    assert "from the child" in done.stdout


SCRIPT = """
import atexit, os, sys, tempfile, time
from pathlib import Path
from pyplant import *

holder = tempfile.TemporaryDirectory()
atexit.register(lambda: print("exit handler", flush=True))

def waited(child):
    for _ in range(3000):
        if os.waitpid(child, os.WNOHANG)[0]:
            return
        time.sleep(0.01)
    os.kill(child, 9)

@ReactorFunc
def forks(pipe):
    child = os.fork()
    if child == 0:
        sys.exit()
    waited(child)
    with pipe.untracked():  # the second child removes it
        pipe.send("done", Path(holder.name).is_dir())

def inventory():
    return sorted(str(path) for path in Path("plant").rglob("*") if path.parent.name in ("leases", "claims", "tmp"))

if __name__ == "__main__":
    plant = Plant("plant", progress=False)
    print(plant.get("done"), flush=True)
    plant._warehouse.objects.scratch_path()
    before = inventory()
    child = os.fork()
    if child == 0:
        plant.close()
        print("child", flush=True)
        sys.exit()
    waited(child)
    assert before and inventory() == before, inventory()
    print(plant.get("done"), plant.is_closed, flush=True)
"""


def test_a_child_runs_no_exit_handlers_and_closes_nothing(run_script):
    done = run_script(SCRIPT)
    # The second child is forked outside reactors, so PyPlant does not end it.
    assert done.stdout.split("\n") == ["True", "child", "exit handler", "True False", "exit handler", ""]


@pytest.mark.slow
def test_a_child_that_a_listener_forks_does_not_affect_the_run(tmp_path):
    source = """
import os, sys
from pyplant import *
from pyplant.events import ReactorStarted

@ReactorFunc
def number(pipe):
    data = pipe.allocate("number", Ingredient.Type.array, shape=(1,), dtype=float)
    yield
    data[:] = 5
    pipe.send("number", data)

def listen(event):
    if isinstance(event, ReactorStarted):
        child = os.fork()
        if child == 0:
            sys.exit()
        os.waitpid(child, 0)

if __name__ == "__main__":
    with Plant("plant", executor=int(sys.argv[1]) or None, progress=False) as plant:
        plant.add_event_listener(listen)
        print(plant.get("number"))
"""
    (tmp_path / "pipeline.py").write_text(source)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    for workers in ("0", "2"):
        done = subprocess.run(
            [sys.executable, "pipeline.py", workers],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.stdout == "[5.]\n", done.stderr
        assert "Error" not in done.stderr


def test_a_process_that_was_not_forked_does_not_end():
    end_forked_child(os.getpid(), "reactor", ValueError())


@pytest.mark.parametrize(
    "ask", [lambda c: c.n, lambda c: c["n"], lambda c: "n" in c, dict, lambda c: c.get("m")]
)
def test_a_child_cannot_read_parameters_that_the_reactor_has_not_read(tmp_path, ask, capfd):
    @ReactorFunc
    def forks(pipe, config):
        child = os.fork()
        if child == 0:
            ask(config)
            os._exit(0)
        pipe.send("status", ended(child))

    with Plant(tmp_path / "plant", progress=False) as plant:
        plant.add_reactor(forks)
        plant.set_config({"n": 1})
        assert plant.get("status") == 1
    assert "in a process that it forked" in capfd.readouterr().err


def test_a_child_may_read_what_the_reactor_has_read(tmp_path):
    @ReactorFunc
    def forks(pipe, config):
        first, plain = config.n, copy.deepcopy(config)
        child = os.fork()
        if child == 0:
            os._exit(0 if config.n == first and plain["m"] == 2 else 1)
        pipe.send("status", ended(child))

    with Plant(tmp_path / "plant", progress=False) as plant:
        plant.add_reactor(forks)
        plant.set_config({"n": 1, "m": 2})
        assert plant.get("status") == 0


def test_results_that_a_forked_child_computes_are_loudly_unsaved(plant_dir, tmp_path):
    @ReactorFunc
    def number(pipe):
        pipe.send("number", 1)

    with Plant(plant_dir, progress=False) as plant:
        plant.add_reactor(number)
        child = os.fork()
        if child == 0:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                value = plant.get("number")
            (tmp_path / "told").write_text(f"{value} {caught[0].message}")
            os._exit(0)
        assert ended(child) == 0
        told = (tmp_path / "told").read_text()
        assert told.startswith("1 The results of 'number' were delivered but could not be saved")
        assert "a forked process cannot write" in told
        assert plant.run_reactor(number).ran == ("number",)
