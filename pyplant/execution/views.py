"""What a plant shows of itself without running anything."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pyplant._definitions import Definition
from pyplant.engine.task import State
from pyplant.engine.trace import Trace
from pyplant.execution.outlook import Outlook
from pyplant.execution.summary import remember
from pyplant.execution.world import RunWorld
from pyplant.report import Explanation, History, Outcome, Plan, Status

__all__ = ["edges", "explain", "history", "plan", "status"]

_LIVE = {
    State.RUNNING: Outcome.RUNNING,
    State.SLEEPING: Outcome.WAITING,
    State.BLOCKED: Outcome.WAITING,
}


def status(world: RunWorld, live: Mapping[str, State], failed: Mapping[str, str], directory: str) -> Status:
    """How every reactor stands.

    Parameters
    ----------
    world
        How things stand now.
    live
        What the run that is under way is doing, by key.
    failed
        How reactors failed last, by key.
    directory
        Of the plant.
    """
    outlook = Outlook(world)
    outlook.judge(world.definitions)
    entries = (
        outlook.entry(key, now=_LIVE.get(live.get(key, State.PENDING)), error=failed.get(key, ""))
        for key in world.definitions
    )
    return Status(tuple(entries), directory)


def explain(world: RunWorld, definition: Definition, ingredient: str = "") -> Explanation:
    """Why a reactor would run; it was asked for by the name of the ingredient, if one is given."""
    outlook = Outlook(world)
    outlook.judge([definition.key])
    notes = sorted(note.text for note in world.fingerprint(definition.key).notes)
    return Explanation(outlook.entry(definition.key, as_target=True), tuple(notes), ingredient)


def plan(world: RunWorld, definition: Definition, ingredient: str = "") -> Plan:
    """What running a reactor would involve."""
    return Plan(definition.name, tuple(Outlook(world).plan(definition.key)), ingredient)


def history(name: str, traces: Iterable[Trace], ingredient: str = "") -> History:
    """The kept executions of a reactor, given oldest first."""
    return History(name, tuple(map(remember, reversed(list(traces)))), ingredient)


def edges(world: RunWorld) -> dict[str, dict[str, list[str]]]:
    """What flows where: receiver -> sender -> names of ingredients, by reactor name."""
    outlook = Outlook(world)
    outlook.judge(world.definitions)
    return outlook.edges()
