"""The environment variables that PyPlant's own worker processes start with.

BLAS, OpenMP and the like start as many threads as the machine has cores. If each of N workers does so, N times as many
threads as cores compete for them, which is slower than one process alone. So each worker gets an equal share of the
cores. The libraries read these variables when they are loaded. A worker is a new program that has them from its start,
so no library can be loaded before them, and threads need not be limited afterwards.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["ASSIGNED_VARIABLES", "assigned_variables"]

_THREADS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "OMP_NUM_THREADS": (),  # OpenMP, and with it PyTorch, scikit-learn, Arrow
        "OPENBLAS_NUM_THREADS": ("GOTO_NUM_THREADS", "OMP_NUM_THREADS"),
        "MKL_NUM_THREADS": ("OMP_NUM_THREADS",),
        "BLIS_NUM_THREADS": ("OMP_NUM_THREADS",),
        "VECLIB_MAXIMUM_THREADS": (),
        "NUMEXPR_NUM_THREADS": ("OMP_NUM_THREADS",),
        "NUMBA_NUM_THREADS": (),
        "POLARS_MAX_THREADS": (),
    }
)
"""The variables that limit threads, with the variables that each library reads if its own is not set."""

ASSIGNED_VARIABLES = frozenset(_THREADS)
"""Variables whose value in a worker differs from that in the process of the run."""


def assigned_variables(workers: int, cores: int, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that differ in worker processes.

    Parameters
    ----------
    workers
        The number of worker processes.
    cores
        The number of cores that they may use together.
    environment
        The variables of this process. Where the user has limited the threads of a library, that limit is kept.
    """
    share = str(max(1, cores // workers))
    assigned = {
        name: share
        for name, others in _THREADS.items()
        if not any(environment.get(other) for other in (name, *others))
    }
    if sys.stderr is None:
        assigned["PYTHONFAULTHANDLER"] = (
            ""  # loky enables it, which fails without standard error and ends the worker
        )
    return assigned
