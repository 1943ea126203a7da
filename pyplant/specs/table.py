"""Data frames of pandas and polars, and Arrow tables, as Arrow IPC files."""

from __future__ import annotations

import sys
from typing import Any, ClassVar

from pyplant.engine.digest import Encoder, encodes
from pyplant.errors import UnsavableError
from pyplant.specs.base import ByteSink, Metadata, StreamSpec

__all__ = ["TableSpec"]


def _library(value: Any) -> str:
    """Which library a value is a table of; empty if it is none."""
    cls = type(value)
    top = cls.__module__.partition(".")[0]
    known = {
        "pandas": ("DataFrame", "Series"),
        "polars": ("DataFrame", "Series"),
        "pyarrow": ("Table", "RecordBatch"),
    }
    if (
        top in known
        and cls.__name__ in known[top]
        and getattr(sys.modules.get(top), cls.__name__, None) is cls
    ):
        return f"{top}.{cls.__name__}"
    return ""


class TableSpec(StreamSpec):
    """A table; the same library's frame comes back, with index and dtypes as they were.

    What Arrow cannot hold faithfully (columns of mixed Python objects, say) is refused,
    and then stored as an object unless this type was asked for.
    """

    name: ClassVar[str] = "table"
    suffix: ClassVar[str] = ".arrow"

    def matches(self, value: Any) -> bool:
        return bool(_library(value))

    def dump(self, value: Any, stream: ByteSink) -> Metadata:
        kind = _library(value)
        if not kind:
            message = f"This type holds data frames and Arrow tables, not a {type(value).__name__}."
            raise UnsavableError(message)
        try:
            import pyarrow as pa
        except ImportError as error:
            message = "Tables are stored with pyarrow: pip install pyplant[tables]."
            raise UnsavableError(message) from error
        if kind == "pandas.DataFrame" and not _objects_are_texts(value):
            message = "Arrow cannot hold a frame with mixed objects; send it with Ingredient.Type.object."
            raise UnsavableError(message)
        try:
            table = _to_arrow(kind, value)
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            message = f"Arrow cannot hold this {kind}: {error}"
            raise UnsavableError(message) from error
        if not _is_faithful(kind, value, table):
            message = (
                f"This {kind} would not come back from Arrow as it is; send it with Ingredient.Type.object."
            )
            raise UnsavableError(message)
        sink = pa.PythonFile(_Adapter(stream), "w")
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        return {"kind": kind, **_metadata(kind, value)}

    def parse(self, buffer: Any, metadata: Metadata) -> Any:
        import pyarrow as pa

        # Frames may point into the table, and some libraries write to what they point at.
        return _from_arrow(metadata["kind"], pa.ipc.open_file(pa.py_buffer(buffer)).read_all(), metadata)

    def digest_value(self, value: Any) -> str | None:
        return None


class _Adapter:
    """A byte sink as the file that Arrow wants; its buffers are Arrow's own, hence copied."""

    closed = False

    def __init__(self, stream: ByteSink) -> None:
        self._stream = stream

    def write(self, data: Any) -> int:
        return self._stream.write(bytes(data))

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        self.closed = True


def _metadata(kind: str, value: Any) -> Metadata:
    if kind.startswith("pandas"):
        named = {"named": value.name is not None} if kind.endswith("Series") else {}
        return {**named, "freq": getattr(value.index, "freqstr", None)}
    if kind == "polars.Series":
        return {"name": value.name}
    return {}


def _to_arrow(kind: str, value: Any) -> Any:
    import pyarrow as pa

    match kind:
        case "pandas.DataFrame":
            return pa.Table.from_pandas(value, preserve_index=None)
        case "pandas.Series":
            return pa.Table.from_pandas(value.to_frame(value.name if value.name is not None else "values"))
        case "polars.DataFrame":
            return value.to_arrow()
        case "polars.Series":
            return value.to_frame().to_arrow()
        case "pyarrow.RecordBatch":
            return pa.Table.from_batches([value])
        case _:
            return value.combine_chunks()


def _from_arrow(kind: str, table: Any, metadata: Metadata) -> Any:
    match kind:
        case "pandas.DataFrame":
            return _to_pandas(table, metadata)
        case "pandas.Series":
            series = _to_pandas(table, metadata).iloc[:, 0]
            return series if metadata["named"] else series.rename(None)
        case "polars.DataFrame":
            import polars

            return polars.from_arrow(table)
        case "polars.Series":
            import polars

            return polars.from_arrow(table).to_series(0)
        case "pyarrow.RecordBatch":
            batches = table.combine_chunks().to_batches()
            return batches[0] if batches else _empty_batch(table.schema)
        case _:
            return table


def _to_pandas(table: Any, metadata: Metadata) -> Any:
    frame = table.to_pandas()
    if metadata["freq"] is not None and hasattr(frame.index, "freq") and frame.index.freq is None:
        frame.index.freq = metadata["freq"]  # Arrow has no word for it
    return frame


def _empty_batch(schema: Any) -> Any:
    import pyarrow as pa

    return pa.RecordBatch.from_arrays([pa.array([], field.type) for field in schema], schema=schema)


