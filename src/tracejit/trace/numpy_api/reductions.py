"""Reductions over axes, positions of extremes, and cumulative sums and products."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from tracejit.ir.core import Operand
from tracejit.ir.dims import DimLike, product
from tracejit.trace.array import TracedScalar, new_array, wrap
from tracejit.trace.context import current_trace
from tracejit.trace.dtypes import BOOL, INT64, DType, sum_dtype
from tracejit.trace.inputs import as_array, operand_of, raise_as_numpy
from tracejit.trace.numpy_api.common import NO_VALUE, axis_index, given, reduced_axes, ufunc
from tracejit.trace.registry import implements
from tracejit.trace.result_order import reduced_order
from tracejit.trace.scalar import SymbolicInt, as_dim, to_number
from tracejit.trace.selecting import require_filled
from tracejit.trace.ufuncs import write_out
from tracejit.trace.values import (
    Dims,
    broadcast_to,
    cast,
    dim_value,
    emit,
    expand,
    fits,
    literal,
    reshape,
    resolve_dims,
    select,
    truth,
)

__all__ = ["count_of", "masked_where", "reduce_operand"]


def reduce_operand(name: str, x: Operand, axes: tuple[int, ...], keepdims: bool = False) -> Operand:
    """Reduce some axes, which stay with size 1 on request."""
    result = emit(name, x, axes=axes) if axes else x
    return expand(result, axes) if keepdims and axes else result


def deliver(
    function: Any, result: Operand, out: Any, args: tuple[Any, ...], axes: Sequence[int] | None = None, **keywords: Any
) -> Any:
    """A reduction's result: written into ``out=``, or a new array or NumPy scalar. axes: what was reduced."""
    if given(out):
        return write_out(partial(function, **keywords), args, result, out, True, "unsafe")
    if axes is None or len(result.type.dims) < 2:
        return wrap(result)
    return wrap(result, reduced_order(args[0], axes, keywords.get("keepdims") is True))


def masked(x: Operand, where: Any, neutral: Any) -> Operand:
    """The operand with a neutral value where ``where=`` does not hold."""
    mask = masked_where(x, where)
    return x if mask is None else select(mask, x, literal(neutral, x.type.dtype))


def masked_where(x: Operand, where: Any) -> Operand | None:
    """The mask of a ``where=`` argument with the dims of x, or None where all elements count."""
    if not given(where) or where is True:
        return None
    mask = truth(operand_of(where))
    dims = resolve_dims(x.type.dims)
    if not fits(mask.type.dims, dims):
        raise ValueError(
            "non-broadcastable operand with shape "
            f"{new_array(x).hint_shape()} doesn't match the broadcast shape of where={where!r}"
        )
    return broadcast_to(mask, dims)


def _sum_like(name: str, combine: np.ufunc, neutral: int) -> Callable[..., Any]:
    def function(
        a: Any,
        axis: Any = None,
        dtype: Any = None,
        out: Any = None,
        keepdims: Any = NO_VALUE,
        initial: Any = NO_VALUE,
        where: Any = NO_VALUE,
    ) -> Any:
        if (
            axis is None
            and dtype in (None, int, np.int64)
            and _is_shape(a)
            and not any(map(given, (out, keepdims, initial, where)))
        ):
            return _of_sizes(combine, a)
        x = operand_of(a)
        loop = sum_dtype(combine, x.type.dtype) if dtype is None else np.dtype(dtype)
        if dtype is None and given(out):
            loop = np.result_type(loop, out.dtype)
        axes = reduced_axes(axis, x.rank, scalars=True)
        x = masked(cast(x, loop), where, neutral)
        if loop == BOOL:
            x = emit("reduce_any" if neutral == 0 else "reduce_all", x, axes=axes) if axes else x
            result = expand(x, axes) if keepdims is True and axes else x
        else:
            result = reduce_operand(name, x, axes, bool(given(keepdims) and keepdims))
        result = _with_initial(combine, result, initial)
        return deliver(np.sum if combine is np.add else np.prod, result, out, (a,), axes, axis=axis, keepdims=keepdims)

    return function


def _is_shape(value: Any) -> bool:
    """Whether a value is a tuple or list of sizes."""
    return isinstance(value, (tuple, list)) and bool(value) and all(isinstance(v, (int, SymbolicInt)) for v in value)


