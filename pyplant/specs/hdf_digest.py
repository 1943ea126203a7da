"""The digest of an HDF5 file: it covers everything that a reactor can see of the file.

How it works
------------
- A reactor that receives a dataset can read its attributes and, through its file, all other datasets and groups. All
  are part of the digest, in the order in which h5py lists them. So are the options of a dataset that h5py shows: chunks,
  filters, fill value. The layout of the file (addresses, the order of writing, times) is not.
- The objects of a file form a graph, since links and references may lead to an object several times. The graph is walked
  breadth first. Each object gets a number when it is first found, and is then denoted by its number. References are
  addresses within the file, so they are replaced by these numbers, too.
- Datasets may be larger than memory and are read slab by slab.
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

_SLAB_BYTES = 1 << 25  # read at once


def file_digest(path: Path) -> str:
    """Return the digest of the content of an HDF5 file."""
    import h5py

    with h5py.File(path, "r", locking=False) as stream:
        return _FileDigest(stream).digest()


def address(item: Any) -> int:
    """Return the address of an object in its HDF5 file; it is the same through every link."""
    import h5py

    return int(h5py.h5o.get_info(item.id).addr)


class _FileDigest:
    """Walks the objects of a file, each of them once."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._numbers: dict[int, int] = {}
        self._objects: list[Any] = []

    def digest(self) -> str:
        whole = hasher()
        self._number(self._stream["/"])
        for obj in self._objects:  # describing an object appends those that it refers to
            whole.update(digest_of(self._description(obj)).encode())
        return whole.hexdigest(length=DIGEST_BYTES)

    def _number(self, obj: Any) -> int:
        """Return the number of an object; a new one is appended to the objects to describe."""
        found_at = address(obj)
        if found_at not in self._numbers:
            self._numbers[found_at] = len(self._objects)
            self._objects.append(obj)
        return self._numbers[found_at]

    def _description(self, obj: Any) -> Any:
        import h5py

        attributes = [self._attribute(obj, name) for name in obj.attrs]
        if isinstance(obj, h5py.Group):
            return "group", attributes, [(name, self._number(obj[name])) for name in obj]
        if isinstance(obj, h5py.Dataset):
            return "dataset", attributes, obj.shape, obj.dtype, _options(obj), self._values(obj)
        return "type", attributes, obj.dtype

    def _attribute(self, obj: Any, name: str) -> Any:
        found = obj.attrs.get_id(name)
        return name, found.shape, found.dtype, self._without_addresses(obj.attrs[name])

    def _values(self, data: Any) -> str:
        """Return the digest of the values of a dataset, which is read slab by slab."""
        whole = hasher()
        if data.shape is None:
            return ""
        for slab in slabs(data):
            values = data[slab]
            if data.dtype.hasobject:  # strings and other values of variable length, references
                whole.update(digest_of(self._without_addresses(values)).encode())
            else:
                whole.update(contiguous_bytes(values))
        return str(whole.hexdigest(length=DIGEST_BYTES))

    def _without_addresses(self, value: Any) -> Any:
        """Replace references in a value by the numbers of the objects that they refer to."""
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
            return value.shape, [(name, self._without_addresses(value[name])) for name in value.dtype.names]
        return value.shape, [self._without_addresses(item) for item in np.ravel(value).tolist()]

    def _selection(self, reference: Any) -> Any:
        import h5py

        space = h5py.h5r.get_region(reference, self._stream.id)
        if space.get_select_type() == h5py.h5s.SEL_HYPERSLABS:
            return space.shape, "blocks", space.get_select_hyper_blocklist()
        if space.get_select_type() == h5py.h5s.SEL_POINTS:
            return space.shape, "points", space.get_select_elem_pointlist()
        return space.shape, space.get_select_npoints()


def _options(data: Any) -> Any:
    """Return what h5py shows of the creation options of a dataset."""
    plist = data.id.get_create_plist()
    filters = [plist.get_filter(number) for number in range(plist.get_nfilters())]
    fill_value = None
    with suppress(Exception):  # h5py cannot read it for types of variable length
        fill_value = data.fillvalue
    return data.maxshape, data.chunks, filters, fill_value


def slabs(data: Any) -> Iterator[Any]:
    """Yield selections of bounded size that together cover a dataset in order."""
    import numpy as np

    shape, chunks = data.shape, data.chunks
    if not shape or 0 in shape:
        yield ()
        return
    # Take trailing axes whole while they fit into a slab. The axis before them is cut into slices, and the remaining
    # leading axes are iterated index by index.
    row = data.dtype.itemsize
    axis = len(shape)
    while axis > 0 and row * shape[axis - 1] <= _SLAB_BYTES:
        axis -= 1
        row *= shape[axis]
    if axis == 0:
        yield ()
        return
    axis -= 1
    step = max(1, _SLAB_BYTES // row)
    if chunks is not None:  # slices of whole chunks, so that no chunk is decompressed twice
        step = max(1, step // chunks[axis]) * chunks[axis]
    for index in np.ndindex(*shape[:axis]):
        for start in range(0, shape[axis], step):
            yield (*index, slice(start, min(start + step, shape[axis])))
