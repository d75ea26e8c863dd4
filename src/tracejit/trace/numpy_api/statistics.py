"""Compositions of reductions: averages, NaN-aware sums, differences, norms, integrals."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.errors import UnsupportedError
from tracejit.trace.array import TracedArray, wrap
from tracejit.trace.dtypes import result_type
from tracejit.trace.inputs import as_array, operand_of
from tracejit.trace.numpy_api.common import NO_VALUE, axis_index, ufunc
from tracejit.trace.numpy_api.reductions import np_max, np_min, np_prod, np_sum
from tracejit.trace.registry import call, implements, implements_named
from tracejit.trace.values import reshape

__all__: list[str] = []


@implements(np.average)
def average(a: Any, axis: Any = None, weights: Any = None, returned: bool = False, *, keepdims: Any = NO_VALUE) -> Any:
    """``np.average``."""
    if weights is None:
        mean = call(np.mean, a, axis=axis, keepdims=keepdims)
        count = ufunc(np.divide, as_array(a).size, call(np.size, mean))
        return (mean, ufunc(np.add, ufunc(np.multiply, mean, 0), count)) if returned else mean
    x, w = as_array(a), as_array(weights)
    if x.ndim != w.ndim:
        if axis is None:
            raise TypeError("Axis must be specified when shapes of a and weights differ.")
        if w.ndim != 1:
            raise UnsupportedError("np.average with weights over several axes is not compiled; write the sums out")
        shape = [1] * x.ndim
        shape[axis_index(axis, x.ndim)] = -1
        w = call(np.reshape, w, tuple(shape))
    elif not all(m == n for m, n in zip(x.shape, w.shape, strict=True)) and axis is None:
        raise TypeError("Axis must be specified when shapes of a and weights differ.")
    loop = result_type(x.dtype, w.dtype, float if x.dtype.kind in "iub" else x.dtype)
    scale = np_sum(w, axis=axis, dtype=loop, keepdims=keepdims)
    total = np_sum(ufunc(np.multiply, x, w, dtype=loop), axis=axis, keepdims=keepdims)
    result = ufunc(np.divide, total, scale)
    return (result, ufunc(np.add, ufunc(np.multiply, result, 0), scale)) if returned else result


# ----------------------------------------------------------------------------------------------------------- NaN-aware


def _without_nan(a: Any, neutral: float) -> Any:
    """The array with a neutral value instead of NaN, and where NaN is."""
    array = as_array(a)
    if array.dtype.kind not in "fc":
        return array, None
    nan = ufunc(np.isnan, array)
    return call(np.where, nan, array.dtype.type(neutral), array), nan


def _nan_sum(function: Any, reduction: Callable[..., Any], neutral: float) -> None:
    @implements(function)
    def nan_reduction(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, **kwargs: Any) -> Any:
        clean, _ = _without_nan(a, neutral)
        return reduction(clean, axis=axis, dtype=dtype, out=out, **kwargs)


_nan_sum(np.nansum, np_sum, 0)
_nan_sum(np.nanprod, np_prod, 1)


def _nan_extreme(function: Any, reduction: Callable[..., Any], neutral: float) -> None:
    @implements(function)
    def nan_extreme(a: Any, axis: Any = None, out: Any = None, keepdims: Any = NO_VALUE, **kwargs: Any) -> Any:
        clean, nan = _without_nan(a, neutral)
        result = reduction(clean, axis=axis, keepdims=keepdims, **kwargs)
        if nan is not None:
            nothing = call(np.all, nan, axis=axis, keepdims=keepdims)
            result = wrap(operand_of(call(np.where, nothing, clean.dtype.type(np.nan), result)))
        return result if out is None else ufunc(np.positive, result, out=out)


_nan_extreme(np.nanmax, np_max, -np.inf)
_nan_extreme(np.nanmin, np_min, np.inf)


def _nan_moment(function: Any, moment: Any) -> None:
    @implements(function)
    def nan_moment(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, **kwargs: Any) -> Any:
        array = as_array(a)
        if array.dtype.kind in "fc":
            kwargs["where"] = ufunc(np.logical_not, ufunc(np.isnan, array))
        return call(moment, array, axis=axis, dtype=dtype, out=out, **kwargs)


_nan_moment(np.nanmean, np.mean)
_nan_moment(np.nanvar, np.var)
_nan_moment(np.nanstd, np.std)


# ---------------------------------------------------------------------------------------------- differences, integrals


@implements(np.diff)
def diff(a: Any, n: int = 1, axis: Any = -1, prepend: Any = NO_VALUE, append: Any = NO_VALUE) -> TracedArray:
    """``np.diff``."""
    if n < 0:
        raise ValueError(f"order must be non-negative but got {n!r}")
    array = as_array(a)
    if array.ndim == 0:
        raise ValueError("diff requires input that is at least one dimensional")
    position = axis_index(axis, array.ndim)
    array = _extended(array, position, prepend, append)
    head = (slice(None),) * position
    for _ in range(n):
        after = call(operator.getitem, array, (*head, slice(1, None)))
        before = call(operator.getitem, array, (*head, slice(None, -1)))
        array = ufunc(np.not_equal if array.dtype.kind == "b" else np.subtract, after, before)
    return array


def _extended(array: TracedArray, axis: int, prepend: Any, append: Any) -> TracedArray:
    parts: list[Any] = []
    for value in (prepend, array, append):
        if value is array or value is NO_VALUE:
            parts += [array] if value is array else []
            continue
        extra = as_array(value)
        if extra.ndim == 0:
            shape = tuple(1 if k == axis else size for k, size in enumerate(array.shape))
            extra = call(np.broadcast_to, extra, shape)
        parts.append(extra)
    return array if len(parts) == 1 else call(np.concatenate, parts, axis)


@implements(np.trapezoid)
def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: Any = -1) -> Any:
    """``np.trapezoid``."""
    values = as_array(y)
    position = axis_index(axis, values.ndim)
    if x is None:
        step = dx
    else:
        points = as_array(x)
        step = diff(points, axis=position if points.ndim > 1 else -1)
        if points.ndim == 1:
            step = call(np.reshape, step, (-1, *(1,) * (values.ndim - position - 1)))
    head = (slice(None),) * position
    after = call(operator.getitem, values, (*head, slice(1, None)))
    before = call(operator.getitem, values, (*head, slice(None, -1)))
    return np_sum(ufunc(np.divide, ufunc(np.multiply, step, ufunc(np.add, after, before)), 2.0), axis=position)


# --------------------------------------------------------------------------------------------------------------- norms


@implements(np.linalg.norm)
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """``np.linalg.norm`` of vectors, and the Frobenius, 1 and infinity norms of matrices."""
    array = as_array(x)
    if array.dtype.kind not in "fc":
        array = call("astype", array, np.float64)
    if axis is None:
        if ord is None or (ord == 2 and array.ndim == 1) or (ord in ("f", "fro") and array.ndim == 2):
            return _root_of_squares(call(np.ravel, array), None, array.ndim if keepdims else 0)
        axis = tuple(range(array.ndim))
    axes = (axis,) if isinstance(axis, int) else tuple(axis)
    if len(axes) == 1:
        return _vector_norm(array, ord, axes[0], keepdims)
    if len(axes) == 2:
        return _matrix_norm(array, ord, axes, keepdims)
    raise ValueError("Improper number of dimensions to norm.")


def _root_of_squares(array: TracedArray, axis: Any, rank: int, keepdims: bool = False) -> Any:
    if array.dtype.kind == "c":
        squares = ufunc(np.add, ufunc(np.square, array.real), ufunc(np.square, array.imag))
    else:
        squares = ufunc(np.multiply, array, array)
    result = ufunc(np.sqrt, np_sum(squares, axis=axis, keepdims=keepdims))
    return call(np.reshape, result, (1,) * rank) if rank else result


def _vector_norm(array: TracedArray, ord: Any, axis: int, keepdims: bool) -> Any:
    if ord is None or ord == 2:
        return _root_of_squares(array, axis, 0, keepdims)
    size = ufunc(np.absolute, array)
    if ord == np.inf:
        return np_max(size, axis=axis, keepdims=keepdims)
    if ord == -np.inf:
        return np_min(size, axis=axis, keepdims=keepdims)
    if ord == 0:
        nonzero = call("astype", ufunc(np.not_equal, array, 0), size.dtype)
        return np_sum(nonzero, axis=axis, keepdims=keepdims)
    if ord == 1:
        return np_sum(size, axis=axis, keepdims=keepdims)
    if isinstance(ord, str):
        raise ValueError(f"Invalid norm order '{ord}' for vectors")
    return ufunc(np.power, np_sum(ufunc(np.power, size, ord), axis=axis, keepdims=keepdims), 1 / ord)


def _matrix_norm(array: TracedArray, ord: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    row, column = (axis_index(axis, array.ndim) for axis in axes)
    if row == column:
        raise ValueError("Duplicate axes given.")
    if ord in (None, "fro", "f"):
        return _root_of_squares(array, (row, column), 0, keepdims)
    if ord not in (1, -1, np.inf, -np.inf):
        raise UnsupportedError(f"np.linalg.norm of matrices with ord={ord!r} is not compiled; it needs singular values")
    size = ufunc(np.absolute, array)
    first, second = (row, column) if abs(ord) == 1 else (column, row)
    sums = np_sum(size, axis=first, keepdims=True)
    result = (np_max if ord > 0 else np_min)(sums, axis=(second,), keepdims=True)
    if keepdims:
        return result
    dims = tuple(d for k, d in enumerate(result.dims) if k not in (row, column))
    return wrap(reshape(result.operand(), dims))


@implements_named("cumulative_sum")
def cumulative_sum(
    x: Any, *, axis: Any = None, dtype: Any = None, out: Any = None, include_initial: bool = False
) -> Any:
    """``np.cumulative_sum``."""
    if include_initial:
        raise UnsupportedError("np.cumulative_sum with include_initial is not compiled; concatenate a zero")
    return call(np.cumsum, x, axis=0 if axis is None else axis, dtype=dtype, out=out)
