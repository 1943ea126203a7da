"""Digests of HDF5 ingredients: whatever a consumer can see of dataset and file counts."""

import h5py
import numpy as np
import pytest

from pyplant import Plant, ReactorFunc, specs
from pyplant.errors import UnsavableError
from pyplant.specs import HdfArraySpec
from pyplant.store.warehouse import Warehouse


@pytest.fixture
def warehouse(tmp_path):
    return Warehouse(tmp_path / "plant")


def stored(warehouse, fill=lambda data: None, **options):
    allocation = warehouse.allocate("x", HdfArraySpec, {"shape": (4,), "dtype": "f4", **options})
    fill(allocation.handle)
    return warehouse.finish(allocation)


def with_attribute(value, **options):
    return lambda data: data.attrs.create("a", value, **options)


def with_dataset(name="n", **options):
    return lambda data: data.file.create_dataset(name, **options)


def with_scale(name, label="x"):
    def fill(data):
        scale = data.file.create_dataset("scale", data=np.arange(4))
        scale.make_scale(name)
        data.dims[0].attach_scale(scale)
        data.dims[0].label = label

    return fill


def with_references(target, region=None):
    def fill(data):
        file = data.file
        file.create_dataset("first", data=[1, 2])
        file.create_dataset("second", data=[1, 2])
        found = file[target]
        reference = found.ref if region is None else found.regionref[region]
        kind = h5py.ref_dtype if region is None else h5py.regionref_dtype
        file.create_dataset("references", (1,), dtype=kind)[0] = reference
        data.attrs["reference"] = reference

    return fill


def with_cycle(name):
    def fill(data):
        group = data.file.create_group("a/b")
        group["up"] = data.file["a"]
        group[name] = data

    return fill


def ordered(names):
    def fill(data):
        group = data.file.create_group("g", track_order=True)
        for name in names:
            group.create_dataset(name, data=1)

    return fill


ENUM = h5py.enum_dtype({"RED": 0, "GREEN": 1})
LATER = h5py.enum_dtype({"RED": 0, "BLUE": 1})
NUMBERS = h5py.vlen_dtype(np.int32)


def with_lists(*lists):
    def fill(data):
        lengths = data.file.create_dataset("lists", (len(lists),), dtype=NUMBERS)
        for number, values in enumerate(lists):
            lengths[number] = values

    return fill


DIFFERENT = {
    "attribute": [with_attribute("kelvin"), with_attribute("celsius"), lambda data: None],
    "attribute of the file": [lambda data, v=v: data.file.attrs.update(unit=v) for v in "ab"],
    "attribute of a group": [lambda data, v=v: data.file.create_group("g").attrs.update(unit=v) for v in "ab"],
    "name of an attribute": [lambda data, v=v: data.attrs.update({v: 1}) for v in "ab"],
    "type of an attribute": [with_attribute(1, dtype=t) for t in ("i4", "i8", "f4", "S1")],
    "shape of an attribute": [with_attribute(v) for v in (1, [1], [[1]])],
    "text or bytes": [with_attribute(v) for v in ("a", b"a", np.bytes_(b"a"))],
    "texts": [with_attribute(v) for v in (["a", "bc"], ["ab", "c"])],
    "nothing": [with_attribute(v) for v in (h5py.Empty("f4"), h5py.Empty("i4"), 0)],
    "dataset": [with_dataset(data=v) for v in ([1], [2], [1.0], [[1]], 1)],
    "name of a dataset": [with_dataset(name, data=[1]) for name in ("n", "m", "g/n")],
    "group": [lambda data, v=v: data.file.create_group(v) for v in ("g", "h", "g/h")],
    "order of a group": [ordered("ab"), ordered("ba")],
    "texts in a dataset": [with_dataset(data=v) for v in (["a", "bc"], ["ab", "c"], [b"a", b"bc"])],
    "encoding of texts": [with_dataset(data=["a"], dtype=h5py.string_dtype(e)) for e in ("utf-8", "ascii")],
    "lists": [with_lists([1, 2], [3]), with_lists([1], [2, 3]), with_lists([1, 2, 3])],
    "enum": [with_dataset(data=[0, 1], dtype=t) for t in (ENUM, LATER, "u1")],
    "named type": [lambda data, t=t: data.file.__setitem__("t", np.dtype(t)) for t in ("i4", "i8")],
    "fields": [with_dataset(data=np.zeros(1, [(name, "i4")])) for name in "ab"],
    "second link": [lambda data, v=v: data.file.__setitem__(v, data) for v in ("a", "b")],
    "one dataset or two": [
        lambda data: data.file.__setitem__("n", data), with_dataset("n", data=np.zeros(4, "f4"))
    ],
    "cycle": [with_cycle("c"), with_cycle("d")],
    "dimension scale": [with_scale("s"), with_scale("t"), with_scale("s", "y")],
    "reference": [with_references("first"), with_references("second")],
    "region": [with_references("first", r) for r in (slice(0, 1), slice(1, 2), [0, 1])],
}  # fmt: skip


