"""The frames of a traceback that tell a user something."""

from __future__ import annotations

from types import TracebackType

from pyplant.fingerprint.origin import is_own_file

__all__ = ["without_inner_frames"]


def without_inner_frames(frames: TracebackType | None) -> TracebackType | None:
    """Return a traceback from the user's code on: without PyPlant's frames above it; all of it if there is none.

    Frames of PyPlant below the user's stay, such as those of a failed ``pipe.send()``.
    """
    found = frames
    while found is not None and is_own_file(found.tb_frame.f_code.co_filename):
        found = found.tb_next
    return found or frames
