"""Names that code finds by texts that only a run determines: by :func:`eval` under another name, in SQL, in formulas.

:mod:`pyplant.fingerprint.dynamic_code` finds the calls that the text of a function shows. Here are those that its values show:
an alias of a function that finds code, and texts in which a library looks names up among the globals of its caller.
"""

from __future__ import annotations

import builtins
import functools
import importlib
import re
from collections.abc import Iterator, Mapping
from types import FunctionType, ModuleType
from typing import Any

from pyplant.fingerprint.bytecode import nested
from pyplant.fingerprint.dynamic_code import AT_NAME, may_be_found
from pyplant.fingerprint.node_scope import NodeScope
from pyplant.fingerprint.source import CodePart

__all__ = ["OF_SHELL", "add_any_global", "add_found_by_alias", "names_in_texts"]

OF_SHELL = frozenset(["open", "get_ipython", "exit", "quit", "display"])
"""Names that IPython adds to the namespace of a notebook. They count like builtins."""
_FINDERS = (builtins.eval, builtins.exec, builtins.globals, builtins.__import__, importlib.import_module)
_EVALUATE_NAMES = frozenset(["_duckdb", "chdb", "duckdb", "formulaic", "numexpr", "patsy", "statsmodels"])
"""Libraries whose functions take texts with names of the caller's variables: SQL queries, formulas."""
_NAME = re.compile(r"[^\W\d]\w*")


def add_any_global(scope: NodeScope, module: str, namespace: Mapping[str, Any]) -> None:
    """Add all globals of a module, one of which code finds by a computed name."""
    scope.note("widened", f"{scope.owner}: finds globals by computed names, so all of {module} counts")
    for name in tuple(namespace):
        if name not in OF_SHELL and may_be_found(name, namespace[name]):
            scope.add(f"any {name}", scope.watch(namespace, name), name, module)


def add_found_by_alias(scope: NodeScope, module: str, namespace: Mapping[str, Any]) -> None:
    """Add all globals of a module if code has a function that finds code, under another name: ``ev = eval``."""
    if any(_finds_code(edge.target, edge.name) for edge in scope.edges()):
        add_any_global(scope, module, namespace)


def _finds_code(value: Any, name: str) -> bool:
    cls = type(value)
    if cls is functools.partial or cls is list:  # a list describes a static method
        value, name = value.func if cls is functools.partial else (value[1:2] or [None])[0], ""
    return any(value is each for each in _FINDERS) and value.__name__ != name


def names_in_texts(function: FunctionType, part: CodePart, scope: NodeScope) -> Iterator[str]:
    """Yield the globals of a function whose names are in texts that a library evaluates."""
    code, namespace = function.__code__, function.__globals__
    if not _EVALUATE_NAMES.isdisjoint(scope.packages):
        pattern = _NAME
    elif not {"eval", "query"}.isdisjoint(code.co_names):
        pattern = AT_NAME
    else:
        return
    found = {name for text in _texts(function, part) for name in pattern.findall(text)}
    yield from sorted(name for name in found if name in namespace and may_be_found(name, namespace[name]))


def _texts(function: FunctionType, part: CodePart) -> Iterator[str]:
    """Yield the texts in a function, and those in variables that it refers to."""
    for code in nested(function.__code__):
        yield from (each for each in code.co_consts if type(each) is str)
    for kind, root, *chain in part.references:
        value = function.__globals__.get(root) if kind == "g" else None
        for step in chain:
            value = vars(value).get(step) if issubclass(type(value), ModuleType) else None
        yield from _texts_in(value)


def _texts_in(value: Any) -> Iterator[str]:
    """Yield a text, or the texts in a container."""
    held: Any = value.values() if type(value) is dict else value
    for text in held if type(value) in (dict, list, tuple) else [value]:
        if type(text) is str:
            yield text
