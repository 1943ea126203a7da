"""Finding installed packages that define reactors.

A distribution that defines reactors is user code. This must not depend on which of its modules a program
imports. So the files of each package that a module with reactors uses, directly or through other user
modules, are searched for a definition of a reactor, once in a process.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import FunctionType, ModuleType
from typing import Any

from pyplant.fingerprint.attributes import module_of
from pyplant.fingerprint.distribution import file_with_reactors, installation_folders
from pyplant.fingerprint.origin import LOADED, follow_file, is_user_file

__all__ = ["follow_used_packages"]

_searched: set[str] = set()
_seen: dict[str, ModuleType] = {}


def follow_used_packages(names: Iterable[str]) -> None:
    """Follow, from the next run on, the distributions with reactors that these modules use.

    Parameters
    ----------
    names
        The modules that define reactors.
    """
    stack = list(names)
    visited: set[str] = set()
    while stack:
        name = stack.pop()
        module = LOADED.get(name)
        filename = getattr(module, "__file__", None)
        if name in visited or not isinstance(module, ModuleType) or _seen.get(name) is module:
            continue
        visited.add(name)
        if isinstance(filename, str) and (folders := installation_folders(filename)):
            _search(name.partition(".")[0], folders[0])
        elif name == "__main__" or (isinstance(filename, str) and is_user_file(filename)):
            if name != "__main__":  # the module of a notebook grows
                _seen[name] = module
            stack.extend(
                {
                    module_name
                    for value in tuple(vars(module).values())
                    if (module_name := _module_name(value))
                }
            )


def _module_name(value: Any) -> str:
    if type(value) is ModuleType:
        return value.__name__
    if type(value) is FunctionType:
        return value.__module__ if isinstance(value.__module__, str) else ""
    return module_of(value) if issubclass(type(value), type) else ""


def _search(package: str, folder: str) -> None:
    if f"{folder}/{package}" not in _searched:
        _searched.add(f"{folder}/{package}")
        filename = file_with_reactors(folder, package)
        if filename:
            follow_file(filename)
