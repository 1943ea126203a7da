"""Finds the plant and the configuration of a script that makes them below its main guard, without running that.

The command line imports a script, so what ``main()`` or the code below ``if __name__ == "__main__":`` does is not done.
Its calls of ``Plant(...)`` and ``set_config(...)`` are read from the text. Their arguments are evaluated if they consist of
constants, global variables, variables that are assigned once, classes, and paths.
"""

from __future__ import annotations

import ast
import builtins
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePath
from types import ModuleType
from typing import Any, NamedTuple

from pyplant._missing import MISSING
from pyplant.plant import Plant

__all__ = ["MainBlock", "read_main"]

_Scope = ast.FunctionDef | ast.AsyncFunctionDef | ast.If

_EVALUATED = (
    ast.Attribute,
    ast.BinOp,
    ast.BoolOp,
    ast.Call,
    ast.Compare,
    ast.Constant,
    ast.Dict,
    ast.FormattedValue,
    ast.IfExp,
    ast.JoinedStr,
    ast.List,
    ast.Name,
    ast.Subscript,
    ast.Set,
    ast.Slice,
    ast.Tuple,
    ast.UnaryOp,
    ast.boolop,
    ast.cmpop,
    ast.expr_context,
    ast.keyword,
    ast.operator,
    ast.unaryop,
)
_FUNCTIONS = {len, str, int, float, range, sorted, min, max, os.fspath}
_OPTIONS = {
    "claim_timeout",
    "executor",
    "follow_packages",
    "function_hash",
    "max_size",
    "resources",
    "track_packages",
    "track_reads",
    "trust",
    "worker_imports",
}
_LEAVES_ARGUMENTS = {"print", "set_config"}
_DEPTH = 20  # variables that are assigned from one another


class Found(NamedTuple):
    """A call in the text of a script.

    Attributes
    ----------
    line
        Its line.
    value
        The value of its first argument, or ``MISSING`` if only running the script would tell.
    options
        Its keyword arguments, likewise.
    """

    line: int
    value: Any
    options: dict[str, Any]


class MainBlock(NamedTuple):
    """What a script does that importing it does not do.

    Attributes
    ----------
    plants
        The plants that it opens.
    configs
        The configurations that it sets.
    """

    plants: list[Found]
    configs: list[Found]

    def directories(self) -> list[Path]:
        """Return the directories of its plants, as far as they are known."""
        known = (found.value for found in self.plants if isinstance(found.value, str | os.PathLike))
        return list(dict.fromkeys(map(Path, known)))

    def plant_options(self) -> dict[str, Any]:
        """Return the arguments of its only plant that the command line passes on."""
        options = self.plants[0].options if len(self.plants) == 1 else {}
        found = {name: value for name, value in options.items() if name in _OPTIONS and value is not MISSING}
        if not isinstance(found.get("executor", 1), int):
            del found["executor"]
        return found

    def config(self) -> Any:
        """Return the configuration that it sets first, ``None`` if it sets none, or ``MISSING`` if it is not known."""
        return self.configs[0].value if self.configs else None


def read_main(module: ModuleType) -> MainBlock:
    """Return what a script does below its main guard and in its functions."""
    try:
        tree = ast.parse(Path(module.__file__ or "").read_text(encoding="utf-8"))
    except (OSError, ValueError, SyntaxError):
        tree = ast.parse("")
    # A plant that the script has closed is one that it would open again.
    closed = [value for value in vars(module).values() if isinstance(value, Plant) and value.is_closed]
    plants = [Found(1, plant.directory, {}) for plant in closed]
    configs = [Found(1, plant.config, {}) for plant in closed if plant.config]
    return MainBlock(
        plants + _calls(module, tree, "Plant"),
        configs + _calls(module, tree, "set_config"),
    )


