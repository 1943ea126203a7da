"""NumPy arrays as ``.npy`` files, received as private memory maps, or as copies if they are small.

How it works
------------
- The ``.npy`` header is written by NumPy with padding to 64 bytes, so the data are aligned when the file is mapped. NumPy's
  format 2.0 is always used: 1.0 limits the header to 64 kB, which many fields of a structured dtype can exceed.
- The digest of an array is that of its ``.npy`` bytes. That is correct only if equal arrays have equal bytes, so the bytes
  between the fields of a structured dtype, which NumPy leaves undefined, are written as zeros.
- A dtype is stored only if the dtype that NumPy reads back has the same digest. Others are stored as objects.
- NumPy takes longer to import than PyPlant, so it is imported inside functions: only when there are arrays.
"""

from __future__ import annotations

import gc
import io
import math
import sys
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING, Any, ClassVar

from pyplant.errors import NotAllocatedError, UnsavableError
from pyplant.fingerprint.digest import Encoder, encodes
from pyplant.fingerprint.fingerprint import digest_of
from pyplant.fingerprint.installed_names import installed_name
from pyplant.specs.base import ByteSink, Metadata, StreamSpec
from pyplant.specs.disk_space import reserve

if TYPE_CHECKING:
    import numpy as np

__all__ = ["ArraySpec", "contiguous_bytes"]

# NumPy refuses headers above 10,000 bytes unless told otherwise, since ast.literal_eval could crash on long ones. On all
# that were tried, Python 3.11 raises an error instead. A megabyte holds some 30,000 fields.
_MAX_HEADER = 1 << 20
_MAX_EMPTY = 1 << 32  # elements without bytes, of which a file of another user could name any number
_LENGTH = slice(8, 12)  # where a header of format 2.0 has its own length, after magic string and version
_COPY_BYTES = 1 << 24  # bytes of a non-contiguous array that are copied at once; bounds the memory


def _header(shape: tuple[int, ...], dtype: np.dtype[Any], *, fortran: bool = False) -> bytes:
    """Return the header of a ``.npy`` file, padded so that the data are aligned to 64 bytes.

    Raises
    ------
    UnsavableError
        If it is longer than what is read again.
    """
    from numpy.lib import format as npy

    stream = io.BytesIO()
    described = {"descr": npy.dtype_to_descr(dtype), "fortran_order": fortran, "shape": shape}
    npy.write_array_header_2_0(stream, described)
    if stream.tell() > _MAX_HEADER:
        message = "its dtype has too many fields for the .npy format"
        raise UnsavableError(message)
    return stream.getvalue()


def _metadata(array: Any) -> Metadata:
    """Return what is needed besides the ``.npy`` file to load an equal array.

    Raises
    ------
    UnsavableError
        If the array cannot be stored as raw bytes.
    """
    import numpy as np
    from numpy.lib import format as npy

    if type(array) not in (np.ndarray, np.memmap):
        message = f"a {type(array).__name__} is not a plain NumPy array"
        raise UnsavableError(message)
    dtype = array.dtype
    if dtype.hasobject:
        message = "an array of Python objects has no raw bytes; send it with Ingredient.Type.object"
        raise UnsavableError(message)
    if _is_simple(dtype):
        return {}
    if _has_metadata(dtype):
        message = "the .npy format cannot store the metadata of its dtype"
        raise UnsavableError(message)
    wanted = digest_of(dtype)
    try:
        back = npy.descr_to_dtype(npy.dtype_to_descr(dtype))
        if digest_of(back) == wanted:
            return {}
        if dtype.isalignedstruct and digest_of(_aligned(back)) == wanted:
            return {"aligned": True}
    except (TypeError, ValueError) as error:
        raise UnsavableError(str(error)) from error
    message = f"the .npy format cannot store dtype {dtype}"
    raise UnsavableError(message)


def _is_simple(dtype: np.dtype[Any]) -> bool:
    """Return whether ``dtype.str`` describes a dtype completely."""
    return (
        dtype.names is None
        # NumPy 1 gives times an empty one as it unpickles them.
        and (dtype.metadata is None or (not dtype.metadata and dtype.kind in "mM"))
        and dtype.subdtype is None
        and dtype.isbuiltin != 2  # noqa: PLR2004 - a type of another package, such as bfloat16
        and dtype.char != "T"
        and dtype.type.__module__ == "numpy"
    )


def _has_metadata(dtype: Any) -> bool:
    inner = [field[0] for field in (dtype.fields or {}).values()]
    inner += [dtype.subdtype[0]] if dtype.subdtype else []
    return dtype.metadata is not None or any(map(_has_metadata, inner))  # NumPy warns of empty metadata, too


def _aligned(dtype: Any) -> Any:
    """Return a structured dtype with the flag of ``align=True`` and the same offsets."""
    import numpy as np

    fields = dtype.fields or {}
    found = [fields[name] for name in dtype.names or ()]
    options: Any = {
        "names": dtype.names,
        "formats": [field[0] for field in found],
        "offsets": [field[1] for field in found],
        "titles": [field[2] if len(field) > 2 else None for field in found],  # noqa: PLR2004
        "itemsize": dtype.itemsize,
    }
    return np.dtype(options, align=True)


def _is_fortran(array: Any) -> bool:
    return bool(array.flags.f_contiguous and not array.flags.c_contiguous)


def _without_padding(array: Any) -> Any:
    """Return the array with zeros between the fields of its elements; these bytes are undefined otherwise."""
    import numpy as np

    if array.dtype.names is None:
        return array
    clean = np.zeros(array.shape, array.dtype, order="F" if _is_fortran(array) else "C")
    _copy_fields(array, clean)
    return clean


