"""The last step to an item of a traced list that is read by reference."""

from __future__ import annotations

from typing import Any

from tracejit.ir.core import Operand
from tracejit.trace.array import TracedArray
from tracejit.trace.context import current_trace
from tracejit.trace.inputs import operand_of
from tracejit.trace.location import describe, user_location
from tracejit.trace.region import UnstageableError
from tracejit.trace.scalar import SymbolicInt
from tracejit.trace.storage import LOST, IndexView, SliceView, Twin, View, compose
from tracejit.trace.values import Dims, dim_value

__all__ = ["ItemView", "part_at"]


class ItemView(View):
    """Right as long as the items stay where they are."""

    __slots__ = ("list", "stamp", "trace")
    replayable = False

    def __init__(self, dims: Dims, source: Any) -> None:
        self.dims = dims
        self.list = source
        self.stamp = source.stamp
        self.trace = current_trace()

    def _check(self) -> None:
        if self.list.stamp != self.stamp:
            self.list._refuse("an item is used that was read before others were replaced or removed; copy it")
        if self.list.stage is not None and current_trace() is not self.trace:
            self.list.stage.used_from_outside.add(id(self.list))

    def read(self, x: Operand) -> Operand:
        """The value seen through the view."""
        self._check()
        return x

    def write(self, x: Operand, part: Operand) -> Operand:
        """The value of the memory with the item replaced; arrays of which items are copies are no longer right."""
        self._check()
        trace, where = current_trace(), describe(user_location())
        for storage in self.list.sources:
            if storage.trace is not trace and trace.region and storage.trace.active:
                raise UnstageableError(f"an item of a list is changed that was stored under another name ({where})")
            storage.twins.append(Twin(storage.trace, storage, LOST, where))
        return part

    def strides(self, strides: Any, shape: Any) -> Any:
        """The strides seen through the view."""
        return strides

    def paces(self, paces: Any) -> Any:
        """The paces of the axes seen through the view."""
        return paces

    def replay(self) -> tuple[Any, ...]:
        """The step, for comparing."""
        return "item", id(self.list), self.stamp

    def of(self, dims: Dims) -> ItemView:
        """The same for a part of the item."""
        made = ItemView(dims, self.list)
        made.stamp, made.trace = self.stamp, self.trace
        return made


def part_at(column: TracedArray, place: Any) -> TracedArray:
    """The part of an array at a place, a size or a computed number; for a row of a table one step to its memory.

    Otherwise a store of an element would read and write the whole row.
    """
    dims = column.dims
    views = list(column.views)
    items: list[ItemView] = []
    while views and isinstance(views[-1], ItemView):
        items.append(views.pop())  # type: ignore[arg-type]
    last = views[-1] if views else None
    is_size = isinstance(place, (int, SymbolicInt))
    rows = _row_of(last)
    if rows is None or (is_size and isinstance(last, SliceView)):
        chain = compose(tuple(views), _step(dims, place))
    else:
        source, axes, indices = rows
        index = (*indices, operand_of(place))
        chain = (*views[:-1], IndexView(source, (*axes, len(axes)), index, current_trace()))
    for item in reversed(items):
        chain = (*chain, item.of(dims[1:]))
    return TracedArray(column.storage, chain, column.dtype)


def _step(dims: Dims, place: Any) -> View:
    if isinstance(place, (int, SymbolicInt)):
        start = place if isinstance(place, int) else place.dim
        rank = len(dims)
        return SliceView(dims, (start, *(0,) * (rank - 1)), (1, *dims[1:]), (1,) * rank, (0,))
    return IndexView(dims, (0,), (operand_of(place),), current_trace())


def _row_of(view: View | None) -> tuple[Dims, tuple[int, ...], tuple[Operand, ...]] | None:
    """Where a view is the part at indices of the first axes: the dims around it, these axes, and the indices."""
    trace = current_trace()
    if isinstance(view, IndexView) and view.axes == tuple(range(len(view.axes))):
        rank = len(view.axes) + len(view.dims)
        if len(view.source) == rank:
            return view.source, view.axes, tuple(trace.lift(index, view.trace) for index in view.indices)
    if isinstance(view, SliceView) and view.dropped == tuple(range(len(view.dropped))) and view.dropped:
        kept = range(len(view.dropped), len(view.source))
        if all(view.starts[k] == 0 and view.steps[k] == 1 and view.sizes[k] == view.source[k] for k in kept):
            return view.source, view.dropped, tuple(dim_value(view.starts[k]) for k in view.dropped)
    return None
