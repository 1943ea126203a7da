"""The hash function: BLAKE3, which is faster than the disk."""

from __future__ import annotations

from blake3 import blake3

__all__ = ["DIGEST_BYTES", "digest_bytes", "hash_in_one_thread", "hasher"]

DIGEST_BYTES = 20
"""Length of every digest. 160 bits, as in git, make accidental collisions practically impossible."""

_LARGE = 1 << 20  # bytes from which several threads are faster than one
_threads = blake3.AUTO


def hasher() -> blake3:
    """Return a hasher for large data, which uses all cores."""
    return blake3(max_threads=_threads)


def hash_in_one_thread() -> None:
    """Use no other threads from now on.

    A forked process does not have the threads of its parent, and BLAKE3's thread pool would wait
    for them forever.
    """
    global _threads
    _threads = 1


def digest_bytes(*parts: bytes | memoryview) -> str:
    """Return the hexadecimal digest of the concatenated parts."""
    if len(parts) == 1 and type(parts[0]) is bytes and len(parts[0]) < _LARGE:  # as most are
        return blake3(parts[0]).hexdigest(length=DIGEST_BYTES)
    if sum(map(len, parts)) < _LARGE:
        return blake3(b"".join(parts)).hexdigest(length=DIGEST_BYTES)
    whole = blake3()
    for part in parts:
        # A large part is hashed on its own, since a hasher has one number of threads for all its data.
        if len(part) >= _LARGE:
            whole.update(hasher().update(part).digest())
        else:
            whole.update(part)
    return whole.hexdigest(length=DIGEST_BYTES)
