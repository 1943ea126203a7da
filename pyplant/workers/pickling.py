"""Pickles of the messages between a run and its workers."""

from __future__ import annotations

import pickle
from typing import Any

__all__ = ["dumps", "loads"]

_PROTOCOL = 5


def dumps(obj: Any) -> bytes:
    """Pickle a message, with cloudpickle if it contains objects of the user that pickle refuses."""
    try:
        return pickle.dumps(obj, _PROTOCOL)
    except Exception:  # noqa: BLE001 - such as a class or function that cannot be found by its name
        import cloudpickle

        return bytes(cloudpickle.dumps(obj, _PROTOCOL))


def loads(data: bytes) -> Any:
    """Undo :func:`dumps`."""
    return pickle.loads(data)  # noqa: S301 - it comes from the other side of the user's pool
