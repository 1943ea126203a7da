"""Digests of tables: whatever a consumer can see of one counts, wherever the table stands."""

import copy
import datetime
import zoneinfo

import numpy as np
import pytest

from pyplant.fingerprint.fingerprint import digest_of
from pyplant.store.warehouse import Warehouse

pa = pytest.importorskip("pyarrow")
pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")

pytestmark = pytest.mark.slow

DAYS = pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-03"])


def series(values, dtype=None, **options):
    return pd.Series(values, dtype=dtype, **options)


def categories(*names, ordered=False, values=("S", "L")):
    return pd.Categorical(list(values), list(names), ordered=ordered)


def with_index(index):
    return pd.DataFrame({"a": range(len(index))}, index=index)


def with_attrs(**attrs):
    frame = pd.DataFrame({"a": [1]})
    frame.attrs.update(attrs)
    return frame


def levels(*first):
    index = pd.MultiIndex.from_product([first, [1]], names=["x", "y"])
    return with_index(index[:1])


def arrow(**columns):
    return pa.table(columns)


def dictionary(values, indices=(0,), *, ordered=False, kind="int32"):
    indices = pa.array(indices, kind)
    return arrow(a=pa.DictionaryArray.from_arrays(indices, pa.array(values), ordered=ordered))


def field(**options):
    return pa.table([pa.array([1])], schema=pa.schema([pa.field("a", pa.int64(), **options)]))


class Unit(pa.ExtensionType):
    """An extension type with a parameter."""

    def __init__(self, unit):
        self.unit = unit
        super().__init__(pa.int64(), "tests.unit")

    def __arrow_ext_serialize__(self):
        return self.unit.encode()

    @classmethod
    def __arrow_ext_deserialize__(cls, storage_type, serialized):
        return cls(serialized.decode())


@pytest.fixture(autouse=True, scope="module")
def _unit():
    pa.register_extension_type(Unit("m"))
    yield
    pa.unregister_extension_type("tests.unit")


def extension(unit):
    return arrow(a=pa.ExtensionArray.from_storage(Unit(unit), pa.array([1])))


