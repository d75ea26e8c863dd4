"""The methods of universal functions: outer, at, reduce, accumulate, reduceat.

Sums, products, extremes and logical reductions have operations of their own; any other ufunc is folded along the axis
by a counted loop, in NumPy's order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from tracejit.errors import UnsupportedError
from tracejit.ir.core import Operand
from tracejit.ir.dims import DimLike, floordiv, product
from tracejit.trace.array import TracedArray, new_array, wrap
from tracejit.trace.base import unknown_function
from tracejit.trace.context import current_trace
from tracejit.trace.counted import counted_loop, element, store_element
from tracejit.trace.dtypes import BOOL, INT64, DType, loop_dtypes
from tracejit.trace.indexing import augment_masked, get_item, is_mask_key
from tracejit.trace.inputs import as_array, describe_input, materialize, operand_of, raise_as_numpy
from tracejit.trace.numpy_api.common import NO_VALUE, axis_index, given, reduced_axes
from tracejit.trace.numpy_api.reductions import masked_where
from tracejit.trace.registry import call, implements
from tracejit.trace.selecting import require_filled
from tracejit.trace.ufuncs import apply_ufunc, rule_of, write_out
from tracejit.trace.values import (
    broadcast_to,
    cast,
    dim_value,
    emit,
    expand,
    fits,
    full,
    iota,
    literal,
    reshape,
    resolve_dims,
    select,
    slice_axis,
    transpose,
)

__all__: list[str] = []

Rule = Callable[[Operand, Operand], Operand]


@implements("ufunc.outer")
def ufunc_outer(ufunc: np.ufunc, left: Any, right: Any, **kwargs: Any) -> Any:
    """``ufunc.outer``: every element of one array with every element of the other."""
    if ufunc.nin != 2:
        raise ValueError("outer product only supported for binary functions")
    x, y = operand_of(left), operand_of(right)
    if x.type.dims and y.type.dims:
        x = reshape(x, (*x.type.dims, *(1,) * len(y.type.dims)))
    return apply_ufunc(ufunc, (wrap(x), wrap(y)), **kwargs)


# ------------------------------------------------------------------------------------------------------------ dtypes


def _ask(method: Callable[..., Any], x: Operand, **kwargs: Any) -> Any:
    """NumPy's result for ones of this dtype, with one element along each axis that has any; its error otherwise."""
    sizes = current_trace().sizes
    dims = resolve_dims(x.type.dims)
    shape = tuple(0 if not sizes.is_late(dim) and sizes.decide(dim, "== 0") else 1 for dim in dims)
    with np.errstate(all="ignore"):
        return method(np.ones(shape, x.type.dtype), **kwargs)


def _folding_rule(ufunc: np.ufunc, dtype: DType) -> Rule:
    """How two values of a dtype combine to another one of it."""
    rule: Any = rule_of(ufunc)
    if rule is None:
        raise unknown_function(ufunc)
    if loop_dtypes(ufunc, (dtype, dtype)) != (dtype,) * 3:
        raise UnsupportedError(f"reducing values of {dtype} by np.{ufunc.__name__} is not compiled")
    return lambda x, y: rule(x, y)


def _with_out(ufunc: np.ufunc, loop: DType, dtype: Any, out: Any) -> DType:
    """The dtype of a reduction into ``out=``, which takes part in the choice."""
    if dtype is not None or not given(out) or loop == BOOL:
        return loop
    return np.result_type(loop, (out[0] if isinstance(out, tuple) else out).dtype)


# ------------------------------------------------------------------------------------------------------------ reduce

_REDUCTIONS: dict[Any, Any] = {
    np.add: np.sum,
    np.multiply: np.prod,
    np.maximum: np.max,
    np.minimum: np.min,
    np.logical_and: np.all,
    np.logical_or: np.any,
}


@implements("ufunc.reduce")
def ufunc_reduce(
    ufunc: np.ufunc,
    array: Any,
    axis: Any = 0,
    dtype: Any = None,
    out: Any = None,
    keepdims: bool = False,
    initial: Any = NO_VALUE,
    where: Any = True,
) -> Any:
    """``ufunc.reduce``."""
    x = operand_of(array)
    axis = 0 if not x.rank and axis in (0, -1) else axis
    question: dict[str, Any] = {"axis": None if not x.rank and axis == 0 else axis, "dtype": dtype}
    if initial is not NO_VALUE:
        question["initial"] = None if initial is None else 1
    answer = _ask(ufunc.reduce, x, **question, where=where is True or np.ones(1, bool))
    loop = _with_out(ufunc, answer.dtype, dtype, out)
    axes = () if not x.rank else reduced_axes(axis, x.rank)
    if ufunc.identity is None and initial in (NO_VALUE, None):
        text = f"zero-size array to reduction operation {ufunc.__name__} which has no identity"
        require_filled([x.type.dims[axis] for axis in axes], text)
    if ufunc in _REDUCTIONS and initial is not None:
        found = _reduced(ufunc, x, axes, dtype, loop, keepdims, initial, where)
    else:
        found = _folded(ufunc, x, axes, loop, initial, where)
        found = expand(found, axes) if keepdims else found
    if given(out):
        return write_out(partial(ufunc.reduce, axis=axis), (array,), found, out, casting="unsafe")
    return wrap(found)


