"""The origin of code: the user, an installed package, or Python itself.

User code is followed line by line. The standard library and installed packages count by name, since
they change with an installation and not with an edit. PyPlant itself is never user code, nor is what it needs to
run, wherever that is installed. A package that
is installed as editable lies outside ``site-packages`` and is user code. An installed distribution
that defines reactors is user code as a whole.

The set of followed distributions belongs to the process and only grows: by distributions whose reactors
are defined in this process (:func:`follow_file`), and by those that a plant has recorded as defining
reactors (:func:`follow_packages`). Without the record, a fingerprint would depend on what else the
process imported. The set grows between runs and never during one (:func:`begin_generation`).
"""

from __future__ import annotations

import importlib
import importlib.util
import os.path
import sys
from collections.abc import Iterable
from contextlib import suppress
from functools import cache, lru_cache
from types import FunctionType, ModuleType
from typing import Any

from pyplant._missing import MISSING
from pyplant.errors import ConfigError
from pyplant.fingerprint.attributes import module_of, namespace, safe_getattr, static_attribute
from pyplant.fingerprint.distribution import (
    Distribution,
    distribution_named,
    distribution_of,
    installation_folders,
)

__all__ = [
    "LOADED",
    "absolute_name",
    "adopt_followed",
    "begin_generation",
    "defining_packages",
    "find",
    "follow_file",
    "follow_packages",
    "followed",
    "generation",
    "import_user_module",
    "is_installed_module",
    "is_own_file",
    "is_user_file",
    "is_user_module",
    "is_user_object",
    "is_users_function",
    "leads_to_user_code",
    "package_name",
    "package_versions",
]

LOADED = sys.modules
"""The modules of the process."""

_PYPLANT = os.path.dirname(os.path.dirname(os.path.realpath(__file__))) + os.sep
_STDLIB = os.path.dirname(os.path.realpath(os.__file__)) + os.sep

_DEPENDENCIES = (
    *(
        "IPython",
        "anywidget",
        "blake3",
        "click",
        "cloudpickle",
        "graphviz",
        "h5py",
        "ipywidgets",
        "loky",
        "numpy",
        "rich",
    ),
    *("dask", "distributed"),
)
"""Packages that PyPlant needs, and those of its executors."""

# State of the process, since code belongs to the process: what is followed, what the next run adds to that,
# and the names of the distributions whose reactors are defined here.
_followed: dict[str, Distribution] = {}
_pending: dict[str, Distribution | None] = {}
_defining: set[str] = set()
_generation = 0


@cache
def is_user_file(filename: str) -> bool:
    """Return whether code of this file is user code. Text without a file (a cell, ``exec``) is."""
    if filename.startswith("<frozen"):
        return False
    if filename.startswith("<"):
        return True
    # An environment may link to packages elsewhere, so both the path and its target are checked.
    path = _resolved(filename)
    if path.startswith(_PYPLANT):
        return False
    if installation_folders(path) or installation_folders(filename):
        return any(found.contains(path) or found.contains(filename) for found in _followed.values())
    return not path.startswith(_STDLIB) and not _is_dependency(path) and not _is_dependency(filename)


def _resolved(filename: str) -> str:
    """Return the path without links. Folders are resolved once, since a program has loaded many files of each."""
    if os.path.islink(filename):
        return os.path.realpath(filename)
    folder, name = os.path.split(os.path.abspath(filename))
    return os.path.join(_resolved_folder(folder), name)


_resolved_folder = lru_cache(maxsize=10_000)(os.path.realpath)


def _is_dependency(path: str) -> bool:
    """Return whether a file belongs to a package that PyPlant needs, also if that was copied to any folder or archive."""
    for name in _DEPENDENCIES:
        if f"{os.sep}{name}{os.sep}" in path:
            with suppress(ImportError, ValueError, AttributeError):
                spec = importlib.util.find_spec(name)
                folders = (spec and spec.submodule_search_locations) or ()
                return any(path.startswith(f"{folder}{os.sep}") for folder in folders)
    return False


