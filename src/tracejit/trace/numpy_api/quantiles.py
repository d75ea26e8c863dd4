"""The median, and percentiles and quantiles between two neighbours of a sorted line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.ir.core import Operand
from tracejit.trace.array import TracedArray, new_array, wrap
from tracejit.trace.context import current_trace
from tracejit.trace.dtypes import FLOAT64, INT64
from tracejit.trace.inputs import as_array
from tracejit.trace.numpy_api.common import axes_tuple, left_to_numpy
from tracejit.trace.registry import call, implements
from tracejit.trace.values import cast, dim_value, emit, literal, reshape, resolve_dims, select, size_of

__all__: list[str] = []

MOST = 32  # quantiles whose number is part of the program


def _fractions(q: Any, hundred: int) -> np.ndarray[Any, Any] | None:
    """A number, or a short list of them, as fractions in double precision; None for others, and for wrong ones."""
    several = type(q) in (list, tuple)
    if not all(type(number) in (int, float) for number in (q if several else (q,))):
        return None
    found = np.asarray(q)
    if hundred == 1 and found.dtype != FLOAT64:
        return None  # elements as they are
    fractions = np.asarray(np.true_divide(found, hundred))
    return fractions if 0 < found.size <= MOST and ((fractions >= 0) & (fractions <= 1)).all() else None


def _between(function: Any, hundred: int, a: Any, q: Any, axis: Any, rest: dict[str, Any]) -> Any:
    array, fractions = as_array(a), _fractions(q, hundred)
    is_default = all(
        rest[name] == default for name, default in _DEFAULTS.items() if isinstance(rest[name], (str, bool))
    )
    is_default = is_default and rest["out"] is None and rest["weights"] is None
    kinds = (
        array.dtype.kind in "iu" or array.dtype == FLOAT64 or (array.dtype == np.float32 and type(q) in (int, float))
    )
    if fractions is None or not (is_default and kinds and array.dims):
        return left_to_numpy(function, a, q, axis, **rest)
    line, position = _one_axis(array, axis)
    size = resolve_dims(line.dims)[position]
    if current_trace().sizes.decide(size, "== 0"):
        return left_to_numpy(function, a, q, axis, **rest)
    result = _interpolated(as_array(call(np.sort, line, position)), position, dim_value(size), fractions)
    return _kept(result, array, axis, fractions.ndim) if rest["keepdims"] else result


def _one_axis(array: TracedArray, axis: Any) -> tuple[TracedArray, int]:
    """An array of which one axis, whose position is given, has what an ``axis=`` argument means."""
    axes = axes_tuple(axis, array.ndim)
    if len(axes) == 1:
        return array, axes[0]
    others = tuple(k for k in range(array.ndim) if k not in axes)
    moved = call(np.transpose, array, (*others, *axes))
    dims = resolve_dims(array.dims)
    together = size_of(tuple(dims[k] for k in axes))
    return new_array(reshape(moved.operand(), (*(dims[k] for k in others), together))), len(others)


def _kept(result: Any, array: TracedArray, axis: Any, leading: int) -> Any:
    """A result with an axis of size 1 for each that was reduced."""
    axes = axes_tuple(axis, array.ndim)
    return call(np.expand_dims, result, tuple(k + leading for k in axes))


def _interpolated(ordered: TracedArray, axis: int, size: Operand, fractions: np.ndarray[Any, Any]) -> Any:
    x, last = ordered.operand(), emit("sub", size, literal(1, INT64))
    dims = fractions.shape
    constant: Operand = (
        literal(float(fractions), FLOAT64)
        if not dims
        else emit("constant", dtype=FLOAT64, dims=dims, data=fractions.tobytes())
    )
    wanted = as_array(call(np.multiply, new_array(cast(last, FLOAT64)), new_array(constant))).operand()
    whole = emit("floor", wanted)
    is_last = as_array(call(np.greater_equal, new_array(wanted), new_array(cast(last, FLOAT64)))).operand()
    lasts = as_array(call(np.broadcast_to, new_array(last), dims)).operand()
    below = select(is_last, lasts, cast(whole, INT64))
    above = as_array(call(np.minimum, call(np.add, new_array(below), 1), new_array(last))).operand()
    # Where both are the last element NumPy counts from -1: a distance of 0 may get another sign.
    from_end = as_array(call(np.broadcast_to, new_array(literal(-1.0, FLOAT64)), dims)).operand()
    part = call(np.subtract, new_array(wanted), new_array(select(is_last, from_end, whole)))
    before, after, largest = (new_array(emit("gather", x, place, axes=(axis,))) for place in (below, above, last))
    opposite, is_above = call(np.subtract, 1, part), call(np.greater_equal, part, 0.5)
    if x.type.dtype.kind == "f":
        part, opposite = (call("astype", number, x.type.dtype) for number in (part, opposite))
    shape = (*dims, *(1,) * (ordered.ndim - 1)) if dims else ()
    part, opposite, is_above = (call(np.reshape, found, shape) for found in (part, opposite, is_above))
    distance = call(np.subtract, after, before)
    from_below = call(np.add, before, call(np.multiply, distance, part))
    from_above = call(np.subtract, after, call(np.multiply, distance, opposite))
    result = call(np.where, is_above, from_above, from_below)
    if x.type.dtype.kind == "f":
        result = call(np.where, call(np.isnan, largest), largest, result)
    return wrap(as_array(result).operand())


_DEFAULTS = {"overwrite_input": False, "method": "linear"}


def _quantiles(function: Any, whole: int) -> Callable[..., Any]:
    def quantiles(
        a: Any,
        q: Any,
        axis: Any = None,
        out: Any = None,
        overwrite_input: bool = False,
        method: str = "linear",
        keepdims: bool = False,
        *,
        weights: Any = None,
    ) -> Any:
        rest = {
            "out": out, "overwrite_input": overwrite_input, "method": method, "keepdims": keepdims, "weights": weights,
        }  # fmt: skip
        return _between(function, whole, a, q, axis, rest)

    return quantiles


implements(np.percentile)(_quantiles(np.percentile, 100))
implements(np.quantile)(_quantiles(np.quantile, 1))


@implements(np.median)
def median(a: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, keepdims: bool = False) -> Any:
    """``np.median`` of lines that have elements."""
    array = as_array(a)
    if array.dtype.kind not in "iuf" or array.dtype == np.float16 or out is not None or not array.dims:
        return left_to_numpy(np.median, a, axis=axis, out=out, keepdims=keepdims)
    line, position = _one_axis(array if array.dtype.kind == "f" else call("astype", array, FLOAT64), axis)
    size = resolve_dims(line.dims)[position]
    if current_trace().sizes.decide(size, "== 0"):
        return left_to_numpy(np.median, a, axis=axis, keepdims=keepdims)
    x, total = as_array(call(np.sort, line, position)).operand(), dim_value(size)
    one, two = literal(1, INT64), literal(2, INT64)
    middle, last = emit("floordiv", total, two), emit("sub", total, one)
    below, above, largest = (
        emit("gather", x, place, axes=(position,)) for place in (emit("floordiv", last, two), middle, last)
    )
    half = emit("div", emit("add", below, above), literal(2, x.type.dtype))
    odd = emit("eq", emit("mod", total, two), one)
    result = select(odd, above, half)
    found = wrap(select(emit("isnan", largest), largest, result))
    return _kept(found, array, axis, 0) if keepdims else found
