"""What an HDF5 file refers to: its author could let it read any file of the user who loads it, or any memory."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from pyplant.specs.hdf_digest import address

__all__ = ["refuse_other_files", "refuse_other_files_in"]

_MAX_BYTES = 1 << 26  # of a dataset with references, which are all followed


def refuse_other_files(stream: Any) -> None:
    """Refuse an HDF5 file that refers to other files, or to memory.

    Parameters
    ----------
    stream
        The open file. Whatever its links and references lead to is looked at.

    Raises
    ------
    ValueError
        If it has external or symbolic links, external storage or virtual datasets, or what h5py takes for pointers.
    """
    import h5py

    # By address, since hard links may lead to a group several times, or back to a group above.
    items, seen = [stream], set()
    while items:
        item = items.pop()
        if isinstance(item, h5py.Group | h5py.Dataset):
            if address(item) in seen:
                continue
            seen.add(address(item))
        types = _types(item)
        if any(isinstance(kind, h5py.h5t.TypeOpaqueID) and kind.dtype.hasobject for kind in types):
            message = f"{item.name!r} in the HDF5 file holds addresses of objects."
            raise ValueError(message)
        if isinstance(item, h5py.Dataset) and (item.external or item.is_virtual):
            raise _elsewhere(item.name)
        for name in item if isinstance(item, h5py.Group) else ():
            if not isinstance(item.get(name, getlink=True), h5py.HardLink):
                raise _elsewhere(name)
            items.append(item[name])
        if any(isinstance(kind, h5py.h5t.TypeReferenceID) for kind in types):
            items += _referenced(stream, item)


def refuse_other_files_in(content: bytes) -> None:
    """Refuse the content of an HDF5 file that refers to other files, with a ``ValueError``."""
    import h5py

    with h5py.File(io.BytesIO(content), "r") as stream:
        refuse_other_files(stream)


def _elsewhere(name: str) -> ValueError:
    return ValueError(
        f"{name!r} in the HDF5 file refers to another place; a plant stores only what is in the file itself."
    )


def _types(item: Any) -> list[Any]:
    """Return the types of an item and of its attributes, those of fields and elements included."""
    import h5py

    types = [h5py.h5a.open(item.id, name).get_type() for name in map(os.fsencode, item.attrs)]
    types += [item.id.get_type()] if isinstance(item, h5py.Dataset) else []
    types += [item.id] if isinstance(item, h5py.Datatype) else []
    for kind in types:  # which grows meanwhile
        if isinstance(kind, h5py.h5t.TypeCompoundID):
            types += [kind.get_member_type(index) for index in range(kind.get_nmembers())]
        elif isinstance(kind, h5py.h5t.TypeArrayID | h5py.h5t.TypeVlenID):
            types.append(kind.get_super())
    return types


def _referenced(stream: Any, item: Any) -> Iterator[Any]:
    """Yield what the attributes and the content of an item refer to, perhaps without any link to it."""
    import h5py

    values = [item.attrs[name] for name in item.attrs]
    if isinstance(item, h5py.Dataset):
        if item.nbytes > _MAX_BYTES:
            message = f"{item.name!r} in the HDF5 file holds too many references."
            raise ValueError(message)
        values.append(item[()])
    for reference in _references(values):
        with suppress(ValueError, KeyError):  # it leads nowhere
            yield stream[reference]


def _references(value: Any) -> Iterator[Any]:
    import h5py
    import numpy as np

    if isinstance(value, h5py.Reference):
        if value:
            yield value
    elif isinstance(value, np.void | np.ndarray) and value.dtype.names:
        for name in value.dtype.names:
            yield from _references(value[name])
    elif isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.dtype.hasobject):
        for each in value.flat if isinstance(value, np.ndarray) else value:
            yield from _references(each)
