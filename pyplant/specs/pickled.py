"""Any other object, pickled with cloudpickle.

How it works
------------
- Classes and functions of ``__main__`` (a script or a notebook) are replaced by persistent ids: a name and a code
  fingerprint. Copies of them, pickled by value, are stored in front of the value. If ``__main__`` has a class of this name
  and fingerprint when the value is loaded, that class is used, so that ``isinstance`` is true after a kernel was
  restarted. Otherwise the copy is used.
- Arrays, tensors and exceptions are pickled by own functions where their libraries lose something.
- If loading runs code of the user, the value is loaded once when it is sent, since an error then is better than an error
  in a reactor that receives it, possibly days later.
"""

from __future__ import annotations

import io
import pickle
import sys
from types import FunctionType, GeneratorType
from typing import Any, ClassVar, NamedTuple

from pyplant.errors import UndigestibleError, UnsavableError
from pyplant.fingerprint.fingerprint import digest_of, fingerprint_of
from pyplant.fingerprint.origin import find, is_user_file, is_user_object
from pyplant.specs.array_subclass import reduce_array
from pyplant.specs.base import ByteSink, Metadata, StreamSpec
from pyplant.specs.exceptions import reduce_exception
from pyplant.specs.matplotlib_digest import figures_stay_closed
from pyplant.specs.torch_digest import reduce_tensor

__all__ = ["ObjectSpec"]

_PROTOCOL = 5
_SEPARATOR = "\x1f"


def _name_in_main(obj: Any) -> str | None:
    """Return the name of a class or function in ``__main__``; ``None`` if it is not there."""
    if not isinstance(obj, type | FunctionType) or obj.__module__ != "__main__":
        return None
    return obj.__qualname__ if _in_main(obj.__qualname__) is obj else None


def _in_main(qualname: str) -> Any:
    return find(sys.modules.get("__main__"), qualname)


class _Pickle(NamedTuple):
    """A value as bytes.

    Attributes
    ----------
    body
        The pickle.
    by_value
        The classes and functions of ``__main__`` in it, by name and fingerprint.
    may_fail
        Whether code of the user runs when it is loaded.
    """

    body: memoryview
    by_value: dict[str, Any]
    may_fail: bool


def _pickle(value: Any, *, chained: bool = True) -> _Pickle:
    """Pickle a value; exceptions with their causes and contexts, if these can be pickled."""
    import cloudpickle

    stream, by_value = io.BytesIO(), dict[str, Any]()
    exceptions = False
    checked: dict[type, bool] = {}

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc] # cloudpickle has no types
        def persistent_id(self, obj: Any) -> str | None:
            name = _name_in_main(obj)
            if name is None:
                return None
            key = f"{name}{_SEPARATOR}{fingerprint_of(obj)}"
            by_value.setdefault(key, obj)
            return key

        def reducer_override(self, obj: Any) -> Any:
            nonlocal exceptions
            reduced = reduce_array(obj)
            if reduced is NotImplemented:
                reduced = reduce_tensor(obj)
            if reduced is NotImplemented:
                reduced = reduce_exception(obj, chained=chained)
                exceptions |= reduced is not NotImplemented
            if reduced is not NotImplemented:
                return reduced
            if (cls := type(obj)) not in checked:
                checked[cls] = _runs_user_code(cls)
            return super().reducer_override(obj)

    try:
        Pickler(stream, _PROTOCOL).dump(value)
    except Exception:
        if exceptions and chained:  # the cause of an exception may refer to a connection or a lock
            return _pickle(value, chained=False)
        raise
    return _Pickle(stream.getbuffer(), by_value, any(checked.values()))


def _runs_user_code(cls: type) -> bool:
    """Return whether code of the user runs when an object of the class is loaded, which may fail."""
    if issubclass(cls, type):
        return False
    if issubclass(cls, BaseException):
        return True
    entries = (vars(base).get(hook) for base in cls.__mro__ if is_user_object(base) for hook in _HOOKS)
    functions = (entry.__func__ if type(entry) is staticmethod else entry for entry in entries)
    return any(
        type(function) is FunctionType
        and not function.__code__.co_filename.startswith(_GENERATED)
        and is_user_file(function.__code__.co_filename)
        for function in functions
    )


