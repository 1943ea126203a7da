"""A cheap test whether a value made of containers has changed.

After each step of a reactor all values that code names may have changed. To encode a table of 2,000 entries again takes
4 ms, to see that it still holds the same objects 0.1 ms.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from operator import is_
from typing import Any

from pyplant.fingerprint.digest import CODE_TYPES, Encoding
from pyplant.fingerprint.scalars import SCALARS

__all__ = ["encoded_with_test"]

_CONTAINERS = (dict, list, tuple, set, frozenset)

_Held = list[tuple[Collection[Any], tuple[Any, ...]]]


def encoded_with_test(value: Any, encode: Callable[..., Encoding]) -> tuple[Encoding, Callable[[], bool]]:
    """Return the encoding of a value, and a test whether it still has it: unlike code, values change in place.

    Parameters
    ----------
    value
        Any object.
    encode
        Returns its encoding; takes ``with_attributes`` as :func:`~pyplant.fingerprint.digest.encode` does.
    """
    held = _held(value)  # before the encoding, so that a change in between is noticed
    encoding = encode(with_attributes=True)

    def is_unchanged() -> bool:
        nonlocal held
        if held is not None and _is_same(held):
            return True
        now = _held(value)
        is_same = encode().is_same(encoding)
        held = now if is_same else held  # a change stays one when the test is asked again
        return is_same

    return encoding, is_unchanged


def _held(value: Any) -> _Held | None:
    """Return all containers in a value with the objects in them.

    While they hold these objects, the encoding is the same. ``None`` if the value holds more than containers, scalars and
    code: an object may change while it is the same one.
    """
    try:
        return _collected(value)
    except RuntimeError:  # another thread changes it
        return None


def _collected(value: Any) -> _Held | None:
    # With the objects and not their ids, so that no new object gets the identity of an old one.
    held: _Held = []
    stack, seen = [value], {id(value)}
    while stack:
        container = stack.pop()
        cls = type(container)
        if cls not in _CONTAINERS:
            return None
        views = [container, container.values()] if cls is dict else [container]
        for view in views:
            objects = tuple(view)
            held.append((view, objects))
            for item in objects:
                if type(item) in SCALARS or id(item) in seen:
                    continue
                if not issubclass(type(item), CODE_TYPES):
                    seen.add(id(item))
                    stack.append(item)
                elif cls is set or cls is frozenset:  # ordered by the content of the code, which may change
                    return None
    return held


def _is_same(held: _Held) -> bool:
    try:
        # Without a loop in Python over the objects: each step of each reactor asks.
        return all(len(view) == len(objects) and all(map(is_, view, objects)) for view, objects in held)
    except RuntimeError:  # another thread changes it
        return False
