"""Converts ``--set NAME=VALUE``: texts of the command line to values of parameters."""

from __future__ import annotations

import ast
import datetime
import json
import numbers
from collections.abc import Collection, Iterable
from enum import Enum
from pathlib import Path
from typing import Any

import click

from pyplant._missing import MISSING
from pyplant.config.classes import is_nested
from pyplant.config.parameters import Parameters
from pyplant.errors import ConfigError

__all__ = ["coerced", "varied_values", "with_settings"]

_BOOLEANS = {"true": True, "false": False, "1": True, "0": False}
_COLLECTIONS = (list, tuple, set, frozenset)


def with_settings(parameters: Parameters, settings: Iterable[str], reads: Collection[str]) -> Parameters:
    """Return the parameters with the settings of the command line.

    Parameters
    ----------
    parameters
        The configuration.
    settings
        Texts of the form ``NAME=VALUE``; ``+NAME=VALUE`` for a new parameter.
    reads
        Names of the parameters that the code of reactors reads.

    Raises
    ------
    pyplant.errors.ConfigError
        If a name is unknown, or a value does not have the type of its parameter.
    """
    for setting in settings:
        given, equals, text = setting.partition("=")
        name = given.removeprefix("+")
        if not equals or not name:
            message = f"--set takes NAME=VALUE, such as --set model.depth=3, not {setting!r}."
            raise click.UsageError(message)
        if not given.startswith("+"):
            _check(parameters, name, text, reads)
        value = _value(name, text, parameters.value(name))
        parameters = parameters.varied({name: value}, {*reads, name})
    return parameters


def varied_values(
    parameters: Parameters, settings: Iterable[str], reads: Collection[str]
) -> dict[str, list[Any]]:
    """Return the values of a sweep, by parameter.

    Parameters
    ----------
    parameters
        The configuration.
    settings
        Texts of the form ``NAME=VALUE,VALUE``. Commas inside of brackets and quotes do not separate values.
    reads
        Names of the parameters that the code of reactors reads.

    Raises
    ------
    pyplant.errors.ConfigError
        If a name is unknown, or a value does not have the type of its parameter.
    """
    found: dict[str, list[Any]] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals or not name:
            message = f"A sweep takes NAME=VALUE,VALUE, such as model.depth=3,4,5, not {setting!r}."
            raise click.UsageError(message)
        if name in found:
            message = f"{name} is given twice; separate its values by commas: {name}=VALUE,VALUE."
            raise click.UsageError(message)
        parameters.check([name], reads)
        before = parameters.value(name)
        found[name] = [_value(name, part, before) for part in _split(text)]
    return found


def _split(text: str) -> list[str]:
    """Split a text at the commas that are outside of brackets and quotes."""
    parts, depth, quote = [""], 0, ""
    for letter in text:
        if letter == "," and not depth and not quote:
            parts.append("")
            continue
        parts[-1] += letter
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        else:
            depth += (letter in "([{") - (letter in ")]}")
    return [part.strip() for part in parts]


def _check(parameters: Parameters, name: str, text: str, reads: Collection[str]) -> None:
    try:
        parameters.check([name], reads)
    except ConfigError as error:
        message = f"{error} To add it: --set +{name}={text}"
        raise type(error)(message) from None


def _value(name: str, text: str, before: Any) -> Any:
    """Convert a text to the type of its parameter; for a new parameter, parse it as a literal."""
    if before is MISSING or before is None:
        return _literal(text)
    if isinstance(before, str) and not isinstance(before, Enum):
        return _unquoted(text)
    if text in ("None", "null"):
        return None
    value = _converted(text, before)
    if value is MISSING:
        raise _type_error(name, text, before)
    return value


def _converted(text: str, before: Any) -> Any:
    """Convert a text to the type of the old value; return :data:`MISSING` if that fails."""
    kind: Any = type(before)
    try:
        match before:
            case bool():
                return _BOOLEANS.get(text.lower(), MISSING)
            case Enum():
                return _enum_member(kind, text)
            case Path():
                return kind(text)
            case numbers.Integral():
                return kind(_integer(text))
            case numbers.Number():
                return kind(text)
            case datetime.date() | datetime.time():
                return kind.fromisoformat(text)
    except (ValueError, ArithmeticError):
        return MISSING
    value = coerced(before, _literal(text))
    return value if isinstance(value, kind) else MISSING


def _integer(text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        number = float(text)  # such as 1e3
    if not number.is_integer():
        raise ValueError(text)
    return int(number)


def _enum_member(kind: type[Enum], text: str) -> Any:
    if text in kind.__members__:
        return kind[text]
    return kind(_literal(text))


def _type_error(name: str, text: str, before: Any) -> ConfigError:
    if is_nested(before):
        return ConfigError(
            f"{name!r} is a nested configuration; set one of its parameters: --set {name}.NAME=..."
        )
    kind = type(before)
    wanted = f"one of {', '.join(kind.__members__)}" if isinstance(before, Enum) else kind.__name__
    return ConfigError(
        f"--set {name}={text}: parameter {name!r} takes {wanted} (it is {before!r}), which {text!r} is not."
    )


def _literal(text: str) -> Any:
    """Parse a Python literal or a JSON value; other texts stand for themselves and need no quotes."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        pass
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _unquoted(text: str) -> str:
    """Return a text without quotes around it."""
    value = _literal(text) if text[:1] in ("'", '"') else text
    return value if isinstance(value, str) else text


def coerced(before: Any, value: Any) -> Any:
    """Convert a value of JSON, which has no tuples, sets and paths, to the type of the old value."""
    if isinstance(before, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(before, _COLLECTIONS) and isinstance(value, _COLLECTIONS):
        return value if type(value) is type(before) else type(before)(value)
    if isinstance(before, Path) and isinstance(value, str):
        return Path(value)
    return value
