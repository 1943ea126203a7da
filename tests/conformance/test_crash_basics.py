"""A finished result survives every kind of end of its process, and the plant continues."""

import signal
import subprocess
import sys
import threading
import time

import pytest

from pyplant import Plant, ReactorFunc, SubreactorFunc
from pyplant.errors import PlantWarning, ReactorExitError
from pyplant.reports.report import Outcome
from tests.conformance.helpers import environment, write_files

# Prints a line when a reactor begins or ends, so that the test can act at that point.
PIPELINE = """
    import os, signal, sys, time
    import numpy as np
    from pyplant import *

    def reached(place):
        print(place, flush=True)
        if sys.argv[1:] == [place]:
            os.kill(os.getpid(), signal.SIGKILL)
        if sys.argv[1:] == ["wait", place]:
            while True:
                time.sleep(0.01)

    @ReactorFunc
    def one(pipe):
        reached("in one")
        pipe.send("one", np.arange(200_000.0))

    @ReactorFunc
    def two(pipe):
        one = yield pipe.receive("one")
        reached("in two")
        pipe.send("two", float(one.sum()))
        pipe.send("two, large", one * 2)

    @ReactorFunc
    def three(pipe):
        two, large = yield pipe.receive("two", "two, large")
        reached("before sending")
        pipe.send("three", two + 1)
        pipe.send("three, large", large + 1)
        scratch = pipe.allocate("three, allocated", Ingredient.Type.array, shape=(1000,), dtype="f8")
        reached("allocated")
        scratch[:] = large[:1000]
        pipe.send("three, allocated", scratch)
        reached("after sending")

    @ReactorFunc
    def waits(pipe):
        try:
            large = yield pipe.receive("three, large")
            pipe.send("end", float(large.sum()))
        finally:
            print("finally", flush=True)

    if __name__ == "__main__":
        plant = Plant("plant")
        try:
            plant.run_reactor(waits)
        except KeyboardInterrupt:
            print("interrupted", flush=True)
            sys.argv[1:] = []
            print("again:", ",".join(plant.run_reactor(waits).ran))
"""

AFTER = """
    import io, sys
    import pipeline
    from pyplant import *

    stdout, sys.stdout = sys.stdout, io.StringIO()
    with Plant("plant") as plant:
        before = [entry.outcome.value for entry in plant.status()]
        report = plant.run_reactor("waits")
        value = plant.get("end")
        clean = all(finding.is_harmless for finding in plant.fsck())
        sys.stdout = stdout
        print(",".join(report.ran) or "nothing", value, clean)
"""
END = str(float(sum(2.0 * n + 1 for n in range(200_000))))


@pytest.fixture
def folder(tmp_path):
    write_files(tmp_path, {"pipeline.py": PIPELINE, "after.py": AFTER})
    return tmp_path


