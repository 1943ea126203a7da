"""Leases: which executions open plants use, so that no other process removes them.

How it works
------------
- An open plant holds one file, named after the writer of its journal. Each line names an execution that the plant found
  up to date or made itself. For each reactor under one configuration the last line counts, and of all configurations the
  last hundred: a program that tries thousands in a row would otherwise keep all results, whatever ``max_size`` says.
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
_MAX_CONFIGURATIONS = 100
_MAX_TRIES = 10  # taking a name fails while another process inspects the file of this one


class Leases(OwnershipFiles):
    """The leases of one plant.

    Parameters
    ----------
    files, directory
        See :class:`~pyplant.store.claims.OwnershipFiles`.
    """

    _written: _Used | None = None

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
        written = self._written = _Used() if self._written is None else self._written
        added = {group: rank for group, rank in used.items() if written.rank(group) != rank}
        if not added or not any(self.take(name) for _ in range(_MAX_TRIES)) or self.trouble is not None:
            return False
        lines = (f"{group} {number} {writer}\n" for group, (number, writer) in added.items())
        self.append(name, "".join(lines).encode())
        # After the lines, so that an interrupt repeats them instead of losing them.
        for group, rank in added.items():
            written.add(group, rank)
        return True

    def used(self) -> set[tuple[int, str]]:
        """Return the ranks of the executions that living processes use."""
        found: set[tuple[int, str]] = set()
        for name in self.living():
            last = _Used()
            for line in self.content(name, _MAX_BYTES).decode("ascii", "replace").splitlines():
                match line.split():
                    # Lines of any other form are torn. int() takes long for very many digits, which no lease has.
                    case [group, number, writer] if number.isdigit():
                        last.add(group, (int(number[:20]), writer))
            found |= last.ranks()
        return found


class _Used:
    """The executions in a lease that count."""

    def __init__(self) -> None:
        self._by_configuration: dict[str, dict[str, tuple[int, str]]] = {}

    def add(self, group: str, rank: tuple[int, str]) -> None:
        """Note the execution of a reactor under a configuration, as ``"reactor.configuration"``."""
        reactor, _, configuration = group.partition(".")
        self._by_configuration.setdefault(configuration, {})[reactor] = rank
        if len(self._by_configuration) > _MAX_CONFIGURATIONS:
            del self._by_configuration[next(iter(self._by_configuration))]

    def rank(self, group: str) -> tuple[int, str] | None:
        """Return the rank of an execution; ``None`` if it is not in the lease, or does not count any more."""
        reactor, _, configuration = group.partition(".")
        return self._by_configuration.get(configuration, {}).get(reactor)

    def ranks(self) -> set[tuple[int, str]]:
        """Return the ranks of all executions that count."""
        return {rank for ranks in self._by_configuration.values() for rank in ranks.values()}
