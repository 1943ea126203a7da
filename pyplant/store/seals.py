"""Seals: they tell which lines of the journal this user wrote.

How it works
------------
- A checksum detects damage, but everybody can compute one. A seal is a keyed BLAKE3 digest of 128 bits; its key is
  derived from a key of this user (:mod:`pyplant.store.keys`) and the identity of the plant.
- A seal covers the whole line: the code fingerprint of a trace, and name, format, digest and metadata of each output.
  An attacker can therefore neither combine parts of sealed lines nor copy a line to another plant.
- Lines without a valid seal are read, since several users may share a plant, but they never decide whether code is
  executed: values that they name are not unpickled, file identities in them are ignored, so that the objects are hashed
  again, and parts of code in them are ignored, so that the code is read again.
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
        The identity of the plant.
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
        """Return the seal for some bytes."""
        return blake3(data, key=self._signing).hexdigest(length=_BYTES).encode()

    def secret_digest(self, data: bytes) -> str:
        """Return a digest that only this user can compute, for data that nobody may guess from it."""
        return blake3(b"secret " + data, key=self._signing).hexdigest(length=_BYTES)

    def is_valid(self, data: bytes, seal: bytes) -> bool:
        """Return whether this user sealed these bytes in this plant."""
        try:
            expected = unhexlify(seal)
        except ValueError:
            return False
        # An ordinary comparison is safe here: its duration reveals a prefix of the expected digest, but an attacker who
        # could measure it would have to write a line to the plant and wait for a process to read it for each guess.
        if blake3(data, key=self._signing).digest(length=_BYTES) == expected:
            return True
        return any(blake3(data, key=key).digest(length=_BYTES) == expected for key in self._others)
