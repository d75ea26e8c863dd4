"""Compositions of reductions: averages, NaN-aware sums, differences, norms, integrals."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.errors import UnsupportedError
from tracejit.ir.dims import product
from tracejit.trace.array import TracedArray, wrap
from tracejit.trace.context import current_trace
from tracejit.trace.inputs import as_array, operand_of, raise_as_numpy
from tracejit.trace.numpy_api.common import NO_VALUE, axes_tuple, axis_index, checked, given, left_to_numpy, ufunc
from tracejit.trace.numpy_api.editing import known_array
from tracejit.trace.numpy_api.reductions import np_max, np_min, np_prod, np_sum
from tracejit.trace.registry import call, implements, implements_named
from tracejit.trace.values import broadcast_to, cast, emit, literal, reshape, resolve_dims

__all__: list[str] = []


@implements(np.average)
def average(a: Any, axis: Any = None, weights: Any = None, returned: bool = False, *, keepdims: Any = NO_VALUE) -> Any:
    """``np.average``."""
    if weights is None:
        mean = call(np.mean, a, axis=axis, keepdims=keepdims)
        if not returned:
            return mean
        of_mean = operand_of(mean)
        count = operand_of(ufunc(np.divide, as_array(a).size, call(np.size, mean)))
        return mean, wrap(broadcast_to(cast(count, of_mean.type.dtype), of_mean.type.dims))
    x = as_array(a)
    w = _weights(x, as_array(weights), axis)
    loop = np.result_type(x.dtype, w.dtype, *(["f8"] if x.dtype.kind in "iub" else []))
    scale = operand_of(np_sum(w, axis=axis, dtype=loop, keepdims=keepdims))
    zero = emit("eq", scale, literal(0, loop))
    none = emit("reduce_any", zero, axes=tuple(range(zero.rank))) if zero.rank else zero
    scale = checked(scale, none, "ZeroDivisionError", "Weights sum to zero, can't be normalized")
    total = np_sum(ufunc(np.multiply, x, w, dtype=loop), axis=axis, keepdims=keepdims)
    result = ufunc(np.divide, total, wrap(scale))
    if not returned:
        return result
    return result, wrap(broadcast_to(scale, operand_of(result).type.dims))


def _weights(x: TracedArray, w: TracedArray, axis: Any) -> TracedArray:
    """The weights in the shape of x, or of its reduced axes."""
    sizes = current_trace().sizes
    if x.ndim == w.ndim and all(map(sizes.require_equal, x.dims, w.dims)):
        return w
    if axis is None:
        raise TypeError("Axis must be specified when shapes of a and weights differ.")
    axes = axes_tuple(axis, x.ndim)
    if w.ndim != len(axes) or not all(sizes.require_equal(d, x.dims[k]) for d, k in zip(w.dims, axes, strict=True)):
        raise ValueError("Shape of weights must be consistent with shape of a along specified axis.")
    order = sorted(range(len(axes)), key=axes.__getitem__)
    moved = call(np.transpose, w, tuple(order))
    return call(np.reshape, moved, tuple(size if k in axes else 1 for k, size in enumerate(x.shape)))  # type: ignore[no-any-return]


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
        if current_trace().sizes.decide(product(resolve_dims(clean.dims)), "== 0"):
            raise_as_numpy(function, clean, axis)
        result = reduction(clean, axis=axis, keepdims=keepdims, **kwargs)
        if nan is not None:
            nothing = call(np.all, nan, axis=axis, keepdims=keepdims)
            found = call(np.where, nothing, clean.dtype.type(np.nan), result)
            result = wrap(found.operand(), found.order())
        return result if out is None else ufunc(np.positive, result, out=out)


_nan_extreme(np.nanmax, np_max, -np.inf)
_nan_extreme(np.nanmin, np_min, np.inf)


for _function, _cumulative in ((np.nancumsum, np.cumsum), (np.nancumprod, np.cumprod)):

    @implements(_function)
    def nan_cumulative(
        a: Any, axis: Any = None, dtype: Any = None, out: Any = None, _cumulative: Any = _cumulative
    ) -> Any:
        clean, _ = _without_nan(a, 0 if _cumulative is np.cumsum else 1)
        return call(_cumulative, clean, axis=axis, dtype=dtype, out=out)


def _nan_position(function: Any, position: Any, neutral: float) -> None:
    @implements(function)
    def nan_position(a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = NO_VALUE) -> Any:
        clean, nan = _without_nan(a, neutral)
        found = call(position, clean, axis=axis, keepdims=keepdims)
        if nan is not None:
            nothing = operand_of(call(np.all, nan, axis=axis))
            every = emit("reduce_any", nothing, axes=tuple(range(nothing.rank))) if nothing.rank else nothing
            found = wrap(checked(operand_of(found), every, "ValueError", "All-NaN slice encountered"))
        return found if out is None else ufunc(np.positive, found, out=out)


_nan_position(np.nanargmax, np.argmax, -np.inf)
_nan_position(np.nanargmin, np.argmin, np.inf)


def _nan_moment(function: Any, moment: Any) -> None:
    @implements(function)
    def nan_moment(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, **kwargs: Any) -> Any:
        array = as_array(a)
        if array.dtype.kind in "fc":
            known = ufunc(np.logical_not, ufunc(np.isnan, array))
            kwargs["where"] = ufunc(np.logical_and, known, kwargs["where"]) if given(kwargs.get("where")) else known
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


@implements(np.ediff1d)
def ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> TracedArray:
    """``np.ediff1d``."""
    array = as_array(call(np.ravel, as_array(ary)))
    parts: list[Any] = []
    for name, extra in (("to_begin", to_begin), ("to_end", to_end)):
        if extra is not None:
            part = as_array(extra)
            if not np.can_cast(part.dtype, array.dtype, "same_kind"):
                raise TypeError(f"dtype of `{name}` must be compatible with input `ary` under the `same_kind` rule.")
            parts.append(call("astype", call(np.ravel, part), array.dtype))
    if current_trace().sizes.decide(array.dims[0] - 1, ">= 0"):
        between = ufunc(np.subtract, array[1:], array[:-1])
    else:
        between = array
    parts.insert(0 if to_begin is None else 1, between)
    return between if len(parts) == 1 else call(np.concatenate, parts)  # type: ignore[no-any-return]


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


@implements(np.gradient)
def gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    """``np.gradient``: places that depend on the call are taken as not evenly spaced."""
    array = as_array(f)
    axes = axes_tuple(axis, array.ndim)
    spacings = list(varargs) * (len(axes) if len(varargs) == 1 else 1)
    arrays = [k for k, value in enumerate(spacings) if as_array(value).ndim == 1 and known_array(value) is None]
    if not arrays or len(spacings) != len(axes) or edge_order != 1 or array.dtype.kind not in "fc":
        return call("numpy source", np.gradient, f, *varargs, axis=axis, edge_order=edge_order)
    results = []
    for k, (position, spacing) in enumerate(zip(axes, spacings, strict=True)):
        if k in arrays:
            results.append(_uneven_gradient(array, as_array(spacing), position))
        else:
            results.append(call("numpy source", np.gradient, array, spacing, axis=position))
    return results[0] if len(results) == 1 else tuple(results)


def _uneven_gradient(array: TracedArray, places: TracedArray, axis: int) -> TracedArray:
    """The formulas of second order inside and of first order at the ends."""
    sizes = current_trace().sizes
    if not sizes.require_equal(places.dims[0], array.dims[axis]):
        raise ValueError("when 1d, distances must match the length of the corresponding dimension")
    if not sizes.decide(array.dims[axis] - 2, ">= 0"):
        raise ValueError(
            "Shape of array too small to calculate a numerical gradient, "
            "at least (edge_order + 1) elements are required."
        )
    moved = call(np.moveaxis, array, axis, -1)
    steps = diff(places)
    left, right = steps[:-1], steps[1:]
    a = -right / (left * (left + right))
    b = (right - left) / (left * right)
    c = left / (right * (left + right))
    inner = a * moved[..., :-2] + b * moved[..., 1:-1] + c * moved[..., 2:]
    first = (moved[..., 1:2] - moved[..., 0:1]) / steps[0]
    last = (moved[..., -1:] - moved[..., -2:-1]) / steps[-1]
    return call(np.moveaxis, call(np.concatenate, [first, inner, last], -1), -1, axis)  # type: ignore[no-any-return]


@implements(np.cov)
def cov(m: Any, *args: Any, fweights: Any = None, aweights: Any = None, **kwargs: Any) -> Any:
    """``np.cov``: weights are checked by NumPy."""
    if fweights is not None or aweights is not None or len(args) > 4:
        return left_to_numpy(np.cov, m, *args, fweights=fweights, aweights=aweights, **kwargs)
    return call("numpy source", np.cov, m, *args, **kwargs)


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
    axes = (operator.index(axis),) if hasattr(axis, "__index__") else tuple(axis)
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
    if ord in (2, -2, "nuc"):
        values = call(np.linalg.svd, call(np.moveaxis, array, (row, column), (-2, -1)), compute_uv=False)
        start = {} if ord == -2 else {"initial": 0}
        result = {2: np_max, -2: np_min, "nuc": np_sum}[ord](values, axis=-1, **start)
        return call(np.expand_dims, result, (row, column)) if keepdims else result
    if ord not in (1, -1, np.inf, -np.inf):
        raise ValueError("Invalid norm order for matrices.")
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
