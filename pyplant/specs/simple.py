"""Primitive values and containers of them, as JSON with tags that preserve their types."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from pyplant.errors import UnsavableError
from pyplant.specs.base import ByteSink, Metadata, StreamSpec

__all__ = ["ListSpec", "SimpleSpec"]

_TAGGED = frozenset({float, complex, str, bytes})
_PLAIN = frozenset({type(None), bool, int})
_PRIMITIVE = _TAGGED | _PLAIN
_MAX_BITS = (
    4000  # longer integers are written in hexadecimal: Python limits decimal conversion to 4300 digits
)


def _encode(value: Any) -> Any:
    cls = type(value)
    if cls is float:  # in hexadecimal, which is exact and has inf and nan
        return {"f": value.hex()}
    if cls is complex:
        return {"c": [value.real.hex(), value.imag.hex()]}
    if cls is bytes:
        return {"b": value.hex()}
    if cls is int and value.bit_length() > _MAX_BITS:
        return {"i": hex(value)}
    if cls is str and _has_surrogates(value):
        return {"s": value.encode("utf-8", "surrogatepass").hex()}
    return value  # None, bool, int and other strings are JSON already


def _encode_nested(value: Any) -> Any:
    """Encode a value that may be a tuple, list or dict, in which keys keep their order and their types."""
    cls = type(value)
    if cls in (tuple, list):
        return {"t" if cls is tuple else "l": [_encode_nested(item) for item in value]}
    if cls is dict:
        return {"d": [[_encode_nested(key), _encode_nested(item)] for key, item in value.items()]}
    _require(cls in _PRIMITIVE, value, "primitive values, and tuples, lists and dicts of them")
    return _encode(value)


def _has_surrogates(text: str) -> bool:
    """Return whether a string has surrogates; JSON would turn two of them into one character."""
    if text.isascii():
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _decode(data: Any) -> Any:
    if type(data) is not dict:
        return data
    ((tag, content),) = data.items()
    match tag:
        case "f":
            return float.fromhex(content)
        case "c":
            return complex(float.fromhex(content[0]), float.fromhex(content[1]))
        case "i":
            return int(content, 16)
        case "s":
            return bytes.fromhex(content).decode("utf-8", "surrogatepass")
        case "t":
            return tuple(map(_decode, content))
        case "l":
            return list(map(_decode, content))
        case "d":
            return {_decode(key): _decode(item) for key, item in content}
        case _:
            return bytes.fromhex(content)


def _require(fits: bool, value: Any, wanted: str) -> None:  # noqa: FBT001 - private
    if not fits:
        message = f"This type holds {wanted}; a {type(value).__name__} needs another one. Leave out the type to let PyPlant choose."
        raise UnsavableError(message)


class SimpleSpec(StreamSpec):
    """``None``, ``bool``, ``int``, ``float``, ``complex``, ``str`` and ``bytes``, exactly.

    Tuples, lists and dicts of them are stored if this type is given.
    """

    name: ClassVar[str] = "simple"
    suffix: ClassVar[str] = ".json"
    runs_code: ClassVar[bool] = False

    def matches(self, value: Any) -> bool:
        return type(value) in _PRIMITIVE

    def dump(self, value: Any, stream: ByteSink) -> Metadata:
        try:
            text = json.dumps(_encode_nested(value), separators=(",", ":"))
        except RecursionError:
            message = "This type holds no containers that are nested as deeply, or that contain themselves. Leave out the type."
            raise UnsavableError(message) from None
        stream.write(text.encode("ascii"))
        return {}

    def parse(self, buffer: Any, metadata: Metadata) -> Any:
        return _decode(json.loads(bytes(buffer)))


class ListSpec(StreamSpec):
    """A list of primitive values."""

    name: ClassVar[str] = "list"
    suffix: ClassVar[str] = ".json"
    runs_code: ClassVar[bool] = False

    def matches(self, value: Any) -> bool:
        return type(value) is list and _PRIMITIVE.issuperset(map(type, value))

    def dump(self, value: Any, stream: ByteSink) -> Metadata:
        _require(self.matches(value), value, "a list of primitive values")
        stream.write(json.dumps([_encode(item) for item in value], separators=(",", ":")).encode("ascii"))
        return {}

    def parse(self, buffer: Any, metadata: Metadata) -> Any:
        return [_decode(item) for item in json.loads(bytes(buffer))]