def follow_file(filename: str) -> None:
    """Follow, from the next run on, the distribution of this file, which defines a reactor."""
    if not _is_installed(filename):
        return
    # A reactor is defined many times in a distribution: reading its metadata once is enough, unless it was
    # installed again.
    for known in (*_pending.values(), *_followed.values()):
        if known is not None and known.contains(filename) and known.is_current():
            return
    found = distribution_of(filename)
    if found is not None:
        _defining.add(found.name)
        _pending[found.name] = found


@cache
def _is_installed(filename: str) -> bool:
    if is_own_file(filename) or os.path.realpath(filename).startswith(_PYPLANT):
        return False
    return bool(installation_folders(filename) and filename.endswith(".py"))


def follow_packages(packages: Iterable[str], *, must_exist: bool = False) -> None:
    """Follow these installed distributions or packages from the next run on.

    Raises
    ------
    pyplant.errors.ConfigError
        If one of them does not exist although ``must_exist`` is true.
    """
    for package in [packages] if isinstance(packages, str) else packages:
        if package in _pending or package in _followed:
            continue
        found = distribution_named(package)
        if found is None and must_exist and not _is_user_package(package):
            message = f"follow_packages names {package!r}, which is not installed."
            raise ConfigError(message)
        _pending[package if found is None else found.name] = found


def defining_packages() -> frozenset[str]:
    """Names of the distributions whose reactors are defined in this process."""
    return frozenset(_defining)


def followed() -> tuple[Distribution, ...]:
    """Return the distributions that are followed."""
    return tuple(_followed.values())


def adopt_followed(distributions: Iterable[Distribution]) -> None:
    """Follow what the process follows that this worker works for."""
    _pending.update((found.name, found) for found in distributions)
    begin_generation()


def begin_generation() -> None:
    """Begin a run: distributions to be followed are user code from now on."""
    global _generation
    added = {name: found for name, found in _pending.items() if found and _followed.get(name) != found}
    _pending.clear()
    if added:
        # Both the cached answers and all fingerprints rest on what is followed.
        _followed.update(added)
        _generation += 1
        is_user_file.cache_clear()


def generation() -> int:
    """Return a number that changes when more code becomes user code, which invalidates fingerprints."""
    return _generation


def is_own_file(filename: str) -> bool:
    """Return whether code of this file is PyPlant's own."""
    return filename.startswith(_PYPLANT)


def is_user_module(module: ModuleType) -> bool:
    """Return whether a module is user code; an object that replaces a module in ``sys.modules`` is not."""
    if not issubclass(type(module), ModuleType):
        return False
    # Only the module's own dictionary is read: a lazy module class may invent ``__file__`` on access.
    own = namespace(module) or {}
    name = str(own.get("__name__", ""))
    if name == "__main__":
        return True
    filename = own.get("__file__")
    if isinstance(filename, str):
        return is_user_file(filename)
    paths = list(own.get("__path__") or ())  # a namespace package
    if paths:
        return is_user_file(os.path.join(str(paths[0]), "__init__.py"))
    if getattr(own.get("__spec__"), "origin", None) in {"built-in", "frozen"}:
        return False
    # The module was created in memory, so its package decides.
    package = sys.modules.get(name.partition(".")[0])
    return package is None or package is module or is_user_module(package)


def leads_to_user_code(module: ModuleType) -> bool:
    """Return whether a module is user code, or a namespace package that contains followed packages."""
    if is_user_module(module):
        return True
    own = namespace(module) if issubclass(type(module), ModuleType) else None
    if own is None or own.get("__file__") is not None:
        return False
    inside = tuple(str(path) + os.sep for path in own.get("__path__") or ())
    return bool(inside) and any(
        path.startswith(inside) for found in _followed.values() for path in (*found.files, *found.folders)
    )


def is_user_object(obj: Any) -> bool:
    """Return whether a class, or another object with a ``__module__``, is defined in user code."""
    name = module_of(obj) if issubclass(type(obj), type) else static_attribute(obj, "__module__")
    if not (type(name) is str and name) or name == "builtins":
        return False
    # A name such as ``numpy.rec`` (of ``numpy.recarray``) may be a module that is not imported yet.
    module = sys.modules.get(name) or sys.modules.get(package_name(name))
    if module is None:
        return package_name(name) not in sys.stdlib_module_names
    return is_user_module(module)


