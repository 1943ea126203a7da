"""Digests of Polars' expressions and lazy frames, in which functions of the user are pickled.

Such a pickle has the function by name, or its bytecode with lines and paths. So it is loaded again, and the function counts
by its code. The pickle was made in this process a moment before, so loading it runs no code of others.
"""

from __future__ import annotations

import io
import pickle
import re
from collections.abc import Iterator
from typing import Any

from pyplant.fingerprint.digest import Encoder, encodes
from pyplant.specs.library_versions import refuse_older
from pyplant.specs.scanned_files import scanned_files

__all__: list[str] = []

_MARK = re.compile(rb"PLPY|OpaquePython..function", re.DOTALL)
"""What stands before a pickled function: of an expression, and of a lazy frame."""
_ARRAYS = {0xDC: 2, 0xDD: 4}  # headers of MessagePack, and the size of the length that follows
_BYTE = 0xCC
_SIZES = {0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8}  # numbers
_LENGTHS = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4, 0xDC: 2, 0xDD: 4, 0xDE: 2, 0xDF: 4}
_FIRST_ARRAY, _FIRST_MAP = 0xDC, 0xDE
_MAP, _ARRAY, _TEXT = 0b1000, 0b1001, 0b101  # the upper bits of short ones


@encodes("polars.*.Expr", "polars.*.LazyFrame")
def _encode_expression(value: Any, encoder: Encoder) -> None:
    if refuse_older("polars", value, encoder):
        return
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
        function = pickle.load(stream)  # noqa: S301 - made in this process, see above
        size = begin + stream.tell()
        encoder.data(_without_length(data[end : mark.start()], size))
        encoder.data(_without_result(raw[:begin]))
        encoder.item(function)
        end = mark.start() + size if after is None else after
    encoder.data(data[end:])
    if type(value).__qualname__ == "LazyFrame":
        encoder.item(scanned_files(_paths(data)))


def _paths(data: bytes) -> Iterator[str]:
    """Yield the files, folders and patterns that a lazy frame reads; some versions keep each in a map with one item."""
    for mark in re.finditer(rb"\xa5Paths", data):
        position = mark.end()
        count = data[position] & 0x0F
        if data[position] >> 4 != _ARRAY:
            size = _ARRAYS.get(data[position], 0)
            count = int.from_bytes(data[position + 1 : position + 1 + size], "big")
            position += size
        position += 1
        for _ in range(count):
            if data[position] >> 4 == _MAP:
                position = _item_end(data, position + 1)
            end = _item_end(data, position)
            size = 0 if data[position] >> 5 == _TEXT else _LENGTHS.get(data[position], 0)
            yield data[position + 1 + size : end].decode("utf-8", "surrogateescape")
            position = end


def _without_result(header: bytes) -> bytes:
    """Remove the type of the result from what stands before a function: Polars notes it when the expression runs.

    It is the second of four items that follow the mark.
    """
    start = _item_end(header, header.find(b"\x94") + 1)
    return header[:start] + header[_item_end(header, start) :]


def _item_end(data: bytes, start: int) -> int:
    """Return where an item of MessagePack ends."""
    position, items = start, 1
    while items:
        code = data[position]
        position, items = position + 1, items - 1
        if code >> 4 == _MAP:
            items += 2 * (code & 0x0F)
        elif code >> 4 == _ARRAY:
            items += code & 0x0F
        elif code >> 5 == _TEXT:
            position += code & 0x1F
        elif code in _SIZES:
            size = _SIZES[code]
            position += size
        elif code in _LENGTHS:
            size = _LENGTHS[code]
            length = int.from_bytes(data[position : position + size], "big")
            is_text = code < _FIRST_ARRAY
            position += size + (length if is_text else 0)
            items += 0 if is_text else length * (2 if code >= _FIRST_MAP else 1)
    return position


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
