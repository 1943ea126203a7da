"""Digests of SQLAlchemy's tables and mapped classes, whose parts refer to registries, to each other and to caches.

A mapped class counts by what its body says: columns with their types, defaults and keys, and relationships with their
arguments. What SQLAlchemy derives from it when mappers are configured does not count.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import FunctionType
from typing import Any

from pyplant.fingerprint.digest import Encoder, encodes
from pyplant.fingerprint.installed_names import is_users_class

__all__: list[str] = []

_PLAIN = (bool, int, float, str, bytes, type(None))
_OF_COLUMNS = (
    "name",
    "key",
    "primary_key",
    "nullable",
    "unique",
    "index",
    "autoincrement",
    "comment",
    "info",
)


@encodes("sqlalchemy.*.ClassManager", "sqlalchemy.*.registry")
def _encode_bookkeeping(value: Any, encoder: Encoder) -> None:
    encoder.tag(type(value).__qualname__)


@encodes("sqlalchemy.*.Mapper")
def _encode_mapper(value: Any, encoder: Encoder) -> None:
    encoder.tag("mapper")
    encoder.item(value.local_table)


@encodes("sqlalchemy.*.InstrumentedAttribute")
def _encode_attribute(value: Any, encoder: Encoder) -> None:
    described = value.prop
    encoder.tag("attribute")
    encoder.item([value.key, type(described).__qualname__])
    encoder.item(list(getattr(described, "columns", ())))
    if hasattr(described, "argument"):  # of a relationship
        given = [described.argument, *(one.argument for one in getattr(described, "_init_args", ()))]
        encoder.item([_argument(argument) for argument in given])
        encoder.item(sorted(described.cascade))
        encoder.item(_plain_attributes(described))


@encodes("sqlalchemy.*.Column", "sqlalchemy.*.Column+")
def _encode_column(value: Any, encoder: Encoder) -> None:
    encoder.tag("column")
    encoder.item([getattr(value, name) for name in _OF_COLUMNS])
    encoder.item(repr(value.type))
    if is_users_class(type(value.type)):
        encoder.code(type(value.type))
    for default in (value.default, value.onupdate, value.server_default, value.server_onupdate):
        # A function is wrapped by one that also takes a context.
        argument = getattr(default, "arg", None)
        encoder.item(_argument(getattr(argument, "__wrapped__", argument)))
    encoder.item(str(getattr(value.computed, "sqltext", "")))
    encoder.item(repr(value.identity))
    encoder.item(sorted(f"{key._get_colspec()} {key.ondelete} {key.onupdate}" for key in value.foreign_keys))  # noqa: SLF001


@encodes("sqlalchemy.*.Table", "sqlalchemy.*.Table+")
def _encode_table(value: Any, encoder: Encoder) -> None:
    encoder.tag("table")
    encoder.item([value.name, value.schema, value.comment, list(value.columns)])
    encoder.item(sorted(map(_constraint, value.constraints)))
    encoder.item(sorted(_index(index) for index in value.indexes))
    encoder.item(sorted(f"{name}={option!r}" for name, option in value.kwargs.items()))


@encodes("sqlalchemy.*.MetaData", "sqlalchemy.*.MetaData+")
def _encode_metadata(value: Any, encoder: Encoder) -> None:
    encoder.tag("metadata")
    encoder.item([value.schema, sorted(f"{name}={rule!r}" for name, rule in value.naming_convention.items())])
    encoder.item([value.tables[name] for name in sorted(value.tables)])


@encodes("sqlalchemy.*.Constraint+", "sqlalchemy.*.Index", "sqlalchemy.*.Index+")
def _encode_rule(value: Any, encoder: Encoder) -> None:
    encoder.tag("rule")
    encoder.item(_index(value) if hasattr(value, "expressions") else _constraint(value))


def _constraint(value: Any) -> str:
    names = [column.name for column in getattr(value, "columns", ())]
    return f"{type(value).__qualname__} {value.name} {names} {getattr(value, 'sqltext', '')}"


def _index(value: Any) -> str:
    return f"{value.name} {value.unique} {list(map(str, value.expressions))}"


def _argument(value: Any) -> Any:
    """Return an argument as something that counts: a plain value, code, or the text of an expression."""
    if isinstance(value, (*_PLAIN, type, FunctionType)):
        return value
    if isinstance(value, list | tuple):
        return [_argument(item) for item in value]
    return str(value)


def _plain_attributes(value: Any) -> dict[str, Any]:
    """Return the plain public attributes, such as ``lazy`` and ``viewonly``, apart from numbers that count objects."""
    names: Iterable[str] = sorted(set(_names(value)))
    found = {name: getattr(value, name, None) for name in names if not name.startswith("_")}
    return {name: own for name, own in found.items() if type(own) in _PLAIN}


def _names(value: Any) -> Iterator[str]:
    yield from getattr(value, "__dict__", ())
    for base in type(value).__mro__:
        slots = vars(base).get("__slots__", ())
        yield from (slots,) if isinstance(slots, str) else slots
