"""Functions that insert, delete or keep parts at places known while tracing, and those that convert places and bits."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from tracejit.ir.core import Operand, Value
from tracejit.ir.dims import DimLike, product
from tracejit.trace.array import TracedArray, new_array, wrap
from tracejit.trace.axis_order import Order, columns
from tracejit.trace.constants import constant_value
from tracejit.trace.context import current_trace
from tracejit.trace.dtypes import BOOL, INT64
from tracejit.trace.inputs import (
    as_array,
    as_value,
    operand_of,
    raise_as_numpy,
    stored_operand,
)
from tracejit.trace.numpy_api.common import axis_index, in_range, left_to_numpy, ufunc
from tracejit.trace.registry import call, implements
from tracejit.trace.result_order import indexed_order, is_by_columns
from tracejit.trace.scalar import as_dim, python_size
from tracejit.trace.values import (
    Dims,
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
    slice_axis,
    truth,
)

__all__: list[str] = []

_MOST_PIECES = 64
UINT8 = np.dtype(np.uint8)


def known_array(value: Any) -> np.ndarray[Any, Any] | None:
    """A list, a number or an array of constants as a NumPy array; None if it depends on the call."""
    if isinstance(value, np.ndarray):
        return None  # an array from outside, which is read at each call
    return constant_value(as_array(value).operand())


def _places(obj: Any, size: DimLike) -> np.ndarray[Any, Any] | None:
    """The indices that the second argument of insert and delete means, as given; None if they depend on the call."""
    if isinstance(obj, slice):
        bounds = [
            None if b is None else current_trace().sizes.concrete(as_dim(b)) for b in (obj.start, obj.stop, obj.step)
        ]
        length = current_trace().sizes.concrete(size)
        return np.arange(*slice(*bounds).indices(length))
    found = known_array(obj)
    if found is None or found.size > _MOST_PIECES:
        return None
    return np.zeros(0, np.int64) if found.size == 0 and isinstance(obj, (list, tuple)) else found


def _wrapped(index: int, size: DimLike, axis: int, shown: Any, *, behind: bool) -> DimLike:
    """An index counted from the front; ``behind`` allows the place behind the last element."""
    sizes = current_trace().sizes
    place = size + index if index < 0 else index
    if not sizes.decide(place, ">= 0") or not sizes.decide(size - place - (not behind), ">= 0"):
        raise IndexError(f"index {shown} is out of bounds for axis {axis} with size {sizes.hint(size)}")
    return place


def _flat(array: TracedArray, axis: Any) -> tuple[TracedArray, int]:
    if axis is None:
        return (as_array(call(np.ravel, array)), 0)
    return array, axis_index(axis, array.ndim)


@implements(np.delete)
def delete(arr: Any, obj: Any, axis: Any = None) -> Any:
    """``np.delete`` at places known while tracing."""
    array, position = _flat(as_array(arr), axis)
    size = resolve_dims((array.dims[position],))[0]
    places = _places(obj, size)
    if places is None:
        return call("delete computed places", array, as_array(obj), position)
    if places.dtype == BOOL:
        if places.shape != (current_trace().sizes.concrete(size),):
            raise_as_numpy(np.delete, array, obj, position)
        places = places.nonzero()[0]
    places = places.ravel()
    if places.dtype.kind not in "iu":
        raise_as_numpy(np.delete, array, obj, position)
    order = current_trace().sizes.concrete
    gone = sorted({_sortable(_wrapped(int(k), size, position, k, behind=False), order) for k in places})
    x = array.operand()
    parts, start = [], 0
    for place in gone:
        parts.append(slice_axis(x, position, start, place - start))
        start = place + 1
    parts.append(slice_axis(x, position, start, size - start))
    result = parts[0] if len(parts) == 1 else emit("concatenate", *parts, axis=position)
    by_place = isinstance(obj, (list, tuple, np.ndarray, TracedArray))
    return new_array(result, order=indexed_order(array, (position,)) if by_place else _filled_order(array))


def _filled_order(array: TracedArray) -> Order:
    """The order of a new array that NumPy fills with parts of another one."""
    return columns(array.ndim) if array.ndim > 1 and is_by_columns(array) else ()


def _sortable(place: DimLike, concrete: Any) -> Any:
    """Places counted from the end are compared with others as in this call."""
    return place if isinstance(place, int) else concrete(place)


@implements(np.insert)
def insert(arr: Any, obj: Any, values: Any, axis: Any = None) -> Any:
    """``np.insert`` at places known while tracing."""
    array, position = _flat(as_array(arr), axis)
    size = resolve_dims((array.dims[position],))[0]
    places = _places(obj, size)
    if places is None or places.dtype.kind not in "iu" or places.ndim > 1:
        return left_to_numpy(np.insert, arr, obj, values, axis)
    single = places.size == 1
    wrapped = [_wrapped(int(k), size, position, obj if single else k, behind=True) for k in places.ravel()]
    new = stored_operand(values, array.dtype)
    new = reshape(new, (*(1,) * (array.ndim - new.rank), *new.type.dims))
    if single and places.ndim == 0:
        new = operand_of(call(np.moveaxis, new_array(new), 0, position))
    count = new.type.dims[position] if single else len(wrapped)
    dims = tuple(count if k == position else d for k, d in enumerate(array.dims))
    if not fits(new.type.dims, resolve_dims(dims)):
        source, target = (python_shape(d) for d in (new.type.dims, dims))
        raise ValueError(f"could not broadcast input array from shape {source} into shape {target}")
    new = broadcast_to(new, resolve_dims(dims))
    x = array.operand()
    if single:
        place = wrapped[0]
        pieces = [slice_axis(x, position, 0, place), new, slice_axis(x, position, place, size - place)]
        return new_array(emit("concatenate", *pieces, axis=position), order=_filled_order(array))
    return new_array(_interleaved(x, new, wrapped, position), order=_filled_order(array))


def python_shape(dims: Dims) -> str:
    """A shape of the traced call as NumPy's messages show it."""
    return str(tuple(current_trace().sizes.hint(d) for d in dims)).replace(" ", "")


