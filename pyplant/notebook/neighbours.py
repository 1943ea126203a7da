"""Finds the plant of a notebook that was renamed, copied or moved.

The plant of a notebook is called as the notebook is. After a renaming a new one is made, while the old one beside it holds
the results.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from pyplant._formatting import counted, format_age
from pyplant.errors import StoreError
from pyplant.store.warehouse import Warehouse

__all__ = ["Neighbour", "find_neighbour"]

_MAX_PLANTS = 30  # of a folder; more are not read
_MAX_NAMES = 3


class Neighbour(NamedTuple):
    """A plant that holds results of reactors with their present code.

    Attributes
    ----------
    reactors
        Their names.
    finished
        The time of the newest of these results.
    directory
        The plant directory.
    held
        The number of reactors of which it holds results with any code.
    """

    reactors: tuple[str, ...]
    finished: float
    directory: Path
    held: int

    def notice(self) -> str:
        """Return what to say about it."""
        shown = [repr(name) for name in self.reactors[:_MAX_NAMES]]
        if len(self.reactors) > _MAX_NAMES:
            shown.append(counted(len(self.reactors) - _MAX_NAMES, "other"))
        name = self.directory.name
        quoted = f'"{name}"' if " " in name else name
        return (
            f"{name} beside it holds the results of {', '.join(shown)}, computed {format_age(self.finished)}. "
            f"To use them instead of computing them again: %plant {quoted}"
        )


def find_neighbour(own: Path, fingerprints: Mapping[str, str]) -> Neighbour | None:
    """Return the plant beside a new one that holds most results of some reactors; ``None`` if none holds any.

    Parameters
    ----------
    own
        The new plant.
    fingerprints
        The fingerprint of each reactor by its full name.
    """
    found = [
        neighbour
        for directory in _plants_beside(own)
        if (neighbour := _read(directory, fingerprints)) is not None
    ]
    # The first cell of a copy defines one reactor only; the plant of the original holds the others as well.
    return max(found, key=lambda one: (len(one.reactors), one.held, one.finished), default=None)


def _plants_beside(own: Path) -> Iterable[Path]:
    try:
        beside = sorted(path for path in own.parent.iterdir() if path != own and (path / "FORMAT").is_file())
    except OSError:
        return ()
    return beside[:_MAX_PLANTS]


def _read(directory: Path, fingerprints: Mapping[str, str]) -> Neighbour | None:
    """Return what a plant holds of reactors; ``None`` if it holds nothing, or cannot be read."""
    reactors: list[str] = []
    finished = 0.0
    held = 0
    try:
        # Without a journal to write it does not warn of damage, which is not the matter here.
        with closing(Warehouse(directory, read_only=True, writes_journal=False)) as warehouse:
            for full_name, fingerprint in fingerprints.items():
                times = [
                    trace.finished
                    for trace in warehouse.ledger.of_reactor(full_name)
                    if trace.fingerprint == fingerprint
                ]
                if times:
                    reactors.append(full_name.rpartition(".")[2])
                    finished = max(finished, *times)
            if reactors:
                held = len({trace.reactor for trace in warehouse.ledger.traces()})
    except (StoreError, OSError):
        return None
    return Neighbour(tuple(reactors), finished, directory, held) if reactors else None