def _of_sizes(combine: np.ufunc, sizes: Any) -> TracedScalar:
    """The sum or product of a shape: an int64 scalar that can be a size itself."""
    dims = [as_dim(size) for size in sizes]
    total: DimLike = product(tuple(dims))
    if combine is np.add:
        total = 0
        for dim in dims:
            total = total + dim
    return TracedScalar(dim_value(total), total)


def _with_initial(combine: np.ufunc, result: Operand, initial: Any) -> Operand:
    if not given(initial):
        return result
    if isinstance(initial, (int, float, complex)):  # taken in the dtype of the result, or refused
        initial = np.array(initial, result.type.dtype)[()]
    value = ufunc(combine, initial, wrap(result))
    return cast(operand_of(value), result.type.dtype)


np_sum = implements(np.sum)(_sum_like("reduce_sum", np.add, 0))
np_prod = implements(np.prod)(_sum_like("reduce_prod", np.multiply, 1))


def check_not_empty(function: Any, a: Any, dims: Dims, axes: tuple[int, ...], **kwargs: Any) -> None:
    """Reductions without a neutral element raise for no elements."""
    sizes = current_trace().sizes
    for axis in axes:
        if sizes.is_late(dim := sizes.resolve(dims[axis])):
            require_filled([dim], _EMPTY[function])
        elif sizes.decide(dim, "== 0"):
            raise_as_numpy(function, a, **kwargs)


_EMPTY = {
    np.max: "zero-size array to reduction operation maximum which has no identity",
    np.min: "zero-size array to reduction operation minimum which has no identity",
    np.argmax: "attempt to get argmax of an empty sequence",
    np.argmin: "attempt to get argmin of an empty sequence",
}


def _extreme(name: str, combine: np.ufunc, largest: bool) -> Callable[..., Any]:
    def function(
        a: Any,
        axis: Any = None,
        out: Any = None,
        keepdims: Any = NO_VALUE,
        initial: Any = NO_VALUE,
        where: Any = NO_VALUE,
    ) -> Any:
        array = as_array(a)
        x = array.operand()
        axes = reduced_axes(axis, x.rank, scalars=True)
        if not given(initial):
            if given(where) and where is not True:
                raise ValueError(
                    f"reduction operation '{combine.__name__}' does not have an identity, "
                    "so to use a where mask one has to specify 'initial'"
                )
            check_not_empty(np.max if largest else np.min, array, x.type.dims, axes, axis=axis)
        else:
            x = masked(x, where, _lowest(x.type.dtype) if largest else _highest(x.type.dtype))
        keep = bool(given(keepdims) and keepdims)
        if x.type.dtype == BOOL:
            result = reduce_operand("reduce_any" if largest else "reduce_all", x, axes, keep)
        elif given(initial) and any(not _surely_filled(x.type.dims[axis]) for axis in axes):
            result = _extreme_of_maybe_empty(name, x, axes, keep, initial)
        else:
            result = reduce_operand(name, x, axes, keep)
        found = _with_initial(combine, result, initial)
        return deliver(np.max if largest else np.min, found, out, (a,), axes, axis=axis, keepdims=keepdims)

    return function


def _surely_filled(dim: DimLike) -> bool:
    sizes = current_trace().sizes
    return sizes.is_late(sizes.resolve(dim)) or not sizes.decide(dim, "== 0")


def _extreme_of_maybe_empty(name: str, x: Operand, axes: tuple[int, ...], keep: bool, initial: Any) -> Operand:
    """Nothing to reduce: the initial value everywhere."""
    dims = tuple(d for axis, d in enumerate(x.type.dims) if axis not in axes)
    value = broadcast_to(cast(operand_of(initial), x.type.dtype), dims)
    return expand(value, axes) if keep else value


def _lowest(dtype: DType) -> Any:
    if dtype.kind in "iu":
        return np.iinfo(dtype).min
    return False if dtype == BOOL else -np.inf


def _highest(dtype: DType) -> Any:
    if dtype.kind in "iu":
        return np.iinfo(dtype).max
    return True if dtype == BOOL else np.inf


np_max = implements(np.max, np.amax)(_extreme("reduce_max", np.maximum, True))
np_min = implements(np.min, np.amin)(_extreme("reduce_min", np.minimum, False))


