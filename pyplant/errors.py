"""Every exception and warning of PyPlant.

The tree::

    PlantError
    ├── DefinitionError (ValueError)       a reactor or an ingredient was declared wrongly
    │   ├── NotAReactorError (TypeError)
    │   ├── DuplicateSenderError
    │   └── UnknownReactorError (LookupError)
    ├── ConfigError                        parameters
    │   ├── MissingParameterError (AttributeError, KeyError)
    │   ├── ConfigChangedError (RuntimeError)
    │   └── UndigestibleError (TypeError)
    ├── IngredientError                    values that reactors send and receive
    │   ├── UnknownTypeError (ValueError)
    │   ├── NotAllocatedError (RuntimeError)
    │   ├── SentTwiceError (RuntimeError)
    │   ├── UnsavableError (TypeError)
    │   └── MissingIngredientError (LookupError)
    ├── RunError (RuntimeError)            the order of things
    │   ├── NotYieldedError
    │   ├── CycleError
    │   ├── MissingSenderError (LookupError)
    │   ├── NestedRunError
    │   ├── ReactorExitError
    │   └── WorkerError
    └── StoreError (OSError)               the plant directory
        ├── PlantDirError
        ├── FormatError
        └── DamagedError
            ├── EvictedError
            └── UntrustedError

    PlantWarning (UserWarning)
    ├── StaleWarning                       an older value was handed out, on request
    ├── UnknownParameterWarning            a name was marked as auxiliary that leads nowhere
    ├── ReturnedWarning                    a reactor returned a value, which nothing receives
    ├── StateWarning                       a global that changes while reactors run
    ├── OpaqueWarning                      something the fingerprint cannot follow
    ├── UnsavedWarning                     a result was delivered but not kept
    ├── NondeterministicWarning            the same inputs gave another value
    └── DamageWarning                      a stored file was not what was written

A reactor's own exception is never wrapped, except ``SystemExit``, which would end the
program as if nothing were wrong. Each message says what happened, to
which name, and what to do. The second bases let code that expects the builtin
exception keep working.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import logging

__all__ = [
    "ConfigChangedError",
    "ConfigError",
    "CycleError",
    "DamageWarning",
    "DamagedError",
    "DefinitionError",
    "DuplicateSenderError",
    "EvictedError",
    "FormatError",
    "IngredientError",
    "MissingIngredientError",
    "MissingParameterError",
    "MissingSenderError",
    "NestedRunError",
    "NondeterministicWarning",
    "NotAReactorError",
    "NotAllocatedError",
    "NotYieldedError",
    "OpaqueWarning",
    "PlantDirError",
    "PlantError",
    "PlantWarning",
    "ReactorExitError",
    "ReturnedWarning",
    "RunError",
    "SentTwiceError",
    "StaleWarning",
    "StateWarning",
    "StoreError",
    "UndigestibleError",
    "UnknownParameterWarning",
    "UnknownReactorError",
    "UnknownTypeError",
    "UnsavableError",
    "UnsavedWarning",
    "UntrustedError",
    "WorkerError",
    "auxiliary_in_sweep",
    "dropped_result",
    "ingredient_as_parameter",
    "method_as_reactor",
    "near_misses",
    "no_function",
    "unknown_mark",
    "warn",
    "warns_once",
]


class PlantError(Exception):
    """Root of all errors that PyPlant itself raises."""

    def __str__(self) -> str:
        # KeyError would show the message in quotes; OSError would hide it.
        return str(self.args[0]) if self.args else ""


class DefinitionError(PlantError, ValueError):
    """A reactor is declared in a way that cannot work."""


class NotAReactorError(DefinitionError, TypeError):
    """Something that is not decorated with ``@ReactorFunc`` was used as a reactor."""


class DuplicateSenderError(DefinitionError):
    """Two reactors send the same ingredient."""


class UnknownReactorError(DefinitionError, LookupError):
    """No reactor, or more than one, goes by this name."""


class ConfigError(PlantError):
    """A configuration, or the use of one, is wrong."""


class MissingParameterError(ConfigError, AttributeError, KeyError):
    """A parameter was read that the configuration does not have."""


class ConfigChangedError(ConfigError, RuntimeError):
    """A reactor tried to change the configuration."""


class UndigestibleError(ConfigError, TypeError):
    """A value has no content that could be compared between runs."""


class IngredientError(PlantError):
    """A value was sent, allocated or received wrongly."""


class UnknownTypeError(IngredientError, ValueError):
    """No ingredient spec goes by this type."""


class NotAllocatedError(IngredientError, RuntimeError):
    """A value was sent whose type must be allocated first."""


class SentTwiceError(IngredientError, RuntimeError):
    """One execution sent one name twice."""


class UnsavableError(IngredientError, TypeError):
    """A spec cannot store this value faithfully."""


class MissingIngredientError(IngredientError, LookupError):
    """An ingredient is not in the plant."""


class RunError(PlantError, RuntimeError):
    """Reactors could not be brought to an end."""


class NotYieldedError(RunError):
    """The result of ``receive`` or of a subreactor was used without ``yield``."""


class CycleError(RunError):
    """Reactors wait for one another in a circle."""


class MissingSenderError(RunError, LookupError):
    """An ingredient is demanded that no reactor sends."""


class NestedRunError(RunError):
    """A plant was asked to run from inside one of its own reactors."""


class ReactorExitError(RunError):
    """A reactor called ``sys.exit``; the ``SystemExit`` is its cause."""


class WorkerError(RunError):
    """Workers died each time they performed a reactor."""


class StoreError(PlantError, OSError):
    """The plant directory could not be used."""


class PlantDirError(StoreError):
    """The plant directory is not one, not writable, or somebody else's."""


