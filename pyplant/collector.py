"""Python's garbage collector, and when it is in the way."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["collector"]


@contextmanager
def collector(*, enabled: bool) -> Iterator[None]:
    """Have garbage collected meanwhile, or not; afterwards it is as before.

    Judging thousands of reactors makes many small objects that live as long as the run.
    The collector would look at all of them again and again: a third of the time of a run
    of 10,000 reactors that are up to date. So it rests, except while user code runs.
    """
    before = gc.isenabled()
    _set(enabled=enabled)
    try:
        yield
    finally:
        if before and not enabled and not gc.get_freeze_count():
            # What was made meanwhile counts as old at once, without being looked at: the next full
            # collection finds what of it is garbage.
            gc.freeze()
            gc.unfreeze()
        _set(enabled=before)


def _set(*, enabled: bool) -> None:
    if enabled:
        gc.enable()
    else:
        gc.disable()
