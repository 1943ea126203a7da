"""The arguments of a program: code that asks for them runs again when they are others."""

import argparse
import sys

import pytest

from pyplant.reads.recorder import ReadRecorder

from .plants import notes, plant_with


def from_list():
    return sys.argv[1]


def from_parser():
    parser = argparse.ArgumentParser()
    parser.add_argument("number")
    return parser.parse_args().number


@pytest.fixture
def started_with():
    """Sets the arguments in place: an assignment in the user's code would count by itself."""
    before = sys.argv.copy()

    def started_with(argument, program="program.py"):
        sys.argv[:] = [program, argument]

    yield started_with
    sys.argv[:] = before


@pytest.mark.parametrize(("read", "executor"), [(from_list, None), (from_parser, None), (from_list, 1)])
def test_code_that_asks_for_arguments_runs_again_with_others(read, executor, started_with):
    started_with("1")
    with plant_with(read, executor=executor) as plant:
        assert plant.get("value") == "1"
        assert not plant.run_reactor("reads").ran
    started_with("2", "other.py")
    with plant_with(read, executor=executor) as plant:
        if executor is None:
            assert "the arguments of the program changed, read in" in str(plant.explain("reads"))
            assert plant.get("value") == "2"
    started_with("1")
    with plant_with(read, executor=executor) as plant:
        assert not plant.run_reactor("reads").ran


def test_control_without_arguments_the_old_result_is_served(started_with, monkeypatch):
    monkeypatch.setattr(ReadRecorder, "asked_for_arguments", lambda *_: None)
    started_with("1")
    with plant_with(from_list) as plant:
        assert plant.get("value") == "1"
        started_with("2")
        assert plant.get("value") == "1"


def test_those_of_a_kernel_do_not_count(started_with):
    started_with("-f kernel-1.json", "/usr/lib/ipykernel_launcher.py")
    with plant_with(from_list) as plant:
        plant.get("value")
        started_with("-f kernel-2.json", "/usr/lib/ipykernel_launcher.py")
        assert not plant.run_reactor("reads").ran


def test_arguments_are_not_stored_as_text(started_with, tmp_path):
    started_with("--password=hunter2")
    with plant_with(lambda: len(sys.argv)) as plant:
        assert plant.get("value") == 2
        assert "reads the arguments of the program, in" in str(plant.explain("reads"))
    assert not any(b"hunter2" in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_standard_input_and_the_resources_of_the_machine_are_named():
    def reads():
        import os

        return os.cpu_count() or sys.stdin.read()

    with plant_with(reads) as plant:
        plant.get("value")
        assert "the standard input (sys.stdin.read)" in notes(plant)
        assert "the resources of the machine (os.cpu_count)" in notes(plant)
