"""Reads of class attributes in the text of a function: ``type(x).LIMIT``, ``x.__class__``.

The object may be a configuration. Its view reports reads of the object, but a read of its class does
not pass through the view. So such reads are found in the text, for objects of any kind.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from pyplant.fingerprint.hints import Hint, NameKind
from pyplant.fingerprint.syntax_nodes import NodesByType

__all__ = ["class_attribute_reads", "may_read_classes"]

# The names of a class already count as the kind of the configuration.
_NAMES = frozenset({"__name__", "__qualname__", "__module__"})
_BY_NAME_ONLY = frozenset({"str", "repr", "format", "print", "isinstance", "issubclass", "id", "hash"})
_LOGS = frozenset({"debug", "info", "warning", "error", "exception", "critical", "log", "format"})
_COMPARES = (ast.Is, ast.IsNot, ast.Eq, ast.NotEq, ast.In, ast.NotIn)


def may_read_classes(nodes: NodesByType) -> bool:
    """Return whether one of the nodes evaluates to the class of an object."""
    found = (node for cls in (ast.Call, ast.Attribute) for node in nodes.get(cls, ()))
    return any(_object_of(node) is not None for node in found)


def class_attribute_reads(root: ast.AST) -> Iterator[Hint]:
    """Yield a hint for each class attribute that the code below ``root`` reads.

    Parameters
    ----------
    root
        A statement or an expression.
    """
    stack: list[tuple[ast.AST, ast.AST | None]] = [(root, None)]
    while stack:
        node, parent = stack.pop()
        owner = _object_of(node)
        if owner is not None:
            names = _attribute_read(node, parent)
            if names is not None:
                is_self = isinstance(owner, ast.Name) and owner.id == "self"
                kind = NameKind.LITERAL if names else NameKind.DYNAMIC
                yield Hint("class", not is_self, kind, names)
        stack += [(child, node) for child in ast.iter_child_nodes(node)]


def _object_of(node: ast.AST) -> ast.expr | None:
    """Return the expression for the object whose class ``node`` evaluates to, if any."""
    match node:
        case ast.Call(func=ast.Name(id="type"), args=[owner], keywords=[]):
            return owner
        case ast.Attribute(value=owner, attr="__class__", ctx=ast.Load()):
            return owner
        case ast.Call(func=ast.Name(id="getattr"), args=[owner, ast.Constant(value="__class__"), *_]):
            return owner
    return None


def _attribute_read(node: ast.AST, parent: ast.AST | None) -> tuple[str, ...] | None:
    """Return the attribute that is read of a class, ``()`` for the whole class, ``None`` if none is read.

    Comparing, printing and logging a class read its name at most. Any other use may read everything.
    """
    match parent:
        case ast.Attribute(attr=name):
            is_special = name.startswith("__") and name.endswith("__")
            return (None if name in _NAMES else ()) if is_special else (name,)
        case ast.Call(
            func=ast.Name(id="getattr" | "hasattr"), args=[owner, ast.Constant(value=str(name)), *_]
        ):
            return (name,) if owner is node and not name.startswith("__") else ()
        case ast.Call(func=ast.Name(id=name)) if name in _BY_NAME_ONLY:
            return None
        case ast.Call(func=ast.Attribute(attr=name)) if name in _LOGS and parent.func is not node:
            return None
        case ast.Compare(ops=ops) if all(isinstance(op, _COMPARES) for op in ops):
            return None
        case ast.FormattedValue() | ast.Expr():
            return None
        case ast.BinOp(left=ast.Constant(value=str()), op=ast.Mod()):
            return None
        case ast.Subscript(slice=key) if key is node:
            return None
    return ()
