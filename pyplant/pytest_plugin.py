"""The plugin for pytest: the fixture ``plant``, and the reactors that tests and fixtures define.

Reactors that a test function defines count during that test (:mod:`pyplant._definitions`). Those that a fixture of a
module, class or session defines count for all tests that share the fixture.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any

import pytest

from pyplant._definitions import forget_test
from pyplant._test_scope import defining_for
from pyplant.plant import Plant

__all__ = ["plant"]


@pytest.fixture
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    """An empty plant, which is closed when the test ends."""
    with Plant(tmp_path_factory.mktemp("plant") / "plant", progress=False) as opened:
        yield opened


@pytest.hookimpl(hookwrapper=True)
def pytest_fixture_setup(request: pytest.FixtureRequest) -> Generator[None]:
    """Let the reactors that a shared fixture defines count for all tests that share it."""
    if request.scope == "function":
        yield
        return
    with defining_for(request.node.nodeid):
        yield


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item: Any) -> Generator[None]:
    """Forget the reactors of a test when it has ended."""
    yield
    forget_test(item.nodeid)
