"""What an index expression means: a slice for each axis, integer arrays into some of them, masks as places.

NumPy's errors are raised where an entry is none, and where one is out of range in the traced call.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tracejit.errors import UnsupportedError
from tracejit.ir.core import Operand
from tracejit.ir.dims import DimLike, maximum
from tracejit.trace.array import NumpyValue, TracedArray, TracedScalar, new_array
from tracejit.trace.base import Tracer
from tracejit.trace.context import current_trace
from tracejit.trace.dtypes import BOOL, INT64
from tracejit.trace.inputs import as_array, contains_tracer, raise_as_numpy
from tracejit.trace.location import describe, user_location
from tracejit.trace.scalar import SymbolicBool, SymbolicInt, TracedNumber, as_dim
from tracejit.trace.selecting import places
from tracejit.trace.sizes import UndecidedError
from tracejit.trace.values import (
    Dims,
    broadcast_dims,
    cast,
    check_equal,
    constant,
    dim_value,
    emit,
    late_dim,
    literal,
    resolve_dims,
    select,
)

__all__ = ["INVALID_INDEX", "Plan", "as_tuple", "common_dims", "plan_of", "require_mask_size", "shape_text"]

INVALID_INDEX = (
    "only integers, slices (`:`), ellipsis (`...`), numpy.newaxis (`None`) and integer or boolean arrays "
    "are valid indices"
)


@dataclass
class Plan:
    """An index expression taken apart: a slice for each axis, then integer arrays into some of them."""

    starts: list[DimLike] = field(default_factory=list)
    sizes: list[DimLike] = field(default_factory=list)
    steps: list[DimLike] = field(default_factory=list)
    dropped: list[int] = field(default_factory=list)  # axes with an int index
    arrays: list[tuple[int, Operand]] = field(default_factory=list)  # axis, integer array
    # What the result's axes are before arrays move theirs: an axis of x, "new", "array" or "int".
    layout: list[tuple[str, int]] = field(default_factory=list)

    def axis(self, start: DimLike, size: DimLike, step: DimLike = 1) -> int:
        """Add the slice of the next axis; gives its number."""
        self.starts.append(start)
        self.sizes.append(size)
        self.steps.append(step)
        return len(self.starts) - 1


def as_tuple(key: Any) -> tuple[Any, ...]:
    """The entries of an index."""
    return key if isinstance(key, tuple) else (key,)


def _is_mask(item: Any) -> bool:
    if isinstance(item, NumpyValue):
        return bool(item.dtype == BOOL)
    if isinstance(item, np.ndarray):
        return bool(item.dtype == BOOL)
    return isinstance(item, (bool, np.bool_, SymbolicBool)) or (isinstance(item, TracedNumber) and item.kind == BOOL)


def _clean(item: Any) -> Any:
    """An entry of an index as a slice, None, Ellipsis, int, SymbolicInt, mask, traced scalar or array."""
    if item is None or item is Ellipsis or type(item) in (int, SymbolicInt, slice):
        return item
    if isinstance(item, (bool, np.bool_, SymbolicBool)):
        return np.asarray(bool(item))
    if isinstance(item, np.ndarray) and item.dtype == BOOL:
        return item
    if isinstance(item, (list, tuple, np.ndarray)):
        listed = not isinstance(item, np.ndarray)
        return as_array(item) if contains_tracer(item) else _clean_array(np.asarray(item), listed)
    if isinstance(item, Tracer):
        return item
    if hasattr(item, "__index__"):
        return int(item.__index__())
    return item


def _clean_array(array: np.ndarray[Any, Any], listed: bool) -> Any:
    if array.dtype == BOOL:
        return array
    if listed and array.size == 0:
        array = array.astype(np.int64)  # an empty list indexes nothing
    if listed and array.dtype.kind not in "iu":
        raise IndexError(INVALID_INDEX)
    return new_array(constant(array)) if listed else as_array(array)


def _expand(x: TracedArray, key: Any) -> list[Any]:
    """The entries of an index, with the ellipsis replaced by full slices, one entry (or more for masks) an axis."""
    items: list[Any] = []
    for raw in as_tuple(key):
        item = _clean(raw)
        if isinstance(item, np.ndarray):  # a mask known while tracing
            if item.ndim == 0:
                raise UnsupportedError("indexing with a plain bool is not compiled; use if, or an index of ints")
            _check_mask(x, items, item.shape)
            items.extend(new_array(constant(part)) for part in item.nonzero())
        elif _is_mask(item):
            if not isinstance(item, TracedArray) or not item.dims:
                raise _scalar_mask()
            _check_mask(x, items, item.dims)
            items.extend(map(new_array, places(item.operand())))
        else:
            items.append(item)
    used = sum(1 for item in items if item is not None and item is not Ellipsis)
    ellipses = sum(1 for item in items if item is Ellipsis)
    rank = len(x.dims)
    if used > rank or ellipses > 1:
        raise_as_numpy(operator.getitem, x, _plain_key(key))
    missing = [slice(None)] * (rank - used)
    if not ellipses:
        return items + missing
    position = next(k for k, item in enumerate(items) if item is Ellipsis)
    return items[:position] + missing + items[position + 1 :]


def _check_mask(x: TracedArray, items: list[Any], shape: Dims) -> None:
    """A mask has the size of the axes that it stands for."""
    first = sum(1 for item in items if item is not None and item is not Ellipsis)
    if any(item is Ellipsis for item in items):
        raise UnsupportedError("a boolean mask after an ellipsis is not compiled; write the slices out")
    for axis, size in enumerate(shape, first):
        if axis < len(x.dims):
            require_mask_size(x.dims[axis], size, axis)


def _scalar_mask() -> UnsupportedError:
    return UnsupportedError(
        f"a single traced bool as an index is not compiled ({describe(user_location())}); use np.where"
    )


def require_mask_size(own: DimLike, other: DimLike, axis: int) -> None:
    """Raise NumPy's error where a mask has not the size of its axis."""
    sizes = current_trace().sizes
    if sizes.is_late(sizes.resolve(own) - sizes.resolve(other)):
        text = (
            f"boolean index did not match indexed array along axis {axis}; size of axis is {{0}} but size of "
            "corresponding boolean axis is {1}"
        )
        check_equal(own, other, "IndexError", text)
    elif not sizes.require_equal(own, other):
        raise IndexError(
            f"boolean index did not match indexed array along axis {axis}; size of axis is {sizes.hint(own)} "
            f"but size of corresponding boolean axis is {sizes.hint(other)}"
        )


