"""Calls of functions of NumPy and SciPy that have no implementation of ours: on tracers, or when the program runs."""

from __future__ import annotations

from types import FunctionType, MethodType
from typing import Any

import numpy as np

from tracejit.errors import ConcretizationError, UnsupportedError
from tracejit.trace.adopting import adopt_new
from tracejit.trace.base import Tracer
from tracejit.trace.location import describe, user_location
from tracejit.trace.registry import FUNCTIONS
from tracejit.trace.scalar import SymbolicInt

__all__ = ["call_library", "call_with_function", "holds_data", "of_scipy", "takes_function"]


def call_library(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A Python function of NumPy runs on tracers where it can; SciPy's do not."""
    if not holds_data((args, kwargs)) or function.__module__.startswith("numpy"):
        try:
            return function(*args, **kwargs)
        except (UnsupportedError, ConcretizationError):
            pass
    if takes_function(args, kwargs):
        raise _calls_back(function)
    return FUNCTIONS["python function"](function, args, kwargs)


def call_with_function(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A function of SciPy that calls one of the user's, whose closure may hold what only the program knows."""
    try:
        return adopt_new(function(*args, **kwargs))
    except ConcretizationError as error:
        raise _calls_back(function) from error


def takes_function(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether there is a Python function among the arguments."""
    return any(isinstance(value, (FunctionType, MethodType)) for value in (*args, *kwargs.values()))


def _calls_back(function: Any) -> UnsupportedError:
    return UnsupportedError(
        f"{function.__module__}.{function.__name__} calls a function of yours, with values that only the compiled "
        f"function knows ({describe(user_location())}); call it outside, with a compiled function as its argument"
    )


def holds_data(value: Any) -> bool:
    """Whether a value holds arrays or numbers that the program computes, not sizes alone."""
    if isinstance(value, (list, tuple)):
        return any(map(holds_data, value))
    if isinstance(value, dict):
        return any(map(holds_data, value.values()))
    return isinstance(value, (Tracer, np.ndarray)) and not isinstance(value, SymbolicInt)


def of_scipy(function: Any) -> bool:
    """Whether a callable is a method of an object of SciPy's (as of ``scipy.stats.norm``), or such an object."""
    owner = function.__self__ if isinstance(function, MethodType) else function
    return (type(owner).__module__ or "").startswith("scipy.") and callable(function)
