"""What happens during a run, handed to listeners."""

import dataclasses
import itertools
import logging
from typing import get_args

import pytest

from pyplant import events
from pyplant.events import Dispatcher, Event, ReactorResumed, RunStarted


def test_every_event_is_public():
    kinds = get_args(Event)
    assert len(kinds) > 10
    assert {kind.__name__ for kind in kinds} < set(events.__all__)
    classes = {value for value in vars(events).values() if dataclasses.is_dataclass(value)}
    assert classes == set(kinds)


def test_an_event_cannot_be_changed():
    for name in ("targets", "other"):
        with pytest.raises((AttributeError, TypeError)):  # 3.11 raises TypeError for a name that is no field
            setattr(RunStarted(("a",)), name, ())


def test_events_of_different_classes_are_never_equal():
    same = {}
    for kind in get_args(Event):
        count = len(dataclasses.fields(kind))
        same.setdefault(count, []).append(kind(*["a"] * count))
    for alike in same.values():
        for one, other in itertools.combinations(alike, 2):
            assert one != other
        assert len(set(alike)) == len(alike)


def test_an_event_is_no_tuple():
    event = ReactorResumed("a")
    assert event != ("a",)
    assert [name for name in dir(event) if not name.startswith("_")] == ["reactor"]


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
    assert dispatcher.needs_report
    dispatcher.remove(heard.append)
    dispatcher.remove(heard.append)
    assert not dispatcher.needs_report
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
