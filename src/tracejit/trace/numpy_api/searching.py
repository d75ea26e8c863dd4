"""Functions that look values up in sorted arrays: searchsorted, digitize, interp."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.ir.core import Operand
from tracejit.trace.array import TracedArray, wrap
from tracejit.trace.constants import constant_value
from tracejit.trace.context import current_trace
from tracejit.trace.dtypes import FLOAT64, INT64, result_type
from tracejit.trace.inputs import as_array, describe_input, materialize, operand_of, raise_as_numpy
from tracejit.trace.numpy_api.common import left_to_numpy, ufunc
from tracejit.trace.registry import call, implements
from tracejit.trace.scalar import SymbolicInt, python_size
from tracejit.trace.values import cast, dim_value, emit, literal, select

__all__: list[str] = []


@implements(np.searchsorted)
def searchsorted(a: Any, v: Any, side: Any = "left", sorter: Any = None) -> Any:
    """``np.searchsorted``."""
    (kind, content), (other, wanted) = describe_input(a), describe_input(v)
    loop = result_type(kind, other)
    if loop.kind == "c":
        return left_to_numpy(np.searchsorted, a, v, side, sorter)
    if side not in ("left", "right"):
        raise ValueError(f"search side must be 'left' or 'right' (got '{side}')")
    x = materialize(content, loop)
    if x.rank != 1:
        raise ValueError(_wrong_rank(x.rank))
    if sorter is not None:
        x = operand_of(call(np.take, wrap(x), sorter))
    if loop.kind in "iu" and isinstance(wanted, (int, SymbolicInt)):
        limits = np.iinfo(loop)
        if wanted < int(limits.min) or wanted > int(limits.max):  # it is beyond all elements
            x, loop, wanted = cast(x, FLOAT64), FLOAT64, np.inf if wanted > 0 else -np.inf
    return wrap(emit("search", x, materialize(wanted, loop), side=side, batch=0))


def _wrong_rank(rank: int) -> str:
    return "object too deep for desired array" if rank else "object of too small depth for desired array"


@implements(np.digitize)
def digitize(x: Any, bins: Any, right: bool = False) -> Any:
    """``np.digitize``."""
    values, edges = as_array(x), as_array(bins)
    if values.dtype.kind == "c":
        raise TypeError("x may not be complex")
    if edges.ndim != 1:
        raise ValueError(_wrong_rank(edges.ndim))
    plain = constant_value(edges.operand())
    if plain is None:
        return _digitized(values, edges, "left" if right else "right")
    direction = np.sign(np.diff(plain.astype(float)))
    if (direction < 0).any() and (direction > 0).any():
        raise ValueError("bins must be monotonically increasing or decreasing")
    side = "left" if right else "right"
    if (direction < 0).any():
        return ufunc(np.subtract, len(plain), searchsorted(edges[::-1], x, side))
    return searchsorted(edges, x, side)


def _digitized(values: TracedArray, edges: TracedArray, side: str) -> Any:
    """Whether the edges rise or fall is known when the program runs: those that fall are turned around."""
    rises = call(np.all, ufunc(np.less_equal, edges[:-1], edges[1:]))
    falls = call(np.all, ufunc(np.greater_equal, edges[:-1], edges[1:]))
    either = emit("bitwise_or", rises.operand(), falls.operand())
    current_trace().check(either, (), "ValueError", "bins must be monotonically increasing or decreasing")
    found = as_array(searchsorted(call(np.where, rises, edges, edges[::-1]), values, side))
    turned = call(np.where, rises, found, python_size(edges.dims[0]) - found)
    return turned if values.dims else wrap(turned.operand())


# ------------------------------------------------------------------------------------------------------------ interp


@implements(np.interp)
def interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None) -> Any:
    """``np.interp``: linear between the points, constant outside."""
    points, values = as_array(xp), as_array(fp)
    if period is not None or points.ndim != 1 or values.ndim != 1:
        return left_to_numpy(np.interp, x, xp, fp, left, right, period)
    sizes = current_trace().sizes
    if sizes.decide(points.dims[0], "== 0"):
        raise ValueError("array of sample points is empty")
    if not sizes.require_equal(points.dims[0], values.dims[0]):
        raise ValueError("fp and xp are not of the same length.")
    where = as_array(x)
    final = np.dtype(np.complex128) if values.dtype.kind == "c" else FLOAT64
    for value, target in ((where, FLOAT64), (points, FLOAT64), (values, final)):
        if not np.can_cast(value.dtype, target, "safe"):
            raise_as_numpy(np.interp, where, points, values)
    x, xp, fp = (operand_of(value) for value in (x, xp, fp))
    x, xp = cast(x, FLOAT64), cast(xp, FLOAT64)
    if values.dtype.kind != "c":
        return wrap(_interpolated(x, xp, cast(fp, FLOAT64), left, right))
    ends = [None if end is None else cast(operand_of(end), final) for end in (left, right)]
    parts = []
    for part in ("real", "imag"):
        outside = (None if end is None else wrap(emit(part, end)) for end in ends)
        parts.append(_interpolated(x, xp, emit(part, cast(fp, final)), *outside))
    return wrap(emit("complex", *parts))


def _interpolated(x: Operand, xp: Operand, fp: Operand, left: Any, right: Any) -> Operand:
    total = dim_value(xp.type.dims[0])
    after = emit("search", xp, x, side="right", batch=0)  # the first point behind x
    one = literal(1, INT64)
    last = emit("sub", total, one)
    at = emit("maximum", emit("sub", after, one), literal(0, INT64))
    following = emit("minimum", emit("add", at, one), last)
    low, high = (emit("gather", xp, i, axes=(0,)) for i in (at, following))
    here, there = (emit("gather", fp, i, axes=(0,)) for i in (at, following))
    slope = emit("div", emit("sub", there, here), emit("sub", high, low))
    value = emit("add", emit("mul", slope, emit("sub", x, low)), here)
    from_right = emit("add", emit("mul", slope, emit("sub", x, high)), there)
    value = select(emit("isnan", value), from_right, value)
    flat = emit("bitwise_and", emit("isnan", value), emit("eq", here, there))
    value = select(flat, here, value)
    on_point = emit("bitwise_or", emit("eq", low, x), emit("eq", at, last))
    value = select(on_point, here, value)
    first_value, last_value = (emit("gather", fp, i, axes=(0,)) for i in (literal(0, INT64), last))
    below = first_value if left is None else cast(operand_of(left), FLOAT64)
    above = last_value if right is None else cast(operand_of(right), FLOAT64)
    end = emit("gather", xp, last, axes=(0,))
    value = select(emit("eq", after, literal(0, INT64)), below, value)
    value = select(emit("gt", x, end), above, value)
    return select(emit("isnan", x), x, value)