PAIRS = {
    # pandas: labels and flags
    "flags": lambda: [pd.DataFrame({"a": [1]}).set_flags(allows_duplicate_labels=v) for v in (True, False)],
    "flags of a series": lambda: [series([1]).set_flags(allows_duplicate_labels=v) for v in (True, False)],
    "attrs": lambda: [with_attrs(unit="m"), with_attrs(unit="s")],
    "attrs of another type": lambda: [with_attrs(at=(1, 2)), with_attrs(at=[1, 2])],
    "names of a series": lambda: [series([1], name="1"), series([1], name=1)],
    "no name": lambda: [series([1], name="values"), series([1])],
    "name of the columns": lambda: [with_index(DAYS), with_index(DAYS).rename_axis(columns="x")],
    "name of the index": lambda: [with_index(DAYS), with_index(DAYS.rename("day"))],
    "column names of two types": lambda: [pd.DataFrame({1: [1]}), pd.DataFrame({"1": [1]})],
    "order of columns": lambda: [pd.DataFrame({"a": [1], "b": [1]}), pd.DataFrame({"b": [1], "a": [1]})],
    "frame or series": lambda: [series([1], name="a"), series([1], name="a").to_frame()],
    # pandas: indexes
    "frequency": lambda: [with_index(pd.DatetimeIndex(DAYS, freq=freq)) for freq in (None, "D")],
    "frequency of another unit": lambda: [
        with_index(pd.DatetimeIndex(DAYS, freq=freq)) for freq in ("24h", "D")
    ],
    "frequency of differences": lambda: [
        with_index(pd.TimedeltaIndex(pd.to_timedelta([1, 2, 3], "D"), freq=freq)) for freq in (None, "D")
    ],
    "frequency of the columns": lambda: [
        pd.DataFrame([[1, 2, 3]], columns=pd.DatetimeIndex(DAYS, freq=freq)) for freq in (None, "D")
    ],
    "range or numbers": lambda: [with_index(pd.RangeIndex(2)), with_index(pd.Index([0, 1]))],
    "ranges of one value": lambda: [with_index(pd.RangeIndex(0, stop, 5)) for stop in (1, 2)],
    "levels that are not used": lambda: [levels("a", "b"), levels("a", "c")],
    "names of levels": lambda: [levels("a"), levels("a").rename_axis(["x", "z"])],
    "types of levels": lambda: [with_index(pd.MultiIndex.from_arrays([[1], v])) for v in ([1], [1.0])],
    "ordered index": lambda: [
        with_index(pd.CategoricalIndex(["S"], ["S", "M"], ordered=v)) for v in (True, False)
    ],
    # pandas: columns
    "ordered": lambda: [pd.DataFrame({"s": categories("S", "L", ordered=v)}) for v in (True, False)],
    "order of categories": lambda: [series(categories("S", "L")), series(categories("L", "S"))],
    "a category without a value": lambda: [series(categories("S", "L")), series(categories("S", "L", "M"))],
    "types of categories": lambda: [series(pd.Categorical([1], [1])), series(pd.Categorical([1.0], [1.0]))],
    "NA or None": lambda: [series([pd.NA, "a"], object), series([None, "a"], object)],
    "None or NaN": lambda: [series([None, "a"], object), series([float("nan"), "a"], object)],
    "NaT or NaN": lambda: [series([pd.NaT, "a"], object), series([float("nan"), "a"], object)],
    "classes of objects": lambda: [series([1, "a"], object), series([True, "a"], object)],
    "all objects of another class": lambda: [series([1, 2], object), series([1, 2])],
    "storage of texts": lambda: [series(["a"], pd.StringDtype(s)) for s in ("python", "pyarrow")],
    "what is missing in texts": lambda: [series(["a"], pd.StringDtype("python", v)) for v in (pd.NA, np.nan)],
    "where texts are missing": lambda: [series(["a", None], "str"), series([None, "a"], "str")],
    "Arrow's types": lambda: [series([1], pd.ArrowDtype(pa.int64())), series([1], "Int64")],
    "Arrow's parameters": lambda: [
        series(DAYS, pd.ArrowDtype(pa.timestamp("ns", zone))) for zone in ("UTC", "Europe/Berlin")
    ],
    "nullable numbers": lambda: [series([1, 2], "Int64"), series([1, 2])],
    "where numbers are missing": lambda: [series([1, None], "Int64"), series([None, 1], "Int64")],
    "zone": lambda: [series(DAYS.tz_localize(z)) for z in ("Europe/Berlin", "Europe/Paris")],
    "kind of zone": lambda: [
        series(DAYS.tz_localize(z)) for z in (datetime.UTC, zoneinfo.ZoneInfo("UTC"))
    ],
    "unit of time": lambda: [series(DAYS.as_unit(unit)) for unit in ("s", "ms")],
    "side of intervals": lambda: [
        series(pd.arrays.IntervalArray.from_breaks([0, 1, 2], closed=c)) for c in ("left", "right")
    ],
    "borders of intervals": lambda: [series(pd.arrays.IntervalArray.from_breaks([0, 1, v])) for v in (2, 3)],
    "type of intervals": lambda: [
        series(pd.arrays.IntervalArray.from_breaks([0, v])) for v in (1, 1.0)
    ],
    "frequency of periods": lambda: [series(pd.period_range("2024-01", periods=1, freq=f)) for f in "MQ"],
    "what is filled in": lambda: [
        series(pd.arrays.SparseArray([0.0, 1.0], fill_value=v)) for v in (0.0, 1.0)
    ],
    "sparse or dense": lambda: [series(pd.arrays.SparseArray([0, 1])), series([0, 1])],
    "kind of sparse": lambda: [series(pd.arrays.SparseArray([0, 1], kind=k)) for k in ("integer", "block")],
    # polars
    "polars: name": lambda: [pl.Series("a", [1]), pl.Series("b", [1])],
    "polars: number of rows": lambda: [pl.DataFrame({"a": []}), pl.DataFrame({"a": [None]})],
    "polars: categories of an enum": lambda: [
        pl.DataFrame({"a": pl.Series(["x"], dtype=pl.Enum(["x", *more]))}) for more in ([], ["y"])
    ],
    "polars: enum or categories": lambda: [
        pl.Series(["x"], dtype=t) for t in (pl.Enum(["x"]), pl.Categorical(), pl.String())
    ],
    "polars: many categories": lambda: [
        pl.Series(["0"], dtype=pl.Enum([*map(str, range(1000)), last])) for last in ("x", "y")
    ],
    "polars: enum within lists": lambda: [
        pl.Series([["x"]], dtype=pl.List(pl.Enum(["x", v]))) for v in ("y", "z")
    ],
    "polars: wide integers": lambda: [pl.Series([v], dtype=pl.Int128) for v in (1, 2**100)],
    "polars: zone": lambda: [pl.Series([datetime.datetime(2024, 1, 1)], dtype=pl.Datetime("us", z)) for z in (None, "UTC")],
    "polars: unit": lambda: [pl.Series([datetime.timedelta(1)], dtype=pl.Duration(u)) for u in ("us", "ms")],
    "polars: null or NaN": lambda: [pl.Series([v], dtype=pl.Float64) for v in (None, float("nan"))],
    "polars: fields": lambda: [pl.Series([{k: 1}]) for k in "ab"],
    "polars: list or array": lambda: [pl.Series([[1]], dtype=t) for t in (pl.List(pl.Int64), pl.Array(pl.Int64, 1))],
    "polars: empty or null list": lambda: [pl.Series([v], dtype=pl.List(pl.Int64)) for v in ([], None)],
    # Arrow
    "Arrow: long metadata": lambda: [arrow(a=[1]).replace_schema_metadata({"geo": "x" * 500 + v}) for v in "ab"],
    "Arrow: long metadata of a field": lambda: [field(metadata={"k": "x" * 500 + v}) for v in "ab"],
    "Arrow: nullable": lambda: [field(nullable=v) for v in (True, False)],
    "Arrow: table or batch": lambda: [arrow(a=[1]), pa.RecordBatch.from_pydict({"a": [1]})],
    "Arrow: dictionary": lambda: [dictionary(["x"]), dictionary(["x", "y"])],
    "Arrow: order of a dictionary": lambda: [dictionary(["x", "y"], [0, 1]), dictionary(["y", "x"], [1, 0])],
    "Arrow: ordered dictionary": lambda: [dictionary(["x"], ordered=v) for v in (True, False)],
    "Arrow: index type": lambda: [dictionary(["x"], kind=v) for v in ("int8", "int32")],
    "Arrow: dictionary or values": lambda: [dictionary(["x"]), arrow(a=["x"])],
    "Arrow: extension": lambda: [extension("m"), extension("s")],
    "Arrow: extension or storage": lambda: [extension("m"), arrow(a=[1])],
    "Arrow: null or NaN": lambda: [arrow(a=pa.array([v], "float64")) for v in (None, float("nan"))],
    "Arrow: where it is null": lambda: [arrow(a=v) for v in ([1, None], [None, 1])],
    "Arrow: borders of texts": lambda: [arrow(a=v) for v in (["ab", "c"], ["a", "bc"])],
    "Arrow: borders of lists": lambda: [arrow(a=v) for v in ([[1, 2], [3]], [[1], [2, 3]])],
    "Arrow: lists of one width": lambda: [
        arrow(a=pa.array([[1, 2]], t)) for t in (pa.list_(pa.int64(), 2), pa.list_(pa.int64()))
    ],
    "Arrow: struct": lambda: [arrow(a=[{"x": 1, "y": v}]) for v in (2, None)],
    "Arrow: null struct": lambda: [arrow(a=pa.array([v], pa.struct({"x": "int64"}))) for v in ({"x": None}, None)],
    "Arrow: map": lambda: [arrow(a=pa.array([[("k", v)]], pa.map_("string", "int64"))) for v in (1, 2)],
    "Arrow: size of offsets": lambda: [arrow(a=pa.array(["x"], t)) for t in ("string", "large_string", "string_view")],
    "Arrow: union": lambda: [
        arrow(a=pa.UnionArray.from_sparse(pa.array([v], "int8"), [pa.array([1]), pa.array([1])])) for v in (0, 1)
    ],
    "Arrow: decimals": lambda: [arrow(a=pa.array([1], pa.decimal128(5, v))) for v in (1, 2)],
    "Arrow: an array": lambda: [pa.array([1, 2]), pa.array([1, 3]), pa.chunked_array([[1, 2]])],
}  # fmt: skip
if int(pd.__version__.split(".")[0]) >= 3:  # texts have a type of their own since then
    PAIRS["texts or objects"] = lambda: [series(["a"], "str"), series(["a"], object)]


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("around", [lambda v: v, lambda v: {"table": v}], ids=["alone", "within"])
def test_tables_that_differ_visibly_have_different_digests(name, around, tmp_path):
    values, again = ([around(value) for value in PAIRS[name]()] for _ in range(2))
    digests = [digest_of(value) for value in values]
    assert len(set(digests)) == len(values)
    assert [digest_of(value) for value in again] == digests, "computed again"
    assert [digest_of(copy.deepcopy(value)) for value in values] == digests, "as a parameter is copied"
    warehouse = Warehouse(tmp_path / "plant")
    stored = [warehouse.save("value", value) for value in values]
    assert len({ingredient.digest for ingredient in stored}) == len(values)
    loaded = [warehouse.load(ingredient) for ingredient in stored]
    assert [digest_of(value) for value in loaded] == digests, "stored and loaded"
    assert [warehouse.save("value", value).digest for value in loaded] == [i.digest for i in stored]


