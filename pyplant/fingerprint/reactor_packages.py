"""Finding installed packages that define reactors.

A distribution that defines reactors is user code. This must not depend on which of its modules a program
imports. So the files of each package that a module with reactors uses, directly or through other user
modules, are searched for a definition of a reactor, once in a process.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import FunctionType, ModuleType

from pyplant.fingerprint.attributes import module_of
from pyplant.fingerprint.distribution import file_with_reactors, installation_folders
from pyplant.fingerprint.origin import LOADED, follow_file, is_user_file

__all__ = ["follow_used_packages"]

_searched: set[str] = set()
_seen: dict[str, ModuleType] = {}
_main_values: tuple[int, ...] = ()  # the number of modules, and the identities of the values of `__main__`


def follow_used_packages(names: Iterable[str]) -> None:
    """Follow, from the next run on, the distributions with reactors that these modules use.

    Parameters
    ----------
    names
        The modules that define reactors.
    """
    global _main_values
    main = LOADED.get("__main__")
    # The main module of a notebook grows, so it is read again when its values are others. An identity may
    # be given to a new object, but not to one of a module that was loaded before.
    values = (len(LOADED), *map(id, tuple(vars(main).values()))) if main is not None else ()
    if values != _main_values:
        _main_values = values
        _seen.pop("__main__", None)
    stack = list(names)
    while stack:
        name = stack.pop()
        module = LOADED.get(name)
        if _seen.get(name) is module or not isinstance(module, ModuleType):
            continue
        _seen[name] = module
        filename = getattr(module, "__file__", None)
        if isinstance(filename, str) and (folders := installation_folders(filename)):
            _search(name.partition(".")[0], folders[0])
        elif name == "__main__" or (isinstance(filename, str) and is_user_file(filename)):
            stack.extend(_used_modules(module))


def _used_modules(module: ModuleType) -> set[str]:
    """Return the names of the modules that are values of a module, or define its functions and classes."""
    names: set[str] = set()
    for value in tuple(vars(module).values()):
        kind = type(value)
        if kind is ModuleType:
            names.add(value.__name__)
        elif kind is FunctionType:
            if isinstance(value.__module__, str):
                names.add(value.__module__)
        elif issubclass(kind, type):
            names.add(module_of(value))
    return names


def _search(package: str, folder: str) -> None:
    if f"{folder}/{package}" not in _searched:
        _searched.add(f"{folder}/{package}")
        filename = file_with_reactors(folder, package)
        if filename:
            follow_file(filename)
