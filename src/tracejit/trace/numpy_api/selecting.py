"""Functions whose results have a size that depends on data: nonzero, compress, extract and the like."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.ir.core import Operand
from tracejit.trace.array import TracedArray, new_array, wrap
from tracejit.trace.context import current_trace
from tracejit.trace.dtypes import BOOL, FLOAT64, INT64, DType
from tracejit.trace.inputs import as_array, raise_as_numpy
from tracejit.trace.numpy_api.common import left_to_numpy
from tracejit.trace.numpy_api.editing import known_array
from tracejit.trace.registry import call, implements
from tracejit.trace.scalar import as_dim, python_size
from tracejit.trace.selecting import places as places_of
from tracejit.trace.values import (
    cast,
    dim_value,
    emit,
    full,
    iota,
    late_dim,
    literal,
    reshape,
    resolve_dims,
    select,
    transpose,
    truth,
)

__all__: list[str] = []


@implements(np.nonzero)
def nonzero(a: Any) -> tuple[Any, ...]:
    """``np.nonzero``."""
    array = as_array(a)
    if not array.dims:
        raise ValueError(
            "Calling nonzero on 0d arrays is not allowed. Use np.atleast_1d(scalar).nonzero() instead. If the context "
            "of this error is of the form `arr[nonzero(cond)]`, just use `arr[cond]`."
        )
    return tuple(map(new_array, places_of(truth(array.operand()))))


@implements(np.flatnonzero)
def flatnonzero(a: Any) -> Any:
    """``np.flatnonzero``."""
    return nonzero(call(np.ravel, as_array(a)))[0]


@implements(np.argwhere)
def argwhere(a: Any) -> Any:
    """``np.argwhere``."""
    array = as_array(a)
    found = call(np.transpose, call(np.array, list(nonzero(call(np.atleast_1d, array)))))
    return found if array.dims else found[:, :0]


def _chosen(condition: Any) -> Any:
    """Where a condition holds: plain numbers, and so a size, where it is known while tracing."""
    known = known_array(condition)
    return flatnonzero(condition) if known is None else known.ravel().nonzero()[0].tolist()


@implements(np.extract)
def extract(condition: Any, arr: Any) -> Any:
    """``np.extract``."""
    return call(np.take, call(np.ravel, as_array(arr)), _chosen(condition))


@implements(np.compress)
def compress(condition: Any, a: Any, axis: Any = None, out: Any = None) -> Any:
    """``np.compress``."""
    if as_array(condition).ndim != 1:
        raise ValueError("condition must be a 1-d array")
    array = as_array(a)
    if axis is None:
        array, axis = call(np.ravel, array), 0
    return call(np.take, array, _chosen(condition), axis=axis, out=out)


# ---------------------------------------------------------------------------------------- counts and places as data


@implements("repeat by counts")
def repeat_by_counts(x: TracedArray, repeats: TracedArray, axis: int) -> Any:
    """``np.repeat`` with a count for each element: every result looks up whose it is."""
    if not np.can_cast(repeats.dtype, INT64, "safe"):
        raise_as_numpy(np.repeat, x, repeats, axis)
    sizes = current_trace().sizes
    if sizes.decide(repeats.dims[0] - 1, "== 0"):
        count = call("item", repeats)
        return call(np.repeat, x, count, axis)
    if not sizes.require_equal(x.dims[axis], repeats.dims[0]):
        raise_as_numpy(np.repeat, x, repeats, axis)
    counts = cast(repeats.operand(), INT64)
    zero = literal(0, INT64)
    fine = emit("reduce_all", emit("ge", counts, zero), axes=(0,))
    current_trace().check(fine, (), "ValueError", "repeats may not contain negative values.")
    ends = emit("cumsum", counts, axis=0)
    total = late_dim(emit("reduce_sum", counts, axes=(0,)), 0)
    owner = emit("search", ends, iota(INT64, (total,), 0), side="right", batch=0)
    return new_array(_taken(x.operand(), owner, axis))


def _taken(x: Operand, places: Operand, axis: int) -> Operand:
    """``x`` at some places of an axis."""
    value = emit("gather", x, places, axes=(axis,))
    return transpose(value, (*range(1, axis + 1), 0, *range(axis + 1, x.rank)))


@implements("delete computed places")
def delete_computed(x: TracedArray, places: TracedArray, axis: int) -> Any:
    """``np.delete`` at places that the program computes."""
    size = resolve_dims(x.dims)[axis]
    if places.dtype == BOOL and places.ndim == 1:
        return compress(call(np.logical_not, places[: python_size(size)]), x, axis)
    if places.dtype.kind not in "iu" or places.ndim > 1:
        return left_to_numpy(np.delete, x, places, axis)
    if not places.ndim:
        place = emit("wrap_index", cast(places.operand(), INT64), dim_value(size), axis=axis)
        rest = iota(INT64, resolve_dims((size - 1,)), 0)
        behind = cast(emit("ge", rest, place), INT64)
        return new_array(_taken(x.operand(), emit("add", rest, behind), axis))
    kept = call(np.ones, python_size(size), BOOL)
    kept[places] = False
    return compress(kept, x, axis)


@implements(np.bincount)
def bincount(x: Any, /, weights: Any = None, minlength: Any = 0) -> Any:
    """``np.bincount``."""
    values = as_array(x)
    if values.ndim != 1 or not np.can_cast(values.dtype, INT64, "safe"):
        return left_to_numpy(np.bincount, x, weights, minlength)
    least = as_dim(minlength)
    if isinstance(least, int) and least < 0:
        raise ValueError("'minlength' must not be negative")
    places = cast(values.operand(), INT64)
    zero, one = literal(0, INT64), literal(1, INT64)
    fine = emit("reduce_all", emit("ge", places, zero), axes=(0,))
    current_trace().check(fine, (), "ValueError", "'list' argument must have no negative elements")
    needed = emit("add", emit("reduce_max", places, axes=(0,)), one)
    size = late_dim(emit("maximum", needed, dim_value(least)), least)
    kind: DType = INT64
    if weights is None:
        added = full(one, values.dims)
    else:
        given = as_array(weights)
        if not np.can_cast(given.dtype, FLOAT64, "safe"):
            raise_as_numpy(np.bincount, values, given)
        if given.ndim != 1 or not current_trace().sizes.require_equal(values.dims[0], given.dims[0]):
            raise ValueError("The weights and list don't have the same length.")
        kind, added = FLOAT64, reshape(cast(given.operand(), FLOAT64), resolve_dims(values.dims))
    empty = full(literal(0, kind), (size,))
    return new_array(emit("scatter_add", empty, added, places, axes=(0,)))


@implements(np.trim_zeros)
def trim_zeros(filt: Any, trim: str = "fb", axis: Any = None) -> Any:
    """``np.trim_zeros`` of a line."""
    array = as_array(filt)
    if array.ndim != 1 or axis not in (None, 0, -1) or trim.lower() not in ("fb", "bf", "f", "b"):
        return left_to_numpy(np.trim_zeros, filt, trim)
    x = array.operand()
    place, total = iota(INT64, resolve_dims(array.dims), 0), dim_value(resolve_dims(array.dims)[0])
    filled = truth(x)
    first = emit("reduce_min", select(filled, place, total), axes=(0,))
    last = emit("reduce_max", select(filled, emit("add", place, literal(1, INT64)), literal(0, INT64)), axes=(0,))
    start = wrap(first) if "f" in trim.lower() else None
    stop = wrap(last) if "b" in trim.lower() else None
    return array[start:stop]