def _interleaved(x: Operand, new: Operand, places: list[DimLike], axis: int) -> Operand:
    concrete = current_trace().sizes.concrete
    order = sorted(range(len(places)), key=lambda k: _sortable(places[k], concrete))
    pieces, start = [], 0
    for k in order:
        place = _sortable(places[k], concrete)
        pieces += [slice_axis(x, axis, start, place - start), slice_axis(new, axis, k, 1)]
        start = place
    pieces.append(slice_axis(x, axis, start, x.type.dims[axis] - start))
    return emit("concatenate", *pieces, axis=axis)


# ---------------------------------------------------------------------------------------------------------- writing


@implements(np.put)
def put(a: Any, ind: Any, v: Any, mode: str = "raise") -> None:
    """``np.put``: values are repeated where there are fewer than places."""
    if not isinstance(a, (TracedArray, np.ndarray)):
        raise TypeError(f"argument 1 must be numpy.ndarray, not {type(a).__name__}")
    target, where = as_array(a), as_array(ind)
    if not target.writeable:
        raise ValueError("put: output array is read-only")
    flat = call("flatten", target)
    values = as_array(call(np.ravel, wrap(stored_operand(v, target.dtype))))
    places = cast(reshape(where.operand(), (product(resolve_dims(where.dims)),)), INT64)
    sizes = current_trace().sizes
    if sizes.decide(values.dims[0], "== 0") or sizes.decide(places.type.dims[0], "== 0"):
        return
    total = dim_value(product(resolve_dims(target.dims)))
    index = new_array(in_range(places, total, mode))
    order = iota(INT64, places.type.dims, 0)
    chosen = emit("gather", values.operand(), emit("mod", order, dim_value(values.dims[0])), axes=(0,))
    call(operator.setitem, flat, index, new_array(chosen))
    target.write(reshape(flat.operand(), resolve_dims(target.dims)))


