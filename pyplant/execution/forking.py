"""Processes that a reactor forks.

A forked child has a copy of the whole process: the stack of the run, open files, exit handlers. It may
compute anything inside the reactor. But if it returned from the reactor, it would release claims and delete
files of its parent, send a second reply in place of a worker, and continue with the script of the parent.
So the child ends where it would leave the reactor, as children of :mod:`multiprocessing` do: with
``os._exit``, without unwinding the stack and without exit handlers.
"""

from __future__ import annotations

import os
import sys
import traceback
from contextlib import suppress

from pyplant._fork import after_fork_in_child

__all__ = ["end_forked_child", "reseed_if_forked"]

_forked: list[int] = []  # the number of this process, if it was forked


def end_forked_child(
    parent: int, name: str, error: BaseException | None = None, *, waits: bool = False
) -> None:
    """End this process if it is not the one that runs the reactor; otherwise return.

    Parameters
    ----------
    parent
        The number of the process that runs the reactor.
    name
        The name of the reactor.
    error
        The exception that leaves the reactor; ``SystemExit`` gives the exit status.
    waits
        Whether the reactor asks for an ingredient.
    """
    if os.getpid() == parent:
        return
    # Nothing may be raised here, since an exception would unwind the stack of the run.
    status = 0
    with suppress(BaseException):
        status = _report(name, error, waits=waits)
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status)


def _report(name: str, error: BaseException | None, *, waits: bool) -> int:
    """Print to standard error why the child ends; returns its exit status."""
    if isinstance(error, SystemExit):
        if error.code is None or isinstance(error.code, int):
            return int(error.code or 0) & 0xFF
        print(error.code, file=sys.stderr)  # noqa: T201 - as the interpreter does
    elif error is not None:
        traceback.print_exception(error)
    elif waits:
        print(  # noqa: T201 - events of a child reach no listener
            f"pyplant: a process that reactor {name!r} forked asked for an ingredient; only the reactor's own process "
            f"can receive one. The child process ends.",
            file=sys.stderr,
        )
    else:
        return 0
    return 1


def reseed_if_forked() -> None:
    """Seed the random generators of a forked worker: its siblings have a copy of the same state."""
    if not _forked:
        return
    if "random" in sys.modules:
        sys.modules["random"].seed()
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed()


@after_fork_in_child
def _after_fork() -> None:
    _forked[:] = [os.getpid()]
