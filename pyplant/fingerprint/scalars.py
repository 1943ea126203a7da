"""The canonical bytes of scalar values, with a tag for each type."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

__all__ = ["SCALARS"]


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