def _reduced(
    ufunc: np.ufunc,
    x: Operand,
    axes: tuple[int, ...],
    dtype: Any,
    loop: DType,
    keepdims: bool,
    initial: Any,
    where: Any,
) -> Operand:
    """The reductions that have operations of their own."""
    options: dict[str, Any] = {"keepdims": keepdims}
    if where is not True:
        options["where"] = where
    if ufunc in (np.logical_and, np.logical_or):
        found = operand_of(call(_REDUCTIONS[ufunc], wrap(x), axis=axes, **options))
        if initial is not NO_VALUE:
            found = operand_of(apply_ufunc(ufunc, (initial, wrap(found))))
        return cast(found, loop)
    options["initial"] = initial
    if ufunc in (np.add, np.multiply):
        options["dtype"] = loop
    return operand_of(call(_REDUCTIONS[ufunc], wrap(cast(x, loop)), axis=axes, **options))


def _folded(ufunc: np.ufunc, x: Operand, axes: tuple[int, ...], loop: DType, initial: Any, where: Any) -> Operand:
    """One element after the other along the axes."""
    rule = _folding_rule(ufunc, loop)
    x = cast(x, loop)
    mask = masked_where(x, where)
    if not axes:
        return x
    rows = _lines_first(x, axes)
    masks = [] if mask is None else [_lines_first(mask, axes)]
    start = 0
    if initial is NO_VALUE:
        initial = None if ufunc.identity is None else np.array(ufunc.identity).astype(loop)[()]
    if initial is None:
        first, start = element(rows, literal(0, INT64)), 1
    else:
        first = broadcast_to(materialize(describe_input(initial)[1], loop), rows.type.dims[1:])
    if ufunc is np.subtract:  # NumPy, too, sums what is subtracted
        return emit("sub", first, _total(rows, masks, start))
    if ufunc in _REORDERABLE and rows.rank == 1 and not masks:
        rows = _folded_lanes(rule, rows)
    return _fold(rule, first, rows, masks, start)


# Their elements may be combined in any order.
_REORDERABLE = frozenset((np.bitwise_and, np.bitwise_or, np.bitwise_xor, np.logical_xor, np.fmax, np.fmin, np.gcd))
_LANES = 256


def _fold(rule: Rule, first: Operand, rows: Operand, masks: Sequence[Operand] = (), start: int = 0) -> Operand:
    def body(i: Operand, carries: list[Operand], constants: list[Operand]) -> list[Operand]:
        new = rule(carries[0], element(constants[0], i))
        if masks:
            new = select(element(constants[1], i), new, carries[0])
        return [new]

    return counted_loop(start, dim_value(rows.type.dims[0]), [first], [rows, *masks], body)[0]


def _folded_lanes(rule: Rule, row: Operand) -> Operand:
    """A long row as fewer elements that give the same when folded: many lanes are folded beside each other."""
    sizes = current_trace().sizes
    (total,) = row.type.dims
    if sizes.is_late(sizes.resolve(total)) or not sizes.decide(total - 16 * _LANES, ">= 0"):
        return row
    lines = floordiv(total, _LANES)
    wide = reshape(slice_axis(row, 0, 0, lines * _LANES), (lines, _LANES))
    folded = _fold(rule, element(wide, literal(0, INT64)), wide, (), 1)
    rest = sizes.resolve(total - lines * _LANES)
    return emit("concatenate", folded, slice_axis(row, 0, lines * _LANES, rest), axis=0)


def _total(rows: Operand, masks: Sequence[Operand], start: int) -> Operand:
    if masks:
        rows = select(masks[0], rows, literal(0, rows.type.dtype))
    return emit("reduce_sum", slice_axis(rows, 0, start, rows.type.dims[0] - start), axes=(0,))


def _lines_first(x: Operand, axes: Sequence[int]) -> Operand:
    """Some axes, made one, in front of the others."""
    rest = tuple(axis for axis in range(x.rank) if axis not in axes)
    moved = transpose(x, (*axes, *rest))
    if len(axes) == 1:
        return moved
    dims = resolve_dims(moved.type.dims)
    return reshape(moved, (product(dims[: len(axes)]), *dims[len(axes) :]))


