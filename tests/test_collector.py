"""The garbage collector rests while PyPlant judges, and works while user code runs."""

import gc
import weakref

import pytest

from pyplant import Plant, ReactorFunc
from pyplant.collector import collector


class Circle:
    """Garbage, once nobody else has it, that only the collector finds."""

    def __init__(self):
        self.own = self


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("meanwhile", [True, False])
def test_it_is_afterwards_as_before(before, meanwhile):
    with collector(enabled=before):
        with pytest.raises(ValueError), collector(enabled=meanwhile):
            assert gc.isenabled() is meanwhile
            raise ValueError
        assert gc.isenabled() is before


@pytest.mark.parametrize("enabled", [True, False])
def test_reactors_run_as_the_user_has_it_and_listeners_while_it_rests(tmp_path, enabled):
    plant, seen = Plant(tmp_path / "plant", progress=False), []

    @ReactorFunc(cache=False)
    def looks(pipe):
        pipe.send("seen", gc.isenabled())
        pipe.send("again", gc.isenabled())

    plant.add_reactor(looks)
    plant.add_event_listener(lambda event: seen.append(gc.isenabled()))
    with collector(enabled=enabled):
        assert plant.get("seen", "again") == (enabled, enabled)
        assert gc.isenabled() is enabled
    assert False in seen


def test_what_was_made_meanwhile_is_not_looked_at_at_once_and_collected_in_the_end():
    gone = weakref.WeakSet()
    with collector(enabled=True):
        gc.collect()
        looked_at = []
        gc.callbacks.append(lambda phase, info: looked_at.append(info["generation"]))
        try:
            with collector(enabled=False):
                kept = [[number] for number in range(50_000)]
                gone.add(Circle())
            assert gc.get_count()[0] < 700
            assert looked_at == []
        finally:
            del gc.callbacks[-1]
        assert len(kept) == 50_000
        gc.collect()
        assert not gone


def test_a_short_rest_leaves_the_ages_of_objects_alone():
    """Else what a notebook's cells leave behind between the looks of its graph is never collected."""
    with collector(enabled=True):
        gc.collect()
        gc.collect(0)
        gc.collect(0)
        young_collections = gc.get_count()[1]
        with collector(enabled=False):
            kept = [[number] for number in range(1000)]
        assert gc.get_count()[1] >= young_collections
        assert len(kept) == 1000


def test_garbage_that_was_made_in_many_rests_is_collected_in_time():
    alive = weakref.WeakSet()
    with collector(enabled=True):
        for _ in range(100):
            with collector(enabled=False):
                alive.add(Circle())
                for _ in range(20_000):
                    own = []
                    own.append(own)
    assert len(alive) < 100


def test_what_the_user_froze_stays_frozen():
    with collector(enabled=True):
        try:
            with collector(enabled=False):
                gc.freeze()
                kept = [[number] for number in range(50_000)]
            assert gc.get_freeze_count() > 0
            assert len(kept) == 50_000
        finally:
            gc.unfreeze()
