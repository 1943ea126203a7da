"""Digests of tables of pandas, polars and Arrow, at any depth of a value.

How it works
------------
Two tables have the same digest if and only if their public attributes are equal. So the digest covers types with their
parameters (order and categories of a categorical, storage of strings, time zone, metadata of a schema), names, flags,
``attrs``, the frequency of an index, the levels of a MultiIndex and the dictionary of a dictionary array. It does not
cover how the library stores the same values:

- blocks of pandas, chunks of polars and Arrow, offsets into a larger buffer;
- the bytes of a buffer under a null, which are undefined;
- cached properties, and the sortedness flags of polars;
- the physical codes of a polars ``Categorical``, which depend on other categoricals of the process.

Columns are hashed as buffers; only columns of Python objects are encoded value by value. Arrow arrays are first brought
into one form (one chunk, 64-bit offsets, nulls dropped beside their mask), so that the buffers are canonical.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from pyplant.fingerprint.digest import Encoder, encodes

__all__: list[str] = []

# ---------------------------------------------------------------------------- pandas


@encodes("pandas.*.DataFrame")
def _encode_frame(value: Any, encoder: Encoder) -> None:
    encoder.tag("pandas.DataFrame")
    _encode_labels(value, encoder)
    encoder.item(value.columns)
    for column in value._iter_column_arrays():  # creating a series for each column takes twice as long
        encoder.item(column)


@encodes("pandas.*.Series")
def _encode_series(value: Any, encoder: Encoder) -> None:
    encoder.tag("pandas.Series")
    encoder.item(value.name)
    _encode_labels(value, encoder)
    encoder.item(value.array)


def _encode_labels(value: Any, encoder: Encoder) -> None:
    """Encode what frames and series have in common."""
    encoder.item(dict(value.attrs))
    encoder.item(value.flags.allows_duplicate_labels)
    encoder.item(value.index)


_INDEXES = ("", "Categorical", "Datetime", "Timedelta", "Period", "Interval")


@encodes(*(f"pandas.*.{kind}Index" for kind in (*_INDEXES, "Range", "Multi")))
def _encode_index(value: Any, encoder: Encoder) -> None:
    encoder.tag(type(value).__name__)
    encoder.item(tuple(value.names))
    match type(value).__name__:
        case "RangeIndex":
            encoder.item((value.start, value.stop, value.step))
        case "MultiIndex":
            encoder.item(tuple(value.levels))
            encoder.item(tuple(value.codes))
            encoder.item(value.sortorder)
        case _:
            encoder.item(value.array)
            encoder.item(getattr(value, "freq", None))


@encodes("pandas.*.NumpyExtensionArray", "pandas.*.PandasArray")  # the latter is its name up to pandas 2.0
def _encode_plain(value: Any, encoder: Encoder) -> None:
    encoder.tag("plain")
    encoder.item(value.to_numpy())


@encodes("pandas.*.Categorical")
def _encode_categorical(value: Any, encoder: Encoder) -> None:
    encoder.tag("Categorical")
    encoder.item(value.dtype)
    encoder.item(value.codes)


@encodes(*(f"pandas.*.{kind}Array" for kind in ("Integer", "Floating", "Boolean")))
def _encode_masked(value: Any, encoder: Encoder) -> None:
    """Encode numbers with a mask; numbers under the mask are not visible."""
    data, mask = value._data, value._mask  # not isna(), which is true for NaN, too
    encoder.tag("masked")
    encoder.item(value.dtype)
    encoder.item(mask)
    encoder.item(data[~mask] if mask.any() else data)


@encodes(*(f"pandas.*.{kind}Array" for kind in ("Datetime", "Timedelta", "Period")))
def _encode_times(value: Any, encoder: Encoder) -> None:
    encoder.tag(type(value).__name__)
    encoder.item(value.dtype)
    encoder.item(getattr(value, "freq", None))  # since pandas 3.1 only an index has one
    encoder.item(value.asi8)


@encodes("pandas.*.IntervalArray")
def _encode_intervals(value: Any, encoder: Encoder) -> None:
    encoder.tag("IntervalArray")
    encoder.item(value.dtype)
    encoder.item(value.left)
    encoder.item(value.right)


@encodes("pandas.*.SparseArray")
def _encode_sparse(value: Any, encoder: Encoder) -> None:
    encoder.tag("SparseArray")
    encoder.item(value.dtype)
    encoder.item((len(value), value.kind))
    encoder.item(value.sp_index.indices)
    encoder.item(value.sp_values)


@encodes(
    *(f"pandas.*.{kind}" for kind in ("StringArray", "ArrowStringArray", "ArrowStringArrayNumpySemantics"))
)
def _encode_texts(value: Any, encoder: Encoder) -> None:
    import pandas as pd

    encoder.tag("texts")
    encoder.item(value.dtype)
    if value.dtype.storage == "python":
        missing = pd.isna(value)
        encoder.item(missing)
        encoder.item(value[~missing].tolist())
    else:
        _encode_chunks(value.__arrow_array__(), encoder)


@encodes("pandas.*.ArrowExtensionArray")
def _encode_arrow_backed(value: Any, encoder: Encoder) -> None:
    encoder.tag("ArrowExtensionArray")
    encoder.item(value.__arrow_array__())


_PARAMETERS = {  # of dtypes whose name does not describe them completely
    "CategoricalDtype": ("categories", "ordered"),
    "DatetimeTZDtype": ("unit", "tz"),
    "PeriodDtype": ("freq",),
    "IntervalDtype": ("subtype", "closed"),
    "SparseDtype": ("subtype", "fill_value"),
    "StringDtype": ("storage", "na_value"),
    "ArrowDtype": ("pyarrow_dtype",),
    **{f"{kind}{bits}Dtype": () for kind in ("Int", "UInt") for bits in (8, 16, 32, 64)},
    "Float32Dtype": (),
    "Float64Dtype": (),
    "BooleanDtype": (),
}


@encodes(*(f"pandas.*.{name}" for name in _PARAMETERS))
def _encode_dtype(value: Any, encoder: Encoder) -> None:
    name = type(value).__name__
    encoder.tag(name)
    for parameter in _PARAMETERS[name]:
        encoder.item(getattr(value, parameter))


# ---------------------------------------------------------------------------- polars


@encodes("polars.*.DataFrame", "polars.*.Series")
def _encode_polars(value: Any, encoder: Encoder) -> None:
    encoder.tag(f"polars.{type(value).__name__}")
    encoder.item(value.shape)
    for column in value.get_columns() if type(value).__name__ == "DataFrame" else [value]:
        encoder.item(column.name)
        _encode_polars_dtype(column.dtype, encoder)
        array = None
        if not _holds_objects(column.dtype):  # to_arrow() would give their addresses
            with suppress(Exception):  # some types have no Arrow type, such as 128-bit integers
                array = column.to_arrow()
        if array is None:
            encoder.item(column.to_list())
        else:
            _encode_values(array, encoder, decoded=True)


def _holds_objects(dtype: Any) -> bool:
    inner = [field.dtype for field in getattr(dtype, "fields", ())]
    inner += [dtype.inner] if hasattr(dtype, "inner") else []
    return type(dtype).__name__ == "Object" or any(map(_holds_objects, inner))


def _encode_polars_dtype(value: Any, encoder: Encoder) -> None:
    """Encode a type with all of its parameters; categories are parameters of an Enum."""
    parameters = vars(value)
    encoder.tag(type(value).__name__)
    encoder.item(len(parameters))
    for key in sorted(parameters):
        encoder.tag(key)
        parameter = parameters[key]
        if key == "inner":
            _encode_polars_dtype(parameter, encoder)
        elif key == "fields":
            encoder.item([field.name for field in parameter])
            for field in parameter:
                _encode_polars_dtype(field.dtype, encoder)
        elif type(parameter).__name__ == "Categories":
            encoder.item((parameter.name(), parameter.namespace(), str(parameter.physical())))
        else:
            encoder.item(parameter)


# ---------------------------------------------------------------------------- Arrow


@encodes("pyarrow.lib.Table", "pyarrow.lib.RecordBatch")
def _encode_arrow(value: Any, encoder: Encoder) -> None:
    encoder.tag(f"pyarrow.{type(value).__name__}")
    encoder.item(value.num_rows)
    encoder.buffer(value.schema.serialize())  # includes all metadata, which str() would truncate
    for column in value.columns:
        _encode_chunks(column, encoder)


_ARRAYS = (
    *("Null", "Boolean", "HalfFloat", "Float", "Double", "Duration", "Timestamp", "MonthDayNanoInterval"),
    *(f"{sign}Int{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)),
    *(f"{kind}{bits}" for kind in ("Date", "Time") for bits in (32, 64)),
    *(f"Decimal{bits}" for bits in (32, 64, 128, 256)),
    *(f"{large}{kind}" for large in ("", "Large") for kind in ("Binary", "String", "List", "ListView")),
    *("BinaryView", "StringView", "FixedSizeBinary", "FixedSizeList", "Map", "Struct", "Union"),
    *("Dictionary", "RunEndEncoded", "Extension", "Bool8", "FixedShapeTensor", "Json", "Opaque", "Uuid"),
)


@encodes("pyarrow.lib.ChunkedArray", *(f"pyarrow.lib.{kind}Array" for kind in _ARRAYS))
def _encode_arrow_array(value: Any, encoder: Encoder) -> None:
    import pyarrow as pa

    encoder.tag("pyarrow.ChunkedArray" if type(value).__name__ == "ChunkedArray" else "pyarrow.Array")
    encoder.buffer(pa.schema([pa.field("", value.type)]).serialize())
    encoder.item(len(value))
    _encode_chunks(value, encoder)


def _encode_chunks(value: Any, encoder: Encoder) -> None:
    """Encode the values of an array; its division into chunks is not part of the digest."""
    import pyarrow as pa

    if not isinstance(value, pa.ChunkedArray):
        _encode_values(value, encoder)
        return
    value = value.cast(_large(value.type))
    whole = value.combine_chunks() if value.num_chunks != 1 else value.chunk(0)
    for part in whole.chunks if isinstance(whole, pa.ChunkedArray) else [whole]:
        _encode_values(part, encoder)


def _large(kind: Any) -> Any:
    """Return the type with 64-bit offsets, since with 32-bit offsets chunks above 2 GB cannot be combined."""
    import pyarrow as pa

    types = pa.types
    if types.is_string(kind) or types.is_string_view(kind):
        return pa.large_string()
    if types.is_binary(kind) or types.is_binary_view(kind):
        return pa.large_binary()
    return kind


def _encode_values(array: Any, encoder: Encoder, *, decoded: bool = False) -> None:
    """Encode the visible values of an array, whose type was encoded before.

    Parameters
    ----------
    array
        One Arrow array.
    encoder
        Receives the values.
    decoded
        Whether to decode a dictionary array, because the library that made it hides the dictionary.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    types = pa.types
    while isinstance(array.type, pa.BaseExtensionType):
        array = array.storage
    if types.is_dictionary(array.type) and not decoded:
        _encode_values(array.indices, encoder)
        _encode_values(array.dictionary, encoder)
        return
    if types.is_dictionary(array.type):
        array = array.dictionary_decode()
    elif types.is_run_end_encoded(array.type):
        array = pc.run_end_decode(array)
    elif types.is_map(array.type):
        pairs = pa.struct([array.type.key_field, array.type.item_field])
        array = array.cast(pa.list_(pa.field("entries", pairs, nullable=False)))
    array = array.cast(_large(array.type)) if _large(array.type) != array.type else array
    encoder.item(len(array))
    if types.is_union(array.type):
        # Value by value: the parts of a union may hold values that no type code refers to.
        encoder.item(array.type_codes.to_pylist())
        encoder.item(array.to_pylist())
        return
    # The positions of nulls, then the values without them: those under nulls are undefined.
    encoder.item(array.null_count)
    if array.null_count:
        encoder.item(array.is_valid().to_numpy(zero_copy_only=False))
        array = array.drop_null()
    if types.is_null(array.type):
        return
    if types.is_struct(array.type):
        for child in array.flatten():
            _encode_values(child, encoder, decoded=decoded)
    elif types.is_nested(array.type):
        encoder.item(pc.list_value_length(array).to_numpy(zero_copy_only=False))
        _encode_values(array.flatten(), encoder, decoded=decoded)
    else:
        _encode_flat(array, encoder)


def _encode_flat(array: Any, encoder: Encoder) -> None:
    """Encode an array without nulls and without nested arrays."""
    import numpy as np
    import pyarrow as pa

    types = pa.types
    if types.is_boolean(array.type):
        encoder.item(array.to_numpy(zero_copy_only=False))
        return
    data, start, size = array.buffers()[1], array.offset, len(array)
    if types.is_large_string(array.type) or types.is_large_binary(array.type):
        if size:
            # Lengths instead of offsets: a slice of a larger array has offsets that begin elsewhere.
            borders = np.frombuffer(data, "i8", size + 1, start * 8)
            encoder.buffer(np.diff(borders).view("u1").data)
            texts = array.buffers()[2]
            encoder.buffer(memoryview(texts)[borders[0] : borders[-1]] if texts else b"")
    elif size:
        width = array.type.bit_width // 8
        encoder.buffer(memoryview(data)[start * width : (start + size) * width])
