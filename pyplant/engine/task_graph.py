"""The graph of tasks within one run: which task waits for which name, and which task may send it.

The scheduler owns the tasks and the searches and changes them. Only ``stop_waiting`` and ``skip_unfinished`` change a task.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from pyplant.engine.task import FINISHED, State, Task

__all__ = [
    "SenderSearch",
    "cached_dependents",
    "find_cycle",
    "possible_cycle",
    "skip_unfinished",
    "stop_waiting",
]


@dataclass(slots=True)
class SenderSearch:
    """The search for the reactor that sends one name.

    Attributes
    ----------
    candidates
        The reactors that may send the name and were not demanded yet, the likeliest first.
    current
        The candidate whose result the search waits for.
    tried
        All candidates demanded so far.
    is_required
        Whether the run fails if no reactor sends the name.
    """

    candidates: Iterator[str]
    current: str | None = None
    tried: list[str] = field(default_factory=list)
    is_required: bool = False


def find_cycle(tasks: Mapping[str, Task], searches: Mapping[str, SenderSearch]) -> list[tuple[str, str]]:
    """Return the tasks that wait for one another, each with the name it waits for, in order.

    Follows each task to the sender of one missing name until a task repeats. Call it only when no
    task can proceed: then each unfinished task leads to another one, and the walk must repeat. It
    begins at a required task, whose cycle is the one that stops the run.
    """
    waiting = [task for task in tasks.values() if task.missing and task.state not in FINISHED]
    start = next((task for task in waiting if task.is_required), waiting[0])
    path: dict[str, str] = {}
    key = start.key
    while key not in path:
        name = min(tasks[key].missing)  # any missing name leads to a cycle; this one is deterministic
        path[key] = name
        key = searches[name].current or key  # a search without a candidate ends the walk here
    steps = list(path.items())
    return steps[list(path).index(key) :]


def possible_cycle(
    tasks: Mapping[str, Task], searches: Mapping[str, SenderSearch], start: str
) -> list[tuple[str, str]]:
    """Return the tasks that wait, directly or not, for a task that waits for ``start``, each with a missing name.

    Where names are computed, every candidate may be the sender, so all of them belong to the cycle.
    """
    found: dict[str, str] = {}
    pending = [start]
    for key in pending:  # grows while it is iterated
        if key in found or not tasks[key].missing:
            continue
        found[key] = name = min(tasks[key].missing)
        pending += searches[name].tried
    return list(found.items())


def cached_dependents(tasks: Mapping[str, Task], changed: set[str]) -> list[Task]:
    """Return the cached tasks whose traces rest on ``changed`` ingredients, directly or through other cached tasks."""
    # Cached tasks only: one that runs or ran has received the values, and its trace has their digests.
    found: dict[str, Task] = {}
    pending = [changed]
    while pending:
        names = pending.pop()
        for task in tasks.values():
            is_new = task.state is State.CACHED and task.key not in found
            if is_new and task.trace is not None and not names.isdisjoint(task.trace.inputs):
                found[task.key] = task
                pending.append({output.name for output in task.trace.outputs})
    return list(found.values())


def stop_waiting(task: Task, waiting: dict[str, list[Task]]) -> None:
    """Remove a task from those that wait for a name, and drop its look-up."""
    for name in task.missing.intersection(waiting):
        waiting[name] = [other for other in waiting[name] if other is not task]
    task.lookup, task.missing = None, set()


def skip_unfinished(tasks: Iterable[Task]) -> list[Task]:
    """Skip all unfinished tasks and return them."""
    waiting = [task for task in tasks if task.state not in FINISHED]
    for task in waiting:
        task.move(State.SKIPPED)
    return waiting
