"""What a run leaves when it ends: reactors that wait are closed, and Ctrl-C meanwhile loses nothing."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from pyplant.errors import PlantWarning
from pyplant.execution.executor import ExecutionHandle

__all__ = ["close_all", "held_interrupts"]


@contextmanager
def held_interrupts() -> Iterator[None]:
    """Deliver an interrupt when the block is left, so that the block is carried out as a whole.

    For short work of our own, such as releasing claims: code of users can always be interrupted.
    """
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield  # other threads are not interrupted
        return
    held: list[tuple[Any, ...]] = []

    def hold(*arguments: Any) -> None:
        held.append(arguments)

    try:
        signal.signal(signal.SIGINT, hold)
    except KeyboardInterrupt:  # one was on its way
        signal.signal(signal.SIGINT, hold)
        held.append((signal.SIGINT, None))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if held:
            handler(*held[-1])


def close_all(executions: Iterable[ExecutionHandle], warn: Callable[[type[PlantWarning], str], None]) -> None:
    """Run the ``finally`` blocks of reactors that wait.

    Raises
    ------
    KeyboardInterrupt
        If one was interrupted; the others were closed all the same.
    """
    interrupt: KeyboardInterrupt | None = None
    for execution in executions:
        try:
            execution.close()
        except KeyboardInterrupt as error:
            interrupt = error
        except BaseException as error:  # noqa: BLE001 - a finally block of the user may raise anything
            warn(PlantWarning, f"Reactor {execution.definition.name!r} raised while it was closed: {error!r}")
    if interrupt is not None:
        raise interrupt
