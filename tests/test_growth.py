"""The work of each command grows no faster than what it is asked about.

Work is counted, not timed: the lines that each function executes, for pipelines of three sizes. A single function
whose count grows faster than linearly is enough to fail, however little it executes of the smallest pipeline.
"""

import contextlib
import gc
import importlib
import io
import sys
import tracemalloc
from collections import Counter
from pathlib import Path

import pytest

import pyplant
from benchmarks.growth_scripts import SHAPES
from pyplant import Plant
from pyplant._definitions import MARK

PACKAGE = str(Path(pyplant.__file__).parent)
SIZES = (10, 20, 40)  # each twice the one before
SLACK = 1.3  # of the second growth, which is twice the first where work is linear
FEW_LINES = 50


def lines_by_function(work):
    """Return how many lines of each function of the package a call executes."""
    counts = Counter()

    def trace(frame, event, _):
        code = frame.f_code
        if event == "call" and not code.co_filename.startswith(PACKAGE):
            return None
        if event == "line":
            counts[f"{code.co_qualname} in {code.co_filename}:{code.co_firstlineno}"] += 1
        return trace

    before = sys.gettrace()
    gc.disable()  # callbacks of the collector run at random moments
    sys.settrace(trace)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            work()
    finally:
        sys.settrace(before)
        gc.enable()
    return counts


def faster_than_linear(work):
    """Return the functions whose work grows faster than the sizes, with their counts of lines."""
    small, medium, large = [lines_by_function(lambda size=size: work(size)) for size in SIZES]
    found = []
    for function, most in large.items():
        first, second = medium[function] - small[function], most - medium[function]
        if second > 2 * SLACK * max(first, 0) + FEW_LINES:
            found.append(f"{function}: {small[function]}, {medium[function]}, {most} lines")
    return found


def as_part_of_the_package(source):
    namespace = {}
    exec(compile(source, f"{PACKAGE}/sample.py", "exec"), namespace)  # noqa: S102 - written above
    return namespace["sample"]


def test_work_that_grows_with_the_square_of_the_size_is_found():
    once = as_part_of_the_package("def sample(n):\n    for a in range(n):\n        pass\n")
    assert faster_than_linear(once) == []
    pairs = as_part_of_the_package(
        "def sample(n):\n    for a in range(n):\n        sum(1 for b in range(n))\n"
    )
    assert len(faster_than_linear(pairs)) == 1


CALLS = {
    "run": lambda plant: plant.get("last"),
    "run again": lambda plant: str(plant.run_reactor("last")),
    "plan": lambda plant: str(plant.plan("last")),
    "explain": lambda plant: str(plant.explain("last")),
    "status": lambda plant: str(plant.status()),
    "show_graph": lambda plant: plant.show_graph(),
    "fsck": lambda plant: str(plant.fsck()),
    "gc": lambda plant: str(plant.gc()),
}


@pytest.fixture(params=SHAPES)
def pipelines(request, tmp_path, monkeypatch):
    """Call a function with a plant of any size, whose parameter has the value at which it ran or another one."""
    monkeypatch.syspath_prepend(tmp_path)

    @contextlib.contextmanager
    def opened(size, parameter=0):
        name = f"grown_{request.param.replace(' ', '_')}_{size}"
        # With names of their own, since what is known of equal code is used again.
        (tmp_path / f"{name}.py").write_text(SHAPES[request.param](size).replace("'x", f"'x{size}_"))
        module = importlib.import_module(name)
        monkeypatch.setitem(sys.modules, name, module)
        with Plant(tmp_path / name, progress=False) as plant:
            plant.add_reactor([value for value in vars(module).values() if hasattr(value, MARK)])
            plant.set_config({"a": parameter})
            yield plant

    return opened


@pytest.mark.slow
def test_the_work_of_commands_is_linear(pipelines):
    found = {}
    for parameter in (0, 1):  # nothing has changed, and everything has
        for name, call in CALLS.items():

            def work(size, call=call, parameter=parameter):
                with pipelines(size, parameter) as plant:
                    call(plant)

            if parameter == 0 or name in ("plan", "explain", "status"):
                found[name, parameter] = faster_than_linear(work)
    assert {name: functions for name, functions in found.items() if functions} == {}


@pytest.mark.slow
@pytest.mark.parametrize(("runs", "most"), [(1, 12.5), (2, 10.5)], ids=["cold", "up to date"])
def test_the_memory_that_a_run_keeps_for_a_reactor_is_bounded(tmp_path, monkeypatch, runs, most):
    monkeypatch.syspath_prepend(tmp_path)
    kept = {}
    for size in (50, 150):
        name = f"kept_{runs}_{size}"
        (tmp_path / f"{name}.py").write_text(SHAPES["layered"](size).replace("'x", f"'x{size}_"))
        module = importlib.import_module(name)
        monkeypatch.setitem(sys.modules, name, module)
        for run in range(runs):
            with Plant(tmp_path / name, progress=False) as plant:
                plant.add_reactor([value for value in vars(module).values() if hasattr(value, MARK)])
                plant.set_config({"a": 0})
                gc.collect()
                if run == runs - 1:
                    tracemalloc.start(1)
                plant.get("last")
                if run == runs - 1:
                    gc.collect()
                    kept[size] = tracemalloc.get_traced_memory()[0]
                    tracemalloc.stop()
    assert (kept[150] - kept[50]) / 100 < 1000 * most
