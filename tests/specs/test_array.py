"""NumPy arrays."""

import errno
import os
from functools import partial

import loky
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pyplant import Ingredient, Plant, ReactorFunc
from pyplant.errors import NotAllocatedError, UnsavableError
from pyplant.fingerprint.fingerprint import digest_of
from pyplant.specs import ArraySpec
from pyplant.specs.array import _COPY_BYTES
from pyplant.store.warehouse import Warehouse
from pyplant.testing import SpecConformance
from tests.specs.helpers import Sink, dumped

STRUCTURED = np.zeros(3, [("a", "i2"), ("b", "f8", (2,))])


def same(left, right):
    return (
        type(left) is type(right)
        and left.dtype == right.dtype
        and left.shape == right.shape
        and left.tobytes() == right.tobytes()
    )


class TestArray(SpecConformance):
    def spec(self):
        return ArraySpec()

    def values(self):
        return [
            np.arange(10_000.0),
            np.arange(10_000),
            np.arange(6).reshape(2, 3),
            np.arange(6).reshape(3, 2),
            np.arange(6, dtype=">i8"),
            np.array(5.0),
            np.zeros(0),
            np.zeros((0, 3)),
            np.zeros((3, 0)),
            np.array(["a", "bc"]),
            np.array([b"a", b"bc"]),
            np.array(["2026-01-01"], "datetime64[D]"),
            np.array([True, False]),
            np.array([np.nan, -0.0]),
            STRUCTURED,
        ]

    def equal(self, left, right):
        return same(left, right)

    def change(self, value):
        value[...] = np.ones_like(value)


@settings(max_examples=100)
@given(hnp.arrays(hnp.scalar_dtypes(), hnp.array_shapes(min_dims=0, min_side=0)))
@pytest.mark.slow
def test_every_array_comes_back(array):
    assert same(
        ArraySpec().parse(dumped(ArraySpec(), array), {}), np.ascontiguousarray(array).reshape(array.shape)
    )


@given(hnp.arrays(np.int32, hnp.array_shapes(min_dims=2)), st.data())
def test_views_come_back_in_fortran_order_if_they_have_it_else_in_c_order(array, data):
    view = data.draw(st.sampled_from([array.T, array[::-1], array[:, ::2], np.asfortranarray(array)]))
    back = ArraySpec().parse(dumped(ArraySpec(), view), {})
    np.testing.assert_array_equal(back, view)
    assert back.flags.c_contiguous == (view.flags.c_contiguous or not view.flags.f_contiguous)
    assert digest_of(back) == digest_of(view)


def test_an_array_in_fortran_order_is_written_without_a_copy(tmp_path):
    sink = Sink()
    array = np.asfortranarray(np.zeros((1 << 10, 1 << 10)))
    ArraySpec().dump(array, sink)
    assert sink.pieces[1:] == [8 << 20]
    warehouse = Warehouse(tmp_path / "plant")
    assert warehouse.load(warehouse.save("x", array)).flags.f_contiguous


def test_the_data_are_aligned(tmp_path):
    sink = Sink()
    ArraySpec().dump(np.arange(10), sink)
    assert sink.pieces[0] % 64 == 0


def test_a_contiguous_array_is_written_without_a_copy():
    sink = Sink()
    ArraySpec().dump(np.zeros(1 << 20), sink)
    assert sink.pieces[1:] == [8 << 20]


