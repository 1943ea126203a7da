"""Seals: which lines of the journal this user wrote.

A checksum tells a damaged line; anybody can compute it. A seal is a keyed digest, with a key of this user and the
identity of the plant. It covers all that a line says: a trace with its code fingerprint, and each output with name,
format, digest and metadata. So neither a line nor a part of one is of use in another place or in another plant.

Lines without a valid seal are read, since plants may be shared. They never decide whether code runs: what they name is
not unpickled, an object that they call untouched is hashed, and code that they claim to know is read again.
"""

from __future__ import annotations

from binascii import unhexlify
from functools import cached_property

from blake3 import blake3

from pyplant.store.keys import Keyring

__all__ = ["Seals"]

_BYTES = 16


class Seals:
    """Makes and checks the seals of one plant.

    Parameters
    ----------
    keys
        The keys of this user.
    plant
        Identifies the plant.
    """

    def __init__(self, keys: Keyring, plant: str) -> None:
        self._keys = keys
        self._plant = plant.encode("utf-8", "surrogatepass")

    @cached_property
    def _signing(self) -> bytes:
        return self._derived(self._keys.signing)

    @cached_property
    def _others(self) -> tuple[bytes, ...]:
        return tuple(map(self._derived, self._keys.others))

    def _derived(self, key: bytes) -> bytes:
        return blake3(b"seal " + self._plant, key=key).digest()

    def seal(self, data: bytes) -> bytes:
        """The seal for some bytes."""
        return blake3(data, key=self._signing).hexdigest(length=_BYTES).encode()

    def is_valid(self, data: bytes, seal: bytes) -> bool:
        """Whether this user sealed these bytes in this plant."""
        try:
            expected = unhexlify(seal)
        except ValueError:
            return False
        # Each comparison is with another digest of 128 bits: its duration tells nothing that helps to guess one.
        if blake3(data, key=self._signing).digest(length=_BYTES) == expected:
            return True
        return any(blake3(data, key=key).digest(length=_BYTES) == expected for key in self._others)
