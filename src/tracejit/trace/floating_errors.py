"""What ``np.errstate`` and ``np.seterr`` ask for: compiled code raises, prints and calls nothing about its numbers.

Modes other than "ignore" and "warn" therefore mean NumPy's own loops: a call that is made under one runs uncompiled,
and so does a function that enters one itself. The state is an object in a context variable of NumPy's: where it is the
object that was accepted last, nothing more need be asked.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import numpy as np

from tracejit.errors import UnsupportedError
from tracejit.trace.context import Trace
from tracejit.trace.location import describe, user_location

__all__ = ["VARIABLE", "FloatingErrorsAskedError", "asked_for", "current_state", "require_none_asked", "watch_accepted"]

_umath: Any = getattr(getattr(np, "_core", None), "umath", None)
VARIABLE: ContextVar[Any] | None = getattr(_umath, "_extobj_contextvar", None)
"""NumPy's variable; None in a version of NumPy that keeps its state elsewhere."""

_modes: Callable[[], Any] = getattr(_umath, "_get_extobj_dict", np.geterr)
_QUIET = frozenset(("ignore", "warn"))
_CATEGORIES = ("divide", "over", "under", "invalid")


class FloatingErrorsAskedError(UnsupportedError):
    """A function asks for floating-point errors itself; where it is called compiled, NumPy runs it."""


class _Last:
    accepted: Any = None  # kept, so that no later state is at its address


_listeners: list[Callable[[Any], None]] = []


def watch_accepted(listener: Callable[[Any], None]) -> None:
    """Call a function with each state under which compiled code may run, when it is found to be one."""
    _listeners.append(listener)


def current_state() -> Any:
    """The object that stands for this thread's modes; None where NumPy has no such object."""
    return None if VARIABLE is None else VARIABLE.get()


def asked_for() -> bool:
    """Whether floating-point errors are to do more than to warn."""
    state = current_state()
    if state is not None and state is _Last.accepted:
        return False
    found = _modes()
    if not all(found[category] in _QUIET for category in _CATEGORIES):
        return True
    for listener in _listeners:
        listener(state)
    _Last.accepted = state
    return False


def require_none_asked(trace: Trace) -> None:
    """Refuse to trace an operation in a block where floating-point errors are to be raised."""
    captures = trace.captures
    if captures.error_state is current_state() or not asked_for():
        return
    # Noted, too, because the function under trace may swallow the exception.
    captures.uncompiled = FloatingErrorsAskedError(
        f"np.errstate or np.seterr asks for floating-point errors inside a traced function "
        f"({describe(user_location())}); compiled code raises none. Enter np.errstate around the call instead"
    )
    raise captures.uncompiled
