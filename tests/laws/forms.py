"""The normal form of a reactor's code: what of it may count, and nothing else.

Written again for the tests and much simpler than the fingerprint: it walks the live
functions of the oracle and the syntax they came from. Where it tells two versions apart
a rerun is justified; where it does not, a rerun is needless.
"""

from __future__ import annotations

import ast
import functools
import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.laws.oracle import Node, Oracle, canonical
from tests.laws.source import PACKAGE

_NO_MEMBERS = frozenset(
    "__module__ __qualname__ __doc__ __dict__ __weakref__ __static_attributes__ __firstlineno__".split()
)
_DEPTH = 24
"""No chain of references in the packages is longer."""

Part = tuple[str, Any]
"""A label, and what it refers to: text in a :class:`_Text`, or an object to look into."""


class _Text(str):
    __slots__ = ()


def forms_of(oracle: Oracle) -> dict[str, int]:
    """The normal forms of all reactors by name: each and all that it reaches, as a digest.

    Copies of one function (an old one and one from a reloaded module) count as one: things
    are told apart by what they say and by what they refer to, never by identity.
    """
    parts: dict[int, list[Part]] = {}
    found = list(oracle.reactors.values())
    for obj in found:  # grows meanwhile
        if id(obj) not in parts:
            parts[id(obj)] = list(_parts(oracle, obj))
            found += [target for _, target in parts[id(obj)] if not isinstance(target, _Text)]
    colours = dict.fromkeys(parts, 0)
    for _ in range(_DEPTH):
        colours = {
            key: hash(tuple((label, colours.get(id(target), target)) for label, target in edges))
            for key, edges in parts.items()
        }
    return {name: colours[id(function)] for name, function in oracle.reactors.items()}


def _parts(oracle: Oracle, obj: Any) -> Iterator[Part]:
    if isinstance(obj, types.FunctionType):
        code = obj.__code__
        node = oracle.nodes.get((code.co_filename, code.co_firstlineno, code.co_name))
        yield from _wrapper(obj) if node is None else _function(oracle, obj, node)
    elif isinstance(obj, functools.partial):
        yield from (("func", obj.func), ("args", _target(obj.args)), ("keywords", _target(obj.keywords)))
    elif isinstance(obj, type) and obj.__module__.startswith(PACKAGE):
        yield from ((f"base {i}", base) for i, base in enumerate(obj.__bases__))
        for name in sorted(vars(obj).keys() - _NO_MEMBERS):
            member = vars(obj)[name]
            yield name, member.fget if isinstance(member, property) else _target(member)
    else:
        yield "installed", _Text(getattr(obj, "__qualname__", None) or type(obj).__name__)


def _wrapper(function: types.FunctionType) -> Iterator[Part]:
    wrapped = getattr(function, "__wrapped__", None)
    yield "wraps", wrapped if wrapped is not None else _Text(function.__qualname__)
    for cls, implementation in getattr(function, "registry", {}).items():  # of functools.singledispatch
        yield f"for {cls.__name__}", implementation


def _function(oracle: Oracle, function: types.FunctionType, node: Node) -> Iterator[Part]:
    yield "code", _Text(_read(node).dump)
    yield "defaults", _target(function.__defaults__)
    yield "keywords", _target(function.__kwdefaults__)
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        yield f"closure {name}", _target(cell.cell_contents)
    yield from sorted(_references(oracle, function, node).items())


def _references(oracle: Oracle, function: types.FunctionType, node: Node) -> dict[str, Any]:
    """Globals and imported things, by the chain of names that leads to them."""
    found: dict[str, Any] = {}
    text = _read(node)
    aliases = {alias: oracle.modules.get(module) for alias, module in text.imports}
    for module, name, alias in text.taken:
        value = getattr(oracle.modules.get(module), name, None)
        if isinstance(value, types.ModuleType):
            aliases[alias] = value
        else:
            found[f"{module}.{name}"] = _target(value)
    for chain in text.chains:
        value = aliases.get(chain[0], function.__globals__.get(chain[0], found))
        steps = list(chain[1:])
        while isinstance(value, types.ModuleType) and steps and value.__name__.startswith(PACKAGE):
            value = getattr(value, steps.pop(0), found)
        if value is not found and not _is_own_module(value):
            found[".".join(chain)] = _target(value)
    return found


def _is_own_module(value: Any) -> bool:
    """A prefix of a longer chain, which is looked at for itself."""
    return isinstance(value, types.ModuleType) and value.__name__.startswith(PACKAGE)


def _target(value: Any) -> Any:
    if isinstance(value, types.FunctionType | functools.partial | type | types.ModuleType):
        return value
    if isinstance(value, types.BuiltinFunctionType) or value is None:
        return _Text(repr(value))
    return _Text(canonical(value))


@dataclass(frozen=True, slots=True)
class _Read:
    """What the text of a function says: its normal form, names it uses, imports it makes."""

    node: Node
    dump: str
    chains: frozenset[tuple[str, ...]]
    imports: tuple[tuple[str, str], ...]
    taken: tuple[tuple[str, str, str], ...]


def _read(node: Node) -> _Read:
    known = _known.get(id(node))
    if known is not None and known.node is node:
        return known
    inside = [part for item in _body(node) for part in ast.walk(item)]
    kept = [item for item in _body(node) if not _is_docstring(item)]
    imports = [a for part in inside if isinstance(part, ast.Import) for a in part.names]
    taken = [
        (part.module or "", a) for part in inside if isinstance(part, ast.ImportFrom) for a in part.names
    ]
    text = _Read(
        node,
        ";".join(ast.dump(item) for item in (node.args, *kept)),
        frozenset(chain for chain in map(_chain, inside) if chain),
        tuple((a.asname, a.name) for a in imports if a.asname),
        tuple((module, a.name, a.asname or a.name) for module, a in taken),
    )
    if len(_known) > 4000:
        _known.clear()
    _known[id(node)] = text
    return text


def _chain(node: ast.AST) -> tuple[str, ...]:
    steps: list[str] = []
    while isinstance(node, ast.Attribute):
        steps.insert(0, node.attr)
        node = node.value
    return (node.id, *steps) if isinstance(node, ast.Name) else ()


_known: dict[int, _Read] = {}


def _body(node: Node) -> list[ast.stmt] | list[ast.expr]:
    return node.body if isinstance(node.body, list) else [node.body]


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
