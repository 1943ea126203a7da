"""Names that count by what they refer to, so that the rename of a helper or an import alias reruns nothing.

In the digest of a text, a chain of names that begins at a global is a number: that of its first use
(:class:`FollowedNames`). What the chain refers to is an edge of the graph, which has the same number.

An edge says all about a name only if nothing else could be confused with what it refers to. Two classes or lists may be
equal and yet different: ``except A`` is not ``except B``, and what is appended to one list is not in the other. And
code in libraries may use the name of a function that is passed to it. So a user's function counts without its name
only where it is called, a user's class counts with its own name, whatever the alias, and any other value of the
user with the name in the text (:func:`name_that_counts`).
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterable, Iterator
from types import FunctionType, ModuleType
from typing import Any

from pyplant.fingerprint.attributes import module_of, mro, namespace, qualname_of, static_attribute
from pyplant.fingerprint.class_members import members
from pyplant.fingerprint.graph_node import Leaf
from pyplant.fingerprint.installed_names import installed_name, is_users_class
from pyplant.fingerprint.origin import LOADED, find, is_users_function, leads_to_user_code
from pyplant.fingerprint.syntax_nodes import NodesByType

__all__ = ["FollowedNames", "chain_of", "name_that_counts"]

_CALLED = "called"
_CACHED_FUNCTION = type(functools.lru_cache(len))
_MOST_WRAPPERS = 100
_CALL_ARGUMENTS = frozenset(
    ["apply", "filter", "imap", "map", "max", "min", "reduce", "sorted", "starmap", "submit"]
)
"""Functions and methods that call what they are given, and do no more with it."""


def chain_of(node: ast.AST) -> list[str] | None:
    """``a.b.c`` as ``["a", "b", "c"]``; ``None`` when it does not start with a name."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return None
    parts.append(node.id)
    return parts[::-1]


class FollowedNames:
    """Numbers the chains of names in the text of one function.

    Parameters
    ----------
    nodes
        The nodes below the function.
    references
        What it refers to (:data:`~pyplant.fingerprint.syntax.Reference`).
    """

    def __init__(self, nodes: NodesByType, references: Iterable[tuple[str, ...]]) -> None:
        # A name that is also bound in the text may be local in one scope and global in another.
        bound = set(_bound_names(nodes))
        self._followed = {
            tuple(chain) for kind, *chain in references if kind == "g" and chain[0] not in bound
        }
        self._numbers: dict[tuple[str, ...], int] = {}
        self._called: set[int] = set()
        self._used_otherwise: set[tuple[str, ...]] = set()

    def number(self, node: ast.Name | ast.Attribute) -> int | None:
        """Return the number of the chain that a node of the text is, if it is one; ask in the order of the text."""
        if not self._followed:
            return None
        chain = tuple(chain_of(node) or ())
        if chain not in self._followed or not isinstance(node.ctx, ast.Load):
            return None
        if id(node) not in self._called:
            self._used_otherwise.add(chain)
        return self._numbers.setdefault(chain, len(self._numbers))

    def enter_call(self, call: ast.Call) -> None:
        """Note what is called there, before its names are numbered."""
        self._called.add(id(call.func))
        if (chain_of(call.func) or [getattr(call.func, "attr", "")])[-1] in _CALL_ARGUMENTS:
            self._called.update(map(id, (*call.args, *(keyword.value for keyword in call.keywords))))

    def in_order(self) -> tuple[tuple[str, ...], ...]:
        """Return the chains by number; before each, ``"called"`` if it is only called, else ``""``."""
        return tuple(("" if chain in self._used_otherwise else _CALLED, *chain) for chain in self._numbers)


def _bound_names(nodes: NodesByType) -> Iterator[str]:
    """Yield all names that the text of a function binds, in any scope."""
    for cls, found in nodes.items():
        if cls is ast.Name:
            yield from (node.id for node in found if not isinstance(node.ctx, ast.Load))
        elif cls is ast.arg:
            yield from (node.arg for node in found)
        elif cls is ast.alias:
            yield from (node.asname or node.name.partition(".")[0] for node in found)
        elif cls in (ast.Global, ast.Nonlocal):
            yield from (name for node in found for name in node.names)
        elif cls is ast.MatchMapping:
            yield from (node.rest or "" for node in found)
        elif "name" in cls._fields:  # functions, classes, exceptions and patterns
            yield from (node.name or "" for node in found)


def name_that_counts(use: str, chain: list[str], target: Any, rest: list[str]) -> str:
    """Return what counts of a name besides the object that it refers to.

    Parameters
    ----------
    use
        ``"called"`` if the function only calls it, else ``""``.
    chain
        The name, with attributes.
    target
        The object or :class:`~pyplant.fingerprint.graph_node.Leaf` of the edge.
    rest
        Those attributes at its end that the edge does not follow.
    """
    cls = type(target)
    known = None
    if cls is Leaf:
        known = "" if target.text.startswith(("builtin ", "import ")) else None
    elif issubclass(cls, ModuleType):
        known = None if leads_to_user_code(target) else ""
    elif issubclass(cls, type):
        known = _name_of_class(target)
    elif not is_users_function(target) and (name := installed_name(target)):
        known = f"{static_attribute(target, '__module__')} {name}"
    elif use == _CALLED and not rest and _wraps_user_code(target):
        known = ""
    return " ".join(chain) if known is None else " ".join([known, *rest])


def _name_of_class(cls: type) -> str | None:
    """Return the name of a class, if that tells it from others."""
    module, name = module_of(cls), qualname_of(cls)
    if module not in LOADED or find(LOADED[module], name) is not cls:
        return None
    if not is_users_class(cls):
        return f"class {module} {name}"
    # Exceptions, and other classes without content, may equal another one and yet differ from it by what they are. So
    # they count by the text. The module does not count, since classes may move, nor which others are loaded: that differs
    # from one program to the next.
    return None if BaseException in mro(cls) or not _has_members(cls) else name


def _has_members(cls: type) -> bool:
    try:
        return any(True for _ in members(cls))
    except Exception:  # noqa: BLE001 - a metaclass may refuse to tell
        return False


def _wraps_user_code(obj: Any) -> bool:
    """Return whether an object is a user's function, or wraps one as decorators do."""
    for _ in range(_MOST_WRAPPERS):
        if type(obj) not in (FunctionType, _CACHED_FUNCTION):
            return False
        inner = (namespace(obj) or {}).get("__wrapped__")
        if inner is None:
            return is_users_function(obj)
        obj = inner
    return False