# -------------------------------------------------------------------------------------------------------- accumulate

_SCANS: dict[Any, str] = {np.add: "cumsum", np.multiply: "cumprod", np.maximum: "cummax", np.minimum: "cummin"}


@implements("ufunc.accumulate")
def ufunc_accumulate(ufunc: np.ufunc, array: Any, axis: Any = 0, dtype: Any = None, out: Any = None) -> Any:
    """``ufunc.accumulate``."""
    x = operand_of(array)
    loop = _with_out(ufunc, _ask(ufunc.accumulate, x, axis=axis, dtype=dtype).dtype, dtype, out)
    position = axis_index(axis, x.rank)
    x = cast(x, loop)
    if ufunc in _SCANS and loop != BOOL:
        found = emit(_SCANS[ufunc], x, axis=position)
    else:
        found = _accumulated(ufunc, x, position, loop)
    if given(out):
        return write_out(partial(ufunc.accumulate, axis=axis), (array,), found, out, casting="unsafe")
    return new_array(found)


def _accumulated(ufunc: np.ufunc, x: Operand, axis: int, loop: DType) -> Operand:
    rule = _folding_rule(ufunc, loop)
    if current_trace().sizes.decide(x.type.dims[axis], "== 0"):
        return x

    def body(i: Operand, carries: list[Operand], constants: list[Operand]) -> list[Operand]:
        new = rule(carries[0], element(constants[0], i, axis))
        return [new, store_element(carries[1], new, i, axis)]

    first = element(x, literal(0, INT64), axis)
    return counted_loop(1, dim_value(x.type.dims[axis]), [first, x], [x], body)[1]


# ---------------------------------------------------------------------------------------------------------- reduceat


@implements("ufunc.reduceat")
def ufunc_reduceat(ufunc: np.ufunc, array: Any, indices: Any, axis: Any = 0, dtype: Any = None, out: Any = None) -> Any:
    """``ufunc.reduceat``: a reduction of the elements between consecutive indices."""
    x = operand_of(array)
    plain = isinstance(indices, (list, tuple)) and all(isinstance(i, int) for i in indices)
    if not x.rank or ufunc.nin != 2 or ufunc.nout != 1:
        raise_as_numpy(ufunc.reduceat, wrap(x), [0], axis)
    position = axis_index(axis, x.rank)
    starts = as_array(np.zeros(0, np.int64) if plain and not indices else indices)
    if starts.dtype.kind not in "iub" or starts.ndim != 1:
        raise_as_numpy(ufunc.reduceat, wrap(x), starts, axis)
    if plain:
        for start in indices:
            _check_start(ufunc, start, x.type.dims[position])
    loop = _with_out(ufunc, _ask(ufunc.reduceat, x, indices=[0], axis=axis, dtype=dtype).dtype, dtype, out)
    rows = _lines_first(cast(x, loop), (position,))
    if plain and len(indices) <= _MOST_PIECES:
        found = _pieces_reduced(ufunc, rows, indices, loop)
    else:
        found = _segments_folded(ufunc, rows, cast(starts.operand(), INT64), loop)
    found = transpose(found, (*range(1, position + 1), 0, *range(position + 1, x.rank)))
    if given(out):
        return write_out(partial(ufunc.reduceat, indices=[0] * 7, axis=axis), (array,), found, out, casting="unsafe")
    return new_array(found)


_MOST_PIECES = 32  # that are reduced one by one; more are a loop


def _pieces_reduced(ufunc: np.ufunc, rows: Operand, indices: Sequence[int], loop: DType) -> Operand:
    """Indices known while tracing: a reduction for each piece."""
    sizes = current_trace().sizes
    total = rows.type.dims[0]
    parts = []
    for k, start in enumerate(indices):
        last = total if k == len(indices) - 1 else indices[k + 1]
        count = last - start if sizes.decide(last - start - 1, ">= 0") else 1
        piece = slice_axis(rows, 0, start, sizes.resolve(count))
        parts.append(expand(operand_of(ufunc_reduce(ufunc, new_array(piece), 0, loop)), (0,)))
    if not parts:
        return emit("empty", dtype=loop, dims=(0, *rows.type.dims[1:]))
    return parts[0] if len(parts) == 1 else emit("concatenate", *parts, axis=0)


def _check_start(ufunc: np.ufunc, start: int, total: DimLike) -> None:
    sizes = current_trace().sizes
    if start < 0 or not sizes.decide(total - start - 1, ">= 0"):
        raise IndexError(f"index {start} out-of-bounds in {ufunc.__name__}.reduceat [0, {sizes.hint(total)})")


