"""Digests of the single attributes of a value, which tell which attributes of it changed.

If a value changed while its reactor ran, these digests from before and after tell which attributes
changed, so that only they are state. Attributes are named by class, not by object:
``"module.Class.attribute"`` covers that attribute of all objects of the class in the value. The key ``""``
covers everything that is no attribute. The digests are compared within one process only, so classes
and functions count by name.
"""

from __future__ import annotations

from collections.abc import Callable

from pyplant.fingerprint.attributes import module_of, qualname_of
from pyplant.fingerprint.canonical import Code, ValueNode

__all__ = ["MAX_OBJECTS", "AttributePlaces", "attribute_digests", "class_name"]

MAX_OBJECTS = 1_000
"""A value with more objects has no attribute digests; any change of it is a change of the whole."""

AttributePlaces = dict[int, list[tuple[int, list[str]]]]
"""By number of a node: the index among its parts at which names and values of attributes begin, and the names."""


def class_name(cls: type) -> str:
    """Return the name of a class in the keys of attribute digests."""
    return f"{module_of(cls)}.{qualname_of(cls)}"


def attribute_digests(
    nodes: list[ValueNode],
    places: AttributePlaces,
    digest: Callable[[bytes], str],
    name: Callable[[object], str],
) -> dict[str, str]:
    """Return the digest of each attribute, and of the rest of the value under ``""``.

    Parameters
    ----------
    nodes
        All nodes of the value.
    places
        The places of their attributes.
    digest
        Returns the digest of bytes.
    name
        Returns the name of a class or function.
    """
    if not places or len(nodes) > MAX_OBJECTS:
        return {}

    def content(parts: list[bytes | int | Code]) -> bytes:
        """Return the bytes of parts and of all that they refer to, without attributes, which count on their own."""
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

    found = {"": [content(nodes[0].parts)]}
    for index, lists in places.items():
        node = nodes[index]
        found.setdefault(f"{class_name(type(node.obj))}.", [])  # also of objects without attributes
        for start, names in lists:
            for number, attribute in enumerate(names):
                value = node.parts[start + 2 * number + 1]
                found.setdefault(f"{class_name(type(node.obj))}.{attribute}", []).append(content([value]))
    return {
        key: digest(b"".join(b"%d:%s" % (len(t), t) for t in sorted(texts))) for key, texts in found.items()
    }


def _without_attributes(
    parts: list[bytes | int | Code], lists: list[tuple[int, list[str]]]
) -> list[bytes | int | Code]:
    kept = parts[:]
    for start, names in reversed(lists):
        del kept[start - 1 : start + 2 * len(names)]  # with the tag before them, which holds their number
    return kept
