"""Reactors that reach objects whose other methods send something else."""

import pytest

from pyplant import Plant, ReactorFunc
from pyplant.fingerprint import called_hints


class Saver:
    def save(self, pipe, value):
        pipe.send("saved", value)

    def other(self, pipe):
        pipe.send("taken", 1)
        self.deeper(pipe)

    def deeper(self, pipe):
        pipe.send("deep", 1)

    @staticmethod
    def static(pipe):
        pipe.send("static", 1)


class Heir(Saver):
    def save(self, pipe, value):
        super().save(pipe, value)


class Callback:
    """Its method is called by code that does not mention it."""

    def on_end(self, pipe):
        pipe.send("called back", 3)


def method_of(obj):
    return vars(type(obj))["on_" + "end"]


@ReactorFunc
def taken(pipe):
    pipe.send("taken", 2)


@ReactorFunc
def deep(pipe):
    pipe.send("deep", 2)


@ReactorFunc
def static(pipe):
    pipe.send("static", 2)


def saver(kind):
    objects = {
        "an object": Saver(),
        "in a list": [Saver()],
        "a subclass": Heir(),
        "a class": Saver,
    }
    target = objects[kind]

    @ReactorFunc
    def saves(pipe):
        found = target[0] if isinstance(target, list) else target() if isinstance(target, type) else target
        found.save(pipe, 5)

    return saves


@pytest.fixture
def plant(plant_dir):
    with Plant(plant_dir, progress=False) as plant:
        yield plant


@pytest.mark.parametrize("kind", ["an object", "in a list", "a subclass", "a class"])
def test_what_a_method_sends_that_is_not_called_has_no_second_sender(plant, kind):
    plant.add_reactor([saver(kind), taken, deep, static])
    assert plant.get("taken", "deep", "static", "saved") == (2, 2, 2, 5)


def test_what_a_called_method_sends_has_two_senders(plant):
    @ReactorFunc
    def calls(pipe):
        Saver().other(pipe)

    plant.add_reactor([calls, deep])
    with pytest.raises(Exception, match="'deep' is sent by 'calls' and 'deep'"):
        plant.get("deep")


def test_a_method_that_a_library_calls_is_found_as_a_sender(plant):
    back = Callback()

    @ReactorFunc
    def calls(pipe):
        method_of(back)(back, pipe)

    plant.add_reactor(calls)
    assert plant.get("called back") == 3


def test_with_getattr_any_method_may_be_called(plant):
    name = "other"

    @ReactorFunc
    def calls(pipe):
        getattr(Saver(), name)(pipe)

    plant.add_reactor([calls, taken])
    with pytest.raises(Exception, match="is sent by 'calls' and 'taken'"):
        plant.get("taken")


def test_without_doubts_there_are_two_senders(plant, monkeypatch):
    """The control."""
    monkeypatch.setattr(called_hints, "_doubted", lambda hint: [hint])
    plant.add_reactor([saver("an object"), taken])
    with pytest.raises(Exception, match="is sent by 'saves' and 'taken'"):
        plant.get("taken")
