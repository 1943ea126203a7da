"""Pools that tests share: they are slow to start."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

__all__ = ["POOLS", "pool"]

POOLS = ("threads", "processes", "dask")
WORKERS = 2


@contextmanager
def pool(name: str) -> Iterator[Any]:
    """What to give as ``executor=``, until the block is left."""
    if name == "threads":
        with ThreadPoolExecutor(WORKERS) as threads:
            yield threads
    elif name == "processes":
        from loky.process_executor import ProcessPoolExecutor

        with ProcessPoolExecutor(WORKERS) as processes:
            yield processes
            processes.shutdown(kill_workers=True)
    elif name == "dask":
        from distributed import Client, LocalCluster

        with (
            LocalCluster(
                n_workers=WORKERS,
                threads_per_worker=1,
                dashboard_address="127.0.0.1:0",
                host="127.0.0.1",
                silence_logs=50,
            ) as cluster,
            Client(cluster) as client,
        ):
            yield client