def _calls(module: ModuleType, tree: ast.Module, function: str) -> list[Found]:
    """Return the calls of a function in functions and below main guards."""
    found: dict[int, Found] = {}
    for scope in _scopes(tree):
        names = _Names(module, scope)
        for node in ast.walk(scope):
            if isinstance(node, ast.Call) and _last_name(node.func) == function:
                options = {word.arg: names.value(word.value) for word in node.keywords if word.arg}
                first = names.value(node.args[0]) if node.args else options.pop("plantDir", MISSING)
                # Nested scopes come later and know more names.
                found[id(node)] = Found(node.lineno, first, options)
    return list(found.values())


def _scopes(tree: ast.Module) -> Iterator[_Scope]:
    """Yield the functions and main guards of a script, the outer ones first."""
    for node in ast.walk(tree):
        is_guard = isinstance(node, ast.If) and any(
            isinstance(part, ast.Name) and part.id == "__name__" for part in ast.walk(node.test)
        )
        if is_guard or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert isinstance(node, _Scope)
            yield node


def _last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


class _Names:
    """The variables of a scope that are assigned once, by the text of what is assigned, and those of the module."""

    def __init__(self, module: ModuleType, scope: _Scope) -> None:
        self._globals: Mapping[str, Any] = vars(module)
        self._assigned: dict[str, ast.expr | None] = {}  # None: only running the script would tell
        for node in ast.walk(scope):
            self._note(node)

    def _note(self, node: ast.AST) -> None:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                if isinstance(target, ast.Name):
                    again = target.id in self._assigned
                    self._assigned[target.id] = None if again else node.value
        elif isinstance(node, ast.AugAssign):
            self._forget(node.target)
        elif isinstance(node, ast.arg):
            self._assigned[node.arg] = None
        elif isinstance(node, ast.Attribute | ast.Subscript) and not isinstance(node.ctx, ast.Load):
            self._forget(node.value)  # config.depth = 3
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            self._assigned.setdefault(node.id, None)  # by a loop, a with statement, or unpacking
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            for argument in node.value.args:
                if _last_name(node.value.func) not in _LEAVES_ARGUMENTS:
                    self._forget(argument)  # the function may change it
            if isinstance(node.value.func, ast.Attribute):
                self._forget(node.value.func.value)  # config.update(...)

    def _forget(self, node: ast.expr) -> None:
        while isinstance(node, ast.Attribute | ast.Subscript):
            node = node.value
        if isinstance(node, ast.Name):
            self._assigned[node.id] = None

    def value(self, node: ast.expr, depth: int = 0) -> Any:
        """Return the value of an expression, or ``MISSING`` if only running the script would tell."""
        inner = list(ast.walk(node))
        if depth > _DEPTH or not all(isinstance(part, _EVALUATED) for part in inner):
            return MISSING
        names: dict[str, Any] = {}
        for part in inner:
            if isinstance(part, ast.Name):
                names[part.id] = self._variable(part.id, depth)
        if any(value is MISSING for value in names.values()):
            return MISSING
        try:
            self._check_calls(inner, names)
            return eval(compile(ast.Expression(node), "<main>", "eval"), names)  # noqa: S307 - checked
        except Exception:  # noqa: BLE001 - it may raise anything, and then the value is not known
            return MISSING

    def _variable(self, name: str, depth: int) -> Any:
        if name in self._assigned:
            assigned = self._assigned[name]
            return MISSING if assigned is None else self.value(assigned, depth + 1)
        return self._globals.get(name, getattr(builtins, name, MISSING))

    @staticmethod
    def _check_calls(parts: Iterable[ast.AST], names: dict[str, Any]) -> None:
        """Raise unless all that is called is a class, a path's method, or known to have no effect."""
        for part in parts:
            if isinstance(part, ast.Call):
                called = eval(compile(ast.Expression(part.func), "<main>", "eval"), names)  # noqa: S307
                of_text = isinstance(getattr(called, "__self__", None), str | PurePath)
                is_path = getattr(called, "__module__", "") in (Path.__module__, os.path.__name__)
                if not (isinstance(called, type) or of_text or is_path or called in _FUNCTIONS):
                    raise ValueError(called)
