"""Small helpers of the function modules: axes, defaults, calling ufuncs."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from tracejit.ir.core import Operand
from tracejit.trace.base import unknown_function
from tracejit.trace.dtypes import INT64
from tracejit.trace.registry import FUNCTIONS
from tracejit.trace.ufuncs import apply_ufunc
from tracejit.trace.values import cast, emit, literal, reshape

__all__ = [
    "NO_VALUE",
    "axes_tuple",
    "axis_index",
    "checked",
    "given",
    "in_range",
    "left_to_numpy",
    "reduced_axes",
    "ufunc",
]

NO_VALUE: Any = np._NoValue  # NumPy's mark for keywords that were not given


def given(value: Any) -> bool:
    """Whether a keyword was given."""
    return value is not NO_VALUE and value is not None


def axis_index(axis: Any, rank: int, name: str | None = None) -> int:
    """An axis counted from the front; NumPy's AxisError, with the argument's name, when there is no such axis."""
    return int(normalize_axis_index(operator.index(axis), rank, name))


def axes_tuple(axis: Any, rank: int) -> tuple[int, ...]:
    """The axes meant by an ``axis=`` argument; None is all of them."""
    if axis is None:
        return tuple(range(rank))
    return tuple(int(a) for a in normalize_axis_tuple(axis, rank))


def reduced_axes(axis: Any, rank: int, scalars: bool = False) -> tuple[int, ...]:
    """The axes of a reduction; NumPy words the error for repeated axes differently here.

    scalars: as in ufuncs, an array without axes may be reduced over its axis 0 or -1.
    """
    if hasattr(axis, "__index__"):
        axis = operator.index(axis)
        if scalars and not rank and axis in (0, -1):
            return ()
    axes = axes_tuple(axis, rank) if axis is None or isinstance(axis, int) else tuple(axis_index(a, rank) for a in axis)
    if len(set(axes)) != len(axes):
        raise ValueError("duplicate value in 'axis'")
    return axes


def ufunc(function: np.ufunc, *inputs: Any, **kwargs: Any) -> Any:
    """Call a ufunc on tracers and plain values."""
    return apply_ufunc(function, inputs, **kwargs)


def left_to_numpy(function: Any, *args: Any, **kwargs: Any) -> Any:
    """What an implementation gives for arguments that only NumPy itself can work on."""
    through_numpy = FUNCTIONS.get("python function")
    if through_numpy is None:
        raise unknown_function(function)
    return through_numpy(function, args, kwargs)


def in_range(places: Operand, total: Operand, mode: str, error: str = "", text: str = "") -> Operand:
    """Indices under a ``mode=``: with "raise" they are checked here, or, without ``error``, where they are used."""
    if mode == "wrap":
        return emit("mod", places, total)
    if mode == "clip":
        upper = emit("sub", total, literal(1, INT64))
        return emit("maximum", emit("minimum", places, upper), literal(0, INT64))
    if mode != "raise":
        raise ValueError(f"clipmode must be one of 'clip', 'raise', or 'wrap' (got {mode!r})")
    return emit("wrap_index", places, total, error=error, text=text) if error else places


def checked(value: Operand, wrong: Operand, error: str, text: str) -> Operand:
    """The value, with an exception of this name where the bool scalar ``wrong`` holds when the program runs."""
    none = emit("wrap_index", cast(wrong, INT64), literal(1, INT64), error=error, text=text)
    return emit("gather", reshape(value, (1, *value.type.dims)), none, axes=(0,))
