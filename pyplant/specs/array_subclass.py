"""Subclasses of NumPy's ``ndarray``: how they are digested and pickled.

NumPy pickles the data of a subclass but not its attributes. Of a masked array it also loses whether the mask is hard and
whether there is a mask. A subclass that defines its own pickling (a quantity with a unit, say) is pickled by its methods.
"""

from __future__ import annotations

import sys
from typing import Any

from pyplant.fingerprint.digest import Encoder, encodes

__all__ = ["reduce_array"]

_HOOKS = ("__reduce__", "__reduce_ex__", "__setstate__")
_OF_MASKED = frozenset(
    {
        *("_mask", "_hardmask", "_sharedmask", "_fill_value", "_baseclass"),
        *("_isfield", "_basedict", "_optinfo"),
    }
)


def _masked_class() -> Any:
    masked = sys.modules.get("numpy.ma")
    return masked.MaskedArray if masked is not None else ()


def _pickles_itself(cls: type) -> bool:
    """Return whether a subclass defines its own pickling."""
    import numpy as np

    base = _masked_class() if issubclass(cls, _masked_class()) else np.ndarray
    return any(getattr(cls, hook) is not getattr(base, hook) for hook in _HOOKS)


def _own_attributes(value: Any) -> dict[str, Any]:
    return {key: own for key, own in vars(value).items() if key not in _OF_MASKED}


def _mask_parts(value: Any) -> tuple[Any, Any, bool, Any]:
    """Return the mask (``None`` if there is none), the fill value, whether the mask is hard, and the base class."""
    mask = value._mask
    no_mask = sys.modules["numpy.ma"].nomask
    return None if mask is no_mask else mask, value.fill_value, value.hardmask, value.baseclass


@encodes("numpy.ndarray+")
def _encode_subclass(value: Any, encoder: Encoder) -> None:
    import numpy as np

    cls = type(value)
    if _pickles_itself(cls):
        encoder.reduced(value)
        return
    encoder.tag("array of a subclass")
    encoder.code(cls)
    encoder.item(value.view(np.ndarray))
    encoder.attributes(_own_attributes(value) if hasattr(value, "__dict__") else {})
    if issubclass(cls, _masked_class()):
        for part in _mask_parts(value):
            encoder.item(part)


def reduce_array(value: Any) -> Any:
    """Return how to pickle an array completely; ``NotImplemented`` if NumPy's way is complete.

    Parameters
    ----------
    value
        Any object.
    """
    numpy = sys.modules.get("numpy")
    cls = type(value)
    if numpy is None or not issubclass(cls, numpy.ndarray):  # isinstance() is true for mocks
        return NotImplemented
    if cls is numpy.ndarray:
        if value.flags.writeable:
            return NotImplemented
        return value.copy(order="K").__reduce_ex__(5)  # receivers get a writable array
    if cls is numpy.memmap or _pickles_itself(cls):
        return NotImplemented
    attributes = _own_attributes(value) if hasattr(value, "__dict__") else {}
    if issubclass(cls, _masked_class()):
        return _rebuild_masked, (cls, value.view(numpy.ndarray), attributes, _mask_parts(value))
    return (_rebuild, (cls, value.view(numpy.ndarray), attributes)) if attributes else NotImplemented


def _rebuild(cls: type, data: Any, attributes: dict[str, Any]) -> Any:
    value = data.view(cls)
    vars(value).update(attributes)
    return value


def _rebuild_masked(
    cls: type, data: Any, attributes: dict[str, Any], parts: tuple[Any, Any, bool, Any]
) -> Any:
    value = data.view(cls)
    mask, value.fill_value, is_hard, value._baseclass = parts
    if mask is not None:
        value._mask = mask
    if is_hard:
        value.harden_mask()
    vars(value).update(attributes)
    return value
