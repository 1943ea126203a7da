"""Notices that the global random state was used or set.

A cached reactor neither draws numbers nor sets a seed, so whoever shares the state with it
gets other numbers than after a run. To ask ``random`` and NumPy for their state takes up to a
hundred microseconds, too much for each step of each reactor. But it lies in memory of fixed
size that never moves; comparing all of it takes one.
"""

from __future__ import annotations

import _random
import ctypes
import random
from typing import Any, NamedTuple

__all__ = ["GlobalRandomState", "Snapshot"]

_NAMES = ("random", "numpy.random")
_NOTHING = memoryview(b"")  # no state, as far as can be seen

Snapshot = tuple[bytes, bytes]
"""The state of each of the two."""


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
        return bytes(self._of_random.view), bytes(self._of_numpy.view)

    @staticmethod
    def changed(before: Snapshot, after: Snapshot) -> tuple[str, ...]:
        """The libraries whose state differs."""
        return tuple(name for name, old, new in zip(_NAMES, before, after, strict=True) if old != new)


def _memory_of_random() -> _Memory:
    """The object itself, without the header that all objects have: whatever its layout, its state is in it."""
    generator = getattr(random, "_inst", None)
    if not isinstance(generator, random.Random):
        return _Memory(generator, _NOTHING)
    header, size = object.__basicsize__, _random.Random.__basicsize__
    return _Memory(generator, _view(id(generator) + header, size - header))


def _memory_of_numpy(generator: Any) -> _Memory:
    """The Mersenne Twister that NumPy's global functions use; other generators are not followed."""
    if type(generator).__name__ != "MT19937":
        return _Memory(generator, _NOTHING)
    words, position = generator.state["state"]["key"].nbytes, ctypes.sizeof(ctypes.c_int)
    return _Memory(generator, _view(generator.ctypes.state_address, words + position))


def _view(address: int, size: int) -> memoryview:
    return memoryview((ctypes.c_char * size).from_address(address))