def _quantifier(name: str, neutral: bool) -> Callable[..., Any]:
    def function(a: Any, axis: Any = None, out: Any = None, keepdims: Any = NO_VALUE, *, where: Any = NO_VALUE) -> Any:
        x = masked(truth(operand_of(a)), where, neutral)
        axes = reduced_axes(axis, x.rank, scalars=True)
        result = reduce_operand(name, x, axes, bool(given(keepdims) and keepdims))
        return deliver(np.all if neutral else np.any, result, out, (a,), axes, axis=axis, keepdims=keepdims)

    return function


np_any = implements(np.any)(_quantifier("reduce_any", False))
np_all = implements(np.all)(_quantifier("reduce_all", True))


_COUNTS_IN_PYTHON = isinstance(np.count_nonzero(np.ones(1)), int)  # depends on the version of NumPy


@implements(np.count_nonzero)
def count_nonzero(a: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    """``np.count_nonzero``."""
    x = cast(truth(operand_of(a)), INT64)
    axes = reduced_axes(axis, x.rank, scalars=True)
    count = wrap(reduce_operand("reduce_sum", x, axes, keepdims), reduced_order(a, axes, keepdims))
    return to_number(count, int) if axis is None and not keepdims and _COUNTS_IN_PYTHON else count


# ------------------------------------------------------------------------------------------------------ mean, var, std


def count_of(dims: Dims, axes: tuple[int, ...]) -> DimLike:
    """How many elements are reduced to one."""
    return product(resolve_dims(tuple(dims[axis] for axis in axes)))


def _element_count(x: Operand, axes: tuple[int, ...], where: Any) -> Any:
    if not given(where) or where is True:
        return wrap(dim_value(count_of(x.type.dims, axes)))  # an int64 as in NumPy: means divide in float64
    mask = masked(truth(broadcast_to(literal(True, BOOL), x.type.dims)), where, False)
    return wrap(reduce_operand("reduce_sum", cast(mask, INT64), axes, True))


@implements(np.mean)
def mean(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = NO_VALUE, *, where: Any = NO_VALUE
) -> Any:
    """``np.mean``."""
    x = operand_of(a)
    axes = reduced_axes(axis, x.rank)
    keep = bool(given(keepdims) and keepdims)
    own = x.type.dtype
    loop, final = _mean_dtypes(own, dtype)
    count = _element_count(x, axes, where)
    total = reduce_operand("reduce_sum", masked(cast(x, loop), where, 0), axes, keep)
    if given(where) and where is not True and not keep:
        count = wrap(_drop(operand_of(count), axes))
    average = cast(operand_of(ufunc(np.divide, wrap(total), count)), final)
    return deliver(np.mean, average, out, (a,), axes, axis=axis, keepdims=keepdims)


def _drop(x: Operand, axes: tuple[int, ...]) -> Operand:
    return reshape(x, tuple(d for axis, d in enumerate(x.type.dims) if axis not in axes)) if x.type.dims else x


def _mean_dtypes(own: DType, dtype: Any) -> tuple[DType, DType]:
    """The dtype in which sums are made, and that of the mean."""
    if dtype is not None:
        return np.dtype(dtype), np.dtype(dtype)
    if own.kind in "iub":
        return np.dtype(np.float64), np.dtype(np.float64)
    return (np.dtype(np.float32) if own == np.float16 else own), own


@implements(np.var)
def var(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    ddof: Any = 0,
    keepdims: Any = NO_VALUE,
    *,
    where: Any = NO_VALUE,
    mean: Any = NO_VALUE,
    correction: Any = NO_VALUE,
) -> Any:
    """``np.var``."""
    if given(correction):
        if ddof != 0:
            raise ValueError("ddof and correction can't be provided simultaneously.")
        ddof = correction
    x = operand_of(a)
    axes = reduced_axes(axis, x.rank)
    keep = bool(given(keepdims) and keepdims)
    loop, final = _mean_dtypes(x.type.dtype, dtype)
    own = x if x.type.dtype.kind == "c" else cast(x, loop)  # a real dtype is that of the sums only
    x = cast(x, loop)
    count = _element_count(x, axes, where)
    if given(mean):
        center = cast(operand_of(mean), loop)
    else:
        total = reduce_operand("reduce_sum", masked(x, where, 0), axes, True)
        center = cast(operand_of(ufunc(np.divide, wrap(total), count)), loop)
    deviation = ufunc(np.subtract, wrap(own), wrap(center))
    if deviation.dtype.kind == "c":
        squares = ufunc(np.add, ufunc(np.square, deviation.real), ufunc(np.square, deviation.imag))
        final = np.empty(0, final).real.dtype
    else:
        squares = ufunc(np.square, deviation)
    total = reduce_operand("reduce_sum", masked(cast(operand_of(squares), final), where, 0), axes, True)
    freedom = ufunc(np.maximum, ufunc(np.subtract, count, ddof), 0)
    result = cast(operand_of(ufunc(np.divide, wrap(total), freedom)), final)
    return deliver(np.var, result if keep else _drop(result, axes), out, (a,), axes, axis=axis, keepdims=keepdims)


@implements(np.std)
def std(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    ddof: Any = 0,
    keepdims: Any = NO_VALUE,
    *,
    where: Any = NO_VALUE,
    mean: Any = NO_VALUE,
    correction: Any = NO_VALUE,
) -> Any:
    """``np.std``."""
    variance = var(a, axis, dtype, None, ddof, keepdims, where=where, mean=mean, correction=correction)
    axes = reduced_axes(axis, operand_of(a).rank)
    return deliver(np.std, operand_of(ufunc(np.sqrt, variance)), out, (a,), axes, axis=axis, keepdims=keepdims)


# ------------------------------------------------------------------------------------------------------ argmax, argmin


def _position(name: str) -> Callable[..., Any]:
    numpy_function = getattr(np, name)

    def function(a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = NO_VALUE) -> Any:
        array = as_array(a)
        x = array.operand()
        rank = x.rank
        keep = bool(given(keepdims) and keepdims)
        position = 0 if axis is None else axis_index(axis, max(rank, 1))
        if axis is None or not rank:
            x = reshape(x, (product(resolve_dims(x.type.dims)),))
            position = 0
        check_not_empty(numpy_function, array, x.type.dims, (position,), axis=axis)
        result = _first_extreme(name, x, position) if x.type.dtype.kind == "c" else emit(name, x, axis=position)
        if keep:
            result = reshape(result, (1,) * rank) if axis is None or not rank else expand(result, (position,))
        return deliver(numpy_function, result, out, (a,), axis=axis)

    return function


def _first_extreme(name: str, x: Operand, axis: int) -> Operand:
    """Complex numbers are ordered by real part, then by imaginary part; NaN comes first."""
    largest = name == "argmax"
    reduce, worst = ("reduce_max", -np.inf) if largest else ("reduce_min", np.inf)

    def among(part: Operand, candidates: Operand) -> Operand:
        extreme = expand(emit(reduce, select(candidates, part, literal(worst, part.type.dtype)), axes=(axis,)), (axis,))
        same = emit("eq", part, broadcast_to(extreme, part.type.dims))
        return emit("bitwise_and", candidates, same)

    every = broadcast_to(literal(True, BOOL), x.type.dims)
    best = emit("argmax", among(emit("imag", x), among(emit("real", x), every)), axis=axis)
    nan = emit("isnan", x)
    return select(emit("reduce_any", nan, axes=(axis,)), emit("argmax", nan, axis=axis), best)


argmax = implements(np.argmax)(_position("argmax"))
argmin = implements(np.argmin)(_position("argmin"))

# ---------------------------------------------------------------------------------------------------------- cumulative


def _cumulative(name: str, combine: np.ufunc) -> Callable[..., Any]:
    numpy_function = getattr(np, name)

    def function(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
        x = operand_of(a)
        loop = sum_dtype(combine, x.type.dtype) if dtype is None else np.dtype(dtype)
        position = 0 if axis is None else axis_index(axis, x.rank or 1)
        if axis is None or not x.rank:
            x = reshape(x, (product(resolve_dims(x.type.dims)),))
        result = emit(name, cast(x, loop), axis=position)
        if given(out):
            return write_out(numpy_function, (a,), result, out, True, "unsafe")
        return new_array(result, order=() if len(result.type.dims) < 2 else reduced_order(a, ()))

    return function


cumsum = implements(np.cumsum)(_cumulative("cumsum", np.add))
cumprod = implements(np.cumprod)(_cumulative("cumprod", np.multiply))


@implements(np.ptp)
def ptp(a: Any, axis: Any = None, out: Any = None, keepdims: Any = NO_VALUE) -> Any:
    """``np.ptp``."""
    high, low = np_max(a, axis, keepdims=keepdims), np_min(a, axis, keepdims=keepdims)
    return ufunc(np.subtract, high, low, out=out)
