"""Digests of objects that pydantic creates from the fields and validators of a user.

Pydantic compiles a validator or serializer from a schema that names classes by their addresses, so schema and validator
differ in every process. Both are computed from the type, the function and the configuration, so these are digested instead.
:mod:`pyplant.fingerprint.class_members` describes model classes.
"""

from __future__ import annotations

from typing import Any

from pyplant.fingerprint.digest import Encoder, encodes

__all__: list[str] = []


@encodes("pydantic.*.Decorator")
def _encode_decorator(value: Any, encoder: Encoder) -> None:
    """Encode a validator, serializer or computed field of a model."""
    encoder.tag("pydantic.Decorator")
    encoder.item([value.cls_var_name, value.func, value.shim, value.info])


@encodes("pydantic.*.TypeAdapter", "pydantic.*.TypeAdapter+")
def _encode_adapter(value: Any, encoder: Encoder) -> None:
    encoder.tag("pydantic.TypeAdapter")
    encoder.code(type(value))
    encoder.item([value._type, value._config])


@encodes("pydantic.*.ValidateCallWrapper")
def _encode_validated_call(value: Any, encoder: Encoder) -> None:
    """Encode a function in ``validate_call``, which converts arguments to the annotated types."""
    encoder.tag("pydantic.validate_call")
    annotations = getattr(value.schema_type, "__annotations__", {})
    encoder.item([value.function, dict(annotations), value.validate_return])
    encoder.item(value.config_wrapper.config_dict)
