"""Computing the names of ingredients in code, such as ``f"day {n}"``, before the code runs.

Theory of operation
-------------------
The computation has two steps, since results of the first depend on the text only and are cached
between sessions, and values are not.

1. :class:`Bindings` replaces the local variables in an expression by what they are assigned, if a
   variable is assigned exactly once. Anything else that only a run determines becomes ``...``.
2. :func:`evaluate` computes the resulting text from default values, closure variables and globals. It must
   not run user code, which may have side effects or not terminate. So it interprets a small set of
   expressions, and calls only methods of built-in and standard types.

Unknown parts do not spoil the rest: ``f"day {n}"`` with an unknown ``n`` gives the :class:`Template`
``("day ", None)``, which matches names by a pattern.
"""

from __future__ import annotations

import ast
import enum
import re
import string
from collections import Counter
from collections.abc import Callable, Iterator
from functools import lru_cache
from types import MemberDescriptorType, ModuleType
from typing import Any, NamedTuple

from pyplant.fingerprint.attributes import safe_getattr

__all__ = ["UNKNOWN", "Bindings", "Evaluated", "Template", "evaluate"]


class _Unknown:
    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Any = _Unknown()
"""The value of an expression that only a run can determine."""


class Template(NamedTuple):
    """A text of which some parts are known; ``None`` stands for an unknown part."""

    parts: tuple[str | None, ...]


class Evaluated(NamedTuple):
    """The value of an expression, and whether it is constant.

    A constant value changes only if a name gets another object. The value of ``names[0]`` for a list ``names``
    is not constant, since code may change the list.
    """

    value: Any
    is_constant: bool


_Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
# Nodes that step 2 can evaluate. Comprehensions and conditional expressions would need scopes and branches.
_ALLOWED = (
    *(ast.Constant, ast.Name, ast.Attribute, ast.JoinedStr, ast.FormattedValue, ast.BinOp, ast.UnaryOp),
    *(ast.Call, ast.keyword, ast.Subscript, ast.Tuple, ast.List, ast.operator, ast.unaryop, ast.expr_context),
)
_DEEPEST = 5  # nested replacements of local variables


class Bindings:
    """The local variables of a function and the expressions assigned to them.

    Parameters
    ----------
    function
        Its syntax tree.
    """

    def __init__(self, function: _Function) -> None:
        self._times: Counter[str] = Counter()
        self._assigned: dict[str, ast.expr] = {}
        arguments = function.args
        own = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
        self._parameters = {argument.arg for argument in own}
        # Nested functions count too: they may rebind a variable with nonlocal. Their own assignments are theirs.
        stack: list[tuple[ast.AST, bool]] = [(function, False)]
        while stack:
            node, is_nested = stack.pop()
            self._times.update(_bound(node))
            if not is_nested:
                self._note_assignment(node)
            deeper = is_nested or (node is not function and isinstance(node, (*_FUNCTIONS, ast.ClassDef)))
            # A nested function or class binds its own name.
            if deeper and not is_nested and not isinstance(node, ast.Lambda):
                self._times[node.name] += 1  # type: ignore[attr-defined]
            stack += [(child, deeper) for child in ast.iter_child_nodes(node)]

    def _note_assignment(self, node: ast.AST) -> None:
        # Plain assignments only: the value of a loop variable or of an unpacked tuple is not an expression here.
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            target: ast.expr = node.targets[0]
        elif isinstance(node, ast.AnnAssign | ast.NamedExpr):
            target = node.target
        else:
            return
        if isinstance(target, ast.Name) and node.value is not None:
            self._assigned[target.id] = node.value

    def expression(self, node: ast.expr) -> ast.expr:
        """Return the expression with local variables replaced by what they are assigned."""
        resolved: ast.expr = self._resolved(node, ())
        return resolved

    def _resolved(self, node: Any, within: tuple[str, ...]) -> Any:
        if isinstance(node, ast.Name):
            return self._variable(node, within)
        if not isinstance(node, _ALLOWED):
            return ast.Constant(...)  # step 2 reads an Ellipsis as unknown
        fields = {
            name: [self._resolved(item, within) for item in value]
            if isinstance(value, list)
            else self._resolved(value, within)
            if isinstance(value, ast.AST)
            else value
            for name, value in ast.iter_fields(node)
        }
        made: Any = type(node)
        return made(**fields)

    def _variable(self, node: ast.Name, within: tuple[str, ...]) -> ast.expr:
        """What to write for a variable; ``within`` are the variables that are being replaced."""
        name, times = node.id, self._times[node.id]
        # Never bound here: a global or closure variable. A parameter that is not rebound has its default.
        if times == 0 or (times == 1 and name in self._parameters):
            return node
        if times == 1 and name in self._assigned and name not in within and len(within) < _DEEPEST:
            assigned: ast.expr = self._resolved(self._assigned[name], (*within, name))
            return assigned
        return ast.Constant(...)


