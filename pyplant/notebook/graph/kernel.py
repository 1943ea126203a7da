"""The kernel of this process: its id on the Jupyter server, and how to interrupt it."""

from __future__ import annotations

import _thread
import re
import signal
import sys
import threading
from pathlib import Path

__all__ = ["interrupt_kernel", "kernel_id"]


def kernel_id() -> str | None:
    """Return the id of this kernel on the Jupyter server, from its connection file."""
    if "ipykernel" not in sys.modules:
        return None
    from ipykernel.connect import get_connection_file

    try:
        name = Path(get_connection_file()).name
    except Exception:  # noqa: BLE001 - kernels without a connection file, such as embedded ones
        return None
    found = re.fullmatch(r"kernel-(.+)\.json", name)
    return found[1] if found else None


def interrupt_kernel() -> None:
    """Interrupt the main thread; unlike `interrupt_main`, a signal also ends a blocking call such as sleep."""
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    else:
        _thread.interrupt_main()
