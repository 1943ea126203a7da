"""What happens during a run, handed to listeners."""

import dataclasses
import logging

import pytest

from pyplant import events
from pyplant.events import Dispatcher, Event, ReactorResumed, RunStarted


def test_every_event_is_public_frozen_and_slotted():
    kinds = [value for value in vars(events).values() if isinstance(value, type) and issubclass(value, Event)]
    assert len(kinds) > 10
    for kind in kinds:
        assert kind.__name__ in events.__all__
        assert dataclasses.is_dataclass(kind)
        assert kind.__dataclass_params__.frozen
        assert "__slots__" in vars(kind)


def test_an_event_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        RunStarted(("a",)).targets = ()


def test_listeners_are_told_in_the_order_they_were_added():
    dispatcher, heard = Dispatcher(), []
    dispatcher.add(lambda event: heard.append(("first", event)))
    dispatcher.add(lambda event: heard.append(("second", event)))
    dispatcher.emit(ReactorResumed("a"))
    assert heard == [("first", ReactorResumed("a")), ("second", ReactorResumed("a"))]


def test_a_listener_is_added_once():
    dispatcher, heard = Dispatcher(), []
    dispatcher.add(heard.append)
    dispatcher.add(heard.append)
    dispatcher.emit(ReactorResumed("a"))
    assert len(heard) == 1


def test_a_removed_listener_is_told_nothing():
    dispatcher, heard = Dispatcher(), []
    dispatcher.add(heard.append)
    assert dispatcher
    dispatcher.remove(heard.append)
    dispatcher.remove(heard.append)
    assert not dispatcher
    dispatcher.emit(ReactorResumed("a"))
    assert heard == []


def test_a_listener_may_remove_itself_while_it_is_told():
    dispatcher, heard = Dispatcher(), []

    def once(event):
        heard.append(event)
        dispatcher.remove(once)

    dispatcher.add(once)
    dispatcher.add(heard.append)
    dispatcher.emit(ReactorResumed("a"))
    dispatcher.emit(ReactorResumed("b"))
    assert [event.reactor for event in heard] == ["a", "a", "b"]


def test_what_a_listener_raises_is_logged_and_goes_no_further(caplog):
    dispatcher, heard = Dispatcher(), []

    def broken(event):
        message = "oh no"
        raise RuntimeError(message)

    dispatcher.add(broken)
    dispatcher.add(heard.append)
    with caplog.at_level(logging.ERROR, "pyplant"):
        dispatcher.emit(ReactorResumed("a"))
    assert len(heard) == 1
    assert "failed on ReactorResumed" in caplog.text
    assert "oh no" in caplog.text


def test_an_interrupt_in_a_listener_stops_the_run():
    dispatcher = Dispatcher()

    def interrupted(event):
        raise KeyboardInterrupt

    dispatcher.add(interrupted)
    with pytest.raises(KeyboardInterrupt):
        dispatcher.emit(ReactorResumed("a"))
