"""The messages of an Arrow IPC file, which are read one after another.

The footer of a file says where its messages are, and could name other places than those that were checked. So the file is
read as the stream that it contains.

PyPlant writes no compressed messages. A message tells in its metadata, a FlatBuffers table, whether its body is compressed;
no function of pyarrow returns it (https://arrow.apache.org/docs/format/Columnar.html, ``Message.fbs``).
"""

from __future__ import annotations

import struct
from typing import Any

__all__ = ["arrow_table", "refuse_compressed"]

_MAGIC = b"ARROW1\0\0"
_HEADER_TYPE, _HEADER = 1, 2  # fields of a message
_DICTIONARY, _BATCH = 2, 3  # types of headers
_DICTIONARY_BATCH = 1  # the field of a dictionary that holds its batch
_COMPRESSION = 3  # a field of a batch


def _stream(buffer: Any) -> Any:
    import pyarrow as pa

    if bytes(memoryview(buffer)[: len(_MAGIC)]) != _MAGIC:
        message = "not an Arrow file"
        raise ValueError(message)
    return pa.py_buffer(buffer).slice(len(_MAGIC))


def arrow_table(buffer: Any) -> Any:
    """Return the table in an Arrow file; its columns refer to the memory of the file."""
    import pyarrow as pa

    return pa.ipc.open_stream(_stream(buffer)).read_all()


def refuse_compressed(buffer: Any) -> None:
    """Refuse an Arrow file with a compressed message, which may be of any size when it is read.

    Raises
    ------
    ValueError
        If there is one.
    """
    import pyarrow as pa

    for message in pa.ipc.MessageReader.open_stream(_stream(buffer)):
        if _is_compressed(memoryview(message.metadata)):
            text = "compressed Arrow data, which PyPlant does not write"
            raise ValueError(text)


def _is_compressed(data: memoryview) -> bool:
    try:
        message = _follow(data, 0)
        kind = _field(data, message, _HEADER_TYPE)
        header = _field(data, message, _HEADER)
        if not kind or not header or data[kind] not in (_DICTIONARY, _BATCH):
            return False
        batch = _follow(data, header)
        if data[kind] == _DICTIONARY:
            below = _field(data, batch, _DICTIONARY_BATCH)
            if not below:
                return False
            batch = _follow(data, below)
        return _field(data, batch, _COMPRESSION) != 0
    except (struct.error, IndexError) as error:
        text = "damaged metadata of an Arrow message"
        raise ValueError(text) from error


def _follow(data: memoryview, place: int) -> int:
    """Return the place of the table that a reference at ``place`` leads to."""
    return int(place + struct.unpack_from("<I", data, place)[0])


def _field(data: memoryview, table: int, number: int) -> int:
    """Return the place of a field of a table, or 0 if the table does not have it."""
    layout = table - struct.unpack_from("<i", data, table)[0]
    if layout < 0 or struct.unpack_from("<H", data, layout)[0] < 6 + 2 * number:
        return 0
    offset = struct.unpack_from("<H", data, layout + 4 + 2 * number)[0]
    return int(table + offset) if offset else 0
