"""The digest of an HDF5 file: everything that a consumer can see of it.

Whoever receives a dataset can ask for its attributes, for its file, and there for other
datasets and groups; all of them count, in the order in which a program meets them.
So do the options of a dataset that h5py shows: chunks, filters, fill value. What HDF5 does
with the bytes (where an object lies in the file, the order in which it was written, times)
does not.

References are addresses within a file; they count as the object that they point to, which
is named by when it is first met.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from pyplant.fingerprint.fingerprint import digest_of
from pyplant.fingerprint.hashing import DIGEST_BYTES, hasher
from pyplant.specs.array import contiguous_bytes

__all__ = ["address", "file_digest", "slabs"]

_SLAB = 1 << 25  # bytes that are read at once


def file_digest(path: Path) -> str:
    """The digest of what an HDF5 file says."""
    import h5py

    with h5py.File(path, "r", locking=False) as stream:
        return _Walk(stream).digest()


def address(item: Any) -> int:
    """Where an object is in its HDF5 file, whatever the link that leads there."""
    import h5py

    return int(h5py.h5o.get_info(item.id).addr)


class _Walk:
    """Meets every object of a file once, however many links and references lead to it."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._numbers: dict[int, int] = {}
        self._met: list[Any] = []

    def digest(self) -> str:
        whole = hasher()
        self._number(self._stream["/"])
        for obj in self._met:  # grows on the way
            whole.update(digest_of(self._described(obj)).encode())
        return whole.hexdigest(length=DIGEST_BYTES)

    def _number(self, obj: Any) -> int:
        place = address(obj)
        if place not in self._numbers:
            self._numbers[place] = len(self._met)
            self._met.append(obj)
        return self._numbers[place]

    def _described(self, obj: Any) -> Any:
        import h5py

        attributes = [self._attribute(obj, name) for name in obj.attrs]
        if isinstance(obj, h5py.Group):
            return "group", attributes, [(name, self._number(obj[name])) for name in obj]
        if isinstance(obj, h5py.Dataset):
            return "dataset", attributes, obj.shape, obj.dtype, _options(obj), self._values(obj)
        return "type", attributes, obj.dtype

    def _attribute(self, obj: Any, name: str) -> Any:
        found = obj.attrs.get_id(name)
        return name, found.shape, found.dtype, self._plain(obj.attrs[name])

    def _values(self, data: Any) -> str:
        """The digest of the values of a dataset, read in pieces."""
        whole = hasher()
        if data.shape is None:
            return ""
        for slab in slabs(data):
            values = data[slab]
            if data.dtype.hasobject:  # texts and other values of variable length, references
                whole.update(digest_of(self._plain(values)).encode())
            else:
                whole.update(contiguous_bytes(values))
        return str(whole.hexdigest(length=DIGEST_BYTES))

    def _plain(self, value: Any) -> Any:
        """A value with numbers of objects for references to them."""
        import h5py
        import numpy as np

        if isinstance(value, h5py.Reference):
            if not value:
                return None
            target = self._number(self._stream[value])
            is_region = isinstance(value, h5py.RegionReference)
            return "reference", target, self._selection(value) if is_region else None
        if isinstance(value, h5py.Empty):
            return "empty", value.dtype
        if not isinstance(value, np.ndarray | np.void) or not value.dtype.hasobject:
            return value
        if value.dtype.names is not None:
            return value.shape, [(name, self._plain(value[name])) for name in value.dtype.names]
        return value.shape, [self._plain(item) for item in np.ravel(value).tolist()]

    def _selection(self, reference: Any) -> Any:
        import h5py

        space = h5py.h5r.get_region(reference, self._stream.id)
        if space.get_select_type() == h5py.h5s.SEL_HYPERSLABS:
            return space.shape, "blocks", space.get_select_hyper_blocklist()
        if space.get_select_type() == h5py.h5s.SEL_POINTS:
            return space.shape, "points", space.get_select_elem_pointlist()
        return space.shape, space.get_select_npoints()


def _options(data: Any) -> Any:
    """What h5py shows of how a dataset was created."""
    plist = data.id.get_create_plist()
    filters = [plist.get_filter(number) for number in range(plist.get_nfilters())]
    fill_value = None
    with suppress(Exception):  # types of variable length have none that h5py can read
        fill_value = data.fillvalue
    return data.maxshape, data.chunks, filters, fill_value


def slabs(data: Any) -> Iterator[Any]:
    """Selections that together cover a dataset in order, each of bounded size."""
    import numpy as np

    shape, chunks = data.shape, data.chunks
    if not shape or 0 in shape:
        yield ()
        return
    # The leading axes are walked one by one until what is left fits.
    row = data.dtype.itemsize
    axis = len(shape)
    while axis > 0 and row * shape[axis - 1] <= _SLAB:
        axis -= 1
        row *= shape[axis]
    if axis == 0:
        yield ()
        return
    axis -= 1
    step = max(1, _SLAB // row)
    if chunks is not None:  # whole chunks, so that none is unpacked twice
        step = max(1, step // chunks[axis]) * chunks[axis]
    for lead in np.ndindex(*shape[:axis]):
        for start in range(0, shape[axis], step):
            yield (*lead, slice(start, min(start + step, shape[axis])))
