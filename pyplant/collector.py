"""Python's garbage collector, and when it is in the way."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["collector"]

_FEW = 10_000  # new objects that are looked at in no time
_MANY = 250_000
_made = 0  # objects that counted as old at once, since all garbage was last collected
_enough = _MANY


@contextmanager
def collector(*, enabled: bool) -> Iterator[None]:
    """Have garbage collected meanwhile, or not; afterwards it is as before.

    Judging thousands of reactors makes many small objects that live as long as the run.
    The collector would look at all of them again and again: a third of the time of a run
    of 10,000 reactors that are up to date. So it rests, except while user code runs.
    """
    before = gc.isenabled()
    rests = before and not enabled
    if rests:
        _collect_if_needed()
    _set(enabled=enabled)
    try:
        yield
    finally:
        if rests:
            _count_as_old()
        _set(enabled=before)


def _count_as_old() -> None:
    """If much was made meanwhile it counts as old at once, without being looked at."""
    global _made
    made = gc.get_count()[0]
    if made > _FEW and not gc.get_freeze_count():  # the user's frozen objects stay so
        _made += made
        gc.freeze()
        gc.unfreeze()


def _collect_if_needed() -> None:
    """Collect all garbage once the old objects have become a quarter more, as Python itself does.

    It cannot tell any more: it counts only those that it saw grow old. The next rest begins with this,
    so that a script with one run never waits for it.
    """
    global _made, _enough
    if _made > _enough:
        gc.collect()
        _made, _enough = 0, max(_MANY, len(gc.get_objects()) // 4)


def _set(*, enabled: bool) -> None:
    if enabled:
        gc.enable()
    else:
        gc.disable()
