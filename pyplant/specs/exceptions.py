"""Exceptions as values: what counts of them, and how they are pickled.

Python pickles an exception as a call of its class with ``args``. That fails, when it is too late,
for a class whose constructor takes anything else, and it leaves out the cause and the context. So
an exception is made here without its own constructor, and everything but the traceback is put
into it. A class that says how it is pickled is left to it.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from pyplant._missing import MISSING
from pyplant.fingerprint.attributes import class_entry, mro, namespace, object_state
from pyplant.fingerprint.digest import Encoder, encodes

__all__ = ["reduce_exception"]

_LEFT_OUT = frozenset(["__suppress_context__", "exceptions", "message", "obj"])
"""What builtin exceptions hold that counts elsewhere, and the object that lacks an attribute: it may be anything."""


def _builtin(cls: type) -> Any:
    return next(base for base in mro(cls) if base.__module__ == "builtins")


def _pickles_itself(cls: type) -> bool:
    """Whether a class that is not builtin says how it is pickled."""
    builtin = _builtin(cls)
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
    """What an exception holds besides its arguments and its dictionary; what was never set shows as None."""
    own, builtin = namespace(value) or {}, _builtin(type(value))
    return {
        name: member
        for name, member in object_state(value)[1].items()
        if member is not None
        and name not in own
        and not (name in _LEFT_OUT and class_entry(builtin, name) is not MISSING)
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
    """How to pickle an exception so that it comes back; ``NotImplemented`` for anything else.

    Parameters
    ----------
    value
        Any object.
    chained
        Whether its cause and context are to come back, too.
    """
    cls = type(value)
    if not issubclass(cls, BaseException) or _pickles_itself(cls):
        return NotImplemented
    chain = (
        (value.__cause__, value.__context__, value.__suppress_context__) if chained else (None, None, False)
    )
    state = _members(value), namespace(value), chain
    group = (value.message, value.exceptions) if issubclass(cls, BaseExceptionGroup) else None
    return _make, (cls, value.args, group), state, None, None, _restore


def _make(cls: type, args: tuple[Any, ...], group: tuple[str, Any] | None) -> Any:
    builtin = _builtin(cls)
    value = builtin.__new__(cls, *(args if group is None else group))
    with suppress(TypeError):  # the builtin class may want other arguments, which the user's class gave it
        builtin.__init__(value, *args)
    value.args = args
    return value


def _restore(value: Any, state: tuple[dict[str, Any], dict[str, Any] | None, tuple[Any, Any, bool]]) -> None:
    members, attributes, (value.__cause__, value.__context__, value.__suppress_context__) = state
    for name, member in members.items():
        with suppress(AttributeError, TypeError):  # a class may have made it read-only
            object.__setattr__(value, name, member)
    value.__dict__.update(attributes or {})
