"""The hash of everything: BLAKE3, which is faster than the disk."""

from __future__ import annotations

from blake3 import blake3

__all__ = ["DIGEST_BYTES", "digest_bytes"]

DIGEST_BYTES = 20
"""Length of every digest; 160 bits are what git found enough against accidents."""

_LARGE = 1 << 20  # from here on hashing with several threads pays


def digest_bytes(*parts: bytes | memoryview) -> str:
    """BLAKE3 of the concatenated parts, as hex."""
    hasher = blake3()
    for part in parts:
        if len(part) >= _LARGE:
            hasher = _threaded(hasher, part)
        else:
            hasher.update(part)
    return hasher.hexdigest(length=DIGEST_BYTES)


def _threaded(hasher: blake3, part: bytes | memoryview) -> blake3:
    # The number of threads is fixed at construction: hash the big part on its own.
    hasher.update(blake3(part, max_threads=blake3.AUTO).digest())
    return hasher
