"""Digests of arrays: whatever a consumer can see of one counts, alone and within other values."""

import copy

import numpy as np
import pytest

from pyplant import Plant, ReactorFunc
from pyplant.fingerprint.fingerprint import digest_of
from pyplant.specs import array_subclass
from pyplant.store.warehouse import Warehouse

NAMES = {"names": ["a", "b"], "formats": ["i1", "i4"]}
RECORD = np.dtype([("a", "i1"), ("b", "i4")])


class Quantity(np.ndarray):
    """A user's array with an attribute, which NumPy's own pickling loses."""


class Length(Quantity):
    """The same of another class."""


class Named(np.ndarray):
    """A user's array that pickles itself."""

    def __new__(cls, data, name):
        self = np.asarray(data).view(cls)
        self.name, self.opened = name, object()
        return self

    def __array_finalize__(self, source):
        self.name = getattr(source, "name", "")

    def __reduce__(self):
        return Named, (np.asarray(self), self.name)


def quantity(unit, cls=Quantity):
    value = np.arange(3.0).view(cls)
    value.unit = unit
    return value


def masked(data=(1, 2), mask=(False, True), dtype=None, **options):
    return np.ma.array(data, mask=mask, dtype=dtype, **options)


PAIRS = {
    "metadata": lambda: [np.zeros(1, np.dtype("f4", metadata=m)) for m in ({}, {"unit": 0}, {"unit": 1})],
    "metadata of a field": lambda: [
        np.zeros(1, [("a", np.dtype("f4", metadata=m))]) for m in ({}, {"unit": 0}, {"unit": 1})
    ],
    "order": lambda: [np.ones((2, 3), order=order) for order in "CF"],
    "order of objects": lambda: [np.full((2, 3), None, order=order) for order in "CF"],
    "byte order": lambda: [np.zeros(2, order) for order in ("<i4", ">i4")],
    "unit of time": lambda: [np.zeros(2, f"M8[{unit}]") for unit in ("s", "ms", "25s")],
    "length of texts": lambda: [np.array(["a"], dtype) for dtype in ("U1", "U2", "S1", object)],
    "shape": lambda: [np.zeros(shape) for shape in ((), (1,), (1, 1), 0, (0, 1))],
    "signs of zero": lambda: [np.array([v]) for v in (0.0, -0.0)],
    "names": lambda: [np.zeros(2, [(name, "i4")]) for name in "ab"],
    "titles": lambda: [np.zeros(2, [((title, "a"), "i4")]) for title in ("T", "U")],
    "offsets": lambda: [np.zeros(2, {**NAMES, "offsets": [0, n], "itemsize": 12}) for n in (4, 8)],
    "size of items": lambda: [np.zeros(2, {**NAMES, "offsets": [0, 4], "itemsize": n}) for n in (8, 12)],
    "aligned": lambda: [
        np.zeros(2, np.dtype([("a", "i1"), ("b", "i4")], align=True)),
        np.zeros(2, {**NAMES, "offsets": [0, 4], "itemsize": 8}),
        np.zeros(2, RECORD),
    ],
    "records": lambda: [np.zeros(2, RECORD), np.zeros(2, np.dtype((np.record, RECORD)))],
    "record arrays": lambda: [np.zeros(2, RECORD).view(np.recarray), np.zeros(2, RECORD)],
    "arrays within items": lambda: [np.zeros(2, [("a", "i4", shape)]) for shape in ((2, 3), (3, 2))],
    "matrices": lambda: [np.zeros((1, 1)), np.zeros((1, 1)).view(np.matrix)],
    "objects": lambda: [np.array([v, "a"], object) for v in (1, True, 1.0, "1", None)],
    "lists or tuples": lambda: [np.array([None, v], object) for v in ([1], (1,))],
    "objects in fields": lambda: [np.array([(v,)], [("a", object)]) for v in (1, True)],
    "texts of any length": lambda: [np.array([v], np.dtypes.StringDType()) for v in ("a", "b")],
    "what is missing in texts": lambda: [
        np.array(["a"], np.dtypes.StringDType(na_object=v)) for v in (None, np.nan)
    ],
    "scalars": lambda: [np.float32(1), np.float64(1), np.array(1.0), np.array(1.0, "f4"), 1.0],
    "scalars of time": lambda: [np.datetime64("2024-01-01", unit) for unit in ("D", "s")],
    "hard mask": lambda: [masked(hard_mask=v) for v in (True, False)],
    "no mask": lambda: [masked(mask=np.ma.nomask), masked(mask=[False, False])],
    "mask": lambda: [masked(mask=[0, 1]), masked(mask=[1, 0])],
    "what is filled in": lambda: [masked(fill_value=v) for v in (5, 6)],
    "what a mask hides": lambda: [masked([1, 2]), masked([1, 3])],
    "mask of fields": lambda: [masked([(1, 2)], [m], RECORD) for m in ((0, 1), (1, 0))],
    "class below a mask": lambda: [masked(np.ones((1, 2)), [[0, 1]]), masked(np.matrix([1.0, 1.0]), [[0, 1]])],
    "masked or not": lambda: [masked(mask=np.ma.nomask), np.array([1, 2])],
    "attributes of a subclass": lambda: [quantity("m"), quantity("s"), np.arange(3.0)],
    "subclass": lambda: [quantity("m"), quantity("m", Length)],
    "subclass that pickles itself": lambda: [Named([1], "a"), Named([1], "b")],
}  # fmt: skip
OF_NUMPY_2 = {"texts of any length", "what is missing in texts"}
# numpy.ndarray.__deepcopy__ forgets them
NOT_DEEP = {"attributes of a subclass", "subclass", "subclass that pickles itself"}


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("around", [lambda v: v, lambda v: (v, "x")], ids=["alone", "within"])
def test_arrays_that_differ_visibly_have_different_digests(name, around, tmp_path):
    if name in OF_NUMPY_2 and not hasattr(np.dtypes, "StringDType"):
        pytest.skip("new in NumPy 2")
    values, again = ([around(value) for value in PAIRS[name]()] for _ in range(2))
    digests = [digest_of(value) for value in values]
    assert len(set(digests)) == len(values)
    assert [digest_of(value) for value in again] == digests, "computed again"
    if name not in NOT_DEEP:
        assert [digest_of(copy.deepcopy(value)) for value in values] == digests, "as a parameter is copied"
    warehouse = Warehouse(tmp_path / "plant")
    stored = [warehouse.save("value", value) for value in values]
    assert len({ingredient.digest for ingredient in stored}) == len(values)
    loaded = [warehouse.load(ingredient) for ingredient in stored]
    assert [digest_of(value) for value in loaded] == digests, "stored and loaded"
    assert [warehouse.save("value", value).digest for value in loaded] == [i.digest for i in stored]


