"""The frames of a traceback that tell a user something."""

from __future__ import annotations

from types import TracebackType

from pyplant.errors import PlantError
from pyplant.fingerprint.origin import is_own_file, is_user_file

__all__ = ["innermost_of_user", "without_inner_frames"]


def without_inner_frames(error: BaseException) -> TracebackType | None:
    """Return the traceback of an error from the user's code on: without PyPlant's frames above it.

    Frames of PyPlant below the user's stay, such as those of a failed ``pipe.send()``. Without any code of the user
    nothing stays of an error that PyPlant raises by intention, and all of another one, which is a bug.
    """
    frames = error.__traceback__
    found = frames
    while found is not None and is_own_file(found.tb_frame.f_code.co_filename):
        found = found.tb_next
    return found or (None if isinstance(error, PlantError) else frames)


def innermost_of_user(frames: TracebackType | None) -> tuple[str, int, str] | None:
    """Return the file, line and function of the innermost frame of the user's code; ``None`` if there is none."""
    found = None
    while frames is not None:
        code = frames.tb_frame.f_code
        if is_user_file(code.co_filename):
            found = code.co_filename, frames.tb_lineno, code.co_name
        frames = frames.tb_next
    return found
