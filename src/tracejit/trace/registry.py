"""Which implementation stands for which NumPy function while tracing.

Methods and operators of tracers reach their implementation through this table, so that the classes of tracers need not
know the functions and the functions may use the classes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from tracejit.errors import RefusedWriteError, UnsupportedError, VerifyError
from tracejit.trace.context import active_trace

__all__ = ["CREATION", "FUNCTIONS", "INDEXED", "ask", "call", "creates", "implements", "implements_named"]

Implementation = TypeVar("Implementation", bound=Callable[..., Any])

FUNCTIONS: dict[Any, Callable[..., Any]] = {}
"""NumPy function (or ``numpy.ufunc``, or a function of ``operator``) to what does its work on tracers."""

CREATION: set[Any] = set()
"""Functions taken over even when no argument is traced: what they make must be writable by the trace."""


INDEXED: dict[type, Callable[[Any, Any], Any]] = {}
"""Types of NumPy's objects that are indexed like functions, as ``np.mgrid``, to what ``object[key]`` does."""


def implements(*functions: Any) -> Callable[[Implementation], Implementation]:
    """Register the decorated function for NumPy functions."""

    def register(implementation: Implementation) -> Implementation:
        for function in functions:
            if FUNCTIONS.setdefault(function, implementation) is not implementation:
                raise VerifyError(f"{function} is implemented twice")
        return implementation

    return register


def implements_named(name: str) -> Callable[[Implementation], Implementation]:
    """Register the decorated function for the NumPy function of this name, if this version of NumPy has it."""

    def register(implementation: Implementation) -> Implementation:
        if hasattr(np, name):
            FUNCTIONS[getattr(np, name)] = implementation
        return implementation

    return register


def creates(*functions: Any) -> Callable[[Implementation], Implementation]:
    """Register the decorated function for NumPy functions that make arrays from no array."""
    CREATION.update(functions)
    return implements(*functions)


def call(function: Any, *args: Any, **kwargs: Any) -> Any:
    """Call the implementation of a NumPy function or ufunc; without one it is called when the program runs."""
    trace = active_trace()
    if trace is None or trace.sizes.assuming:
        return _call(function, args, kwargs)
    with trace.sizes.answering(usually=True):
        return _call(function, args, kwargs)


def ask(name: str, *args: Any) -> Any:
    """Call what a later module does under a name with code of the user's: questions about sizes stay questions."""
    return FUNCTIONS[name](*args)


def _call(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if kwargs.get("device") not in (None, "cpu"):
        raise ValueError(f'Device not understood. Only "cpu" is allowed, but received: {kwargs["device"]}')
    implementation = FUNCTIONS.get(function)
    if implementation is None:
        if isinstance(function, np.ufunc):
            return FUNCTIONS[np.ufunc](function, args, **kwargs)
        return FUNCTIONS["python function"](function, args, kwargs)
    try:
        return implementation(*args, **kwargs)
    except UnsupportedError as problem:
        if isinstance(problem, RefusedWriteError) or not _is_numpys(function):
            raise
        if function is np.ufunc:
            function, args = args  # the ufunc and its inputs
        return FUNCTIONS["otherwise python function"](function, args, kwargs)
    except TypeError:
        if not _is_numpys(function) or _accepts(implementation, args, kwargs):
            raise
    return FUNCTIONS["python function"](function, args, kwargs)  # NumPy knows an argument that the implementation lacks


def _is_numpys(function: Any) -> bool:
    """Whether it is NumPy's, and no operator or name of our own."""
    return str(getattr(function, "__module__", "")).startswith("numpy") or isinstance(function, np.ufunc)


def _accepts(implementation: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether the arguments fit the signature."""
    from inspect import signature  # noqa: PLC0415  (slow to import, needed where something fails)

    try:
        signature(implementation).bind(*args, **kwargs)
    except TypeError:
        return False
    return True
