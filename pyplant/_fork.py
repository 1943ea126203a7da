"""Functions that a forked child process runs first, to reset what it must not share with its parent."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["after_fork_in_child"]


_Function = TypeVar("_Function", bound=Callable[[], Any])


def after_fork_in_child(function: _Function) -> _Function:
    """Run a function in every child process right after it is forked; usable as a decorator."""
    if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
        os.register_at_fork(after_in_child=function)
    return function
