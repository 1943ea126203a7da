"""Finds the reactor that a user names, and forgets its results."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pyplant._definitions import Definition
from pyplant.engine.scheduler_errors import conflict_error
from pyplant.errors import PlantDirError, UnknownReactorError
from pyplant.execution.context import RunContext

if TYPE_CHECKING:
    from pyplant.execution.session import Session

__all__ = ["find", "find_reactor", "invalidate"]


def find(session: Session, wanted: Callable[..., Any] | str) -> tuple[Definition, str, RunContext]:
    """Find a reactor by its function, by its name, or by the name of an ingredient that it sends.

    Returns
    -------
    definition, ingredient
        The reactor, and the name of the ingredient if it was found by that, else ``""``.
    context
        A new context that contains the reactor.

    Raises
    ------
    pyplant.errors.NotAReactorError, pyplant.errors.UnknownReactorError
        If there is none.
    pyplant.errors.DuplicateSenderError
        If the code of several reactors sends the ingredient.
    """
    try:
        definition = session.registry.find(wanted)
    except UnknownReactorError:
        # Only if no reactor has the name: reactors and ingredients may share names.
        context = session.context()
        senders = context.known_senders(str(wanted))
        if not senders:
            raise
    else:
        return definition, "", session.context(definition)
    if len(senders) > 1:
        raise conflict_error(context, str(wanted), senders)
    return context.definitions[senders[0]], str(wanted), context


def find_reactor(session: Session, wanted: Callable[..., Any] | str) -> Definition:
    """Find a reactor by its function or its name.

    Raises
    ------
    pyplant.errors.NotAReactorError, pyplant.errors.UnknownReactorError
        If there is none. If it is the name of an ingredient, the error says who sends it.
    """
    try:
        return session.registry.find(wanted)
    except UnknownReactorError as error:
        context = session.context()
        senders = [context.definitions[key].name for key in context.known_senders(str(wanted))]
        if not senders:
            raise
        message = (
            f"{wanted!r} is an ingredient, which {' and '.join(map(repr, senders))} sends. Give the reactor, or ask "
            f"for the value: plant.get({wanted!r})."
        )
        raise UnknownReactorError(message) from error


def invalidate(session: Session, reactor: Callable[..., Any] | str) -> None:
    """Forget all stored executions of a reactor."""
    with session.exclusive_access("plant.invalidate"):
        definition, _, context = find(session, reactor)
        fingerprint = context.fingerprint(definition.key)
        if session.warehouse.is_read_only:
            message = f"The plant {session.warehouse.root} is read-only; it forgets nothing."
            raise PlantDirError(message) from OSError(errno.EROFS, os.strerror(errno.EROFS))
        session.warehouse.ledger.forget(definition.full_name, fingerprint.digest)
