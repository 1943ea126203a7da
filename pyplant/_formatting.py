"""Formats durations, sizes, counts and times, and cleans text of unknown origin for display."""

from __future__ import annotations

import time

__all__ = [
    "clean",
    "counted",
    "error_text",
    "escape",
    "format_age",
    "format_date",
    "format_seconds",
    "format_size",
]


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
        return f"{type(error).__name__}: {error}"
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
        return f"{seconds * 1000:.0f} ms" if seconds >= 0.0005 or not seconds else "<1 ms"  # noqa: PLR2004
    if seconds < 59.95:  # noqa: PLR2004
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def format_size(size: float) -> str:
    """Format a number of bytes with three digits and a decimal unit."""
    unit = "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if size < 999.5:  # noqa: PLR2004
            break
        size, unit = size / 1000, larger
    return f"{size:.0f} {unit}" if unit == "B" or size >= 99.95 else f"{size:.1f} {unit}"  # noqa: PLR2004


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
