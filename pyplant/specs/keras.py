"""Keras models as ``.keras`` files."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, ClassVar

from blake3 import blake3

from pyplant.errors import UnsavableError
from pyplant.fingerprint.digest import DIGEST_BYTES
from pyplant.specs.base import IngredientSpec, Metadata

__all__ = ["KerasModelSpec"]


class KerasModelSpec(IngredientSpec):
    """A Keras 3 model with its weights and, if it was compiled, the state of its optimizer.

    The digest covers configuration, weights and optimizer state. It is not that of the bytes: a ``.keras`` file is an
    archive that contains times, so files of equal models differ.
    """

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
        except Exception as error:
            message = f"Keras cannot save this model: {error}"
            raise UnsavableError(message) from error
        return {"digest": _digest(value)}

    def load(self, path: Path, metadata: Metadata) -> Any:
        import keras

        return keras.saving.load_model(path)

    def digest(self, path: Path, metadata: Metadata) -> str | None:
        return str(metadata["digest"])


def _digest(model: Any) -> str:
    import numpy as np

    hasher = blake3()
    config = {"class": type(model).__qualname__, "config": _without_names(model.get_config())}
    optimizer = getattr(model, "optimizer", None)
    variables = list(model.weights)
    if optimizer is not None:
        config["compiled"] = _without_names(model.get_compile_config() or {})
        variables += optimizer.variables
    hasher.update(json.dumps(config, sort_keys=True, default=repr).encode())
    for variable in variables:
        array = np.ascontiguousarray(np.asarray(variable))
        hasher.update(repr((array.shape, array.dtype.str)).encode())
        if array.nbytes:
            hasher.update(array.reshape(-1).view(np.uint8).data)
    return hasher.hexdigest(length=DIGEST_BYTES)


def _without_names(config: Any) -> Any:
    """Return a configuration without automatic names (``dense_7``), which Keras counts in each process."""
    renamed: dict[str, str] = {}

    def visit(item: Any, key: str = "") -> Any:
        if isinstance(item, dict):
            return {str(name): visit(content, str(name)) for name, content in item.items()}
        if isinstance(item, list | tuple):
            return [visit(content, key) for content in item]
        if isinstance(item, str) and key == "name":
            return renamed.setdefault(item, f"#{len(renamed)}")
        if isinstance(item, str) and item in renamed:
            return renamed[item]
        return item

    return visit(config)
