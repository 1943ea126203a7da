"""Functions with cached results read once for all reactors of a process."""

import functools
import os
import pathlib

import pytest

from pyplant import Plant, ReactorFunc
from pyplant.errors import UnsavedWarning
from pyplant.reads.recorder import ReadRecorder

from .plants import plant_with, write


@functools.lru_cache
def load(path):
    return pathlib.Path(path).read_text()


@functools.cache
def mode():
    return os.environ.get("READS_X")


@pytest.fixture(autouse=True)
def _empty():
    load.cache_clear()
    mode.cache_clear()


@ReactorFunc
def first(pipe):
    pipe.send("one", load("data"))


@ReactorFunc
def second(pipe):
    pipe.send("two", load("data"))


def both():
    plant = Plant("plant", progress=False)
    plant.add_reactors(first, second)
    return plant


def test_what_a_cached_function_has_read_for_another_reactor_counts():
    write("data", 1)
    with both() as plant:
        assert plant.get("one", "two") == ("1", "1")
        assert not plant.run_reactor("second").ran
    write("data", 2)
    load.cache_clear()  # as in a new process
    with both() as plant:
        assert "file data changed" in str(plant.explain("second"))
        assert plant.get("two", "one") == ("2", "2")


def test_control_without_memory_the_second_reactor_is_stale(monkeypatch):
    monkeypatch.setattr(ReadRecorder, "add_kept", lambda *_: None)
    write("data", 1)
    with both() as plant:
        assert plant.get("one", "two") == ("1", "1")
        write("data", 2)
        load.cache_clear()
        assert plant.get("two") == "1"


def test_each_configuration_counts_what_the_first_one_read():
    write("data", 1)

    @ReactorFunc
    def reads(pipe, config):
        pipe.send("value", load("data") * config["times"])

    with Plant("plant", progress=False) as plant:
        plant.add_reactor(reads)
        for times in (1, 2):
            plant.set_config({"times": times})
            assert plant.get("value") == "1" * times
        write("data", 2)
        load.cache_clear()
        assert plant.get("value") == "22"
        plant.set_config({"times": 1})
        assert plant.get("value") == "2"


def test_a_variable_that_a_cached_function_asked_for_counts(monkeypatch):
    monkeypatch.setenv("READS_X", "1")
    mode()  # outside a reactor, which is not seen
    mode.cache_clear()
    with plant_with(mode) as plant:
        assert plant.get("value") == "1"
        plant.invalidate("reads")
        assert plant.get("value") == "1"
        monkeypatch.setenv("READS_X", "2")
        mode.cache_clear()
        assert plant.get("value") == "2"


def test_a_result_of_what_is_cached_and_was_changed_is_not_stored():
    write("data", 1)
    with both() as plant:
        assert plant.get("one") == "1"
        write("data", 2)
        with pytest.warns(UnsavedWarning, match="data changed"):
            assert plant.get("two") == "1"  # the user's cache is not PyPlant's
        load.cache_clear()
        assert plant.get("two") == "2"
        assert not plant.run_reactor("second").ran


def test_a_cleared_cache_reads_again_and_forgets():
    write("data", 1)
    write("other", 1)

    @ReactorFunc
    def third(pipe):
        pipe.send("three", load("other"))

    with both() as plant:
        plant.add_reactor(third)
        assert plant.get("one") == "1"
        load.cache_clear()
        assert plant.get("three") == "1"
        write("data", 2)
        assert not plant.run_reactor("third").ran
