"""The sentinel for a value that is not there."""

from __future__ import annotations

from enum import Enum
from typing import Any

__all__ = ["MISSING", "NOTHING"]

NOTHING: frozenset[Any] = frozenset()
"""The empty set. Each other one takes 216 bytes, and there are a dozen for each reactor: ``frozenset(found) or NOTHING``."""


class _Missing(Enum):
    MISSING = "missing"

    def __repr__(self) -> str:
        return "MISSING"


MISSING = _Missing.MISSING
"""Stands for a value that is not there, since ``None`` is a value like any other.

An enum member and not an ``object()``: pickle and copy return the same member, so ``is`` works everywhere.
"""
