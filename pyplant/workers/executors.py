"""Choose the executor that ``Plant(executor=...)`` names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from pyplant.config.classes import name_list
from pyplant.execution.budget import Budget
from pyplant.execution.executor import Executor
from pyplant.execution.inline import InlineExecutor

__all__ = ["TaskPool", "default_executor", "executor_of"]

_workers: list[int | None] = [None]  # what the command line asks for; the last one counts


class TaskPool(Protocol):
    """A pool of workers: any ``concurrent.futures.Executor``, or a ``dask.distributed.Client``."""

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Call a function in a worker and return a future of its result."""


@contextmanager
def default_executor(workers: int | None) -> Iterator[None]:
    """Give the plants that are opened meanwhile this number of worker processes, unless it is ``None``."""
    _workers.append(workers)
    try:
        yield
    finally:
        _workers.pop()


def executor_of(
    wanted: int | TaskPool | None,
    resources: Mapping[str, float | str] | None = None,
    worker_imports: Iterable[str] | None = None,
) -> Executor[Any]:
    """Return the executor for these arguments of a plant.

    Raises
    ------
    pyplant.errors.RunError, pyplant.errors.ConfigError
        If an argument is not supported.
    """
    wanted = wanted if _workers[-1] is None else _workers[-1]
    budget = None if resources is None else Budget(resources)
    imports = None if worker_imports is None else name_list(worker_imports)
    if wanted is None:
        return InlineExecutor(budget)
    from pyplant.workers.parallel_executor import ParallelExecutor
    from pyplant.workers.pools import pool_of  # slow to load

    return ParallelExecutor(pool_of(wanted), budget, imports)