def start(folder, *arguments, script="pipeline.py"):
    return subprocess.Popen(
        [sys.executable, script, *arguments],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def after(folder):
    out, error = start(folder, script="after.py").communicate(timeout=120)
    assert error == ""
    return out.strip()


PLACES = {
    "in one": "one,two,three,waits",
    "in two": "two,three,waits",
    "before sending": "three,waits",
    "allocated": "three,waits",
    "after sending": "three,waits",
    "finally": "nothing",
}


@pytest.mark.parametrize("place", [place for place in PLACES if place != "finally"])
def test_finished_results_survive_a_kill(place, folder):
    process = start(folder, place)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL
    assert out.splitlines()[-1] == place
    assert after(folder) == f"{PLACES[place]} {END} True"
    assert after(folder) == f"nothing {END} True"


def test_a_process_killed_repeatedly_finishes(folder):
    lives = {
        "in one": "in one",
        "in two": "in one",
        "before sending": "in two",
        "allocated": "before sending",
        "after sending": "before sending",
    }
    for place, first_step in lives.items():
        out, _ = start(folder, place).communicate(timeout=120)
        # What finished in an earlier life does not run in a later one.
        assert out.splitlines()[0] == first_step
    assert after(folder) == f"three,waits {END} True"


def test_an_interrupt_leaves_a_plant_that_continues(folder):
    process = start(folder, "wait", "before sending")
    for line in process.stdout:
        if line.strip() == "before sending":
            process.send_signal(signal.SIGINT)
            break
    out, error = process.communicate(timeout=120)
    assert process.returncode == 0, error
    lines = out.splitlines()
    # The generator that was suspended is closed, and the same plant goes on where it was.
    assert lines[:2] == ["finally", "interrupted"]
    assert lines[-1] == "again: three,waits"
    assert after(folder) == f"nothing {END} True"


def test_an_interrupt_that_ends_the_process_keeps_what_finished(folder):
    write_files(
        folder, {"pipeline.py": PIPELINE.replace("except KeyboardInterrupt", "except ZeroDivisionError")}
    )
    process = start(folder, "wait", "after sending")
    for line in process.stdout:
        if line.strip() == "after sending":
            process.send_signal(signal.SIGINT)
            break
    process.communicate(timeout=120)
    assert process.returncode != 0
    assert after(folder) == f"three,waits {END} True"


def test_sys_exit_inside_a_reactor_keeps_what_finished(folder):
    text = PIPELINE.replace("os.kill(os.getpid(), signal.SIGKILL)", "sys.exit(3)")
    write_files(folder, {"pipeline.py": text})
    process = start(folder, "before sending")
    error = process.communicate(timeout=120)[1]
    assert process.returncode == 1
    assert "sys.exit(3)" in error
    assert after(folder) == f"three,waits {END} True"


def test_the_control_an_unfinished_result_is_missing(folder):
    start(folder, "after sending").communicate(timeout=120)
    script = """
        import pipeline
        from pyplant import *
        from pyplant.errors import MissingIngredientError

        for name in ("three", "three, large", "three, allocated", "end"):
            try:
                Plant("plant").fetch_ingredient(name)
            except MissingIngredientError:
                print("missing")
    """
    write_files(folder, {"look.py": script})
    out, error = start(folder, script="look.py").communicate(timeout=120)
    assert out.split() == ["missing"] * 4, error


# ---------------------------------------------------------------------- exceptions


@pytest.fixture
def plant(plant_dir):
    with Plant(plant_dir) as plant:
        yield plant


@ReactorFunc
def first(pipe):
    pipe.send("first", [1, 2, 3])


@ReactorFunc
def breaks(pipe, config):
    values = yield pipe.receive("first")
    pipe.send("sent before", 1)
    if config.broken:
        raise config.kind("broken")
    pipe.send("sum", sum(values))


@ReactorFunc
def last(pipe):
    pipe.send("last", (yield pipe.receive("sum")) * 2)


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit, StopIteration])
def test_an_exception_keeps_what_finished_before_it(kind, plant):
    plant.add_reactor([first, breaks, last])
    plant.set_config({"broken": True, "kind": kind})
    # StopIteration as in every generator; SystemExit would end a script as if nothing were wrong.
    expected = {StopIteration: RuntimeError, SystemExit: ReactorExitError}.get(kind, kind)
    with pytest.raises(expected):
        plant.get("last")
    assert plant.status()["first"].outcome is Outcome.CACHED
    with pytest.raises(LookupError):
        plant.fetch_ingredient("sent before")
    plant.set_config({"broken": False, "kind": kind})
    assert plant.run_reactor(last).ran == ("breaks", "last")
    assert plant.get("last") == 12


def test_suspended_reactors_run_their_finally_blocks_innermost_first(plant, tmp_path):
    log = tmp_path / "log"

    def note(text):
        with open(tmp_path / "log", "a") as stream:
            stream.write(f"{text}\n")

    @SubreactorFunc
    def inner(pipe):
        try:
            yield pipe.receive("never")
        finally:
            note("inner")

    @ReactorFunc
    def outer(pipe):
        try:
            yield from inner(pipe)
        finally:
            note("outer")

    @ReactorFunc
    def fails(pipe):
        note("fails")
        raise ValueError("broken")
        pipe.send("never", 1)

    plant.add_reactor([outer, fails])
    with pytest.raises(ValueError, match="broken"):
        plant.run_reactor(outer)
    assert log.read_text().split() == ["fails", "inner", "outer"]
    assert plant.status()["outer"].outcome is not Outcome.WAITING


def test_a_finally_block_that_raises_does_not_hide_the_failure(plant):
    @ReactorFunc
    def suspended(pipe):
        try:
            yield pipe.receive("never")
        finally:
            raise KeyError("from finally")

    @ReactorFunc
    def fails(pipe):
        raise ValueError("the failure")
        pipe.send("never", 1)

    plant.add_reactor([suspended, fails])
    with (
        pytest.warns(PlantWarning, match="'suspended' raised while it was closed"),
        pytest.raises(ValueError, match="the failure"),
    ):
        plant.run_reactor(suspended)


