"""Pools that the tests of a process share: worker processes are slow to start."""

import pytest

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


@pytest.fixture
def processes(pools):
    """Worker processes."""
    return pools("processes")
