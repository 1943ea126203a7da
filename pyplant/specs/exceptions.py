"""Exceptions as values: how they are digested and pickled.

Python pickles an exception as a call of its class with ``args``. For a class whose constructor takes other arguments this
fails at loading, when it is too late, and cause and context are lost. Here, an exception is created without its
constructor, and then everything except the traceback is set. A class that defines its own pickling is pickled by its methods.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from pyplant._missing import MISSING
from pyplant.fingerprint.attributes import class_entry, mro, namespace, object_state
from pyplant.fingerprint.digest import Encoder, encodes

__all__ = ["reduce_exception"]

_EXCLUDED = frozenset(["__suppress_context__", "exceptions", "message", "obj"])
"""Members of builtin exceptions that are stored separately, and ``obj`` of an AttributeError, which may be any object."""


def _builtin_base(cls: type) -> Any:
    return next(base for base in mro(cls) if base.__module__ == "builtins")


def _pickles_itself(cls: type) -> bool:
    """Return whether a class overrides the pickling of its builtin base."""
    builtin = _builtin_base(cls)
    hooks = (
        "__reduce__",
        "__reduce_ex__",
        "__getstate__",
        "__setstate__",
        "__getnewargs__",
        "__getnewargs_ex__",
    )
    return any(class_entry(cls, hook) is not class_entry(builtin, hook) for hook in hooks)


def _members(value: Any) -> dict[str, Any]:
    """Return what an exception holds besides its arguments and its dictionary; members that were never set are None."""
    own, builtin = namespace(value) or {}, _builtin_base(type(value))
    return {
        name: member
        for name, member in object_state(value)[1].items()
        if member is not None
        and name not in own
        and not (name in _EXCLUDED and class_entry(builtin, name) is not MISSING)
    }


@encodes("builtins.BaseException", "builtins.BaseException+")
def _encode_exception(value: Any, encoder: Encoder) -> None:
    if _pickles_itself(type(value)):
        encoder.reduced(value)
    else:
        encoder.tag("exception")
        encoder.code(type(value))
        encoder.item(value.args)
        encoder.item(_members(value))
        encoder.attributes(namespace(value))
    encoder.item([value.__cause__, value.__context__, value.__suppress_context__])


def reduce_exception(value: Any, *, chained: bool = True) -> Any:
    """Return how to pickle an exception; ``NotImplemented`` for other objects.

    Parameters
    ----------
    value
        Any object.
    chained
        Whether to include its cause and context.
    """
    cls = type(value)
    if not issubclass(cls, BaseException) or _pickles_itself(cls):
        return NotImplemented
    chain = (
        (value.__cause__, value.__context__, value.__suppress_context__) if chained else (None, None, False)
    )
    state = _members(value), namespace(value), chain
    group = (value.message, value.exceptions) if issubclass(cls, BaseExceptionGroup) else None
    return _rebuild, (cls, value.args, group), state, None, None, _restore


def _rebuild(cls: type, args: tuple[Any, ...], group: tuple[str, Any] | None) -> Any:
    builtin = _builtin_base(cls)
    value = builtin.__new__(cls, *(args if group is None else group))
    with suppress(TypeError):  # the user's class may have passed other arguments to its builtin base
        builtin.__init__(value, *args)
    value.args = args
    return value


def _restore(value: Any, state: tuple[dict[str, Any], dict[str, Any] | None, tuple[Any, Any, bool]]) -> None:
    members, attributes, (value.__cause__, value.__context__, value.__suppress_context__) = state
    for name, member in members.items():
        with suppress(AttributeError, TypeError):  # a class may define a read-only property of this name
            object.__setattr__(value, name, member)
    value.__dict__.update(attributes or {})
