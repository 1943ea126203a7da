"""What goes to a worker and what comes back: small records, never values.

A run makes a folder in the plant's scratch. It holds the *context* that all attempts of the
run share (configuration, specs, paths), and what attempts have to say while they last
(:mod:`pyplant.workers.output`). Workers find it because the plant lies where all can see
it; when it is gone, the run is over, and whoever still works for it stops.
"""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from pyplant._definitions import Definition
from pyplant._fork import after_fork_in_child
from pyplant._tracer import ExecutionRecord
from pyplant.config.parameters import Parameters
from pyplant.errors import DamagedError, PlantDirError
from pyplant.execution.nesting import Processes
from pyplant.fingerprint.distribution import Distribution
from pyplant.ingredient import Ingredient
from pyplant.store.files import host_name
from pyplant.store.format_registry import FormatRegistry
from pyplant.store.journal import PendingLine

__all__ = [
    "CONTEXT",
    "Done",
    "Ended",
    "Hidden",
    "InputsWanted",
    "Interrupted",
    "Local",
    "MoreInputs",
    "Raised",
    "RunSettings",
    "Said",
    "Surroundings",
    "TaskReply",
    "TaskRequest",
    "Unloadable",
    "here",
    "local",
]

CONTEXT = "context"
"""Name of the file with the context, in the folder of the run."""

Said = tuple[Any, ...]
"""One thing that an attempt has to say: what kind of thing, then its parts; JSON-able."""


class RunSettings(NamedTuple):
    """What all attempts of a run share.

    Attributes
    ----------
    root
        The plant directory.
    parameters
        The configuration.
    formats
        The ingredient specs.
    """

    root: str
    parameters: Parameters
    formats: FormatRegistry


class Surroundings(NamedTuple):
    """What a process must be like before it can unpack anything.

    Attributes
    ----------
    directory, paths
        Where relative paths begin, and where modules are found.
    level
        What is logged at all.
    modules
        Names of the user's modules, which workers must not import themselves.
    processes
        How processes are started there.
    followed
        The installed distributions whose code is the user's.
    """

    directory: str
    paths: tuple[str, ...]
    level: int
    modules: tuple[str, ...]
    processes: Processes
    followed: tuple[Distribution, ...] = ()


class Local(NamedTuple):
    """What workers in the run's own process need not unpack, whatever kind of pool they are from."""

    context: RunSettings
    definitions: dict[str, Definition]


local: dict[str, Local] = {}
"""The runs of this process, by folder."""

after_fork_in_child(local.clear)  # the runs are those of the parent


class TaskRequest(NamedTuple):
    """An attempt to be made.

    Attributes
    ----------
    folder
        Of the run.
    context
        The digest of the file with the context.
    name
        Of the attempt, within the run.
    reactor
        The packed definition; empty if it need not leave the process.
    modules
        Packed modules that it uses.
    given
        What the reactor may receive without asking again. Whoever gives it answers for it.
    process
        Where the order comes from.
    code
        Tells the user code of this run apart from that of others.
    """

    folder: str
    context: str
    name: str
    reactor: bytes
    modules: tuple[bytes, ...]
    given: dict[str, Ingredient]
    process: tuple[str, int]
    code: str = ""


class MoreInputs(NamedTuple):
    """The reactor asks for ingredients that were not given; ``held`` are those it was handed."""

    names: tuple[str, ...]
    held: tuple[str, ...]


class InputsWanted(NamedTuple):
    """The reactor uses a module of the user's that was not sent along."""

    module: str


class Done(NamedTuple):
    """The reactor has returned.

    The digests of parameters are empty in its record, and those of subreactors refer to
    ``subreactors``: numbers of functions that were sent, or functions that were made there.
    Both are judged where the order came from.
    """

    record: ExecutionRecord
    seconds: float
    subreactors: tuple[Any, ...]


class Raised(NamedTuple):
    """The reactor raised."""

    error: BaseException
    traceback: str


class Unloadable(NamedTuple):
    """A value that was given could not be loaded."""

    name: str
    error: DamagedError


class Hidden(NamedTuple):
    """The worker does not see the plant."""

    reason: str

    def error(self, root: Any) -> PlantDirError:
        """For people; ``root`` is the directory of the plant."""
        return PlantDirError(
            f"A worker does not see the plant in {root} ({self.reason.rstrip('.')}). Open the plant in a "
            f"directory that all workers reach under the same path."
        )


class Ended(NamedTuple):
    """The run is over; nobody waits for this."""


class Interrupted(NamedTuple):
    """The reactor was interrupted as by Ctrl-C; so is the run, unless it is over already."""


class TaskReply(NamedTuple):
    """What came of an attempt.

    Attributes
    ----------
    outcome
        How it ended.
    said
        What it has to say and has not written down yet.
    written
        Bytes that it has written down.
    journal_lines
        What the run writes into the journal for the worker.
    unsynced
        Names of objects that no ``fsync`` has brought to the disk yet.
    was_here
        Whether the worker shares the process of the run.
    """

    outcome: MoreInputs | InputsWanted | Done | Raised | Unloadable | Hidden | Interrupted | Ended
    said: tuple[Said, ...] = ()
    written: int = 0
    journal_lines: tuple[PendingLine, ...] = ()
    unsynced: tuple[str, ...] = ()
    was_here: bool = False


def here() -> tuple[str, int]:
    """What tells the processes apart that may see a plant."""
    return host_name(), os.getpid()
