"""What ``for`` goes through: ranges with symbolic bounds, arrays, and ``enumerate``, ``zip`` and ``reversed`` of them.

An :class:`Indexed` has a length and an item for every index, so that a loop over it can run in compiled code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracejit.ir.core import Operand
from tracejit.ir.dims import DimLike, maximum, minimum
from tracejit.trace.array import TracedArray
from tracejit.trace.base import Tracer
from tracejit.trace.builtin_functions import BUILTINS
from tracejit.trace.context import current_trace
from tracejit.trace.dtypes import INT64
from tracejit.trace.inputs import accept_input, as_array
from tracejit.trace.registry import call
from tracejit.trace.scalar import SymbolicInt, as_dim, python_size
from tracejit.trace.sizes import UndecidedError
from tracejit.trace.traced_list import TracedList
from tracejit.trace.values import Dims, dim_value, emit, late_dim, literal, select

__all__ = ["Indexed", "as_indexed"]


@dataclass
class Indexed:
    """Items by index, ``start <= index < stop``. ``ordinal`` says that the items are the indices themselves."""

    start: DimLike
    stop: DimLike
    item: Callable[[Any], Any]
    lists: tuple[TracedList, ...] = ()  # whose items they are

    @contextmanager
    def going_through(self) -> Iterator[None]:
        """While a loop goes through the items, lists keep their length."""
        for each in self.lists:
            each.iterating += 1
        try:
            yield
        finally:
            for each in self.lists:
                each.iterating -= 1

    def __len__(self) -> int:
        return max(0, current_trace().sizes.concrete(self.stop - self.start))

    def __iter__(self) -> Iterator[Any]:
        sizes = current_trace().sizes
        count = sizes.resolve(self.stop - self.start)
        if isinstance(count, int):  # where the items begin need not be known to go through them
            return (self.item(python_size(self.start + k)) for k in range(count))
        first, last = sizes.concrete(self.start), sizes.concrete(self.stop)
        return (self.item(k) for k in range(first, last))

    def __reversed__(self) -> Indexed:
        total = self.start + self.stop - 1
        return Indexed(self.start, self.stop, lambda k: self.item(python_size(total) - k), self.lists)

    def from_zero(self) -> Indexed:
        """The same items at indices from 0."""
        if self.start == 0:
            return self
        start = self.start
        return Indexed(0, self.stop - start, lambda k: self.item(k + python_size(start)), self.lists)


class SymbolicRange(Indexed, Tracer):
    """A ``range`` whose bounds are sizes; as an array it is ``np.arange``."""

    dtype = kind = INT64

    def __init__(self, start: DimLike, stop: DimLike, first: Any = 0, step: Any = 1) -> None:
        super().__init__(start, stop, lambda k: first + k * step)
        self.first = first
        self.step = step

    @property
    def dims(self) -> Dims:
        """The length, as the dims of an array."""
        return (current_trace().sizes.larger(self.stop - self.start, 0),)

    def operand(self) -> Operand:
        """All items as an array."""
        places = call(np.arange, python_size(self.start), python_size(self.stop))
        return (places * self.step + self.first).operand()  # type: ignore[no-any-return]


accept_input(SymbolicRange, lambda value: (INT64, value.operand()))


def as_indexed(iterable: Any) -> Indexed | None:
    """The iterable with an index, or None for what only Python can go through."""
    if isinstance(iterable, Indexed):
        return iterable
    if type(iterable) is range:
        return symbolic_range(iterable.start, iterable.stop, iterable.step)
    if isinstance(iterable, np.ndarray) and iterable.ndim:
        iterable = as_array(iterable)
    if isinstance(iterable, TracedList):
        items = iterable
        return Indexed(0, items.size(), items.item_at, (items,))
    if isinstance(iterable, TracedArray) and iterable.dims:
        array = iterable
        return Indexed(0, array.dims[0], lambda k: array[k])
    return None


_NO_STEP = "range() arg 3 must not be zero"


def _computed_count(first: DimLike, last: DimLike, stride: DimLike) -> DimLike:
    """How many steps there are where the program alone knows in which direction they go."""
    step, zero, one = dim_value(stride), literal(0, INT64), literal(1, INT64)
    current_trace().check(emit("ne", step, zero), (), "ValueError", _NO_STEP)
    distance = select(emit("gt", step, zero), dim_value(last - first), dim_value(first - last))
    width = emit("maximum", emit("abs", step), one)
    count = emit("floordiv", emit("add", distance, emit("sub", width, one)), width)
    return late_dim(emit("maximum", count, zero), 0, None)


def symbolic_range(start: Any, stop: Any, step: Any = 1) -> Indexed:
    """``range`` whose bounds may be known only at run time."""
    first, last, stride = (as_dim(value, "a range") for value in (start, stop, step))
    sizes = current_trace().sizes
    if isinstance(stride, int) and stride == 1:
        return SymbolicRange(first, last)
    try:
        with sizes.answering(usually=False):
            if sizes.decide(stride, "== 0"):
                raise ValueError(_NO_STEP)
            forward = sizes.decide(stride, ">= 0")
    except UndecidedError:
        return SymbolicRange(0, _computed_count(first, last, stride), python_size(first), python_size(stride))
    distance = last - first if forward else first - last
    width = stride if forward else -stride
    count = (distance + width - 1) // width
    try:
        if not sizes.decide(count, ">= 0"):
            count = 0
    except UndecidedError:
        count = maximum(count, 0)
    return SymbolicRange(0, count, python_size(first), python_size(stride))


def _replaces(function: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def register(implementation: Callable[..., Any]) -> Callable[..., Any]:
        BUILTINS[function] = implementation
        return implementation

    return register


@_replaces(range)
def _range(*args: Any) -> Any:
    if not any(isinstance(value, Tracer) for value in args) or not 0 < len(args) < 4:
        return range(*args)
    if len(args) == 1:
        return symbolic_range(0, args[0])
    return symbolic_range(*args)


@_replaces(enumerate)
def _enumerate(iterable: Any, start: Any = 0) -> Any:
    indexed = as_indexed(iterable)
    if indexed is None:
        return enumerate(iterable, start)
    items = indexed.from_zero()
    return Indexed(0, items.stop, lambda k: (k + start, items.item(k)), items.lists)


@_replaces(zip)
def _zip(*iterables: Any, strict: bool = False) -> Any:
    found = [as_indexed(iterable) for iterable in iterables]
    parts = [part.from_zero() for part in found if part is not None]
    if not parts or len(parts) < len(found):
        return zip(*iterables, strict=strict)
    sizes = current_trace().sizes
    stop = parts[0].stop
    for part in parts[1:]:
        if sizes.is_late(stop - part.stop):
            stop = minimum(stop, part.stop)
        elif not sizes.decide(part.stop - stop, ">= 0"):
            stop = part.stop
    lists = tuple(each for part in parts for each in part.lists)
    return Indexed(0, stop, lambda k: tuple(part.item(k) for part in parts), lists)


@_replaces(reversed)
def _reversed(sequence: Any) -> Any:
    indexed = as_indexed(sequence)
    return reversed(sequence) if indexed is None else reversed(indexed)


def item_at(indexed: Indexed, index: SymbolicInt | int) -> Any:
    """One item."""
    return indexed.item(index)
