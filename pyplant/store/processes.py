"""What the system tells of this machine and of its processes, by which the owner of a file in a plant is known."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import cache
from pathlib import Path

from blake3 import blake3

__all__ = ["boot_id", "host_name", "is_alive", "is_stopped", "pid_namespace", "start_time"]


@cache
def boot_id() -> str:
    """Return an identifier of this boot of the machine; data that were not synced may be lost by the next boot."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()[:8]
    return "unknown"


@cache
def pid_namespace() -> str:
    """Return an identifier of the set of process numbers in use: this boot, and this container."""
    namespace = ""
    with suppress(OSError):
        namespace = str(Path("/proc/self/ns/pid").readlink())
    return blake3(f"{boot_id()} {namespace}".encode()).hexdigest(length=4)


def host_name() -> str:
    """Return the name of this machine."""
    if os.name == "posix":
        return os.uname().nodename
    import socket  # slow to load

    return socket.gethostname()


def start_time(pid: int) -> str:
    """Return when a process started, in clock ticks since boot, or ``""`` if the system does not tell.

    Process numbers are reused; number and start time together identify a process.
    """
    return "".join(_process_fields(pid)[19:20])


def is_stopped(pid: int) -> bool:
    """Return whether a process of this machine is suspended (Ctrl-Z, a debugger); ``False`` if the system does not tell."""
    return _process_fields(pid)[:1] in (["T"], ["t"])


def _process_fields(pid: int) -> list[str]:
    """Return what Linux tells of a process, beginning with its state; empty if there is no such process."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except (OSError, ValueError):
        return []
    # Fields are counted behind the name of the program, which may contain spaces and parentheses.
    return fields.rpartition(")")[2].split()


def is_alive(pid: int, started: str = "") -> bool:
    """Return whether a process of this machine is alive; ``True`` if that cannot be determined."""
    if os.name == "nt":
        return True  # os.kill(pid, 0) would terminate the process there
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        pass
    return not started or start_time(pid) in (started, "")
