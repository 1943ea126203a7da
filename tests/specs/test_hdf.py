"""HDF5 arrays."""

import errno
import itertools
import os

import h5py
import numpy as np
import pytest

from pyplant import Plant, ReactorFunc, specs
from pyplant.errors import NotAllocatedError, UnsavableError
from pyplant.specs import HdfArraySpec, steady_file
from pyplant.specs import hdf_digest as module
from pyplant.store.warehouse import Warehouse
from pyplant.testing import SpecConformance
from reliability.trial import forked

resource = pytest.importorskip("resource")


def store(warehouse, value, **options):
    allocation = warehouse.allocate(
        "value", HdfArraySpec, {"shape": value.shape, "dtype": value.dtype, **options}
    )
    allocation.handle[...] = value
    return warehouse.finish(allocation)


class TestHdf(SpecConformance):
    def spec(self):
        return HdfArraySpec()

    def values(self):
        grid = np.arange(24)
        return [
            grid.reshape(2, 3, 4),
            grid.reshape(4, 6),
            grid.reshape(4, 6).astype("f4"),
            grid.reshape(4, 6)[::-1],
            np.array(5.0),
            np.zeros((0, 3)),
        ]

    def fill(self, warehouse, value):
        return store(warehouse, np.asarray(value[()]))

    def equal(self, left, right):
        left, right = (np.asarray(item[()]) for item in (left, right))
        return left.dtype == right.dtype and np.array_equal(left, right)


@pytest.fixture
def warehouse(tmp_path):
    return Warehouse(tmp_path / "plant")


def test_a_dataset_is_received_read_only(warehouse):
    data = warehouse.load(store(warehouse, np.arange(5)))
    assert isinstance(data, h5py.Dataset)
    with pytest.raises((OSError, ValueError, RuntimeError)):
        data[0] = 9


def test_the_digest_is_of_the_content_not_of_the_file(warehouse):
    def filled(order):
        options = {"shape": (4, 100), "dtype": "i8", "chunks": (1, 100), "compression": "gzip"}
        allocation = warehouse.allocate("value", HdfArraySpec, options)
        for row in order:
            allocation.handle[row] = np.arange(100) * row
        return warehouse.finish(allocation)

    upwards, downwards = filled(range(4)), filled(reversed(range(4)))
    assert upwards.object != downwards.object
    assert upwards.digest == downwards.digest


@pytest.mark.parametrize("shape", [(7,), (50, 3), (3, 50), (2, 3, 5, 7), (1, 1, 100)])
@pytest.mark.parametrize("chunks", [None, True])
def test_slabs_cover_a_dataset_once_in_order_and_are_bounded(tmp_path, monkeypatch, shape, chunks):
    monkeypatch.setattr(module, "_SLAB_BYTES", 64)
    values = np.arange(np.prod(shape)).reshape(shape)
    with h5py.File(tmp_path / "x.h5", "w") as stream:
        data = stream.create_dataset("data", data=values, chunks=chunks)
        pieces = [np.ravel(data[slab]) for slab in module.slabs(data)]
    np.testing.assert_array_equal(np.concatenate(pieces), values.ravel())
    if chunks is None:
        assert max(piece.nbytes for piece in pieces) <= 64


def test_it_must_be_allocated(plant_dir):
    @ReactorFunc
    def sends(pipe):
        pipe.send("x", np.zeros(3), specs.HdfArraySpec)

    with Plant(plant_dir) as plant:
        plant.add_reactor(sends)
        with pytest.raises(NotAllocatedError, match="pipe.allocate\\('x', HdfArraySpec"):
            plant.run_reactor(sends)


def test_invalid_options_are_refused(tmp_path):
    with pytest.raises(NotAllocatedError, match="shape"):
        HdfArraySpec().allocate(tmp_path / "x.h5")
    with pytest.raises(NotAllocatedError, match="cannot be allocated"):
        HdfArraySpec().allocate(tmp_path / "x.h5", shape=(3,), chunks=(50,), compression="nonsense")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_the_reactor_closed_is_an_error(plant_dir):
    @ReactorFunc
    def closes(pipe):
        data = pipe.allocate("x", specs.HdfArraySpec, shape=(3,))
        pipe.send("x", data)
        data.file.close()

    with Plant(plant_dir) as plant:
        plant.add_reactor(closes)
        with pytest.raises(UnsavableError, match="reactor closed the HDF5 file"):
            plant.run_reactor(closes)


def test_a_reactor_that_fails_leaves_no_file(plant_dir):
    @ReactorFunc
    def fails(pipe):
        pipe.allocate("x", specs.HdfArraySpec, shape=(3,))
        raise ValueError("boom")

    with Plant(plant_dir) as plant:
        plant.add_reactor(fails)
        with pytest.raises(ValueError, match="boom"):
            plant.run_reactor(fails)
        assert list((plant_dir / "tmp").rglob("*.h5")) == []