_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


def _bound(node: ast.AST) -> Iterator[str]:
    """Yield the names that a node binds or declares, without those of its children."""
    if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
        yield node.id
    elif isinstance(node, ast.arg):
        yield node.arg
    elif isinstance(node, ast.alias):
        yield (node.asname or node.name).partition(".")[0]
    elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar):
        yield node.name or ""
    elif isinstance(node, ast.MatchMapping):
        yield node.rest or ""
    elif isinstance(node, ast.Global | ast.Nonlocal):
        yield from node.names


# ---------------------------------------------------------------------- values


def evaluate(source: str, lookup: Callable[[str], Any]) -> Evaluated:
    """Evaluate an expression.

    Parameters
    ----------
    source
        The text of the expression.
    lookup
        Returns the value of a name, or :data:`UNKNOWN`.

    Returns
    -------
    evaluated
        A constant, a tuple or list of them, a :class:`Template`, or :data:`UNKNOWN`.
    """
    evaluator = _Evaluator(lookup)
    try:
        value = evaluator.value(_parsed(source))
    except Exception:  # noqa: BLE001 - the reactor will raise the same error when it runs
        value = UNKNOWN
    return Evaluated(value, evaluator.is_constant)


@lru_cache(maxsize=1000)
def _parsed(source: str) -> ast.expr:
    return ast.parse(source, mode="eval").body


_NUMBERS = (int, float, bool)
_ATOMS = (str, int, float, bool, type(None))
# Modules with immutable values whose formatting is known code.
_STANDARD = frozenset({"datetime", "decimal", "fractions", "numpy", "pathlib", "uuid"})
_METHODS = frozenset(
    [
        *("capitalize", "casefold", "lower", "title", "upper", "swapcase", "zfill", "ljust", "rjust"),
        *("strip", "lstrip", "rstrip", "removeprefix", "removesuffix", "replace"),
        *("isoformat", "strftime", "as_posix", "date"),
    ]
)
_WIDEST = 1000  # characters to which a value may be padded; more could exhaust the memory
_CONVERSION = re.compile(r"(%[^a-zA-Z%]*[a-zA-Z%])")


def _is_standard(value: Any) -> bool:
    """Return whether a value is a date, path, number or the like, whose methods run no user code."""
    cls = type(value)
    return cls.__module__.partition(".")[0] in _STANDARD and cls.__hash__ is not None


def _is_text(value: Any) -> bool:
    return issubclass(type(value), str)


def _is_printable(value: Any) -> bool:
    return type(value) in _ATOMS or _is_standard(value)


