"""The call of a compiled program that is running in a thread: what its callbacks find and leave for one another.

Callbacks that run Python functions need more than arrays: the objects that this call was given, objects that another
callback has made, arrays on their way to the caller.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Frame", "LeafOf", "SlotOf", "current_frame", "fresh_slot", "running_call"]


@dataclass
class Frame:
    """One call.

    leaves: those of its arguments, static ones as they are. arguments: ``(args, kwargs)``.
    slots: objects made by callbacks, by number.
    locks: held until the call ends; None: the program runs without a call, and holds none.
    kept: results that one callback has made and another one will hand over, by ticket.
    """

    leaves: Sequence[Any] = ()
    arguments: tuple[Any, Any] = ((), {})
    slots: dict[int, Any] = field(default_factory=dict)
    locks: list[Any] | None = None
    kept: dict[int, Any] = field(default_factory=dict)


class _Frames(threading.local):
    def __init__(self) -> None:
        self.current = Frame()  # of programs that run without a call, as in tj.ir.interpret


_frames = _Frames()
_numbers = itertools.count()


def current_frame() -> Frame:
    """The innermost call of this thread."""
    return _frames.current


class running_call:
    """A call with these arguments runs until the block ends."""

    __slots__ = ("_before", "_frame")

    def __init__(self, leaves: Sequence[Any], arguments: tuple[Any, Any] = ((), {})) -> None:
        self._frame = Frame(leaves, arguments, locks=[])

    def __enter__(self) -> Frame:
        self._before = _frames.current
        _frames.current = self._frame
        return self._frame

    def __exit__(self, *_: object) -> None:
        _frames.current = self._before
        for lock in self._frame.locks or ():
            lock.release()


def fresh_slot() -> int:
    """A number that no other slot has."""
    return next(_numbers)


@dataclass(frozen=True)
class LeafOf:
    """Reads a leaf of the arguments of the running call."""

    number: int

    def __call__(self) -> Any:
        """The object."""
        return _frames.current.leaves[self.number]

    def __str__(self) -> str:
        return f"argument {self.number}"


@dataclass(frozen=True)
class SlotOf:
    """Reads an object that a callback of the running call has made."""

    number: int

    def __call__(self) -> Any:
        """The object."""
        return _frames.current.slots[self.number]

    def __str__(self) -> str:
        return f"object {self.number}"
