"""Facts about a reactor that the panel asks for."""

import os
import threading

import pytest

from pyplant import Plant, ReactorFunc
from pyplant.notebook.console import show
from pyplant.notebook.graph.facts import facts_of, preview
from pyplant.plant import session_of

SCALE = 3


def doubled(value):
    return value * 2


@ReactorFunc
def load(pipe):
    with open(pipe.input_file("numbers.txt")) as file:
        numbers = [int(word) for word in file.read().split()]
    os.environ.get("SECRET_OF_TEST")
    pipe.send("numbers", numbers)


@ReactorFunc
def add(pipe):
    numbers = yield pipe.receive("numbers")
    pipe.send("total", doubled(sum(numbers)) + pipe.read_config("bias"))


@pytest.fixture
def plant(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SECRET_OF_TEST", "hunter2")
    monkeypatch.setenv("JPY_SESSION_NAME", "/home/me/first.ipynb")
    monkeypatch.setattr("pyplant.store.owner._is_kernel", lambda: True)
    (tmp_path / "numbers.txt").write_text("1 2")
    with Plant(tmp_path / "plant", progress=False) as plant:
        plant.set_config({"bias": 1})
        plant.add_reactors([load, add])
        yield plant


def facts(plant, name):
    (definition,) = [one for one in session_of(plant).definitions().values() if one.name == name]
    return facts_of(plant, definition)


def test_they_say_what_a_run_would_run_and_how_long_that_took(plant):
    before = facts(plant, "add")
    assert (before["rerun"], before["reruns"], before["seconds"], before["stored"]) == (
        [["load", True], ["add", True]],
        2,
        0.0,
        0,
    )
    plant.run_reactor(add)
    assert facts(plant, "add")["rerun"] == []
    plant.set_config({"bias": 2})
    again = facts(plant, "add")
    assert again["rerun"] == [["add", True]]
    assert again["seconds"] > 0


def test_they_say_what_was_read_and_by_whom(plant):
    plant.run_reactor(add)
    plant.run_reactor(add)
    found = facts(plant, "add")
    assert found["parameters"] == [["bias", "1"]]
    assert "doubled()" in found["helpers"]
    assert found["made"].startswith("by first.ipynb on ")
    assert (found["reused"], found["stored"]) == (1, 1)
    assert [os.path.basename(file) for file in facts(plant, "load")["files"]] == ["numbers.txt"]


def test_helpers_of_pyplant_are_not_the_users(plant):
    def shows(pipe, show=show):
        show(doubled(2))

    plant.add_reactor(ReactorFunc(shows))
    assert facts(plant, "shows")["helpers"] == ["doubled()"]


def test_values_of_environment_variables_are_not_in_them(plant):
    plant.run_reactor(add)
    assert "hunter2" not in str([facts(plant, "load"), facts(plant, "add")])


def test_they_are_not_waited_for(plant):
    with session_of(plant).lock:
        found = []
        thread = threading.Thread(target=lambda: found.append(facts(plant, "add")))
        thread.start()
        thread.join()
    assert found == [None]


def test_a_preview_is_that_of_the_kept_value(plant):
    plant.run_reactor(add)
    (definition,) = [one for one in session_of(plant).definitions().values() if one.name == "load"]
    assert preview(plant, definition, "numbers")["text"] == "list of 2 items\n[1, 2]"
    assert preview(plant, definition, "other")["text"] == "No value is kept."
