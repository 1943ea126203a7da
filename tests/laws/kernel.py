"""A process under test, as far as one process can play another.

It imports the package from disk, reloads modules, holds plants on one directory, and can
be killed: then everything in memory is lost and the next one starts empty.
"""

from __future__ import annotations

import copy
import importlib
import linecache
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyplant
from pyplant import _definitions
from pyplant.config.classes import ConfigBase
from pyplant.errors import DamageWarning, PlantWarning
from pyplant.events import Event, ReactorFailed, ReactorFinished, ReactorStarted, RunFinished
from pyplant.fingerprint import bytecode, origin
from pyplant.reports.report import Outcome, ReactorEntry
from tests.laws import outside
from tests.laws.oracle import Config, Oracle
from tests.laws.pipelines import AUXILIARY, NESTED, Pipeline
from tests.laws.source import MODULES, PACKAGE, render

_MEMORY = Path("/dev/shm")  # syncs cost nothing there


class LawConfig(ConfigBase):
    """A configuration object; its parameters are set from outside."""


@dataclass(slots=True)
class Log:
    """What happened since it was last cleared: names of reactors, in order."""

    started: list[str] = field(default_factory=list)
    finished: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    entries: dict[str, ReactorEntry] = field(default_factory=dict)
    warnings: list[warnings.WarningMessage] = field(default_factory=list)

    def __call__(self, event: Event) -> None:
        """Take an event."""
        match event:
            case ReactorStarted(name, _):
                self.started.append(name)
            case ReactorFinished(name, _, _):
                self.finished.append(name)
            case ReactorFailed(name, _):
                self.failed.append(name)
            case RunFinished(report):
                self.entries.update((e.name, e) for e in report.entries if e.outcome is not Outcome.CACHED)

    def clear(self) -> None:
        """Restart the kernel."""
        for noted in (self.started, self.finished, self.failed, self.entries, self.warnings):
            noted.clear()


class Kernel:
    """A package on disk, the process that runs it, and the oracle beside it.

    Parameters
    ----------
    executor
        Where the reactors of all plants run.
    """

    def __init__(self, executor: Any = None) -> None:
        self._executor = executor
        base = _MEMORY if _MEMORY.is_dir() else None
        self.root = Path(tempfile.mkdtemp(prefix="laws-", dir=base))
        self.folder = self.root / "files"
        self.outside = self.root / "outside"
        self.directory = self.root / "plant"
        self.log = Log()
        self.plants: list[pyplant.Plant] = []
        self.senders: dict[str, str] = {}
        self.journal_damaged = False
        self._on_disk: dict[str, str] = {}
        self._senders_on_disk: dict[str, str] = {}
        (self.root / PACKAGE).mkdir()
        (self.root / PACKAGE / "__init__.py").touch()
        self.folder.mkdir()
        self.outside.mkdir()
        sys.path.insert(0, str(self.root))
        self._wrote_bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True
        self.oracle = Oracle(self._on_disk.__getitem__, self.outside)

    # ------------------------------------------------------------------ the disk

    def write(self, pipeline: Pipeline) -> list[str]:
        """Write the package; returns the modules that changed."""
        texts = render(pipeline, str(self.folder), str(self.outside))
        changed = [name for name in MODULES if texts[name] != self._on_disk.get(name)]
        for name in changed:
            (self.root / PACKAGE / f"{name}.py").write_text(texts[name])
        self._on_disk.update(texts)
        self._senders_on_disk = pipeline.outputs()
        return changed

    # ------------------------------------------------------------------ the process

    def boot(self) -> None:
        """A new process: import the package and open the plant."""
        forget_process()
        self.oracle = Oracle(self._on_disk.__getitem__, self.outside)
        self._load(["reactors"], importlib.import_module)
        self.plants = [self.open(self.directory)]

    def reload(self, names: list[str]) -> None:
        """Reload modules, as ``importlib.reload`` does; those not loaded yet stay so."""
        loaded = [name for name in names if f"{PACKAGE}.{name}" in sys.modules]
        self._load(loaded, lambda full: importlib.reload(sys.modules[full]))

    def _load(self, names: list[str], load: Callable[[str], Any]) -> None:
        for name in names:
            importlib.invalidate_caches()
            load(f"{PACKAGE}.{name}")
            self.oracle.load(name)
            if name == "reactors":
                self.senders = dict(self._senders_on_disk)

    def note_imports(self) -> None:
        """Load in the oracle what the process has imported meanwhile, on its own account."""
        for name in MODULES:
            full = f"{PACKAGE}.{name}"
            if full in sys.modules and full not in self.oracle.modules:
                self.oracle.load(name)

    def open(self, directory: Path, max_size: str | int = "20 GB") -> pyplant.Plant:
        """Another plant object."""
        with warnings.catch_warnings():
            if self.journal_damaged:
                warnings.simplefilter("ignore", DamageWarning)
            plant = pyplant.Plant(directory, executor=self._executor, max_size=max_size, progress=False)
        plant.mark_params_as_auxiliary([AUXILIARY])
        plant.add_event_listener(self.log)
        return plant

    def kill(self) -> None:
        """End the process without a chance to write anything."""
        for plant in self.plants:
            plant._finalizer.detach()  # a killed process finalises nothing
            warehouse = plant._warehouse
            warehouse.journal._pending.clear()  # nor writes what is pending
            # The system closes its files: of thousands of processes they would exceed what one may open.
            for file in (warehouse.journal._stream, warehouse.claims._own, warehouse.leases._own):
                if file is not None:
                    file.close()
        self.plants.clear()

    def close(self) -> None:
        """End the process properly."""
        for plant in self.plants:
            plant.close()
        self.plants.clear()

    def remove(self) -> None:
        """Leave no trace."""
        self.close()
        outside.remove()
        forget_process()
        sys.dont_write_bytecode = self._wrote_bytecode
        sys.path.remove(str(self.root))
        sys.path_importer_cache.pop(str(self.root), None)
        sys.path_importer_cache.pop(str(self.root / PACKAGE), None)
        # The thread of a killed plant that removes leftovers lives on here, and may move some while they are listed.
        for _ in range(3):
            shutil.rmtree(self.root, ignore_errors=True)
        assert not self.root.exists()

    @contextmanager
    def watched(self) -> Iterator[Log]:
        """Note events and warnings from here on."""
        self.log.clear()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", PlantWarning)
            yield self.log
        self.log.warnings[:] = caught


def forget_process() -> None:
    """Whatever the modules under test and PyPlant keep for the length of a process."""
    for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
        del sys.modules[name]
    _definitions._declared.clear()
    _definitions._repeated.clear()
    _definitions.sources._texts.clear()
    _definitions._real_path.cache_clear()
    bytecode._DIGESTS.clear()
    origin.is_user_file.cache_clear()
    linecache.clearcache()


def plant_config(pipeline: Pipeline) -> Any:
    """The configuration as a plant takes it."""
    values = copy.deepcopy(pipeline.parameters)
    if not pipeline.object_config:
        return values
    config, nested = LawConfig(), LawConfig()
    vars(nested)[NESTED] = values.pop(NESTED)
    vars(config).update(values, sub=nested)
    return config


def oracle_config(pipeline: Pipeline) -> Config:
    """The same for the oracle."""
    values = dict(pipeline.parameters)
    if pipeline.object_config:
        values[f"sub.{NESTED}"] = values.pop(NESTED)
    return Config(values, frozenset({AUXILIARY}))
