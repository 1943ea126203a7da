"""A value cut into attribute_digests: one for each attribute of its objects, one for the rest.

When a value changed while its reactor ran, its attribute_digests from before and after tell which
attributes changed, so that only they count as state. They are compared within one process
only; classes and functions stand in them by name.
"""

from __future__ import annotations

from collections.abc import Callable

from pyplant.fingerprint.attributes import module_of, qualname_of
from pyplant.fingerprint.canonical import Code, ValueNode

__all__ = ["MAX_OBJECTS", "AttributePlaces", "attribute_digests", "class_name"]

MAX_OBJECTS = 1_000
"""Of a value with more objects, any change counts for the whole."""

AttributePlaces = dict[int, list[tuple[int, list[str]]]]
"""For a node, by number: where names and values of its attributes begin among its parts, and the names."""


def class_name(cls: type) -> str:
    """How a class is called in the name of a segment."""
    return f"{module_of(cls)}.{qualname_of(cls)}"


def attribute_digests(
    nodes: list[ValueNode],
    places: AttributePlaces,
    digest: Callable[[bytes], str],
    name: Callable[[object], str],
) -> dict[str, str]:
    """The digest of each segment by class and attribute; that of the rest by ``""``.

    Parameters
    ----------
    nodes
        All nodes of the value, taken apart.
    places
        Where their attributes are.
    digest
        Hashes bytes.
    name
        Names classes and functions.
    """
    if not places or len(nodes) > MAX_OBJECTS:
        return {}

    def shown(parts: list[bytes | int | Code]) -> bytes:
        out: list[bytes] = []
        seen: set[int] = set()
        stack = parts[::-1]
        while stack:
            part = stack.pop()
            if isinstance(part, bytes):
                out.append(part)
            elif isinstance(part, Code):
                out.append(b"@%s;" % name(part.obj).encode())
            elif part in seen:
                out.append(b"^")
            else:
                seen.add(part)
                stack += _without_attributes(nodes[part].parts, places.get(part, []))[::-1]
        return b"".join(out)

    found = {"": [shown(nodes[0].parts)]}
    for index, lists in places.items():
        node = nodes[index]
        found.setdefault(f"{class_name(type(node.obj))}.", [])  # also of objects that have none yet
        for start, names in lists:
            for number, attribute in enumerate(names):
                value = node.parts[start + 2 * number + 1]
                found.setdefault(f"{class_name(type(node.obj))}.{attribute}", []).append(shown([value]))
    return {
        key: digest(b"".join(b"%d:%s" % (len(t), t) for t in sorted(texts))) for key, texts in found.items()
    }


def _without_attributes(
    parts: list[bytes | int | Code], lists: list[tuple[int, list[str]]]
) -> list[bytes | int | Code]:
    kept = parts[:]
    for start, names in reversed(lists):
        del kept[start - 1 : start + 2 * len(names)]  # with the mark before them, which says how many
    return kept
