"""Sliding products: convolve and correlate. Window functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.ir.core import Operand
from tracejit.ir.dims import DimLike
from tracejit.trace.array import TracedArray, new_array
from tracejit.trace.context import current_trace
from tracejit.trace.dtypes import BOOL, FLOAT64, INT64, DType, result_type
from tracejit.trace.inputs import as_array, describe_input
from tracejit.trace.numpy_api.common import left_to_numpy, ufunc
from tracejit.trace.registry import call, creates, implements
from tracejit.trace.scalar import as_dim, python_size
from tracejit.trace.values import cast, dim_value, emit, full, iota, literal, reshape, select, slice_axis

__all__: list[str] = []

_MODES = {"valid": 0, "same": 1, "full": 2}


def _mode(mode: Any) -> int:
    if isinstance(mode, str) and mode in _MODES:
        return _MODES[mode]
    if isinstance(mode, int) and mode in (0, 1, 2):
        return mode
    raise ValueError(f"mode must be one of 'valid', 'same', or 'full' (got {mode!r})")


def _vectors(a: Any, v: Any) -> tuple[Operand, Operand, DType]:
    arrays = [as_array(value) for value in (a, v)]
    loop = result_type(*(describe_input(value)[0] for value in (a, v)))
    for array in arrays:
        if array.ndim > 1:
            raise ValueError("object too deep for desired array")
    x, y = (cast(array.operand(), loop) for array in arrays)
    return *(o if o.rank else reshape(o, (1,)) for o in (x, y)), loop  # type: ignore[return-value]


@implements(np.correlate)
def correlate(a: Any, v: Any, mode: Any = "valid") -> TracedArray:
    """``np.correlate``."""
    x, y, loop = _vectors(a, v)
    for operand, name in ((x, "first"), (y, "second")):
        if current_trace().sizes.decide(operand.type.dims[0], "== 0"):
            raise ValueError(f"{name} array argument cannot be empty")
    if loop.kind == "c":
        y = emit("conj", y)
    if current_trace().sizes.decide(x.type.dims[0] - y.type.dims[0], ">= 0"):
        return new_array(_slide(x, y, _mode(mode)))
    return new_array(_reversed(_slide(y, x, _mode(mode))))


@implements(np.convolve)
def convolve(a: Any, v: Any, mode: Any = "full") -> TracedArray:
    """``np.convolve``."""
    x, y, _ = _vectors(a, v)
    sizes = current_trace().sizes
    if not sizes.decide(x.type.dims[0] - y.type.dims[0], ">= 0"):
        x, y = y, x
    for operand, name in ((x, "a"), (y, "v")):
        if sizes.decide(operand.type.dims[0], "== 0"):
            raise ValueError(f"{name} cannot be empty")
    return new_array(_slide(x, _reversed(y), _mode(mode)))


def _reversed(x: Operand) -> Operand:
    (size,) = x.type.dims
    return slice_axis(x, 0, size - 1, size, -1)


def _slide(x: Operand, y: Operand, mode: int) -> Operand:
    """The sums of products of y with the elements of the longer x that it covers, at each place."""
    sizes = current_trace().sizes
    (long,), (short,) = x.type.dims, y.type.dims
    before: DimLike = (0, sizes.resolve(short // 2), short - 1)[mode]
    after: DimLike = (0, short - 1 - before, short - 1)[mode]
    count = sizes.resolve(long - short + 1)
    middle = _covered(x, y, short, count)
    if not mode:
        return middle
    parts = [(before, -before), (after, count)]
    if isinstance(short, int) and short <= _UNROLLED:
        left, right = ([] if size == 0 else [_edge(x, y, size, start)] for size, start in parts)
    else:
        left, right = ([] if size == 0 else [_long_edge(x, y, size, start)] for size, start in parts)
    return emit("concatenate", *left, middle, *right, axis=0)


def _long_edge(x: Operand, y: Operand, count: DimLike, start: DimLike) -> Operand:
    """The same by a loop over the places, each a product of what is covered."""
    result = new_array(full(literal(0, x.type.dtype), (count,)))
    fill = _fill_first if start == -count else _fill_last
    combine = _any_of_both if x.type.dtype == BOOL else _sum_of_both
    call("with hooks", fill)(result, new_array(x), new_array(y), call("with hooks", combine))
    return result.operand()


def _fill_first(result: Any, x: Any, y: Any, combine: Any) -> None:
    count = len(result)
    covered = len(y) - count
    for i in range(count):
        result[i] = combine(x[: covered + i], y[count - i :])


def _fill_last(result: Any, x: Any, y: Any, combine: Any) -> None:
    first = len(x) - len(y) + 1
    for i in range(len(result)):
        result[i] = combine(x[first + i :], y[: len(y) - 1 - i])


def _sum_of_both(x: Any, y: Any) -> Any:
    return np.sum(x * y, dtype=x.dtype)


def _any_of_both(x: Any, y: Any) -> Any:
    return np.any(x & y)


def _edge(x: Operand, y: Operand, count: DimLike, start: DimLike) -> Operand:
    """The sums at ``count`` places from ``start`` on, where y reaches beyond x; what is not covered adds nothing."""
    (long,), (short,) = x.type.dims, y.type.dims
    dims = (count, short)
    place = emit("add", emit("add", iota(INT64, dims, 0), dim_value(start)), iota(INT64, dims, 1))
    covered = emit("bitwise_and", emit("ge", place, literal(0, INT64)), emit("lt", place, dim_value(long)))
    terms = _terms(emit("gather", x, select(covered, place, literal(0, INT64)), axes=(0,)), y)
    if x.type.dtype == BOOL:
        return emit("reduce_any", emit("bitwise_and", covered, terms), axes=(1,))
    nothing = literal(0 if x.type.dtype.kind in "iu" else -0.0, x.type.dtype)  # leaves a negative zero as it is
    return emit("reduce_sum", select(covered, terms, nothing), axes=(1,))


def _terms(windows: Operand, y: Operand, axis: int = 1) -> Operand:
    weights = emit("broadcast", y, dims=windows.type.dims, axes=(axis,))
    return emit("bitwise_and" if y.type.dtype == BOOL else "mul", windows, weights)


def _covered(x: Operand, y: Operand, short: DimLike, count: DimLike) -> Operand:
    """The sums at the places where x covers y."""
    if isinstance(short, int) and short <= _UNROLLED:
        return _shifted_sum(x, y, short, count)
    # Several sums at a time, one element of each in a step, unless there are few of them.
    axis = 0 if current_trace().sizes.hint(count) >= _UNROLLED else 1
    dims = (short, count) if axis == 0 else (count, short)
    place = emit("add", iota(INT64, dims, 0), iota(INT64, dims, 1))
    terms = _terms(emit("gather", x, place, axes=(0,)), y, axis)
    return emit("reduce_any" if x.type.dtype == BOOL else "reduce_sum", terms, axes=(axis,))


_UNROLLED = 16  # weights that become one expression


def _shifted_sum(x: Operand, y: Operand, short: int, count: DimLike) -> Operand:
    multiply, add = ("bitwise_and", "bitwise_or") if x.type.dtype == BOOL else ("mul", "add")
    total = None
    for k in range(short):
        weight = emit("gather", y, literal(k, INT64), axes=(0,))
        term = emit(multiply, slice_axis(x, 0, k, count), weight)
        total = term if total is None else emit(add, total, term)
    assert total is not None
    return total


# ----------------------------------------------------------------------------------------------------------- windows


Shape = Callable[[Any, Any], Any]


def _window(function: Any) -> Callable[[Shape], Shape]:
    """Register the shape of a window, a function of the places -M+1, -M+3, ..., M-1 and of M-1."""

    def register(shape: Shape) -> Shape:
        @creates(function)
        def window(M: Any) -> Any:
            if not isinstance(M, (int, np.integer)) and getattr(M, "dim", None) is None:
                return left_to_numpy(function, M)
            size = as_dim(M)
            sizes = current_trace().sizes
            if not sizes.decide(size - 1, ">= 0"):
                return call(np.zeros, 0)
            if sizes.decide(size - 1, "== 0"):
                return call(np.ones, 1)
            step = cast(iota(INT64, (size,), 0), FLOAT64)
            span = python_size(size - 1)
            places = ufunc(np.subtract, ufunc(np.multiply, new_array(step), 2.0), span)
            return shape(places, span)

        return shape

    return register


def _cosine(places: Any, span: Any, times: float) -> Any:
    return ufunc(np.cos, ufunc(np.divide, ufunc(np.multiply, times * np.pi, places), span))


@_window(np.hanning)
def _hanning(places: Any, span: Any) -> Any:
    return ufunc(np.add, 0.5, ufunc(np.multiply, 0.5, _cosine(places, span, 1)))


@_window(np.hamming)
def _hamming(places: Any, span: Any) -> Any:
    return ufunc(np.add, 0.54, ufunc(np.multiply, 0.46, _cosine(places, span, 1)))


@_window(np.blackman)
def _blackman(places: Any, span: Any) -> Any:
    first = ufunc(np.add, 0.42, ufunc(np.multiply, 0.5, _cosine(places, span, 1)))
    return ufunc(np.add, first, ufunc(np.multiply, 0.08, _cosine(places, span, 2.0)))


@_window(np.bartlett)
def _bartlett(places: Any, span: Any) -> Any:
    rising = ufunc(np.add, 1, ufunc(np.divide, places, span))
    falling = ufunc(np.subtract, 1, ufunc(np.divide, places, span))
    return call(np.where, ufunc(np.less_equal, places, 0), rising, falling)
