"""What the command line prints: text for people, or one JSON document for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

import click

from pyplant import _streams
from pyplant._formatting import clean
from pyplant._paths import expanded
from pyplant.reports.report import Report

__all__ = ["DirectoryOrFile", "complain", "emit", "json_option", "note", "to_plain"]


json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text.")
"""The option of every command that prints a result."""


class DirectoryOrFile(click.Path):
    """A path in which ``~`` is the home directory; shells leave it alone after an equals sign."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """As for all types of click."""
        return super().convert(expanded(value), param, ctx)


def emit(text: str, document: Any, *, as_json: bool) -> None:
    """Print a result.

    Parameters
    ----------
    text
        For people. What cannot be printed in it is replaced, line by line.
    document
        For programs: anything that :func:`to_plain` takes.
    as_json
        Which of the two.
    """
    if as_json:
        document = json.dumps(to_plain(document), indent=1, ensure_ascii=False, allow_nan=False)
        if _streams.printable(document, sys.stdout) != document:
            document = json.dumps(json.loads(document), indent=1)  # escapes are JSON as well
        click.echo(document)
    else:
        click.echo(_streams.printable("\n".join(map(clean, text.split("\n"))), sys.stdout))


def note(text: str) -> None:
    """Say something that is not the result: on standard error."""
    complain(f"pyplant: {clean(text)}")


def complain(text: str) -> None:
    """Write lines to standard error, if there is one."""
    _streams.write(sys.stderr, f"{text}\n")


def to_plain(value: Any) -> Any:
    """A value made of what JSON has: reports become objects, everything else its text.

    Parameters
    ----------
    value
        A report, a finding, a number, or any nesting of such.
    """
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Report):
        value = value.told()  # else they would stand below every path that leads to them
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: to_plain(item) for name, item in value._asdict().items()}
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, Sequence | AbstractSet) and not isinstance(value, str | bytes):
        return [to_plain(item) for item in value]
    if isinstance(value, float):
        return value if value - value == 0 else str(value)  # JSON has no infinity
    return value if value is None or isinstance(value, str | int) else str(value)