def test_texts_have_digests_too(warehouse):
    def texts(*values):
        options = {"shape": (2,), "dtype": h5py.string_dtype()}
        allocation = warehouse.allocate("value", HdfArraySpec, options)
        allocation.handle[...] = values
        return warehouse.finish(allocation).digest

    assert texts("a", "b") == texts("a", "b")
    assert texts("a", "b") != texts("b", "a")


def test_a_dataset_larger_than_the_free_space_is_refused(tmp_path):
    with pytest.raises(OSError, match=r"40000 TB are needed, but only [\d.]+ .?B are free"):
        HdfArraySpec().allocate(tmp_path / "x.h5", shape=(10**8, 10**8))
    assert list(tmp_path.iterdir()) == []


def test_a_chunked_dataset_reserves_no_space(tmp_path):
    handle = HdfArraySpec().allocate(tmp_path / "x.h5", shape=(10**8, 10**8), chunks=(1000, 1000))
    HdfArraySpec().discard(handle)


@pytest.mark.parametrize(
    "options",
    [
        {"chunks": True},
        {"chunks": (2, 50), "compression": "gzip", "compression_opts": 1, "shuffle": True},
        {"chunks": (5, 5), "compression": "lzf"},
        {"fletcher32": True},
    ],
)
def test_chunks_compression_and_checksums_are_kept(warehouse, options):
    values = np.arange(1000.0).reshape(10, 100)
    data = warehouse.load(store(warehouse, values, **options))
    np.testing.assert_array_equal(data[...], values)
    assert data.chunks
    for name, value in options.items():
        assert getattr(data, name) if value is True else getattr(data, name) == value