def _copy_fields(source: Any, target: Any) -> None:
    """Copy the fields and nothing between them.

    Assigning a whole structured array copies its memory, padding included, since NumPy 2.5.
    """
    if source.dtype.names is None:
        target[...] = source
        return
    for name in source.dtype.names:
        _copy_fields(source[name], target[name])


class ArraySpec(StreamSpec):
    """A plain ``ndarray`` of any shape, and any dtype but ``object``.

    It is received as a writable ``ndarray``: small ones (256 kB) are copied, larger ones are private maps of their
    files, which takes no time at any size. Changes stay with the receiver, and no file stays open. Fortran order is
    preserved, because rounding in linear algebra and the speed of access depend on it; an array in neither order is
    received in C order. Subclasses of ``ndarray`` and arrays whose dtype has metadata are stored as objects. A ``memmap``
    counts as an array, since it differs in its storage only.

    An allocated array is a ``numpy.memmap`` of a complete ``.npy`` file. Processes that the reactor starts may fill
    parts of it: ``numpy.load(data.filename, mmap_mode="r+")``.
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
        try:
            metadata = _metadata(value)
            fortran = _is_fortran(value)
            header = _header(value.shape, value.dtype, fortran=fortran)
        except UnsavableError as error:
            message = f"It cannot be stored as an array: {error}."
            raise UnsavableError(message) from error
        value = _without_padding(value)
        stream.write(header)
        value = value.T if fortran else value
        if value.flags.c_contiguous:
            if value.nbytes:
                stream.write(_bytes_of(value))
            return metadata
        import numpy as np

        rows = max(1, _COPY_BYTES // max(1, value.nbytes // len(value)))
        for start in range(0, len(value), rows):
            stream.write(_bytes_of(np.ascontiguousarray(value[start : start + rows])))
        return metadata

    def validate(self, buffer: Any, metadata: Metadata) -> None:
        value = self.parse(buffer, metadata)
        # NumPy raises SystemError where it makes texts of other numbers than code points.
        if value.dtype.kind == "U" and value.size and value.dtype.itemsize:
            codes = value.reshape(-1).view(value.dtype.byteorder.replace("|", "=") + "u4")
            if codes.max() > sys.maxunicode:
                message = "texts with characters that do not exist"
                raise ValueError(message)

    def parse(self, buffer: Any, metadata: Metadata) -> Any:
        import numpy as np
        from numpy.lib import format as npy

        view = memoryview(buffer)
        # A copy of the header only, since touching more of a mapped file would read it from the disk.
        length = min(_LENGTH.stop + int.from_bytes(view[_LENGTH], "little"), _MAX_HEADER)
        head = io.BytesIO(bytes(view[:length]))
        npy.read_magic(head)
        shape, fortran, dtype = npy.read_array_header_2_0(head, max_header_size=_MAX_HEADER)
        if dtype.hasobject:
            message = "not an array that PyPlant wrote"
            raise ValueError(message)
        if not dtype.itemsize and math.prod(shape) > _MAX_EMPTY:
            message = f"{math.prod(shape):,} elements without content"
            raise ValueError(message)
        dtype = _aligned(dtype) if metadata.get("aligned") else dtype
        array: Any = np.ndarray(shape, dtype, buffer, head.tell(), order="F" if fortran else "C")
        # Arrays over bytes are read-only.
        return array.copy(order="K") if isinstance(buffer, bytes) else array

    # ------------------------------------------------------------------ allocation

    def allocate(self, path: Path, **options: Any) -> Any:
        """Create an array on disk, filled with zeros.

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
        try:
            head = _header(shape, dtype)
        except UnsavableError as error:
            message = f"An array cannot be allocated: {error}."
            raise NotAllocatedError(message) from error
        size = len(head) + math.prod(shape) * dtype.itemsize
        with path.open("xb", buffering=0) as stream:
            stream.write(head)
            reserve(stream.fileno(), size, path)
        if size == len(head):  # no bytes of data, which cannot be mapped
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


def _bytes_of(array: Any) -> memoryview:
    """Return the bytes of a contiguous array; some dtypes have no buffer format, so it is viewed as bytes."""
    return array.reshape(-1).view("u1").data if array.nbytes else memoryview(b"")


def contiguous_bytes(array: Any) -> memoryview:
    """Return the bytes of an array in C order, with zeros between fields."""
    import numpy as np

    return _bytes_of(np.ascontiguousarray(_without_padding(array)))


@encodes("numpy.ndarray", "numpy.memmap")
def _encode_array(value: Any, encoder: Encoder) -> None:
    encoder.tag("ndarray")
    encoder.item(value.shape)
    encoder.item(value.dtype.str if _is_simple(value.dtype) else value.dtype)
    if _is_fortran(value):
        encoder.tag("fortran")
        value = value.T
    if value.dtype.hasobject:
        encoder.item(value.ravel().tolist())
        return
    encoder.buffer(contiguous_bytes(value))


@encodes("numpy.ufunc")
def _encode_ufunc(value: Any, encoder: Encoder) -> None:
    """Encode a ufunc by its name or, if it was made with ``frompyfunc``, by the user's function."""
    # A ufunc has no public attribute for the function that it was made of; the garbage collector knows it.
    made_from = [] if installed_name(value) else gc.get_referents(value)
    functions = [found for found in made_from if type(found) is FunctionType]
    if not functions:
        encoder.reduced(value)
        return
    encoder.tag("ufunc")
    encoder.item([value.nin, value.nout, value.identity, *functions])


@encodes("numpy.void", "numpy.record")
def _encode_void(value: Any, encoder: Encoder) -> None:
    import numpy as np

    encoder.tag(type(value).__name__)
    _encode_array(np.array(value, dtype=value.dtype), encoder)
