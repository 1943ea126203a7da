"""Notices that the global random state was used or set.

A cached reactor neither draws numbers nor sets a seed, so whoever shares the state with it
gets other numbers than after a run. To ask ``random`` and NumPy for their state takes up to a
hundred microseconds, too much for each step of each reactor. But both are Mersenne Twisters
that keep their state in memory which never moves: 624 words and how many of them are used up.
That number changes with each draw, and all words change when they are used up or seeded. So
the number and a few words beside it tell, and reading them takes a fraction of a microsecond.

Some libraries draw from ``random`` while they are loaded, which nobody can help and which happens
once in a process. Whatever loads modules is therefore not judged for ``random``.
"""

from __future__ import annotations

import ctypes
import random
import sys
from typing import Any, NamedTuple

__all__ = ["GlobalRandomState", "Snapshot"]

_NAMES = ("random", "numpy.random")
_WORD = 4  # bytes, of the number as well
_SIZE = 4 * _WORD  # the number and three words: the first word is the same after each seed
_NOTHING = memoryview(b"")  # no state, as far as can be seen

Snapshot = tuple[bytes, bytes, int]
"""What tells the states of the two apart from others, and how many modules are loaded."""


class _Memory(NamedTuple):
    """Where a generator has its state; holding the generator keeps the memory valid."""

    owner: Any
    view: memoryview


class GlobalRandomState:
    """The global generators of ``random`` and ``numpy.random``."""

    def __init__(self) -> None:
        # NumPy loads this when it is first used, and who uses it first may be a reactor that sets the seed.
        import numpy.random.mtrand as numpy_random

        self._numpy: Any = getattr(numpy_random, "_rand", None)
        self._of_random = _memory_of_random()
        self._of_numpy = _memory_of_numpy(None)

    def read(self) -> Snapshot:
        """The state now, to be compared."""
        generator = getattr(self._numpy, "_bit_generator", None)
        if generator is not self._of_numpy.owner:  # numpy.random.set_bit_generator
            self._of_numpy = _memory_of_numpy(generator)
        return self._of_random.view.tobytes(), self._of_numpy.view.tobytes(), len(sys.modules)

    @staticmethod
    def changed(before: Snapshot, after: Snapshot) -> tuple[str, ...]:
        """The libraries whose state differs."""
        of_random = before[0] != after[0] and before[2] == after[2]
        of_numpy = before[1] != after[1]
        return tuple(name for name, differs in zip(_NAMES, (of_random, of_numpy), strict=True) if differs)


def _memory_of_random() -> _Memory:
    """The generator's object: after what all objects begin with comes the number, then the words."""
    generator = getattr(random, "_inst", None)
    if type(generator) is not random.Random:
        return _Memory(generator, _NOTHING)
    return _Memory(generator, _view(id(generator) + object.__basicsize__))


def _memory_of_numpy(generator: Any) -> _Memory:
    """The generator of NumPy's global functions: the words, then the number. Other kinds are not followed."""
    if type(generator).__name__ != "MT19937":
        return _Memory(generator, _NOTHING)
    words = generator.state["state"]["key"].nbytes
    return _Memory(generator, _view(generator.ctypes.state_address + words + _WORD - _SIZE))


def _view(address: int) -> memoryview:
    return memoryview((ctypes.c_char * _SIZE).from_address(address))
