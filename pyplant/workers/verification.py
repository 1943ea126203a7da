"""The check that a worker runs the code and values that were fingerprinted.

A result is stored under the fingerprint that the program computed. So before a worker runs a reactor, it computes
the fingerprint itself, values of globals included. If it differs, the program compares the records of both, finds
the variables that differ (a setting that was changed after the import, a patched function, a module that was edited
since it was loaded), and sends their values. If the fingerprint still differs, the reactor is refused.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

from pyplant.errors import WorkerError
from pyplant.fingerprint.code_records import CodeRecord, Difference, differences
from pyplant.fingerprint.origin import is_user_module
from pyplant.workers.messages import Variable

__all__ = ["differing_variables", "differs_error"]

_SHOWN = 3  # differences named in an error
_Records = Mapping[str, CodeRecord]


def _differences(expected: str, found: str, own: _Records, of_worker: _Records) -> list[Difference]:
    # What is expected comes second: names are taken from there, since the variable may be missing in the worker.
    return differences(
        found, expected, lambda digest: own.get(digest) or of_worker.get(digest), everywhere=True
    )


def differing_variables(expected: str, found: str, own: _Records, of_worker: _Records) -> list[Variable]:
    """Return the variables that contain what differs between two fingerprints of a reactor.

    Parameters
    ----------
    expected, found
        The fingerprints in this process and in the worker.
    own, of_worker
        The records of both.
    """
    variables: dict[Variable, None] = {}
    for change in _differences(expected, found, own, of_worker):
        place = f"{change.owner}.{change.name}" if change.name else change.path[0] if change.path else ""
        variable = _variable(change.owner, change.name) or _variable("", place)
        if variable is not None:
            variables[variable] = None
    return list(variables)


def _variable(owner: str, name: str) -> Variable | None:
    """Return the variable of a module that a name belongs to; names of classes and functions lie inside one."""
    if owner in sys.modules and name:
        return Variable(owner, name)
    steps = (f"{owner}.{name}" if owner else name).partition(" (")[0].split(".")
    for depth in range(len(steps) - 1, 0, -1):
        module = ".".join(steps[:depth])
        if module in sys.modules:
            # A class of a library is not replaced by a copy because the user has set an attribute of it.
            is_inside = depth < len(steps) - 1 and not is_user_module(sys.modules[module])
            return None if is_inside else Variable(module, steps[depth])
    return None


def differs_error(reactor: str, expected: str, found: str, own: _Records, of_worker: _Records) -> WorkerError:
    """Return the error for a reactor whose fingerprint a worker cannot reproduce."""
    changes = _differences(expected, found, own, of_worker)
    shown = [
        f"{'.'.join(change.path[1:]) or change.path[0]} is {_short(change.new)}, and {_short(change.old)} there"
        for change in changes[:_SHOWN]
        if change.path
    ]
    details = "; ".join(shown) or "what differs is not known"
    more = f"; and {len(changes) - _SHOWN} more" if len(changes) > _SHOWN else ""
    return WorkerError(
        f"Reactor {reactor!r} would not be the same in a worker as here: {details}{more}. Its result would be stored as "
        f"that of the code and values here. Make the value inside the reactor, or use executor=None."
    )


def _short(text: str | None) -> str:
    if text is None:
        return "missing"
    first = text.strip().partition("\n")[0]
    return first if len(first) <= 60 else f"{first[:59]}…"  # noqa: PLR2004 - columns
