"""Ctrl-C during the clean-up of a run: everything is released, whenever the interrupt arrives."""

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from pyplant import Plant, ReactorFunc
from pyplant.errors import PlantWarning
from pyplant.execution.interrupts import held_interrupts
from tests.conftest import ROOT

PATIENCE = 60

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="signals differ"),
    pytest.mark.timeout(200),
    pytest.mark.slow,
]


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)


class Stop(BaseException):
    pass


def claims(directory):
    folder = directory / "claims"
    return (
        sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
        if folder.is_dir()
        else []
    )


@pytest.fixture
def plant(plant_dir):
    with Plant(plant_dir, progress=False) as plant:
        yield plant


def reactors(plant, log, fails, tidies):
    """A reactor that fails, and two that wait for it and have ``finally`` blocks."""

    def note(text):
        with open(log, "a") as stream:
            stream.write(f"{text}\n")

    @ReactorFunc
    def first(pipe):
        fails()
        pipe.send("first", 1)

    @ReactorFunc
    def second(pipe):
        try:
            found = yield pipe.receive("first")
        finally:
            note("second")
            tidies()
        pipe.send("second", found)

    @ReactorFunc
    def third(pipe):
        try:
            found = yield pipe.receive("second")
        finally:
            note("third")
            tidies()
        pipe.send("third", found)

    plant.add_reactor(first, second, third)


def raising(error):
    def call():
        raise error

    return call


def test_an_interrupt_in_a_finally_block_ends_only_that_block(plant, plant_dir, tmp_path):
    log = tmp_path / "log"
    reactors(plant, str(log), interrupt, lambda: (interrupt(), time.sleep(5)))
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        plant.get("third")
    assert time.monotonic() - began < 4
    assert sorted(log.read_text().split()) == ["second", "third"]
    assert claims(plant_dir) == []
    reactors(plant, str(log), lambda: None, lambda: None)


@pytest.mark.filterwarnings("ignore::pyplant.errors.PlantWarning")
@pytest.mark.parametrize("error", [SystemExit(3), GeneratorExit, Stop, ValueError])
def test_errors_of_finally_blocks_are_warnings_and_all_reactors_are_closed(
    error, plant, plant_dir, tmp_path, recwarn
):
    log = tmp_path / "log"
    reactors(plant, str(log), raising(ZeroDivisionError("the cause")), raising(error))
    with pytest.raises(ZeroDivisionError, match="the cause"):
        plant.get("third")
    assert sorted(log.read_text().split()) == ["second", "third"]
    assert claims(plant_dir) == []
    if error is not GeneratorExit:  # which is how a generator ends when it is closed
        told = [str(warning.message) for warning in recwarn if issubclass(warning.category, PlantWarning)]
        assert sum("raised while it was closed" in text for text in told) == 2


def test_an_interrupt_while_claims_are_released(plant, plant_dir, tmp_path, monkeypatch):
    reactors(plant, str(tmp_path / "log"), raising(ZeroDivisionError), lambda: None)
    release = plant._warehouse.claims.release

    def interrupted(name):
        interrupt()
        release(name)

    monkeypatch.setattr(plant._warehouse.claims, "release", interrupted)
    with pytest.raises((KeyboardInterrupt, ZeroDivisionError)):
        plant.get("third")
    monkeypatch.undo()
    assert claims(plant_dir) == []


def test_an_interrupt_while_the_plant_is_closed(plant_dir, tmp_path, monkeypatch):
    plant = Plant(plant_dir, progress=False)
    reactors(plant, str(tmp_path / "log"), lambda: None, lambda: None)
    plant.get("third")
    assert list((plant_dir / "leases").iterdir())
    flush = plant._warehouse.journal.flush

    def interrupted(**options):
        interrupt()
        flush(**options)

    monkeypatch.setattr(plant._warehouse.journal, "flush", interrupted)
    with pytest.raises(KeyboardInterrupt):
        plant.close()
    assert plant.is_closed
    assert not list((plant_dir / "leases").iterdir())
    assert not list((plant_dir / "claims").iterdir())


# ---------------------------------------------------------------------- holding


