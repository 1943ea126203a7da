"""Stored values whose bytes were changed, loaded as the values of another user."""

from __future__ import annotations

import random
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pyplant.errors import DamagedError
from pyplant.ingredient import Ingredient
from pyplant.specs.base import StreamSpec
from pyplant.store.format_registry import FormatRegistry
from reliability.bench import Lab, figure
from reliability.trial import forked

CORPUS = Path(__file__).with_name("corpus")
"""Values of each format, and files that once broke something; each file is the metadata, an empty line and the bytes."""

_MEMORY = 4 << 30  # bytes of address space; loading a library takes most of it
_BATCH = 20


def mutated(chance: random.Random, content: bytes) -> bytes:
    """Return bytes with a few of them changed, cut out, repeated or put in."""
    data = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        start = chance.randrange(len(data) + 1)
        end = min(len(data), start + chance.choice((1, 1, 4, 8, 64)))
        match chance.randrange(5):
            case 0:
                data[start:end] = chance.randbytes(end - start)
            case 1:
                data[start:end] = b""
            case 2:
                data[start:start] = data[start:end]
            case 3:
                data[start:end] = chance.choice((b"\0", b"\xff", b"\x7f")) * (end - start)
            case _:
                number = chance.choice((0, 1, -1, 1 << 20, 1 << 31, 1 << 40, 1 << 62))
                data[start : start + 8] = number.to_bytes(8, "little", signed=True)
    return bytes(data)


def corpus() -> list[tuple[str, dict[str, Any], bytes]]:
    """Return format, metadata and bytes of each file of the corpus."""
    import json

    found = []
    for path in sorted(CORPUS.iterdir()):
        head, _, content = path.read_bytes().partition(b"\n\n")
        found.append((path.name.partition("-")[0], json.loads(head), content))
    return found


def use(value: Any) -> None:
    """Read a value as a reactor would."""
    if hasattr(value, "shape") and hasattr(value, "file"):
        value = value[...] if value.size < 1 << 20 else value[:1]
    elif hasattr(value, "tocoo"):
        value = value @ np.ones(value.shape[-1])
    repr(value)


def load(folder: Path, name: str, metadata: dict[str, Any], content: bytes) -> str:
    """Load a value; returns what is wrong with how that ends."""
    formats = FormatRegistry()
    spec = formats.spec(name)
    ingredient = Ingredient("x", name, "", "", len(content), metadata)
    try:
        if isinstance(spec, StreamSpec):
            use(formats.parse(ingredient, bytearray(content)))
        else:
            path = folder / "value"
            path.write_bytes(content)
            use(formats.load(ingredient, path))
    except (DamagedError, MemoryError):
        pass  # what a library raises is one error for a user: the value no longer loads
    except (RuntimeError, OSError, ValueError, OverflowError):
        pass  # of reading a dataset piece by piece
    return ""


@figure(
    "R33",
    "the bytes of values of every format changed, loaded as those of another user, and used",
    bar="a value or an error: no crash, no hang, no memory beyond what the record says",
    control="values of others are parsed unchecked",
    short=600,
    full=200_000,
)
def mutated_values(lab: Lab) -> Iterator[str]:
    """Test a batch of changes in each process."""
    seeds = corpus()
    for _ in range(lab.trials // _BATCH):
        chosen = [lab.random.choice(seeds) for _ in range(_BATCH)]
        batch = [(name, metadata, mutated(lab.random, content)) for name, metadata, content in chosen]

        def loaded(batch: list[tuple[str, dict[str, Any], bytes]] = batch) -> None:
            resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
            for name, metadata, content in batch:
                load(lab.folder, name, metadata, content)

        ended = forked(loaded)
        failure = ended.error
        if failure:
            failure = next(filter(None, (single(lab, seed) for seed in batch)), failure)
        yield failure
        yield from ("" for _ in range(_BATCH - 1))


def single(lab: Lab, seed: tuple[str, dict[str, Any], bytes]) -> str:
    """Return what is wrong with one value, and keep it for the corpus."""
    ended = forked(lambda: load(lab.folder, *seed))
    return ended.error and f"{seed[0]} {seed[1]} {seed[2].hex()[:4000]}: {ended.error}"
