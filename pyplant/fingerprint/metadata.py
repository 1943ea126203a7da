"""Names, docstrings, annotations, source and the like, which count only if code reads them.

They are those of functions and classes. So are the subclasses of a class, and the order of names in classes and modules.
A fingerprint leaves them out, unless a function that it covers reads them. If the text does not tell whose
(``f.__doc__`` does, ``x.__doc__`` of a local variable does not), those of all code that it covers count.
Annotations in class bodies always count, since dataclasses and their like read them.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator
from functools import cache
from types import FunctionType, ModuleType
from typing import Any
from weakref import WeakKeyDictionary

from pyplant.fingerprint.attributes import class_namespace, module_of, namespace, qualname_of
from pyplant.fingerprint.digest import digest_bytes, encode
from pyplant.fingerprint.installed_names import is_users_class
from pyplant.fingerprint.syntax_nodes import NodesByType

__all__ = ["annotation_names", "kind_read", "metadata", "metadata_with_code", "reads_order", "with_wrapped"]

_READERS = {
    "__name__": "name",
    "__qualname__": "name",
    "__module__": "module",
    "__doc__": "docstring",
    "__annotations__": "annotations",
    "__subclasses__": "subclasses",
}
_FUNCTIONS = {
    "getdoc": "docstring",
    "get_annotations": "annotations",
    "get_type_hints": "annotations",
    "getfullargspec": "annotations",
    "signature": "annotations",
    "getsource": "source",
    "getsourcelines": "source",
}
_WITHOUT_ORDER = frozenset(["get", "pop", "setdefault", "update", "__contains__"])
"""Methods of a namespace that do not show the order of its names."""
_OBJECTS = frozenset(["args", "config", "cfg", "namespace", "ns", "options", "opt", "self"])
"""Names of variables that hold objects of classes, and no class."""


def kind_read(name: str, *, by_function: bool = False) -> str:
    """Return the kind of metadata that code reads by an attribute, or a function, of this name, else ``""``."""
    return (_FUNCTIONS if by_function else _READERS).get(name, "")


def reads_order(nodes: NodesByType) -> bool:
    """Return whether code may read the order of the names in a class or module: ``vars(cls)``, ``cls.__dict__``."""
    without: set[int] = set()
    for node in nodes.get(ast.Subscript, ()):
        without.add(id(node.value))
    for node in nodes.get(ast.Attribute, ()):
        if node.attr in _WITHOUT_ORDER:
            without.add(id(node.value))
    for node in nodes.get(ast.Compare, ()):
        without.update(map(id, node.comparators))
    read = [
        node.value
        for node in nodes.get(ast.Attribute, ())
        if isinstance(node, ast.Attribute) and node.attr == "__dict__" and id(node) not in without
    ]
    for node in nodes.get(ast.Call, ()):
        match node:
            case ast.Call(func=ast.Name(id="vars"), args=[asked]) if id(node) not in without:
                read.append(asked)
    return not all(map(_is_object, read))


def _is_object(node: ast.expr) -> bool:
    """Return whether an expression probably is an object and no class: the names of its attributes are not in a class body."""
    if isinstance(node, ast.Call):
        return not (isinstance(node.func, ast.Name) and node.func.id == "type")
    return isinstance(node, ast.Name) and node.id in _OBJECTS


def with_wrapped(function: Any) -> Iterator[Any]:
    """Yield a function and those that it wraps, as decorators that use :func:`functools.wraps` leave them."""
    seen: set[int] = set()
    while type(function) is FunctionType and id(function) not in seen:
        seen.add(id(function))
        yield function
        function = function.__dict__.get("__wrapped__")


def metadata(obj: Any, kinds: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Yield the metadata of a function, class or module of these kinds, as texts."""
    if "order" in kinds and issubclass(type(obj), type | ModuleType):
        yield "order", _order(obj)
    if "source" in kinds and issubclass(type(obj), type | FunctionType):
        yield "source", _source(obj)
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


def metadata_with_code(
    obj: Any, kinds: frozenset[str], digest: Callable[[Any], str]
) -> Iterator[tuple[str, str]]:
    """Yield the metadata of a function or class, and the names and digests of the classes in it."""
    yield from metadata(obj, kinds)
    if "annotations" in kinds and type(obj) is FunctionType:
        yield from _named_annotations(obj)
    for kind, cls in _classes(obj, kinds):
        yield kind, f"{qualname_of(cls)} {digest(cls)}"


def _named_annotations(function: FunctionType) -> Iterator[tuple[str, str]]:
    """Yield what the names in those annotations of a function stand for that are texts."""
    for parameter, annotation in function.__annotations__.items():
        for root, *_ in annotation_names(annotation) if type(annotation) is str else ():
            value = function.__globals__.get(root)
            if value is not None:
                yield f"annotation {parameter}: {root}", _annotation_text(value)


def _classes(obj: Any, kinds: frozenset[str]) -> Iterator[tuple[str, Any]]:
    """Yield the user's classes that code reaches by these kinds of metadata of a function or class, with labels."""
    if "subclasses" in kinds and issubclass(type(obj), type) and is_users_class(obj):
        yield from (("subclass", each) for each in _subclasses(obj) if is_users_class(each))
    if "annotations" in kinds and type(obj) is FunctionType:
        for parameter, annotation in obj.__annotations__.items():
            named = [annotation]
            if type(annotation) is str:
                named = [obj.__globals__.get(root) for root, *_ in annotation_names(annotation)]
            for each in named:
                found = encode(each).edges if each is not None else ()
                yield from (
                    (f"annotation {parameter}", cls)
                    for cls in found
                    if issubclass(type(cls), type) and is_users_class(cls)
                )


def _subclasses(cls: type) -> Iterator[type]:
    """Yield all classes below a class; code that asks for its subclasses often asks for theirs too."""
    stack, seen = [cls], {id(cls)}
    each: type
    while stack:
        for each in type.__subclasses__(stack.pop()):
            if id(each) not in seen:
                seen.add(id(each))
                stack.append(each)
                yield each


_orders: WeakKeyDictionary[Any, str] = WeakKeyDictionary()


def _order(obj: Any) -> str:
    """Return the names in a class or module in the order of its text, without those that reactors add later."""
    if obj not in _orders:
        names = class_namespace(obj) if issubclass(type(obj), type) else namespace(obj) or {}
        _orders[obj] = " ".join(name for name in names if not name.startswith("__"))
    return _orders[obj]


def _source(obj: Any) -> str:
    try:
        return inspect.getsource(obj)
    except (OSError, TypeError, IndentationError, SyntaxError):
        return ""


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
