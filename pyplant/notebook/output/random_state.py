"""Detects that a step used or seeded the global random state.

A cached reactor neither draws numbers nor sets a seed, so other code that shares the state gets other
numbers than after a run. The state after one step serves as the state before the next step of the same
run, so each step reads it once. Reading takes about 30 microseconds for ``random``, which copies 625
numbers, and 200 for ``numpy.random`` if that is imported: most of the cost of recording. Fewer reads would
leave open which of several waiting reactors changed the state.

Some libraries draw from ``random`` while they are imported. That happens once in a process and cannot
be avoided, so a step that imports modules is not checked for ``random``.
"""

from __future__ import annotations

import random
import sys
from typing import Any, NamedTuple

__all__ = ["RandomState", "changed", "read"]


class RandomState(NamedTuple):
    """The global random state at one moment, as far as it is needed to notice changes.

    Attributes
    ----------
    of_random
        Second word, position and cached normal number of the generator behind the functions of
        ``random``. A draw moves the position; a seed, and the end of a block of 624 words, replace the
        words (a seed always sets the first one to the same value). Comparing all words would take as
        long as reading them.
    of_numpy
        State of the generator behind the functions of ``numpy.random``; ``None`` if it is not imported.
    modules
        Number of imported modules.
    """

    of_random: tuple[Any, ...]
    of_numpy: dict[str, Any] | None
    modules: int


def read() -> RandomState:
    """Return the state now, to be compared by :func:`changed`."""
    _, words, normal = random.getstate()
    return RandomState((words[1], words[-1], normal), _numpy_state(), len(sys.modules))


def changed(before: RandomState, after: RandomState) -> tuple[str, ...]:
    """Return the libraries whose state differs between two moments.

    Returns
    -------
    names
        ``"random"``, ``"numpy.random"``, both or neither. A library that was imported in between is not
        checked.
    """
    found = []
    if before.modules == after.modules and before.of_random != after.of_random:
        found.append("random")
    if before.of_numpy is not None and before.of_numpy != after.of_numpy:
        found.append("numpy.random")
    return tuple(found)


def _numpy_state() -> dict[str, Any] | None:
    numpy_random = sys.modules.get("numpy.random")
    # Not imported, or being imported by another thread.
    if numpy_random is None or not hasattr(numpy_random, "get_state"):
        return None
    state = numpy_random.get_state(legacy=False)["state"]
    # Arrays as bytes, since comparing arrays gives an array.
    return {name: part.tobytes() if hasattr(part, "tobytes") else part for name, part in state.items()}