def test_other_arrays_are_copied_in_parts():
    array = np.zeros((_COPY_BYTES // 1000, 4000))[:, ::2]
    sink = Sink()
    ArraySpec().dump(array, sink)
    assert max(sink.pieces) <= _COPY_BYTES
    assert len(sink.pieces) > 3


def many_fields(count):
    return np.dtype([(f"measurement_{number}", "f8") for number in range(count)])


@pytest.mark.parametrize("count", [600, 6000])  # NumPy warns of longer headers than 10,000 characters
def test_an_array_with_many_fields_comes_back(tmp_path, count):
    array = np.zeros(3, many_fields(count))
    array["measurement_5"] = [1, 2, 3]
    warehouse = Warehouse(tmp_path / "plant")
    stored = warehouse.save("x", array)
    assert stored.format == "array"
    assert same(warehouse.load(stored), array)


def test_an_array_whose_header_is_too_long_is_stored_as_an_object(tmp_path, monkeypatch):
    monkeypatch.setattr("pyplant.specs.array._MAX_HEADER", 10_000)
    array, warehouse = np.zeros(3, many_fields(600)), Warehouse(tmp_path / "plant")
    stored = warehouse.save("x", array)
    assert stored.format == "object"
    assert same(warehouse.load(stored), array)
    with pytest.raises(NotAllocatedError, match="too many fields"):
        warehouse.allocate("y", ArraySpec, {"shape": 3, "dtype": array.dtype})


def test_what_is_received_is_a_plain_writable_array_over_a_private_map(tmp_path):
    warehouse = Warehouse(tmp_path / "plant")
    ingredient = warehouse.save("x", np.zeros(10_000))
    first, second = warehouse.load(ingredient), warehouse.load(ingredient)
    assert type(first) is np.ndarray
    assert not first.flags.owndata
    first[:] = 1
    assert second.sum() == 0
    assert warehouse.load(ingredient).sum() == 0


def test_arrays_of_objects_are_refused():
    array = np.array([None, 1])
    assert not ArraySpec().matches(array)
    with pytest.raises(UnsavableError, match="Python objects"):
        dumped(ArraySpec(), array)


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_subclasses_are_objects():
    assert not ArraySpec().matches(np.matrix([[1]]))
    assert not ArraySpec().matches(np.ma.array([1]))


def test_an_allocated_array_equals_one_that_was_sent(tmp_path):
    warehouse = Warehouse(tmp_path / "plant")
    allocation = warehouse.allocate("x", Ingredient.Type.array, {"shape": (100, 50), "dtype": "f4"})
    allocation.handle[:] = 7
    finished = warehouse.finish(allocation)
    sent = warehouse.save("x", np.full((100, 50), 7, "f4"))
    assert finished.digest == sent.digest
    assert same(warehouse.load(finished), warehouse.load(sent))


@pytest.mark.slow
def test_several_processes_fill_an_allocated_array_in_place(tmp_path):
    def fill(path, row):
        part = np.load(path, mmap_mode="r+")
        part[row] = row
        part.flush()

    @ReactorFunc
    def filled(pipe):
        data = pipe.allocate("data", Ingredient.Type.array, shape=(8, 1000), dtype="i4")
        with loky.ProcessPoolExecutor(2) as workers:
            list(workers.map(partial(fill, data.filename), range(8)))
        pipe.send("data", data)

    @ReactorFunc
    def sent(pipe):
        pipe.send("same", np.repeat(np.arange(8, dtype="i4"), 1000).reshape(8, 1000))

    with Plant(tmp_path / "plant") as plant:
        plant.add_reactor(filled, sent)
        data, expected = plant.get("data", "same")
        assert same(data, expected)
        assert plant.fsck().is_clean


def test_a_part_of_an_allocated_array_cannot_be_sent(tmp_path):
    @ReactorFunc
    def sends_part(pipe):
        whole = pipe.allocate("whole", Ingredient.Type.array, shape=(10, 10), dtype=float)
        pipe.send("part", whole[2:5])

    with Plant(tmp_path / "plant") as plant:
        plant.add_reactor(sends_part)
        with pytest.raises(NotAllocatedError, match="part.copy"):
            plant.run_reactor(sends_part)


def test_allocation_without_room_fails_at_once_and_says_how_much_is_needed(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="8.0 MB are needed") as caught:
        ArraySpec().allocate(tmp_path / "x.npy", shape=1_000_000)
    assert caught.value.errno == errno.ENOSPC
    assert not (tmp_path / "x.npy").exists()


@pytest.mark.parametrize("options", [{}, {"size": 5}, {"shape": 3, "dtype": object}])
def test_wrong_options_are_refused(tmp_path, options):
    with pytest.raises(NotAllocatedError):
        ArraySpec().allocate(tmp_path / "x.npy", **options)


def test_digests_of_arrays_within_other_values_tell_dtype_shape_and_content_apart():
    arrays = [np.arange(6), np.arange(6.0), np.arange(6).reshape(2, 3), np.arange(1, 7), np.array([None, 1])]
    digests = [digest_of({"x": array}) for array in arrays]
    assert len(set(digests)) == len(digests)
    assert digest_of({"x": np.arange(6)}) == digests[0]
    assert digest_of({"x": np.arange(12)[::2] // 2}) == digests[0]


def test_scalars_of_numpy_are_told_from_those_of_python():
    assert digest_of(np.float64(1)) != digest_of(1.0)
    assert digest_of(np.float64(1)) == digest_of(np.float64(1))


@pytest.mark.parametrize("elements", [1_000, 40_000], ids=["copied", "mapped"])
def test_more_arrays_are_held_than_files_may_be_open(tmp_path, elements):
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    in_use = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 100
    count = 60

    @ReactorFunc
    def rows(pipe):
        for row in range(count):
            pipe.send(f"row {row}", np.full(elements, float(row)))

    with Plant(tmp_path / "plant", progress=False) as plant:
        plant.add_reactor(rows)
        plant.run_reactor(rows)
        resource.setrlimit(resource.RLIMIT_NOFILE, (in_use + 40, limits[1]))
        try:
            received = plant.get([f"row {row}" for row in range(count)])
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    for row, array in enumerate(received):
        assert np.all(array == row)
        array[0] = -1.0  # writable, and private


@pytest.mark.parametrize("order", "<>")
def test_texts_of_another_user_with_impossible_characters_are_refused(order):
    content = bytearray(dumped(ArraySpec(), np.array(["ab", "c"], f"{order}U2")))
    ArraySpec().validate(content, {})
    content[-8:-4] = b"\xff" * 4
    with pytest.raises(ValueError, match="do not exist"):
        ArraySpec().validate(content, {})
