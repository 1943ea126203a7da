"""SciPy's sparse matrices and arrays, stored as the arrays that they consist of.

A file is the length of a JSON header, the header, and the raw arrays; each is padded to 64 bytes, so that the arrays are
aligned when the file is mapped.
"""

from __future__ import annotations

import json
import sys
from typing import Any, ClassVar

from pyplant.errors import UnsavableError
from pyplant.fingerprint.digest import Encoder, encodes
from pyplant.specs.base import ByteSink, Metadata, StreamSpec

__all__ = ["ScipySparseSpec"]

_PARTS = {
    "csr": ("data", "indices", "indptr"),
    "csc": ("data", "indices", "indptr"),
    "bsr": ("data", "indices", "indptr"),
    "dia": ("data", "offsets"),
    "coo": ("data", "row", "col"),
}
_BY_COO = ("dok", "lil")  # these hold Python objects and are converted to COO
_CLASSES = frozenset(f"{form}_{kind}" for form in (*_PARTS, *_BY_COO) for kind in ("matrix", "array"))
_ALIGNED = 64
_MAX_ROWS = 1_000_000  # of a matrix of another user, for each of which SciPy makes a list
_OF_SCIPY = frozenset(
    {
        *(name for names in _PARTS.values() for name in names),
        *("coords", "rows", "dtype", "blocksize", "maxprint", "has_canonical_format", "has_sorted_indices"),
    }
)


def _is_sparse(value: Any) -> bool:
    sparse = sys.modules.get("scipy.sparse")
    return sparse is not None and bool(sparse.issparse(value))


def _parts(value: Any) -> tuple[str, dict[str, Any]]:
    """Return the arrays that a matrix consists of, and the name of their format."""
    import numpy as np

    form = value.format
    if form in _BY_COO:
        value = value.tocoo()
        # The order of a dictionary is the order of insertion, which is not part of the value.
        order = np.lexsort(value.coords[::-1])
        return "coo", {"data": value.data[order], **_coordinates(value, order)}
    if form == "coo":
        return "coo", {"data": value.data, **_coordinates(value, slice(None))}
    return form, {name: getattr(value, name) for name in _PARTS[form]}


def _coordinates(value: Any, order: Any) -> dict[str, Any]:
    return {f"coord{axis}": coord[order] for axis, coord in enumerate(value.coords)}


def _own_attributes(value: Any) -> dict[str, Any]:
    """Return the attributes that a user has set on a matrix."""
    return {
        name: own for name, own in vars(value).items() if not name.startswith("_") and name not in _OF_SCIPY
    }