def _plain_key(key: Any) -> tuple[Any, ...]:
    """An index for asking NumPy for its error."""
    return tuple(
        slice(None) if isinstance(item, slice) else 0 if isinstance(item, Tracer) and not item.dims else item
        for item in as_tuple(key)
    )


def common_dims(shapes: Sequence[Dims]) -> Dims:
    """The dims that several index arrays have together."""
    dims = broadcast_dims(shapes)
    if dims is None:
        texts = " ".join(f"({shape_text(shape)})" for shape in shapes)
        raise IndexError(f"shape mismatch: indexing arrays could not be broadcast together with shapes {texts} ")
    return dims


def shape_text(dims: Dims) -> str:
    """A shape of the traced call as NumPy's messages show it, without parentheses."""
    hint = current_trace().sizes.hint
    return ",".join(str(hint(d)) for d in dims) + ("," if len(dims) == 1 else "")


def plan_of(x: TracedArray, key: Any) -> Plan:
    """An index of an array, taken apart."""
    plan = Plan()
    dims = resolve_dims(x.dims)
    items = _expand(x, key)
    if sum(isinstance(item, TracedArray) for item in items) > 1:  # NumPy asks this before whether indices are in range
        common_dims([getattr(item, "dims", ()) for item in items if item is not None and type(item) is not slice])
    for item in items:
        if item is None:
            plan.layout.append(("new", 0))
            continue
        size = dims[len(plan.starts)]
        if type(item) is slice:
            axis = plan.axis(*_slice_range(item, size))
            plan.layout.append(("axis", axis))
        elif (
            type(item) in (int, SymbolicInt)
            and (place := _known_index(as_dim(item), size, len(plan.starts))) is not None
        ):
            axis = plan.axis(place, 1)
            plan.dropped.append(axis)
            plan.layout.append(("int", axis))
        else:
            axis = plan.axis(0, size)
            plan.arrays.append((axis, _index_operand(x, key, item, size, axis)))
            plan.layout.append(("array", axis))
    return plan


