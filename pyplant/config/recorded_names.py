"""Which parameters reads of recorded names cover."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Sequence

__all__ = ["in_order_of_steps", "parameters_read"]


def in_order_of_steps(names: Iterable[str]) -> list[str]:
    """Return recorded names in an order in which all parts of a nested configuration are neighbours."""
    return sorted(names, key=_as_steps)


def parameters_read(names: Sequence[str], reads: Collection[str]) -> list[str]:
    """Return the parameters that code reads which reads these names, in time that is linear in the reads and the result.

    Code that reads ``model.rate`` reads a part of ``model``. Code that reads ``model`` and nothing of it reads all of its
    parts.

    Parameters
    ----------
    names
        Of all parameters, from :func:`in_order_of_steps`.
    reads
        The names of parameters and nested configurations that are read.
    """
    above = {name[:end] for name in reads for end, sign in enumerate(name) if sign == "."}
    found = {name for name in above if _is_in(names, name)}
    for name in reads:
        if name not in above:
            start = bisect_left(names, _as_steps(name), key=_as_steps)
            end = bisect_left(names, f"{name}/", key=_as_steps)  # the sign after the dot
            found.update(names[start:end])
    return sorted(found)


def _is_in(names: Sequence[str], name: str) -> bool:
    place = bisect_left(names, _as_steps(name), key=_as_steps)
    return names[place : place + 1] == [name]


def _as_steps(name: str) -> str:
    return f"{name}."
