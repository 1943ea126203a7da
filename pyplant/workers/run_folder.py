"""The folder of a run, in its plant: the only channel that all kinds of pools share."""

from __future__ import annotations

import os

from pyplant.execution.executor import ExecutionRequest
from pyplant.fingerprint.assignments import assigned_effects, attribute_names
from pyplant.fingerprint.digest import digest_bytes
from pyplant.fingerprint.origin import followed
from pyplant.workers.code_pickling import CodePickler
from pyplant.workers.messages import (
    CONTEXT,
    SETTINGS,
    InProcessRun,
    InProcessTask,
    PackageSettings,
    RunSettings,
    in_process_runs,
)
from pyplant.workers.output import OutputReader
from pyplant.workers.pickling import dumps

__all__ = ["RunFolder"]


class RunFolder:
    """The folder of one run, through which it shares settings with workers and receives their output.

    Parameters
    ----------
    request
        Any request of the run.
    code_pickler
        Pickles user code; ``None`` if workers share the process.

    Attributes
    ----------
    path, folder
        Where it is, as a path and as text.
    reader
        Reads the output of workers.
    tasks
        The tasks under way, by attempt, for workers that share the process.
    context
        The digest of the settings in the folder; empty if workers share the process.
    """

    def __init__(self, request: ExecutionRequest, code_pickler: CodePickler | None) -> None:
        warehouse = request.warehouse
        self.path = warehouse.objects.scratch_path()
        self.folder = str(self.path)
        self._process = os.getpid()
        self.reader = OutputReader(self.path, warehouse.files)
        self._files = warehouse.files
        self._files.make_directory(self.path)
        self._settings = RunSettings(
            str(warehouse.root),
            warehouse.plant_id,
            str(warehouse.objects.overlay or ""),
            request.context.parameters,
            warehouse.formats.copy_for_workers(),
            request.context.track_reads,
        )
        self._tracked = tuple(request.fingerprinter.versions)
        self.tasks: dict[str, InProcessTask] = {}
        in_process_runs[self.folder] = InProcessRun(self._settings, self.tasks)
        self._process_settings: set[str] = set()  # the digests of those in the folder
        self.context = ""
        self.write_settings(code_pickler)

    def write_settings(self, code_pickler: CodePickler | None) -> None:
        """Write the settings for workers of other processes, again if ``code_pickler`` is another one."""
        if code_pickler is None:
            return
        packages = PackageSettings(followed(), self._tracked, attribute_names(), assigned_effects())
        content = dumps((packages, code_pickler.pack(self._settings)))
        self.context = digest_bytes(content)
        self._files.unlink(self.path / CONTEXT)
        self._create(CONTEXT, content)

    def write_process_settings(self, settings: dict[str, bytes]) -> str:
        """Write settings of this process, unless workers have them; returns their digest."""
        content = dumps(settings)
        digest = digest_bytes(content)
        if digest not in self._process_settings:
            self._create(f"{SETTINGS}{digest}", content)
            self._process_settings.add(digest)
        return digest

    def _create(self, name: str, content: bytes) -> None:
        stream = self._files.create(self.path / name)
        try:
            stream.write(content)
        finally:
            stream.close()

    def close(self) -> None:
        """Remove the folder, by which workers notice that the run is over. Do nothing in a forked child."""
        if os.getpid() != self._process:
            return
        in_process_runs.pop(self.folder, None)
        self._files.remove_tree(self.path)