def _index_operand(x: TracedArray, key: Any, item: Any, size: DimLike, axis: int) -> Operand:
    if not isinstance(item, (Tracer, int)):
        raise_as_numpy(operator.getitem, x, key)
    operand = dim_value(item) if isinstance(item, int) else item.operand()
    if operand.type.dtype.kind not in "iu":
        if operand.type.dtype == BOOL:
            raise _scalar_mask()
        arrays = "arrays used as indices must be of integer (or boolean) type"
        raise IndexError(arrays if operand.type.dims else INVALID_INDEX)
    place = cast(operand, INT64)
    if operand.type.dtype.kind == "u" and isinstance(size, int) and size > np.iinfo(operand.type.dtype).max:
        return place  # such as a table for the values of a byte
    return emit("wrap_index", place, dim_value(size), axis=axis)


def _known_index(index: DimLike, size: DimLike, axis: int) -> DimLike | None:
    """Like :func:`_checked_index`; None where only the running program can check the index."""
    try:
        with current_trace().sizes.answering(usually=False):
            return _checked_index(index, size, axis)
    except UndecidedError:
        return None


def _checked_index(index: DimLike, size: DimLike, axis: int) -> DimLike:
    """A constant or symbolic index, non-negative; IndexError when it is out of range in this call."""
    sizes = current_trace().sizes
    wrapped = index if sizes.decide(index, ">= 0") else index + size
    if not sizes.decide(wrapped, ">= 0") or not sizes.decide(size - wrapped - 1, ">= 0"):
        raise IndexError(f"index {sizes.hint(index)} is out of bounds for axis {axis} with size {sizes.hint(size)}")
    return wrapped


def _slice_range(item: slice, size: DimLike) -> tuple[DimLike, DimLike, DimLike]:
    """Start, count and step of a slice of an axis, clamped as Python clamps."""
    if item.start is None and item.stop is None and item.step is None:
        return 0, size, 1
    sizes = current_trace().sizes
    step = 1 if item.step is None else _slice_bound(item.step)
    if sizes.decide(step, "== 0"):
        raise ValueError("slice step cannot be zero")
    forward = sizes.decide(step, ">= 0")
    low: DimLike = 0 if forward else -1
    high = size if forward else size - 1
    start = (low if forward else high) if item.start is None else _clamp(_slice_bound(item.start), size, low, high)
    stop = (high if forward else low) if item.stop is None else _clamp(_slice_bound(item.stop), size, low, high)
    distance = stop - start if forward else start - stop
    try:
        with sizes.answering(usually=False):
            filled = sizes.decide(distance, ">= 0")
        if not filled:
            return 0, 0, step
    except UndecidedError:
        distance = maximum(distance, 0)
    stride = step if forward else -step
    count = distance if stride == 1 else (distance + stride - 1) // stride
    return start, sizes.resolve(count), step


def _slice_bound(value: Any) -> DimLike:
    if isinstance(value, Tracer) and not isinstance(value, SymbolicInt):
        kind = value.kind
        if isinstance(value, (TracedNumber, TracedScalar)) and (kind is int or getattr(kind, "kind", "-") in "iu"):
            return as_dim(value)
        raise TypeError("slice indices must be integers or None or have an __index__ method")
    if not hasattr(value, "__index__"):
        raise TypeError("slice indices must be integers or None or have an __index__ method")
    return as_dim(value)


def _clamp(bound: DimLike, size: DimLike, low: DimLike, high: DimLike) -> DimLike:
    try:
        with current_trace().sizes.answering(usually=False):
            return _clamped(bound, size, low, high)
    except UndecidedError:
        place = dim_value(bound)
        zero, last = literal(0, INT64), dim_value(high)
        place = select(emit("lt", place, zero), emit("add", place, dim_value(size)), place)
        place = emit("minimum", emit("maximum", place, dim_value(low)), last)
        return late_dim(place, low, high)


def _clamped(bound: DimLike, size: DimLike, low: DimLike, high: DimLike) -> DimLike:
    sizes = current_trace().sizes
    if not sizes.decide(bound, ">= 0"):
        bound = bound + size
        return bound if sizes.decide(bound - low, ">= 0") else low
    return bound if sizes.decide(high - bound, ">= 0") else high