@implements(np.place)
def place(arr: Any, mask: Any, vals: Any) -> None:
    """``np.place``: the k-th element of the mask gets the k-th value, which are repeated."""
    if not isinstance(arr, (TracedArray, np.ndarray)):
        raise TypeError(f"argument 1 must be numpy.ndarray, not {type(arr).__name__}")
    target = as_array(arr)
    values = as_array(call(np.ravel, wrap(stored_operand(vals, target.dtype))))
    chosen = truth(operand_of(mask))
    sizes = current_trace().sizes
    total = product(resolve_dims(target.dims))
    if not sizes.require_equal(total, product(resolve_dims(chosen.type.dims))):
        raise ValueError("place: mask and data must be the same size")
    if sizes.decide(values.dims[0], "== 0"):
        return left_to_numpy(np.place, arr, mask, vals)  # type: ignore[no-any-return]  # an error if anything is chosen
    flat = reshape(chosen, (total,))
    count = emit("sub", emit("cumsum", cast(flat, INT64), axis=0), literal(1, INT64))
    # Where nothing has been chosen yet the count is negative: its element is not used.
    which = emit("mod", count, dim_value(values.dims[0]))
    new = emit("gather", values.operand(), which, axes=(0,))
    dims = resolve_dims(target.dims)
    target.write(select(reshape(flat, dims), reshape(new, dims), target.operand()))


