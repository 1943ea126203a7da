"""Keras models as ``.keras`` files.

Keras stores classes and functions by name, and a new process knows those of the user only if it has registered them. So
the archive of a model that uses some gets one more member, which Keras ignores: a pickle of them, as for any other object.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pyplant.errors import UnsavableError
from pyplant.specs.base import IngredientSpec, Metadata
from pyplant.specs.hdf_references import refuse_other_files_in
from pyplant.specs.keras_digest import model_digest, users_parts
from pyplant.specs.pickled import ObjectSpec

if TYPE_CHECKING:
    from zipfile import ZipFile

__all__ = ["KerasModelSpec"]

_USERS_CODE = "pyplant_users_code"
"""The member of an archive that holds the user's classes and functions, by the names that Keras gives them."""


class KerasModelSpec(IngredientSpec):
    """A Keras 3 model with its weights and, if it was compiled, the state of its optimizer.

    The digest covers configuration, weights and optimizer state. It is not that of the bytes: a ``.keras`` file is an
    archive that contains times, so files of equal models differ.

    Parameters
    ----------
    customLayers
        Classes and functions that loading uses in place of the stored ones, by name.
    """

    def __init__(self, customLayers: Mapping[str, Any] | None = None) -> None:  # noqa: N803 - the historical spelling
        self._custom_objects = dict(customLayers or {})

    name: ClassVar[str] = "keras"
    suffix: ClassVar[str] = ".keras"
    runs_code: ClassVar[bool] = True

    def matches(self, value: Any) -> bool:
        keras = sys.modules.get("keras")
        model = getattr(keras, "Model", None)
        return isinstance(model, type) and isinstance(value, model)

    def save(self, value: Any, path: Path) -> Metadata:
        if not self.matches(value):
            message = f"This type holds Keras models, not a {type(value).__name__}."
            raise UnsavableError(message)
        try:
            value.save(path)
        except OSError:
            raise  # of the disk
        except Exception as error:
            message = f"Keras cannot save this model: {error}"
            raise UnsavableError(message) from error
        has_users_code = _add_users_code(value, path)
        with _opened(path) as archive:
            metadata = {"digest": model_digest(value), "unpacked": _unpacked_size(archive)}
        if has_users_code:
            self._check_loads(path, metadata)
        return metadata

    def _check_loads(self, path: Path, metadata: Metadata) -> None:
        """Raise an error if Keras cannot load a model again: better now than in a reactor that receives it."""
        try:
            self.load(path, metadata)
        except OSError:
            raise  # of the disk
        except Exception as error:
            message = (
                f"Keras can save this model, but not load it again: {error}\nA layer needs a get_config() that returns the "
                f"arguments of its __init__; a function in a Lambda layer can use no globals."
            )
            raise UnsavableError(message) from error

    def load(self, path: Path, metadata: Metadata) -> Any:
        import keras

        _check_archive(path, metadata["unpacked"])
        with _opened(path) as archive:
            has_users_code = _USERS_CODE in archive.namelist()
            users = ObjectSpec().parse(archive.read(_USERS_CODE), {}) if has_users_code else {}
        # Safe mode refuses bytecode of lambdas; this file is trusted as pickles are.
        return keras.saving.load_model(
            path, custom_objects={**users, **self._custom_objects}, safe_mode=not has_users_code
        )

    def digest(self, path: Path, metadata: Metadata) -> str | None:
        return str(metadata["digest"])


def _add_users_code(model: Any, path: Path) -> bool:
    """Add the classes and functions of the user to the archive of a model that uses some; returns whether it does."""
    import keras

    found: dict[str, Any] = {}
    is_empty = True
    for part in users_parts(model):
        is_empty = False
        code = part if isinstance(part, FunctionType) else type(part)
        name = keras.saving.get_registered_name(code)
        if code.__name__ != "<lambda>" and found.setdefault(name, code) is not code:
            message = (
                f"Keras stores {code.__module__}.{code.__qualname__} and {found[name].__module__}."
                f"{found[name].__qualname__} under one name, {name}. Register one of them under another: "
                f"@keras.saving.register_keras_serializable(package=...)."
            )
            raise UnsavableError(message)
    if is_empty:
        return False
    content = BytesIO()
    ObjectSpec().dump(found, content)
    with _opened(path, "a") as archive:
        archive.writestr(_USERS_CODE, content.getvalue())
    return True


def _opened(path: Path, mode: Literal["r", "a"] = "r") -> ZipFile:
    import zipfile  # slow to load

    return zipfile.ZipFile(path, mode)


def _unpacked_size(archive: ZipFile) -> int:
    return sum(member.file_size for member in archive.infolist())


def _check_archive(path: Path, unpacked: int) -> None:
    """Refuse an archive that would be larger when it is unpacked, or has weights that lead to other files.

    Raises
    ------
    ValueError
        If it is such an archive.
    """
    with _opened(path) as archive:
        if _unpacked_size(archive) > unpacked:
            message = f"the archive holds more than the {unpacked:,} bytes that were stored"
            raise ValueError(message)
        for member in archive.infolist():
            if member.filename.endswith(".h5"):
                refuse_other_files_in(archive.read(member))
