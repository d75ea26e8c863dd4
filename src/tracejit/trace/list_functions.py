"""Functions that make lists or ask about them: ``list(x)``, ``sorted``, ``a + b``, ``[x] * n``, ``heapq``."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracejit.ir.dims import DimLike, maximum
from tracejit.ir.types import ArrayType
from tracejit.trace.array import TracedArray, new_array
from tracejit.trace.base import Tracer
from tracejit.trace.builtin_functions import BUILTINS
from tracejit.trace.context import current_trace
from tracejit.trace.inputs import contains_tracer
from tracejit.trace.iteration import Indexed, as_indexed
from tracejit.trace.list_items import Item, join_items, split
from tracejit.trace.loops import for_loop
from tracejit.trace.pytree import LEAF
from tracejit.trace.region import UnstageableError
from tracejit.trace.registry import call, implements
from tracejit.trace.scalar import as_dim, number
from tracejit.trace.state import Kind
from tracejit.trace.traced_list import TracedList
from tracejit.trace.values import broadcast_to, reshape, resolve_dims

__all__ = ["collected", "list_of_array", "traced_list"]


def _replaces(function: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def register(implementation: Callable[..., Any]) -> Callable[..., Any]:
        BUILTINS[function] = implementation
        return implementation

    return register


# ------------------------------------------------------------------------------------------------------- making lists


def list_of_array(array: TracedArray) -> TracedList:
    """``list(array)``."""
    kind = Kind("array" if array.ndim > 1 else "scalar", ArrayType(array.dtype, resolve_dims(array.dims[1:])))
    return TracedList.around([new_array(array.operand())], Item(LEAF, (kind,)))


def traced_list(values: Sequence[Any], item: Item) -> TracedList:
    """Values of one item as a list with memory."""
    made = TracedList([], current_trace())
    made.item = item
    made.first = list(values)
    made.length = len(made.first)
    made.own_memory()
    made.first = []
    return made


def collected(iterable: Any, function: Callable[[Any], Any], *, wanted: Callable[[Any], Any] | None = None) -> Any:
    """``[function(x) for x in iterable if wanted(x)]``."""
    result: Any = []

    def turn(item: Any) -> None:
        if wanted is None:
            result.append(function(item))
        else:
            call("when", wanted(item), lambda: result.append(function(item)))

    for_loop(iterable, turn, (), ("result",), None, ("result",))  # type: ignore[arg-type]
    return result


def _is_long(count: DimLike) -> bool:
    return not isinstance(count, int) or count > 4


def _class(kind: type) -> None:
    plain = BUILTINS.get(kind, kind)

    @_replaces(kind)
    def make(*args: Any, **kwargs: Any) -> Any:
        if len(args) != 1 or kwargs:
            return plain(*args, **kwargs)
        (value,) = args
        if current_trace().captures.plain_lists is not None:
            return plain(value)
        if isinstance(value, TracedList):
            made = value.copy()
            if isinstance(made, TracedList):
                made.python_class = kind
                return made
            return kind(made)
        if isinstance(value, TracedArray) and value.dims and _is_long(value.dims[0]):
            made = list_of_array(value)
            made.python_class = kind
            return made
        if isinstance(value, Indexed) and _is_long(current_trace().sizes.resolve(value.stop - value.start)):
            made = collected(value, lambda item: item)
            if isinstance(made, TracedList):
                made.python_class = kind
                return made
            return kind(made)
        return plain(value)


_class(list)
_class(deque)


@implements("for each")
def for_each(iterable: Any, function: Callable[[Any], Any]) -> None:
    """``for x in iterable: function(x)``."""
    indexed = as_indexed(iterable)
    if indexed is None:
        for value in iterable:
            function(value)
        return

    def turn(item: Any) -> None:
        function(item)

    for_loop(indexed, turn, (), (), None)  # type: ignore[arg-type]


@implements("map list")
def map_list(function: Callable[[Any], Any], values: TracedList) -> Any:
    """The list of a function of each item."""
    made = collected(values, lambda item: call("call", function, item))
    return made if isinstance(made, TracedList) else _as_traced(made)


def _as_traced(values: Any) -> TracedList:
    if isinstance(values, TracedList):
        return values
    made = TracedList(list(values), current_trace())
    if made.item is None:
        raise UnstageableError("the items of a list are of no kind that the compiled function can hold")
    return made


@implements("concatenate lists")
def concatenate_lists(a: Any, b: Any) -> Any:
    """``a + b``."""
    if not all(isinstance(x, list) or (isinstance(x, TracedList) and x.python_class is list) for x in (a, b)):
        raise TypeError('can only concatenate list (not "' + type(b).__name__ + '") to list')
    if type(a) is list and not a:
        return b.copy()
    if type(b) is list and not b:
        return a.copy()
    x, y = _as_traced(a), _as_traced(b)
    if x.item is None or y.item is None:
        return (y if x.item is None else x).copy()
    item = join_items(x.item, y.item)
    if item is None:
        raise UnstageableError(f"a list of {x.item} and one of {y.item} are joined")
    x.own_memory(), y.own_memory()
    columns = []
    for p, q, kind in zip(x.parts(), y.parts(), item.kinds, strict=True):
        parts = [call("astype", part, kind.type.dtype) for part in (p, q)]
        columns.append(call(np.concatenate, parts))
    made = TracedList.around(columns, item)
    made.mixed = x.mixed or y.mixed or x.item != y.item
    return made


@implements("repeat list")
def repeat_list(items: Any, times: Any) -> Any:
    """``items * times``."""
    count = as_dim(times, "a size")
    traced = _as_traced(items)
    if traced.item is None:
        return []
    traced.own_memory()
    sizes = current_trace().sizes
    count = count if sizes.proves(count) else maximum(count, 0)
    columns = []
    for part in traced.parts():
        x = part.operand()
        own = x.type.dims
        wide = broadcast_to(reshape(x, (1, *own)), (count, *own))
        columns.append(new_array(reshape(wide, (count * own[0], *own[1:]))))
    made = TracedList.around(columns, traced.item)
    made.mixed = traced.mixed
    return made


# ---------------------------------------------------------------------------------------------------------- questions


@_replaces(sorted)
def _sorted(iterable: Any, /, *, key: Any = None, reverse: Any = False) -> Any:
    if isinstance(iterable, (TracedArray, Indexed)):
        iterable = BUILTINS[list](iterable)
    if not contains_tracer(iterable):
        return sorted(iterable, key=key, reverse=reverse)
    if not isinstance(iterable, TracedList):
        values = list(iterable)
        if len(values) < 2:
            return values
        made = _as_traced(values)
        if made.mixed:
            raise UnstageableError("numbers of different kinds are sorted")
        return list(made.taken(made.sorting_order(key, reverse)))
    if iterable.item is None:
        return []
    return iterable.taken(iterable.sorting_order(key, reverse))


@implements("smaller")
def smaller(a: int, b: Any) -> Any:
    """``min(a, b)``."""
    return BUILTINS[min](a, b)


# -------------------------------------------------------------------------------------------------------------- heaps


def _less(a: Any, b: Any) -> Any:
    """``a < b`` of items: tuples by their first difference."""
    x, y = split(a)[0], split(b)[0]
    result: Any = x[-1] < y[-1]
    for p, q in zip(reversed(x[:-1]), reversed(y[:-1]), strict=True):
        before, same = p < q, p == q
        result = call(np.logical_or, before, call(np.logical_and, same, result))
    return number(result.operand(), bool) if isinstance(result, Tracer) else bool(result)


@_replaces(heapq.heappush)
def _push(heap: Any, item: Any, /) -> None:
    if not isinstance(heap, TracedList):
        _refuse_computed(heap, item)
        heapq.heappush(heap, item)
        return
    heap.append(item)
    call("with hooks", _sift_down)(heap, 0, heap.held() - 1)


@_replaces(heapq.heappop)
def _pop(heap: Any, /) -> Any:
    if not isinstance(heap, TracedList):
        _refuse_computed(heap)
        return heapq.heappop(heap)
    heap._check_not_empty("index out of range")
    return call("with hooks", _pop_smallest)(heap)


def _refuse_computed(*values: Any) -> None:
    if contains_tracer(list(values)):
        raise UnstageableError("a heap of computed values is changed outside of the function that makes it")


def _sift_down(heap, start, place):  # type: ignore[no-untyped-def]
    """An item moves towards the root, past those that are larger."""
    item = heap[place]
    while place > start:
        parent = (place - 1) >> 1
        above = heap[parent]
        if not _less(item, above):
            break
        heap[place] = above
        place = parent
    heap[place] = item


def _sift_up(heap, place):  # type: ignore[no-untyped-def]
    """The smaller children move up until a leaf is free, and the item goes up from there."""
    end = len(heap)
    start = place
    item = heap[place]
    child = 2 * place + 1
    while child < end:
        right = child + 1
        if right < end and not _less(heap[child], heap[right]):
            child = right
        heap[place] = heap[child]
        place = child
        child = 2 * place + 1
    heap[place] = item
    _sift_down(heap, start, place)


def _pop_smallest(heap):  # type: ignore[no-untyped-def]
    last = heap.pop()
    smallest = last
    if len(heap) > 0:
        smallest = heap[0]
        heap[0] = last
        _sift_up(heap, 0)
    return smallest