def padded(filler, **options):
    value = np.empty(2, np.dtype([("a", "i1"), ("b", "i4"), ("c", RECORD, (2,))], **options))
    value.view("u1")[...] = filler
    value["a"], value["b"], value["c"] = 1, 2, (3, 4)
    return value


def asked(value):
    value.fill_value  # noqa: B018 - NumPy remembers the answer
    return value


EQUAL = {
    "what stands between fields": lambda: [padded(n, align=True) for n in (0, 7)],
    "part of a bigger array": lambda: [np.arange(9)[2:4], np.arange(2, 4)],
    "neither order": lambda: [v[::2, ::2] for v in (np.ones((4, 4)), np.ones((4, 4), order="F"))],
    "one row": lambda: [np.ones((1, 3), order=order) for order in "CF"],
    "item with gaps": lambda: [padded(n, align=True)[0] for n in (0, 7)],
    "read-only": lambda: [np.broadcast_to(np.int64(1), 3), np.ones(3, np.int64)],
    "a mask that was asked": lambda: [asked(masked()), masked()],
    "a mask that is shared": lambda: [masked()[:], masked()],
}  # fmt: skip


@pytest.mark.parametrize("name", EQUAL)
@pytest.mark.parametrize("around", [lambda v: v, lambda v: (v, "x")], ids=["alone", "within"])
def test_the_memory_layout_of_an_array_is_not_digested(name, around, tmp_path):
    values = [around(value) for value in EQUAL[name]()]
    assert len({digest_of(value) for value in values}) == 1
    warehouse = Warehouse(tmp_path / "plant")
    stored = [warehouse.save("value", value) for value in values]
    assert len({ingredient.digest for ingredient in stored}) == 1
    assert digest_of(warehouse.load(stored[0])) == digest_of(values[0])


def test_fields_with_gaps_stay_an_array(tmp_path):
    value = padded(0, align=True)
    back = Warehouse(tmp_path / "plant")
    ingredient = back.save("value", value)
    assert ingredient.format == "array"
    assert back.load(ingredient).dtype.isalignedstruct


def test_arrays_within_other_values_are_received_writable(tmp_path):
    warehouse = Warehouse(tmp_path / "plant")
    value = warehouse.load(warehouse.save("value", {"x": np.broadcast_to(np.arange(3), (2, 3))}))
    value["x"][0, 0] = 9
    assert value["x"][1, 0] == 0


def test_a_hard_mask_stays_hard(tmp_path):
    warehouse = Warehouse(tmp_path / "plant")
    hard, none = (
        warehouse.load(warehouse.save("x", v)) for v in (masked(hard_mask=True), masked(mask=np.ma.nomask))
    )
    hard[1] = 9
    assert hard.mask.tolist() == [False, True]
    assert none.mask is np.ma.nomask
    none[0] = np.ma.masked
    assert none.mask.tolist() == [True, False]


def test_an_attribute_of_a_subclass_comes_back(tmp_path, monkeypatch):
    warehouse = Warehouse(tmp_path / "plant")
    value = {"x": quantity("m")}
    back = warehouse.load(warehouse.save("x", value))["x"]
    assert (type(back), back.unit) == (Quantity, "m")
    monkeypatch.setattr(array_subclass, "_own_attributes", lambda _: {})
    assert not hasattr(warehouse.load(warehouse.save("x", value))["x"], "unit")


@pytest.mark.slow
def test_parameters_reach_workers_completely(plant_dir):
    @ReactorFunc
    def look(pipe, config):
        pipe.send("seen", (config.hard.hardmask, config.none.mask is np.ma.nomask))

    with Plant(plant_dir, executor=2) as plant:
        plant.add_reactor(look)
        plant.set_config({"hard": masked(hard_mask=True), "none": masked(mask=np.ma.nomask)})
        assert plant.get("seen") == (True, True)