@implements(np.fill_diagonal)
def fill_diagonal(a: Any, val: Any, wrap: bool = False) -> None:
    """``np.fill_diagonal``."""
    if not isinstance(a, (TracedArray, np.ndarray)) or (array := as_array(a)).ndim < 2:
        raise ValueError("array must be at least 2-d")
    sizes = current_trace().sizes
    dims = resolve_dims(array.dims)
    if len(dims) > 2 and not all(sizes.require_equal(d, dims[0]) for d in dims[1:]):
        raise ValueError("All dimensions of input must be of equal length")
    step: DimLike = 1
    for dim in reversed(dims[1:]):
        step = step * dim + 1
    if len(dims) == 2:
        step = dims[1] + 1
    end = product(dims)
    if len(dims) == 2 and not wrap and sizes.decide(end - dims[1] * dims[1], ">= 0"):
        end = dims[1] * dims[1]
    count = sizes.resolve((end + step - 1) // step)
    positions = emit("mul", iota(INT64, (count,), 0), dim_value(step))
    put(array, new_array(positions), val)


# -------------------------------------------------------------------------------------------------- places and shapes


@implements(np.unravel_index)
def unravel_index(indices: Any, shape: Any, order: str = "C") -> Any:
    """``np.unravel_index``; what argmax and argmin give needs no check."""
    value = as_value(indices)
    dims = tuple(as_dim(size, "a shape") for size in (shape if isinstance(shape, (list, tuple)) else (shape,)))
    if order not in ("C", "F") or value.dtype.kind not in "iu":
        raise_as_numpy(np.unravel_index, value, tuple(python_size(d) for d in dims), order)
    place = cast(value.operand(), INT64)
    if not _is_position(value.operand(), product(dims)):
        text = "index {0} is out of bounds for array with size {1}"
        place = in_range(place, dim_value(product(dims)), "raise", "ValueError", text)
    rest: Any = wrap(place)
    found = []
    for dim in reversed(dims) if order == "C" else dims:
        found.append(ufunc(np.remainder, rest, python_size(dim)))
        rest = ufunc(np.floor_divide, rest, python_size(dim))
    return tuple(reversed(found)) if order == "C" else tuple(found)


def _is_position(operand: Operand, total: DimLike) -> bool:
    """Whether an operand is the position of an extreme among so many elements."""
    builder = current_trace().builder
    position = builder.definition(operand) if isinstance(operand, Value) else None
    if position is None:
        return False
    eqn = builder.eqns[position]
    if eqn.op.name not in ("argmax", "argmin"):
        return False
    return current_trace().sizes.same(eqn.operands[0].type.dims[eqn.attrs["axis"]], total)


@implements(np.ravel_multi_index)
def ravel_multi_index(multi_index: Any, dims: Any, mode: Any = "raise", order: str = "C") -> Any:
    """``np.ravel_multi_index``."""
    sizes = tuple(as_dim(size, "a shape") for size in (dims if isinstance(dims, (list, tuple)) else (dims,)))
    modes = mode if isinstance(mode, tuple) else (mode,) * len(sizes)
    if (
        order not in ("C", "F")
        or not isinstance(multi_index, tuple)
        or not len(multi_index) == len(sizes) == len(modes)
    ):
        return left_to_numpy(np.ravel_multi_index, multi_index, dims, mode, order)
    result: Any = 0
    entries = list(zip(multi_index, sizes, modes, strict=True))
    for index, size, how in entries if order == "C" else reversed(entries):
        text = "invalid entry in coordinates array"
        place = wrap(in_range(cast(operand_of(index), INT64), dim_value(size), how, "ValueError", text))
        result = ufunc(np.add, ufunc(np.multiply, result, python_size(size)), place)
    return result


# -------------------------------------------------------------------------------------------------------------- bits


@implements(np.packbits)
def packbits(a: Any, /, axis: Any = None, bitorder: str = "big") -> Any:
    """``np.packbits``."""
    array = as_array(a)
    if array.dtype.kind not in "biu" or bitorder not in ("big", "little") or not array.ndim:
        raise_as_numpy(np.packbits, array, axis=axis, bitorder=bitorder)
    array, position = _flat(array, axis)
    bits = operand_of(call(np.moveaxis, new_array(truth(array.operand())), position, -1))
    *rest, size = bits.type.dims
    count = (size + 7) // 8
    padding = emit("broadcast", literal(False, BOOL), dims=(*rest, count * 8 - size), axes=())
    bits = emit("concatenate", bits, padding, axis=len(rest))
    groups = cast(reshape(bits, resolve_dims((*rest, count, 8))), UINT8)
    powers = cast(iota(UINT8, groups.type.dims, len(rest) + 1), UINT8)
    if bitorder == "big":
        powers = emit("sub", literal(7, UINT8), powers)
    packed = emit("reduce_sum", emit("shift_left", groups, powers), axes=(len(rest) + 1,))
    return new_array(operand_of(call(np.moveaxis, new_array(packed), -1, position)))


@implements(np.unpackbits)
def unpackbits(a: Any, /, axis: Any = None, count: Any = None, bitorder: str = "big") -> Any:
    """``np.unpackbits``."""
    array = as_array(a)
    if array.dtype != UINT8:
        raise TypeError("Expected an input array of unsigned byte data type")
    if bitorder not in ("big", "little") or not array.ndim:
        raise_as_numpy(np.unpackbits, array, axis=axis, bitorder=bitorder)
    array, position = _flat(array, axis)
    x = operand_of(call(np.moveaxis, array, position, -1))
    dims = (*x.type.dims, 8)
    wide = emit("broadcast", x, dims=dims, axes=tuple(range(x.rank)))
    powers = iota(UINT8, dims, x.rank)
    if bitorder == "big":
        powers = emit("sub", literal(7, UINT8), powers)
    bits = emit("bitwise_and", emit("shift_right", wide, powers), literal(1, UINT8))
    total = x.type.dims[-1] * 8
    bits = reshape(bits, resolve_dims((*x.type.dims[:-1], total)))
    if count is not None:
        bits = _with_size(bits, as_dim(count), total)
    return new_array(operand_of(call(np.moveaxis, new_array(bits), -1, position)))


def _with_size(bits: Operand, wanted: DimLike, total: DimLike) -> Operand:
    """The last axis cut, or filled up with zeros; a negative size counts from the end."""
    sizes = current_trace().sizes
    size = wanted if sizes.decide(wanted, ">= 0") else total + wanted
    axis = bits.rank - 1
    if sizes.decide(total - size, ">= 0"):
        return slice_axis(bits, axis, 0, size)
    padding = emit("broadcast", literal(0, UINT8), dims=(*bits.type.dims[:-1], size - total), axes=())
    return emit("concatenate", bits, padding, axis=axis)
