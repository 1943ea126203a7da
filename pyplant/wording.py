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
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms" if seconds >= 0.0005 or not seconds else "<1 ms"  # noqa: PLR2004
    if seconds < 60:  # noqa: PLR2004
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def format_size(size: float) -> str:
    """A number of bytes."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:  # noqa: PLR2004
            return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"  # noqa: PLR2004
        size /= 1000
    return f"{size:.1f} TB"


def format_date(when: float) -> str:
    """A moment, to the minute, by the local clock."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(when))


def format_age(when: float) -> str:
    """How long ago a moment was."""
    age = max(0.0, time.time() - when)
    for limit, unit, length in ((60, "s", 1), (3600, "min", 60), (86400, "h", 3600)):
        if age < limit:
            return f"{int(age // length)} {unit} ago"
    days = int(age // 86400)
    return f"{counted(days, 'day')} ago"
