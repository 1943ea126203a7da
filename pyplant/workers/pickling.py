"""Pickles of the messages between a run and its workers."""

from __future__ import annotations

import pickle
from typing import Any

__all__ = ["dumps", "loads"]

_PROTOCOL = 5


def dumps(obj: Any) -> bytes:
    """Pickle a record of our own. What of it is the user's goes as cloudpickle sees fit."""
    try:
        return pickle.dumps(obj, _PROTOCOL)
    except Exception:  # noqa: BLE001 - a class or function that has no name to be found by
        import cloudpickle

        return bytes(cloudpickle.dumps(obj, _PROTOCOL))


def loads(data: bytes) -> Any:
    """Undo :func:`dumps`."""
    return pickle.loads(data)  # noqa: S301 - from the other end of a pool of the user's
