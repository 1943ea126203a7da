"""Taking apart what a plant says: nothing passes but what is of the expected type.

A plant may come from anywhere. What is not as this version writes it raises one of
:data:`UNREADABLE`, and then counts as if it were not there.
"""

from __future__ import annotations

import math
from typing import Any

__all__ = [
    "UNREADABLE",
    "count",
    "finite",
    "mapping",
    "source_text",
    "source_texts",
    "str_dict",
    "str_list",
    "string",
    "timestamp",
]

UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError)
"""What reading a record raises that this version did not write."""

_MOST = 1 << 62
_LATEST = 1e11  # seconds since the epoch, some three thousand years after it


def string(value: Any) -> str:
    """A string."""
    if type(value) is not str:
        raise TypeError(value)
    return value


def source_text(value: Any) -> str:
    """A string that can stand in source code: without lone surrogates, which names may have."""
    if not string(value).isascii():
        value.encode()
    return str(value)


def source_texts(values: Any) -> tuple[str, ...]:
    """A list of strings that can stand in source code."""
    found = str_list(values)
    source_text("".join(found))
    return found


def str_list(values: Any) -> tuple[str, ...]:
    """A list of strings."""
    if type(values) is not list:
        raise TypeError(values)
    "".join(values)  # raises a TypeError unless all are strings, and a loop takes longer
    return tuple(values)


def str_dict(values: Any) -> dict[str, str]:
    """An object whose values are strings."""
    found = mapping(values)
    for value in found.values():
        string(value)
    return found


def mapping(value: Any) -> dict[str, Any]:
    """An object."""
    if type(value) is not dict:
        raise TypeError(value)
    return value


def count(value: Any) -> int:
    """A whole number from 0 on."""
    if type(value) is not int or not 0 <= value < _MOST:
        raise ValueError(value)
    return value


def finite(value: Any) -> float:
    """A finite number."""
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ValueError(value)
    return float(value)


def timestamp(value: Any) -> float:
    """A time that a clock may show, in seconds since the epoch."""
    if not 0 <= finite(value) < _LATEST:
        raise ValueError(value)
    return float(value)
