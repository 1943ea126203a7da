"""Reactors that try to end the program: each fails with its name, and the others are not affected."""

import argparse
import asyncio
import json
import os
import signal
import sys

import pytest

from pyplant import Plant, ReactorFunc
from pyplant.errors import DamagedError, ReactorExitError, WorkerError
from pyplant.events import ReactorFailed
from tests.execution.values import EndsWhenLoaded


class Stop(BaseException):
    """A base exception, as libraries use to pass every ``except Exception``."""


def parse():
    argparse.ArgumentParser().parse_args(["--unknown"])


def site_exit():
    raise SystemExit  # as exit() and quit() do, which also close stdin


EXITS = {
    "without status": (sys.exit, "sys.exit()"),
    "as a success": (lambda: sys.exit(0), "sys.exit(0)"),
    "with a text": (lambda: sys.exit("no input"), "sys.exit('no input')"),
    "by argparse": (parse, "sys.exit(2)"),
    "as exit()": (site_exit, "sys.exit()"),
}


def raising(error):
    def call():
        raise error

    return call


OTHERS = {
    "generator exit": GeneratorExit,
    "cancelled": asyncio.CancelledError,
    "an own class": Stop,
}


def reactors(plant, ends):
    @ReactorFunc
    def first(pipe):
        ends()
        pipe.send("first", 1)

    @ReactorFunc
    def second(pipe):
        pipe.send("second", 2)

    @ReactorFunc
    def both(pipe):
        yield pipe.receive("second", "first")

    @ReactorFunc
    def third(pipe):
        yield pipe.receive("second")
        pipe.send("third", 3)

    @ReactorFunc
    def all_of_it(pipe):
        yield pipe.receive("first")
        yield pipe.receive("third")

    plant.add_reactor(first, second, both, third, all_of_it)


@pytest.mark.parametrize("kind", EXITS)
def test_sys_exit_is_a_failure_of_the_reactor_that_called_it(kind, plant):
    ends, shown = EXITS[kind]
    reactors(plant, ends)
    failures = []
    plant.add_event_listener(
        lambda event: failures.append(event) if isinstance(event, ReactorFailed) else None
    )
    with pytest.raises(ReactorExitError) as raised:
        plant.get("first")
    assert "'first'" in str(raised.value)
    assert shown in str(raised.value)
    assert isinstance(raised.value.__cause__, SystemExit)
    assert any("'first'" in note for note in raised.value.__notes__)
    assert [(event.reactor, event.error) for event in failures] == [("first", raised.value)]
    assert plant.get("third") == 3


@pytest.mark.parametrize("kind", OTHERS)
def test_other_base_exceptions_are_raised_unchanged_with_the_name_of_the_reactor(kind, plant):
    reactors(plant, raising(OTHERS[kind]("enough")))
    with pytest.raises(OTHERS[kind]) as raised:
        plant.get("first")
    assert any("'first'" in note for note in raised.value.__notes__)


@pytest.mark.parametrize("ends", [*(ends for ends, _ in EXITS.values()), *map(raising, OTHERS.values())])
def test_with_keep_going_the_others_run(ends, plant):
    reactors(plant, ends)
    with pytest.raises(BaseExceptionGroup) as raised:
        plant.run_reactor("both", keep_going=True)
    assert len(raised.value.exceptions) == 1
    assert plant.status()["second"].outcome.value == "cached"
    assert plant.status()["first"].outcome.value == "failed"