def test_a_deferred_interrupt_is_raised_when_the_block_is_left():
    done = []
    with pytest.raises(KeyboardInterrupt), held_interrupts():
        interrupt()
        interrupt()
        done.append(1)
    assert done == [1]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_without_an_interrupt_nothing_is_raised():
    with held_interrupts(), held_interrupts():
        pass
    with pytest.raises(KeyboardInterrupt):
        interrupt()
        time.sleep(1)


def test_other_threads_defer_nothing():
    before = signal.getsignal(signal.SIGINT)
    during = []

    def hold():
        with held_interrupts():
            during.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=hold)
    thread.start()
    thread.join()
    assert during == [before]


# ---------------------------------------------------------------------- processes

SCRIPT = """
import os, signal, sys, time
from pyplant import *

CLEANING_UP = 0.5  # seconds, in which the worker notices that the run is over

def note(text):
    with open("log", "a") as stream:
        stream.write(text + "\\n")

@ReactorFunc
def slow(pipe):
    note(f"worker {os.getpid()}")
    try:
        if os.environ.get("SLOW"):
            print("running", flush=True)
            open("running", "w").close()
            end = time.monotonic() + 60
            while time.monotonic() < end:
                try:
                    time.sleep(60)
                except KeyboardInterrupt:
                    if not os.environ.get("STUBBORN"):
                        raise
    finally:
        time.sleep(CLEANING_UP)
        note("finally")
    pipe.send("slow", 1)

@ReactorFunc
def waiting(pipe):
    found = yield pipe.receive("slow")
    pipe.send("w", found)

if __name__ == "__main__":
    with Plant("plant", executor=int(sys.argv[1]) or None, progress=False) as plant:
        try:
            print("value", plant.get("w"))
        except KeyboardInterrupt:
            if len(sys.argv) < 3:
                raise
            print("interrupted", flush=True)
            time.sleep(40)  # as a notebook, which lives on
"""


def start(folder, *arguments, **environment):
    # A group of its own, as in a terminal: all of it gets the Ctrl-C.
    return subprocess.Popen(
        [sys.executable, "pipeline.py", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )


def wait_until(condition):
    limit = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < limit, "nothing came"
        time.sleep(0.02)


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as stream:
            return stream.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # it may end at any moment
        return False


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks at processes")
@pytest.mark.parametrize(("workers", "stubborn"), [("0", ""), ("2", ""), ("2", "1")])
def test_after_three_interrupts_nothing_is_left(workers, stubborn, tmp_path):
    (tmp_path / "pipeline.py").write_text(textwrap.dedent(SCRIPT))
    process = start(tmp_path, workers, SLOW="1", STUBBORN=stubborn)
    try:
        wait_until((tmp_path / "running").exists)
        for number in range(3):
            with contextlib.suppress(ProcessLookupError):  # it may have ended after the first one
                os.killpg(process.pid, signal.SIGINT)
            if number == 0 and not stubborn:  # the next one ends the clean-up
                wait_until(lambda: "finally" in (tmp_path / "log").read_text())
            time.sleep(0.2)
        process.communicate(timeout=PATIENCE)
        log = (tmp_path / "log").read_text().split("\n")
        pids = [int(line.split()[1]) for line in log if line.startswith("worker")]
        wait_until(lambda: not any(map(is_alive, pids)))
        assert claims(tmp_path / "plant") == []
        if not stubborn:
            assert "finally" in log
        second = start(tmp_path, workers)
        assert second.communicate(timeout=PATIENCE)[0] == "value 1\n"
    finally:
        for pid in (process.pid,):
            if process.poll() is None:
                os.killpg(pid, signal.SIGKILL)


@pytest.mark.parametrize("workers", ["0", "2"])
def test_others_do_not_wait_for_a_process_that_was_interrupted_and_lives_on(workers, tmp_path):
    (tmp_path / "pipeline.py").write_text(textwrap.dedent(SCRIPT))
    process = start(tmp_path, workers, "lives on", SLOW="1")
    try:
        wait_until((tmp_path / "running").exists)
        os.killpg(process.pid, signal.SIGINT)
        began = time.monotonic()
        second = start(tmp_path, workers)
        assert second.communicate(timeout=PATIENCE)[0] == "value 1\n"
        assert time.monotonic() - began < 25
        assert process.poll() is None
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
