"""Which executor users mean by ``executor=``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from pyplant.execution.executor import Executor
from pyplant.execution.inline import InlineExecutor

__all__ = ["TaskPool", "executor_of"]


class TaskPool(Protocol):
    """What runs tasks elsewhere: any ``concurrent.futures.Executor``, or a ``dask.distributed.Client``."""

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Call a function in a worker; returns a future of its result."""


def executor_of(wanted: int | TaskPool | None) -> Executor[Any]:
    """The executor that users mean.

    Raises
    ------
    pyplant.errors.RunError
        If there is none such.
    """
    if wanted is None:
        return InlineExecutor()
    from pyplant.workers.parallel_executor import ParallelExecutor
    from pyplant.workers.pools import pool_of  # slow to load

    return ParallelExecutor(pool_of(wanted))
