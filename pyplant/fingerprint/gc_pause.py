"""Pausing Python's garbage collector."""

from __future__ import annotations

import gc

__all__ = ["gc_paused"]


class gc_paused:  # noqa: N801 - named as other context managers are
    """Enable or disable garbage collection for a block, and restore the previous setting.

    A run over many reactors makes many small objects that live as long as the run. The collector would
    visit all of them again and again, which takes a third of the time of a run of 10,000 reactors that
    are up to date. So it is paused, except while user code runs.

    A class, since a generator with :func:`contextlib.contextmanager` sets an attribute of each exception that
    leaves the block, which exceptions of frozen classes refuse.
    """

    def __init__(self, *, enabled: bool) -> None:
        self._enabled = enabled
        self._before = True

    def __enter__(self) -> None:
        self._before = gc.isenabled()
        (gc.enable if self._enabled else gc.disable)()

    def __exit__(self, *error: object) -> None:
        (gc.enable if self._before else gc.disable)()
