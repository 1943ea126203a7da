"""Which reactor to begin first, side by side: the one with the longest way to the end.

The way from a reactor to the end is its own time and that of the slowest chain of those
who use what it sends, as far as code tells and as long as they took when they last ran.
Beginning with the longest is the usual heuristic for lists of tasks on several machines
("critical path first": Graham, "Bounds on multiprocessing timing anomalies", 1969).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping

from pyplant.engine.prediction import Predicted

__all__ = ["remaining_seconds"]


def remaining_seconds(
    predicted: Mapping[str, Predicted], seconds: Callable[[str], float]
) -> dict[str, float]:
    """The time from the begin of each reactor to the end of what depends on it.

    Parameters
    ----------
    predicted
        What each reactor is expected to send and receive.
    seconds
        How long a reactor takes, by key; 0 if nobody knows.
    """
    receivers: dict[str, list[str]] = defaultdict(list)
    for key, expected in predicted.items():
        for name in expected.receives:
            receivers[name].append(key)
    users = {
        key: [user for name in p.sends for user in receivers.get(name, ())] for key, p in predicted.items()
    }
    found: dict[str, float] = {}
    for start in predicted:
        stack = [start]
        entered: set[str] = set()
        while stack:  # without recursion: chains are longer than Python allows
            key = stack[-1]
            if key not in entered and key not in found:
                entered.add(key)
                stack += [user for user in users[key] if user not in found and user not in entered]
                continue
            stack.pop()
            if key not in found:
                # A user that is not found yet lies on a circle.
                found[key] = seconds(key) + max((found.get(user, 0.0) for user in users[key]), default=0.0)
    return found
