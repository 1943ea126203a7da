"""User modules in a worker: imported as the program imported them.

A worker process may serve several programs in turn, as those of a cluster do. Modules have one place in a
process, so attempts of different programs do not run at the same time, and modules that differ between them
are imported again. Threads that work for one program share its modules.
"""

from __future__ import annotations

import importlib
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import spec_from_file_location
from types import ModuleType
from typing import Any

from pyplant._fork import after_fork_in_child
from pyplant._formatting import error_text
from pyplant.execution.nesting import importing_for_worker
from pyplant.fingerprint.digest import digest_bytes
from pyplant.workers.user_modules import UserModule, content_of, digest_in_this_process

__all__ = ["ImportsFailedError", "import_modules", "serving_program"]

_SLOW_IMPORT = 60.0  # seconds


class ImportsFailedError(Exception):
    """Modules that cannot be imported in this worker, by name, with the reasons."""

    def __init__(self, reasons: dict[str, str]) -> None:
        super().__init__(reasons)
        self.reasons = reasons


class _SourceLoader(SourceFileLoader):
    """Loads a module from captured source; a cached bytecode file belongs to another version of it."""

    def __init__(self, module: UserModule, source: bytes) -> None:
        super().__init__(module.name, module.file)
        self._source = source

    # SourceFileLoader then neither reads nor writes a file of bytecode.
    def path_stats(self, path: str) -> Any:
        raise OSError(path)

    def get_data(self, path: str) -> bytes:
        return self._source if path == self.path else super().get_data(path)


class _Finder:
    """Finds the user modules of the program that is served.

    Attributes
    ----------
    modules
        Its modules, by name.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Serve no program, as at first."""
        self.modules: Mapping[str, UserModule] = {}
        self.program = ""
        self.users = 0
        self.imported: dict[str, tuple[ModuleType, str]] = {}

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Return where to load a user module from; ``None`` for other modules."""
        del target
        module = self.modules.get(name)
        return None if module is None else _spec(module, path)


def _spec(module: UserModule, path: Any) -> ModuleSpec | None:
    folders = None if module.folders is None else list(module.folders)
    if not module.file:
        spec = ModuleSpec(module.name, None, is_package=True)
        spec.submodule_search_locations = folders
        return spec
    for candidate in _places(module, folders, path):
        content = content_of(candidate)
        if content is not None and digest_bytes(content) == module.digest:
            return candidate
    if module.source is None:
        return None
    loader = _SourceLoader(module, module.source)
    return spec_from_file_location(
        module.name, module.file, loader=loader, submodule_search_locations=folders
    )


def _places(module: UserModule, folders: list[str] | None, path: Any) -> Iterator[ModuleSpec | None]:
    """Yield where a module may be; the second place is for archives, and for machines that have the files elsewhere."""
    yield spec_from_file_location(module.name, module.file, submodule_search_locations=folders)
    yield PathFinder.find_spec(module.name, path)


_guard = threading.Condition()
_finder = _Finder()


@after_fork_in_child
def _after_fork() -> None:
    """Serve no program in a child that a reactor forks: it imports what it likes."""
    global _guard  # another thread of the parent may have had it
    _guard = threading.Condition()
    _finder.reset()


@contextmanager
def serving_program(program: str) -> Iterator[None]:
    """Serve a program, and wait until no other thread serves another one."""
    with _guard:
        _guard.wait_for(lambda: not _finder.users or _finder.program == program)
        _finder.users += 1
        _finder.program = program
    try:
        yield
    finally:
        with _guard:
            _finder.users -= 1
            _guard.notify_all()


def import_modules(modules: Mapping[str, UserModule]) -> None:
    """Import the user modules of the program that is served.

    Raises
    ------
    ImportsFailedError
        If some cannot be imported.
    """
    with _guard:
        if _finder.modules is modules:
            return
        _forget_others(modules)
        _finder.modules = modules
        if _finder not in sys.meta_path:
            sys.meta_path.insert(0, _finder)
        reasons: dict[str, str] = {}
        # The program has written bytecode already if it writes any. A file of ours could be that of an edit in the
        # same second as the one that the program imports next, which Python cannot tell apart.
        sys.dont_write_bytecode = True
        for module in modules.values():
            if module.is_imported_first and module.name not in sys.modules:
                began = time.monotonic()
                try:
                    with importing_for_worker(module.name):
                        importlib.import_module(module.name)
                except KeyboardInterrupt:
                    raise
                except BaseException as error:  # noqa: BLE001 - a module may raise anything, also SystemExit
                    reasons[module.name] = error_text(error)
                if (seconds := time.monotonic() - began) > _SLOW_IMPORT:
                    reasons.setdefault(module.name, f"its import takes {seconds:.0f} seconds")
        if reasons:
            _finder.modules = {}  # or a request that was sent before the program knows would find nothing to do
            raise ImportsFailedError(reasons)
        _remember(modules)


def _remember(modules: Mapping[str, UserModule]) -> None:
    for name, module in modules.items():
        if name in sys.modules:
            _finder.imported[name] = sys.modules[name], module.digest


def _forget_others(modules: Mapping[str, UserModule]) -> None:
    """Remove loaded modules that are not those of the program.

    With one that differs all others go, since they may have imported it; those that are imported on demand stay.
    """
    _remember(_finder.modules)
    differing = {name for name in _loaded(modules) if _digest(name) != modules[name].digest}
    differing |= {name for name in _finder.modules.keys() - modules.keys() if name in sys.modules}
    if not differing:
        return
    # Only user modules are removed; libraries stay loaded, whichever program has imported them.
    for name in {**_finder.modules, **modules}:
        known = modules.get(name)
        if name in differing or known is None or known.is_imported_first:
            sys.modules.pop(name, None)
            _finder.imported.pop(name, None)


def _loaded(modules: Mapping[str, UserModule]) -> list[str]:
    return [name for name, module in modules.items() if module.file and name in sys.modules]


def _digest(name: str) -> str:
    """Return the digest of the file that a loaded module was executed from."""
    module, digest = _finder.imported.get(name, (None, ""))
    return digest if module is sys.modules[name] else digest_in_this_process(name)