# Methods that run while an object is made or loaded, and the ones by which pickle fills containers.
_HOOKS = (
    *("__new__", "__reduce__", "__reduce_ex__", "__getstate__", "__setstate__"),
    *("__getattr__", "__getattribute__", "__setattr__", "__hash__", "__setitem__", "append", "extend"),
)
_GENERATED = ("<string>", "<attrs generated")


class _Unpickler(pickle.Unpickler):
    def __init__(self, stream: Any, copies: dict[str, bytes]) -> None:
        super().__init__(stream)
        self._copies = copies

    def persistent_load(self, key: Any) -> Any:
        name, _, fingerprint = key.partition(_SEPARATOR)
        # A class that was edited since is another one: objects of the old one keep the code that they had.
        live = _in_main(name)
        if isinstance(live, type | FunctionType) and fingerprint_of(live) == fingerprint:
            return live
        return pickle.loads(self._copies[key])  # noqa: S301 - signed, or trusted on request


class ObjectSpec(StreamSpec):
    """Any object that can be pickled; each receiver gets a new object."""

    name: ClassVar[str] = "object"
    suffix: ClassVar[str] = ".pickle"
    runs_code: ClassVar[bool] = True

    def matches(self, value: Any) -> bool:
        del value
        return True

    def dump(self, value: Any, stream: ByteSink) -> Metadata:
        if isinstance(value, GeneratorType):
            called = f"{value.__name__}(...)"
            message = (
                f"{called} is a generator, which has not run. Write yield from {called} if it receives ingredients, "
                f"or list({called}) for its items."
            )
            raise UnsavableError(message)
        try:
            pickled = _pickle(value)
            copies = {key: _by_value(obj) for key, obj in pickled.by_value.items()}
        except Exception as error:
            message = (
                f"A {type(value).__name__} cannot be pickled ({type(error).__name__}: {error}). Send the values it is "
                f"made from, or register a spec for it: plant.warehouse.register_ingredient_specs([...])."
            )
            raise UnsavableError(message) from error
        if pickled.may_fail:
            _check_loads(value, pickled.body, copies)
        head = pickle.dumps(copies, _PROTOCOL)
        stream.write(len(head).to_bytes(8, "little") + head)
        stream.write(pickled.body)
        return {}

    def parse(self, buffer: Any, metadata: Metadata) -> Any:
        view = memoryview(buffer)
        border = 8 + int.from_bytes(view[:8], "little")
        with figures_stay_closed():
            copies = pickle.loads(view[8:border])  # noqa: S301 - signed, or trusted on request
            return _Unpickler(io.BytesIO(view[border:]), copies).load()

    def digest_value(self, value: Any) -> str | None:
        # Pickles of equal values may differ, for example by the order of sets and by which parts are one object.
        try:
            return digest_of(value)
        except UndigestibleError:
            return None  # the digest of its bytes is used


def _check_loads(value: Any, body: memoryview, copies: dict[str, bytes]) -> None:
    """Raise an error if a value cannot be loaded from its pickle."""
    try:
        with figures_stay_closed():
            _Unpickler(io.BytesIO(body), copies).load()
    except (Exception, SystemExit) as error:
        message = (
            f"A {type(value).__name__} can be pickled, but not loaded again ({type(error).__name__}: {error}). "
            f"A class in it needs a __reduce__ that says how to make it (or __getnewargs__, if it has a __new__), "
            f"and a __getattr__ must raise AttributeError while the object is still empty."
        )
        raise UnsavableError(message) from error


def _by_value(obj: Any) -> bytes:
    import cloudpickle

    return bytes(cloudpickle.dumps(obj, _PROTOCOL))
