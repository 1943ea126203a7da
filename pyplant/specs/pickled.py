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
from typing import Any, ClassVar

from pyplant.engine.fingerprint import digest_of, fingerprint_of
from pyplant.engine.origin import find
from pyplant.errors import UndigestibleError, UnsavableError
from pyplant.specs.array_subclass import reduce_array
from pyplant.specs.base import ByteSink, Metadata, StreamSpec

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


def _pickler(stream: io.BytesIO, by_value: dict[str, Any]) -> Any:
    import cloudpickle

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc] # cloudpickle has no types
        def persistent_id(self, obj: Any) -> str | None:
            name = _home(obj)
            if name is None:
                return None
            key = f"{name}{_SEPARATOR}{fingerprint_of(obj)}"
            by_value.setdefault(key, obj)
            return key

        def reducer_override(self, obj: Any) -> Any:
            reduced = reduce_array(obj)
            return super().reducer_override(obj) if reduced is NotImplemented else reduced

    return Pickler(stream, _PROTOCOL)


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
        by_value: dict[str, Any] = {}
        body = io.BytesIO()
        try:
            _pickler(body, by_value).dump(value)
            copies = {key: _by_value(obj) for key, obj in by_value.items()}
        except Exception as error:
            message = (
                f"A {type(value).__name__} cannot be pickled ({type(error).__name__}: {error}). Send what it is made "
                f"from, or register a spec for it: plant.warehouse.register_ingredient_specs([...])."
            )
            raise UnsavableError(message) from error
        head = pickle.dumps(copies, _PROTOCOL)
        stream.write(len(head).to_bytes(8, "little") + head)
        stream.write(body.getbuffer())
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


def _by_value(obj: Any) -> bytes:
    import cloudpickle

    return bytes(cloudpickle.dumps(obj, _PROTOCOL))
