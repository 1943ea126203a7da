"""Messages between the coordinator of a run and its workers. They hold digests and names, never values.

A run creates a folder in the scratch space of the plant. One file in it holds the settings that
all tasks of the run share (configuration, specs, paths), so that they are not sent with each task.
Workers append the output of running tasks to other files there (:mod:`pyplant.workers.output`).
The plant is the only channel that all kinds of pools share. When the folder is gone, the run is over:
workers that notice it stop.

A task is *attempted*: a worker runs the reactor from its beginning. The attempt ends when the reactor
returns, raises, or asks for an ingredient that the request did not include. It does not begin if the
worker has other code than the run.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextvars import Context
from typing import Any, NamedTuple

from pyplant._definitions import Definition
from pyplant._fork import after_fork_in_child
from pyplant._tracer import ExecutionRecord
from pyplant.config.parameters import Parameters
from pyplant.errors import DamagedError, PlantDirError
from pyplant.fingerprint.assignments import AttributeName
from pyplant.fingerprint.code_records import CodeRecord
from pyplant.fingerprint.distribution import Distribution
from pyplant.fingerprint.module_effects import Effect
from pyplant.ingredient import Ingredient
from pyplant.reads.recorder import Tracking
from pyplant.store.format_registry import FormatRegistry
from pyplant.store.journal import PendingLine
from pyplant.store.processes import host_name
from pyplant.workers.error_pickling import PickledError

__all__ = [
    "CONTEXT",
    "MODULES",
    "SETTINGS",
    "Bundle",
    "Differs",
    "Done",
    "ImportsFailed",
    "InProcessRun",
    "InProcessTask",
    "Interrupted",
    "MoreInputs",
    "OutputItem",
    "PackageSettings",
    "PackedObject",
    "PackedVariables",
    "PlantUnreachable",
    "Raised",
    "RunEnded",
    "RunSettings",
    "SentModules",
    "TaskReply",
    "TaskRequest",
    "Unloadable",
    "Variable",
    "in_process_runs",
    "this_process",
]

CONTEXT = "context"
"""Name of the file with the settings, in the folder of the run."""

MODULES = "modules"
"""Name of the file with the user modules, in the folder of the code of a run."""

SETTINGS = "settings-"
"""The beginning of the names of files with settings of the program, in the folder of the run; their digest follows."""

OutputItem = tuple[Any, ...]
"""A piece of output: its kind (``stdout``, ``stderr``, ``log`` or the name of an event), then its parts; JSON-able."""


class RunSettings(NamedTuple):
    """The settings that all tasks of a run share.

    Attributes
    ----------
    root, plant_id
        The plant directory, and which plant it is: another one may take its place.
    overlay
        Where values are stored if the plant is read-only, else ``""``.
    parameters
        The configuration.
    formats
        The ingredient specs.
    track_reads
        What happens with reads that reactors do not declare.
    """

    root: str
    plant_id: str
    overlay: str
    parameters: Parameters
    formats: FormatRegistry
    track_reads: Tracking = True


class Variable(NamedTuple):
    """A variable of a module."""

    module: str
    name: str


class PackedVariables(NamedTuple):
    """The pickled values of variables: of one, or of some that refer to one another in a circle.

    Attributes
    ----------
    variables
        The variables.
    data
        The pickled tuple of their values.
    needs
        Other variables that code in the values reads.
    """

    variables: tuple[Variable, ...]
    data: bytes
    needs: tuple[Variable, ...]


class Bundle(NamedTuple):
    """A file with parts: its number, which is its name, and its digest."""

    number: int
    digest: str


class PackedObject(NamedTuple):
    """A pickled object, the variables that it needs, and the bundles with them and with what they need."""

    data: bytes
    needs: tuple[Variable, ...]
    bundles: tuple[Bundle, ...]


class SentModules(NamedTuple):
    """Where a worker finds the user modules of the program: the folder, and the digest of the file in it."""

    folder: str
    digest: str


class PackageSettings(NamedTuple):
    """Which installed packages count, and how.

    Attributes
    ----------
    followed
        The distributions whose code counts as user code.
    tracked
        The packages whose versions count.
    assigned
        The attributes of installed code that the program assigns.
    effects
        The statements of the program that change installed code otherwise.
    """

    followed: tuple[Distribution, ...] = ()
    tracked: tuple[str, ...] = ()
    assigned: tuple[AttributeName, ...] = ()
    effects: tuple[Effect, ...] = ()


class InProcessTask(NamedTuple):
    """A task for workers in the process of the run.

    Attributes
    ----------
    definition
        The reactor.
    variables
        A copy of the context variables of the thread that submitted it.
    settings
        The settings of that thread (:func:`~pyplant.workers.process_settings.read_settings`).
    """

    definition: Definition
    variables: Context
    settings: Mapping[str, bytes]


class InProcessRun(NamedTuple):
    """A run for workers in its own process, such as threads: they use these objects and unpickle nothing."""

    context: RunSettings
    tasks: dict[str, InProcessTask]


in_process_runs: dict[str, InProcessRun] = {}
"""The parallel runs of this process, by folder."""

after_fork_in_child(in_process_runs.clear)  # the runs belong to the parent


class TaskRequest(NamedTuple):
    """A request to attempt a task.

    Attributes
    ----------
    folder
        The folder of the run.
    context
        The digest of the file with the settings.
    name
        The name of the attempt, unique within the run.
    reactor
        The packed definition; ``None`` if workers share the process.
    fingerprints
        The fingerprints of its code, one of which the worker must reproduce.
    given
        The ingredients that the reactor may receive. The coordinator has checked that they may be loaded.
    process
        The host and process number of the coordinator.
    modules
        The user modules of the program; ``None`` if workers share the process.
    settings
        The digest of the file with the settings of the program.
    environment
        Environment variables for workers that PyPlant did not start; ``None`` for one that is not set. They are in no
        file, since they may be secrets.
    """

    folder: str
    context: str
    name: str
    reactor: PackedObject | None
    fingerprints: tuple[str, ...]
    given: dict[str, Ingredient]
    process: tuple[str, int]
    modules: SentModules | None = None
    settings: str = ""
    environment: dict[str, str | None] | None = None


class MoreInputs(NamedTuple):
    """The reactor asks for the ingredients ``names``, which were not given; it has received ``held`` before."""

    names: tuple[str, ...]
    held: tuple[str, ...]


class ImportsFailed(NamedTuple):
    """User modules that cannot be imported in the worker, by name, with the reasons."""

    reasons: dict[str, str]


class Differs(NamedTuple):
    """The reactor has another fingerprint in the worker; ``records`` tell what that was made of."""

    fingerprint: str
    records: dict[str, CodeRecord]


class Done(NamedTuple):
    """The reactor has returned.

    Only the coordinator can digest parameters, so the digests of parameters in ``record`` are empty.
    """

    record: ExecutionRecord
    seconds: float


class Raised(NamedTuple):
    """The reactor raised; the error is pickled on its own if the reply is."""

    error: BaseException | tuple[PickledError, ...]
    traceback: str


class Unloadable(NamedTuple):
    """The value of a given ingredient could not be loaded."""

    name: str
    error: DamagedError


class PlantUnreachable(NamedTuple):
    """The worker cannot open the plant."""

    reason: str

    def error(self, root: Any) -> PlantDirError:
        """Return the error for the user; ``root`` is the directory of the plant."""
        return PlantDirError(
            f"A worker does not see the plant in {root} ({self.reason.rstrip('.')}). Open the plant in a "
            f"directory that all workers reach under the same path."
        )


class RunEnded(NamedTuple):
    """The run was over before the attempt began, so nothing was executed."""


class Interrupted(NamedTuple):
    """The reactor was interrupted as by Ctrl-C. This interrupts the run too, unless it is over."""


class TaskReply(NamedTuple):
    """The result of an attempt.

    Attributes
    ----------
    outcome
        How it ended.
    output
        The output that is not in the output file of the attempt.
    written
        The length of that file in bytes.
    journal_lines
        Lines for the journal. Workers do not write it; the run does, when it commits.
    unsynced
        Names of stored objects that are not synced to the disk yet.
    shares_process
        Whether the worker shares the process of the run.
    """

    outcome: (
        MoreInputs
        | ImportsFailed
        | Differs
        | Done
        | Raised
        | Unloadable
        | PlantUnreachable
        | Interrupted
        | RunEnded
    )
    output: tuple[OutputItem, ...] = ()
    written: int = 0
    journal_lines: tuple[PendingLine, ...] = ()
    unsynced: tuple[str, ...] = ()
    shares_process: bool = False


def this_process() -> tuple[str, int]:
    """Return the host and number of this process, which identify it among all that use a plant."""
    return host_name(), os.getpid()
