"""The hash of everything: BLAKE3, which is faster than the disk."""

from __future__ import annotations

from blake3 import blake3

__all__ = ["DIGEST_BYTES", "digest_bytes", "hash_in_one_thread", "hasher"]

DIGEST_BYTES = 20
"""Length of every digest; 160 bits are what git found enough against accidents."""

_LARGE = 1 << 20  # from here on hashing with several threads pays
_threads = blake3.AUTO


def hasher() -> blake3:
    """A hasher for what may be big: it uses all cores where it can."""
    return blake3(max_threads=_threads)


def hash_in_one_thread() -> None:
    """Use no other threads from now on.

    A forked process has none of the threads of its parent, and the hash would wait for
    them for ever.
    """
    global _threads
    _threads = 1


def digest_bytes(*parts: bytes | memoryview) -> str:
    """BLAKE3 of the concatenated parts, as hex."""
    if sum(map(len, parts)) < _LARGE:
        return blake3(b"".join(parts)).hexdigest(length=DIGEST_BYTES)
    whole = blake3()
    for part in parts:
        if len(part) >= _LARGE:  # on its own: the number of threads is fixed at construction
            whole.update(hasher().update(part).digest())
        else:
            whole.update(part)
    return whole.hexdigest(length=DIGEST_BYTES)
