"""Files that a reactor writes itself: pictures, reports, archives."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, ClassVar

from pyplant.errors import NotAllocatedError, UnsavableError
from pyplant.specs.base import IngredientSpec, Metadata

__all__ = ["FileSpec"]


class FileSpec(IngredientSpec):
    """A file, allocated as a path to write to and received as the path of the stored file.

    ``path = pipe.allocate("plot", Ingredient.Type.file, suffix=".png")``. The stored file
    is shared and read-only; copy it to change it.
    """

    name: ClassVar[str] = "file"
    allocatable: ClassVar[bool] = True
    must_allocate: ClassVar[bool] = True
    runs_code: ClassVar[bool] = False

    def matches(self, value: Any) -> bool:
        del value
        return False

    def load(self, path: Path, metadata: Metadata) -> Any:
        return str(path)

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
            shutil.copyfile(path, copy)
            copy.replace(path)
        return {"suffix": "".join(path.suffixes)}
