"""Tables of pandas, polars and Arrow."""

import datetime

import numpy as np
import pytest

from pyplant.errors import UnsavableError
from pyplant.fingerprint.fingerprint import digest_of
from pyplant.specs import TableSpec
from pyplant.store.warehouse import Warehouse
from pyplant.testing import SpecConformance
from tests.specs.helpers import dumped

pa = pytest.importorskip("pyarrow")
pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")

pytestmark = pytest.mark.slow

NUMBERS = {"a": [1, 2, 3], "b": [1.5, float("nan"), -0.0]}


def frames():
    base = pd.DataFrame(NUMBERS)
    return [
        base,
        base.astype({"a": "int8"}),
        base.set_index("a"),
        base.set_index(["a", "b"]),
        base.rename(columns={"a": "c"}),
        base[::-1],
        base.set_index(pd.date_range("2026-01-01", periods=3, tz="Europe/Berlin")),
        base.set_index(pd.date_range("2026-01-01", periods=3, name="day")),
        pd.DataFrame({"t": ["x", "ü", "z"]}),
        pd.DataFrame({"c": pd.Categorical(["x", "y", "x"])}),
        pd.DataFrame({"c": pd.Categorical(["x", "y", "x"], categories=["y", "x"], ordered=True)}),
        pd.DataFrame({"n": pd.array([1, None, 3], "Int64")}),
        pd.DataFrame({"n": pd.array([True, None, False], "boolean")}),
        pd.DataFrame({"d": pd.to_timedelta([1, 2, 3], "s")}),
        pd.DataFrame({"a": []}),
    ]


class TestPandas(SpecConformance):
    def spec(self):
        return TableSpec()

    def values(self):
        return frames()

    def equal(self, left, right):
        try:
            pd.testing.assert_frame_equal(left, right)
        except AssertionError:
            return False
        return type(left.index) is type(right.index)

    def change(self, value):
        if value.shape[1]:
            value.isetitem(0, ["changed"] * len(value))


class TestSeries(SpecConformance):
    def spec(self):
        return TableSpec()

    def values(self):
        return [
            pd.Series([1, 2]),
            pd.Series([1, 2], name="x"),
            pd.Series([1.0, 2.0]),
            pd.Series(["a", "b"], [5, 6]),
        ]

    def equal(self, left, right):
        try:
            pd.testing.assert_series_equal(left, right)
        except AssertionError:
            return False
        return left.name == right.name


class TestPolars(SpecConformance):
    def spec(self):
        return TableSpec()

    def values(self):
        frame = pl.DataFrame(NUMBERS)
        return [
            frame,
            frame.with_columns(pl.col("a").cast(pl.Int8)),
            frame.reverse(),
            pl.DataFrame({"t": ["x", None], "d": [datetime.date(2026, 1, 1), None]}),
            pl.DataFrame({"l": [[1, 2], []], "s": [{"x": 1}, {"x": 2}]}),
            pl.Series("s", [1, 2]),
            pl.Series("t", [1, 2]),
            pl.DataFrame(),
        ]

    def equal(self, left, right):
        return type(left) is type(right) and left.equals(right) and str(left) == str(right)


class TestArrow(SpecConformance):
    def spec(self):
        return TableSpec()

    def values(self):
        table = pa.table(NUMBERS)
        return [
            table,
            table.slice(1),
            table.replace_schema_metadata({"made": "here"}),
            pa.table({"x": pa.array([1, None], pa.int8())}),
            pa.RecordBatch.from_pydict({"a": [1, 2]}),
            pa.RecordBatch.from_pydict({"a": pa.array([], pa.int8())}),
        ]

    def equal(self, left, right):
        same = type(left) is type(right) and left.schema.equals(right.schema, check_metadata=True)
        return same and left.to_pydict().__repr__() == right.to_pydict().__repr__()


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"x": [1, "a", None]}, dtype=object),
        pd.DataFrame({"x": [{1, 2}]}),
        pd.DataFrame([[1, 2]], columns=["a", "a"]),
        pd.DataFrame({5: [1], "5": [2]}),
        pd.DataFrame(),
    ],
    ids=["mixed objects", "sets", "equal names", "names of two types", "nothing at all"],
)
def test_a_table_that_arrow_would_change_is_pickled(frame, tmp_path):
    with pytest.raises(UnsavableError):
        dumped(TableSpec(), frame)
    warehouse = Warehouse(tmp_path / "plant")
    ingredient = warehouse.save("frame", frame)
    assert ingredient.format == "object"
    pd.testing.assert_frame_equal(warehouse.load(ingredient), frame)


def test_a_received_frame_can_be_changed_in_place(tmp_path):
    warehouse = Warehouse(tmp_path / "plant")
    ingredient = warehouse.save("frame", pd.DataFrame({"x": np.arange(5000.0)}))
    frame = warehouse.load(ingredient)
    frame.loc[0, "x"] = 99.0
    frame["x"] *= 2
    assert warehouse.load(ingredient)["x"].iloc[0] == 0


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table])
def test_tables_within_other_values_have_digests(make):
    assert digest_of([make(NUMBERS)]) == digest_of([make(NUMBERS)])
    assert digest_of([make(NUMBERS)]) != digest_of([make({**NUMBERS, "a": [1, 2, 4]})])
    assert digest_of([make(NUMBERS)]) != digest_of([make({"z": [1, 2, 3], "b": NUMBERS["b"]})])


def test_every_visible_property_of_a_pandas_frame_is_digested():
    digests = [digest_of(frame) for frame in frames()]
    assert len(set(digests)) == len(digests)
    assert digests == [digest_of(frame.copy()) for frame in frames()]


