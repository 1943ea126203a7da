"""Digests of what pydantic builds from the fields and validators of users.

A validator or serializer is compiled from a schema that names classes by their address, so both
differ in every process. They follow from the type, the function and the configuration, which
count instead. What a model class consists of, :mod:`pyplant.fingerprint.class_members` knows.
"""

from __future__ import annotations

from typing import Any

from pyplant.fingerprint.digest import Encoder, encodes

__all__: list[str] = []


@encodes("pydantic.*.Decorator")
def _encode_decorator(value: Any, encoder: Encoder) -> None:
    """A validator, serializer or computed field of a model."""
    encoder.tag("pydantic.Decorator")
    encoder.item([value.cls_var_name, value.func, value.shim, value.info])


@encodes("pydantic.*.TypeAdapter", "pydantic.*.TypeAdapter+")
def _encode_adapter(value: Any, encoder: Encoder) -> None:
    encoder.tag("pydantic.TypeAdapter")
    encoder.code(type(value))
    encoder.item([value._type, value._config])


@encodes("pydantic.*.ValidateCallWrapper")
def _encode_validated_call(value: Any, encoder: Encoder) -> None:
    """What ``validate_call`` puts around a function: it converts to what the annotations say."""
    encoder.tag("pydantic.validate_call")
    annotations = getattr(value.schema_type, "__annotations__", {})
    encoder.item([value.function, dict(annotations), value.validate_return])
    encoder.item(value.config_wrapper.config_dict)
