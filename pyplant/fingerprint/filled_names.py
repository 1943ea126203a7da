"""Names that code fills once in a process: ``if _table is None: _table = compute()``.

Such a name counts as it was before (:mod:`pyplant.fingerprint.past_values`), so that filling it is no edit. But after an edit of the
code that filled it, it still holds what the earlier code computed, and a result that was computed from that must not be
stored as one of the new code. So the functions that fill it are remembered with their fingerprints.

Only what is certain to be filled counts: a name that stood for ``None`` and that code looks at before it sets it, and a
dictionary that was empty and that code asks for the key that it adds. Counters, random generators and lists to which code
appends change as well, and results rarely depend on them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dis import get_instructions, opmap
from types import FunctionType
from typing import Any

from pyplant.fingerprint.bytecode import nested, opcodes
from pyplant.fingerprint.digest import encode
from pyplant.fingerprint.fingerprint import Fingerprinter
from pyplant.fingerprint.graph_node import CodeReference, Leaf
from pyplant.fingerprint.past_values import PAST_VALUES, PastValue

__all__ = ["FilledNames", "filled_by_earlier_code", "filled_names", "note_filled"]

_NONE = "value " + encode(None).data.hex()
_EMPTY = encode({}, with_attributes=True, as_held=True).data
_CONTAINS, _STORE_SUBSCR = opmap["CONTAINS_OP"], opmap["STORE_SUBSCR"]
_SETTING = frozenset({"STORE_GLOBAL", "STORE_ATTR"})
_ASKING = frozenset({"get", "KeyError"})

_fillers: dict[tuple[str, str], dict[str, str]] = {}
"""The fingerprints, when it was filled, of the functions that may have done so; by owner and name."""

FilledNames = Mapping[tuple[str, str], Mapping[str, str]]
"""Names that are filled, by owner and name: the present fingerprints of the functions that may have done so."""


def filled_names(fingerprinter: Fingerprinter, root: Callable[..., Any]) -> FilledNames:
    """Return the names below a reactor that are filled now."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    if not PAST_VALUES.names:
        return found
    for obj, node in fingerprinter.nodes_below(root):
        for edge in node.edges if type(obj) is FunctionType else ():
            name = edge.owner, edge.name
            if name in PAST_VALUES.names and _is_filled_by(obj, edge):
                found.setdefault(name, {})[node.name] = fingerprinter.fingerprint(obj).digest
    return found


def filled_by_earlier_code(filled: FilledNames) -> Iterator[tuple[str, str]]:
    """Yield the names, as ``module.name``, that were filled before a function was edited, and the function."""
    for name, functions in filled.items():
        for function, digest in functions.items():
            if _fillers.get(name, {}).get(function, digest) != digest:
                yield ".".join(name), function


def note_filled(before: FilledNames, after: FilledNames) -> None:
    """Note what an execution has filled: what was filled after it and not before."""
    for name, functions in after.items():
        if name not in before:
            _fillers.setdefault(name, {}).update(functions)


def _is_filled_by(function: FunctionType, edge: CodeReference) -> bool:
    """Return whether a function may have filled a name that it refers to, which was empty before."""
    target = edge.target
    if type(target) is Leaf:
        return target.text == _NONE and _fills_after_a_look(function, edge.name)
    if type(target) is not PastValue or type(target.value) is not dict:
        return False
    before = target.content()
    return before is not None and before.local == _EMPTY and _adds_missing_keys(function)


def _fills_after_a_look(function: FunctionType, name: str) -> bool:
    for part in nested(function.__code__):
        uses = [one.opname for one in get_instructions(part) if one.argval == name]
        # What is set without a look before is new in each execution.
        if uses and uses[0].startswith("LOAD_") and _SETTING.intersection(uses):
            return True
    return False


def _adds_missing_keys(function: FunctionType) -> bool:
    parts = list(nested(function.__code__))
    used = b"".join(map(opcodes, parts))
    asks = _CONTAINS in used or any(not _ASKING.isdisjoint(part.co_names) for part in parts)
    return asks and _STORE_SUBSCR in used
