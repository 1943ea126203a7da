"""Formats durations, sizes, counts and times, reads sizes, and cleans text of unknown origin for display."""

from __future__ import annotations

import math
import re
import time

from pyplant.errors import ConfigError

__all__ = [
    "clean",
    "counted",
    "error_text",
    "escape",
    "format_age",
    "format_date",
    "format_seconds",
    "format_size",
    "format_whole_seconds",
    "parse_seconds",
    "parse_size",
]

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "p": 10**15}
_BINARY = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}
_SIZE = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([kmgtp]?)(i?)(?:b|bytes?)?\s*", re.IGNORECASE)


_SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_DURATION = re.compile(
    r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(?:(s|min|h|d|w)|(s)econds?|(min)utes?|(h)ours?|(d)ays?|(w)eeks?)\s*",
    re.IGNORECASE,
)


def clean(text: str) -> str:
    """Replace control and direction characters, which names from stored files may contain."""
    return "".join(c if c.isprintable() or c == " " else "\N{REPLACEMENT CHARACTER}" for c in text)


def escape(text: str) -> str:
    """Clean a line of text and escape it for HTML."""
    from html import escape as escaped

    return escaped(clean(text))


def error_text(error: BaseException) -> str:
    """Return the name and the text of an exception; its class may raise anything while it is converted to text."""
    try:
        text = str(error)
        return f"{type(error).__name__}: {text}" if text else type(error).__name__
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001 - code of the user
        return f"{type.__dict__['__name__'].__get__(type(error))}: <exception str() failed>"


def counted(count: int, noun: str) -> str:
    """Format a count with its noun, as in ``"1 line"`` and ``"2 lines"``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def format_seconds(seconds: float) -> str:
    """Format a duration in at most two units."""
    # The limits are the values that round up to the next unit: 59.97 s is one minute, not "60.0 s".
    if seconds < 0.9995:  # noqa: PLR2004
        return f"{_rounded(seconds * 1000)} ms" if seconds >= 0.0005 or not seconds else "<1 ms"  # noqa: PLR2004
    if seconds < 59.95:  # noqa: PLR2004
        return f"{_rounded(seconds, 1)} s"
    minutes, rest = divmod(math.floor(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def format_whole_seconds(seconds: float) -> str:
    """Format a duration that grows or shrinks while it is shown, without fractions of a second."""
    whole = max(0, round(seconds))
    return f"{whole} s" if whole < 60 else format_seconds(whole)  # noqa: PLR2004


def format_size(size: float) -> str:
    """Format a number of bytes with three digits and a decimal unit."""
    unit = "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if size < 999.5:  # noqa: PLR2004
            break
        size, unit = size / 1000, larger
    return f"{_rounded(size, 0 if unit == 'B' or size >= 99.95 else 1)} {unit}"  # noqa: PLR2004


def _rounded(number: float, digits: int = 0) -> str:
    """Format a positive number with some decimals, halves rounded up as in JavaScript."""
    factor = 10**digits
    return f"{math.floor(number * factor + 0.5) / factor:.{digits}f}"


def format_date(when: float) -> str:
    """Format a time in the local time zone; times from damaged files may be out of range."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(when))
    except (ValueError, OverflowError, OSError):
        return "at an unknown time"


def format_age(when: float) -> str:
    """Format the time since ``when``, as in ``"5 min ago"``."""
    age = max(0.0, time.time() - when)
    for limit, unit, length in ((60, "s", 1), (3600, "min", 60), (86400, "h", 3600)):
        if age < limit:
            return f"{int(age // length)} {unit} ago"
    days = int(age // 86400)
    return f"{counted(days, 'day')} ago"


def parse_size(size: str | float) -> int:
    """Read a size such as ``"20 GB"``, ``"1.5 TiB"`` or a number of bytes.

    Parameters
    ----------
    size
        Units are decimal (``kB``, ``MB``, …) or binary (``KiB``, ``MiB``, …); case and
        spaces are ignored.

    Returns
    -------
    bytes
        The size in bytes.

    Raises
    ------
    pyplant.errors.ConfigError
        If the text is not a size.
    """
    if isinstance(size, int | float) and not isinstance(size, bool) and 0 <= size < float("inf"):
        return round(size)
    found = _SIZE.fullmatch(size) if isinstance(size, str) else None
    if found is None:
        message = f"{size!r} is not a size. Write a number of bytes, or a text such as '20 GB' or '500 MiB'."
        raise ConfigError(message)
    number, unit, binary = found.groups()
    units = _BINARY if binary else _UNITS
    return round(float(number) * units[unit.lower()])


def parse_seconds(duration: str | float) -> float:
    """Read a duration such as ``"30 days"``, ``"12 h"`` or a number of seconds.

    Raises
    ------
    pyplant.errors.ConfigError
        If the text is not a duration.
    """
    if isinstance(duration, int | float) and not isinstance(duration, bool) and 0 <= duration < float("inf"):
        return float(duration)
    found = _DURATION.fullmatch(duration) if isinstance(duration, str) else None
    if found is None:
        message = f"{duration!r} is not a duration. Write a number of seconds, or a text such as '30 days' or '12 h'."
        raise ConfigError(message)
    number, *units = found.groups()
    return float(number) * _SECONDS[next(unit for unit in units if unit).lower()]
