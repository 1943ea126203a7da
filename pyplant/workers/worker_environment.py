"""The environment variables that PyPlant's own worker processes start with.

BLAS, OpenMP and the like start as many threads as the machine has cores. If each of N workers does so, N times as many
threads as cores compete for them, which is slower than one process alone. So each worker gets an equal share of the
cores. The libraries read these variables when they are loaded. A worker is a new program that has them from its start,
so no library can be loaded before them, and threads need not be limited afterwards.

A worker for reactors that use GPUs sees only the devices that it was started for. CUDA reads which these are once in a
process, so a worker keeps its devices for life.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from pyplant.errors import ResourcesError

__all__ = ["ASSIGNED_VARIABLES", "assigned_variables", "visible_devices"]

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

_DEVICES = "CUDA_VISIBLE_DEVICES"

ASSIGNED_VARIABLES = frozenset(_THREADS) | {_DEVICES}
"""Variables whose value in a worker differs from that in the process of the run."""


def assigned_variables(
    workers: int, cores: int, environment: Mapping[str, str], devices: Sequence[int] = ()
) -> dict[str, str]:
    """Return the variables that differ in worker processes.

    Parameters
    ----------
    workers
        The number of worker processes.
    cores
        The number of cores that they may use together.
    environment
        The variables of this process. Where the user has limited the threads of a library, that limit is kept.
    devices
        The numbers of the GPUs that the worker uses; empty if it sees what this process sees.
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
    if devices:
        assigned[_DEVICES] = visible_devices(devices, environment)
    return assigned


def visible_devices(devices: Sequence[int], environment: Mapping[str, str]) -> str:
    """Return ``CUDA_VISIBLE_DEVICES`` for a process that uses some of the GPUs which this process sees.

    Raises
    ------
    pyplant.errors.ResourcesError
        If this process does not see so many.
    """
    seen = environment.get(_DEVICES)
    if seen is None:
        return ",".join(map(str, devices))
    names = [name.strip() for name in seen.split(",")]
    if names[0] in ("", "-1"):
        return seen  # all are hidden: the reactors run without a GPU, and the budget still holds
    if max(devices) >= len(names):
        message = (
            f"Plant(resources={{'GPU': {max(devices) + 1}}}) needs more devices than {_DEVICES}={seen} shows. Offer "
            f"{len(names)}, or show more."
        )
        raise ResourcesError(message)
    return ",".join(names[device] for device in devices)
