"""Digests of Lark's parsers: of their grammar and options, without the tables, which contain sets in the order of the process."""

from __future__ import annotations

from typing import Any

from pyplant.fingerprint.digest import Encoder, encodes

__all__: list[str] = []

_PLACES = frozenset(["cache", "import_paths", "source_path"])
"""Options that tell where files are."""


@encodes("lark.lark.Lark")
def _encode_parser(parser: Any, encoder: Encoder) -> None:
    encoder.tag("lark")
    encoder.item(parser.source_grammar)
    encoder.item({name: value for name, value in parser.options.options.items() if name not in _PLACES})
    # They include those of imported grammars, which may be in files.
    encoder.item(sorted(f"{terminal!r} {terminal.priority}" for terminal in parser.terminals))
    encoder.item([f"{rule!r} {rule.order}" for rule in parser.rules])
