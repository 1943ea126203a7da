"""The normal form of a reactor's code: what of it may count, and nothing else.

Written anew for the tests and much simpler than the fingerprint: it walks the live
functions of the oracle and the syntax they came from. Where it tells two versions apart
a rerun is justified; where it does not, a rerun is needless.
"""

from __future__ import annotations

import ast
import functools
import types
from collections.abc import Iterator
from typing import Any

from blake3 import blake3

from tests.laws.oracle import Node, Oracle, canonical
from tests.laws.source import PACKAGE

_NO_MEMBERS = frozenset(
    "__module__ __qualname__ __doc__ __dict__ __weakref__ __static_attributes__ __firstlineno__".split()
)
_dumps: dict[int, tuple[Node, str]] = {}

Part = tuple[str, Any]
"""A label, and what it refers to: text in a :class:`_Text`, or an object to look into."""


class _Text(str):
    __slots__ = ()


def form_of(oracle: Oracle, function: Any) -> str:
    """The normal form of a function and all that it reaches, as a digest."""
    found = [function]
    places = {id(function): 0}
    lines = []
    for obj in found:  # grows meanwhile
        parts = []
        for label, target in _parts(oracle, obj):
            if isinstance(target, _Text):
                parts.append(f"{label}={target}")
                continue
            if id(target) not in places:
                places[id(target)] = len(found)
                found.append(target)
            parts.append(f"{label}>{places[id(target)]}")
        lines.append(";".join(parts))
    return blake3("\n".join(lines).encode()).hexdigest(length=10)


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


def _function(oracle: Oracle, function: types.FunctionType, node: Node) -> Iterator[Part]:
    yield "code", _Text(_dump(node))
    yield "defaults", _target(function.__defaults__)
    yield "keywords", _target(function.__kwdefaults__)
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        yield f"closure {name}", _target(cell.cell_contents)
    yield from sorted(_references(oracle, function, node).items())


def _references(oracle: Oracle, function: types.FunctionType, node: Node) -> dict[str, Any]:
    """Globals and imported things, by the chain of names that leads to them."""
    found: dict[str, Any] = {}
    aliases: dict[str, Any] = {}
    inside = [part for item in _body(node) for part in ast.walk(item)]
    for part in inside:
        if isinstance(part, ast.Import):
            aliases.update((a.asname, oracle.modules.get(a.name)) for a in part.names if a.asname)
        elif isinstance(part, ast.ImportFrom):
            module = oracle.modules.get(part.module or "")
            for alias in part.names:
                value = getattr(module, alias.name, None)
                if isinstance(value, types.ModuleType):
                    aliases[alias.asname or alias.name] = value
                else:
                    found[f"{part.module}.{alias.name}"] = _target(value)
    for part in inside:
        chain = _chain(part)
        value = aliases.get(chain[0], function.__globals__.get(chain[0], found)) if chain else found
        steps = chain[1:]
        while isinstance(value, types.ModuleType) and steps and value.__name__.startswith(PACKAGE):
            value = getattr(value, steps.pop(0), found)
        if value is not found and not _is_own_module(value):
            found[".".join(chain)] = _target(value)
    return found


def _is_own_module(value: Any) -> bool:
    """A prefix of a longer chain, which is looked at for itself."""
    return isinstance(value, types.ModuleType) and value.__name__.startswith(PACKAGE)


def _chain(node: ast.AST) -> list[str]:
    steps: list[str] = []
    while isinstance(node, ast.Attribute):
        steps.insert(0, node.attr)
        node = node.value
    return [node.id, *steps] if isinstance(node, ast.Name) else []


def _target(value: Any) -> Any:
    if isinstance(value, types.FunctionType | functools.partial | type | types.ModuleType):
        return value
    if isinstance(value, types.BuiltinFunctionType) or value is None:
        return _Text(repr(value))
    return _Text(canonical(value))


def _dump(node: Node) -> str:
    known = _dumps.get(id(node))
    if known is not None and known[0] is node:
        return known[1]
    kept = [item for item in _body(node) if not _is_docstring(item)]
    text = ";".join(ast.dump(item) for item in (node.args, *kept))
    if len(_dumps) > 4000:
        _dumps.clear()
    _dumps[id(node)] = node, text
    return text


def _body(node: Node) -> list[ast.stmt] | list[ast.expr]:
    return node.body if isinstance(node.body, list) else [node.body]


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
