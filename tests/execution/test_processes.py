"""Reactors that start processes, in this process and in workers."""
# ruff: noqa: NPY002 - the global state is what is tested

import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest

from pyplant import Plant, ReactorFunc
from pyplant.errors import RunError
from pyplant.execution.nesting import (
    MultiprocessingSettings,
    apply_multiprocessing_settings,
    module_imported_at_start,
    multiprocessing_settings,
)
from tests.conftest import ROOT

pytestmark = [pytest.mark.skipif(sys.platform == "win32", reason="nothing forks there"), pytest.mark.slow]
PATIENCE = 100


def run(folder, *arguments, patience=PATIENCE):
    """Run Python in a folder; after a timeout it is killed with all processes that it started."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, error = process.communicate(timeout=patience)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, error = process.communicate()
        pytest.fail(f"did not end:\n{out}\n{error[-2000:]}")
    return process.returncode, out, error


def write(folder, **files):
    for name, text in files.items():
        path = folder / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(textwrap.dedent(text))


PIPELINE = """
    import multiprocessing, sys
    from concurrent.futures import ProcessPoolExecutor
    from pyplant import *
    from helpers import cube

    def square(n):
        return n * n

    def put(queue, n):
        queue.put(square(n))

    @ReactorFunc
    def squares(pipe, config):
        context = multiprocessing.get_context(config.method)
        with context.Pool(1) as pool:
            by_pool = pool.map(square, range(4)) + pool.map(cube, [2])
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            by_executor = list(pool.map(square, range(4)))
        queue = context.SimpleQueue()
        process = context.Process(target=put, args=(queue, 5))
        process.start()
        by_process = queue.get()
        process.join()
        pipe.send("squares", [by_pool, by_executor, by_process, multiprocessing.get_start_method(allow_none=True)])

    def main():
        for method in sys.argv[1].split(","):
            with Plant("plant", executor=int(sys.argv[2]) or None, progress=False) as plant:
                plant.set_config({"method": method})
                print(plant.get("squares"))

    if __name__ == "__main__":
        multiprocessing.set_start_method(sys.argv[3] if len(sys.argv) > 3 else None, force=True)
        main()