class FormatError(StoreError):
    """The plant was written in a format this version does not know."""


class DamagedError(StoreError):
    """A stored file is not what was written."""


class EvictedError(DamagedError):
    """A value is no longer stored."""


class UntrustedError(DamagedError):
    """A value was pickled by another user, so loading it could run their code."""


class PlantWarning(UserWarning):
    """Root of all warnings of PyPlant."""


class StaleWarning(PlantWarning):
    """A value is handed out that the current code would not produce."""


class UnknownParameterWarning(PlantWarning):
    """A name is marked as auxiliary that neither the configuration has nor code reads."""


class ReturnedWarning(PlantWarning):
    """A reactor returned a value; others receive only what is sent."""


class StateWarning(PlantWarning):
    """A name that changes while reactors run is left out of the fingerprint."""


class OpaqueWarning(PlantWarning):
    """An object counts by its class only, because its content cannot be compared."""


class UnsavedWarning(PlantWarning):
    """A result was delivered but could not be kept."""


class NondeterministicWarning(PlantWarning):
    """The same code and inputs produced another value."""


class DamageWarning(PlantWarning):
    """A stored file is not what was written; its value is computed again."""


def exit_of_reactor(name: str, error: SystemExit) -> ReactorExitError:
    """What is raised for ``SystemExit``, with which a script would end at once, mostly as a success."""
    message = (
        f"Reactor {name!r} called sys.exit({'' if error.code is None else repr(error.code)}), or something that it "
        f"uses did. A reactor ends by returning and fails by raising an error; it cannot end the program."
    )
    failure = ReactorExitError(message)
    failure.__cause__ = error
    return failure


def near_misses(name: str, known: Iterable[str]) -> list[str]:
    """Known names that look like ``name``, the likeliest first."""
    from difflib import get_close_matches  # slow to load

    return get_close_matches(name, list(known), n=3, cutoff=0.7)


