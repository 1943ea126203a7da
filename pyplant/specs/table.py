"""Data frames of pandas and polars, and Arrow tables, as Arrow IPC files."""

from __future__ import annotations

import sys
from typing import Any, ClassVar

import pyplant.specs.table_digest  # noqa: F401 - teaches the encoder of values what tables are
from pyplant.errors import UndigestibleError, UnsavableError
from pyplant.fingerprint.fingerprint import digest_of
from pyplant.specs.arrow_messages import arrow_table, cell_count, refuse_compressed
from pyplant.specs.base import ByteSink, Metadata, StreamSpec

__all__ = ["TableSpec"]

_MAX_CELLS = 1_000_000  # of a table of another user beyond those that take at least a bit each


def _library(value: Any) -> str:
    """Return library and class of a table; ``""`` if a value is not one."""
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
    """A table; library, class, index and dtypes are preserved.

    A table that Arrow cannot represent (one with columns of mixed Python objects, say) is refused, and then stored as an
    object unless the caller asked for this type.
    """

    name: ClassVar[str] = "table"
    suffix: ClassVar[str] = ".arrow"
    runs_code: ClassVar[bool] = False

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
        if kind == "pandas.DataFrame" and _has_mixed_labels(value.columns):
            message = "Arrow holds column names of one type only; send the frame with Ingredient.Type.object."
            raise UnsavableError(message)
        try:
            table = _to_arrow(kind, value)
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            message = f"Arrow cannot hold this {kind}: {error}"
            raise UnsavableError(message) from error
        if not _is_faithful(kind, value, table):
            message = f"Arrow cannot hold this {kind} without changes; send it with Ingredient.Type.object."
            raise UnsavableError(message)
        sink = pa.PythonFile(_Adapter(stream), "w")
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        return {"kind": kind, "rows": table.num_rows, **_metadata(kind, value)}

    def parse(self, buffer: Any, metadata: Metadata) -> Any:
        # Frames may refer to the memory of the table, and some libraries write to it: the map is private.
        table = arrow_table(buffer)
        if table.num_rows != metadata["rows"]:  # columns of nulls or of runs have many rows in few bytes
            message = f"the table has {table.num_rows:,} rows instead of {metadata['rows']:,}"
            raise ValueError(message)
        return _from_arrow(metadata["kind"], table, metadata)

    def validate(self, buffer: Any, metadata: Metadata) -> None:
        refuse_compressed(buffer)
        table = arrow_table(buffer)
        cells = cell_count(table)
        if cells > _MAX_CELLS + 8 * len(memoryview(buffer)):
            message = f"{cells:,} cells do not fit into {len(memoryview(buffer)):,} bytes"
            raise ValueError(message)
        table.validate(full=True)

    def digest_value(self, value: Any) -> str | None:
        return digest_of(value)  # Arrow's bytes differ for equal tables: in chunks, and in bytes under nulls


class _Adapter:
    """A byte sink with the methods of a file; buffers are copied, since Arrow frees them after the call."""

    closed = False

    def __init__(self, stream: ByteSink) -> None:
        self._stream = stream

    def write(self, data: Any) -> int:
        return self._stream.write(bytes(data))

    def flush(self) -> None:
        """Do nothing, since nothing is buffered."""

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
        frame.index.freq = metadata["freq"]  # Arrow does not store it
    return frame


def _empty_batch(schema: Any) -> Any:
    import pyarrow as pa

    return pa.RecordBatch.from_arrays([pa.array([], field.type) for field in schema], schema=schema)


def _has_mixed_labels(columns: Any) -> bool:
    """Return whether Arrow would convert some column names to strings and warn."""
    return columns.nlevels == 1 and str(columns.inferred_type).startswith("mixed")


def _is_faithful(kind: str, value: Any, table: Any) -> bool:
    """Return whether the table converts back to a value with the same digest."""
    if kind.startswith("pyarrow"):
        return True
    try:
        return digest_of(_from_arrow(kind, table, _metadata(kind, value))) == digest_of(value)
    except (UndigestibleError, TypeError, ValueError):
        return False
