"""Base classes of ingredient specs. A spec is one class and describes one format.

There are two interfaces. A :class:`StreamSpec` writes bytes to a stream: it needs no access to the disk, the store hashes
the bytes while it writes them, and small values need no file. A spec whose library needs a path (HDF5, Keras) derives from
:class:`IngredientSpec`; so do most specs of users.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Protocol

from pyplant.errors import NotAllocatedError

__all__ = ["ByteSink", "IngredientSpec", "Metadata", "StreamSpec"]

Metadata = dict[str, Any]
"""What a spec needs besides the bytes to load a value. It must be possible to convert it to JSON."""


class ByteSink(Protocol):
    """The stream that a :class:`StreamSpec` writes to."""

    def write(self, data: bytes | memoryview, /) -> int:
        """Append bytes and return their number."""


class IngredientSpec(ABC):
    """How values of one format are recognised, stored and loaded.

    Attributes
    ----------
    name
        Identifies the format in traces. It must never change after values were stored.
    suffix
        Suffix of the stored file, such as ``".npy"``; lower-case letters and digits.
    allocatable
        Whether ``pipe.allocate`` may create values of this type.
    must_allocate
        Whether a value can be sent only if ``pipe.allocate`` created it.
    runs_code
        Whether loading can run code that is in the file, as unpickling can. Such values
        are loaded only for the user who stored them. True by default, which is the safe choice.
    """

    name: ClassVar[str]
    suffix: ClassVar[str] = ""
    allocatable: ClassVar[bool] = False
    must_allocate: ClassVar[bool] = False
    runs_code: ClassVar[bool] = True

    @abstractmethod
    def matches(self, value: Any) -> bool:
        """Return whether this spec is the natural one for ``value``.

        It must be fast and must not import an optional library: look the library up in ``sys.modules``. If it was
        never imported, no value can be of one of its classes.
        """

    def save(self, value: Any, path: Path) -> Metadata:
        """Write ``value`` to the new file ``path``.

        Raises
        ------
        pyplant.errors.UnsavableError
            If the loaded value would differ. If the caller gave no type, the next
            matching spec is tried then.
        """
        message = (
            f"A value of type {self.name!r} can be sent only if pipe.allocate(name, "
            f"{type(self).__name__}, ...) created it."
        )
        raise NotAllocatedError(message)

    @abstractmethod
    def load(self, path: Path, metadata: Metadata) -> Any:
        """Load the value. The file is shared and immutable: never write to it."""

    def digest(self, path: Path, metadata: Metadata) -> str | None:
        """Return the digest of the value in a finished file.

        ``None``, the default, means that equal values have equal bytes, so that the digest of the bytes is used.
        """
        del path, metadata
        return None

    def allocate(self, path: Path, **options: Any) -> Any:
        """Create a value in private scratch that the reactor fills, and return its handle."""
        message = f"Ingredients of type {self.name!r} cannot be allocated; send the value itself."
        raise NotAllocatedError(message)

    def finish(self, handle: Any) -> Metadata:
        """Complete an allocated value when its reactor has finished, and return its metadata."""
        raise NotImplementedError

    def discard(self, handle: Any) -> None:
        """Close an allocated value that is not stored."""
        del handle

    def is_part_of(self, value: Any, handle: Any) -> bool:
        """Return whether ``value`` is a view of the allocated ``handle``; a view cannot be sent."""
        del value, handle
        return False


class StreamSpec(IngredientSpec):
    """A format that is written to a stream and read from bytes in memory."""

    @abstractmethod
    def dump(self, value: Any, stream: ByteSink) -> Metadata:
        """Write ``value`` to ``stream``. Write large buffers in one call, so that they are not copied."""

    @abstractmethod
    def parse(self, buffer: Any, metadata: Metadata) -> Any:
        """Return the value that was written to ``buffer``.

        ``buffer`` is ``bytes`` for a small value in the journal, else writable: the content of a small file, or a private
        copy-on-write map of a larger one. The value may refer to it and write to it: neither the store nor another
        receiver sees the changes.
        """

    def validate(self, buffer: Any, metadata: Metadata) -> None:
        """Check bytes that another user may have written, before they are parsed; by default all are accepted.

        A library in C may crash on bytes that it did not write, and a few bytes may stand for a huge value.

        Raises
        ------
        ValueError
            If they must not be parsed.
        """
        del buffer, metadata

    def digest_value(self, value: Any) -> str | None:
        """Return the digest of the value; ``None`` if equal values have equal bytes."""
        del value
        return None

    def save(self, value: Any, path: Path) -> Metadata:
        with path.open("xb", buffering=0) as stream:
            return self.dump(value, stream)

    def load(self, path: Path, metadata: Metadata) -> Any:
        return self.parse(path.read_bytes(), metadata)
