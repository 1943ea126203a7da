"""Code that parameters name: ``{"target": "steps.scale"}``, as Hydra's ``_target_`` does.

A reactor that looks such a name up runs code that its text does not name. So when its trace is written, the
fingerprint of that code becomes a dependency. Nothing is imported because a value names it: only
modules that are loaded by then are asked. A later process imports a module only if its own configuration names the code.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from types import FunctionType, ModuleType
from typing import Any

from pyplant.engine.trace import Dependency, DependencyKind
from pyplant.fingerprint.fingerprint import Fingerprinter
from pyplant.fingerprint.installed_names import is_users_class
from pyplant.fingerprint.origin import find, import_user_module, is_user_file, is_user_module

__all__ = ["code_named", "named_code", "names_in"]

_NAME = re.compile(r"[^\W\d]\w*(?:[.:][^\W\d]\w*)+")
_LONGEST = 200
_MOST = 1000  # of the texts in a parameter


def code_named(
    dependencies: Iterable[Dependency],
    lookup: Callable[[str], Any],
    fingerprinter: Fingerprinter,
    reactor: Callable[..., Any],
) -> Iterator[Dependency]:
    """Yield a dependency for each user's function or class that a parameter of a reactor names.

    Parameters
    ----------
    dependencies
        What the reactor read.
    lookup
        Returns the value of a parameter.
    fingerprinter
        Computes the fingerprint of the code.
    reactor
        The reactor; code that its fingerprint covers is left out.
    """
    for dependency in dependencies:
        if dependency.kind is DependencyKind.PARAMETER:
            for name in names_in(lookup(dependency.names[0])):
                found = named_code(name, load=False)
                if found is not None and not fingerprinter.reaches(reactor, found):
                    digest = fingerprinter.fingerprint(found).digest
                    yield Dependency(DependencyKind.SUBREACTOR, (name,), (digest,))


def names_in(value: Any) -> Iterator[str]:
    """Yield the texts in a parameter that may name code, with dots; a parameter may hold a part of a configuration."""
    stack, count = [value], 0
    while stack and count < _MOST:
        item = stack.pop()
        count += 1
        if type(item) is str:
            if len(item) <= _LONGEST and _NAME.fullmatch(item):
                yield item.replace(":", ".")
        elif issubclass(type(item), Mapping | Sequence) and not is_users_class(type(item)):
            with suppress(Exception):  # a library may refuse to show a value that is missing
                stack.extend(item.values() if issubclass(type(item), Mapping) else item)


def named_code(name: str, *, load: bool) -> Any:
    """Return the user's function or class with a full name, else ``None``; ``load`` imports its module."""
    module, qualname = name, ""
    while "." in module:
        module, _, step = module.rpartition(".")
        qualname = f"{step}.{qualname}" if qualname else step
        loaded = import_user_module(module, None) if load else sys.modules.get(module)
        if loaded is not None and issubclass(type(loaded), ModuleType):
            found = find(loaded, qualname) if is_user_module(loaded) else None
            return found if _is_users(found) else None
    return None


def _is_users(found: Any) -> bool:
    if type(found) is FunctionType:
        return is_user_file(found.__code__.co_filename)
    return issubclass(type(found), type) and is_users_class(found)
