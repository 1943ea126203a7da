"""The garbage collector is paused while PyPlant works, and enabled while user code runs."""

import gc
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest

from pyplant import Plant, ReactorFunc
from pyplant.execution.staleness import Staleness
from pyplant.fingerprint.gc_pause import gc_paused


class Circle:
    """A reference cycle, which only the collector frees."""

    def __init__(self):
        self.own = self


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("meanwhile", [True, False])
def test_the_previous_setting_is_restored(before, meanwhile):
    with gc_paused(enabled=before):
        with pytest.raises(ValueError), gc_paused(enabled=meanwhile):
            assert gc.isenabled() is meanwhile
            raise ValueError
        assert gc.isenabled() is before


@pytest.mark.parametrize("enabled", [True, False])
def test_reactors_run_with_the_users_setting_and_listeners_without_collection(tmp_path, enabled):
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


@pytest.mark.parametrize("enabled", [True, False])
def test_blocks_of_two_threads_end_in_any_order(enabled):
    one, other = gc_paused(enabled=False), gc_paused(enabled=False)
    (gc.enable if enabled else gc.disable)()
    try:
        with ThreadPoolExecutor(1) as thread:
            one.__enter__()
            thread.submit(other.__enter__).result()
            one.__exit__()
            thread.submit(other.__exit__).result()
            assert gc.isenabled() is enabled
    finally:
        gc.enable()


@pytest.mark.parametrize("call", ["status", "plan", "explain", "graph"])
def test_queries_work_without_collection(tmp_path, monkeypatch, call):
    @ReactorFunc
    def sends(pipe):
        pipe.send("x", 1)

    def looking(self, *arguments):
        seen.append(gc.isenabled())
        begin(self, *arguments)

    seen, begin = [], Staleness.__init__
    monkeypatch.setattr(Staleness, "__init__", looking)
    plant = Plant(tmp_path / "plant", progress=False)
    plant.add_reactor(sends)
    getattr(plant, call)(*(["sends"] if call in ("plan", "explain") else []))
    assert seen
    assert not any(seen)
    assert gc.isenabled()


@pytest.mark.slow
def test_garbage_of_many_pauses_is_collected():
    alive = weakref.WeakSet()
    with gc_paused(enabled=True):
        for _ in range(100):
            with gc_paused(enabled=False):
                alive.add(Circle())
                for _ in range(20_000):
                    own = []
                    own.append(own)
    assert len(alive) < 100