class _Evaluator:
    """Evaluates one expression; each type of node has a method of its name in lower case."""

    def __init__(self, lookup: Callable[[str], Any]) -> None:
        self.is_constant = True
        self._lookup = lookup

    def value(self, node: ast.expr) -> Any:
        """Evaluate a node."""
        method = getattr(self, f"_{type(node).__name__.lower()}", None)
        return UNKNOWN if method is None else method(node)

    def _constant(self, node: ast.Constant) -> Any:
        return UNKNOWN if node.value is ... else node.value

    def _name(self, node: ast.Name) -> Any:
        return self._lookup(node.id)

    def _tuple(self, node: ast.Tuple) -> Any:
        return tuple(map(self.value, node.elts))

    def _list(self, node: ast.List) -> Any:
        return list(map(self.value, node.elts))

    def _attribute(self, node: ast.Attribute) -> Any:
        value, name = self.value(node.value), node.attr
        cls: type = type(value)  # not isinstance(), which asks the object for its class
        # The underscored attributes hold the data; `value` and `name` are descriptors that users may override.
        if issubclass(cls, enum.Enum):
            return {"value": value._value_, "name": value._name_}.get(name, UNKNOWN)
        if issubclass(cls, ModuleType | type):
            return safe_getattr(value, name, UNKNOWN)
        if _is_standard(value):
            return getattr(value, name, UNKNOWN)
        if value is UNKNOWN:
            return UNKNOWN
        if issubclass(cls, tuple) and name in (fields := getattr(cls, "_fields", ())):
            return tuple.__getitem__(value, fields.index(name))
        # What object.__getattribute__ does, without __getattr__ and properties of the user.
        members = [vars(base)[name] for base in cls.__mro__ if name in vars(base)]
        parameters = getattr(cls, "__dataclass_params__", None)
        self.is_constant &= bool(parameters is not None and parameters.frozen)
        if members and isinstance(members[0], MemberDescriptorType):
            return members[0].__get__(value, cls)
        if any(hasattr(type(member), "__set__") for member in members):
            return UNKNOWN  # a property, which would run user code
        return object.__getattribute__(value, "__dict__").get(name, UNKNOWN)

    def _subscript(self, node: ast.Subscript) -> Any:
        value, key = self.value(node.value), self.value(node.slice)
        if type(value) not in (tuple, list, dict, str) or type(key) not in _ATOMS:
            return UNKNOWN
        self.is_constant &= type(value) in (tuple, str)  # code may change a list or dict in place
        return value[key]

    def _unaryop(self, node: ast.UnaryOp) -> Any:
        value = self.value(node.operand)
        return -value if isinstance(node.op, ast.USub) and type(value) in _NUMBERS else UNKNOWN

    def _binop(self, node: ast.BinOp) -> Any:
        left, right = self.value(node.left), self.value(node.right)
        # str.__str__ gives the plain text of an instance of a subclass, without its own methods.
        if isinstance(node.op, ast.Mod) and _is_text(left):
            return _percent_formatted(str.__str__(left), right)
        if isinstance(node.op, ast.Add) and any(
            _is_text(side) or type(side) is Template for side in (left, right)
        ):
            return _concatenated([left, right])
        if type(left) not in _NUMBERS or type(right) not in _NUMBERS:
            return UNKNOWN
        # Only what names of ingredients use in practice, and no powers, whose results could fill the memory.
        match node.op:
            case ast.Add():
                return left + right
            case ast.Sub():
                return left - right
            case ast.Mult():
                return left * right
            case ast.FloorDiv():
                return left // right
            case ast.Mod():
                return left % right
        return UNKNOWN

    def _joinedstr(self, node: ast.JoinedStr) -> Any:
        return _concatenated([self.value(part) for part in node.values])

    def _formattedvalue(self, node: ast.FormattedValue) -> Any:
        spec = "" if node.format_spec is None else self.value(node.format_spec)
        conversion = "" if node.conversion < 0 else chr(node.conversion)
        return _formatted(self.value(node.value), conversion, spec)

    def _call(self, node: ast.Call) -> Any:
        arguments = [self.value(argument) for argument in node.args]
        function = node.func
        if isinstance(function, ast.Attribute):
            keywords = {keyword.arg or "": self.value(keyword.value) for keyword in node.keywords}
            return self._method(self.value(function.value), function.attr, arguments, keywords)
        if not isinstance(function, ast.Name) or len(arguments) != 1 or node.keywords:
            return UNKNOWN
        # The lookup knows globals and closures but no builtins, so a builtin is unknown to it.
        if self._lookup(function.id) is not UNKNOWN or function.id not in {"str", "repr", "int"}:
            return UNKNOWN  # a shadowed builtin, or another function
        if function.id == "int":
            return int(arguments[0]) if type(arguments[0]) in _ATOMS else UNKNOWN
        if function.id == "str" and (_is_text(arguments[0]) or type(arguments[0]) is Template):
            return arguments[0]
        return _formatted(arguments[0], "r" if function.id == "repr" else "s", "")

    def _method(self, value: Any, name: str, arguments: list[Any], keywords: dict[str, Any]) -> Any:
        if name == "format" and _is_text(value):
            return _str_formatted(str.__str__(value), arguments, keywords)
        if name == "join" and _is_text(value) and len(arguments) == 1 and not keywords:
            parts = arguments[0]
            if type(parts) not in (list, tuple):
                return UNKNOWN
            return _concatenated([item for part in parts for item in (value, part)][1:])
        known = _is_printable(value) and all(type(argument) in _ATOMS for argument in arguments)
        if known and name in _METHODS and not keywords:
            return getattr(value, name)(*arguments)
        return UNKNOWN