def _segments_folded(ufunc: np.ufunc, rows: Operand, starts: Operand, loop: DType) -> Operand:
    """Indices known at run time: a loop over segments, and one over the elements of each."""
    rule = _folding_rule(ufunc, loop)
    total = dim_value(rows.type.dims[0])
    count = starts.type.dims[0]
    # A negative index is out of range here: it must not be counted from the end.
    negative = emit("lt", starts, literal(0, INT64))
    starts = emit("wrap_index", select(negative, emit("sub", starts, total), starts), total, axis=0)
    one = full(literal(1, INT64), (1,))
    ends = emit("concatenate", slice_axis(starts, 0, 1, count - 1), emit("mul", one, total), axis=0)
    result = emit("empty", dtype=loop, dims=(count, *rows.type.dims[1:]))

    def segment(k: Operand, carries: list[Operand], constants: list[Operand]) -> list[Operand]:
        x, begins, finishes = constants
        begin, finish = element(begins, k), element(finishes, k)

        def step(i: Operand, values: list[Operand], inputs: list[Operand]) -> list[Operand]:
            return [rule(values[0], element(inputs[0], i))]

        after = emit("add", begin, literal(1, INT64))
        value = counted_loop(after, finish, [element(x, begin)], [x], step)[0]
        return [store_element(carries[0], value, k)]

    return counted_loop(0, dim_value(count), [result], [rows, starts, ends], segment)[0]


# ---------------------------------------------------------------------------------------------------------------- at


@implements("ufunc.at")
def ufunc_at(ufunc: np.ufunc, target: Any, indices: Any, *values: Any) -> None:
    """``ufunc.at``: in place at some indices, where repeated ones accumulate."""
    if not isinstance(target, (TracedArray, np.ndarray)):
        raise TypeError("first operand must be array")
    if ufunc.nout != 1:
        raise ValueError("Only single output ufuncs supported at this time")
    if len(values) < ufunc.nin - 1:
        raise ValueError("second operand needed for ufunc")
    if len(values) >= ufunc.nin:
        raise ValueError("second operand provided when ufunc is unary")
    array = as_array(target)
    if not array.writeable:
        raise ValueError("array is read-only")
    if is_mask_key(array, indices) and not any(operand_of(value).rank for value in values):
        augment_masked(array, indices, lambda x, *_: apply_ufunc(ufunc, (x, *values), out=(x,), casting="unsafe"), 0)
        return
    inputs = [describe_input(value) for value in values]
    dtypes = loop_dtypes(ufunc, (array.dtype, *(kind_of_array(kind) for kind, _ in inputs)), None, "unsafe")
    if ufunc in (np.add, np.subtract) and dtypes[-1] == array.dtype and array.dtype.kind != "b":
        value = materialize(inputs[0][1], array.dtype)
        call("add at", array, indices, wrap(value if ufunc is np.add else emit("neg", value)))
        return
    _at_one_by_one(ufunc, array, indices, [materialize(v, d) for (_, v), d in zip(inputs, dtypes[1:], strict=False)])


def kind_of_array(kind: Any) -> Any:
    """Python numbers become arrays here, which are not weak."""
    return {int: np.dtype(np.int64), float: np.dtype(np.float64), complex: np.dtype(np.complex128)}.get(kind, kind)


def _at_one_by_one(ufunc: np.ufunc, array: TracedArray, key: Any, values: list[Operand]) -> None:
    rule: Any = rule_of(ufunc)
    if rule is None:
        raise unknown_function(ufunc)
    dims = resolve_dims(array.dims)
    total = product(dims)
    places = operand_of(get_item(new_array(reshape(iota(INT64, (total,), 0), dims)), key))
    for value in values:
        if not fits(value.type.dims, places.type.dims):
            raise ValueError("array is not broadcastable to correct shape")
    wide = [broadcast_to(value, places.type.dims) for value in values]
    count = product(resolve_dims(places.type.dims))
    flat = [reshape(o, (count,)) for o in (places, *wide)]
    loop = loop_dtypes(ufunc, (array.dtype, *(v.type.dtype for v in values)), None, "unsafe")

    def body(k: Operand, carries: list[Operand], constants: list[Operand]) -> list[Operand]:
        place, *rest = (element(c, k) for c in constants)
        old = cast(element(carries[0], place), loop[0])
        return [store_element(carries[0], cast(rule(old, *rest), array.dtype), place)]

    memory = reshape(array.operand(), (total,))
    array.write(reshape(counted_loop(0, dim_value(count), [memory], flat, body)[0], dims))
