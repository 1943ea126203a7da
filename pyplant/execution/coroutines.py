"""Runs the coroutines of one reactor on an event loop of its own, in a helper thread.

A kernel has a running event loop in its main thread, in which no other can run. So a reactor has a loop in another
thread, with a copy of its context, and waits for it. It is the same in kernels, scripts and workers. The loop lives as long
as the reactor, since connections and the like belong to the loop in which they were made.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Awaitable
from typing import Any

__all__ = ["CoroutineRunner", "needs_own_loop"]

_RUNNING_LOOP = (
    "cannot be called from a running event loop",
    "Cannot run the event loop while another loop is running",
)


class CoroutineRunner:
    """The event loop of one reactor; it starts with the first coroutine."""

    def __init__(self) -> None:
        self._loop: Any = None
        self._thread: threading.Thread | None = None

    def run(self, awaitable: Awaitable[Any]) -> Any:
        """Return the result of a coroutine, or raise its exception. An interrupt cancels it."""
        import asyncio

        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            context = contextvars.copy_context()
            self._thread = threading.Thread(
                target=context.run, args=(self._loop.run_forever,), name="pyplant-coroutines", daemon=True
            )
            self._thread.start()
        future = asyncio.run_coroutine_threadsafe(_awaited(awaitable), self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()  # no effect if it has ended
            raise

    def close(self) -> None:
        """Cancel what still runs, and end the loop."""
        loop, self._loop = self._loop, None
        if loop is None or self._thread is None:
            return
        import asyncio

        async def end() -> None:
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            await loop.shutdown_asyncgens()

        asyncio.run_coroutine_threadsafe(end(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        self._thread.join()
        loop.close()


async def _awaited(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


def needs_own_loop(error: BaseException) -> bool:
    """Return whether an error says that a coroutine was run in a thread that has a running event loop."""
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _RUNNING_LOOP)
