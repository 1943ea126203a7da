"""Which executor users mean by ``executor=``."""

from __future__ import annotations

from typing import Any

from pyplant.execution.executor import Executor
from pyplant.execution.inline import InlineExecutor

__all__ = ["executor_of"]


def executor_of(wanted: Any) -> Executor:
    """The executor that users mean.

    Raises
    ------
    pyplant.errors.RunError
        If there is none such.
    """
    if wanted is None:
        return InlineExecutor()
    from pyplant.execution.pools import pool_of  # slow to load
    from pyplant.execution.side_by_side import SideBySide

    return SideBySide(pool_of(wanted))