class TestOtherFiles:
    """A planted file must not read others: the receiver would be shown what its author cannot read."""

    @pytest.fixture
    def secret(self, tmp_path):
        path = tmp_path / "secret"
        path.write_bytes(b"s" * 48)
        return path

    def external_storage(self, stream, secret):
        stream.create_dataset("data", shape=(48,), dtype="u1", external=[(str(secret), 0, 48)])

    def external_link(self, stream, secret):
        with h5py.File(secret.with_suffix(".h5"), "w") as other:
            other["data"] = np.zeros(48)
        stream["data"] = h5py.ExternalLink(str(secret.with_suffix(".h5")), "data")

    def virtual(self, stream, secret):
        layout = h5py.VirtualLayout(shape=(48,), dtype="u1")
        layout[:] = h5py.VirtualSource(str(secret), "data", shape=(48,))
        stream.create_virtual_dataset("data", layout)

    def soft_link(self, stream, secret):
        stream["data"] = h5py.SoftLink("/elsewhere")

    def beside(self, stream, secret):
        stream["data"] = np.zeros(48)
        self.external_storage(stream.create_group("further"), secret)

    @pytest.mark.parametrize("how", ["external_storage", "external_link", "virtual", "soft_link", "beside"])
    def test_a_file_that_refers_to_other_files_does_not_load(self, tmp_path, secret, how):
        with h5py.File(tmp_path / "planted.h5", "w") as stream:
            getattr(self, how)(stream, secret)
        with pytest.raises(ValueError, match="refers to another place"):
            HdfArraySpec().load(tmp_path / "planted.h5", {})

    @pytest.mark.parametrize("how", ["attribute", "list", "field", "dataset", "region", "in another"])
    def test_what_only_a_reference_leads_to_is_looked_at(self, tmp_path, secret, how):
        path = tmp_path / "planted.h5"
        with h5py.File(path, "w", libver="earliest") as stream:
            data = stream.create_dataset("data", data=np.zeros(4))
            hidden = stream.create_dataset("zz", shape=(48,), dtype="u1", external=[(str(secret), 0, 48)])
            match how:
                case "attribute":
                    data.attrs["scale"] = hidden.ref
                case "list":
                    lists = np.empty(1, object)
                    lists[0] = np.array([hidden.ref], h5py.ref_dtype)
                    data.attrs.create("DIMENSION_LIST", lists, dtype=h5py.vlen_dtype(h5py.ref_dtype))
                case "field":
                    kind = np.dtype([("to", h5py.ref_dtype), ("index", "i4")])
                    data.attrs.create("REFERENCE_LIST", np.array([(hidden.ref, 0)], kind), dtype=kind)
                case "dataset":
                    stream.create_dataset(
                        "more", data=np.array([hidden.ref], h5py.ref_dtype), dtype=h5py.ref_dtype
                    )
                case "region":
                    data.attrs["region"] = hidden.regionref[:]
                case "in another":
                    between = stream.create_dataset("zy", shape=(1,), dtype="u1")
                    between.attrs["to"] = hidden.ref
                    data.attrs["to"] = between.ref
            names = len(stream)
        # The last names disappear from the list of names of the root; what they led to stays.
        content = bytearray(path.read_bytes())
        place = content.index(b"SNOD") + 6
        assert content[place] == names
        content[place] = 2 if how == "dataset" else 1
        path.write_bytes(content)
        with h5py.File(path) as stream:
            assert "zz" not in list(stream)
        with pytest.raises(ValueError, match="refers to another place"):
            HdfArraySpec().load(tmp_path / "planted.h5", {"shape": [4], "dtype": "float64"})

    def test_scales_of_dimensions_load(self, tmp_path):
        with h5py.File(tmp_path / "f.h5", "w") as stream:
            stream["data"], stream["x"] = np.zeros(3), np.arange(3)
            stream["x"].make_scale("x")
            stream["data"].dims[0].attach_scale(stream["x"])
        loaded = HdfArraySpec().load(tmp_path / "f.h5", {"shape": [3], "dtype": "float64"})
        assert list(loaded.dims[0][0]) == [0, 1, 2]

    @pytest.mark.parametrize("where", ["dataset", "field", "attribute", "beside", "named type"])
    def test_what_h5py_takes_for_pointers_does_not_load(self, tmp_path, where):
        opaque = h5py.h5t.create(h5py.h5t.OPAQUE, 8)
        opaque.set_tag(b"NUMPY:|O")
        if where == "field":
            kind = h5py.h5t.create(h5py.h5t.COMPOUND, 8)
            kind.insert(b"a", 0, opaque)
        else:
            kind = opaque
        scalar = h5py.h5s.create_simple((4,))
        with h5py.File(tmp_path / "planted.h5", "w") as stream:
            if where in ("dataset", "field"):
                h5py.h5d.create(stream.id, b"data", kind, scalar)
            else:
                stream["data"] = np.zeros(4)
            if where == "attribute":
                h5py.h5a.create(stream["data"].id, b"unit", kind, scalar)
            if where == "beside":
                h5py.h5d.create(stream.create_group("further").id, b"more", kind, scalar)
            if where == "named type":
                kind.commit(stream.id, b"type")
        with pytest.raises(ValueError, match="addresses of objects"):
            HdfArraySpec().load(tmp_path / "planted.h5", {"shape": [4], "dtype": "float64"})

    def test_times_of_numpy_load(self, tmp_path):
        times = np.array(["2026-01-01"], "M8[s]")
        with h5py.File(tmp_path / "f.h5", "w") as stream:
            stream["data"] = times.astype(h5py.opaque_dtype(times.dtype))
        assert HdfArraySpec().load(tmp_path / "f.h5", {"shape": [1], "dtype": "datetime64[s]"})[0] == times[0]

    def test_a_cycle_of_groups_is_walked_once(self, tmp_path):
        with h5py.File(tmp_path / "f.h5", "w") as stream:
            stream["data"] = np.arange(3)
            group = stream.create_group("a")
            group["itself"] = group
            group["root"] = stream["/"]
        assert list(HdfArraySpec().load(tmp_path / "f.h5", {"shape": [3], "dtype": "int64"})) == [0, 1, 2]

    def test_another_size_than_that_of_the_record_does_not_load(self, tmp_path):
        with h5py.File(tmp_path / "f.h5", "w") as stream:
            stream.create_dataset("data", shape=(1 << 50,), dtype="f8", chunks=(1 << 10,), fillvalue=1.0)
        with pytest.raises(ValueError, match="instead of the one that was stored"):
            HdfArraySpec().load(tmp_path / "f.h5", {"shape": [3], "dtype": "float64"})

    def test_external_storage_cannot_be_allocated(self, tmp_path, secret):
        with pytest.raises(NotAllocatedError, match="external"):
            HdfArraySpec().allocate(tmp_path / "x.h5", shape=(4,), external=[(str(secret), 0, 48)])

    def test_a_file_that_refers_to_other_files_is_not_stored(self, tmp_path, secret):
        handle = HdfArraySpec().allocate(tmp_path / "x.h5", shape=(4,))
        self.external_link(handle.file.create_group("further"), secret)
        with pytest.raises(UnsavableError, match="refers to another place"):
            HdfArraySpec().finish(handle)


KINDS = {
    "contiguous": {},
    "chunks": {"chunks": (1000,)},
    "compressed": {"chunks": (1000,), "compression": "gzip"},
    "growing": {"chunks": (1000,), "maxshape": (None,)},
    "texts": {"dtype": h5py.string_dtype(), "chunks": (100,)},
}
_LENGTH = 60_000


