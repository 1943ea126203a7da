"""Leases: which executions open plants use, so that no other process removes them.

How it works
------------
- An open plant holds one file, named after the writer of its journal. Each line names an execution that the plant found
  up to date or made itself. For each reactor under one configuration the last line counts.
- An execution that the plant makes is in the lease before it is in the journal, so a collecting process that knows the
  execution also finds it in the lease.
- An execution that the plant finds is written to the lease and then, when no other process is collecting, looked up
  again. Either the collecting process has read the lease, or the lookup sees the eviction.
- A journal file is finished, and may be merged, if its writer has no lease.
"""

from __future__ import annotations

from collections.abc import Mapping

from pyplant.store.claims import OwnershipFiles

__all__ = ["Leases"]

_MAX_BYTES = 1 << 26  # of a lease that is read; PyPlant writes no longer ones
_MAX_TRIES = 10  # taking a name fails while another process inspects the file of this one


class Leases(OwnershipFiles):
    """The leases of one plant.

    Parameters
    ----------
    files, directory
        See :class:`~pyplant.store.claims.OwnershipFiles`.
    """

    _written: dict[str, tuple[int, str]] | None = None

    def add(self, name: str, used: Mapping[str, tuple[int, str]]) -> bool:
        """Write executions to the lease of this process.

        Parameters
        ----------
        name
            The name of the lease.
        used
            The rank of the execution for each reactor under each configuration.

        Returns
        -------
        added
            Whether one of them was not in the lease yet.
        """
        # Only what is new is written: most runs find the executions that the previous one found.
        written = self._written = {} if self._written is None else self._written
        added = {group: rank for group, rank in used.items() if written.get(group) != rank}
        if not added or not any(self.take(name) for _ in range(_MAX_TRIES)):
            return False
        lines = (f"{group} {number} {writer}\n" for group, (number, writer) in added.items())
        self.append(name, "".join(lines).encode())
        written.update(added)  # after the lines, so that an interrupt repeats them instead of losing them
        return True

    def used(self) -> set[tuple[int, str]]:
        """Return the ranks of the executions that living processes use."""
        found: set[tuple[int, str]] = set()
        for name in self.living():
            last: dict[bytes, tuple[int, str]] = {}
            for line in self.content(name, _MAX_BYTES).splitlines():
                match line.split():
                    # Lines of any other form are torn. int() takes long for very many digits, which no lease has.
                    case [group, number, writer] if number.isdigit():
                        last[group] = int(number[:20]), writer.decode("ascii", "replace")
            found.update(last.values())
        return found