def test_a_failed_run_leaves_no_scratch(plant):
    @ReactorFunc
    def allocates(pipe):
        from pyplant import Ingredient, specs

        pipe.allocate("array", Ingredient.Type.array, shape=(1000,), dtype="f8")
        pipe.allocate("hdf", specs.HdfArraySpec, shape=(1000,))
        pipe.allocate_temp("temp", Ingredient.Type.array, shape=(1000,), dtype="f8")
        raise ValueError("broken")

    plant.add_reactor(allocates)
    with pytest.raises(ValueError, match="broken"):
        plant.run_reactor(allocates)
    assert [path for path in (plant.directory / "tmp").rglob("*") if path.is_file()] == []


# ---------------------------------------------------------------------- two processes

TOGETHER = """
    import sys, time
    import numpy as np
    from pyplant import *

    who, others = sys.argv[1], int(sys.argv[2])

    @ReactorFunc
    def grid(pipe, config):
        pipe.send("grid", np.arange(100_000.0) * config.factor)

    for number in range(12):
        @ReactorFunc(name=f"part {number}")
        def part(pipe, number=number):
            grid = yield pipe.receive("grid")
            pipe.send(f"part {number}", float(grid[number::12].sum()))

    @ReactorFunc
    def total(pipe):
        parts = yield pipe.receive(*[f"part {n}" for n in range(12)])
        pipe.send("total", sum(parts))

    plant = Plant("plant")
    open(f"ready-{who}", "w").close()
    import glob
    while len(glob.glob("ready-*")) < others:
        time.sleep(0.001)
    for round in range(3):
        for factor in (1, 2, 3) if int(who) % 2 else (3, 2, 1):
            plant.set_config({"factor": factor})
            print(factor, plant.get("total"), flush=True)
"""


@pytest.mark.parametrize("others", [2, 4])
def test_processes_on_one_plant_at_once_get_right_values(others, tmp_path):
    write_files(tmp_path, {"together.py": TOGETHER})
    processes = [start(tmp_path, str(n), str(others), script="together.py") for n in range(others)]
    expected = {f"{factor} {float(sum(range(100_000)) * factor)}" for factor in (1, 2, 3)}
    for process in processes:
        out, error = process.communicate(timeout=120)
        assert process.returncode == 0, error
        assert set(out.splitlines()) == expected
        assert len(out.splitlines()) == 9
    with Plant(tmp_path / "plant") as plant:
        assert all(finding.is_harmless for finding in plant.fsck())


def test_a_result_of_another_process_is_not_computed_again(tmp_path):
    write_files(tmp_path, {"together.py": TOGETHER})
    script = """
        import sys
        sys.argv[1:] = ["0", "0"]
        import together
        from pyplant import *
        print(together.plant.run_reactor("total").ran)
    """
    write_files(tmp_path, {"later.py": script})
    start(tmp_path, "0", "1", script="together.py").communicate(timeout=120)
    out, error = start(tmp_path, script="later.py").communicate(timeout=120)
    assert out.splitlines()[-1] == "()", error


def test_an_open_plant_sees_results_of_other_processes(tmp_path, plant_dir):
    text = """
        from pyplant import *

        @ReactorFunc
        def shared(pipe):
            pipe.send("shared", [1, 2, 3])
    """
    write_files(
        tmp_path, {"shared.py": text, "main.py": "from shared import *\nPlant('plant').run_reactor(shared)\n"}
    )
    sys.path.insert(0, str(tmp_path))
    try:
        with Plant(plant_dir) as plant:
            import shared  # noqa: F401 - made above

            main = start(tmp_path, script="main.py")
            main.communicate(timeout=120)
            assert main.returncode == 0
            assert plant.run_reactor("shared").ran == ()
    finally:
        sys.path.remove(str(tmp_path))
        sys.modules.pop("shared", None)


def test_threads_on_plants_of_one_directory_get_right_values(plant_dir):
    @ReactorFunc
    def number(pipe, config):
        pipe.send("number", config.n * 10)

    @ReactorFunc
    def text(pipe):
        pipe.send("text", str((yield pipe.receive("number"))))

    results = {}

    def work(n):
        with Plant(plant_dir) as plant:
            plant.add_reactor([number, text])
            plant.set_config({"n": n % 3})
            results[n] = plant.get("text")

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    ends = time.monotonic() + 120
    for thread in threads:
        thread.join(max(0, ends - time.monotonic()))
    assert results == {n: str(n % 3 * 10) for n in range(6)}