class ScipySparseSpec(StreamSpec):
    """Every format of ``scipy.sparse``, matrices and arrays; the class is preserved."""

    name: ClassVar[str] = "sparse"
    suffix: ClassVar[str] = ".sparse"
    runs_code: ClassVar[bool] = False

    def matches(self, value: Any) -> bool:
        return _is_sparse(value)

    def dump(self, value: Any, stream: ByteSink) -> Metadata:
        import numpy as np

        if not _is_sparse(value):
            message = f"This type holds SciPy's sparse matrices, not a {type(value).__name__}."
            raise UnsavableError(message)
        if getattr(sys.modules["scipy.sparse"], type(value).__name__, None) is not type(value):
            message = f"This type holds SciPy's own sparse matrices, not the subclass {type(value).__name__}."
            raise UnsavableError(message)
        if _own_attributes(value):
            message = f"This type cannot store {', '.join(_own_attributes(value))} of a sparse matrix."
            raise UnsavableError(message)
        form, parts = _parts(value)
        arrays = {name: np.ascontiguousarray(part) for name, part in parts.items()}
        if any(part.dtype.hasobject for part in arrays.values()):
            message = "A sparse matrix of Python objects has no raw arrays."
            raise UnsavableError(message)
        head: dict[str, Any] = {"class": type(value).__name__, "format": form, "shape": list(value.shape)}
        head["parts"] = [[name, part.dtype.str, list(part.shape)] for name, part in arrays.items()]
        text = json.dumps(head).encode("ascii")
        text += b" " * (-(8 + len(text)) % _ALIGNED)
        stream.write(len(text).to_bytes(8, "little") + text)
        for part in arrays.values():
            raw = part.reshape(-1).view(np.uint8).data
            if len(raw):
                stream.write(raw)
            stream.write(b"\0" * (-len(raw) % _ALIGNED))
        return {"shape": list(value.shape)}

    def parse(self, buffer: Any, metadata: Metadata) -> Any:
        import numpy as np
        from scipy import sparse

        view = memoryview(buffer)
        offset = 8 + int.from_bytes(view[:8], "little")
        head = json.loads(bytes(view[8:offset]))
        if head["shape"] != metadata["shape"]:
            message = f"the matrix has the shape {head['shape']} instead of {metadata['shape']}"
            raise ValueError(message)
        own = bytearray(buffer) if isinstance(buffer, bytes) else buffer  # arrays over bytes are read-only
        parts: dict[str, Any] = {}
        for name, dtype, shape in head["parts"]:
            if np.dtype(dtype).hasobject:
                message = "not a matrix that PyPlant wrote"
                raise ValueError(message)
            part = (
                np.ndarray(tuple(shape), np.dtype(dtype), own, offset)
                if 0 not in shape
                else np.zeros(shape, dtype)
            )
            offset += part.nbytes + (-part.nbytes % _ALIGNED)
            parts[name] = part
        return _rebuilt(sparse, head, parts)

    def validate(self, buffer: Any, metadata: Metadata) -> None:
        view = memoryview(buffer)
        head = json.loads(bytes(view[8 : 8 + int.from_bytes(view[:8], "little")]))
        form = head["class"].partition("_")[0]
        if head["format"] != ("coo" if form in _BY_COO else form):
            message = f"a {head['class']} in the format {head['format']}, which PyPlant does not write"
            raise ValueError(message)
        if form in _BY_COO and max(metadata["shape"], default=0) > _MAX_ROWS + len(view) * 8:
            message = f"a matrix of the shape {metadata['shape']} in {len(view):,} bytes"
            raise ValueError(message)
        value = self.parse(buffer, metadata)
        if (
            value.format == "dia"
            and value.offsets.size
            and abs(value.offsets.astype("i8")).max() > max(value.shape)
        ):
            message = "diagonals outside of a sparse matrix"
            raise ValueError(message)
        # SciPy's code in C trusts the indices.
        if value.format in ("csr", "csc", "bsr"):
            # SciPy itself checks nothing more if the last pointer says that the matrix is empty.
            if (value.indptr[1:] < value.indptr[:-1]).any():
                message = "pointers to rows of a sparse matrix that decrease"
                raise ValueError(message)
            value.check_format(full_check=True)

    def digest_value(self, value: Any) -> str | None:
        return None


def _rebuilt(sparse: Any, head: dict[str, Any], parts: dict[str, Any]) -> Any:
    cls = getattr(sparse, head["class"])
    if not isinstance(cls, type) or cls.__name__ not in _CLASSES:
        message = f"scipy.sparse.{head['class']} is not the class of a matrix"
        raise ValueError(message)
    shape = tuple(head["shape"])
    if head["format"] == "coo":
        coords = tuple(part for name, part in parts.items() if name.startswith("coord"))
        base = getattr(sparse, "coo_matrix" if head["class"].endswith("matrix") else "coo_array")
        made = base((parts["data"], coords), shape=shape)
        return made if cls is base else cls(made)
    return cls(tuple(parts.values()), shape=shape)


@encodes(
    *(f"scipy.sparse._{form}.{form}_{kind}" for form in (*_PARTS, *_BY_COO) for kind in ("matrix", "array"))
)
def _encode_sparse(value: Any, encoder: Encoder) -> None:
    import numpy as np

    encoder.tag(type(value).__name__)
    encoder.item(value.shape)
    encoder.attributes(_own_attributes(value))
    for name, part in _parts(value)[1].items():
        encoder.tag(name)
        encoder.item(np.asarray(part))
