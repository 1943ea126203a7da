"""Words in the constants of a function, which help to guess the reactor that sends a name.

Reactors that a loop creates differ in their default values and closure variables, and these are usually part
of the names that they send.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable
from functools import lru_cache
from itertools import islice
from typing import Any

from pyplant.fingerprint.attributes import namespace
from pyplant.fingerprint.graph_node import values_held_by

__all__ = ["constant_words", "words"]

_WORD = re.compile(r"\d+|[^\W\d_]+")
_MAX_VALUES = 50  # values read within one constant
_MAX_CHARACTERS = 200  # characters read of one text


@lru_cache(maxsize=1000)
def words(text: str) -> frozenset[str]:
    """Return the words and numbers in a text."""
    return frozenset(_WORD.findall(text))


def constant_words(function: Callable[..., Any]) -> frozenset[str]:
    """Return the words in the constants of a function: texts and numbers, also in containers and attributes."""
    texts: list[str] = []
    for constant in values_held_by(function):
        pending = deque([constant])
        for _ in range(_MAX_VALUES):
            if not pending:
                break
            value = pending.popleft()
            if type(value) in (str, int, float):
                texts.append(str(value)[:_MAX_CHARACTERS])
            else:
                pending.extend(islice(_parts_of(value), _MAX_VALUES))
    return words(" ".join(texts))


def _parts_of(value: Any) -> Iterable[Any]:
    """Return the items and attributes of a value, read without running code of its class."""
    cls = type(value)
    if issubclass(cls, tuple | list):
        return (tuple if issubclass(cls, tuple) else list).__iter__(value)
    if issubclass(cls, dict):
        return dict.values(value)
    return (namespace(value) or {}).values()
