"""Manifests: many reads of an execution as one dependency, so that 100,000 files are not 100,000 dependencies.

A manifest is an object of the plant. It lists the reads between two other dependencies, each with its digest and, for a
file, with the identity that it had when it was hashed. The dependency has two digests: that of all questions, which
is its name, and that of all answers. A look-up therefore finds the manifests of a question, takes the questions from one
of them, and compares the digest of the present answers. Identities save hashing: an unchanged file costs one ``stat``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from pyplant.engine.trace import Dependency, DependencyKind
from pyplant.engine.validate import str_list
from pyplant.fingerprint.digest import digest_bytes
from pyplant.store.inputs import HashedFile

__all__ = [
    "MANY",
    "ManifestEntry",
    "answer_digest",
    "as_dependency",
    "entries",
    "manifest",
    "questions_digest",
]

MANY = 100
"""Reads between two other dependencies from which on they form a manifest."""
_ITEMS = 3  # of each read in a manifest


class ManifestEntry(NamedTuple):
    """One read in a manifest."""

    kind: DependencyKind
    name: str
    digest: str
    file: HashedFile | None = None


def manifest(dependencies: Iterable[Dependency], known: Callable[[str], HashedFile | None]) -> list[str]:
    """Return a manifest of dependencies as a value that a warehouse stores.

    Parameters
    ----------
    dependencies
        Reads outside the plant.
    known
        Returns what is known of a file, by its recorded name.
    """
    items: list[str] = []
    for kind, (name,), (digest,) in dependencies:
        file = known(name) if kind is DependencyKind.FILE else None
        times = "" if file is None else " ".join(map(str, (*file.identity, file.hashed)))
        items += (f"{kind.value}{name}", digest, times)
    return items


def entries(items: Sequence[str]) -> Iterator[ManifestEntry]:
    """Yield the reads in a manifest.

    Raises
    ------
    Exception
        One of :data:`~pyplant.engine.validate.UNREADABLE` if this version did not write it.
    """
    texts = str_list(items)
    for question, digest, times in zip(*(texts[start::_ITEMS] for start in range(_ITEMS)), strict=True):
        numbers = tuple(map(int, times.split()))
        file = HashedFile(numbers[:-1], digest, numbers[-1]) if numbers else None
        yield ManifestEntry(DependencyKind(question[:1]), question[1:], digest, file)


def as_dependency(items: Sequence[str]) -> Dependency:
    """Return the dependency that stands for all reads in a manifest."""
    questions = answer_digest(items[::_ITEMS])
    return Dependency(DependencyKind.MANIFEST, (questions,), (answer_digest(items[1::_ITEMS]),))


def questions_digest(found: Iterable[ManifestEntry]) -> str:
    """Return the name of the dependency on these reads."""
    return answer_digest(f"{entry.kind.value}{entry.name}" for entry in found)


def answer_digest(digests: Iterable[str]) -> str:
    """Return one digest for all answers, in the order of the questions."""
    return digest_bytes("\0".join(digests).encode("utf-8", "surrogatepass"))
