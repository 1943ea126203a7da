"""Arrays in HDF5 files, which are written in place and may be larger than memory."""

from __future__ import annotations

import errno
import math
import os
import re
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from pyplant.errors import NotAllocatedError, UnsavableError
from pyplant.specs import disk_space
from pyplant.specs.base import IngredientSpec, Metadata
from pyplant.specs.hdf_digest import file_digest
from pyplant.specs.hdf_references import refuse_other_files
from pyplant.specs.steady_file import SteadyFile

__all__ = ["HdfArraySpec"]

_DATASET = "data"
# With these, the file may be smaller than the array.
_SPARSE = frozenset({"chunks", "maxshape", "compression", "shuffle", "fletcher32", "scaleoffset"})


class HdfArraySpec(IngredientSpec):
    """An HDF5 dataset, allocated as a writable and received as a read-only ``h5py.Dataset``.

    ``data = pipe.allocate("data", specs.HdfArraySpec, shape=(500, 1000, 1000), dtype=np.float32)``.
    Other options go to ``h5py.Group.create_dataset``: ``chunks``, ``compression``, ...

    Attributes, and further datasets and groups in its file, are stored, too. The digest covers everything that h5py
    shows of the file. It is not that of the bytes, in which files of equal content may differ.

    A dataset keeps its file open as long as it exists, so a process can hold about as many as it may open files, usually
    1,024. Arrays and tables keep none open.
    """

    name: ClassVar[str] = "hdf"
    suffix: ClassVar[str] = ".h5"
    allocatable: ClassVar[bool] = True
    must_allocate: ClassVar[bool] = True
    runs_code: ClassVar[bool] = False

    def matches(self, value: Any) -> bool:
        h5py = sys.modules.get("h5py")
        return h5py is not None and isinstance(value, h5py.Dataset)

    def load(self, path: Path, metadata: Metadata) -> Any:
        import h5py

        # Without HDF5's locks: the file never changes, and NFS often refuses locks.
        stream = h5py.File(path, "r", locking=False)
        try:
            refuse_other_files(stream)
            dataset = stream[_DATASET]
            # A file of a few bytes may hold a dataset of any size.
            if [list(dataset.shape), str(dataset.dtype)] != [metadata["shape"], metadata["dtype"]]:
                message = f"a dataset of {dataset.shape} {dataset.dtype} instead of the one that was stored"
                raise ValueError(message)
            return dataset
        except BaseException:
            stream.close()
            raise

    def allocate(self, path: Path, **options: Any) -> Any:
        """Create a dataset, filled with zeros or with ``fillvalue``.

        Parameters
        ----------
        path
            Its file.
        shape
            Of the array.
        dtype
            ``float32`` if left out.
        **options
            See ``h5py.Group.create_dataset``.
        """
        import h5py
        import numpy as np

        if "shape" not in options and "data" not in options:
            message = "An HDF5 array is allocated with shape=... and dtype=...."
            raise NotAllocatedError(message)
        if options.get("external"):
            message = "The plant does not store external files of an HDF5 array; leave out external=...."
            raise NotAllocatedError(message)
        if "data" not in options:
            options.setdefault("dtype", "f4")
        data: Any = options.get("data")
        dtype = np.dtype(options.get("dtype") or getattr(data, "dtype", "O"))
        shape = options.get("shape") or np.shape(data)
        needed = math.prod(shape if np.ndim(shape) else (shape,)) * dtype.itemsize
        if not options.keys() & _SPARSE:
            disk_space.require(needed, path)
        # Writes of these may fail at any time. Others go to space that was found free; the driver for Python files has no
        # buffer, and would be slow where single elements of each row are written.
        is_steady = dtype.hasobject or bool(options.keys() & _SPARSE)
        file = SteadyFile(path, needed) if is_steady else None
        stream = h5py.File(file or path, "w", libver="latest", **({} if file else {"locking": False}))
        try:
            dataset = stream.create_dataset(_DATASET, track_times=False, **options)
        except Exception as error:
            _close(stream, file)
            path.unlink(missing_ok=True)
            if file is not None:
                file.check()
            message = f"The HDF5 array cannot be allocated: {error}"
            raise NotAllocatedError(message) from error
        return dataset if file is None else _checked_dataset()(dataset.id, file)

    def finish(self, handle: Any) -> Metadata:
        if not handle:
            message = "The reactor closed the HDF5 file; the plant closes it."
            raise UnsavableError(message)
        metadata = {"shape": list(handle.shape), "dtype": str(handle.dtype)}
        stream, file = handle.file, getattr(handle, "steady_file", None)
        try:
            refuse_other_files(stream)
            if stream.get(_DATASET) != handle:
                message = (
                    f"The dataset {_DATASET!r} was replaced or removed; fill the one that was allocated."
                )
                raise ValueError(message)
        except ValueError as error:
            self.discard(handle)
            raise UnsavableError(str(error)) from error
        try:
            stream.flush()
            stream.close()
        except (RuntimeError, OSError) as error:  # h5py raises either if the disk is full
            self.discard(handle)
            raise _disk_error(error) from error
        if file is not None:
            try:
                file.check()
            finally:
                file.close()
        return metadata

    def discard(self, handle: Any) -> None:
        with suppress(Exception):  # errors while discarding are ignored
            _close(handle.file if handle else None, getattr(handle, "steady_file", None))

    def digest(self, path: Path, metadata: Metadata) -> str | None:
        return file_digest(path)


@cache
def _checked_dataset() -> Any:
    """Return a class of datasets whose writes raise the error of their :class:`SteadyFile`."""
    import h5py

    class Dataset(h5py.Dataset):  # type: ignore[misc]
        def __init__(self, identifier: Any, file: SteadyFile) -> None:
            super().__init__(identifier)
            self.steady_file = file

        def __setitem__(self, selection: Any, value: Any) -> None:
            self._checked(super().__setitem__, selection, value)

        def write_direct(self, *arguments: Any, **options: Any) -> None:
            self._checked(super().write_direct, *arguments, **options)

        def resize(self, *arguments: Any, **options: Any) -> None:
            self._checked(super().resize, *arguments, **options)

        def flush(self) -> None:
            self._checked(super().flush)

        def _checked(self, write: Any, *arguments: Any, **options: Any) -> None:
            self.steady_file.check()
            write(*arguments, **options)
            self.steady_file.check()

    Dataset.__qualname__ = "Dataset"
    return Dataset


def _close(stream: Any, file: SteadyFile | None) -> None:
    """Close an HDF5 file that is not stored."""
    if stream:
        if file is None:
            # HDF5 crashes if it cannot write what it has in memory when it closes a file. Nothing of this one is needed.
            with open(os.devnull, "r+b") as null:
                os.dup2(null.fileno(), stream.id.get_vfd_handle(), inheritable=False)
        stream.close()
    if file is not None:
        file.close()


def _disk_error(error: Exception) -> OSError:
    """Return the system's error, whose number HDF5 gives in the text of its own."""
    found = re.search(r"errno = (\d+)", str(error))
    code = int(found[1]) if found else errno.EIO
    return OSError(code, f"the HDF5 file could not be written: {os.strerror(code)}")