def test_an_interrupt_ends_the_run_at_once_also_with_keep_going(plant):
    reactors(plant, raising(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt) as raised:
        plant.run_reactor("all_of_it", keep_going=True)
    assert any("'first'" in note for note in raised.value.__notes__)
    assert plant.get("second") == 2


def test_a_sweep_continues_with_the_other_configurations(plant):
    @ReactorFunc
    def point(pipe, config):
        if config.n == 1:
            sys.exit()
        pipe.send("n", config.n)

    plant.add_reactor(point)
    plant.set_config({"n": 0})
    table = plant.sweep(point, {"n": [0, 1, 2]}, ["n"], keep_going=True)
    assert [type(row.error) for row in table] == [type(None), ReactorExitError, type(None)]


@pytest.mark.slow
def test_an_exit_in_a_finally_block_of_a_restarted_reactor_does_not_end_the_run(tmp_path, pools):
    """A worker closes a reactor that asks for more; what it raises then must not reach the pool."""

    @ReactorFunc
    def late(pipe):
        pipe.send("late", 1)

    @ReactorFunc
    def asks(pipe, config):
        try:
            got = yield pipe.receive(config.name)
        finally:
            if "got" not in locals():
                sys.exit(0)
        pipe.send("got", got)

    with Plant(tmp_path / "plant", executor=pools("processes"), progress=False) as plant:
        plant.add_reactor(late, asks)
        plant.set_config({"name": "late"})
        assert plant.get("got") == 1


@pytest.mark.slow
@pytest.mark.parametrize("end", ["os._exit(0)", "os.kill(os.getpid(), 9)"])
def test_the_error_of_a_worker_that_exits_names_the_reactor(end, tmp_path):
    @ReactorFunc
    def last(pipe):
        pipe.send("last", 1)

    @ReactorFunc
    def ends(pipe):
        os._exit(0) if end == "os._exit(0)" else os.kill(os.getpid(), signal.SIGKILL)
        pipe.send("end", 1)

    @ReactorFunc
    def both(pipe):
        yield pipe.receive("last", "end")

    with Plant(tmp_path / "plant", executor=1, progress=False) as plant:
        plant.add_reactor(last, ends, both)
        with pytest.raises(ExceptionGroup) as raised:
            plant.run_reactor(both, keep_going=True)
        (error,) = raised.value.exceptions
        assert isinstance(error, WorkerError)
        assert "'ends'" in str(error)
        assert plant.fetch_ingredient("last") == 1


SCRIPT = """
import sys
from pyplant import *

@ReactorFunc
def first(pipe):
    {call}

@ReactorFunc
def second(pipe):
    pipe.send("second", 2)

if __name__ == "__main__":
    with Plant("plant", progress=False) as plant:
        plant.run_reactor(first)
    print("went on")
"""


def test_a_script_ends_with_a_failure(run_script):
    done = run_script(SCRIPT.format(call="sys.exit()"), check=False)
    assert done.returncode == 1
    assert "'first'" in done.stderr
    assert "sys.exit()" in done.stderr
    assert not done.stdout


def command(run_script, call, *arguments):
    """``pyplant run`` on the script."""
    run_script(SCRIPT.format(call=call), check=False)
    source = f"import sys\nfrom pyplant.cli import main\nsys.exit(main({['run', 'pipeline.py', *arguments]}))"
    return run_script(source, name="command.py", check=False)


@pytest.mark.parametrize("call", ["sys.exit()", "sys.exit(3)", "raise GeneratorExit"])
def test_the_command_line_reports_the_failure_and_continues(call, run_script):
    done = command(run_script, call, "first", "second", "--keep-going", "--json")
    assert done.returncode == 1
    document = json.loads(done.stdout)
    assert [report["target"] for report in document["runs"]] == ["first", "second"]
    assert "first" in document["failed"][0]
    assert "'first'" in done.stderr


def test_an_interrupted_command_names_the_reactor_and_still_prints_its_document(run_script):
    done = command(run_script, "raise KeyboardInterrupt", "second", "first", "--json")
    assert done.returncode == 130
    assert "'first'" in done.stderr
    assert json.loads(done.stdout)["failed"] == ["first: interrupted"]


@pytest.mark.filterwarnings("ignore::pyplant.errors.PlantWarning")
@pytest.mark.parametrize("kind", ["inline", "threads"])
def test_a_value_whose_loading_exits_counts_as_damaged(kind, tmp_path, pools, monkeypatch):
    monkeypatch.setenv("TRIED_ONCE", "1")

    @ReactorFunc
    def sends(pipe):
        pipe.send("value", EndsWhenLoaded())

    @ReactorFunc
    def receives(pipe):
        yield pipe.receive("value")
        pipe.send("end", 1)

    executor = None if kind == "inline" else pools(kind)
    with Plant(tmp_path / "plant", executor=executor, progress=False) as plant:
        plant.add_reactor(sends, receives)
        with pytest.raises(DamagedError, match="'value'"):
            plant.get("end")
