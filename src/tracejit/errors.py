"""What tracejit raises. Errors that NumPy would raise are raised as NumPy's own types, not as these."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np

__all__ = [
    "ConcretizationError",
    "NanError",
    "PerformanceWarning",
    "RefusedWriteError",
    "TracejitError",
    "UnsupportedError",
    "VerifyError",
    "exception_named",
    "raisable_class",
]


class TracejitError(Exception):
    """Base of every error that is tracejit's own."""


class ConcretizationError(TracejitError, TypeError):
    """A traced value was needed as a plain Python value (``if x > 0``, ``float(x)``)."""


class UnsupportedError(TracejitError, NotImplementedError):
    """A feature that tracejit does not compile; the message says what to write instead."""


class RefusedWriteError(UnsupportedError):
    """A write into memory of which nobody knows whose it is; no other way to compute the value would help."""


class VerifyError(TracejitError):
    """The IR broke one of its own rules, or two stages of the compiler disagree: a bug in tracejit."""


class NanError(TracejitError, FloatingPointError):
    """With ``debug="nans"``: the first operation whose result is NaN or infinite."""


class PerformanceWarning(UserWarning):
    """Something runs through NumPy instead of compiled code."""


def exception_named(name: str) -> type[Exception]:
    """The exception that a compiled program may raise: built-in, ours, or of NumPy; else ValueError."""
    places = (builtins, np.linalg, np.exceptions)
    found: Any = globals().get(name) or next((getattr(p, name) for p in places if hasattr(p, name)), None)
    if not (isinstance(found, type) and issubclass(found, Exception)):
        raise ValueError(f"{name!r} is not an exception that a program may raise")
    return found


def raisable_class(error: BaseException) -> type[Exception] | None:
    """The class that a compiled program can raise for an error; None for the user's own classes."""
    if isinstance(error, (RecursionError, MemoryError)):
        return None  # of the tracing itself
    for kind in type(error).__mro__:
        try:
            known = exception_named(kind.__name__) is kind
        except ValueError:
            known = False
        if known:
            return kind
        if not (kind.__module__.startswith("numpy") and kind.__name__.startswith("_")):  # NumPy's own variants
            break
    return None
