"""Exceptions as values: how they are digested and pickled.

Python pickles an exception as a call of its class with ``args``. For a class whose constructor takes other arguments this
fails at loading, when it is too late, and cause and context are lost. Here, an exception is created without its
constructor, and then everything except the traceback is set. A class that defines its own pickling is pickled by its methods.
"""

from __future__ import annotations

from contextlib import suppress
from types import MemberDescriptorType
from typing import Any

from pyplant._missing import MISSING
from pyplant.fingerprint.attributes import class_entry, mro, namespace, object_state
from pyplant.fingerprint.digest import Encoder, encodes

__all__ = ["Chain", "chain_of", "reduce_exception", "set_chain"]

Chain = tuple[BaseException | None, BaseException | None, bool]
"""The cause and the context of an exception, and whether the context is hidden."""

_EXCLUDED = frozenset(["__suppress_context__", "exceptions", "message", "obj"])
"""Members of builtin exceptions that are stored separately, and ``obj`` of an AttributeError, which may be any object."""


# Read and set by these, since a user's class may define members of the same names, or forbid setting attributes.
_args, _cause, _context, _suppress_context = (
    BaseException.__dict__[name] for name in ("args", "__cause__", "__context__", "__suppress_context__")
)


def chain_of(error: BaseException) -> Chain:
    """Return the cause and the context of an exception, and whether the context is hidden."""
    return _cause.__get__(error), _context.__get__(error), _suppress_context.__get__(error)


def set_chain(error: BaseException, chain: Chain) -> None:
    """Set what :func:`chain_of` returns."""
    for descriptor, value in zip((_cause, _context, _suppress_context), chain, strict=True):
        descriptor.__set__(error, value)


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
    """Return what an exception holds besides its arguments and its dictionary."""
    own, builtin = namespace(value) or {}, _builtin_base(type(value))
    return {
        name: member
        for name, member in object_state(value)[1].items()
        if name not in own
        # Members of builtin classes are None if they were never set. A slot of the user that was never set is absent.
        and (class_entry(builtin, name) is MISSING or (member is not None and name not in _EXCLUDED))
    }


@encodes("builtins.BaseException", "builtins.BaseException+")
def _encode_exception(value: Any, encoder: Encoder) -> None:
    if _pickles_itself(type(value)):
        encoder.reduced(value)
    else:
        encoder.tag("exception")
        encoder.code(type(value))
        encoder.item(_args.__get__(value))
        encoder.item(_members(value))
        encoder.attributes(namespace(value))
    encoder.item([*chain_of(value)])


def reduce_exception(value: Any, *, chained: bool = True, by_own_methods: bool = True) -> Any:
    """Return how to pickle an exception; ``NotImplemented`` for other objects.

    Parameters
    ----------
    value
        Any object.
    chained
        Whether to include its cause and context.
    by_own_methods
        Whether to leave a class that defines its own pickling to its methods.
    """
    cls = type(value)
    if not issubclass(cls, BaseException) or (by_own_methods and _pickles_itself(cls)):
        return NotImplemented
    state = _members(value), namespace(value), chain_of(value) if chained else (None, None, False)
    group = (value.message, value.exceptions) if issubclass(cls, BaseExceptionGroup) else None
    return _rebuild, (cls, _args.__get__(value), group), state, None, None, _restore


def _rebuild(cls: type, args: tuple[Any, ...], group: tuple[str, Any] | None) -> Any:
    builtin = _builtin_base(cls)
    value = builtin.__new__(cls, *(args if group is None else group))
    with suppress(TypeError):  # the user's class may have passed other arguments to its builtin base
        builtin.__init__(value, *args)
    _args.__set__(value, args)
    return value


def _restore(value: Any, state: tuple[dict[str, Any], dict[str, Any] | None, Chain]) -> None:
    members, attributes, chain = state
    set_chain(value, chain)
    for name, member in members.items():
        with suppress(AttributeError, TypeError):  # a class may define a read-only property of this name
            object.__setattr__(value, name, member)
    own = namespace(value)
    for name, attribute in (attributes or {}).items():
        # cloudpickle makes classes without their slots, so what was an attribute in a worker may be a slot here.
        if own is None or type(class_entry(type(value), name)) is MemberDescriptorType:
            object.__setattr__(value, name, attribute)
        else:
            own[name] = attribute
