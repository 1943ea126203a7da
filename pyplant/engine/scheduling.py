"""What the scheduler hands out, what it asks, and how it says that it cannot go on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

from pyplant.engine.rebuilder import Demands, Verdict
from pyplant.engine.task import Task
from pyplant.engine.trace import Trace
from pyplant.errors import CycleError, DuplicateSenderError, MissingSenderError
from pyplant.ingredient import Ingredient

__all__ = [
    "Action",
    "Resume",
    "Start",
    "World",
    "conflict_error",
    "cycle_error",
    "missing_sender_error",
]


class Start(NamedTuple):
    """Start executing a reactor."""

    task: Task


class Resume(NamedTuple):
    """Go on with a reactor: hand it these ingredients, in this order."""

    task: Task
    ingredients: tuple[Ingredient, ...]


Action = Start | Resume


class World(Protocol):
    """What the scheduler asks about reactors."""

    def check(self, key: str) -> Demands | Verdict:
        """Look for a trace of this reactor that verifies, or say at once why none can."""

    def candidates(self, name: str) -> Iterator[str]:
        """Reactors that may send a name, the likeliest first."""

    def literal_senders(self, name: str) -> list[str]:
        """Reactors whose code names the ingredient they send."""

    def prefetchable(self, key: str) -> Iterable[str]:
        """Names that a reactor receives whatever happens, if they may be brought about ahead."""

    def label(self, key: str) -> str:
        """What people call a reactor."""

    def suggestions(self, name: str) -> str:
        """A sentence with names that look alike and where an ingredient last came from."""

    def runs_for_effect(self, trace: Trace) -> bool:
        """Whether what an execution did for its user is done again only by running it again."""


def cycle_error(context: World, cycle: Sequence[tuple[str, str]]) -> CycleError:
    """Reactors, each with the name it waits for, which the next one sends, and the last one the first."""
    senders = [key for key, _ in (*cycle[1:], *cycle[:1])]
    steps = [f"{name!r} from {context.label(key)}" for (_, name), key in zip(cycle, senders, strict=True)]
    path = f"{context.label(cycle[0][0])} waits for {', which waits for '.join(steps)}"
    message = f"Reactors wait for one another in a circle: {path}. Break it by splitting one of them in two."
    return CycleError(message)


def conflict_error(context: World, name: str, keys: Iterable[str]) -> DuplicateSenderError:
    """An ingredient has more senders than one."""
    labels = " and ".join(map(context.label, keys))
    message = (
        f"Ingredient {name!r} is sent by {labels}; each name must have one sender. Rename one of them, "
        f"let one reactor choose between the two, or drop a leftover: plant.remove_reactor(name)."
    )
    return DuplicateSenderError(message)


def missing_sender_error(
    context: World, name: str, waiting: Iterable[str], silent: Sequence[str]
) -> MissingSenderError:
    """No reactor sends an ingredient; the ``silent`` ones name it and ended without sending it."""
    labels = ", ".join(map(context.label, waiting))
    asking = f"{labels} waits for" if labels else "The run asks for"
    if silent:
        return MissingSenderError(
            f"{asking} ingredient {name!r}. {context.label(silent[0])} ran but did not send {name!r} this time. "
            f"Send it in every case, or receive it only where it is sent."
        )
    return MissingSenderError(
        f"{asking} ingredient {name!r}, which no reactor sends.{context.suggestions(name)}"
    )
