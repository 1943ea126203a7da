"""NumPy arrays as ``.npy``, received as private memory maps.

NumPy takes longer to load than all of PyPlant; it is loaded when there are arrays.
"""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pyplant.engine.digest import Encoder, encodes
from pyplant.errors import NotAllocatedError, UnsavableError
from pyplant.specs.base import ByteSink, Metadata, StreamSpec
from pyplant.specs.room import reserve

if TYPE_CHECKING:
    import numpy as np

__all__ = ["ArraySpec"]

_CHUNK = 1 << 24  # bytes of a non-contiguous array that are copied at once


def _header(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bytes:
    """The head of a ``.npy`` file in C order, padded so that the data are aligned to 64 bytes."""
    from numpy.lib import format as npy

    stream = io.BytesIO()
    described = {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    npy.write_array_header_2_0(stream, described)
    return stream.getvalue()


def _refusal(array: Any) -> str:
    """Why an array cannot be stored as raw bytes; empty if it can."""
    import numpy as np
    from numpy.lib import format as npy

    if type(array) not in (np.ndarray, np.memmap):
        return f"a {type(array).__name__} is no plain NumPy array"
    if array.dtype.hasobject:
        return "an array of Python objects has no raw bytes; send it with Ingredient.Type.object"
    try:
        descr = npy.dtype_to_descr(array.dtype)
        if npy.descr_to_dtype(descr) != array.dtype:
            return f"dtype {array.dtype} does not survive the .npy format"
    except (TypeError, ValueError) as error:
        return str(error)
    return ""


class ArraySpec(StreamSpec):
    """A plain ``ndarray`` of any shape, and any dtype but ``object``.

    It is received as a writable ``ndarray`` in C order, over a private map of the file: at
    once whatever its size, and changes stay with the receiver. Subclasses of ``ndarray``
    are objects; a ``memmap`` counts as an array, for only its storage differs.

    Allocated, it is a ``numpy.memmap`` of a complete ``.npy`` file. Other processes that a
    reactor starts may fill parts of it: ``numpy.load(data.filename, mmap_mode="r+")``.
    """

    name: ClassVar[str] = "array"
    suffix: ClassVar[str] = ".npy"
    allocatable: ClassVar[bool] = True
    runs_code: ClassVar[bool] = False

    def matches(self, value: Any) -> bool:
        kind = type(value)
        is_plain = kind.__module__ == "numpy" and kind.__name__ in ("ndarray", "memmap")
        return is_plain and not value.dtype.hasobject

    def dump(self, value: Any, stream: ByteSink) -> Metadata:
        why = _refusal(value)
        if why:
            message = f"It cannot be stored as an array: {why}."
            raise UnsavableError(message)
        stream.write(_header(value.shape, value.dtype))
        if value.flags.c_contiguous:
            if value.nbytes:
                stream.write(_raw(value))
            return {}
        import numpy as np

        rows = max(1, _CHUNK // max(1, value.nbytes // len(value)))
        for start in range(0, len(value), rows):
            stream.write(_raw(np.ascontiguousarray(value[start : start + rows])))
        return {}

    def parse(self, buffer: Any, metadata: Metadata) -> Any:
        import numpy as np
        from numpy.lib import format as npy

        head = io.BytesIO(bytes(memoryview(buffer)[: 1 << 16]))
        npy.read_magic(head)
        shape, fortran, dtype = npy.read_array_header_2_0(head)
        if fortran or dtype.hasobject:
            message = "not an array that PyPlant wrote"
            raise ValueError(message)
        count = math.prod(shape)
        if isinstance(buffer, bytes):
            return np.frombuffer(buffer, dtype, count, head.tell()).reshape(shape).copy()
        return np.ndarray(shape, dtype, buffer, head.tell())

    # ------------------------------------------------------------------ allocation

    def allocate(self, path: Path, **options: Any) -> Any:
        """An array on disk, filled with zeros.

        Parameters
        ----------
        path
            Its file.
        shape, dtype
            As for ``numpy.zeros``; ``dtype`` is ``float`` if left out.
        """
        import numpy as np

        unknown = options.keys() - {"shape", "dtype"}
        if "shape" not in options or unknown:
            message = (
                f"An array is allocated with shape=... and dtype=..., got {', '.join(options) or 'nothing'}."
            )
            raise NotAllocatedError(message)
        dtype, shape = np.dtype(options.get("dtype", float)), options["shape"]
        shape = (int(shape),) if np.ndim(shape) == 0 else tuple(int(n) for n in shape)
        if dtype.hasobject:
            message = f"An array of dtype {dtype} cannot be allocated: Python objects have no raw bytes."
            raise NotAllocatedError(message)
        head = _header(shape, dtype)
        size = len(head) + math.prod(shape) * dtype.itemsize
        with path.open("xb", buffering=0) as stream:
            stream.write(head)
            reserve(stream.fileno(), size, path)
        if size == len(head):
            return np.zeros(shape, dtype)
        return np.memmap(path, dtype, "r+", len(head), shape)

    def finish(self, handle: Any) -> Metadata:
        import numpy as np

        if isinstance(handle, np.memmap):
            handle.flush()
        return {}

    def is_part_of(self, value: Any, handle: Any) -> bool:
        import numpy as np

        return isinstance(value, np.ndarray) and bool(np.may_share_memory(value, handle))


def _raw(array: Any) -> memoryview:
    """The bytes of a contiguous array; dtypes that have no buffer format are viewed as bytes."""
    return array.reshape(-1).view("u1").data if array.dtype.itemsize else memoryview(b"")


@encodes("numpy.ndarray", "numpy.memmap")
def _encode_array(value: Any, encoder: Encoder) -> None:
    import numpy as np
    from numpy.lib import format as npy

    encoder.tag("ndarray")
    encoder.item(value.shape)
    if value.dtype.hasobject:
        encoder.item(str(value.dtype))
        encoder.item(value.ravel().tolist())
        return
    encoder.item(npy.dtype_to_descr(value.dtype))
    flat = np.ascontiguousarray(value)
    encoder.buffer(_raw(flat) if flat.nbytes else b"")
