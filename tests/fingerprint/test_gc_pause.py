"""The garbage collector rests while PyPlant judges, and works while user code runs."""

import gc
import weakref

import pytest

from pyplant import Plant, ReactorFunc
from pyplant.fingerprint.gc_pause import gc_paused


class Circle:
    """Garbage, once nobody else has it, that only the collector finds."""

    def __init__(self):
        self.own = self


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("meanwhile", [True, False])
def test_it_is_afterwards_as_before(before, meanwhile):
    with gc_paused(enabled=before):
        with pytest.raises(ValueError), gc_paused(enabled=meanwhile):
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
    with gc_paused(enabled=enabled):
        assert plant.get("seen", "again") == (enabled, enabled)
        assert gc.isenabled() is enabled
    assert False in seen


def test_garbage_that_was_made_in_many_pauses_is_collected_in_time():
    alive = weakref.WeakSet()
    with gc_paused(enabled=True):
        for _ in range(100):
            with gc_paused(enabled=False):
                alive.add(Circle())
                for _ in range(20_000):
                    own = []
                    own.append(own)
    assert len(alive) < 100
