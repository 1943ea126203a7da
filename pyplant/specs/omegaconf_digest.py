"""Digests of OmegaConf's containers: of their content, without the configuration around them.

A container refers to its parent, since an interpolation (``${seed}``) may lead there; what an interpolation yields counts in its place.
A resolver (``${now:%Y}``) is not called: then all of the configuration counts, with its texts as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pyplant.fingerprint.digest import Encoder, encodes

__all__: list[str] = []


@encodes("omegaconf.dictconfig.DictConfig", "omegaconf.listconfig.ListConfig")
def _encode_container(value: Any, encoder: Encoder) -> None:
    content = _plain(value, resolve=False)
    if any("${" in text for text in _texts(content)):
        root = _plain(value._get_root(), resolve=False)  # noqa: SLF001 - there is no public way
        has_resolver = any("${" in text and ":" in text for text in _texts(root))
        content = (content, root) if has_resolver else _plain(value, resolve=True)
    encoder.tag("omegaconf")
    encoder.item(content)
    encoder.code(type(value))
    schema = value._metadata.object_type  # noqa: SLF001 - the class of a structured configuration
    if isinstance(schema, type):
        encoder.code(schema)


def _plain(value: Any, *, resolve: bool) -> Any:
    omegaconf = __import__("omegaconf")
    return omegaconf.OmegaConf.to_container(value, resolve=resolve)


def _texts(content: Any) -> Iterator[str]:
    stack = [content]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            stack += item.values()
        elif isinstance(item, list):
            stack += item
