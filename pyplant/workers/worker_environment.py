"""The environment variables of workers.

Worker processes that PyPlant starts have the environment of the program: what it was when they started, and with each
request what has changed since. Other workers may be on other machines with an environment of their own. They get only the
variables that the code of a reactor names, except those that describe a machine or a job. Variables may be secrets, so
they travel with requests and never in a file.

BLAS, OpenMP and the like start as many threads as the machine has cores. If each of N workers does so, N times as many
threads as cores compete for them, which is slower than one process alone. So each worker gets an equal share of the
cores. The libraries read these variables when they are loaded. A worker is a new program that has them from its start,
so no library can be loaded before them, and threads need not be limited afterwards.

The options of the interpreter (``-O``, ``-X utf8``, ``-X dev``) are passed as variables too. They are removed when the worker
has started, since processes that reactors start should find them only if they are in the program.

A worker for reactors that use GPUs sees only the devices that it was started for. CUDA reads which these are once in a
process, so a worker keeps its devices for life.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import islice
from types import MappingProxyType

from pyplant.errors import ResourcesError
from pyplant.fingerprint.code_records import CodeRecord
from pyplant.reads.environment import present_variables

__all__ = [
    "ASSIGNED_VARIABLES",
    "EnvironmentChanges",
    "NamedVariables",
    "adopt_variables",
    "assigned_variables",
    "begin_environment",
    "change_environment",
    "interpreter_variables",
    "is_own_worker",
    "visible_devices",
]

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


def interpreter_variables() -> dict[str, str]:
    """Return the variables by which a worker gets the options of this interpreter."""
    return {
        "PYTHONOPTIMIZE": str(sys.flags.optimize or ""),
        "PYTHONUTF8": str(sys.flags.utf8_mode),
        "PYTHONDEVMODE": "1" if sys.flags.dev_mode else "",
    }


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


# ---------------------------------------------------------------------- in the program


class EnvironmentChanges:
    """What has changed in the environment since workers were started.

    Parameters
    ----------
    environment
        The variables of this process.
    assigned
        The names of variables that have other values in the workers.
    removed
        The names of variables that workers start with and do not keep, unless this process has them.

    Attributes
    ----------
    start
        The variables that the workers start with, without those that are assigned to them; ``None`` to remove one.
    """

    def __init__(
        self, environment: Mapping[str, str], assigned: Collection[str], removed: Iterable[str] = ()
    ) -> None:
        self._assigned = assigned
        self.start: dict[str, str | None] = dict.fromkeys(removed)
        self.start.update(self._without_assigned(environment))
        self._changed: set[str] = set()

    def now(self, environment: Mapping[str, str]) -> dict[str, str | None]:
        """Return all variables that have changed, with their present values; ``None`` for those that are not set."""
        present = self._without_assigned(environment)
        names = present.keys() | self.start.keys()
        self._changed |= {name for name in names if present.get(name) != self.start.get(name)}
        # Those that are again what they were are sent too, since workers do not know that.
        return {name: present.get(name) for name in sorted(self._changed)}

    def _without_assigned(self, environment: Mapping[str, str]) -> dict[str, str]:
        return {name: value for name, value in environment.items() if name not in self._assigned}


_QUOTED = re.compile(r"""["']([A-Za-z_]\w*)["']""")
_OF_MACHINES = re.compile(
    r"(?:HOME|USER|USERNAME|LOGNAME|SHELL|PATH|PWD|TMP|TEMP|TMPDIR|HOST|HOSTNAME|DISPLAY|RANK|LOCAL_RANK|WORLD_SIZE|"
    r"MASTER_ADDR|MASTER_PORT|VIRTUAL_ENV|PYTHON\w*|(?:CUDA|ROCR|HIP|NVIDIA|SLURM|PBS|LSB|SGE|OMPI|PMI|PMIX|DASK|LOKY|OMP|"
    r"KMP|GOMP|LD|DYLD|CONDA|XDG|SSH|KUBERNETES)_\w+)"
)
"""Variables by which a machine, a cluster or a pool describes itself to its workers."""


class NamedVariables:
    """The environment variables that code of the user names."""

    def __init__(self, environment: Iterable[str]) -> None:
        self._known = set(environment)  # names of variables that this process has or had
        self._read = 0  # records of code that were read
        self._quoted: set[str] = set()

    def now(self, records: Mapping[str, CodeRecord], environment: Mapping[str, str]) -> dict[str, str | None]:
        """Return the variables that this code names, with their present values; ``None`` for those that are not set any more.

        Parameters
        ----------
        records
            The records of all code, to which new ones are only appended.
        environment
            The variables of this process.
        """
        for record in islice(records.values(), self._read, None):
            for text in (record.text, *(leaf for *_, leaf in record.edges.values())):
                self._quoted.update(_QUOTED.findall(text))
        self._read = len(records)
        self._known.update(environment)
        return {
            name: environment.get(name)
            for name in sorted(self._quoted & self._known)
            if name not in ASSIGNED_VARIABLES and not _OF_MACHINES.fullmatch(name)
        }


# ---------------------------------------------------------------------- in a worker

_start: dict[str, str | None] = {}
"""The environment with which PyPlant started this worker; empty in other workers."""
_overwritten: dict[str, str | None] = {}
"""What variables were in this worker before a program set them."""
_program = ""


def is_own_worker() -> bool:
    """Return whether PyPlant has started this process as a worker."""
    return bool(_start)


def begin_environment(environment: Mapping[str, str | None]) -> None:
    """Begin with these variables."""
    _start.update(environment)
    change_environment({})


def change_environment(changes: Mapping[str, str | None]) -> None:
    """Set the variables of the program: those of the start of this worker, with these changes."""
    _set({**_start, **changes})


def adopt_variables(program: str, variables: Mapping[str, str | None], *, same_machine: bool) -> None:
    """Set variables of a program in a worker that PyPlant did not start.

    Parameters
    ----------
    program
        Identifies the program; what another one has set is undone.
    variables
        The variables; ``None`` for those that are not set in the program.
    same_machine
        Whether the program runs on this machine. Otherwise a variable that it does not have may belong to this one.
    """
    global _program
    if program != _program:
        _set(_overwritten)
        _overwritten.clear()
        _program = program
    before = present_variables()
    for name in variables:
        _overwritten.setdefault(name, before.get(name))
    _set(
        {
            name: _overwritten[name] if value is None and not same_machine else value
            for name, value in variables.items()
        }
    )


def _set(variables: Mapping[str, str | None]) -> None:
    before = present_variables()
    for name, value in variables.items():
        # Not set again: threads of libraries may read the environment of the process, which C does not lock.
        if before.get(name) == value:
            continue
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value
