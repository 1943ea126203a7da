"""The reactors that a plant uses, how they are found by function or name, and what their code predicts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pyplant._definitions import Definition, current_definitions, definition_of, newest, sources
from pyplant.engine.prediction import Predicted
from pyplant.errors import DefinitionError, NotAReactorError, UnknownReactorError, near_misses
from pyplant.fingerprint.fingerprint import Fingerprinter
from pyplant.fingerprint.hints import predict

__all__ = ["Registry", "predictions"]


class Registry:
    """The reactors of one plant: those that were added to it; if none were, all of the process."""

    def __init__(self) -> None:
        self._added: dict[str, Definition] = {}
        self._removed: dict[str, Definition] = {}

    def add(self, functions: Iterable[Callable[..., Any] | Iterable[Callable[..., Any]]]) -> None:
        """Add reactors, one by one or in lists.

        Raises
        ------
        pyplant.errors.NotAReactorError, pyplant.errors.DefinitionError
            If one of them is no reactor, or two have the same full name; then none is added.
        """
        definitions: list[Definition] = []
        for item in functions:
            group = item if isinstance(item, list | tuple | set | frozenset) else [item]
            definitions += [definition_of(function) for function in group]
        named: dict[str, Definition] = {}
        for definition in definitions:
            first = named.setdefault(definition.key, definition)
            if first.function is not definition.function:
                message = (
                    f"Two different functions are both called {definition.full_name!r}, so only one would count. "
                    f"Give each its own name: @ReactorFunc(name=...)."
                )
                raise DefinitionError(message)
        # Removed first, so that a reactor that is added again moves to the end: the order is that of definition.
        for definition in definitions:
            self._added.pop(definition.key, None)
            self._added[definition.key] = definition

    def remove(self, definition: Definition) -> None:
        """Forget a reactor until it is defined or added again."""
        self._added.pop(definition.key, None)
        self._removed[definition.key] = definition

    def current(self) -> dict[str, Definition]:
        """Return the reactors by key, in order of definition; of those with one key the newest."""
        if self._added:
            return {key: newest(definition) for key, definition in self._added.items()}
        return {
            definition.key: definition
            for definition in current_definitions()
            if self._removed.get(definition.key) is not definition
        }

    def find(self, reactor: Callable[..., Any] | str) -> Definition:
        """Find a reactor by its function or its name.

        Raises
        ------
        pyplant.errors.NotAReactorError
            If a function is no reactor.
        pyplant.errors.UnknownReactorError
            If no reactor has the name, or several have it.
        """
        if isinstance(reactor, str):
            return self._by_name(reactor)
        definition = definition_of(reactor)
        if self._added and definition.key not in self._added:
            self.add([definition.function])
        return newest(definition)

    def _by_name(self, name: str) -> Definition:
        current = self.current().values()
        found = [definition for definition in current if name in (definition.name, definition.full_name)]
        if len(found) == 1:
            return found[0]
        if found:
            full = " or ".join(sorted(repr(definition.full_name) for definition in found))
            message = f"Several reactors are called {name!r}; write {full}."
            raise UnknownReactorError(message)
        if not isinstance(name, str) or not name:
            message = f"A reactor is given by its function or its name, not {name!r}."
            raise NotAReactorError(message)
        known = [definition.name for definition in current]
        close = near_misses(name, known)
        hint = f"Did you mean {' or '.join(map(repr, close))}?" if close else _all_of(known)
        message = f"No reactor is called {name!r}. {hint}"
        raise UnknownReactorError(message)


def _all_of(known: list[str]) -> str:
    if not known:
        return "No reactors are defined: decorate functions with @ReactorFunc."
    shown = ", ".join(known[:8]) + (", …" if len(known) > 8 else "")  # noqa: PLR2004 - a line's worth
    return f"Known are: {shown}."


def predictions(definitions: Mapping[str, Definition], fingerprinter: Fingerprinter) -> dict[str, Predicted]:
    """Return the predictions of reactors, by key."""
    take = fingerprinter.fingerprint
    found = {key: predict(take(definition.function).hints) for key, definition in definitions.items()}
    sources.forget_trees()  # all their code was looked at
    return found
