"""Names that code fills once in a process: ``if _table is None: _table = compute()``.

Such a name counts as it was before (:mod:`pyplant.fingerprint.past_values`), so that filling it is no edit. But after an edit of the
code that filled it, it still holds what the earlier code computed, and a result that was computed from that must not be
stored as one of the new code. So the functions that may fill it are remembered with their fingerprints.

Counters, random generators and histories change in each execution, and results rarely depend on what they held before. So
what an execution has changed does not count, unless it is certain that code fills it key by key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import FunctionType
from typing import Any, NamedTuple

from pyplant.fingerprint.attributes import class_entry, class_namespace, module_of, namespace
from pyplant.fingerprint.digest import encode
from pyplant.fingerprint.filling_code import filling_code
from pyplant.fingerprint.fingerprint import Fingerprinter
from pyplant.fingerprint.graph_node import GraphNode, Leaf
from pyplant.fingerprint.origin import is_users_function
from pyplant.fingerprint.past_values import PAST_VALUES, PastValue
from pyplant.fingerprint.reductions import cached_properties

__all__ = ["FilledNames", "Filler", "filled_by_earlier_code", "filled_names", "note_filled"]

_ATTRIBUTE = "attribute "  # of functions
_CALLED_IF_ABSENT = frozenset({"__missing__", "__getattr__", "__get__"})
_EMPTY = encode({}, with_attributes=True, as_held=True).data


class Filler(NamedTuple):
    """Functions of one name that may have filled a variable.

    Attributes
    ----------
    digests
        Their fingerprints.
    keeps
        Whether the variable keeps what it holds when they add to it.
    """

    digests: frozenset[str]
    keeps: bool


_Name = tuple[str, str]  # of its owner, and its own
FilledNames = Mapping[_Name, Mapping[str, Filler]]
"""Names that are filled, by owner and name: the functions that may have done so."""

_digests: dict[_Name, dict[str, frozenset[str]]] = {}
"""The fingerprints, when it was filled, of the functions that may have done so; by owner, name and function."""


def filled_names(fingerprinter: Fingerprinter, root: Callable[..., Any]) -> FilledNames:
    """Return the names below a reactor that are filled now."""
    found: dict[_Name, dict[str, Filler]] = {}
    if not PAST_VALUES.names:
        return found
    nodes = list(fingerprinter.nodes_below(root))
    # What has changed since an execution left it is not what was filled.
    past = PAST_VALUES.names - {
        name for _, name, held in _past_edges(nodes, PAST_VALUES.names) if held.content() is None
    }
    for name, function, keeps in {
        *_filled_by_name(nodes, past),
        *_filled_by_reference(fingerprinter, nodes, past),
    }:
        functions = found.setdefault(name, {})
        label = f"{function.__module__}.{function.__qualname__}"
        known = functions.get(label, Filler(frozenset(), keeps=False))
        digest = fingerprinter.fingerprint(function).digest
        functions[label] = Filler(known.digests | {digest}, known.keeps or keeps)
    return found


def filled_by_earlier_code(before: FilledNames, now: Callable[[], FilledNames]) -> Iterator[tuple[str, str]]:
    """Yield the names, as ``module.name``, that were filled before a function was edited, and the function.

    Parameters
    ----------
    before
        The names that were filled when an execution began.
    now
        Returns those that are filled and have not changed since.
    """
    for name, functions in before.items():
        for function, filler in functions.items():
            noted = _digests.get(name, {}).get(function, filler.digests)
            if not noted <= filler.digests and (filler.keeps or name in now()):
                owner, own = name
                yield f"{owner}.{own.removeprefix(_ATTRIBUTE)}", function


def note_filled(before: FilledNames, after: FilledNames) -> None:
    """Note what an execution has filled: what was filled after it and not before."""
    for name, functions in after.items():
        for function in functions.keys() - before.get(name, {}).keys():
            _digests.setdefault(name, {})[function] = functions[function].digests


_Filled = tuple[_Name, FunctionType, bool]


def _filled_by_name(nodes: list[tuple[Any, GraphNode]], past: set[_Name]) -> Iterator[_Filled]:
    """Yield the variables and attributes that functions set after a look at them."""
    functions = [obj for obj, _ in nodes if type(obj) is FunctionType]
    spaces: dict[str, Mapping[str, Any]] = {each.__module__: each.__globals__ for each in functions}
    spaces |= {node.name: namespace(obj) or {} for obj, node in nodes if type(obj) is FunctionType}
    spaces |= {node.name: class_namespace(obj) for obj, node in nodes if issubclass(type(obj), type)}
    by_name: dict[str, list[_Name]] = {}
    for owner, name in past:
        own = name.removeprefix(_ATTRIBUTE)
        if own in spaces.get(owner, ()):  # what was deleted since is not filled
            by_name.setdefault(own, []).append((owner, name))
    for _, place, held in _past_edges(nodes, past):
        for attribute in namespace(held.value) or ():
            by_name.setdefault(attribute, []).append(place)
    for obj, node in nodes:
        for edge in node.edges if type(obj) is FunctionType else ():  # of closures, which are in no namespace
            if type(edge.target) is Leaf and (edge.owner, edge.name) in past:
                by_name.setdefault(edge.name, []).append((edge.owner, edge.name))
    for function in functions:
        for own in filling_code(function.__code__).sets & by_name.keys():
            for each in by_name[own]:
                yield each, function, False


def _past_edges(
    nodes: list[tuple[Any, GraphNode]], past: set[_Name]
) -> Iterator[tuple[Any, _Name, PastValue]]:
    """Yield the references to objects that count as before: what refers to one, its name, and the object."""
    for obj, node in nodes:
        for edge in node.edges:
            if type(edge.target) is PastValue and (edge.owner, edge.name) in past:
                yield obj, (edge.owner, edge.name), edge.target


def _filled_by_reference(
    fingerprinter: Fingerprinter, nodes: list[tuple[Any, GraphNode]], past: set[_Name]
) -> Iterator[_Filled]:
    """Yield the objects that a function refers to and may extend, and those that bring along what fills them."""
    for obj, name, held in _past_edges(nodes, past):
        if type(obj) is FunctionType:
            code = filling_code(obj.__code__)
            if code.extends:
                yield name, obj, code.adds_keys and _was_empty(held)
        elif issubclass(type(obj), type):
            for method, _ in fingerprinter.nodes_below(obj):
                if type(method) is FunctionType and filling_code(method.__code__).extends:
                    yield name, method, False
            for instance in (cls for cls, _ in nodes if type(cls) is obj):  # classes, if this is a metaclass
                yield from ((name, each, False) for each in _constructors(instance))
        for method in _filling_methods(fingerprinter, held):
            yield name, method, False


def _was_empty(held: PastValue) -> bool:
    if type(held.value) is not dict:
        return False
    before = held.content()
    return before is not None and before.local == _EMPTY


def _filling_methods(fingerprinter: Fingerprinter, past: PastValue) -> Iterator[FunctionType]:
    """Yield the functions that an object brings along and that may fill it."""
    for obj, node in fingerprinter.nodes_below(past):
        if type(obj) is FunctionType:
            code = filling_code(obj.__code__)
            if code.sets or code.extends or obj.__name__ in _CALLED_IF_ABSENT:
                yield obj
        elif issubclass(type(obj), type):
            held = namespace(past.value) if obj is type(past.value) else None
            for name in cached_properties(obj):
                function = class_entry(obj, name).func
                if is_users_function(function) and (held is None or name in held):
                    yield function
            if held is None:  # a class of its parts, which may have been made when it was filled
                yield from _constructors(obj)
        # A decorator or a default dictionary keeps what the functions that it holds return.
        elif module_of(type(obj.value if obj is past else obj)) != "builtins":
            yield from (edge.target for edge in node.edges if is_users_function(edge.target))


def _constructors(cls: type) -> Iterator[FunctionType]:
    found = map(class_namespace(cls).get, ("__init__", "__post_init__"))
    return (each for each in found if type(each) is FunctionType)
