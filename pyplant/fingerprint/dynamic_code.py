"""Code that code finds by a text: ``import_module("x")``, ``eval("f(1)")``, ``globals()["f"]``, ``getattr(x, "f")``.

Where the text is a literal, it is read like the names in the code. Where it is computed, any global of the
module may be used (``("w", "")``). What ``import_module`` imports is noted when it is imported
(:mod:`pyplant.reads.late_imports`).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Any

from pyplant.fingerprint.attributes import module_of
from pyplant.fingerprint.syntax_nodes import NodesByType

__all__ = [
    "AT_NAME",
    "bound_imports",
    "found_by_attribute",
    "found_by_key",
    "found_by_name",
    "found_by_text",
    "may_be_found",
]

_Reference = tuple[str, ...]
_ANY_GLOBAL: _Reference = ("w", "")
_NAMESPACES = frozenset(["__globals__", "f_globals"])
_KEPT = re.compile(r"__\w+__|_+|_i*\d*|_[dio]h|In|Out")
_PATH = re.compile(r"[^\W\d]\w*(?:[.:][^\W\d]\w*)+")
_PASSED_ON = frozenset(["eval", "exec", "globals"])
AT_NAME = re.compile(r"@([^\W\d]\w*)")
"""A variable of the caller in a text for ``DataFrame.eval`` or ``query``."""


def found_by_text(call: ast.Call, global_names: frozenset[str], nodes: NodesByType) -> Iterator[_Reference]:
    """Yield references to what a call finds by a text.

    Parameters
    ----------
    call
        The call.
    global_names
        The globals that the function reads, by which a local variable is told apart.
    nodes
        The nodes below the function.
    """
    text = call.args[0].value if call.args and isinstance(call.args[0], ast.Constant) else None
    match call:
        case ast.Call(func=ast.Name(id="globals"), args=[]):
            yield _ANY_GLOBAL
        case ast.Call(
            func=ast.Name(id="eval" | "exec")
            | ast.Attribute(value=ast.Name(id="builtins"), attr="eval" | "exec"),
            args=[_],
        ) if not call.keywords:
            yield from _evaluated(text) if isinstance(text, str) else [_ANY_GLOBAL]
        case ast.Call(func=ast.Attribute(attr="eval" | "query")) if call.args or call.keywords:
            # Of a table, whose expressions name variables with @; one that is computed may consist of other texts here.
            texts = [text] if isinstance(text, str) else [node.value for node in nodes.get(ast.Constant, ())]
            yield from (("g", name) for used in texts for name in AT_NAME.findall(str(used)))
        case ast.Call(
            func=ast.Name(id="getattr"), args=[ast.Name(id=owner), ast.Constant(value=str(name)), *_]
        ):
            if owner in global_names and name.isidentifier():
                yield "g", owner, name
        case ast.Call(
            func=ast.Name(id="locate" | "resolve_name") | ast.Attribute(attr="locate" | "resolve_name")
        ):
            if isinstance(text, str) and _PATH.fullmatch(text):
                yield "m", *re.split("[.:]", text)
            elif text is None:
                yield _ANY_GLOBAL
        case ast.Call(func=ast.Name(id="__import__")) if text is None:
            yield _ANY_GLOBAL
        case ast.Call(func=ast.Attribute(value=ast.Attribute(attr="modules") as modules, attr="get")):
            yield from _module_of_process(modules, text)
        case _:
            module = _imported(call)
            if module:
                yield "m", module


def _module_of_process(node: ast.Attribute, name: object) -> Iterator[_Reference]:
    """Yield a reference for an entry of ``sys.modules``."""
    if isinstance(node.value, ast.Name) and node.value.id == "sys":
        if isinstance(name, str) and name:
            yield "m", name
        elif name is None:
            yield _ANY_GLOBAL


def found_by_attribute(node: ast.Attribute) -> Iterator[_Reference]:
    """Yield a reference for the globals of a function or frame."""
    if node.attr in _NAMESPACES:
        yield _ANY_GLOBAL


def found_by_key(node: ast.Subscript) -> Iterator[_Reference]:
    """Yield a reference for ``globals()["f"]`` and ``sys.modules["x"]``."""
    match node:
        case ast.Subscript(
            value=ast.Call(func=ast.Name(id="globals"), args=[]), slice=ast.Constant(value=str(name))
        ):
            yield "g", name
        case ast.Subscript(value=ast.Attribute(attr="modules"), slice=ast.Constant(value=str(name))) if name:
            yield "m", name
        case ast.Subscript(value=ast.Attribute(attr="modules"), slice=ast.Name(id="__name__")):
            yield _ANY_GLOBAL
        case ast.Subscript(value=ast.Attribute(attr="modules") as modules, ctx=ast.Load()):
            yield from _module_of_process(modules, None)


def may_be_found(name: str, value: Any) -> bool:
    """Return whether code that finds any global of its module is taken to use this one.

    Not what the interpreter and IPython keep in each module, nor a plant and what it returns about its runs: they
    differ after each run, and no worker can have them.
    """
    of_runs = module_of(type(value)).startswith(("pyplant.plant", "pyplant.reports."))
    return not (of_runs or _KEPT.fullmatch(name))


def bound_imports(nodes: NodesByType) -> Iterator[tuple[str, ast.Call, _Reference]]:
    """Yield the local names to which ``name = import_module("x")`` binds a module, with the call and the module."""
    for node in nodes.get(ast.Assign, ()):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call() as call):
                module = _imported(call)
                if module:
                    yield name, call, (module,)


def _imported(call: ast.Call) -> str:
    """Return the module that a call of ``import_module`` or ``__import__`` names, if it is a literal."""
    match call:
        case ast.Call(
            func=ast.Name(id="import_module" | "__import__") | ast.Attribute(attr="import_module"),
            args=[ast.Constant(value=str(name)), *_],
        ):
            return name
    return ""


def _evaluated(text: str) -> Iterator[_Reference]:
    """Yield references to the names in code that is given as text."""
    try:
        tree = ast.parse(text.strip())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            yield "g", node.id


def found_by_name(global_names: frozenset[str], nodes: NodesByType) -> Iterator[_Reference]:
    """Yield a reference if a function that finds code is passed on: ``map(eval, texts)``."""
    if _PASSED_ON.isdisjoint(global_names):
        return
    used = {id(call.func) for call in nodes.get(ast.Call, ()) if isinstance(call, ast.Call)}
    used.update(id(node.value) for node in nodes.get(ast.Return, ()) if isinstance(node, ast.Return))
    for node in nodes.get(ast.Name, ()):
        if isinstance(node, ast.Name) and node.id in _PASSED_ON & global_names and id(node) not in used:
            yield _ANY_GLOBAL