class Meters(pd.DataFrame):
    """A frame of a user's own class, with an attribute that goes along."""

    _metadata = ("unit",)

    @property
    def _constructor(self):
        return Meters


# What libraries cannot pickle, or hold in several ways.
ONLY_DIGESTS = {
    "polars: objects": lambda: [pl.Series([v, "a"], dtype=pl.Object) for v in (1, True, "1")],
    "polars: objects and something else": lambda: [
        pl.DataFrame({"o": pl.Series([{1}], dtype=pl.Object), "n": [v]}) for v in (1, 2)
    ],
    "Arrow: no columns": lambda: [arrow(a=[1]).select([]), arrow(a=[1, 2]).select([])],
}  # fmt: skip


@pytest.mark.parametrize("name", ONLY_DIGESTS)
def test_tables_that_arrow_cannot_store_have_digests(name):
    digests = [digest_of(value) for value in ONLY_DIGESTS[name]()]
    assert len(set(digests)) == len(digests)
    assert [digest_of(value) for value in ONLY_DIGESTS[name]()] == digests


def masked(hidden):
    return pd.Series(pd.arrays.IntegerArray(np.array([1, hidden]), np.array([False, True])))


def hidden(value):
    """An Arrow array with something under its null."""
    return pa.Array.from_buffers(pa.int64(), 2, [pa.py_buffer(b"\1"), pa.py_buffer(np.array([1, value]))])


