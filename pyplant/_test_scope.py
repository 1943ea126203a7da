"""Which test of pytest runs, and for which tests a definition counts.

pytest names the running test in an environment variable. :mod:`pyplant.pytest_plugin` tells about fixtures that
several tests share.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["counts_now", "defining_for", "scope_now"]

_VARIABLE = "PYTEST_CURRENT_TEST"
_test_of_parent = os.environ.get(_VARIABLE)  # inherited by a process that a test starts
_shared_by: str | None = None


def _running_test() -> str:
    """Return the identity of the test that runs in this process, or ``""``."""
    found = os.environ.get(_VARIABLE)
    if not found or found == _test_of_parent or "pytest" not in sys.modules:
        return ""
    return found.rpartition(" (")[0]


@contextmanager
def defining_for(node: str) -> Iterator[None]:
    """Let definitions count for all tests below a node of pytest's collection, not for the running test alone."""
    global _shared_by
    before, _shared_by = _shared_by, node
    try:
        yield
    finally:
        _shared_by = before


def scope_now(qualname: str) -> str:
    """Return the test, or node of the collection, for which a function that is defined now counts; ``""`` for all."""
    # What a module defines at its top level stays: the next test that imports it does not execute it again.
    if "<locals>" not in qualname:
        return ""
    return _running_test() if _shared_by is None else _shared_by


def counts_now(scope: str) -> bool:
    """Return whether a definition of this scope counts at present."""
    return not scope or f"{_running_test()}::".startswith((f"{scope}::", f"{scope}/"))
