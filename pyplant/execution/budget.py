"""The budget of resources that reactors which run at the same time share (``Plant(resources=...)``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from pyplant._definitions import resource_amounts
from pyplant._formatting import format_size
from pyplant.errors import ResourcesError

__all__ = ["GPU", "Budget", "Grant"]

GPU = "GPU"
"""The resource whose units are devices: a reactor gets whole ones, or a share of one."""

_ROUNDING = 1e-9  # sums of amounts such as 0.1 are not exact


class Grant(NamedTuple):
    """The resources of one execution: their amounts, and the numbers of its GPUs."""

    amounts: Mapping[str, float]
    devices: tuple[int, ...] = ()


class Budget:
    """The resources of a plant, and how much of them is free.

    Parameters
    ----------
    resources
        The amounts; ``memory`` may be a text such as ``"60 GB"``.

    Raises
    ------
    pyplant.errors.ResourcesError
        If an amount cannot be used.
    """

    def __init__(self, resources: Mapping[str, float | str]) -> None:
        try:
            self.total = resource_amounts(resources)
        except (ValueError, AttributeError) as error:
            message = f"resources={resources!r} cannot be used: {error}"
            raise ResourcesError(message) from None
        if self.total.get(GPU, 0) % 1:
            message = f"resources={resources!r}: {GPU!r} is the number of devices, a whole number."
            raise ResourcesError(message)
        self.clear()

    @property
    def devices(self) -> int:
        """The number of GPUs."""
        return int(self.total.get(GPU, 0))

    def clear(self) -> None:
        """Return all grants."""
        self._free = dict(self.total)
        self._free_shares = [1.0] * self.devices  # of each GPU

    def check(self, reactor: str, wanted: Mapping[str, float]) -> None:
        """Check that a reactor can run when nothing else does.

        Raises
        ------
        pyplant.errors.ResourcesError
            If it can never run.
        """
        for name, amount in wanted.items():
            if amount > self.total.get(name, 0):
                available = _amount(name, self.total[name]) if name in self.total else "none"
                message = (
                    f"Reactor {reactor!r} needs {_amount(name, amount)} of {name!r}, and the plant has {available}, so it "
                    f"can never run. Ask for less in @ReactorFunc(resources=...), or offer more in Plant(resources=...)."
                )
                raise ResourcesError(message)
        gpus = wanted.get(GPU, 0.0)
        if gpus > 1 and gpus % 1:
            message = f"Reactor {reactor!r} needs {gpus:g} of {GPU!r}: write a whole number, or a share of one device."
            raise ResourcesError(message)

    def grant(self, wanted: Mapping[str, float]) -> Grant | None:
        """Take resources; ``None``, and nothing is taken, if they are not free."""
        if any(amount > self._free.get(name, 0.0) + _ROUNDING for name, amount in wanted.items()):
            return None
        gpus = wanted.get(GPU, 0.0)
        devices = self._free_devices(gpus)
        if devices is None:
            return None
        for name, amount in wanted.items():
            self._free[name] -= amount
        for device in devices:
            self._free_shares[device] -= min(gpus, 1.0)
        return Grant(wanted, devices)

    def give_back(self, grant: Grant) -> None:
        """Return resources."""
        for name, amount in grant.amounts.items():
            self._free[name] += amount
        for device in grant.devices:
            self._free_shares[device] += min(grant.amounts[GPU], 1.0)

    def _free_devices(self, gpus: float) -> tuple[int, ...] | None:
        """Choose GPUs: whole ones, or the fullest one in which a share fits. ``None`` if they are not free."""
        if gpus == 0:
            return ()
        share = min(gpus, 1.0)
        free = [device for device, left in enumerate(self._free_shares) if left >= share - _ROUNDING]
        # The fullest first, so that others stay free for reactors that need whole ones.
        if share < 1:
            free.sort(key=lambda device: self._free_shares[device])
        count = max(1, int(gpus))
        return tuple(free[:count]) if len(free) >= count else None


def _amount(name: str, amount: float) -> str:
    return format_size(amount) if name == "memory" else f"{amount:g}"