"""
EXPECTED = [[0, 1, 4, 9, 8], [0, 1, 4, 9], 25]


@pytest.mark.parametrize("workers", ["0", "1"])
def test_every_way_to_start_processes_works(workers, tmp_path):
    write(tmp_path, pipeline=PIPELINE, helpers="def cube(n): return n ** 3")
    status, out, error = run(tmp_path, "pipeline.py", "fork,spawn,forkserver", workers)
    assert status == 0, error
    assert [eval(line)[:3] for line in out.splitlines()] == [EXPECTED] * 3


def test_workers_start_processes_as_the_program_does(tmp_path):
    write(tmp_path, pipeline=PIPELINE, helpers="def cube(n): return n ** 3")
    status, out, error = run(tmp_path, "pipeline.py", "spawn", "1", "spawn")
    assert status == 0, error
    assert eval(out)[3] == "spawn"


def test_a_program_that_is_run_as_a_module(tmp_path):
    write(tmp_path, package__pipeline=PIPELINE, helpers="def cube(n): return n ** 3")
    status, out, error = run(tmp_path, "-m", "package.pipeline", "spawn", "1")
    assert status == 0, error
    assert eval(out)[:3] == EXPECTED


@pytest.mark.parametrize("workers", ["0", "1"])
@pytest.mark.parametrize(
    "call", ["plant.get('squares')", "plant.run_reactor(squares)", "plant.sweep(squares, {'n': [1]})"]
)
def test_the_error_for_a_program_without_a_main_guard_names_the_guard(call, workers, tmp_path):
    source = f"""
    import multiprocessing, sys
    from concurrent.futures import ProcessPoolExecutor
    from pyplant import *

    def square(n):
        return n * n

    @ReactorFunc
    def squares(pipe):
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            pipe.send("squares", list(pool.map(square, range(4))))

    plant = Plant("plant", executor=int(sys.argv[1]) or None, progress=False)
    plant.set_config({{"n": 0}})
    {call}
    """
    write(tmp_path, unguarded=source)
    status, _, error = run(tmp_path, "unguarded.py", workers)
    assert status == 1
    assert "unguarded.py is imported by a process that is being started" in error
    assert "if __name__ == '__main__':" in error
    assert "BrokenProcessPool" in error


def test_no_module_is_imported_at_the_start_of_this_process():
    assert module_imported_at_start() is None


def test_a_module_imported_at_the_start_of_a_process_is_named(monkeypatch):
    monkeypatch.setattr(multiprocessing.current_process(), "_inheriting", True, raising=False)
    scope = {"module_imported_at_start": module_imported_at_start}
    exec(compile("found = module_imported_at_start()", "unguarded.py", "exec"), scope)
    assert scope["found"] == "unguarded.py"


def test_the_multiprocessing_settings_of_this_process(monkeypatch):
    main = sys.modules["__main__"]
    monkeypatch.setattr(main, "__spec__", None, raising=False)
    monkeypatch.setattr(main, "__file__", "program.py", raising=False)
    assert multiprocessing_settings() == MultiprocessingSettings(
        multiprocessing.get_start_method(allow_none=True), None, os.path.abspath("program.py")
    )


@pytest.mark.parametrize("own", ["spawn", "fork", None])
@pytest.mark.parametrize("wanted", ["spawn", "forkserver", None, "loky"])
def test_workers_of_any_pool_adopt_the_start_method_of_the_program(own, wanted):
    before = multiprocessing.get_start_method(allow_none=True)
    try:
        multiprocessing.set_start_method(own, force=True)
        apply_multiprocessing_settings(multiprocessing_settings()._replace(method=wanted))
        found = multiprocessing.get_start_method(allow_none=True)
    finally:
        multiprocessing.set_start_method(before, force=True)
    assert found == (None if wanted == "loky" else wanted)


# ---------------------------------------------------------------------- properties of workers


def daemon(queue, directory):
    @ReactorFunc
    def number(pipe):
        pipe.send("number", 1)

    with Plant(directory, executor=2, progress=False) as plant:
        plant.add_reactor(number)
        try:
            queue.put(str(plant.get("number")))
        except RunError as error:
            queue.put(str(error))


def test_in_a_daemonic_process_the_error_says_what_to_do(tmp_path):
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    process = context.Process(target=daemon, args=(queue, tmp_path / "plant"), daemon=True)
    process.start()
    try:
        said = queue.get()
    finally:
        process.terminate()
        process.join()
    assert "executor=None" in said
    assert "daemonic" in said


def test_forked_workers_draw_different_numbers(tmp_path):
    """Each worker starts with a copy of one state, and is seeded for each reactor."""

    @ReactorFunc
    def draw(pipe, config):
        import random

        time.sleep(0.2)
        pipe.send("draw", [config.point, float(np.random.rand()), random.random()])

    np.random.rand()
    with (
        ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as executor,
        Plant(tmp_path / "plant", executor=executor, progress=False) as plant,
    ):
        plant.add_reactor(draw)
        plant.set_config({"point": 0})
        rows = [row.ingredients["draw"] for row in plant.sweep(draw, {"point": range(4)}, ["draw"])]
    assert len({row[1] for row in rows}) == len({row[2] for row in rows}) == 4


def test_the_random_state_of_this_process_does_not_change(tmp_path):
    @ReactorFunc
    def draw(pipe):
        pipe.send("draw", float(np.random.rand()))

    np.random.seed(1)
    expected = np.random.rand()
    with Plant(tmp_path / "plant", progress=False) as plant:
        plant.add_reactor(draw)
        np.random.seed(1)
        assert plant.get("draw") == expected


def test_a_log_call_with_wrong_arguments_is_reported_and_does_not_raise(pools, tmp_path):
    @ReactorFunc
    def trains(pipe):
        logging.getLogger("training").warning("loss %d", "n/a")
        pipe.send("model", 1)

    with Plant(tmp_path / "plant", executor=pools("processes"), progress=False) as plant:
        plant.add_reactor(trains)
        assert plant.get("model") == 1