def is_users_function(obj: Any) -> bool:
    """Return whether an object is a user's function: by its file, since a worker may have rebuilt its module without one."""
    return (
        type(obj) is FunctionType
        and is_user_file(obj.__code__.co_filename)
        and not _is_compiled_by_library(obj)
    )


def _is_compiled_by_library(function: FunctionType) -> bool:
    """Return whether an installed module compiled a function from a text, with its own globals."""
    if not function.__code__.co_filename.startswith("<"):
        return False
    variables = function.__globals__
    name = variables.get("__name__")
    module = LOADED.get(name) if type(name) is str else None
    return module is not None and namespace(module) is variables and not is_user_module(module)


def find(module: ModuleType | None, qualname: str) -> Any:
    """Return the object under a qualified name in a module, else ``None``."""
    # Modules and classes may compute attributes, and raise anything.
    found: Any = module
    for step in qualname.split("."):
        found = safe_getattr(found, step, None)
    return found


def package_name(module: str | None) -> str:
    """Return the name by which an installed module counts, since its submodules may change between versions."""
    return (module or "").partition(".")[0]


def absolute_name(name: str, package: str | None) -> str:
    """Return the full name of a module that is imported as ``name``, or ``""`` if it cannot be resolved."""
    try:
        return importlib.util.resolve_name(name, package)
    except (ImportError, ValueError):
        return ""


def import_user_module(name: str, package: str | None) -> ModuleType | None:
    """Return the module that an ``import`` inside a function refers to, imported if it is user code.

    The import must happen here. Otherwise the fingerprint before the first run, when the module is
    not loaded yet, would differ from the one after it.

    Returns
    -------
    module
        ``None`` when it does not exist, or is installed and was not imported yet.
    """
    absolute = absolute_name(name, package)
    if not absolute:
        return None
    loaded = sys.modules.get(absolute)
    if loaded is not None:
        return loaded
    if absolute.partition(".")[0] in sys.stdlib_module_names or not _is_user_package(absolute):
        return None
    try:
        return importlib.import_module(absolute)
    except (Exception, SystemExit):  # noqa: BLE001 - the reactor will raise the same error when it runs
        return None


def is_installed_submodule(name: str) -> bool:
    """Return whether a module that is not loaded, in a package that is loaded, can be imported and is not the user's."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):
        return False
    return spec is not None and spec.has_location and not is_user_file(str(spec.origin))


def is_installed_module(found: Any, submodule: str) -> bool:
    """Return whether an attribute of a namespace package is a module that is not the user's, loaded or not."""
    if found is MISSING:
        return is_installed_submodule(submodule)
    return (
        issubclass(type(found), ModuleType) and found.__name__ == submodule and not leads_to_user_code(found)
    )


def _is_user_package(name: str) -> bool:
    """Return whether a module, loaded or not, is user code. Finding out imports no installed code."""
    parts = name.split(".")
    for depth in range(1, len(parts) + 1):
        package = ".".join(parts[:depth])
        loaded = sys.modules.get(package)
        if loaded is not None:
            if is_user_module(loaded):
                return True
            continue
        try:
            spec = importlib.util.find_spec(package)
        except (ImportError, ValueError, AttributeError):
            return False
        if spec is None:
            return False
        if spec.has_location and spec.origin:
            return is_user_file(spec.origin)
        places = list(spec.submodule_search_locations or ())
        if not places:  # a module that a finder of the user makes in memory
            return spec.loader is not None and is_user_object(type(spec.loader))
        # In a namespace package of installed packages, the next part of the name decides.
        if is_user_file(os.path.join(str(places[0]), "__init__.py")):
            return True
    return False


def package_versions(packages: Iterable[str]) -> dict[str, str]:
    """Return the versions of installed packages, by name.

    Raises
    ------
    pyplant.errors.ConfigError
        If one of them is not installed.
    """
    tracked = [packages] if isinstance(packages, str) else list(packages)
    if not tracked:
        return {}
    from importlib import metadata  # slow to import and rarely needed

    versions: dict[str, str] = {}
    for package in tracked:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            message = f"track_packages names {package!r}, which is not installed."
            raise ConfigError(message) from None
    return versions
