"""The scratch of processes: directories below ``tmp`` in which they write what is not published yet.

The name of a directory says which process uses it. It exists from before the process publishes its first object until the
process closes the plant. So scratch of a dead process is a leftover, and where no other process has scratch, every object
that no execution names is one, too.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

from pyplant.store.files import Files, unique_name
from pyplant.store.processes import host_name, is_alive, pid_namespace

__all__ = ["MIN_LEFTOVER_AGE", "abandoned_scratch", "scratch_name"]

MIN_LEFTOVER_AGE = 86400.0
"""Seconds after which unchanged scratch and unnamed objects of unknown processes count as leftovers."""

_PID = re.compile(r"-(\d+)-([0-9a-f]{8})")


def scratch_name(pid: int, nonce: str | None = None) -> str:
    """Return the name of the private scratch of a process: ``<host>-<pid namespace>-<pid>-<nonce>``."""
    host = re.sub(r"[^a-z0-9]", "-", host_name().lower())[:32]
    return f"{host}-{pid_namespace()}-{pid}-{nonce or unique_name(8)}"


def abandoned_scratch(files: Files, directory: Path, now: float | None = None) -> Iterator[Path]:
    """Yield the scratch in ``directory`` whose process is dead, or that is unchanged for a day.

    Process numbers can be checked only for processes of this machine, container and boot; other scratch is judged by
    its age.
    """
    now = time.time() if now is None else now
    for name in files.names(directory):
        path = directory / name
        found = _PID.search(name)
        if found is not None and name == scratch_name(int(found[1]), found[2]):
            if not is_alive(int(found[1])):
                yield path
            continue
        # A file inside may be younger than the directory, which changes only when files are added or removed.
        times = [files.modified(path / inner) for inner in files.names(path)] + [files.modified(path)]
        if max((moment for moment in times if moment is not None), default=now) < now - MIN_LEFTOVER_AGE:
            yield path
