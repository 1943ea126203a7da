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
    ├── RunError (RuntimeError)            reactors of a run
    │   ├── NotYieldedError
    │   ├── CycleError
    │   ├── MissingSenderError (LookupError)
    │   ├── NestedRunError
    │   ├── ReactorExitError
    │   ├── ResourcesError
    │   └── WorkerError
    └── StoreError (OSError)               the plant directory
        ├── PlantDirError
        ├── FormatError
        └── DamagedError
            ├── EvictedError
            └── UntrustedError

    PlantWarning (UserWarning)
    ├── StaleWarning                       fetch_ingredient returned a value of older code
    ├── UnknownParameterWarning            an unknown name was marked as auxiliary
    ├── ReturnedWarning                    a reactor returned a value, which nothing receives
    ├── StateWarning                       one reactor changes a global that another one reads
    ├── OpaqueWarning                      the fingerprint cannot compare an object
    ├── UnsavedWarning                     a result was delivered but not stored
    ├── NondeterministicWarning            the same inputs gave another value
    └── DamageWarning                      a stored file differs from what was written

The exception of a reactor is never wrapped, except ``SystemExit``, which would end the
program with the exit code of a success. Each message says what happened, to which name, and
what to do. The second base classes let ``except`` clauses for builtin exceptions work.
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
    "ResourcesError",
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
    "add_note",
    "auxiliary_in_sweep_error",
    "dropped_result_message",
    "ingredient_as_parameter_error",
    "method_as_reactor_message",
    "near_misses",
    "not_a_function_message",
    "opaque_message",
    "unknown_mark_message",
    "warn",
    "warns_once",
]


class PlantError(Exception):
    """Base class of all errors that PyPlant raises."""

    def __str__(self) -> str:
        # KeyError.__str__ adds quotes; OSError.__str__ may omit the message.
        return str(self.args[0]) if self.args else ""


class DefinitionError(PlantError, ValueError):
    """A reactor or ingredient is declared wrongly."""


class NotAReactorError(DefinitionError, TypeError):
    """Something that is not decorated with ``@ReactorFunc`` was used as a reactor."""


class DuplicateSenderError(DefinitionError):
    """Two reactors send the same ingredient."""


class UnknownReactorError(DefinitionError, LookupError):
    """No reactor has this name, or several have it."""


class ConfigError(PlantError):
    """A configuration is invalid or used wrongly."""


class MissingParameterError(ConfigError, AttributeError, KeyError):
    """A parameter was read that the configuration does not have."""


class ConfigChangedError(ConfigError, RuntimeError):
    """A reactor tried to change the configuration."""


class UndigestibleError(ConfigError, TypeError):
    """A value cannot be compared between runs, since it has no comparable content."""


class IngredientError(PlantError):
    """A value was sent, allocated or received wrongly."""


class UnknownTypeError(IngredientError, ValueError):
    """No ingredient spec is registered for this type."""


class NotAllocatedError(IngredientError, RuntimeError):
    """A value was sent whose type must be allocated first."""


class SentTwiceError(IngredientError, RuntimeError):
    """An execution sent two values under one name."""


class UnsavableError(IngredientError, TypeError):
    """A spec cannot store a value so that an equal one is loaded."""


class MissingIngredientError(IngredientError, LookupError):
    """An ingredient is not in the plant."""


class RunError(PlantError, RuntimeError):
    """A run could not finish."""


class NotYieldedError(RunError):
    """The result of ``receive`` or of a subreactor was used without ``yield``."""


class CycleError(RunError):
    """Reactors wait for one another in a cycle."""


class MissingSenderError(RunError, LookupError):
    """No reactor sends a requested ingredient."""


class NestedRunError(RunError):
    """A reactor called its own plant to run reactors."""


class ReactorExitError(RunError):
    """A reactor called ``sys.exit``; ``__cause__`` is the ``SystemExit``."""


class WorkerError(RunError):
    """Every worker that executed a reactor died."""


class ResourcesError(RunError):
    """A reactor needs more resources than its plant has (``resources=``)."""


class StoreError(PlantError, OSError):
    """The plant directory cannot be used."""


class PlantDirError(StoreError):
    """The directory is not a plant, is not writable, or belongs to another user."""


class FormatError(StoreError):
    """The plant has a format that this version does not support."""


class DamagedError(StoreError):
    """A stored file differs from what was written."""


class EvictedError(DamagedError):
    """A value is no longer stored."""


class UntrustedError(DamagedError):
    """A value was pickled by another user, so loading it could run their code."""


class PlantWarning(UserWarning):
    """Base class of all warnings of PyPlant."""


class StaleWarning(PlantWarning):
    """The returned value was made by older code or parameters."""


class UnknownParameterWarning(PlantWarning):
    """A name is marked as auxiliary, but no configuration has it and no code reads it."""


class ReturnedWarning(PlantWarning):
    """A reactor returned a value; other reactors receive only what it sends."""


class StateWarning(PlantWarning):
    """A global changed while a reactor ran, and another reactor reads it."""


