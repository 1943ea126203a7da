"""Ingredients: the named values that reactors send and receive.

An :class:`Ingredient` describes one stored value; it never holds the value.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

__all__ = ["IN_MEMORY", "Ingredient"]

IN_MEMORY = "(in memory)"
"""The format of a value that could not be stored and lives until the run is over."""


class _Type(Enum):
    """The built-in ingredient types; each is the name of a spec."""

    simple = "simple"
    """Primitive values: ``None``, ``bool``, ``int``, ``float``, ``complex``, ``str``, ``bytes``, and tuples, lists and
    dicts of them."""
    list = "list"
    """A list of primitive values."""
    object = "object"
    """Anything that can be pickled."""
    array = "array"
    """A NumPy array."""
    file = "file"
    """A file, allocated by the plant and passed as its path."""
    table = "table"
    """A data frame of pandas or polars, or an Arrow table."""


@dataclass(frozen=True, slots=True)
class Ingredient:
    """One stored value, as a trace names it.

    Attributes
    ----------
    name
        The name it was sent under.
    format
        The name of the spec that stored it.
    digest
        Identifies the *value*: two ingredients with one digest are equal, however
        their bytes differ. Early cutoff compares this alone.
    object
        Names the stored bytes in the object store; empty when they are inline.
    size
        Stored bytes.
    metadata
        What the spec needs to load the value again; JSON-able.
    inline
        The stored bytes themselves when they are few, else ``None``.
    signed
        Whether this user stored it: this process or its workers, or a process whose line in
        the journal carries a valid seal. Never read from the line itself.
    """

    name: str
    format: str
    digest: str
    object: str = ""
    size: int = 0
    metadata: dict[str, Any] = field(default_factory=dict)
    inline: bytes | None = None
    signed: bool = field(default=False, compare=False)

    Type = _Type
