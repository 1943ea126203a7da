"""The messages of an Arrow IPC file, which are read one after another.

The footer of a file says where its messages are, and could name other places than those that were checked. So the file is
read as the stream that it contains.

PyPlant writes no compressed messages. A message tells in its metadata, a FlatBuffers table, whether its body is compressed;
no function of pyarrow returns it (https://arrow.apache.org/docs/format/Columnar.html, ``Message.fbs``).
"""

from __future__ import annotations

import struct
from typing import Any

__all__ = ["arrow_table", "cell_count", "refuse_compressed"]

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


def cell_count(table: Any) -> int:
    """Return the number of values in a table when it is a frame, those in lists and structures and columns of nulls included.

    Views are counted by the length of what they show, since any number of them may show the same bytes.

    Raises
    ------
    ValueError
        If values are shown many times in a way that PyPlant does not write: views of views, runs of texts.
    """
    return sum(_cells(chunk) for column in table.columns for chunk in column.chunks)


def _cells(array: Any, *, is_nested: bool = False) -> int:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    kind, count = array.type, len(array)
    if isinstance(array, pa.ExtensionArray):
        return _cells(array.storage, is_nested=is_nested)
    if pa.types.is_string_view(kind) or pa.types.is_binary_view(kind):
        lengths = np.frombuffer(array.buffers()[1], "<i4")[4 * array.offset :: 4][:count]  # of 16 bytes each
        return count + int(np.abs(lengths.astype("i8")).sum())
    if pa.types.is_struct(kind) or pa.types.is_union(kind):
        fields = (array.field(index) for index in range(kind.num_fields))
        return count + sum(_cells(field, is_nested=True) for field in fields)
    if pa.types.is_map(kind):
        return count + _cells(array.keys, is_nested=True) + _cells(array.items, is_nested=True)
    is_view = pa.types.is_list_view(kind) or pa.types.is_large_list_view(kind)
    repeats = is_view or pa.types.is_run_end_encoded(kind) or (is_nested and pa.types.is_dictionary(kind))
    if repeats and not pa.types.is_primitive(kind.value_type):
        message = f"repeated values of the type {kind}, which PyPlant does not write"
        raise ValueError(message)
    if pa.types.is_dictionary(kind):
        return count + _cells(array.dictionary)
    if is_view:
        return count + int(pc.sum(pc.list_value_length(array)).as_py() or 0) + _cells(array.values)
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    has_values = is_list or pa.types.is_run_end_encoded(kind)
    return count + (_cells(array.values, is_nested=True) if has_values else 0)


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
