"""Variables whose names code goes through, and variables that reactors change."""

import os

import pytest

from pyplant import ReactorFunc
from pyplant.reads import environment

from .plants import plant_with


def variables(monkeypatch, *names, value="1"):
    for name in [name for name in os.environ if name.startswith("READS_")]:
        monkeypatch.delenv(name)
    for name in names:
        monkeypatch.setenv(name, value)


BEGINNINGS = {
    "loop": lambda: sorted(name for name in os.environ if name.startswith("READS_")),
    "items": lambda: sorted(name for name, _ in os.environ.items() if name.startswith("READS_")),
    "copy": lambda: sorted(name for name in dict(os.environ) if name.startswith("READS_")),
    "bytes": lambda: sorted(
        os.fsdecode(name) for name in os.environb if os.fsdecode(name).startswith("READS_")
    ),
}


@pytest.mark.parametrize("name", BEGINNINGS)
def test_names_with_a_beginning_that_code_contains_count(name, monkeypatch):
    variables(monkeypatch, "READS_A")
    with plant_with(BEGINNINGS[name]) as plant:
        assert plant.get("value") == ["READS_A"]
        monkeypatch.setenv("ANOTHER", "1")
        assert not plant.run_reactor("reads").ran
        variables(monkeypatch, "READS_A", "READS_B")
        assert plant.get("value") == ["READS_A", "READS_B"]
        variables(monkeypatch)
        assert plant.get("value") == []


def test_control_without_beginnings_a_new_name_is_missed(monkeypatch):
    monkeypatch.setattr(environment, "_asked_for_all", lambda *_: None)
    variables(monkeypatch, "READS_A")
    with plant_with(BEGINNINGS["loop"]) as plant:
        assert plant.get("value") == ["READS_A"]
        variables(monkeypatch, "READS_A", "READS_B")
        assert plant.get("value") == ["READS_A"]


def popped():
    return os.environ.pop("READS_X", "none")


def deleted():
    value = os.environ["READS_X"]
    del os.environ["READS_X"]
    return value


def defaulted():
    value = os.environ.get("READS_X")
    os.environ.setdefault("READS_X", "default")
    return value


def counted():
    value = os.environ.get("READS_X")
    os.environ["READS_X"] = f"{value} again"
    return value


@pytest.mark.parametrize(
    "read", [popped, deleted, defaulted, counted], ids=lambda function: function.__name__
)
def test_a_variable_that_is_read_and_then_changed_counts_by_what_it_was(read, monkeypatch):
    monkeypatch.setenv("READS_X", "1")
    with plant_with(read) as plant:
        assert plant.get("value") == "1"
        # What the reactor did is no change of the user.
        assert not plant.run_reactor("reads").ran
        assert plant.explain("reads").reads
        monkeypatch.setenv("READS_X", "1")
        assert not plant.run_reactor("reads").ran
        monkeypatch.setenv("READS_X", "2")
        assert plant.get("value") == "2"
        assert not plant.run_reactor("reads").ran


def test_a_default_that_a_reactor_sets_hides_no_value(monkeypatch):
    monkeypatch.delenv("READS_X", raising=False)
    with plant_with(lambda: os.environ.setdefault("READS_X", "default")) as plant:
        assert plant.get("value") == "default"
        assert not plant.run_reactor("reads").ran
        monkeypatch.setenv("READS_X", "2")
        assert plant.get("value") == "2"


def test_control_without_the_value_before_the_reactor_a_hit_is_missed(monkeypatch):
    monkeypatch.setattr(environment, "keep_before", lambda *_: None)
    monkeypatch.setenv("READS_X", "1")
    with plant_with(popped) as plant:
        assert plant.get("value") == "1"
        monkeypatch.setenv("READS_X", "1")
        assert plant.run_reactor("reads").ran


def test_a_variable_that_the_user_removes_after_the_reactor_set_it_is_removed(monkeypatch):
    monkeypatch.delenv("READS_X", raising=False)
    with plant_with(lambda: os.environ.setdefault("READS_X", "default")) as plant:
        plant.get("value")
        monkeypatch.setenv("READS_X", "2")
        assert plant.get("value") == "2"
        monkeypatch.delenv("READS_X")
        assert not plant.run_reactor("reads").ran  # as it was at first
        assert plant.get("value") == "default"


def test_what_another_reactor_left_counts_as_it_is_read(monkeypatch):
    monkeypatch.setenv("READS_X", "1")
    with plant_with(popped) as plant:
        assert plant.get("value") == "1"

        @ReactorFunc
        def later(pipe):
            pipe.send("later", os.environ.get("READS_X", "none"))

        plant.add_reactor(later)
        assert plant.get("later") == "none"
        assert not plant.run_reactor("later").ran
        monkeypatch.setenv("READS_X", "1")
        assert plant.get("later") == "1"
