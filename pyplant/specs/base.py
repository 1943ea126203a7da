"""What an ingredient spec is: one format, one small class.

There are two contracts. A spec that can write to a stream of bytes is a
:class:`StreamSpec`: it never touches the disk, the store hashes while it writes, and
small values need no file of their own. A spec whose library insists on a path (HDF5,
Keras) derives from :class:`IngredientSpec` directly; so do most specs of users.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Protocol

from pyplant.errors import NotAllocatedError

__all__ = ["ByteSink", "IngredientSpec", "Metadata", "StreamSpec"]

Metadata = dict[str, Any]
"""What a spec needs, besides the bytes, to load a value again. Must be JSON-able."""


class ByteSink(Protocol):
    """Where a :class:`StreamSpec` writes."""

    def write(self, data: bytes | memoryview, /) -> int:
        """Append bytes; returns their number."""


class IngredientSpec(ABC):
    """How values of one format are recognised, stored and loaded.

    Attributes
    ----------
    name
        Identifies the format in traces. Must never change once values were stored.
    suffix
        Ending of the stored file, such as ``".npy"``; lower-case letters and digits.
    allocatable
        Whether ``pipe.allocate`` may create values of this type.
    must_allocate
        Whether a value can be sent only after ``pipe.allocate`` made it.
    runs_code
        Whether loading can run code that the file brings along, as unpickling can. Such
        values load only for the user who stored them. True unless the spec says otherwise.
    """

    name: ClassVar[str]
    suffix: ClassVar[str] = ""
    allocatable: ClassVar[bool] = False
    must_allocate: ClassVar[bool] = False
    runs_code: ClassVar[bool] = True

    @abstractmethod
    def matches(self, value: Any) -> bool:
        """Whether this spec is the natural one for ``value``.

        Must be quick and must not import an optional library: a value cannot be of a
        class whose library was never imported (look it up in ``sys.modules``).
        """

    def save(self, value: Any, path: Path) -> Metadata:
        """Write ``value`` to the new file ``path``.

        Raises
        ------
        pyplant.errors.UnsavableError
            If this format cannot hold the value faithfully. With an inferred type the
            next matching spec is then tried.
        """
        message = (
            f"A value of type {self.name!r} can be sent only if pipe.allocate(name, "
            f"{type(self).__name__}, ...) made it."
        )
        raise NotAllocatedError(message)

    @abstractmethod
    def load(self, path: Path, metadata: Metadata) -> Any:
        """Read the value back. The file is shared and immutable: never write to it."""

    def digest(self, path: Path, metadata: Metadata) -> str | None:
        """The value's own digest, read from the finished file.

        ``None``, the default, means that equal values have equal bytes.
        """
        del path, metadata
        return None

    def allocate(self, path: Path, **options: Any) -> Any:
        """Create a value in private scratch, for the reactor to fill; returns its handle."""
        message = f"Ingredients of type {self.name!r} cannot be allocated; send the value itself."
        raise NotAllocatedError(message)

    def finish(self, handle: Any) -> Metadata:
        """Complete an allocated value when its reactor has finished; returns its metadata."""
        raise NotImplementedError

    def discard(self, handle: Any) -> None:
        """Let go of an allocated value that will not be kept."""
        del handle

    def is_part_of(self, value: Any, handle: Any) -> bool:
        """Whether ``value`` is a view of the allocated ``handle``, which cannot be sent alone."""
        del value, handle
        return False


class StreamSpec(IngredientSpec):
    """A format that is written to and read from plain bytes."""

    @abstractmethod
    def dump(self, value: Any, stream: ByteSink) -> Metadata:
        """Write ``value`` to ``stream``; big buffers in one call, so that they are not copied."""

    @abstractmethod
    def parse(self, buffer: Any, metadata: Metadata) -> Any:
        """Make the value from ``buffer``.

        ``buffer`` is ``bytes`` (a small value, inline in the journal) or a private
        copy-on-write map of the file, which the value may keep and write to: the writes
        reach neither the store nor another receiver.
        """

    def digest_value(self, value: Any) -> str | None:
        """The value's own digest; ``None`` when equal values have equal bytes."""
        del value
        return None

    def save(self, value: Any, path: Path) -> Metadata:
        with path.open("xb", buffering=0) as stream:
            return self.dump(value, stream)

    def load(self, path: Path, metadata: Metadata) -> Any:
        return self.parse(path.read_bytes(), metadata)
