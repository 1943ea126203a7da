"""One trial: a process does something, and another one checks what it left."""

from __future__ import annotations

import logging
import os
import pickle
import select
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from pyplant import Plant
from pyplant.events import ReactorFinished, ReactorStarted
from pyplant.store.files import Files
from reliability import pipeline

__all__ = ["Ended", "aftermath", "forked", "noted_starts", "run_pipeline", "started", "use_disk"]

PATIENCE = 60.0  # seconds after which a process counts as stuck


class Ended(NamedTuple):
    """How a forked process ended.

    Attributes
    ----------
    value
        What the function returned, if it did.
    error
        The last lines of its traceback, or how it died; ``""`` if it returned.
    killed
        The signal that killed it, or 0.
    """

    value: Any = None
    error: str = ""
    killed: int = 0


def forked(function: Callable[[], Any], patience: float = PATIENCE) -> Ended:
    """Call a function in a process of its own."""
    return started(function)(patience)


def started(function: Callable[[], Any]) -> Callable[..., Ended]:
    """Begin to call a function in a process of its own; returns how to wait for its end."""
    receive, send = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        os.close(receive)
        _child(function, send)
    os.close(send)

    def wait(patience: float = PATIENCE) -> Ended:
        try:
            return _await(pid, receive, patience)
        finally:
            os.close(receive)

    wait.pid = pid  # type: ignore[attr-defined]
    return wait


def _child(function: Callable[[], Any], send: int) -> None:
    try:
        warnings.simplefilter("ignore")
        logging.getLogger("pyplant").setLevel(logging.CRITICAL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            answer: tuple[Any, str] = function(), ""
        except BaseException:  # noqa: BLE001 - whatever it is, it is the result
            answer = None, "".join(traceback.format_exc().splitlines(keepends=True)[-6:])
        content = pickle.dumps(answer)
        while content:
            content = content[os.write(send, content) :]
    finally:
        os._exit(0)


def _await(pid: int, receive: int, patience: float) -> Ended:
    content, deadline = b"", time.monotonic() + patience
    arrivals = select.poll()
    arrivals.register(receive, select.POLLIN)
    while True:
        if not arrivals.poll(max(0.0, deadline - time.monotonic()) * 1000):
            os.kill(pid, signal.SIGABRT)  # faulthandler shows the traceback
            os.waitpid(pid, 0)
            return Ended(error=f"still running after {patience:.0f} s")
        piece = os.read(receive, 1 << 16)
        if not piece:
            break
        content += piece
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return Ended(error=f"killed by signal {os.WTERMSIG(status)}", killed=os.WTERMSIG(status))
    if not content:
        return Ended(error="ended without an answer")
    return Ended(*pickle.loads(content))


def use_disk(disk: Files) -> None:
    """Let every plant that this process opens from now on use another disk."""
    from pyplant.store import warehouse

    warehouse.Files = lambda: disk  # type: ignore[assignment,misc]


def noted_starts(plant: Plant) -> list[str]:
    """Return a list to which the name of each reactor is appended that starts from now on."""
    ran: list[str] = []
    plant.add_event_listener(
        lambda event: ran.append(event.reactor) if isinstance(event, ReactorStarted) else None
    )
    return ran


def run_pipeline(
    root: Path,
    *,
    scale: float = 1,
    done: Path | None = None,
    names: tuple[str, ...] = pipeline.NAMES,
    executor: Any = None,
) -> dict[str, Any]:
    """Bring the pipeline up to date and check all values.

    Parameters
    ----------
    root
        The plant directory.
    scale
        The parameter.
    done
        Where to note the reactors that were reported as finished and kept.
    executor
        Where the reactors run.

    Returns
    -------
    found
        ``wrong``: names of wrong values; ``ran``: reactors that started; ``audit``: what
        fsck says, if it is not clean.
    """

    def listen(event: Any) -> None:
        if done is not None and isinstance(event, ReactorFinished) and event.kept:
            with done.open("a") as stream:
                stream.write(f"{event.reactor}\n")

    with pipeline.open_plant(root, scale, executor=executor) as plant:
        ran = noted_starts(plant)
        plant.add_event_listener(listen)
        values = dict(zip(names, plant.get(*names), strict=True))
        audit = plant.fsck()
        return {
            "wrong": pipeline.difference(values, scale),
            "ran": ran,
            "audit": "" if audit.is_clean else str(audit),
        }


def aftermath(root: Path, *, scale: float = 1, done: frozenset[str] = frozenset()) -> str:
    """Return what is wrong with what a process left; ``""`` if nothing is.

    Another process runs the pipeline: values equal a run from scratch, nothing raises,
    nothing that was reported done is executed again, fsck is clean. A further one finds
    nothing to do.
    """
    for attempt in ("first", "second"):
        ended = forked(lambda: run_pipeline(root, scale=scale))
        if ended.error:
            return f"{attempt} run afterwards: {ended.error}"
        found = ended.value
        if found["wrong"]:
            return f"{attempt} run afterwards: wrong values of {found['wrong']}"
        again = set(found["ran"]) & (done if attempt == "first" else set(found["ran"]))
        if again:
            return f"{attempt} run afterwards executed {', '.join(sorted(again))} again"
        if found["audit"]:
            return f"{attempt} run afterwards: {found['audit']}"
    return ""


def read_done(path: Path) -> frozenset[str]:
    """Return the reactors that a process reported as finished before it died."""
    with suppress(FileNotFoundError):
        return frozenset(path.read_text().split())
    return frozenset()