def test_other_values_are_refused():
    with pytest.raises(UnsavableError, match="dict"):
        dumped(TableSpec(), {})


def arrow_file(table, **options):
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def of_others(content, rows):
    """Load a table as from the plant of another user."""
    metadata = {"kind": "pyarrow.Table", "rows": rows}
    TableSpec().validate(content, metadata)
    return TableSpec().parse(content, metadata)


LONG_TEXT = pa.array(["x" * 10_000], pa.string_view())


class TestOfAnotherUser:
    """Arrow believes what a file says; so files that PyPlant did not write are checked first."""

    TABLE = pa.table({"a": pa.array(["x", "yy", None, "x"] * 500).dictionary_encode(), "b": [1.5] * 2000})

    def test_what_was_stored_loads(self):
        assert of_others(dumped(TableSpec(), self.TABLE), 2000).equals(self.TABLE)

    @pytest.mark.parametrize("compression", ["zstd", "lz4"])
    @pytest.mark.parametrize("column", ["a", "b"])
    def test_compressed_data_are_refused(self, compression, column):
        content = arrow_file(self.TABLE.select([column]), compression=compression)
        with pytest.raises(ValueError, match="compressed"):
            of_others(content, 2000)

    def test_wrong_offsets_are_refused(self):
        content = arrow_file(pa.table({"a": ["ab", "c"]}))
        offsets = np.array([0, 2, 3], "<i4").tobytes()
        assert content.count(offsets) == 1
        with pytest.raises(pa.ArrowInvalid):
            of_others(content.replace(offsets, np.array([0, 1 << 30, 3], "<i4").tobytes()), 2)

    @pytest.mark.parametrize(
        "column",
        [
            pa.nulls(1 << 30),
            pa.RunEndEncodedArray.from_arrays(pa.array([1 << 30], "int32"), pa.array([1.5])),
        ],
        ids=["nulls", "runs"],
    )
    def test_few_bytes_do_not_stand_for_many_rows(self, column):
        content = arrow_file(pa.table({"a": column}))
        with pytest.raises(ValueError, match="do not fit into"):
            of_others(content, 1 << 30)
        with pytest.raises(ValueError, match="instead of 3"):
            TableSpec().parse(content, {"kind": "pyarrow.Table", "rows": 3})

    @pytest.mark.parametrize(
        "column",
        [
            pa.FixedSizeListArray.from_arrays(pa.nulls(1 << 30), 1 << 30),
            pa.ListArray.from_arrays(pa.array([0, 1 << 30], "int32"), pa.nulls(1 << 30)),
            pa.StructArray.from_arrays([pa.nulls(1 << 30)], ["a"]),
            pa.ListViewArray.from_arrays(
                pa.array([0] * 2000, "int32"), pa.array([5000] * 2000, "int32"), pa.array([1] * 5000, "int8")
            ),
            pa.Array.from_buffers(
                pa.string_view(),
                2000,
                [
                    None,
                    pa.py_buffer(2000 * LONG_TEXT.buffers()[1].to_pybytes()[:16]),
                    *LONG_TEXT.buffers()[2:],
                ],
            ),
        ],
        ids=["fixed lists", "list", "structures", "views of lists", "views of texts"],
    )
    def test_few_bytes_do_not_stand_for_many_values(self, column):
        table = pa.table({"a": column})
        with pytest.raises(ValueError, match="cells do not fit into"):
            of_others(arrow_file(table), table.num_rows)

    @pytest.mark.parametrize(
        "column",
        [
            pa.RunEndEncodedArray.from_arrays(pa.array([900], "int32"), pa.array(["x" * 1000])),
            pa.ListViewArray.from_arrays(
                pa.array([0], "int32"),
                pa.array([1], "int32"),
                pa.ListViewArray.from_arrays(pa.array([0], "int32"), pa.array([1], "int32"), pa.array([1])),
            ),
            pa.ListArray.from_arrays(
                pa.array([0, 3], "int32"),
                pa.DictionaryArray.from_arrays(pa.array([0, 0, 0], "int8"), pa.array(["x"])),
            ),
        ],
        ids=["runs of texts", "views of views", "lists of categories"],
    )
    def test_values_that_are_shown_many_times_are_refused(self, column):
        table = pa.table({"a": column})
        with pytest.raises(ValueError, match="repeated values"):
            of_others(arrow_file(table), table.num_rows)

    def test_many_columns_of_nulls_are_refused(self):
        table = pa.table([pa.nulls(100_000)] * 100, names=list(map(str, range(100))))
        with pytest.raises(ValueError, match="10,000,000 cells"):
            of_others(arrow_file(table), 100_000)

    def test_nested_values_load(self):
        table = pa.table(
            {
                "list": pa.array([[1, 2], None, []]),
                "structure": pa.array([{"a": 1, "b": "x"}, None, {"a": 2, "b": None}]),
                "map": pa.array([[("a", 1)], [], None], pa.map_(pa.string(), pa.int64())),
                "view": pa.array(["a" * 50, None, "b"], pa.string_view()),
            }
        )
        assert of_others(arrow_file(table), 3).equals(table)

    def test_the_footer_counts_for_nothing(self):
        content = arrow_file(self.TABLE)
        assert of_others(content[:-50], 2000).equals(self.TABLE)

    @pytest.mark.parametrize("content", [b"", b"ARROW1", b"PK\3\4" * 10])
    def test_other_files_are_refused(self, content):
        with pytest.raises(ValueError, match="not an Arrow file"):
            of_others(content, 1)