@pytest.mark.parametrize("name", DIFFERENT)
def test_everything_visible_in_a_file_is_digested_and_stored(name, warehouse, tmp_path):
    digests = [stored(warehouse, fill).digest for fill in DIFFERENT[name]]
    assert len(set(digests)) == len(digests)
    again = Warehouse(tmp_path / "again")
    assert [stored(again, fill).digest for fill in DIFFERENT[name]] == digests


OPTIONS = {
    "fill value": [{"fillvalue": v} for v in (0, 5)],
    "chunks": [{"chunks": v} for v in (None, (2,), (4,))],
    "filters": [{"chunks": (4,), **more} for more in ({}, {"compression": "gzip"}, {"compression": "lzf"})],
    "strength": [{"compression": "gzip", "compression_opts": v} for v in (1, 2)],
    "largest shape": [{"chunks": (2,), "maxshape": v} for v in ((4,), (8,), (None,))],
    "byte order": [{"dtype": v} for v in ("<f4", ">f4")],
}


@pytest.mark.parametrize("name", OPTIONS)
def test_options_of_a_dataset_are_digested(name, warehouse):
    def digests():
        return [
            stored(warehouse, lambda data: data.__setitem__(slice(None), 1), **options).digest
            for options in OPTIONS[name]
        ]

    first = digests()
    assert len(set(first)) == len(first)
    assert digests() == first


def test_bytes_between_fields_are_not_digested(warehouse):
    dtype = np.dtype({"names": ["a", "b"], "formats": ["i1", "i4"], "offsets": [0, 4], "itemsize": 8})

    def fill(data, filler):
        values = np.empty(4, dtype)
        values.view("u1")[...] = filler
        values["a"], values["b"] = 1, 2
        data[...] = values

    digests = {stored(warehouse, lambda data, n=n: fill(data, n), dtype=dtype).digest for n in (0, 7)}
    assert len(digests) == 1


def test_a_consumer_runs_again_when_an_attribute_changed(plant_dir):
    @ReactorFunc
    def make(pipe, config):
        field = pipe.allocate("field", specs.HdfArraySpec, shape=(4,), dtype="f4")
        field.attrs["unit"] = config.unit
        pipe.send("field", field)

    @ReactorFunc
    def use(pipe):
        field = yield pipe.receive("field")
        pipe.send("out", field.attrs["unit"])

    with Plant(plant_dir) as plant:
        plant.add_reactor(make, use)
        for unit in ("kelvin", "celsius"):
            plant.set_config({"unit": unit})
            assert plant.get("out") == unit


def test_a_dataset_that_was_replaced_is_an_error(warehouse):
    def replace(data):
        del data.file["data"]
        data.file.create_dataset("data", data=[1])

    with pytest.raises(UnsavableError, match="replaced or removed"):
        stored(warehouse, replace)


def test_the_order_of_writing_is_not_digested_unless_visible(warehouse):
    def fill(data, names):
        for name in names:
            data.file.create_dataset(name, data=[name]).attrs.update({other: name for other in names})
        data.file.attrs["second"] = data.file["b"].ref

    assert len({stored(warehouse, lambda data, n=n: fill(data, n)).digest for n in ("abc", "cba")}) == 1
