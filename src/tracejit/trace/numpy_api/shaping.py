"""Functions that rearrange one array: reshape, transpose, squeeze, flip, roll, repeat, tile, triangles, diagonals."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.exceptions import AxisError
from numpy.lib.array_utils import normalize_axis_tuple

from tracejit.ir.core import Operand
from tracejit.ir.dims import DimLike, product
from tracejit.trace.array import NumpyValue, TracedArray, TracedScalar, new_array, transposed, wrap
from tracejit.trace.constants import constant_value
from tracejit.trace.context import current_trace
from tracejit.trace.creation import diagonal_mask, make_array, shape_dims
from tracejit.trace.dtypes import BOOL, INT64
from tracejit.trace.inputs import as_array, as_value, operand_of, raise_as_numpy
from tracejit.trace.numpy_api.common import axes_tuple, axis_index, in_range, left_to_numpy
from tracejit.trace.numpy_api.reshaping import target_dims
from tracejit.trace.registry import call, creates, implements
from tracejit.trace.result_order import elementwise_order, is_by_columns, kept_order, memory_order
from tracejit.trace.scalar import TracedNumber, as_dim, python_size
from tracejit.trace.storage import BroadcastView, DiagonalView, ReshapeView
from tracejit.trace.ufuncs import write_out
from tracejit.trace.values import (
    Dims,
    broadcast_dims,
    broadcast_to,
    cast,
    dim_value,
    emit,
    fits,
    iota,
    literal,
    reshape,
    resolve_dims,
    select,
    size_of,
    slice_axis,
)

__all__: list[str] = []


@implements(np.shape)
def shape(a: Any) -> Any:
    """``np.shape``."""
    return as_value(a).shape


@implements(np.ndim)
def ndim(a: Any) -> int:
    """``np.ndim``."""
    return as_value(a).ndim


@implements(np.size)
def size(a: Any, axis: Any = None) -> Any:
    """``np.size``."""
    value = as_value(a)
    if axis is None:
        return value.size
    return python_size(product(tuple(value.dims[k] for k in axes_tuple(axis, value.ndim))))


@implements(np.reshape)
def np_reshape(a: Any, shape: Any, order: str = "C", *, copy: bool | None = None) -> TracedArray:
    """``np.reshape``."""
    array = as_array(a)
    dims = target_dims(array, shape)
    if order == "A":
        order = "F" if is_by_columns(array) else "C"
    if order == "F":
        flipped = transposed(array, tuple(reversed(range(array.ndim))))
        turned = flipped.reshaped(tuple(reversed(dims)))
        return transposed(turned, tuple(reversed(range(len(dims)))))
    if order != "C":
        raise_as_numpy(np.reshape, array, tuple(python_size(d) for d in dims), order=order)
    return new_array(reshape(array.operand(), dims)) if copy else array.reshaped(dims)


@implements(np.ravel)
def ravel(a: Any, order: str = "C") -> TracedArray:
    """``np.ravel``."""
    array = as_array(a)
    if order == "K":
        array = transposed(array, memory_order(array) or tuple(range(array.ndim)))
    elif order == "F" or (order == "A" and is_by_columns(array)):
        array = transposed(array, tuple(reversed(range(array.ndim))))
    elif order not in ("A", "C"):
        raise_as_numpy(np.ravel, array, order=order)
    return array.reshaped((size_of(array.dims),))


@implements(np.transpose)
def np_transpose(a: Any, axes: Any = None) -> Any:
    """``np.transpose``."""
    value = as_value(a)
    if isinstance(value, TracedScalar):
        return value
    array = as_array(value)
    rank = array.ndim
    if axes is None:
        perm = tuple(reversed(range(rank)))
    else:
        axes = axes if isinstance(axes, (list, tuple)) else (axes,)
        if len(axes) != rank:
            raise ValueError("axes don't match array")
        perm = tuple(axis_index(axis, rank) for axis in axes)
        if len(set(perm)) != rank:
            raise ValueError("repeated axis in transpose")
    return transposed(array, perm)


implements(np.permute_dims)(np_transpose)


@implements(np.matrix_transpose)
def matrix_transpose(x: Any) -> Any:
    """``np.matrix_transpose``."""
    array = as_array(x)
    if array.ndim < 2:
        raise ValueError(f"Input array must be at least 2-dimensional, but it is {array.ndim}")
    return swapaxes(array, -1, -2)


@implements(np.swapaxes)
def swapaxes(a: Any, axis1: Any, axis2: Any) -> TracedArray:
    """``np.swapaxes``."""
    array = as_array(a)
    first, second = axis_index(axis1, array.ndim, "axis1"), axis_index(axis2, array.ndim, "axis2")
    perm = list(range(array.ndim))
    perm[first], perm[second] = second, first
    return transposed(array, tuple(perm))


@implements(np.moveaxis)
def moveaxis(a: Any, source: Any, destination: Any) -> TracedArray:
    """``np.moveaxis``."""
    array = as_array(a)
    sources = tuple(int(k) for k in normalize_axis_tuple(source, array.ndim, "source"))
    targets = tuple(int(k) for k in normalize_axis_tuple(destination, array.ndim, "destination"))
    if len(sources) != len(targets):
        raise ValueError("`source` and `destination` arguments must have the same number of elements")
    order = [axis for axis in range(array.ndim) if axis not in sources]
    for target, origin in sorted(zip(targets, sources, strict=True)):
        order.insert(target, origin)
    return transposed(array, tuple(order))


@implements(np.rollaxis)
def rollaxis(a: Any, axis: int, start: int = 0) -> TracedArray:
    """``np.rollaxis``."""
    array = as_array(a)
    position = axis_index(axis, array.ndim)
    rank = array.ndim
    if not -rank <= start <= rank:
        raise AxisError(f"'start' arg requires {-rank} <= start < {rank + 1}, but {start} was passed in")
    target = start + rank if start < 0 else start
    return moveaxis(array, position, target - 1 if position < target else target)


@implements(np.squeeze)
def squeeze(a: Any, axis: Any = None) -> Any:
    """``np.squeeze``."""
    value = as_value(a)
    if isinstance(value, TracedScalar):
        return value
    array = as_array(value)
    sizes = current_trace().sizes
    if axis is None:
        axes = tuple(k for k, d in enumerate(array.dims) if sizes.decide(d - 1, "== 0"))
    else:
        axes = axes_tuple(axis, array.ndim)
        if not all(sizes.decide(array.dims[k] - 1, "== 0") for k in axes):
            raise ValueError("cannot select an axis to squeeze out which has size not equal to one")
    return _unit_axes(array, tuple(d for k, d in enumerate(array.dims) if k not in axes), axes, ())


def _unit_axes(array: TracedArray, dims: Dims, removed: Sequence[int], added: Sequence[int]) -> TracedArray:
    """A view without some axes of size 1, or with more of them."""
    strides = array.hint_strides()
    if strides is not None:
        kept = [stride for axis, stride in enumerate(strides) if axis not in removed]
        rest = iter(kept)
        strides = tuple(0 if axis in added else next(rest) for axis in range(len(dims)))
    return array.view(ReshapeView(array.dims, dims, strides))


@implements(np.expand_dims)
def expand_dims(a: Any, axis: Any) -> TracedArray:
    """``np.expand_dims``."""
    array = as_array(a)
    count = len(axis) if isinstance(axis, (list, tuple)) else 1
    axes = axes_tuple(axis, array.ndim + count)
    rest = iter(array.dims)
    dims = tuple(1 if k in axes else next(rest) for k in range(array.ndim + count))
    return _unit_axes(array, dims, (), axes)


@implements(np.broadcast_to)
def np_broadcast_to(array: Any, shape: Any, subok: bool = False) -> TracedArray:
    """``np.broadcast_to``: a read-only view."""
    source = as_array(array)
    dims = shape_dims(shape)
    if not fits(source.dims, dims):
        raise_as_numpy(np.broadcast_to, source, tuple(python_size(d) for d in dims))
    return source.view(BroadcastView(resolve_dims(source.dims), resolve_dims(dims)))


@implements(np.broadcast_arrays)
def broadcast_arrays(*args: Any, subok: bool = False) -> tuple[TracedArray, ...]:
    """``np.broadcast_arrays``."""
    arrays = [as_array(a) for a in args]
    dims = broadcast_dims([a.dims for a in arrays])
    if dims is None:
        raise_as_numpy(np.broadcast_arrays, *arrays)
    return tuple(a if resolve_dims(a.dims) == dims else a.view(BroadcastView(a.dims, dims)) for a in arrays)


class Broadcast:
    """``np.broadcast`` as far as it tells shapes."""

    def __init__(self, *args: Any) -> None:
        dims = broadcast_dims([as_array(a).dims for a in args])
        if dims is None:
            raise_as_numpy(np.broadcast, *args)
        self.shape = tuple(python_size(d) for d in dims)
        self.ndim = self.nd = len(dims)
        self.size = python_size(product(dims))


implements(np.broadcast)(Broadcast)


@creates(np.broadcast_shapes)
def np_broadcast_shapes(*args: Any) -> tuple[Any, ...]:
    """``np.broadcast_shapes``."""
    dims = broadcast_dims([shape_dims(a) for a in args])
    if dims is None:
        raise_as_numpy(np.broadcast_shapes, *args)
    return tuple(python_size(d) for d in dims)


# ---------------------------------------------------------------------------------------------- ranks at least so high


def _at_least(array: TracedArray, rank: int) -> TracedArray:
    own = array.ndim
    if own >= rank:
        return array
    key: tuple[Any, ...] = (None,) * (rank - own) + (Ellipsis,)
    if rank == 3:
        key = {0: (None, None, None), 1: (None, slice(None), None), 2: (slice(None), slice(None), None)}[own]
    result: TracedArray = call(operator.getitem, array, (*key, Ellipsis) if key and Ellipsis not in key else key)
    return result


def _atleast(function: Any, rank: int) -> None:
    @implements(function)
    def atleast(*arrays: Any) -> Any:
        results = tuple(_at_least(as_array(a), rank) for a in arrays)
        return results[0] if len(results) == 1 else results


_atleast(np.atleast_1d, 1)
_atleast(np.atleast_2d, 2)
_atleast(np.atleast_3d, 3)

# -------------------------------------------------------------------------------------------------- flip, roll, repeat


@implements(np.flip)
def flip(m: Any, axis: Any = None) -> Any:
    """``np.flip``: a view."""
    array = as_array(m)
    axes = axes_tuple(axis, array.ndim)
    if not array.ndim:
        return TracedScalar(array.operand())
    key = tuple(slice(None, None, -1) if k in axes else slice(None) for k in range(array.ndim))
    return call(operator.getitem, array, (*key, Ellipsis))


@implements(np.fliplr)
def fliplr(m: Any) -> Any:
    """``np.fliplr``."""
    if as_array(m).ndim < 2:
        raise ValueError("Input must be >= 2-d.")
    return flip(m, 1)


@implements(np.flipud)
def flipud(m: Any) -> Any:
    """``np.flipud``."""
    if as_array(m).ndim < 1:
        raise ValueError("Input must be >= 1-d.")
    return flip(m, 0)


@implements(np.rot90)
def rot90(m: Any, k: int = 1, axes: tuple[int, int] = (0, 1)) -> Any:
    """``np.rot90``."""
    array = as_array(m)
    if len(axes) != 2:
        raise ValueError("len(axes) must be 2.")
    if axes[0] == axes[1] or abs(axes[0] - axes[1]) == array.ndim:
        raise ValueError("Axes must be different.")
    if not all(-array.ndim <= axis < array.ndim for axis in axes):
        raise ValueError(f"Axes={tuple(axes)} out of range for array of ndim={array.ndim}.")
    first, second = axis_index(axes[0], array.ndim), axis_index(axes[1], array.ndim)
    turns = k % 4
    if turns == 0:
        return array
    if turns == 2:
        return flip(flip(array, first), second)
    if turns == 1:
        return swapaxes(flip(array, second), first, second)
    return flip(swapaxes(array, first, second), second)


@implements(np.roll)
def roll(a: Any, shift: Any, axis: Any = None) -> TracedArray:
    """``np.roll``."""
    array = as_array(a)
    if (
        isinstance(shift, (TracedArray, np.ndarray))
        and (known := constant_value(as_array(shift).operand())) is not None
    ):
        shift = known.tolist()
    if axis is None:
        dims = array.dims
        flat = _rolled_by(reshape(array.operand(), (size_of(dims),)), shift, 0)
        return new_array(reshape(flat, resolve_dims(dims)))
    axes = axis if isinstance(axis, (list, tuple)) else (axis,)
    shifts = shift if isinstance(shift, (list, tuple)) else (shift,) * len(axes)
    if len(shifts) != len(axes):
        if len(axes) != 1:
            raise ValueError("'shift' and 'axis' should be scalars or 1D sequences")
        axes = tuple(axes) * len(shifts)
    value = array.operand()
    for amount, position in zip(shifts, axes, strict=True):
        value = _rolled_by(value, amount, axis_index(position, array.ndim))
    return new_array(value, order=kept_order(array))


def _rolled_by(x: Operand, shift: Any, axis: int) -> Operand:
    """By a size, or by a number that is known only at run time."""
    amount: Operand
    if isinstance(shift, (TracedScalar, TracedNumber)):
        amount = cast(shift.operand(), INT64)
    else:
        distance = as_dim(shift, "a shift")
        if (rolled := _rolled(x, distance, axis)) is not None:
            return rolled
        amount = dim_value(distance)
    size = python_size(x.type.dims[axis])
    places = (call(np.arange, size) - wrap(amount)) % size
    return call(operator.getitem, new_array(x), (*(slice(None),) * axis, places)).operand()  # type: ignore[no-any-return]


def _rolled(x: Operand, shift: DimLike, axis: int) -> Operand | None:
    """Two slices, exchanged; one of them may be empty. None where only the program knows which slices."""
    size = resolve_dims((x.type.dims[axis],))[0]
    sizes = current_trace().sizes
    if sizes.is_late(size) or sizes.is_late(shift):
        if sizes.proves(shift) and sizes.proves(size - shift):
            cut = size - shift
        elif sizes.proves(-shift) and sizes.proves(size + shift):
            cut = -shift
        else:
            return None
    elif sizes.decide(shift, ">= 0") and sizes.decide(size - shift, ">= 0"):
        cut = size - shift
    elif not sizes.decide(shift, ">= 0") and sizes.decide(size + shift, ">= 0"):
        cut = -shift
    elif sizes.decide(size, "== 0"):
        return x
    else:
        cut = size - shift % size
    if cut == 0:
        return x
    return emit("concatenate", slice_axis(x, axis, cut, size - cut), slice_axis(x, axis, 0, cut), axis=axis)


@implements(np.repeat)
def repeat(a: Any, repeats: Any, axis: Any = None) -> TracedArray:
    """``np.repeat`` with one count for all elements, or a count for each that is known while tracing."""
    array = as_array(a)
    given_axis = axis
    if axis is None:
        array, axis = as_array(ravel(array)), 0
    position = axis_index(axis, array.ndim)
    x = array.operand()
    if isinstance(repeats, (TracedArray, np.ndarray)):
        known = None if isinstance(repeats, np.ndarray) else constant_value(repeats.operand())
        if known is None and as_array(repeats).ndim == 1:
            return call("repeat by counts", array, as_array(repeats), position)  # type: ignore[no-any-return]
        if known is None:
            return left_to_numpy(np.repeat, a, repeats, given_axis)  # type: ignore[no-any-return]
        repeats = known.tolist()
    if isinstance(repeats, (list, tuple)) and len(repeats) > 1:
        places = np.repeat(np.arange(len(repeats)), repeats)
        if not current_trace().sizes.require_equal(x.type.dims[position], len(repeats)):
            raise_as_numpy(np.repeat, array, repeats, position)
        return call(np.take, array, places, position)  # type: ignore[no-any-return]
    count = as_dim(repeats[0] if isinstance(repeats, (list, tuple)) else repeats, "a count of repeats")
    if not current_trace().sizes.decide(count, ">= 0"):
        raise ValueError("negative dimensions are not allowed")
    dims = x.type.dims
    wide = (*dims[: position + 1], count, *dims[position + 1 :])
    axes = tuple(k if k <= position else k + 1 for k in range(len(dims)))
    value = emit("broadcast", x, dims=wide, axes=axes)
    return new_array(reshape(value, (*dims[:position], dims[position] * count, *dims[position + 1 :])))


@implements(np.tile)
def tile(A: Any, reps: Any) -> TracedArray:
    """``np.tile``."""
    counts: list[DimLike] = [
        as_dim(r, "a count of repeats") for r in (reps if isinstance(reps, (list, tuple)) else [reps])
    ]
    array = make_array(A)
    rank = max(array.ndim, len(counts))
    counts = [*(1,) * (rank - len(counts)), *counts]
    own = (1,) * (rank - array.ndim) + array.dims
    x = reshape(array.operand(), own)
    axes = tuple(2 * k + 1 for k in range(rank))
    wide = tuple(d for pair in zip(counts, own, strict=True) for d in pair)
    value = emit("broadcast", x, dims=wide, axes=axes) if rank else x
    order = kept_order(array) if rank == array.ndim and all(c == 1 for c in counts) else ()
    return new_array(reshape(value, tuple(c * d for c, d in zip(counts, own, strict=True))), order=order)


# --------------------------------------------------------------------------------------------- triangles and diagonals


def _triangle(m: Any, k: Any, lower: bool) -> TracedArray:
    array = make_array(m, copy=False)
    x = array.operand()
    if x.rank == 1:  # NumPy repeats a vector to a square matrix
        x = broadcast_to(x, (x.type.dims[0], x.type.dims[0]))
    dims = x.type.dims
    keep = diagonal_mask(dims[-2:], as_dim(k), "le" if lower else "ge")
    order = elementwise_order((new_array(keep), array), dims)
    return new_array(select(broadcast_to(keep, dims), x, literal(0, x.type.dtype)), order=order)


@implements(np.tril)
def tril(m: Any, k: Any = 0) -> TracedArray:
    """``np.tril``."""
    return _triangle(m, k, True)


@implements(np.triu)
def triu(m: Any, k: Any = 0) -> TracedArray:
    """``np.triu``."""
    return _triangle(m, k, False)


@implements(np.diagonal)
def diagonal(a: Any, offset: Any = 0, axis1: int = 0, axis2: int = 1) -> TracedArray:
    """``np.diagonal``: a read-only view."""
    array = as_array(a)
    if array.ndim < 2:
        raise ValueError("diag requires an array of at least two dimensions")
    first, second = axis_index(axis1, array.ndim, "axis1"), axis_index(axis2, array.ndim, "axis2")
    if first == second:
        raise ValueError("axis1 and axis2 cannot be the same")
    shift = as_dim(offset)
    if not isinstance(shift, int):
        shift = current_trace().sizes.concrete(shift)
    rows, columns = resolve_dims((array.dims[first], array.dims[second]))
    count = _smaller(rows + min(shift, 0), columns - max(shift, 0))
    return array.view(DiagonalView(array.dims, shift, (first, second), count))


def _smaller(a: DimLike, b: DimLike) -> DimLike:
    sizes = current_trace().sizes
    result = a if sizes.decide(b - a, ">= 0") else b
    return result if sizes.decide(result, ">= 0") else 0


@implements(np.trace)
def trace(a: Any, offset: Any = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None, out: Any = None) -> Any:
    """``np.trace``."""
    return call(np.sum, diagonal(a, offset, axis1, axis2), axis=-1, dtype=dtype, out=out)


@implements(np.diag)
def diag(v: Any, k: Any = 0) -> TracedArray:
    """``np.diag``."""
    array = as_array(v)
    if array.ndim == 2:
        return diagonal(array, k)
    if array.ndim != 1:
        raise ValueError("Input must be 1- or 2-d.")
    shift = current_trace().sizes.concrete(as_dim(k))
    size = array.dims[0] + abs(shift)
    x = array.operand()
    place = iota(INT64, x.type.dims, 0)
    indices = [emit("add", place, dim_value(start)) if start else place for start in (max(-shift, 0), max(shift, 0))]
    zeros = emit("broadcast", literal(0, x.type.dtype), dims=(size, size), axes=())
    return new_array(emit("scatter", zeros, x, *indices, axes=(0, 1)))


@implements(np.diagflat)
def diagflat(v: Any, k: Any = 0) -> TracedArray:
    """``np.diagflat``."""
    return diag(ravel(v), k)


# -------------------------------------------------------------------------------------------------------------- taking


@implements(np.take)
def take(a: Any, indices: Any, axis: Any = None, out: Any = None, mode: str = "raise") -> Any:
    """``np.take``."""
    array = as_array(a)
    if axis is None:
        array, axis = as_array(ravel(array)), 0
    position = axis_index(axis, array.ndim)
    where = indices if isinstance(indices, int) else as_value(indices)
    if mode != "raise":
        if current_trace().sizes.decide(array.dims[position], "== 0"):
            raise IndexError("cannot do a non-empty take from an empty axes.")
        where = wrap(in_range(cast(operand_of(where), INT64), dim_value(array.dims[position]), mode))
    if isinstance(where, NumpyValue) and where.dtype.kind not in "iub":
        raise_as_numpy(np.take, array, where, position)
    if mode == "raise" and as_array(where).dims and current_trace().sizes.decide(array.dims[position], "== 0"):
        raise IndexError("cannot do a non-empty take from an empty axes.")
    if isinstance(where, NumpyValue) and where.dtype == BOOL:
        where = call("astype", where, INT64)
    result = call(operator.getitem, array, (*(slice(None),) * position, where))
    if isinstance(result, TracedArray):
        result = wrap(result.operand())
    return result if out is None else write_out(np.take, (array, where), operand_of(result), out, casting="unsafe")


@implements(np.take_along_axis)
def take_along_axis(arr: Any, indices: Any, axis: Any = -1) -> TracedArray:
    """``np.take_along_axis``."""
    return call(operator.getitem, *_along_axis(arr, indices, axis))  # type: ignore[no-any-return]


@implements(np.put_along_axis)
def put_along_axis(arr: Any, indices: Any, values: Any, axis: Any) -> None:
    """``np.put_along_axis``."""
    call(operator.setitem, *_along_axis(arr, indices, axis), values)


def _along_axis(arr: Any, indices: Any, axis: Any) -> tuple[TracedArray, tuple[Any, ...]]:
    array, where = as_array(arr), as_array(indices)
    if axis is None:
        array, axis = as_array(ravel(array)), 0
    if array.ndim != where.ndim:
        raise ValueError("`indices` and `arr` must have the same number of dimensions")
    position = axis_index(axis, array.ndim)
    key: list[Any] = []
    for k, dim in enumerate(array.dims):
        if k == position:
            key.append(where)
        else:
            own = tuple(dim if j == k else 1 for j in range(array.ndim))
            key.append(new_array(iota(INT64, own, k)))
    return array, tuple(key)
