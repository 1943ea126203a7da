"""The content of mocks of :mod:`unittest.mock`.

A mock creates attributes and return values on access and records every call, so its dictionary
changes with every use. What counts is its classes, its specification and its configuration: return
values, side effects, attributes, the object it wraps. A mock that was created on access and not
configured counts as if it did not exist. Recorded calls do not count.
"""

from __future__ import annotations

from types import FunctionType
from typing import Any

from pyplant._missing import MISSING
from pyplant.fingerprint.attributes import module_of, mro, namespace, qualname_of
from pyplant.fingerprint.origin import LOADED

__all__ = ["is_mock_class", "mock_behind", "mock_content"]

_MODULES = frozenset(["unittest.mock", "mock.mock"])
_BOOKKEEPING = ("_mock_", "_spec_")
_RECORDS = frozenset(["method_calls", "_is_coroutine"])
_OF_CLASS = frozenset(["__doc__", "__module__", "__dict__", "__weakref__", "__signature__"])


def is_mock_class(cls: type) -> bool:
    """Return whether instances of a class are mocks; each mock has a class of its own."""
    return any(qualname_of(base) == "NonCallableMock" and module_of(base) in _MODULES for base in mro(cls))


def mock_behind(obj: Any) -> Any:
    """Return the mock that an object is, or that a function made by ``create_autospec`` calls; else ``None``."""
    if type(obj) is FunctionType:
        mock = obj.__dict__.get("mock")
        return mock if is_mock_class(type(mock)) and _attributes(mock).get("_mock_delegate") is obj else None
    return obj if is_mock_class(type(obj)) else None


def mock_content(mock: Any) -> list[Any]:
    """Return the content of a mock, and of the mocks it refers to, as a plain list.

    Mocks refer to each other by number. A mock that was created on access is left out unless it, or a mock
    that it leads to, was configured.
    """
    mocks, numbers, configured = [mock], {id(mock): 0}, []
    makers: dict[int, list[int]] = {}
    needed = {0}
    for maker, current in enumerate(mocks):  # the list grows during the loop
        answers = {key: (value, mock_behind(value)) for key, value in sorted(_configured(current).items())}
        configured.append(answers)
        for _, inner in answers.values():
            if inner is None:
                needed.add(maker)
            elif id(inner) in numbers:  # two answers with one mock: this was configured
                needed |= {maker, numbers[id(inner)]}
            else:
                number = numbers[id(inner)] = len(mocks)
                makers.setdefault(number, []).append(maker)
                mocks.append(inner)
    # A mock that leads to a configured one is needed as well.
    stack = list(needed)
    while stack:
        for maker in makers.get(stack.pop(), ()):
            if maker not in needed:
                needed.add(maker)
                stack.append(maker)
    # New numbers, since the old ones count mocks that are left out.
    renumbered = {number: place for place, number in enumerate(sorted(needed))}
    return [
        [
            _specification(mocks[number]),
            {
                key: value if inner is None else ["mock", renumbered[numbers[id(inner)]]]
                for key, (value, inner) in configured[number].items()
                if inner is None or numbers[id(inner)] in needed
            },
        ]
        for number in renumbered
    ]


def _specification(mock: Any) -> list[Any]:
    """Return the classes of a mock, and the attributes and calls that it refuses."""
    attributes = _attributes(mock)
    methods = attributes.get("_mock_methods")
    return [
        list(type(mock).__bases__),
        sorted(methods) if isinstance(methods, list | tuple) else methods,
        bool(attributes.get("_spec_set")),
        bool(attributes.get("_mock_sealed")),
        _parameters(attributes.get("_spec_signature")),
    ]


def _attributes(mock: Any) -> dict[str, Any]:
    return namespace(mock) or {}


def _parameters(signature: Any) -> list[Any]:
    found = getattr(signature, "parameters", {})
    return [[name, int(part.kind), part.default is part.empty] for name, part in found.items()]


def _configured(mock: Any) -> dict[str, Any]:
    """Return the configuration of a mock, and the mocks that it created on access, by kind and name."""
    attributes = _attributes(mock)
    found: dict[str, Any] = {}
    result, effect = _answer(attributes)
    if result is not MISSING:
        found["returns"] = result
    if effect is not None:
        found["side effect"] = effect
    if attributes.get("_mock_wraps") is not None:
        found["wraps"] = attributes["_mock_wraps"]
    children = attributes.get("_mock_children") or {}
    for name, child in children.items():
        if qualname_of(type(child)) != "_SpecState":  # an unused part of a specification
            found[f"child {name}"] = child
    for name, value in attributes.items():
        if not (name.startswith((*_BOOKKEEPING, "__")) or name in _RECORDS or children.get(name) is value):
            found[f"attribute {name}"] = value
    for name, value in vars(type(mock)).items():
        unused = qualname_of(type(value)) == "MagicProxy" or name in children
        if not (unused or name.startswith(_BOOKKEEPING) or name in _OF_CLASS):
            found[f"method {name}"] = value
    return found


def _answer(attributes: dict[str, Any]) -> tuple[Any, Any]:
    """Return the configured return value, or :data:`MISSING`, and the side effect."""
    delegate = attributes.get("_mock_delegate")
    if type(delegate) is FunctionType:
        result, effect = delegate.__dict__.get("return_value", MISSING), delegate.__dict__.get("side_effect")
    else:
        result, effect = attributes.get("_mock_return_value", MISSING), attributes.get("_mock_side_effect")
    if _is_default(result):
        result = MISSING
    if _is_magic_default(attributes, result, effect):
        return MISSING, None
    return result, _iterated(effect)


def _is_default(result: Any) -> bool:
    """Return whether a value is the mock library's sentinel for "not set"."""
    return qualname_of(type(result)) == "_SentinelObject" and result.name == "DEFAULT"


def _iterated(effect: Any) -> Any:
    """Return a side effect; an iterated one with all its items, since its position only records calls."""
    while qualname_of(type(effect)) == "_MockIter":
        effect = effect.obj
    if isinstance(effect, _ITERATORS):
        return list(effect.__reduce__()[1][0])
    return list(effect) if type(effect) in (list, tuple) else effect


_ITERATORS: tuple[type, ...] = (type(iter([])), type(iter(())))


def _is_magic_default(attributes: dict[str, Any], result: Any, effect: Any) -> bool:
    """Return whether a special method has the default answer of every ``MagicMock``."""
    name, parent = attributes.get("_mock_new_name"), attributes.get("_mock_new_parent")
    module = LOADED.get(next(filter(_MODULES.__contains__, map(module_of, mro(type(parent)))), ""))
    if not isinstance(name, str) or module is None:
        return False
    fixed = getattr(module, "_return_values", {}).get(name, MISSING)
    computed = getattr(module, "_calculate_return_value", {}).get(name)
    if effect is not None:
        return type(effect) is FunctionType and effect.__code__.co_filename == module.__file__
    if computed is not None:
        fixed = computed(parent)
    return fixed is not MISSING and type(result) is type(fixed) and bool(result == fixed)
