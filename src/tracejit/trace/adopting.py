"""How values that untraced code hands in enter the trace: arrays become tracers, also inside of tuples."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.trace.context import Trace
from tracejit.trace.creation import wrap_constant
from tracejit.trace.registry import implements

__all__ = ["adopt", "adopt_items", "adopt_new"]


@implements("adopt")
def adopt_new(value: Any) -> Any:
    """What NumPy made from constants while tracing: arrays become arrays of the trace."""
    if isinstance(value, np.ndarray):
        return wrap_constant(value) if value.dtype.kind in "biufc" else value
    if type(value) in (list, tuple):
        return type(value)(adopt_new(item) for item in value)
    return value


@implements("adopt outside")
def adopt(value: Any, trace: Trace) -> Any:
    """What outside code hands in: arrays are read again at each call of the compiled function."""
    if isinstance(value, np.ndarray) and type(value) is np.ndarray:
        return trace.captures.array(value)
    if type(value) is tuple and _holds_arrays(value):
        return tuple(adopt(item, trace) for item in value)
    return value


def _holds_arrays(value: Any) -> bool:
    """Whether a list or tuple has arrays of the outside in it."""
    return any(type(v) is np.ndarray or (type(v) in (tuple, list) and _holds_arrays(v)) for v in value)


def adopt_items(value: Any, trace: Trace, pattern: tuple[Any, ...] = ()) -> Any:
    """A list or tuple for what only reads it: outside arrays in it are adopted, in a copy.

    pattern: for each item that is taken apart, too, its own pattern, for others None. Other lists stay what they are.
    """
    if type(value) not in (list, tuple) or not _holds_arrays(value):
        return adopt(value, trace)
    patterns = pattern if len(pattern) == len(value) else (None,) * len(value)
    return type(value)(
        adopt(item, trace) if own is None else adopt_items(item, trace, own)
        for item, own in zip(value, patterns, strict=True)
    )
