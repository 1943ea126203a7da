"""The folder of a run, in its plant: the only channel that all kinds of pools share."""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

from pyplant.execution.executor import ExecutionRequest
from pyplant.execution.nesting import multiprocessing_settings
from pyplant.fingerprint.digest import digest_bytes
from pyplant.fingerprint.origin import followed
from pyplant.workers.code_pickling import CodePickler
from pyplant.workers.messages import CONTEXT, InProcessRun, ProcessSettings, RunSettings, in_process_runs
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
    definitions
        The reactors under way, by attempt; workers that share the process take them from here.
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
            request.context.parameters,
            warehouse.formats.copy_for_workers(),
        )
        self._tracked = tuple(request.fingerprinter.versions)
        self.definitions: dict[str, Any] = {}
        in_process_runs[self.folder] = InProcessRun(self._settings, self.definitions)
        self.context = ""
        self.write_settings(code_pickler)

    def write_settings(self, code_pickler: CodePickler | None) -> None:
        """Write the settings for workers of other processes, again if ``code_pickler`` is another one."""
        if code_pickler is None:
            return
        process_settings = ProcessSettings(
            os.getcwd(),
            tuple(sys.path),
            logging.getLogger().getEffectiveLevel(),
            multiprocessing_settings(),
            followed(),
            self._tracked,
        )
        content = dumps((process_settings, code_pickler.pack(self._settings)))
        self.context = digest_bytes(content)
        path = self.path / CONTEXT
        self._files.unlink(path)
        stream = self._files.create(path)
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