def dropped_result(reactor: str, kind: str) -> str:
    """The warning for a reactor that returned a value of this type."""
    return (
        f"Reactor {reactor!r} returned a value of type {kind}, which is dropped: others receive what is sent. "
        f"Write pipe.send({reactor!r}, value) instead of return value."
    )


def ingredient_as_parameter(reactor: str, name: str, senders: Iterable[str]) -> DefinitionError:
    """The error for a reactor that takes an ingredient as its second parameter."""
    known = list(senders)
    why = f"{name!r} is an ingredient, sent by {known[0]!r}" if known else "no configuration was set"
    otherwise = "If it is the configuration, call it 'config'" + (
        "" if known else ", or call plant.set_config"
    )
    return DefinitionError(
        f"Reactor {reactor!r} takes (pipe, {name}), where the second parameter is the configuration, but {why}. "
        f'Ingredients are received; write def {reactor}(pipe), and in it: {name} = yield pipe.receive("{name}"). '
        f"{otherwise}."
    )


def method_as_reactor(qualname: str, first: str) -> str:
    """What is wrong with a method as a reactor, and what to write."""
    name = qualname.rpartition(".")[2]
    return (
        f"{qualname!r} is a method (its first parameter is {first!r}); a plant has no object to call it with. "
        f"Write a function, def {name}(pipe, config), or put @staticmethod above @ReactorFunc and leave "
        f"{first!r} out. What the object holds comes as parameters."
    )


def no_function(thing: object) -> str:
    """What is wrong with something else than a function as a reactor, and what to write."""
    name = getattr(thing, "__name__", "")
    shown = f"{type(thing).__name__} {name!r}" if isinstance(name, str) and name else type(thing).__name__
    if isinstance(thing, staticmethod | classmethod):
        advice = "put @staticmethod above @ReactorFunc"
    elif callable(thing) and not isinstance(thing, type):
        advice = "wrap it in a function that takes 'pipe': def name(pipe): return thing(pipe)"
    else:
        advice = "wrap it in a function that takes 'pipe'"
    return f"@ReactorFunc decorates functions, not a {shown}; {advice}."


def auxiliary_in_sweep(name: str, mark: str) -> ConfigError:
    """The error for a sweep over a parameter that no result depends on."""
    through = "" if mark == name else f" (through {mark!r})"
    return ConfigError(
        f"A sweep cannot vary {name!r}: it is marked as auxiliary{through}, so no result depends on it, and all "
        f"rows would show the result of one value. Take the mark away, or leave the parameter out of the sweep."
    )


def unknown_mark(name: str, known: Iterable[str]) -> str:
    """The warning for a mark on a parameter that is not known, with near misses."""
    close = near_misses(name, known)
    hint = (
        f" Did you mean {' or '.join(map(repr, close))}?"
        if close
        else " Remove the mark, or correct the name."
    )
    return (
        f"Parameter {name!r} is marked as auxiliary, but the configuration has no such parameter and no "
        f"reactor reads one.{hint}"
    )


def logger() -> logging.Logger:
    """The logger of the library."""
    import logging  # slow to load, and most sessions log nothing

    return logging.getLogger("pyplant")


def warn(category: type[PlantWarning], message: str) -> None:
    """Warn, pointing at the line of the user that led here."""
    level, frame = 2, sys._getframe(1)  # noqa: SLF001 - documented in sys
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(
        ("pyplant.", "contextlib", "IPython.core.")
    ):
        frame, level = frame.f_back, level + 1
    try:
        warnings.warn(message, category, stacklevel=level)
    except Warning:
        raise
    except Exception:  # noqa: BLE001 - standard error may be anything; whoever wants to know sets a filter
        logger().warning("%s", message)


def warns_once() -> Callable[[type[PlantWarning], str], None]:
    """A function that warns as :func:`warn` does, of the same thing once only."""
    told: set[str] = set()

    def warn_once(category: type[PlantWarning], message: str) -> None:
        if message not in told:
            told.add(message)
            warn(category, message)

    return warn_once
