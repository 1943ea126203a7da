"""Functions with cached results: read once for all reactors of a process, and emptied when the code or a file has changed."""

import functools
import os
import pathlib

import pytest

from pyplant import Plant, ReactorFunc
from pyplant.errors import UnsavedWarning
from pyplant.reads import function_caches
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


def test_what_a_cached_function_has_read_is_read_again_after_a_change(monkeypatch):
    write("data", 1)
    with both() as plant:
        assert plant.get("one") == "1"
        write("data", 2)
        assert plant.get("two") == "2"
        assert not plant.run_reactor("second").ran


def test_control_without_emptied_caches_a_changed_file_is_not_read_again(monkeypatch):
    monkeypatch.setattr(ReadRecorder, "_is_outdated", lambda *_: False)
    write("data", 1)
    with both() as plant:
        assert plant.get("one") == "1"
        write("data", 2)
        with pytest.warns(UnsavedWarning, match="data changed since .*load .* read it"):
            assert plant.get("two") == "1"


def helper():
    return 1


@functools.lru_cache
def computed():
    return helper()


@pytest.fixture
def plant_with_computed(monkeypatch):
    @ReactorFunc
    def third(pipe):
        pipe.send("three", computed())

    @ReactorFunc
    def fourth(pipe):
        three = yield pipe.receive("three")
        yield pipe.send("four", [three, computed()])

    computed.cache_clear()
    function_caches._contents.clear()
    with Plant("plant", progress=False) as plant:
        plant.add_reactors(third, fourth)
        yield plant


def test_a_cache_is_used_while_the_code_is_the_same(plant_with_computed):
    assert plant_with_computed.get("four") == [1, 1]
    plant_with_computed.invalidate("third")
    plant_with_computed.invalidate("fourth")
    assert plant_with_computed.get("four") == [1, 1]
    assert computed.cache_info().misses == 1


def edit(monkeypatch):
    monkeypatch.setitem(globals(), "helper", lambda: 2)


def test_a_cache_is_emptied_after_an_edit_of_what_the_function_calls(plant_with_computed, monkeypatch):
    assert plant_with_computed.get("four") == [1, 1]
    edit(monkeypatch)
    assert plant_with_computed.get("four") == [2, 2]


def test_a_cache_that_was_filled_outside_reactors_is_emptied(plant_with_computed, monkeypatch):
    computed()
    edit(monkeypatch)
    assert plant_with_computed.get("three") == 2


def test_control_without_emptied_caches_the_result_is_one_of_earlier_code(plant_with_computed, monkeypatch):
    monkeypatch.setattr(function_caches, "_is_outdated", lambda *_: False)
    assert plant_with_computed.get("three") == 1
    edit(monkeypatch)
    assert plant_with_computed.get("three") == 1


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
