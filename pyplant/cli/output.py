"""The output of the command line: text, or one JSON document."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from enum import Enum
from itertools import chain, islice
from numbers import Integral
from typing import Any

import click

from pyplant import _streams
from pyplant._formatting import clean, error_text
from pyplant._paths import expanded
from pyplant.reports.report import Report

__all__ = ["DirectoryOrFile", "emit", "json_option", "note", "to_json_value", "write_error"]


_PRINTED_AT_ONCE = 100  # lines, or parts of a document
_MOST_LEVELS = 100  # of a document; another user may have recorded more than Python can follow

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text.")
"""The option of every command that prints a result."""


class DirectoryOrFile(click.Path):
    """A path in which ``~`` is the home directory; shells do not expand it after an equals sign."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Expand ``~``, then convert as ``click.Path`` does."""
        return super().convert(expanded(value), param, ctx)


def emit(text: str | Iterable[str], document: Any, *, as_json: bool) -> None:
    """Print a result. Iterators are printed while they yield, so that their items need not fit into memory together.

    Parameters
    ----------
    text
        The text form, or its lines. Characters that the output cannot encode are replaced.
    document
        The JSON form: any value that :func:`to_json_value` accepts, or an iterator of such values; a dict may contain
        iterators, too.
    as_json
        Whether to print the JSON form.
    """
    if as_json:
        parts: Iterator[str] = chain(_json_parts(document, "\n"), "\n")
    else:
        lines = text.split("\n") if isinstance(text, str) else text
        parts = (f"{_streams.printable(clean(line), sys.stdout)}\n" for line in lines)
    while printed := "".join(islice(parts, _PRINTED_AT_ONCE)):
        click.echo(printed, nl=False)


def _json_parts(value: Any, indent: str) -> Iterator[str]:
    """Yield a JSON document in parts; ``indent`` is a line break and the indentation of the value."""
    if isinstance(value, Iterator):
        yield from _enclosed("[", "]", (_json_parts(item, f"{indent} ") for item in value), indent)
    elif isinstance(value, dict) and any(isinstance(item, Iterator) for item in value.values()):
        items = (
            chain([f"{json.dumps(key)}: "], _json_parts(item, f"{indent} ")) for key, item in value.items()
        )
        yield from _enclosed("{", "}", items, indent)
    else:
        plain = to_json_value(value)
        text = json.dumps(plain, indent=1, ensure_ascii=False, allow_nan=False)
        line = text.replace("\n", " ")
        # Characters that move the cursor or turn the direction of what follows are escaped, too.
        if _streams.printable(line, sys.stdout) != line or clean(line) != line:
            text = json.dumps(plain, indent=1)  # with ASCII escapes
        yield text.replace("\n", indent)


def _enclosed(opening: str, closing: str, items: Iterable[Iterable[str]], indent: str) -> Iterator[str]:
    before = opening
    for item in items:
        yield f"{before}{indent} "
        yield from item
        before = ","
    yield f"{indent}{closing}" if before == "," else f"{opening}{closing}"


def note(text: str) -> None:
    """Print a message that is not part of the result to standard error."""
    write_error(f"pyplant: {clean(text)}")


def write_error(text: str) -> None:
    """Write lines to standard error, if the process has one."""
    _streams.write(sys.stderr, f"{text}\n")


def to_json_value(value: Any, levels: int = _MOST_LEVELS) -> Any:
    """Convert a value to JSON types: reports become objects, other objects their text.

    Parameters
    ----------
    value
        A report, a finding, a number, or a nesting of them.
    levels
        How deep it is converted; what is below counts as ``"…"``.
    """
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, BaseException):
        return error_text(value)
    if levels == 0 and not isinstance(value, str | bytes | int | float | None):
        return "…"
    if isinstance(value, Report):
        value = value.deduplicated()  # causes are shared; each path to one would be written out
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_json_value(getattr(value, field.name), levels - 1) for field in fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: to_json_value(item, levels - 1) for name, item in value._asdict().items()}
    if isinstance(value, Mapping):
        return {str(key): to_json_value(item, levels - 1) for key, item in value.items()}
    if isinstance(value, Sequence | AbstractSet) and not isinstance(value, str | bytes):
        return [to_json_value(item, levels - 1) for item in value]
    if isinstance(value, Integral) and not isinstance(value, bool):
        return int(value)  # of NumPy, too
    if isinstance(value, float):
        return value if value - value == 0 else str(value)  # JSON has no infinity
    return value if value is None or isinstance(value, str | int) else str(value)
