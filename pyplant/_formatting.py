"""How durations, sizes and moments are said, and texts from anywhere made harmless."""

from __future__ import annotations

import time

__all__ = ["clean", "counted", "escape", "format_age", "format_date", "format_seconds", "format_size"]


def clean(text: str) -> str:
    """Text without control and direction characters: names come from anywhere."""
    return "".join(c if c.isprintable() or c == " " else "\N{REPLACEMENT CHARACTER}" for c in text)


def escape(text: str) -> str:
    """A line of text for HTML, cleaned as well."""
    from html import escape as escaped

    return escaped(clean(text))


def counted(count: int, noun: str) -> str:
    """A number of things, as in ``"1 line"`` and ``"2 lines"``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def format_seconds(seconds: float) -> str:
    """A duration, as short as it can be said."""
    # The limits are where the rounded figure reaches the next unit: 59.97 s are one minute, not "60.0 s".
    if seconds < 0.9995:  # noqa: PLR2004
        return f"{seconds * 1000:.0f} ms" if seconds >= 0.0005 or not seconds else "<1 ms"  # noqa: PLR2004
    if seconds < 59.95:  # noqa: PLR2004
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def format_size(size: float) -> str:
    """A number of bytes."""
    unit = "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if size < 999.5:  # noqa: PLR2004
            break
        size, unit = size / 1000, larger
    return f"{size:.0f} {unit}" if unit == "B" or size >= 99.95 else f"{size:.1f} {unit}"  # noqa: PLR2004


def format_date(when: float) -> str:
    """A moment by the local clock; a moment from a damaged file may be outside of the calendar."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(when))
    except (ValueError, OverflowError, OSError):
        return "at an unknown time"


def format_age(when: float) -> str:
    """How long ago a moment was."""
    age = max(0.0, time.time() - when)
    for limit, unit, length in ((60, "s", 1), (3600, "min", 60), (86400, "h", 3600)):
        if age < limit:
            return f"{int(age // length)} {unit} ago"
    days = int(age // 86400)
    return f"{counted(days, 'day')} ago"