class OpaqueWarning(PlantWarning):
    """The fingerprint covers only the class of an object, because its content cannot be compared."""


class UnsavedWarning(PlantWarning):
    """A result was delivered but could not be stored."""


class NondeterministicWarning(PlantWarning):
    """The same code and inputs produced a different value."""


class DamageWarning(PlantWarning):
    """A stored file differs from what was written; its value is computed again."""


def reactor_exit_error(name: str, error: SystemExit) -> ReactorExitError:
    """Return the error that replaces ``SystemExit``, which would end a script, usually with the code of a success."""
    message = (
        f"Reactor {name!r} called sys.exit({'' if error.code is None else repr(error.code)}), or code that it "
        f"uses did. A reactor ends by returning and fails by raising an error; it cannot end the program."
    )
    failure = ReactorExitError(message)
    failure.__cause__ = error
    return failure


def add_note(error: BaseException, note: str) -> None:
    """Add a note to an exception once, if its class permits that."""
    try:
        if note not in getattr(error, "__notes__", ()):  # one object may be raised again and again
            error.add_note(note)
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001, S110 - a frozen class, or code of the user; the exception is more important
        pass


def near_misses(name: str, known: Iterable[str]) -> list[str]:
    """Return known names that are similar to ``name``, the most similar first."""
    from difflib import get_close_matches  # slow to load

    return get_close_matches(name, list(known), n=3, cutoff=0.7)


def dropped_result_message(reactor: str, kind: str) -> str:
    """Return the warning for a reactor that returned a value of this type."""
    return (
        f"Reactor {reactor!r} returned a value of type {kind}, which is dropped: other reactors receive what is sent. "
        f"Write pipe.send({reactor!r}, value) instead of return value."
    )


def opaque_message(place: str, kind: str, reactor: str) -> str:
    """Return the warning for a variable that a reactor reads and that counts by its class only."""
    what = f"{place}, a {kind}," if place else f"A {kind}"
    return (
        f"{what} counts by its class only for reactor {reactor!r}: its content cannot be compared between runs, so a "
        f"change of it reruns nothing. Make it inside the reactor, or name what it depends on in a parameter."
    )


def ingredient_as_parameter_error(reactor: str, name: str, senders: Iterable[str]) -> DefinitionError:
    """Return the error for a reactor that takes an ingredient as its second parameter."""
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


def method_as_reactor_message(qualname: str, first: str) -> str:
    """Return the message for a method that is decorated as a reactor."""
    name = qualname.rpartition(".")[2]
    return (
        f"{qualname!r} is a method (its first parameter is {first!r}); a plant has no object to call it with. "
        f"Write a function, def {name}(pipe, config), or put @staticmethod above @ReactorFunc and leave "
        f"{first!r} out. What the object holds comes as parameters."
    )


def not_a_function_message(thing: object) -> str:
    """Return the message for a decorated object that is not a function."""
    name = getattr(thing, "__name__", "")
    shown = f"{type(thing).__name__} {name!r}" if isinstance(name, str) and name else type(thing).__name__
    if isinstance(thing, staticmethod | classmethod):
        advice = "put @staticmethod above @ReactorFunc"
    elif callable(thing) and not isinstance(thing, type):
        advice = "wrap it in a function that takes 'pipe': def name(pipe): return thing(pipe)"
    else:
        advice = "wrap it in a function that takes 'pipe'"
    return f"@ReactorFunc decorates functions, not a {shown}; {advice}."


def auxiliary_in_sweep_error(name: str, mark: str) -> ConfigError:
    """Return the error for a sweep over an auxiliary parameter."""
    through = "" if mark == name else f" (through {mark!r})"
    return ConfigError(
        f"A sweep cannot vary {name!r}: it is marked as auxiliary{through}, so no result depends on it, and all "
        f"rows would show the result of one value. Take the mark away, or leave the parameter out of the sweep."
    )


def unknown_mark_message(name: str, known: Iterable[str]) -> str:
    """Return the warning for an unknown auxiliary parameter, with similar names."""
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
    """Return the logger of the library."""
    import logging  # slow to load, and most sessions log nothing

    return logging.getLogger("pyplant")


def warn(category: type[PlantWarning], message: str) -> None:
    """Issue a warning that points at the innermost line of user code on the stack."""
    level, frame = 2, sys._getframe(1)  # noqa: SLF001 - documented in sys
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(
        ("pyplant.", "contextlib", "IPython.core.")
    ):
        frame, level = frame.f_back, level + 1
    try:
        warnings.warn(message, category, stacklevel=level)
    except Warning:
        raise
    except Exception:  # noqa: BLE001 - a replaced standard error may raise; a lost warning must not end a run
        logger().warning("%s", message)


def warns_once() -> Callable[[type[PlantWarning], str], None]:
    """Return a function that warns like :func:`warn`, once for each message."""
    issued: set[str] = set()

    def warn_once(category: type[PlantWarning], message: str) -> None:
        if message not in issued:
            issued.add(message)
            warn(category, message)

    return warn_once
