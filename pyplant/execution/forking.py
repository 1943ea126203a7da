"""Processes that a reactor forks.

A forked child has a copy of everything: the frames of its parent's run, its open files, its
exit handlers. It may compute what it likes, but all of these are the parent's: were the child
to leave the reactor, it would close, release and delete what the parent works with, answer in
the place of a worker, and go on with the parent's script. So it ends where it would leave the
reactor, as children of ``multiprocessing`` do: without unwinding and without exit handlers.
"""

from __future__ import annotations

import os
import sys
import traceback
from contextlib import suppress

from pyplant._fork import after_fork_in_child

__all__ = ["end_forked_child", "reseed_if_forked"]

_forked: list[int] = []  # this process, if it was forked


def end_forked_child(
    parent: int, name: str, error: BaseException | None = None, *, waits: bool = False
) -> None:
    """End this process if it is not the one that runs the reactor; otherwise return.

    Parameters
    ----------
    parent
        The process that runs the reactor.
    name
        The reactor.
    error
        What leaves the reactor; ``SystemExit`` gives the exit status.
    waits
        Whether it asks for an ingredient.
    """
    if os.getpid() == parent:
        return
    status = 0
    with suppress(BaseException):
        status = _report(name, error, waits=waits)
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status)


def _report(name: str, error: BaseException | None, *, waits: bool) -> int:
    """Write to standard error why the child ends; returns its exit status."""
    if isinstance(error, SystemExit):
        if error.code is None or isinstance(error.code, int):
            return int(error.code or 0) & 0xFF
        print(error.code, file=sys.stderr)  # noqa: T201 - as the interpreter does
    elif error is not None:
        traceback.print_exception(error)
    elif waits:
        print(  # noqa: T201 - a child has no event listeners
            f"pyplant: a process that reactor {name!r} forked asked for an ingredient; only the reactor's own process "
            f"can receive one. The child process ends.",
            file=sys.stderr,
        )
    else:
        return 0
    return 1


def reseed_if_forked() -> None:
    """Let a forked worker draw other random numbers than its siblings, which began with the same state."""
    if not _forked:
        return
    if "random" in sys.modules:
        sys.modules["random"].seed()
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed()


@after_fork_in_child
def _after_fork() -> None:
    _forked[:] = [os.getpid()]
