"""Failures of reactors, as a plant remembers them until the reactor succeeds."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import NamedTuple

from pyplant._formatting import error_text
from pyplant.execution.context import RunContext
from pyplant.execution.tracebacks import innermost_of_user
from pyplant.fingerprint.origin import is_user_file

__all__ = ["NO_FAILURE", "Failure", "failure_of", "failures_now"]

_LINE = re.compile(r'^ *File "(.+)", line ([0-9]+), in (.+)$', re.MULTILINE)


class Failure(NamedTuple):
    """The last failure of a reactor.

    Attributes
    ----------
    text
        The name and the text of the exception.
    finished
        When it was raised, in seconds since the epoch.
    times
        How often the reactor has failed without success in between.
    file, line, function
        The innermost line of the user's code; ``""`` and 0 if there is none.
    fingerprint
        The fingerprint of the code that failed: other code has not failed yet.
    """

    text: str = ""
    finished: float = 0.0
    times: int = 0
    file: str = ""
    line: int = 0
    function: str = ""
    fingerprint: str = ""


NO_FAILURE = Failure()


def failure_of(error: BaseException, before: Failure | None, fingerprint: str) -> Failure:
    """Return the failure that an exception is, of code with a fingerprint; ``before`` is the one before it."""
    times = 1 if before is None else before.times + 1
    return Failure(error_text(error), time.time(), times, *_innermost(error), fingerprint)


def failures_now(failed: Mapping[str, Failure], context: RunContext) -> dict[str, Failure]:
    """Return the failures of reactors whose code is still that which failed, by key."""
    return {
        key: failure
        for key, failure in failed.items()
        if key in context.definitions and context.fingerprint(key).digest == failure.fingerprint
    }


def _innermost(error: BaseException) -> tuple[str, int, str]:
    """Return the file, line and function of the innermost frame of the user's code."""
    found = innermost_of_user(error.__traceback__)
    if found is not None:
        return found
    # The traceback of a worker arrives as the text of the last cause.
    cause, seen = error.__cause__, set[int]()
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        for file, line, function in _LINE.findall(str(cause)):
            if is_user_file(file):
                found = file, int(line), function
        cause = cause.__cause__
    return found or ("", 0, "")
