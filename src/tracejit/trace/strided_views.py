"""Views whose indices are sums of multiples of others: sliding windows, blocks, what ``as_strided`` makes.

Also the strides of traced arrays, as polynomials in the sizes of the call.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tracejit.errors import RefusedWriteError, UnsupportedError
from tracejit.ir.core import Operand
from tracejit.ir.dims import DimLike
from tracejit.trace.array import TracedArray
from tracejit.trace.axis_order import EVERYTHING, Paces
from tracejit.trace.bit_views import BitsView
from tracejit.trace.context import current_trace
from tracejit.trace.dtypes import INT64
from tracejit.trace.location import describe, user_location
from tracejit.trace.storage import (
    BroadcastView,
    DiagonalView,
    IndexView,
    PartView,
    ReshapeView,
    SliceView,
    Strides,
    TransposeView,
    View,
)
from tracejit.trace.values import Dims, dim_value, emit, iota, resolve_dims, size_of, transpose

__all__ = ["StridedView", "as_strided", "strided_view", "strides_in_bytes"]


class StridedView(View):
    """Element ``i`` is the one at ``start[a] + sum(factors[a][k] * i[k])`` on each axis a of the source."""

    __slots__ = ("factors", "source", "starts", "writeable")

    def __init__(
        self, source: Dims, starts: Dims, dims: Dims, factors: tuple[Dims, ...], *, writeable: bool = True
    ) -> None:
        self.source = source
        self.starts = starts
        self.dims = dims
        self.factors = factors
        self.writeable = writeable

    def _whole_axes(self) -> dict[int, int]:
        """The axes of the source that are axes of the result, unchanged."""
        used = [sum(factor != 0 for factor in column) for column in zip(*self.factors, strict=True)]
        found = {}
        for axis, row in enumerate(self.factors):
            terms = [k for k, factor in enumerate(row) if factor != 0]
            if len(terms) == 1 and row[terms[0]] == 1 and used[terms[0]] == 1 and self.starts[axis] == 0:
                if self.dims[terms[0]] == self.source[axis]:
                    found[axis] = terms[0]
        return found

    def _access(self) -> tuple[tuple[int, ...], list[Operand], tuple[int, ...]]:
        """Axes and indices of a gather, and the permutation that puts its axes where they belong."""
        whole = self._whole_axes()
        axes = tuple(axis for axis in range(len(self.source)) if axis not in whole)
        indexed = [k for k in range(len(self.dims)) if k not in whole.values()]
        dims = tuple(self.dims[k] for k in indexed)
        indices = []
        for axis in axes:
            index = dim_value(self.starts[axis])
            for position, k in enumerate(indexed):
                factor = self.factors[axis][k]
                if factor != 0:
                    term = iota(INT64, dims, position)
                    term = term if factor == 1 else emit("mul", term, dim_value(factor))
                    index = term if self.starts[axis] == 0 and index.type.dims == () else emit("add", index, term)
            indices.append(emit("broadcast", index, dims=dims, axes=()) if index.type.dims != dims else index)
        made = [*indexed, *(whole[axis] for axis in sorted(whole))]
        return axes, indices, tuple(made.index(k) for k in range(len(self.dims)))

    def read(self, x: Operand) -> Operand:
        """The value seen through the view."""
        axes, indices, perm = self._access()
        return transpose(emit("gather", x, *indices, axes=axes) if axes else x, perm)

    def write(self, x: Operand, part: Operand) -> Operand:
        """The whole value with the seen part replaced."""
        if not self._is_one_to_one():
            raise RefusedWriteError(
                f"a view is written in which an element may appear more than once ({describe(user_location())}); "
                "write to the array itself, or to a copy of the view"
            )
        axes, indices, perm = self._access()
        part = transpose(part, tuple(sorted(range(len(perm)), key=perm.__getitem__)))
        return emit("scatter", x, part, *indices, axes=axes) if axes else part

    def _is_one_to_one(self) -> bool:
        """Whether every element is seen once, as can be proved."""
        sizes = current_trace().sizes
        told: set[int] = set()
        for row in self.factors:
            terms = sorted((k for k, f in enumerate(row) if f != 0), key=lambda k: sizes.hint(row[k]))
            reach: DimLike = 1
            for k in terms:
                if not sizes.proves(row[k] - reach):
                    break
                reach = row[k] * self.dims[k]
            else:
                told.update(terms)
        return all(k in told or size == 1 for k, size in enumerate(self.dims))

    def strides(self, strides: Strides, shape: tuple[int, ...]) -> Strides | None:
        """The strides seen through the view."""
        hint = current_trace().sizes.hint
        return tuple(map(hint, self.combined(strides)))

    def combined(self, strides: Sequence[DimLike]) -> Dims:
        """The strides of the result from those of the source."""
        result: list[DimLike] = [0] * len(self.dims)
        for row, stride in zip(self.factors, strides, strict=True):
            result = [old + factor * stride for old, factor in zip(result, row, strict=True)]
        return tuple(result)

    def paces(self, paces: Paces) -> Paces:
        """The paces of the axes seen through the view."""
        rows = list(zip(self.factors, paces, strict=True))
        return tuple(max((pace for row, pace in rows if row[k] != 0), default=0) for k in range(len(self.dims)))

    def replay(self) -> tuple[Any, ...]:
        """The step as the run time repeats it."""
        return "strided", self.starts, self.dims, self.factors, int(self.writeable)


# ------------------------------------------------------------------------------------------------------------- strides


def element_strides(array: TracedArray) -> Dims | None:
    """The strides in elements, as polynomials in sizes; None where only each call knows them."""
    storage = array.storage
    storage.layout_used = EVERYTHING
    if storage.still or not (storage.origin is None or storage.origin.layout.dense):
        return None
    dims = resolve_dims(storage.value.type.dims)
    if current_trace().sizes.decide(size_of(dims), "== 0"):
        return None  # versions of NumPy differ in the strides of arrays without elements
    whole = _contiguous(dims, storage.order)
    if storage.origin is not None and tuple(map(current_trace().sizes.hint, whole)) != storage.hint_strides():
        return None  # the stride of an axis with one element, which may be anything
    strides: Dims | None = whole
    for view in array.views:
        if strides is not None:
            strides = _seen(view, dims, strides)
        dims = resolve_dims(view.dims)
    return strides


def _contiguous(dims: Dims, order: tuple[int, ...] = ()) -> Dims:
    strides: list[DimLike] = [1] * len(dims)
    stride: DimLike = 1
    for axis in reversed(order or range(len(dims))):
        strides[axis] = stride
        stride = stride * dims[axis]
    return tuple(strides)


def _seen(view: View, dims: Dims, strides: Dims) -> Dims | None:
    """The strides through one view, from the source's dims and strides."""
    if isinstance(view, SliceView):
        every = [stride * step for stride, step in zip(strides, view.steps, strict=True)]
        return tuple(stride for axis, stride in enumerate(every) if axis not in view.dropped)
    if isinstance(view, TransposeView):
        return tuple(strides[axis] for axis in view.perm)
    if isinstance(view, ReshapeView):
        return _contiguous(resolve_dims(view.dims)) if strides == _contiguous(dims) else None
    if isinstance(view, PartView):
        return tuple(2 * stride for stride in strides)
    if isinstance(view, StridedView):
        return view.combined(strides)
    if isinstance(view, BroadcastView):
        front = len(view.dims) - len(dims)
        own = [0 if a != b else s for a, b, s in zip(dims, resolve_dims(view.dims)[front:], strides, strict=True)]
        return (*(0,) * front, *own)
    if isinstance(view, DiagonalView):
        rest = tuple(stride for axis, stride in enumerate(strides) if axis not in view.axes)
        return (*rest, strides[view.axes[0]] + strides[view.axes[1]])
    if isinstance(view, IndexView):
        return tuple(stride for axis, stride in enumerate(strides) if axis not in view.axes)
    if isinstance(view, BitsView):
        old, new = view.source_dtype.itemsize, view.dtype.itemsize
        return strides if old == new else (*(stride * old // new for stride in strides[:-1]), 1)
    return None


def strides_in_bytes(array: TracedArray) -> Dims:
    """``ndarray.strides``."""
    strides = element_strides(array)
    if strides is None:
        raise UnsupportedError(
            f"the strides of an array with gaps in memory are known only at each call ({describe(user_location())}); "
            "use np.ascontiguousarray first, or indices instead of strides"
        )
    return tuple(stride * array.dtype.itemsize for stride in strides)


# ---------------------------------------------------------------------------------------------------------- as_strided


def as_strided(array: TracedArray, dims: Dims, strides: Dims, *, writeable: bool) -> TracedArray:
    """The view with these dims and strides in bytes."""
    size = array.dtype.itemsize
    own = element_strides(array)
    steps = tuple(stride // size for stride in strides)
    if own is None or any(step * size != stride for step, stride in zip(steps, strides, strict=True)):
        raise UnsupportedError(
            f"np.lib.stride_tricks.as_strided of an array with gaps in memory, or by parts of elements, is not "
            f"compiled ({describe(user_location())}); use np.ascontiguousarray first"
        )
    columns = [_in_strides(step, own, array) for step in steps]
    if all(column is not None for column in columns):
        factors = tuple(tuple(column[axis] for column in columns) for axis in range(len(own)))  # type: ignore[index]
        source = resolve_dims(array.dims)
        forward = all(_holds(factor) for row in factors for factor in row)
        if forward and all(_holds(d - 1 - _last(row, dims)) for row, d in zip(factors, source, strict=True)):
            return array.view(StridedView(source, (0,) * len(own), dims, factors, writeable=writeable))
    return _in_memory(array, dims, steps, writeable)


def _in_strides(step: DimLike, own: Dims, array: TracedArray) -> list[DimLike] | None:
    """A stride as a sum of multiples of an array's: of one, or of two different ones."""
    rank = len(own)
    if step == 0:
        return [0] * rank
    hint = current_trace().sizes.hint
    for axis in sorted(range(rank), key=lambda axis: -hint(own[axis])):
        if own[axis] != 0 and (factor := step // own[axis]) * own[axis] == step:
            return [factor if k == axis else 0 for k in range(rank)]
    for first in range(rank):
        for second in range(first):
            if own[first] + own[second] == step:
                return [int(k in (first, second)) for k in range(rank)]
    return None


def _holds(dim: DimLike) -> bool:
    """Whether a dim is not negative, on which the program may depend from now on."""
    sizes = current_trace().sizes
    return sizes.hint(dim) >= 0 and sizes.decide(dim, ">= 0")


def _last(row: Sequence[DimLike], dims: Dims) -> DimLike:
    """The largest index that a row of factors, none negative, makes."""
    last: DimLike = 0
    for factor, size in zip(row, dims, strict=True):
        last = last + factor * (size - 1)
    return last


def _in_memory(array: TracedArray, dims: Dims, steps: Dims, writeable: bool) -> TracedArray:
    """The view as places in the memory of the whole array, which they must not leave."""
    storage = array.storage
    sizes = current_trace().sizes
    start = _offset(array)
    whole = resolve_dims(storage.value.type.dims)
    total = size_of(whole)
    ends = [step * (size - 1) for step, size in zip(steps, dims, strict=True)]
    low, high = start, start
    for end in ends:
        low, high = (low, high + end) if sizes.hint(end) >= 0 else (low + end, high)
    inside = start is not None and all(sizes.hint(d) for d in dims)
    if not inside or not sizes.decide(low, ">= 0") or not sizes.decide(total - 1 - high, ">= 0"):
        raise UnsupportedError(
            f"np.lib.stride_tricks.as_strided shows memory outside of the array ({describe(user_location())})"
        )
    if not all(sizes.decide(end if sizes.hint(end) >= 0 else -end, ">= 0") for end in ends):
        raise AssertionError("the sign of a stride changed")
    base = TracedArray(storage)
    if storage.order:
        base = base.view(TransposeView(base.dims, storage.order))
    if len(whole) != 1:
        base = base.view(ReshapeView(resolve_dims(base.dims), (total,), (1,)))
    result = base.view(StridedView((total,), (start,), dims, (steps,), writeable=writeable))
    return TracedArray(result.storage, result.views, array.dtype)


def _offset(array: TracedArray) -> Any:
    """How many elements lie in front of an array in its memory; None where that is not known."""
    offset: DimLike = 0
    shown = TracedArray(array.storage)
    for view in array.views:
        strides = element_strides(shown)
        if strides is None or isinstance(view, (PartView, BitsView, IndexView, DiagonalView)):
            return None
        if isinstance(view, (SliceView, StridedView)):
            for start, stride in zip(view.starts, strides, strict=True):
                offset = offset + start * stride
        shown = TracedArray(array.storage, (*shown.views, view))
    return offset


def strided_view(
    array: np.ndarray[Any, Any], starts: Any, dims: Any, factors: Any, writeable: int
) -> np.ndarray[Any, Any]:
    """The view of a real array."""
    for axis, start in enumerate(starts):
        if start:
            array = array[(slice(None),) * axis + (slice(start, None),)]
    strides = [0] * len(dims)
    for row, stride in zip(factors, array.strides, strict=True):
        strides = [old + factor * stride for old, factor in zip(strides, row, strict=True)]
    writing = bool(writeable) and array.flags.writeable
    return np.lib.stride_tricks.as_strided(array, dims, strides, writeable=writing)
