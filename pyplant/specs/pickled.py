"""Any other object, pickled with cloudpickle.

Classes and functions that live in ``__main__`` (a script or a notebook) are stored as a
name, a code fingerprint, and a copy by value beside them. When the value is loaded and
``__main__`` still has that class unchanged, the live one is used, so that ``isinstance``
holds after a kernel was restarted; otherwise the copy.
"""

from __future__ import annotations

import io
import pickle
import sys
from types import FunctionType
from typing import Any, ClassVar, NamedTuple

from pyplant.errors import UndigestibleError, UnsavableError
from pyplant.fingerprint.fingerprint import digest_of, fingerprint_of
from pyplant.fingerprint.origin import find, is_user_file, is_user_object
from pyplant.specs.array_subclass import reduce_array
from pyplant.specs.base import ByteSink, Metadata, StreamSpec
from pyplant.specs.exceptions import reduce_exception
from pyplant.specs.torch_digest import reduce_tensor

__all__ = ["ObjectSpec"]

_PROTOCOL = 5
_SEPARATOR = "\x1f"


def _home(obj: Any) -> str | None:
    """The name under which ``__main__`` has a class or function, if it does."""
    if not isinstance(obj, type | FunctionType) or obj.__module__ != "__main__":
        return None
    return obj.__qualname__ if _live(obj.__qualname__) is obj else None


def _live(qualname: str) -> Any:
    return find(sys.modules.get("__main__"), qualname)


class _Pickled(NamedTuple):
    """A pickled value.

    Attributes
    ----------
    body
        Its bytes.
    by_value
        The classes and functions of ``__main__`` in it, by name and fingerprint.
    doubtful
        Whether code of the user's runs when it is loaded.
    """

    body: memoryview
    by_value: dict[str, Any]
    doubtful: bool


def _pickled(value: Any, *, chained: bool = True) -> _Pickled:
    """Pickle a value; of exceptions with their chain, if that can be pickled."""
    import cloudpickle

    stream, by_value = io.BytesIO(), dict[str, Any]()
    exceptions = False
    doubts: dict[type, bool] = {}

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc] # cloudpickle has no types
        def persistent_id(self, obj: Any) -> str | None:
            name = _home(obj)
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
            if (cls := type(obj)) not in doubts:
                doubts[cls] = _is_doubtful(cls)
            return super().reducer_override(obj)

    try:
        Pickler(stream, _PROTOCOL).dump(value)
    except Exception:
        if exceptions and chained:  # the cause of an error may hold anything: a connection, a lock
            return _pickled(value, chained=False)
        raise
    return _Pickled(stream.getbuffer(), by_value, any(doubts.values()))


def _is_doubtful(cls: type) -> bool:
    """Whether code of the user's runs when an object of the class is loaded: it may fail then."""
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
        live = _live(name)
        if isinstance(live, type | FunctionType) and fingerprint_of(live) == fingerprint:
            return live
        return pickle.loads(self._copies[key])  # noqa: S301 - signed, or trusted on request


class ObjectSpec(StreamSpec):
    """Any object that can be pickled; received as a fresh object each time."""

    name: ClassVar[str] = "object"
    suffix: ClassVar[str] = ".pickle"
    runs_code: ClassVar[bool] = True

    def matches(self, value: Any) -> bool:
        del value
        return True

    def dump(self, value: Any, stream: ByteSink) -> Metadata:
        try:
            pickled = _pickled(value)
            copies = {key: _by_value(obj) for key, obj in pickled.by_value.items()}
        except Exception as error:
            message = (
                f"A {type(value).__name__} cannot be pickled ({type(error).__name__}: {error}). Send what it is made "
                f"from, or register a spec for it: plant.warehouse.register_ingredient_specs([...])."
            )
            raise UnsavableError(message) from error
        if pickled.doubtful:
            _try(value, pickled.body, copies)
        head = pickle.dumps(copies, _PROTOCOL)
        stream.write(len(head).to_bytes(8, "little") + head)
        stream.write(pickled.body)
        return {}

    def parse(self, buffer: Any, metadata: Metadata) -> Any:
        view = memoryview(buffer)
        border = 8 + int.from_bytes(view[:8], "little")
        copies = pickle.loads(view[8:border])  # noqa: S301 - signed, or trusted on request
        return _Unpickler(io.BytesIO(view[border:]), copies).load()

    def digest_value(self, value: Any) -> str | None:
        try:
            return digest_of(value)
        except UndigestibleError:
            return None  # its bytes must do


def _try(value: Any, body: memoryview, copies: dict[str, bytes]) -> None:
    """Refuse a value whose classes pickle it so that it cannot be loaded: its consumers would fail, much later."""
    try:
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
