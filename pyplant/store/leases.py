"""Leases: what open plants use, so that no other process removes it.

An open plant holds one file, named after the writer of its journal. It lists the
executions that the plant found up to date or made itself, one a line: of each reactor
under one configuration the last counts. An execution is in the lease before others see it
in the journal. One that was found is looked for again once it is in the lease and no other
process is collecting: either that process has read the lease, or the eviction is seen. A journal file whose writer has no lease is
finished.
"""

from __future__ import annotations

from collections.abc import Mapping

from pyplant.store.claims import OwnershipFiles

__all__ = ["Leases"]

_LONGEST = 1 << 26  # bytes; what is longer was not written by us
_TRIES = 10  # another process may look at our file at the moment when it is made


class Leases(OwnershipFiles):
    """The leases of one plant.

    Parameters
    ----------
    files, directory
        See :class:`~pyplant.store.claims.OwnershipFiles`.
    """

    _written: dict[str, tuple[int, str]] | None = None

    def add(self, name: str, used: Mapping[str, tuple[int, str]]) -> bool:
        """Write into the lease of this process.

        Parameters
        ----------
        name
            Of the lease.
        used
            For each reactor with its parameters the place of the execution in the journal.

        Returns
        -------
        added
            Whether that was news.
        """
        written = self._written = {} if self._written is None else self._written
        news = {group: rank for group, rank in used.items() if written.get(group) != rank}
        if not news or not any(self.take(name) for _ in range(_TRIES)):
            return False
        lines = (f"{group} {number} {writer}\n" for group, (number, writer) in news.items())
        self.append(name, "".join(lines).encode())
        written.update(news)
        return True

    def used(self) -> set[tuple[int, str]]:
        """The executions that living processes use."""
        found: set[tuple[int, str]] = set()
        for name in self.living():
            last: dict[bytes, tuple[int, str]] = {}
            for line in self.content(name, _LONGEST).splitlines():
                match line.split():
                    case [group, number, writer] if number.isdigit():
                        last[group] = int(number[:20]), writer.decode("ascii", "replace")
            found.update(last.values())
        return found
