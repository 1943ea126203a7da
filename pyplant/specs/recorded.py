"""The output of a reactor in a notebook: JSON events that are replayed when the reactor is cached.

HTML output can run scripts, so it is signed like a pickle: output that another user stored is not shown.
"""

from __future__ import annotations

import json
from typing import Any, ClassVar

from pyplant.ingredient import Ingredient
from pyplant.specs.base import ByteSink, Metadata, StreamSpec

__all__ = ["NOTHING_SHOWN", "Recorded", "RecordedSpec"]

Recorded = list[Any]
"""The output of a reactor: a list of JSON events that the front end can replay."""

NOTHING_SHOWN = Ingredient("", "list", "", inline=b"[]", signed=True)
"""The output of most reactors; an empty list needs no signature."""


class RecordedSpec(StreamSpec):
    """The recorded output of an execution; no value that a reactor sends has this format."""

    name: ClassVar[str] = "recorded"
    suffix: ClassVar[str] = ".json"
    runs_code: ClassVar[bool] = True

    def matches(self, value: Any) -> bool:
        del value
        return False

    def dump(self, value: Any, stream: ByteSink) -> Metadata:
        stream.write(json.dumps(value, separators=(",", ":")).encode("ascii"))
        return {}

    def parse(self, buffer: Any, metadata: Metadata) -> Any:
        recorded = json.loads(bytes(buffer))
        if not isinstance(recorded, list):
            raise TypeError(recorded)
        return recorded
