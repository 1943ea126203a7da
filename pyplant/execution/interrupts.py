"""Clean-up at the end of a run that an interrupt (Ctrl-C) cannot cut short.

Two kinds of work are done when a run ends. Our own, such as releasing claims, is short and must be complete:
interrupts are deferred until it is done. Code of users, such as the ``finally`` blocks of waiting reactors,
may take any time and can be interrupted, but only one reactor at a time: the others are closed first, then
the interrupt continues.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from pyplant._formatting import error_text
from pyplant.errors import PlantWarning
from pyplant.execution.executor import ExecutionHandle

__all__ = ["close_all", "held_interrupts"]


@contextmanager
def held_interrupts() -> Iterator[None]:
    """Defer interrupts until the block is left, so that the block is executed as a whole.

    Only for short work that runs no code of users.
    """
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield  # Python delivers signals to the main thread only
        return
    # The handler is replaced, since pthread_sigmask, which would block the signal, does not exist on Windows.
    held: list[tuple[Any, ...]] = []

    def hold(*arguments: Any) -> None:
        held.append(arguments)

    try:
        signal.signal(signal.SIGINT, hold)
    except KeyboardInterrupt:  # a signal arrived before the handler was replaced
        signal.signal(signal.SIGINT, hold)
        held.append((signal.SIGINT, None))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if held:
            handler(*held[-1])


def close_all(executions: Iterable[ExecutionHandle], warn: Callable[[type[PlantWarning], str], None]) -> None:
    """Close all waiting reactors, which runs their ``finally`` blocks.

    Raises
    ------
    KeyboardInterrupt
        If one was interrupted; raised after the others are closed.
    """
    interrupt: KeyboardInterrupt | None = None
    for execution in executions:
        try:
            execution.close()
        except KeyboardInterrupt as error:
            interrupt = error
        except BaseException as error:  # noqa: BLE001 - a finally block of the user may raise anything
            warn(
                PlantWarning,
                f"Reactor {execution.definition.name!r} raised while it was closed: {error_text(error)}",
            )
    if interrupt is not None:
        raise interrupt
