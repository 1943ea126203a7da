"""What a reactor showed in a notebook: events as JSON, to be shown again.

Showing HTML can run scripts, so these are signed like pickles: what somebody else's plant
brings along is not shown.
"""

from __future__ import annotations

import json
from typing import Any, ClassVar

from pyplant.ingredient import Ingredient
from pyplant.specs.base import ByteSink, Metadata, StreamSpec

__all__ = ["NOTHING_SHOWN", "Recorded", "RecordedSpec"]

Recorded = list[Any]
"""What a reactor showed, in order: JSON-able events that the front end can show again."""

NOTHING_SHOWN = Ingredient("", "list", "", inline=b"[]", signed=True)
"""What most reactors show; nothing in it needs a signature."""


class RecordedSpec(StreamSpec):
    """What a front end took down of an execution; nothing that reactors send is stored as this."""

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
