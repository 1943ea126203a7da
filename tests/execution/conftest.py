"""Pools that all tests of a process share, since worker processes are slow to start."""

import pytest

from pyplant import Plant
from tests.laws.executors import POOLS, pool


@pytest.fixture(scope="package")
def pools():
    """Opens each kind of pool once."""
    opened = {}
    managers = []

    def open_pool(name):
        if name not in opened:
            managers.append(pool(name))
            opened[name] = managers[-1].__enter__()
        return opened[name]

    yield open_pool
    for manager in managers:
        manager.__exit__(None, None, None)


@pytest.fixture(params=POOLS)
def executor(request, pools):
    """Each kind of pool in turn."""
    return pools(request.param)


@pytest.fixture(params=["inline", "threads", "processes"])
def place(request):
    """The executors of ``plant``: the inline one and each kind of pool. Test modules may leave some out."""
    return request.param


@pytest.fixture
def plant(place, plant_dir, pools):
    """An empty plant, with each executor in turn."""
    with Plant(plant_dir, executor=None if place == "inline" else pools(place), progress=False) as plant:
        yield plant


@pytest.fixture
def processes(pools):
    """Worker processes."""
    return pools("processes")
