"""Keras models as ``.keras`` files."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pyplant.errors import UnsavableError
from pyplant.specs.base import IngredientSpec, Metadata
from pyplant.specs.hdf import refuse_other_files_in
from pyplant.specs.keras_digest import model_digest

if TYPE_CHECKING:
    from zipfile import ZipFile

__all__ = ["KerasModelSpec"]


class KerasModelSpec(IngredientSpec):
    """A Keras 3 model with its weights and, if it was compiled, the state of its optimizer.

    The digest covers configuration, weights and optimizer state. It is not that of the bytes: a ``.keras`` file is an
    archive that contains times, so files of equal models differ.

    Parameters
    ----------
    customLayers
        Classes and functions that loading needs and that are not registered with Keras, by name.
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
        with _opened(path) as archive:
            return {"digest": model_digest(value), "unpacked": _unpacked_size(archive)}

    def load(self, path: Path, metadata: Metadata) -> Any:
        import keras

        _check_archive(path, metadata["unpacked"])
        return keras.saving.load_model(path, custom_objects=self._custom_objects)

    def digest(self, path: Path, metadata: Metadata) -> str | None:
        return str(metadata["digest"])


def _opened(path: Path) -> ZipFile:
    import zipfile  # slow to load

    return zipfile.ZipFile(path)


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