def asked(value, *attributes):
    for attribute in attributes:
        getattr(value, attribute)
    return value


def consolidated(frame):
    return frame.copy()


def in_pieces():
    frame = pd.DataFrame({"a": [1, 2]})
    frame["b"] = [3, 4]
    return frame


EQUAL = {
    "blocks": lambda: [in_pieces(), pd.DataFrame({"a": [1, 2], "b": [3, 4]}), consolidated(in_pieces())],
    "rows of a bigger frame": lambda: [
        pd.DataFrame({"a": range(5)}, index=list("abcde"))[1:3],
        pd.DataFrame({"a": [1, 2]}, index=["b", "c"]),
    ],
    "layout of numbers": lambda: [
        pd.DataFrame(np.arange(6).reshape(2, 3)),
        pd.DataFrame(np.asfortranarray(np.arange(6).reshape(2, 3))),
    ],
    "what a mask hides": lambda: [masked(0), masked(7)],
    "pieces of texts": lambda: [
        pd.concat([series(["a"], "str"), series(["b"], "str")], ignore_index=True),
        series(["a", "b"], "str"),
    ],
    "an index that was asked": lambda: [
        pd.DataFrame({"a": [1]}, index=index) for index in (asked(pd.Index([5]), "is_unique", "hasnans"), [5])
    ],
    "a type that was asked": lambda: [asked(pd.Int64Dtype(), "numpy_dtype"), pd.Int64Dtype()],
    "a frequency that was asked": lambda: [
        asked(pd.offsets.MonthEnd(2), "freqstr", "rule_code"), pd.offsets.MonthEnd(2)
    ],
    "polars: pieces": lambda: [pl.concat([pl.Series([1]), pl.Series([2])], rechunk=False), pl.Series([1, 2])],
    "polars: part": lambda: [pl.Series(["x", "yy", "z"])[1:], pl.Series(["yy", "z"])],
    "polars: sorted": lambda: [pl.Series([1, 2]).set_sorted(), pl.Series([1, 2])],
    "polars: codes": lambda: [
        pl.Series(["y", "x"], dtype=pl.Categorical).filter([True, False]),
        pl.Series(["y"], dtype=pl.Categorical),
    ],
    "Arrow: pieces": lambda: [pa.table({"a": pa.chunked_array([["x"], ["y", "z"]])}), pa.table({"a": list("xyz")})],
    "Arrow: part": lambda: [pa.table({"a": v}).slice(1) for v in (["x", None, "z"], ["other", None, "z"])],
    "Arrow: part of lists": lambda: [pa.table({"a": v}).slice(1) for v in ([[1], [2, 3]], [[1, 4, 5], [2, 3]])],
    "Arrow: part of structs": lambda: [pa.table({"a": v}).slice(1) for v in ([{"x": 1}, {"x": 2}], [{"x": 5}, {"x": 2}])],
    "Arrow: part of maps": lambda: [
        pa.table({"a": pa.array(v, pa.map_("string", "int64"))}).slice(1) for v in ([[], [("a", 1)]], [[("b", 2)], [("a", 1)]])
    ],
    "Arrow: part of truths": lambda: [pa.array(v).slice(1) for v in ([True, False, None], [False, False, None])],
    "Arrow: what a null hides": lambda: [hidden(0), hidden(7)],
    "Arrow: runs": lambda: [
        pa.RunEndEncodedArray.from_arrays(pa.array(ends, "int32"), pa.array(v)) for ends, v in (([2], [1]), ([1, 2], [1, 1]))
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", EQUAL)
@pytest.mark.parametrize("around", [lambda v: v, lambda v: {"table": v}], ids=["alone", "within"])
def test_the_memory_layout_of_a_table_is_not_digested(name, around):
    assert len({digest_of(around(value)) for value in EQUAL[name]()}) == 1


def test_chunks_of_a_dictionary_array_are_digested_as_one():
    pieces = [dictionary(["x", "y"], [1, 0]), dictionary(["y", "z"], [1])]
    table = pa.concat_tables(pieces)
    assert table["a"].num_chunks == 2
    assert digest_of(table) == digest_of(table.unify_dictionaries()) == digest_of(table.combine_chunks())
    assert digest_of(table) != digest_of(pa.concat_tables(pieces[::-1]))


SCRIPT = """
import pandas as pd, polars as pl, pyarrow as pa
from pyplant.fingerprint.fingerprint import digest_of
if FIRST:
    pl.Series(["b", "c"], dtype=pl.Categorical)  # takes the first codes of the process
print(digest_of([
    pd.DataFrame({"s": pd.Categorical(["S"], ["S", "M"], ordered=True), "t": ["x"], "o": pd.Series([{"a", "b"}])}),
    pl.DataFrame({"c": pl.Series(["a", "b"], dtype=pl.Categorical), "l": [[1], None]}),
    pa.table({"a": pa.array(["x"]).dictionary_encode()}),
]))
"""


def test_tables_have_the_same_digest_in_every_process(run_script):
    outputs = {
        run_script(SCRIPT.replace("FIRST", first), env={"PYTHONHASHSEED": seed}).stdout
        for first, seed in (("True", "1"), ("False", "2"))
    }
    assert len(outputs) == 1


def test_a_frame_of_a_users_class_keeps_its_attribute():
    frames = []
    for unit in ("m", "km"):
        frames.append(Meters({"a": [1]}))
        frames[-1].unit = unit
    assert digest_of(frames[0]) != digest_of(frames[1])
    assert digest_of(frames[0]) != digest_of(pd.DataFrame({"a": [1]}))
