"""The errors that end the work of the scheduler."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pyplant.engine.context import EngineContext
from pyplant.engine.task import State, Task
from pyplant.errors import CycleError, DuplicateSenderError, MissingSenderError

__all__ = ["conflict_error", "cycle_error", "missing_sender_error"]

_MAX_STEPS = 10


def cycle_error(
    context: EngineContext, cycle: Sequence[tuple[str, str]], possible: Sequence[tuple[str, str]]
) -> CycleError:
    """Return the error for reactors that wait for one another.

    Parameters
    ----------
    context
        Answers questions about reactors.
    cycle
        The reactors of one cycle, each with the name that it awaits from the next one.
    possible
        The reactors that may be part of it, each with the name that it awaits.
    """
    senders = [key for key, _ in (*cycle[1:], *cycle[:1])]  # each name is awaited from the next reactor
    if all(key in context.literal_senders(name) for (_, name), key in zip(cycle, senders, strict=True)):
        steps = [f"{name!r} from {context.label(key)}" for (_, name), key in zip(cycle, senders, strict=True)]
        path = f"{context.label(cycle[0][0])} waits for {', which waits for '.join(steps)}"
    else:  # names are computed, so which of the reactors sends which name is not known
        steps = [f"{context.label(key)} waits for {name!r}" for key, name in possible[:_MAX_STEPS]]
        more = f", and so on ({len(possible)} in all)" if possible[_MAX_STEPS:] else ""
        path = f"{', '.join(steps)}{more}; no other reactor can send these names"
    message = f"Reactors wait for one another in a circle: {path}. Break it by splitting one of them in two."
    return CycleError(message)


def conflict_error(context: EngineContext, name: str, keys: Iterable[str]) -> DuplicateSenderError:
    """Return the error for an ingredient with several senders."""
    labels = " and ".join(map(context.label, keys))
    message = (
        f"Ingredient {name!r} is sent by {labels}; each name must have one sender. Rename one of them, "
        f"let one reactor choose between the two, drop a leftover with plant.remove_reactor(name), or name the reactors "
        f"that count with plant.add_reactors(...)."
    )
    return DuplicateSenderError(message)


def missing_sender_error(
    context: EngineContext, name: str, waiting: Iterable[Task], tasks: Mapping[str, Task]
) -> MissingSenderError:
    """Return the error for an ingredient that the ``waiting`` tasks need and none of ``tasks`` sent."""
    labels = ", ".join(context.label(task.key) for task in waiting)
    literal = [tasks[key] for key in context.literal_senders(name) if key in tasks]
    silent = [task.key for task in literal if task.state in (State.CACHED, State.DONE)]
    asking = f"{labels} waits for" if labels else "The run asks for"
    if silent:
        return MissingSenderError(
            f"{asking} ingredient {name!r}. {context.label(silent[0])} ran but did not send {name!r} this time. "
            f"Send it in every case, or receive it only where it is sent."
        )
    return MissingSenderError(
        f"{asking} ingredient {name!r}, which no reactor sends.{context.suggestions(name)}"
    )
