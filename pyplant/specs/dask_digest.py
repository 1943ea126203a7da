"""Digests of Dask's delayed objects, whose keys are random: they count by their tasks, with numbers in place of keys."""

from __future__ import annotations

import sys
from typing import Any

from pyplant.fingerprint.digest import Encoder, encodes
from pyplant.specs.library_versions import refuse_older

__all__: list[str] = []


@encodes("dask.*.Delayed", "dask.*.DelayedLeaf", "dask.*.DelayedAttr")
def _encode_delayed(value: Any, encoder: Encoder) -> None:
    if refuse_older("dask", value, encoder):
        return
    specification = sys.modules["dask._task_spec"]
    tasks = specification.convert_legacy_graph(dict(value.__dask_graph__()))
    numbers = {value.key: 0}

    def described(part: Any) -> Any:
        """Return what a task consists of; a task that it refers to gets a number."""
        if isinstance(part, specification.TaskRef | specification.Alias):
            target = getattr(part, "target", part)
            return ["task", numbers.setdefault(getattr(target, "key", target), len(numbers))]
        if isinstance(part, specification.DataNode):
            return ["data", part.value]
        if isinstance(part, specification.Task):
            named = {name: described(own) for name, own in part.kwargs.items()}
            return [type(part).__name__, part.func, list(map(described, part.args)), named]
        return ["value", part]

    encoder.tag("delayed")
    encoder.code(type(value))
    done = 0
    while done < len(numbers):  # grows meanwhile
        encoder.item(described(tasks[list(numbers)[done]]))
        done += 1
