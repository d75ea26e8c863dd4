"""Reading and writing at indices in a part of an array without a copy of that part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tracejit.ir.core import Operand
from tracejit.ir.dims import DimLike
from tracejit.trace.dtypes import INT64
from tracejit.trace.values import broadcast_to, dim_value, emit, expand, iota, reshape, transpose

if TYPE_CHECKING:
    from tracejit.trace.storage import SliceView

__all__ = ["gather_from", "scatter_into"]


def gather_from(x: Operand, view: SliceView, axes: Sequence[int], indices: Sequence[Operand]) -> Operand:
    """``gather`` by one index into each of some axes of a slice of ``x``; axes are those of the slice."""
    source = x.type.dims
    shown = [axis for axis in range(len(source)) if axis not in view.dropped]
    places = {axis: dim_value(view.starts[axis]) for axis in view.dropped}
    for axis, index in zip(axes, indices, strict=True):
        places[shown[axis]] = _moved(view, index, shown[axis])
    targets = tuple(sorted(places))
    found = emit("gather", x, *(places[axis] for axis in targets), axes=targets)
    rest = [axis for axis in shown if axis not in places]
    if all(_is_whole(view, axis, source) for axis in rest):
        return found
    starts, sizes, steps = (tuple(part[axis] for axis in rest) for part in (view.starts, view.sizes, view.steps))
    return emit("slice", found, starts=starts, sizes=sizes, steps=steps)


def scatter_into(
    op: str, x: Operand, view: SliceView, value: Operand, axes: Sequence[int], indices: Sequence[Operand]
) -> Operand:
    """``x`` after ``scatter`` (or ``scatter_add``) into a slice of it; axes are those of the slice.

    An axis of which the slice shows only a part becomes one with an index: where the part is.
    """
    source = x.type.dims
    shown = [axis for axis in range(len(source)) if axis not in view.dropped]
    given = {shown[axis]: index for axis, index in zip(axes, indices, strict=True)}
    dims = indices[0].type.dims
    others = [axis for axis in shown if axis not in given]  # the value has their sizes behind those of the indices
    long = [axis for axis in others if not _is_whole(view, axis, source) and view.sizes[axis] != 1]
    wide = (*dims, *(view.sizes[axis] for axis in long))

    places = {}
    for axis, index in given.items():
        places[axis] = broadcast_to(expand(_moved(view, index, axis), tuple(range(len(dims), len(wide)))), wide)
    for position, axis in enumerate(long, len(dims)):
        places[axis] = _moved(view, iota(INT64, wide, position), axis)
    kept = [axis for axis in others if _is_whole(view, axis, source)]
    for axis in range(len(source)):
        if axis not in places and axis not in kept:  # one element there
            places[axis] = broadcast_to(dim_value(view.starts[axis]), wide)
    first = [len(dims) + others.index(axis) for axis in (*long, *kept)]
    single = [len(dims) + k for k, axis in enumerate(others) if axis not in long and axis not in kept]
    stored = transpose(value, (*range(len(dims)), *first, *single))
    sizes: tuple[DimLike, ...] = (*wide, *(source[axis] for axis in kept))
    targets = sorted(places)
    return emit(op, x, reshape(stored, sizes), *(places[axis] for axis in targets), axes=tuple(targets))


def _moved(view: SliceView, index: Operand, axis: int) -> Operand:
    """The place in the whole array of an index into the slice."""
    start, step = view.starts[axis], view.steps[axis]
    if step != 1:
        index = emit("mul", index, dim_value(step))
    return index if start == 0 else emit("add", index, dim_value(start))


def _is_whole(view: SliceView, axis: int, source: Sequence[DimLike]) -> bool:
    return view.starts[axis] == 0 and view.steps[axis] == 1 and view.sizes[axis] == source[axis]
