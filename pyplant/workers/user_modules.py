"""The user modules of a program, and how its workers come by them.

How it works
------------
A worker imports the modules that the program has imported, in the same order, so that whatever they do when
they are imported happens there too: settings of libraries, registrations, accessors. It imports a file only
if it holds the bytes that the program captured. Otherwise (the file was edited since, or the worker is on a
machine without it) it executes the captured source under the same name.

Source is captured when a parallel plant is opened or begins a run, once for each execution of a module. A file may
have been edited between its import and that moment. This is not looked for here: a worker compares fingerprints
before it runs a reactor (:mod:`pyplant.workers.verification`), which finds such a difference where it matters.

Modules without source, such as those that were made in memory, and ``__main__``, which is never executed in a worker,
travel variable by variable (:mod:`pyplant.workers.code_pickling`).
"""

from __future__ import annotations

import sys
from importlib.machinery import ExtensionFileLoader, SourceFileLoader, SourcelessFileLoader
from types import ModuleType
from typing import Any, NamedTuple
from zipimport import zipimporter

from pyplant.fingerprint.digest import digest_bytes
from pyplant.fingerprint.origin import is_user_module

__all__ = [
    "UserModule",
    "capture_user_module",
    "capture_user_modules",
    "content_of",
    "digest_in_this_process",
]

_PLAIN_LOADERS = (SourceFileLoader, SourcelessFileLoader, ExtensionFileLoader, zipimporter)
"""Loaders that execute what is in the file. Others change it, as pytest does, and may belong to a tool."""


class UserModule(NamedTuple):
    """A user module, as the program has imported it.

    Attributes
    ----------
    name, file
        Its name and its file; a namespace package has no file.
    folders
        Where its submodules are, if it is a package.
    digest
        The digest of its file.
    source
        The content of its file; ``None`` if it is not Python source.
    is_imported_first
        Whether workers import it before the first reactor; others are imported when code refers to them.
    """

    name: str
    file: str
    folders: tuple[str, ...] | None
    digest: str
    source: bytes | None
    is_imported_first: bool


_captured: dict[str, tuple[ModuleType, object, UserModule | None]] = {}
"""The modules captured so far, with the execution (``__spec__``) that was captured."""


def capture_user_modules() -> dict[str, UserModule]:
    """Return the user modules of this process that workers can import, in the order of their import."""
    found = ((name, capture_user_module(name)) for name in list(sys.modules))
    return {name: module for name, module in found if module is not None}


def capture_user_module(name: str) -> UserModule | None:
    """Return a user module of this process; ``None`` if workers cannot import it."""
    module = sys.modules.get(name)
    spec = getattr(module, "__spec__", None) if issubclass(type(module), ModuleType) else None
    if module is None or spec is None or name == "__main__":
        return None
    known = _captured.get(name)
    if known is None or known[0] is not module or known[1] is not spec:
        is_itself = spec.name == name and is_user_module(module)
        known = _captured[name] = module, spec, _capture(name, spec) if is_itself else None
    return known[2]


def digest_in_this_process(name: str) -> str:
    """Return the digest of the file of a loaded module: as it was captured, or else as it is now.

    A forked worker has the modules of its parent, and what the parent captured.
    """
    module = sys.modules[name]
    captured, _, known = _captured.get(name, (None, None, None))
    if captured is module:
        return "" if known is None else known.digest
    content = content_of(getattr(module, "__spec__", None))
    return "" if content is None else digest_bytes(content)


def _capture(name: str, spec: Any) -> UserModule | None:
    folders = spec.submodule_search_locations
    folders = None if folders is None else tuple(map(str, folders))
    if not spec.has_location:
        return None if folders is None else UserModule(name, "", folders, "", None, is_imported_first=False)
    content = content_of(spec)
    if content is None:
        return None
    is_source = str(spec.origin).endswith((".py", ".pyw"))
    return UserModule(
        name,
        str(spec.origin),
        folders,
        digest_bytes(content),
        content if is_source else None,
        is_imported_first=type(spec.loader) in _PLAIN_LOADERS,
    )


def content_of(spec: Any) -> bytes | None:
    """Return the content of the file that a module is loaded from; ``None`` if it cannot be read."""
    try:
        return bytes(spec.loader.get_data(spec.origin))
    except Exception:  # noqa: BLE001 - loaders of other libraries may raise anything
        return None
