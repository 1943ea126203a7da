"""The environment variables of worker processes."""

import os
import subprocess
import sys

import loky
import numpy as np
import pytest

from pyplant import Plant, ReactorFunc
from pyplant.workers import pools
from pyplant.workers.worker_environment import ASSIGNED_VARIABLES, assigned_variables
from tests.conftest import ROOT

LIMITS = ASSIGNED_VARIABLES - {"CUDA_VISIBLE_DEVICES"}


@pytest.mark.parametrize(("workers", "threads"), [(1, "8"), (2, "4"), (3, "2"), (8, "1"), (50, "1")])
def test_cores_are_divided_by_workers(workers, threads):
    assert assigned_variables(workers, 8, {}) == dict.fromkeys(LIMITS, threads)


def test_a_limit_of_the_user_is_kept():
    assert "POLARS_MAX_THREADS" not in assigned_variables(2, 8, {"POLARS_MAX_THREADS": "3"})
    assert assigned_variables(2, 8, {"POLARS_MAX_THREADS": "3"})["OMP_NUM_THREADS"] == "4"
    assert "POLARS_MAX_THREADS" in assigned_variables(2, 8, {"POLARS_MAX_THREADS": ""})


def test_a_limit_for_openmp_is_kept_for_the_libraries_that_follow_it():
    kept = LIMITS - assigned_variables(2, 8, {"OMP_NUM_THREADS": "3"}).keys()
    assert kept == {
        *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS"),
        "NUMEXPR_NUM_THREADS",
    }


def test_without_standard_error_no_fault_handler_is_started(monkeypatch):
    assert "PYTHONFAULTHANDLER" not in assigned_variables(2, 8, {})
    monkeypatch.setattr(sys, "stderr", None)
    assert assigned_variables(2, 8, {})["PYTHONFAULTHANDLER"] == ""


def threads_in_a_worker(plant):
    @ReactorFunc
    def count(pipe):
        import threadpoolctl

        np.ones((9, 9)) @ np.ones((9, 9))
        most = max(library["num_threads"] for library in threadpoolctl.threadpool_info())
        pipe.send("threads", [most, os.environ["OMP_NUM_THREADS"]])

    plant.add_reactor(count)
    return plant.get("threads")


@pytest.fixture
def plant(tmp_path, monkeypatch):
    pytest.importorskip("threadpoolctl")
    for name in ASSIGNED_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    with Plant(tmp_path / "plant", executor=2, progress=False) as plant:
        yield plant


@pytest.mark.slow
def test_numpy_starts_its_share_of_threads_in_a_worker(plant, monkeypatch):
    monkeypatch.setattr(loky, "cpu_count", lambda: 2)
    assert threads_in_a_worker(plant) == [1, "1"]


@pytest.mark.slow
def test_the_setting_of_the_user_reaches_numpy_in_a_worker(plant, monkeypatch):
    monkeypatch.setattr(loky, "cpu_count", lambda: 8)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert threads_in_a_worker(plant) == [1, "1"]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity")
def test_only_cores_that_this_process_may_use_count(tmp_path, monkeypatch):
    pytest.importorskip("threadpoolctl")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        with Plant(tmp_path / "other", executor=1, progress=False) as other:
            assert threads_in_a_worker(other) == [1, "1"]
    finally:
        os.sched_setaffinity(0, allowed)


@pytest.mark.slow
@pytest.mark.skipif(os.cpu_count() == 1, reason="one core gives one thread")
def test_control_without_these_variables_numpy_starts_more_threads(plant, monkeypatch):
    monkeypatch.setattr(pools, "assigned_variables", lambda *_: {"OMP_NUM_THREADS": ""})
    assert threads_in_a_worker(plant)[0] > 1


OPTIONS = """
import os, sys
from pyplant import Plant, ReactorFunc
import checked

@ReactorFunc(cache=False)
def options(pipe):
    flags = sys.flags.optimize, sys.flags.utf8_mode, sys.flags.dev_mode
    variables = [os.environ.get(name) for name in ("PYTHONOPTIMIZE", "PYTHONUTF8", "PYTHONDEVMODE")]
    pipe.send("options", [flags, checked.is_checked(), variables])

if __name__ == "__main__":
    for executor in (None, 1):
        with Plant("plant", executor=executor, progress=False) as plant:
            print(plant.get("options"))
"""
CHECKED = """
def is_checked():
    try:
        assert False
    except AssertionError:
        return True
    return False
"""


@pytest.mark.slow
@pytest.mark.parametrize("options", [[], ["-O"], ["-OO", "-X", "dev"], ["-X", "utf8"], ["-E"]])
def test_workers_have_the_options_of_the_interpreter(options, tmp_path):
    (tmp_path / "checked.py").write_text(CHECKED)
    (tmp_path / "run.py").write_text(f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n" + OPTIONS)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment |= {"PYTHONOPTIMIZE": "1"} if options == ["-E"] else {}
    command = [sys.executable, "-W", "ignore", *options, "run.py"]
    out = subprocess.check_output(command, cwd=tmp_path, env=environment, text=True).splitlines()
    assert out[0] == out[1]
    assert ("-O" in options) == out[0].startswith("[(1,")
