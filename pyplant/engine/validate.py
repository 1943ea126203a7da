"""Validation of data read from a plant directory.

A plant directory may come from another version, another user or a damaged disk. Each function
returns its argument if it has the expected type, and otherwise raises one of :data:`UNREADABLE`. The
caller then treats the record as absent. Types are compared exactly (``type(x) is``): JSON yields no
subclasses, and ``True`` must not pass as a number.
"""

from __future__ import annotations

import math
from typing import Any

__all__ = [
    "UNREADABLE",
    "count",
    "finite",
    "mapping",
    "nearest_timestamp",
    "source_text",
    "source_texts",
    "str_dict",
    "str_list",
    "string",
    "timestamp",
]

UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError)
"""The errors that reading a record of another version, or a damaged one, may raise."""

_MOST = 1 << 62
_LATEST = 1e11  # seconds since the epoch, some three thousand years after it


def string(value: Any) -> str:
    """Return a value that is a string."""
    if type(value) is not str:
        raise TypeError(value)
    return value


def source_text(value: Any) -> str:
    """Return a value that is a string without lone surrogates, which JSON may contain and source text cannot."""
    if not string(value).isascii():
        value.encode()
    return str(value)


def source_texts(values: Any) -> tuple[str, ...]:
    """Return a list of such strings as a tuple."""
    found = str_list(values)
    source_text("".join(found))
    return found


def str_list(values: Any) -> tuple[str, ...]:
    """Return a value that is a list of strings, as a tuple."""
    if type(values) is not list:
        raise TypeError(values)
    "".join(values)  # raises a TypeError unless all are strings, and is faster than a loop
    return tuple(values)


def str_dict(values: Any) -> dict[str, str]:
    """Return a value that is a JSON object whose values are strings."""
    found = mapping(values)
    for value in found.values():
        string(value)
    return found


def mapping(value: Any) -> dict[str, Any]:
    """Return a value that is a JSON object."""
    if type(value) is not dict:
        raise TypeError(value)
    return value


def count(value: Any) -> int:
    """Return a value that is a non-negative integer below 2**62."""
    if type(value) is not int or not 0 <= value < _MOST:
        raise ValueError(value)
    return value


def finite(value: Any) -> float:
    """Return a value that is a finite number."""
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ValueError(value)
    return float(value)


def timestamp(value: Any) -> float:
    """Return a value that is a plausible time, in seconds since the epoch."""
    if not 0 <= finite(value) < _LATEST:
        raise ValueError(value)
    return float(value)


def nearest_timestamp(value: float) -> float:
    """Return the plausible time that is nearest to that of a clock, which may be wrong by centuries."""
    return min(max(0.0, value), _LATEST - 1)
