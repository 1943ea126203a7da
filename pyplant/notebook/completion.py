"""Completion of the options of ``%%reactor`` (IPython's matchers, since version 8.6)."""

from __future__ import annotations

from typing import Any

from pyplant.notebook.magics import OPTIONS

__all__ = ["complete_options"]


def _matcher(context: Any) -> dict[str, Any]:
    """Return the options that begin with the token, in the first line of a ``%%reactor`` cell."""
    from IPython.core.completer import SimpleCompletion

    line = context.line_with_cursor[: context.cursor_position]
    token = context.token
    if not line.startswith("%%reactor ") or context.cursor_line != 0 or not token.startswith("-"):
        return {"completions": [], "suppress": False}
    fitting = [SimpleCompletion(text=option, type="option") for option in OPTIONS if option.startswith(token)]
    return {"completions": fitting, "suppress": bool(fitting)}


_matcher.matcher_identifier = "pyplant"  # type: ignore[attr-defined]
_matcher.matcher_api_version = 2  # type: ignore[attr-defined]
_matcher.matcher_priority = 0  # type: ignore[attr-defined]


def complete_options(shell: Any, *, on: bool) -> None:
    """Turn the completion of options on or off."""
    matchers = getattr(getattr(shell, "Completer", None), "custom_matchers", None)
    if matchers is None:
        return
    if _matcher in matchers:
        matchers.remove(_matcher)
    if on:
        matchers.append(_matcher)
