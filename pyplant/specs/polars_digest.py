"""Digests of Polars' expressions and lazy frames, in which functions of the user are pickled.

Such a pickle has the function by name, or its bytecode with lines and paths. So it is loaded again, and the function counts
by its code. The pickle was made in this process a moment before, so loading it runs no code of others.
"""

from __future__ import annotations

import io
import pickle
import re
from typing import Any

from pyplant.fingerprint.digest import Encoder, encodes

__all__: list[str] = []

_MARK = re.compile(rb"PLPY|OpaquePython..function", re.DOTALL)
"""What stands before a pickled function: of an expression, and of a lazy frame."""
_ARRAYS = {0xDC: 2, 0xDD: 4}  # headers of MessagePack, and the size of the length that follows
_BYTE = 0xCC


@encodes("polars.*.Expr", "polars.*.LazyFrame")
def _encode_expression(value: Any, encoder: Encoder) -> None:
    data: bytes = value.__getstate__()
    encoder.tag(type(value).__qualname__)
    end = 0
    while mark := _MARK.search(data, end):
        if mark.group() == b"PLPY":
            raw, after = data[mark.start() :], None
        else:
            raw, after = _unpacked(data, mark.end())
        begin = raw.index(b"\x80")
        stream = io.BytesIO(raw[begin:])
        function = pickle.load(stream)  # noqa: S301 - see above
        size = begin + stream.tell()
        encoder.data(_without_length(data[end : mark.start()], size))
        encoder.data(raw[:begin])
        encoder.item(function)
        end = mark.start() + size if after is None else after
    encoder.data(data[end:])


def _unpacked(data: bytes, start: int) -> tuple[bytes, int]:
    """Return the bytes that stand there as an array of numbers, and where it ends."""
    size = _ARRAYS[data[start]]
    position = start + 1 + size
    found = bytearray()
    for _ in range(int.from_bytes(data[start + 1 : position], "big")):
        position += data[position] == _BYTE
        found.append(data[position])
        position += 1
    return bytes(found), position


def _without_length(data: bytes, length: int) -> bytes:
    """Remove the length of what follows, which depends on the lines in a pickled function."""
    for size in (4, 2, 1):
        if length < 256**size and data.endswith(
            (length.to_bytes(size, "little"), length.to_bytes(size, "big"))
        ):
            return data[:-size]
    return data
