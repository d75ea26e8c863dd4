"""Sorting, and what is found by sorting: unique elements and the operations on sets."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.ir.core import Operand
from tracejit.trace.array import TracedArray, new_array
from tracejit.trace.context import current_trace
from tracejit.trace.dtypes import BOOL, INT64, result_type
from tracejit.trace.inputs import as_array
from tracejit.trace.numpy_api.common import axis_index, left_to_numpy
from tracejit.trace.registry import call, implements, implements_named
from tracejit.trace.result_order import kept_order
from tracejit.trace.selecting import selected
from tracejit.trace.values import (
    cast,
    dim_value,
    emit,
    full,
    iota,
    literal,
    reshape,
    resolve_dims,
    select,
    size_of,
    transpose,
)

__all__: list[str] = []

_KINDS = {
    None: "quicksort",
    "quicksort": "quicksort",
    "heapsort": "heapsort",
    "mergesort": "stable",
    "stable": "stable",
}


def _along(name: str, function: Any, a: Any, axis: Any, kind: Any, order: Any, stable: Any) -> Any:
    array = as_array(a)
    if kind not in _KINDS or order is not None or (kind is not None and stable is not None):
        return left_to_numpy(function, a, axis=axis, kind=kind, order=order, stable=stable)
    x = array.operand()
    order = kept_order(array) if name == "sort" and axis is not None else ()
    if axis is None or (name == "argsort" and not x.rank):  # np.argsort takes a number for an array of one element
        x, axis = reshape(x, (size_of(array.dims),)), -1 if axis is None else axis
    position = axis_index(axis, x.rank)
    last = (*(k for k in range(x.rank) if k != position), position)
    back = tuple(sorted(range(x.rank), key=last.__getitem__))
    ordered = emit(name, transpose(x, last), kind="stable" if stable else _KINDS[kind])
    return new_array(transpose(ordered, back), order=order)


@implements(np.sort)
def sort(a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> Any:
    """``np.sort``."""
    return _along("sort", np.sort, a, axis, kind, order, stable)


@implements(np.argsort)
def argsort(a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> Any:
    """``np.argsort``."""
    return _along("argsort", np.argsort, a, axis, kind, order, stable)


@implements(np.ndarray.sort)
def sort_in_place(a: TracedArray, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> None:
    """``ndarray.sort``."""
    if not a.writeable:
        raise ValueError("sort array is read-only")
    call("assign", a, sort(a, axis, kind, order, stable=stable))


@implements(np.lexsort)
def lexsort(keys: Any, axis: Any = -1) -> Any:
    """``np.lexsort``: one stable sort for each key, the last key last."""
    columns = [as_array(key) for key in keys] if isinstance(keys, (list, tuple)) else list(as_array(keys))
    if not columns or any(key.dtype.kind not in "iufb" or key.ndim != columns[0].ndim for key in columns):
        return left_to_numpy(np.lexsort, keys, axis)
    if not columns[0].dims:
        return left_to_numpy(np.lexsort, keys, axis)
    sizes = current_trace().sizes
    if not all(sizes.require_equal(a, b) for key in columns for a, b in zip(key.dims, columns[0].dims, strict=True)):
        raise ValueError("all keys need to be the same shape")
    order = argsort(columns[0], axis, stable=True)
    for key in columns[1:]:
        again = argsort(call(np.take_along_axis, key, order, axis), axis, stable=True)
        order = call(np.take_along_axis, order, again, axis)
    return order


# ------------------------------------------------------------------------------------------------------------- unique


def _flat(a: Any) -> Operand:
    array = as_array(a)
    return reshape(array.operand(), (size_of(array.dims),))


def _is_first(x: Operand, equal_nan: bool = True) -> Operand:
    """Which elements of a sorted line differ from the one before."""
    place = iota(INT64, x.type.dims, 0)
    zero = literal(0, INT64)
    before = emit("gather", x, emit("maximum", emit("sub", place, literal(1, INT64)), zero), axes=(0,))
    differs = emit("ne", x, before)
    if x.type.dtype.kind == "f" and equal_nan:
        differs = emit("bitwise_and", differs, emit("logical_not", emit("isnan", before)))
    return emit("bitwise_or", differs, emit("eq", place, zero))


def _unique(x: Operand, equal_nan: bool = True) -> Operand:
    ordered = emit("sort", x, kind="quicksort")
    return selected(ordered, _is_first(ordered, equal_nan))


@implements(np.unique)
def unique(
    ar: Any,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: Any = None,
    *,
    equal_nan: bool = True,
    sorted: bool = True,
) -> Any:
    """``np.unique`` of all elements, or of the rows or columns of a matrix; other slices are left to NumPy."""
    array = as_array(ar)
    if array.dtype.kind in "iufb" and type(axis) is int and array.ndim == 2 and not return_inverse:
        return _unique_rows(array, axis_index(axis, 2), return_index, return_counts)
    if array.dtype.kind == "c" or axis is not None:
        flags = (return_index, return_inverse, return_counts)
        return left_to_numpy(np.unique, ar, *flags, axis=axis, equal_nan=equal_nan)
    x = _flat(array)
    if not (return_index or return_inverse):
        ordered, order = emit("sort", x, kind="quicksort"), None
    else:  # which of several equal ones is first: only floats show it, by the sign of a zero
        order = emit("argsort", x, kind="stable" if return_index or x.type.dtype.kind in "biu" else "quicksort")
        ordered = emit("gather", x, order, axes=(0,))
    first = _is_first(ordered, equal_nan)
    results = [new_array(selected(ordered, first))]
    if order is not None and return_index:
        results.append(new_array(selected(order, first)))
    if order is not None and return_inverse:
        one = literal(1, INT64)
        number = emit("sub", emit("cumsum", cast(first, INT64), axis=0), one)
        inverse = emit("scatter", full(literal(0, INT64), x.type.dims), number, order, axes=(0,))
        results.append(new_array(reshape(inverse, resolve_dims(array.dims))))
    if return_counts:
        results.append(new_array(_lengths(first)))
    return tuple(results) if len(results) > 1 else results[0]


def _unique_rows(array: TracedArray, axis: int, return_index: bool, return_counts: bool) -> Any:
    """The different rows or columns of a matrix, in the order of their first elements, then their second ones, ..."""
    rows = array if axis == 0 else as_array(call(np.transpose, array))
    width = current_trace().sizes.concrete(rows.dims[1])
    if not width:
        return left_to_numpy(np.unique, array, return_index, False, return_counts, axis=axis)
    order = lexsort([rows[:, k] for k in reversed(range(width))])
    ordered = rows[order].operand()
    place = iota(INT64, ordered.type.dims[:1], 0)
    before = emit("maximum", emit("sub", place, literal(1, INT64)), literal(0, INT64))
    differs = emit("reduce_any", emit("ne", ordered, emit("gather", ordered, before, axes=(0,))), axes=(1,))
    first = emit("bitwise_or", differs, emit("eq", place, literal(0, INT64)))
    found = new_array(selected(ordered, first))
    results = [found if axis == 0 else new_array(transpose(found.operand(), (1, 0)))]
    if return_index:
        results.append(new_array(selected(order.operand(), first)))
    if return_counts:
        results.append(new_array(_lengths(first)))
    return tuple(results) if len(results) > 1 else results[0]


def _lengths(first: Operand) -> Operand:
    """How far it is from each place of a mask to the next one, or to the end."""
    one = literal(1, INT64)
    starts = selected(iota(INT64, first.type.dims, 0), first)
    place = iota(INT64, starts.type.dims, 0)
    last = emit("sub", dim_value(starts.type.dims[0]), one)
    following = emit("gather", starts, emit("minimum", emit("add", place, one), last), axes=(0,))
    ends = select(emit("eq", place, last), dim_value(first.type.dims[0]), following)
    return emit("sub", ends, starts)


@implements_named("unique_values")
def unique_values(x: Any) -> Any:
    """``np.unique_values``."""
    return unique(x, equal_nan=False)


# -------------------------------------------------------------------------------------------------------------- sets


def _common(ar1: Any, ar2: Any) -> tuple[Operand, Operand] | None:
    """Two arrays as lines of their common dtype; None where they have no order."""
    x, y = _flat(ar1), _flat(ar2)
    loop = result_type(x.type.dtype, y.type.dtype)
    return None if loop.kind == "c" else (cast(x, loop), cast(y, loop))


def found_in(x: Operand, tested: Operand) -> Operand:
    """Which elements occur among others."""
    ordered = emit("sort", cast(tested, np.dtype(np.uint8)) if tested.type.dtype == BOOL else tested, kind="quicksort")
    x = cast(x, ordered.type.dtype)
    ends = [emit("search", ordered, x, side=side, batch=0) for side in ("left", "right")]
    return emit("bitwise_and", emit("lt", *ends), emit("eq", x, x))  # no NaN is equal to another


@implements("isin by sorting")
def isin_by_sorting(element: Any, tested: TracedArray, invert: bool) -> Any:
    """``np.isin`` for many test elements."""
    array, common = as_array(element), _common(element, tested)
    if common is None:
        return left_to_numpy(np.isin, element, tested, invert=invert)
    x, y = (cast(part, np.dtype(np.uint8)) if part.type.dtype == BOOL else part for part in common)
    found = reshape(found_in(x, y), resolve_dims(array.dims))
    return new_array(emit("logical_not", found) if invert else found)


@implements(np.union1d)
def union1d(ar1: Any, ar2: Any) -> Any:
    """``np.union1d``."""
    return unique(call(np.concatenate, (as_array(ar1), as_array(ar2)), axis=None))


@implements(np.setdiff1d)
def setdiff1d(ar1: Any, ar2: Any, assume_unique: bool = False) -> Any:
    """``np.setdiff1d``."""
    common = _common(ar1, ar2)
    if common is None:
        return left_to_numpy(np.setdiff1d, ar1, ar2, assume_unique)
    own = _flat(ar1) if assume_unique else _unique(_flat(ar1))
    outside = emit("logical_not", found_in(cast(own, common[0].type.dtype), common[1]))
    return new_array(selected(own, outside))


@implements(np.intersect1d)
def intersect1d(ar1: Any, ar2: Any, assume_unique: bool = False, return_indices: bool = False) -> Any:
    """``np.intersect1d``."""
    common = _common(ar1, ar2)
    if common is None or return_indices:
        return left_to_numpy(np.intersect1d, ar1, ar2, assume_unique, return_indices)
    x, y = (emit("sort", part, kind="quicksort") if assume_unique else _unique(part) for part in common)
    return new_array(selected(x, found_in(x, y)))
