"""Code that fills a variable once: it looks at what is there, and sets or extends it."""

from __future__ import annotations

from dis import get_instructions
from functools import lru_cache
from types import CodeType
from typing import NamedTuple

from pyplant.fingerprint.bytecode import nested

__all__ = ["FillingCode", "filling_code"]

_SETTING = frozenset({"STORE_GLOBAL", "STORE_ATTR", "STORE_DEREF"})
_BY_TEXT = frozenset({"setattr", "globals", "vars", "__dict__"})
_ASKING = frozenset({"get", "setdefault", "KeyError", "IndexError", "len"})
_EXTENDING = frozenset({"add", "append", "appendleft", "extend", "insert", "setdefault", "update"})


class FillingCode(NamedTuple):
    """What a function does to variables.

    Attributes
    ----------
    sets
        Names of variables and attributes that it sets after a look at them. What is set without one is new in each
        execution.
    adds_keys
        Whether it asks for keys and sets keys.
    extends
        Whether it asks for keys or has a branch, and adds to something.
    """

    sets: frozenset[str]
    adds_keys: bool
    extends: bool


@lru_cache(10_000)
def filling_code(code: CodeType) -> FillingCode:
    """Return what a code object and those inside it do to variables."""
    sets: set[str] = set()
    asks_keys = sets_keys = branches = False
    names: set[str] = set()
    for part in nested(code):
        uses: dict[str, list[str]] = {}
        for one in get_instructions(part):
            if isinstance(one.argval, str):
                uses.setdefault(one.argval, []).append(one.opname)
            asks_keys |= one.opname == "CONTAINS_OP"
            sets_keys |= one.opname == "STORE_SUBSCR"
            branches |= one.opname.startswith("POP_JUMP_")
        sets |= {
            name
            for name, found in uses.items()
            if found[0].startswith("LOAD_") and _SETTING.intersection(found)
        }
        if not _BY_TEXT.isdisjoint(part.co_names):
            sets |= {text for text in part.co_consts if isinstance(text, str) and text.isidentifier()}
        names.update(part.co_names)
    asks_keys |= not _ASKING.isdisjoint(names)
    adds = sets_keys or not _EXTENDING.isdisjoint(names)
    return FillingCode(frozenset(sets), asks_keys and sets_keys, (asks_keys or branches) and adds)
