"""Files that a reactor writes itself: pictures, reports, archives."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path
from typing import Any, ClassVar

from pyplant.errors import NotAllocatedError, UnsavableError
from pyplant.fingerprint.hashing import DIGEST_BYTES, hasher
from pyplant.specs.base import IngredientSpec, Metadata

__all__ = ["FileSpec"]

_CHUNK = 1 << 22  # bytes
_READ_ONLY = 0o400  # as a plant stores files


class FileSpec(IngredientSpec):
    """A file, allocated as a path to write to and received as the path of the stored file.

    ``path = pipe.allocate("plot", Ingredient.Type.file, suffix=".png")``. The stored file
    is shared and read-only; copy it to change it. A program stays one that can be run.
    """

    name: ClassVar[str] = "file"
    allocatable: ClassVar[bool] = True
    must_allocate: ClassVar[bool] = True
    runs_code: ClassVar[bool] = False

    def matches(self, value: Any) -> bool:
        del value
        return False

    def load(self, path: Path, metadata: Metadata) -> Any:
        if metadata.get("executable") and not os.access(path, os.X_OK):
            path.chmod(_READ_ONLY | stat.S_IXUSR)
        return str(path)

    def digest(self, path: Path, metadata: Metadata) -> str | None:
        if not metadata.get("executable"):
            return None
        whole = hasher()
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                whole.update(chunk)
        return str(whole.update(b"executable").hexdigest(length=DIGEST_BYTES))

    def allocate(self, path: Path, **options: Any) -> Any:
        """Return the path of a file that does not exist yet.

        Parameters
        ----------
        path
            The path.
        suffix
            Of the file, such as ``".png"``; letters and digits.
        """
        unknown = options.keys() - {"suffix"}
        if unknown:
            message = (
                f"A file is allocated with suffix='.png' or another suffix, got {', '.join(sorted(unknown))}."
            )
            raise NotAllocatedError(message)
        return str(path)

    def finish(self, handle: Any) -> Metadata:
        path = Path(handle)
        if path.is_dir() and not path.is_symlink():
            message = "A folder was made at the path that pipe.allocate returned, which is for one file. Pack it, as shutil.make_archive does."
            raise UnsavableError(message)
        if not path.is_file() or path.is_symlink():
            message = "There is no file at the path that pipe.allocate returned; write it before you send it."
            raise UnsavableError(message)
        if path.stat().st_nlink > 1:
            # A hard link to a file of the user, which must neither become read-only nor change what is stored.
            copy = path.with_name(f"{path.name}.copy")
            try:
                shutil.copy(path, copy)  # with its mode, which says whether it is a program
                copy.replace(path)
            except BaseException:
                copy.unlink(missing_ok=True)  # it may be what fills the disk
                raise
        metadata: Metadata = {"suffix": "".join(path.suffixes)}
        if os.name == "posix" and path.stat().st_mode & stat.S_IXUSR:
            metadata["executable"] = True
        return metadata
