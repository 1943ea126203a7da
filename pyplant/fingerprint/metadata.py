"""Names, docstrings and annotations of functions and classes, which count only if code reads them.

A fingerprint leaves them out, unless a function that it covers reads them. If the text does not tell whose
(``f.__doc__`` does, ``x.__doc__`` of a local variable does not), those of all code that it covers count.
Annotations in class bodies always count, since dataclasses and their like read them.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from types import FunctionType
from typing import Any

from pyplant.fingerprint.attributes import module_of, qualname_of
from pyplant.fingerprint.digest import digest_bytes, encode

__all__ = ["annotation_names", "kind_read", "metadata", "with_wrapped"]

_READERS = {
    "__name__": "name",
    "__qualname__": "name",
    "__module__": "module",
    "__doc__": "docstring",
    "__annotations__": "annotations",
}
_FUNCTIONS = {
    "getdoc": "docstring",
    "get_annotations": "annotations",
    "get_type_hints": "annotations",
    "getfullargspec": "annotations",
    "signature": "annotations",
}


def kind_read(name: str, *, by_function: bool = False) -> str:
    """Return the kind of metadata that code reads by an attribute, or a function, of this name, else ``""``."""
    return (_FUNCTIONS if by_function else _READERS).get(name, "")


def with_wrapped(function: Any) -> Iterator[Any]:
    """Yield a function and those that it wraps, as decorators that use :func:`functools.wraps` leave them."""
    seen: set[int] = set()
    while type(function) is FunctionType and id(function) not in seen:
        seen.add(id(function))
        yield function
        function = function.__dict__.get("__wrapped__")


def metadata(obj: Any, kinds: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Yield the metadata of a function or class of these kinds, as texts."""
    if issubclass(type(obj), type):
        name, module = qualname_of(obj), module_of(obj)
        documentation = type.__getattribute__(obj, "__dict__").get("__doc__")
        annotations: dict[str, Any] = {}
    elif type(obj) is FunctionType:
        name, module, documentation = obj.__qualname__, str(obj.__module__), obj.__doc__
        annotations = obj.__annotations__ if "annotations" in kinds else {}
    else:
        return
    if "name" in kinds:
        yield "name", name
    if "module" in kinds:
        yield "module", module
    if "docstring" in kinds:
        yield "docstring", documentation if type(documentation) is str else ""
    for parameter, annotation in annotations.items():
        yield f"annotation {parameter}", _annotation_text(annotation)


def _annotation_text(annotation: Any) -> str:
    """Return a text for an annotation, in which classes and functions count by their names."""
    if type(annotation) is str:
        return annotation
    encoding = encode(annotation)
    names = [
        f"{getattr(each, '__module__', '')}.{getattr(each, '__qualname__', '')}" for each in encoding.edges
    ]
    return digest_bytes(encoding.data, *(name.encode() for name in names))


@cache
def annotation_names(annotation: str) -> tuple[tuple[str, ...], ...]:
    """Return the names that an annotation given as text refers to, each with its attributes."""
    try:
        tree = ast.parse(annotation.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ()
    found: list[tuple[str, ...]] = []
    stack: list[ast.AST] = [tree]
    while stack:
        node = stack.pop()
        chain: list[str] = []
        inner = node
        while isinstance(inner, ast.Attribute):
            chain.append(inner.attr)
            inner = inner.value
        if isinstance(inner, ast.Name):
            found.append((inner.id, *chain[::-1]))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value != annotation:
            found += annotation_names(node.value)
        else:
            stack.extend(ast.iter_child_nodes(node))
    return tuple(dict.fromkeys(found))