def fill(dataset):
    random = np.random.default_rng(0)
    for start in range(0, _LENGTH, 7_000):
        values = random.random(min(7_000, _LENGTH - start))
        dataset[start : start + 7_000] = (
            values if dataset.dtype.kind == "f" else [f"{value:.100f}" for value in values]
        )
        dataset.attrs[f"start {start}"] = np.arange(50)
        dataset.file.create_group(f"group {start}")


def full_disk(warehouse, kind, limit):
    """Fill a dataset until the disk, or what stands for it, is full; returns the error that the reactor gets."""
    options = {"shape": (_LENGTH,), "dtype": "f8", **KINDS[kind]}
    allocation = warehouse.allocate("value", HdfArraySpec, options)
    limit()
    try:
        fill(allocation.handle)
        warehouse.finish(allocation)
    except OSError as error:
        found = error.errno, str(error)
    else:
        found = None
    warehouse.discard(allocation)
    with h5py.File(allocation.path.with_suffix(".other"), "w", driver="core", backing_store=False) as other:
        other["x"] = np.arange(10)  # the library still works
        assert other["x"][3] == 3
    assert not allocation.path.exists()
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.skipif(not hasattr(os, "fork"), reason="a limit cannot be undone")
def test_a_disk_that_runs_full_is_an_error(warehouse, kind):
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    ended = forked(lambda: full_disk(warehouse, kind, limit))
    assert ended.error == ""
    code, text = ended.value
    assert code == errno.EFBIG
    assert kind == "contiguous" or ("could be written: File too large" in text)


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - {"contiguous"}))
@pytest.mark.slow
def test_each_write_may_fail(warehouse, kind, monkeypatch):
    writes = itertools.count()
    real = os.pwrite

    def counted(descriptor, data, offset):
        if next(writes) >= failing:
            raise OSError(errno.EIO, "Input/output error")
        return real(descriptor, data, offset)

    monkeypatch.setattr(steady_file.os, "pwrite", counted)
    failing = 1 << 60
    assert full_disk(warehouse, kind, lambda: None) is None
    total = next(writes)
    for failing in sorted({0, 1, 2, 3, 5, *range(8, total, max(1, total // 8)), total - 1}):
        writes = itertools.count()
        code, _ = full_disk(warehouse, kind, lambda: None)
        assert code == errno.EIO


def test_the_error_says_how_much_space_is_needed_and_comes_at_the_write_that_fails(plant_dir, monkeypatch):
    filled = []

    @ReactorFunc
    def make(pipe):
        data = pipe.allocate("data", HdfArraySpec, shape=(4000, 1000), dtype="f8", chunks=(100, 1000))
        for row in range(0, 4000, 100):
            data[row : row + 100] = row
            filled.append(row)
        pipe.send("data", data)

    real = os.pwrite

    def full(descriptor, data, offset):
        if offset > 400_000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(descriptor, data, offset)

    monkeypatch.setattr(steady_file.os, "pwrite", full)
    plant = Plant(plant_dir, progress=False)
    plant.add_reactor(make)
    with pytest.raises(OSError, match=r"32\.0 MB are needed, .* could be written: No space left on device"):
        plant.get("data")
    assert len(filled) < 39
    assert list((plant.directory / "tmp").rglob("*.h5")) == []


def test_an_interrupt_during_a_write_reaches_the_reactor(warehouse, monkeypatch):
    def interrupted(descriptor, data, offset):
        raise KeyboardInterrupt

    allocation = warehouse.allocate("value", HdfArraySpec, {"shape": (9000,), "chunks": (100,)})
    monkeypatch.setattr(steady_file.os, "pwrite", interrupted)
    with pytest.raises(KeyboardInterrupt):
        for start in range(0, 9000, 1000):
            allocation.handle[start : start + 1000] = 1.0
            allocation.handle.flush()
    warehouse.discard(allocation)


def test_what_was_written_after_an_error_can_be_read(tmp_path, monkeypatch):
    file = steady_file.SteadyFile(tmp_path / "file")
    file.write(memoryview(b"a" * 5000))
    monkeypatch.setattr(
        steady_file.os, "pwrite", lambda *_: (_ for _ in ()).throw(OSError(errno.EIO, "broken"))
    )
    file.seek(4090)
    file.write(memoryview(b"b" * 10))
    file.seek(10_000)
    file.write(memoryview(b"c" * 3))
    file.seek(4085)
    assert file.read(20) == b"aaaaabbbbbbbbbbaaaaa"
    file.seek(9998)
    assert file.read(7) == b"\0\0ccc\0\0"
    assert file.seek(0, os.SEEK_END) == 10_003
    with pytest.raises(OSError, match=r"only 5\.0 kB could be written: broken"):
        file.check()
    file.close()
