"""Whose code is it: the user's, an installed package's, or Python's own.

User code is followed line by line. The standard library and site-packages count by name:
they change with an installation, not with an edit. PyPlant itself is never user code, and
a package installed as editable lies outside site-packages and so is.
"""

from __future__ import annotations

import importlib
import importlib.util
import os.path
import sys
from collections.abc import Callable, Iterable
from functools import cache
from types import ModuleType
from typing import Any

from pyplant.engine.attributes import attribute_of, module_of, static
from pyplant.errors import ConfigError

__all__ = [
    "LOADED",
    "absolute_name",
    "find",
    "import_user_module",
    "is_own_file",
    "is_user_file",
    "is_user_module",
    "is_user_object",
    "package_name",
    "package_versions",
]

LOADED = sys.modules
"""The modules of the process."""

_PYPLANT = os.path.dirname(os.path.dirname(os.path.realpath(__file__))) + os.sep
_STDLIB = os.path.dirname(os.path.realpath(os.__file__)) + os.sep
_INSTALLED = (os.sep + "site-packages" + os.sep, os.sep + "dist-packages" + os.sep)


@cache
def is_user_file(filename: str) -> bool:
    """Whether code of this file is the user's; text without a file (a cell, ``exec``) is."""
    if filename.startswith("<frozen"):
        return False
    if filename.startswith("<"):
        return True
    path = os.path.realpath(filename)
    return not (path.startswith((_PYPLANT, _STDLIB)) or any(part in path for part in _INSTALLED))


def is_own_file(filename: str) -> bool:
    """Whether code of this file is PyPlant's own."""
    return filename.startswith(_PYPLANT)


def is_user_module(module: ModuleType) -> bool:
    """Whether a module's code is the user's; what was put into a module's place is not."""
    if not issubclass(type(module), ModuleType):
        return False
    name = module.__name__
    if name == "__main__":
        return True
    filename = getattr(module, "__file__", None)
    if filename is not None:
        return is_user_file(filename)
    paths = list(getattr(module, "__path__", ()))  # a namespace package
    if paths:
        return is_user_file(os.path.join(str(paths[0]), "__init__.py"))
    if getattr(getattr(module, "__spec__", None), "origin", None) in {"built-in", "frozen"}:
        return False
    package = sys.modules.get(
        name.partition(".")[0]
    )  # somebody made this module in memory: whose package is it?
    return package is None or package is module or is_user_module(package)


def is_user_object(obj: Any) -> bool:
    """Whether a class, or anything else that names its module, belongs to the user."""
    name = module_of(obj) if issubclass(type(obj), type) else static(obj, "__module__")
    if not (type(name) is str and name) or name == "builtins":
        return False
    module = sys.modules.get(name)
    if module is None:
        return name.partition(".")[0] not in sys.stdlib_module_names
    return is_user_module(module)


def find(module: ModuleType | None, qualname: str) -> Any:
    """What a module has under a qualified name; ``None`` if it has nothing there."""
    found: Any = module
    for step in qualname.split("."):
        found = attribute_of(found, step, None)
    return found


def package_name(module: str | None) -> str:
    """The name an installed module counts by; its inner layout may move between versions."""
    return (module or "").partition(".")[0]


def absolute_name(name: str, package: str | None) -> str:
    """The full name of a module that is imported as ``name``, or ``""`` if it cannot be told."""
    try:
        return importlib.util.resolve_name(name, package)
    except (ImportError, ValueError):
        return ""


def import_user_module(name: str, package: str | None) -> ModuleType | None:
    """The module that an ``import`` inside a function means, loaded if it is the user's.

    The import must happen here: otherwise the fingerprint before the first run, when the
    module is not loaded yet, would differ from the one after it.

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
    top = absolute.partition(".")[0]
    if top in sys.stdlib_module_names or not _is_user_package(top):
        return None
    try:
        return importlib.import_module(absolute)
    except (Exception, SystemExit):  # noqa: BLE001 - the reactor itself will raise it, in its own place
        return None


def _is_user_package(top: str) -> bool:
    loaded = sys.modules.get(top)
    if loaded is not None:
        return is_user_module(loaded)
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError, AttributeError):
        return False
    if spec is None:
        return False
    places = (
        [spec.origin] if spec.has_location and spec.origin else list(spec.submodule_search_locations or ())
    )
    return bool(places) and is_user_file(
        os.path.join(str(places[0]), "x") if not spec.origin else str(places[0])
    )


def package_versions(packages: Iterable[str]) -> Callable[[str], str]:
    """Gives the version of an installed package if it is one of these, else ``""``.

    Raises
    ------
    pyplant.errors.ConfigError
        If one of them is not installed.
    """
    tracked = [packages] if isinstance(packages, str) else list(packages)
    if not tracked:
        return lambda _: ""
    from importlib import metadata  # slow, and few need it

    versions: dict[str, str] = {}
    for package in tracked:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            message = f"track_packages names {package!r}, which is not installed."
            raise ConfigError(message) from None
    return lambda package: versions.get(package, "")
