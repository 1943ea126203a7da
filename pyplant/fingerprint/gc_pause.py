"""Python's garbage collector, and when it is in the way."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["gc_paused"]


@contextmanager
def gc_paused(*, enabled: bool) -> Iterator[None]:
    """Have garbage collected meanwhile, or not; afterwards it is as before.

    Judging thousands of reactors makes many small objects that live as long as the run, and the
    collector would look at all of them again and again: a third of the time of a run of 10,000
    reactors that are up to date. So it is paused, except while user code runs.
    """
    before = gc.isenabled()
    (gc.enable if enabled else gc.disable)()
    try:
        yield
    finally:
        (gc.enable if before else gc.disable)()
