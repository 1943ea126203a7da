"""Digests of Keras' models, layers, losses, metrics and optimizers, whose attributes contain counted names and addresses.

The digest covers the class, the configuration, the values of all variables, how a model was compiled, and the user's code
that runs when the object is used: classes of layers, and functions such as losses and activations.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import FunctionType
from typing import Any

from pyplant.fingerprint.digest import Encoder, encodes
from pyplant.fingerprint.fingerprint import digest_of, fingerprint_of
from pyplant.fingerprint.installed_names import is_users_class
from pyplant.fingerprint.origin import is_user_file
from pyplant.specs.library_versions import refuse_older

__all__ = ["model_digest", "users_parts"]

_BASE = "KerasSaveable"
_PLAIN = (bool, int, float, str, bytes, tuple, list, dict, set, type(None))


def model_digest(model: Any) -> str:
    """Return the digest of a model."""
    return digest_of([*_content(model), sorted(map(fingerprint_of, set(_users_code(model))))])


@encodes("keras.*.KerasSaveable+")
def _encode_object(value: Any, encoder: Encoder) -> None:
    if refuse_older("keras", value, encoder):
        return
    encoder.tag("keras")
    encoder.item(_content(value))
    if is_users_class(type(value)):  # configurations of the user's classes may be incomplete
        encoder.item({name: own for name, own in sorted(vars(value).items()) if _is_own(name, own)})
    for code in sorted(set(_users_code(value)), key=lambda code: f"{code.__module__}.{code.__qualname__}"):
        encoder.code(code)


def _content(value: Any) -> list[Any]:
    """Return all that an object consists of, apart from code."""
    variables = list(getattr(value, "weights", None) or getattr(value, "variables", None) or ())
    content = [type(value).__qualname__, _without_names(value.get_config())]
    optimizer = getattr(value, "optimizer", None)
    if optimizer is not None:
        content.append(_without_names(value.get_compile_config() or {}))
        variables += optimizer.variables
    return [*content, [_array(variable) for variable in variables]]


def _is_own(name: str, value: Any) -> bool:
    return type(value) in _PLAIN and not name.startswith("_") and name not in ("autocast", "built", "name")


def _array(variable: Any) -> Any:
    import numpy as np

    return np.ascontiguousarray(np.asarray(variable))


def users_parts(value: Any) -> Iterator[Any]:
    """Yield the functions of users, and the objects of their classes, that an object of Keras contains or is."""
    seen: set[int] = set()
    stack = [value]
    while stack:
        item = stack.pop()
        cls = type(item)
        if id(item) in seen:
            continue
        seen.add(id(item))
        if cls is FunctionType:
            if is_user_file(item.__code__.co_filename):
                yield item
        elif issubclass(cls, list | tuple | set):
            stack += item
        elif issubclass(cls, dict):
            stack += item.values()
        elif _is_of_keras(cls):
            if is_users_class(cls):
                yield item
            stack += vars(item).values()
        elif is_users_class(cls):
            yield item


def _is_of_keras(cls: type) -> bool:
    return any(base.__name__ == _BASE for base in cls.__mro__)


def _users_code(value: Any) -> Iterator[Any]:
    """Yield the classes and functions of users that an object of Keras contains."""
    for part in users_parts(value):
        if type(part) is FunctionType:
            yield part
        elif _is_of_keras(type(part)):
            yield from (base for base in type(part).__mro__ if is_users_class(base))
        else:
            yield type(part)


def _without_names(config: Any) -> Any:
    """Return a configuration without automatic names (``dense_7``), which Keras counts in each process.

    Lambdas are left out too: Keras has their bytecode with file and line there.
    """
    numbers: dict[str, str] = {}

    def visit(item: Any, key: str = "") -> Any:
        if isinstance(item, dict):
            if item.keys() == {"value"} or item.get("class_name") == "__lambda__":
                return "lambda"
            return {str(name): visit(own, str(name)) for name, own in item.items()}
        if isinstance(item, list | tuple):
            return [visit(own, key) for own in item]
        if isinstance(item, str) and key == "name":
            return numbers.setdefault(item, f"#{len(numbers)}")
        return numbers.get(item, item) if isinstance(item, str) else item

    return visit(config)
