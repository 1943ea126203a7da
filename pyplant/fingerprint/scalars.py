"""The canonical bytes of scalar values, with a tag for each type, and of other tags."""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import lru_cache
from typing import Any

__all__ = ["SCALARS", "tag_bytes"]


@lru_cache(maxsize=1024)  # few names make up the syntax trees of all functions
def tag_bytes(name: str) -> bytes:
    """Return a name that says what follows, with its length."""
    data = name.encode()
    return b"%d:%s" % (len(data), data)


def _int_bytes(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 8) // 8, "little", signed=True)


SCALARS: dict[type, tuple[bytes, Callable[[Any], bytes]]] = {
    type(None): (b"N", lambda _: b""),
    type(...): (b"E", lambda _: b""),
    type(NotImplemented): (b"X", lambda _: b""),
    bool: (b"B", lambda v: b"1" if v else b"0"),
    int: (b"I", _int_bytes),
    float: (b"F", struct.Struct("<d").pack),
    complex: (b"C", lambda v: struct.pack("<dd", v.real, v.imag)),
    str: (b"S", lambda v: v.encode("utf-8", "surrogatepass")),
    bytes: (b"Y", lambda v: v),
}