def _is_faithful(kind: str, value: Any, table: Any) -> bool:
    """Whether the value comes back with everything that can be seen of it."""
    back = _from_arrow(kind, table, _metadata(kind, value))
    if kind == "pandas.DataFrame":
        return _same_frame(value, back)
    if kind == "pandas.Series":
        return value.name == back.name and _same_frame(value.to_frame("x"), back.to_frame("x"))
    if kind.startswith("polars"):
        same_types = value.dtype == back.dtype if kind.endswith("Series") else value.schema == back.schema
        return bool(same_types and value.equals(back))
    return bool(table.schema.equals(value.schema, check_metadata=True))


def _same_frame(value: Any, back: Any) -> bool:
    import pandas as pd

    if not _objects_are_texts(value):
        return False
    try:
        pd.testing.assert_frame_equal(
            value, back, check_exact=True, check_freq=True, check_flags=True, check_column_type=True
        )
    except (AssertionError, TypeError, ValueError):
        return False
    return bool(value.attrs == back.attrs) and type(value.index) is type(back.index)


def _objects_are_texts(frame: Any) -> bool:
    return not any(dtype.kind == "O" and not _texts_only(column) for column, dtype in _columns(frame))


def _columns(frame: Any) -> list[tuple[Any, Any]]:
    columns = [(frame.iloc[:, number], frame.dtypes.iloc[number]) for number in range(frame.shape[1])]
    levels = [frame.index.get_level_values(level) for level in range(frame.index.nlevels)]
    return [*columns, *((level, level.dtype) for level in levels), (frame.columns, frame.columns.dtype)]


def _texts_only(column: Any) -> bool:
    """Whether objects are texts: None and NaN, or numbers of other classes, would not come back."""
    return all(type(item) is str for item in column)


@encodes("pandas.DataFrame", "pandas.core.frame.DataFrame")
def _encode_frame(value: Any, encoder: Encoder) -> None:
    encoder.tag("pandas.DataFrame")
    encoder.item(dict(value.attrs))
    _encode_index(value.index, encoder)
    _encode_index(value.columns, encoder)
    for number in range(value.shape[1]):
        _encode_column(value.iloc[:, number], encoder)


@encodes("pandas.Series", "pandas.core.series.Series")
def _encode_series(value: Any, encoder: Encoder) -> None:
    encoder.tag("pandas.Series")
    encoder.item(value.name)
    encoder.item(dict(value.attrs))
    _encode_index(value.index, encoder)
    _encode_column(value, encoder)


@encodes(
    *(
        f"{module}.{name}"
        for module in (
            "pandas",
            "pandas.core.indexes.base",
            "pandas.core.indexes.range",
            "pandas.core.indexes.multi",
            "pandas.core.indexes.category",
            "pandas.core.indexes.datetimes",
            "pandas.core.indexes.timedeltas",
            "pandas.core.indexes.period",
            "pandas.core.indexes.interval",
        )
        for name in (
            "Index",
            "RangeIndex",
            "MultiIndex",
            "CategoricalIndex",
            "DatetimeIndex",
            "TimedeltaIndex",
            "PeriodIndex",
            "IntervalIndex",
        )
    )
)
def _encode_index(value: Any, encoder: Encoder) -> None:
    encoder.tag(type(value).__name__)
    encoder.item(tuple(value.names))
    for level in range(value.nlevels):
        _encode_column(value.get_level_values(level), encoder)


def _encode_column(value: Any, encoder: Encoder) -> None:
    encoder.item(str(value.dtype))
    if hasattr(value.dtype, "categories"):
        _encode_index(value.dtype.categories, encoder)
        codes = getattr(value, "codes", None)
        encoder.item(codes if codes is not None else value.cat.codes.to_numpy())
    elif getattr(value.dtype, "kind", "O") in "biufcmM" and not hasattr(value.dtype, "na_value"):
        encoder.item(value.to_numpy())
    elif getattr(value.dtype, "tz", None) is not None:
        encoder.item(value.to_numpy(dtype="datetime64[ns]"))
    else:
        encoder.item([None if item is _na() else item for item in value.tolist()])


def _na() -> Any:
    return sys.modules["pandas"].NA


@encodes("polars.dataframe.frame.DataFrame", "polars.series.series.Series")
def _encode_polars(value: Any, encoder: Encoder) -> None:
    encoder.tag(f"polars.{type(value).__name__}")
    frame = value.to_frame() if type(value).__name__ == "Series" else value
    for column in frame.get_columns():
        encoder.item(column.name)
        encoder.item(str(column.dtype))
        encoder.item(column.to_list())


@encodes("pyarrow.lib.Table", "pyarrow.lib.RecordBatch")
def _encode_arrow(value: Any, encoder: Encoder) -> None:
    encoder.tag(f"pyarrow.{type(value).__name__}")
    encoder.item(value.schema.to_string(show_field_metadata=True, show_schema_metadata=True))
    for column in value.columns:
        encoder.item(column.to_pylist())
