"""Notices that a step used or seeded the global random state.

A cached reactor neither draws numbers nor sets a seed, so other code that shares the state with it
gets other numbers than after a run. Reading both states takes about 0.1 ms, most of it in NumPy,
so the state after one step serves as the state before the next one of the same run.

Some libraries draw from ``random`` while they are imported. That cannot be helped and happens once
in a process, so a step that imports modules is not judged for ``random``.
"""

from __future__ import annotations

import random
import sys
from typing import Any, NamedTuple

__all__ = ["RandomState", "changed", "read"]


class RandomState(NamedTuple):
    """The global random state at one moment.

    Attributes
    ----------
    of_random
        State of the generator behind the functions of ``random``.
    of_numpy
        State of the generator behind the functions of ``numpy.random``; ``None`` while that is not imported.
    modules
        Number of imported modules.
    """

    of_random: tuple[Any, ...]
    of_numpy: dict[str, Any] | None
    modules: int


def read() -> RandomState:
    """The state now, to be compared by :func:`changed`."""
    return RandomState(random.getstate(), _numpy_state(), len(sys.modules))


def changed(before: RandomState, after: RandomState) -> tuple[str, ...]:
    """The libraries whose state differs between two snapshots.

    Returns
    -------
    names
        ``"random"``, ``"numpy.random"``, both or neither. A library that was imported in between is not judged.
    """
    found = []
    if before.modules == after.modules and before.of_random != after.of_random:
        found.append("random")
    if before.of_numpy is not None and before.of_numpy != after.of_numpy:
        found.append("numpy.random")
    return tuple(found)


def _numpy_state() -> dict[str, Any] | None:
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is None or not hasattr(numpy_random, "get_state"):  # not imported, or half imported
        return None
    state = numpy_random.get_state(legacy=False)["state"]
    # Arrays as bytes: comparing arrays gives arrays.
    return {name: part.tobytes() if hasattr(part, "tobytes") else part for name, part in state.items()}
