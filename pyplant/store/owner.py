"""The owner of held names: what the first bytes of an owner file say about a process.

An owner file is rewritten while other processes read it (:mod:`pyplant.store.claims`). Its head therefore has a fixed
size and is written in one call.
"""

from __future__ import annotations

import json
import os
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

from pyplant._fork import after_fork_in_child
from pyplant.store.processes import host_name, is_alive, is_stopped, pid_namespace, start_time

__all__ = [
    "HEAD_BYTES",
    "MAX_WAITS",
    "Owner",
    "head_of_this_process",
    "notebook_file",
    "parse_owner",
    "program_name",
]

HEAD_BYTES = 1024
"""Bytes reserved for the owner; leases append their lines behind them."""
MAX_WAITS = 16
"""Names that an owner says it waits for at most, so that it fits into its head."""


class Owner(NamedTuple):
    """The process that holds a name.

    Attributes
    ----------
    host, pid
        The machine and the number of the process.
    kind
        ``"kernel"`` or ``"process"``.
    since
        When it took the first of the names that it holds, in seconds since the epoch by its own clock.
    pid_namespace, started
        The set of process numbers that ``pid`` belongs to, and when the process started.
    waits
        The names that it waits for.
    is_locked
        Whether it locks its file.
    notebook
        The name of the notebook whose kernel it is, if that is known.
    """

    host: str
    pid: int
    kind: str
    since: float
    pid_namespace: str = ""
    started: str = ""
    waits: tuple[str, ...] = ()
    is_locked: bool = False
    notebook: str = ""

    def __str__(self) -> str:
        process = f"{self.kind} {self.pid} on host {self.host}"
        return f"{self.notebook} ({process})" if self.notebook else process

    @property
    def is_gone(self) -> bool:
        """Whether the process is known to have ended."""
        return self._is_comparable and not is_alive(self.pid, self.started)

    @property
    def is_stopped(self) -> bool:
        """Whether the process is known to be suspended."""
        return self._is_comparable and is_stopped(self.pid) and is_alive(self.pid, self.started)

    @property
    def _is_comparable(self) -> bool:
        return self.pid_namespace == pid_namespace() and bool(self.started)


def head_of_this_process(since: float, waits: tuple[str, ...], count: int, *, is_locked: bool) -> bytes:
    """Return the head of the owner file of this process.

    Parameters
    ----------
    since, waits, is_locked
        See :class:`Owner`.
    count
        Increases while the process is alive.
    """
    owner = {
        # It is only shown. JSON has six bytes for a character outside of ASCII, for which there is no room.
        "host": host_name()[:64].encode("ascii", "replace").decode(),
        "pid": os.getpid(),
        "kind": "kernel" if _is_kernel() else "process",
        "since": round(since),
        "pid_namespace": pid_namespace(),
        "started": _own_start_time(),
        "waits": waits,
        "is_locked": is_locked,
        "notebook": _notebook_name()[:64].encode("ascii", "replace").decode(),
        "count": count,
    }
    return json.dumps(owner).encode().ljust(HEAD_BYTES - 1) + b"\n"


def parse_owner(head: bytes) -> Owner | None:
    """Read an owner; ``None`` for a file that is being written or was damaged."""
    try:
        found = json.loads(head)
        return Owner(
            str(found["host"]),
            int(found["pid"]),
            str(found["kind"]),
            float(found["since"]),
            str(found["pid_namespace"]),
            str(found["started"]),
            tuple(str(name) for name in found["waits"]),
            found["is_locked"] is True,
            str(found.get("notebook", "")),
        )
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None


def notebook_file() -> Path | None:
    """Return the file of the notebook that a kernel runs, if the front end reports it."""
    # VS Code sets a variable, Jupyter a variable of the environment.
    reported = getattr(sys.modules.get("__main__"), "__vsc_ipynb_file__", None)
    reported = reported or os.environ.get("JPY_SESSION_NAME", "")
    is_notebook = isinstance(reported, str) and reported.endswith(".ipynb")
    return Path(reported) if is_notebook else None


def _notebook_name() -> str:
    # A script that a cell starts inherits the environment, but is no notebook.
    file = notebook_file() if _is_kernel() else None
    return "" if file is None else file.name


def program_name() -> str:
    """Return the name of the notebook or script that this process runs; ``""`` for interactive ones."""
    script = getattr(sys.modules.get("__main__"), "__file__", None) or ""
    return _notebook_name() if _is_kernel() else os.path.basename(script)


def _is_kernel() -> bool:
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")


@cache
def _own_start_time() -> str:
    return start_time(os.getpid())


@after_fork_in_child
def _after_fork() -> None:
    _own_start_time.cache_clear()
