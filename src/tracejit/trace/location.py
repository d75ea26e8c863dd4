"""Where in the user's code we are: the innermost frame that belongs neither to tracejit nor to NumPy."""

from __future__ import annotations

import os
import sys
from types import FrameType, TracebackType

import numpy as np

from tracejit.ir.core import Location

__all__ = ["describe", "frames_to_user", "is_ours", "traceback_location", "user_location"]

_INTERNAL_FOLDERS = tuple(
    os.path.join(folder, "")
    for folder in (os.path.dirname(os.path.dirname(os.path.abspath(__file__))), os.path.dirname(np.__file__))
)
_IR_FOLDER = os.path.join(_INTERNAL_FOLDERS[0], "ir", "")
_internal: dict[str, bool] = {}


def is_internal(filename: str) -> bool:
    """Whether a file is part of tracejit or NumPy."""
    known = _internal.get(filename)
    if known is None:
        known = _internal[filename] = filename.startswith(_INTERNAL_FOLDERS)
    return known


def user_location() -> Location | None:
    """File and line of the user's code that is running now."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        filename = frame.f_code.co_filename
        if not (_internal[filename] if filename in _internal else is_internal(filename)):
            return filename, frame.f_lineno
        frame = frame.f_back
    return None


def frames_to_user() -> int:
    """How many frames the user's code is above the caller, as ``stacklevel`` of a warning."""
    level, frame = 1, sys._getframe(1)
    while is_internal(frame.f_code.co_filename) and frame.f_back is not None:
        level, frame = level + 1, frame.f_back
    return level


def traceback_location(traceback: TracebackType | None) -> Location | None:
    """File and line of the user's innermost frame in a traceback."""
    found = None
    while traceback is not None:
        filename = traceback.tb_frame.f_code.co_filename
        if not is_internal(filename):
            found = filename, traceback.tb_lineno
        traceback = traceback.tb_next
    return found


def is_ours(traceback: TracebackType | None) -> bool:
    """Whether an error comes from the IR, which speaks about bugs of this package and not about the user's code."""
    filename = ""
    while traceback is not None:
        filename, traceback = traceback.tb_frame.f_code.co_filename, traceback.tb_next
    return filename.startswith(_IR_FOLDER)


def describe(location: Location | None) -> str:
    """``file.py:12`` for messages."""
    return "unknown place" if location is None else f"{location[0]}:{location[1]}"