def _concatenated(parts: list[Any]) -> Any:
    """Concatenate texts; an unknown one becomes an unknown part of a template."""
    found: list[str | None] = []
    # Adjacent known texts are merged, and adjacent unknown ones as well, so equal templates are equal tuples.
    for part in parts:
        for piece in part.parts if type(part) is Template else [part]:
            text = str.__str__(piece) if _is_text(piece) else None
            if text is not None and found and found[-1] is not None:
                found[-1] += text
            elif text is not None or not (found and found[-1] is None):
                found.append(text)
    if all(text is not None for text in found):
        return "".join(filter(None, found))
    return Template(tuple(text for text in found if text != ""))


def _formatted(value: Any, conversion: str, spec: Any) -> Any:
    """Format a value as an f-string does."""
    if issubclass(type(value), enum.StrEnum):  # formats as its value
        value = value._value_
    if type(value) is Template and not conversion and not spec:
        return value
    # Only short widths: the result of f"{x:1000000000}" would fill the memory.
    numbers = re.findall(r"\d+", spec) if type(spec) is str else ["inf"]
    if not _is_printable(value) or any(float(number) > _WIDEST for number in numbers):
        return Template((None,))
    shown = {"": value, "s": str(value), "r": repr(value), "a": ascii(value)}[conversion]
    return format(shown, spec)


def _percent_formatted(text: str, values: Any) -> Any:
    """Compute ``text % values`` conversion by conversion."""
    given = list(values) if type(values) is tuple else [values]
    parts: list[Any] = []
    for piece in _CONVERSION.split(text):
        if piece == "%%":
            parts.append("%")
        elif not _CONVERSION.fullmatch(piece):
            parts.append(piece)
        elif "(" in piece or "*" in piece or not given:
            return Template((None,))
        else:
            value = given.pop(0)
            is_short = all(int(number) <= _WIDEST for number in re.findall(r"\d+", piece))
            parts.append(piece % value if _is_printable(value) and is_short else UNKNOWN)
    return UNKNOWN if given else _concatenated(parts)


def _str_formatted(text: str, arguments: list[Any], keywords: dict[str, Any]) -> Any:
    """Compute ``text.format(...)`` field by field."""
    parts: list[Any] = []
    automatic = iter(arguments)
    for literal, field, spec, conversion in string.Formatter().parse(text):
        parts.append(literal)
        if field is None:
            continue
        if field == "":
            value = next(automatic, UNKNOWN)
        elif field.isdecimal():
            value = arguments[int(field)] if int(field) < len(arguments) else UNKNOWN
        else:
            value = keywords.get(field, UNKNOWN)
        is_plain = "{" not in (spec or "")
        parts.append(_formatted(value, conversion or "", spec or "") if is_plain else UNKNOWN)
    return _concatenated(parts)
