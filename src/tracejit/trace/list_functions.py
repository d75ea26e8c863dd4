"""Functions that make lists or ask about them: ``list(x)``, ``sorted``, ``a + b``, ``[x] * n``, ``heapq``."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.ir.dims import DimLike, maximum
from tracejit.ir.types import ArrayType
from tracejit.trace.array import TracedArray, new_array
from tracejit.trace.base import Tracer
from tracejit.trace.builtin_functions import BUILTINS, replaces
from tracejit.trace.comprehensions import Generated, added, comprehension
from tracejit.trace.context import current_trace
from tracejit.trace.dtypes import PYTHON_DTYPES
from tracejit.trace.inputs import contains_tracer
from tracejit.trace.iteration import Indexed, as_indexed
from tracejit.trace.list_items import Item, join_items
from tracejit.trace.loops import SHORT, for_loop
from tracejit.trace.pytree import LEAF
from tracejit.trace.region import UnstageableError
from tracejit.trace.registry import ask, call, implements
from tracejit.trace.scalar import SymbolicInt, as_dim
from tracejit.trace.state import Kind
from tracejit.trace.traced_list import TracedList
from tracejit.trace.values import broadcast_to, reshape, resolve_dims

__all__ = ["collected", "list_of_array"]


# ------------------------------------------------------------------------------------------------------- making lists


def list_of_array(array: TracedArray) -> Any:
    """``list(array)``."""
    kind = Kind("array" if array.ndim > 1 else "scalar", ArrayType(array.dtype, resolve_dims(array.dims[1:])))
    return TracedList.around([new_array(array.operand())], Item(LEAF, (kind,)))


def collected(iterable: Any, function: Callable[[Any], Any]) -> Any:
    """``[function(x) for x in iterable]``."""
    return comprehension(iterable, lambda item, out: added(out, function(item)))


def _is_long(count: DimLike) -> bool:
    return not isinstance(count, int) or count > 4


def _class(kind: type) -> None:
    plain = BUILTINS.get(kind, kind)

    @replaces(kind)
    def make(*args: Any, **kwargs: Any) -> Any:
        if len(args) != 1 or kwargs:
            return plain(*args, **kwargs)
        value = args[0].collect() if isinstance(args[0], Generated) else args[0]
        made = None if current_trace().captures.plain_lists is not None else _list_of(value)
        if made is None:
            return plain(value)
        made.python_class = kind
        return made


def _list_of(value: Any) -> TracedList | None:
    """``list(value)`` as a new list of the program; None where it is one of Python."""
    made: Any = None
    if isinstance(value, TracedList):
        made = value.as_list()
        made = made.copy() if made is value else made
    elif isinstance(value, TracedArray) and value.dims and _is_long(value.dims[0]):
        made = list_of_array(value)
    elif isinstance(value, Indexed) and _is_long(current_trace().sizes.resolve(value.stop - value.start)):
        made = collected(value, lambda item: item)
    return made if isinstance(made, TracedList) else None


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
    made = collected(values, lambda item: ask("call on tracers", function, item))
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
    columns = []
    for each in (x, y):
        each.own_memory()
    for p, q, kind in zip(x.parts(), y.parts(), item.kinds, strict=True):
        columns.append(call(np.concatenate, [call("astype", part, kind.type.dtype) for part in (p, q)]))
    made = TracedList.around(columns, item)
    made.forms = list(dict.fromkeys([*x.forms, *y.forms]))
    if made.mixed:
        made.marks = call(np.concatenate, [x.marks_among(made.forms), y.marks_among(made.forms)])
    return made


@implements("repeat list")
def repeat_list(items: Any, times: Any) -> Any:
    """``items * times``."""
    if isinstance(times, Tracer) and issubclass(getattr(times, "python_type", int), float):
        raise TypeError("can't multiply sequence by non-int of type 'float'")
    count = as_dim(times, "a size")
    if isinstance(count, int) and type(items) is list:
        return items * count
    if type(items) is list and len(items) == 1 and items[0] is None:
        return TracedList.blanks(count)
    try:
        traced = _as_traced(items)
    except UnstageableError:
        if type(items) is not list:
            raise
        return items * current_trace().sizes.concrete(count)
    if traced.item is None:
        return []
    traced.own_memory()
    sizes = current_trace().sizes
    count = count if sizes.proves(count) else maximum(count, 0)
    columns = []
    for part in traced.all_parts():
        x = part.operand()
        own = x.type.dims
        wide = broadcast_to(reshape(x, (1, *own)), (count, *own))
        columns.append(new_array(reshape(wide, (count * own[0], *own[1:]))))
    return TracedList.around(columns, traced.item, traced)


def _extreme(function: Any) -> None:
    others = BUILTINS[function]

    @replaces(function)
    def extreme(*args: Any, **kwargs: Any) -> Any:
        if args and isinstance(args[0], Generated):
            args = (args[0].collect(), *args[1:])
        if args and isinstance(args[0], TracedList):
            args = (args[0].as_list(), *args[1:])
            if not args[0].columns:
                args = (args[0].first, *args[1:])
        return others(*args, **kwargs)


_extreme(max)
_extreme(min)
_extreme(sum)
_extreme(any)
_extreme(all)


# ---------------------------------------------------------------------------------------------------------- questions


@replaces(sorted)
def _sorted(iterable: Any, /, *, key: Any = None, reverse: Any = False) -> Any:
    if isinstance(iterable, (TracedArray, Indexed, Generated)):
        iterable = BUILTINS[list](iterable)
    if isinstance(iterable, TracedList):
        iterable = iterable.as_list()
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


@implements("list of numbers")
def list_of_numbers(array: TracedArray) -> Any:
    """``array.tolist()``: a list of Python's numbers, or of such lists."""
    number = {"b": bool, "i": int, "u": int, "f": float, "c": complex}[array.dtype.kind]
    dims = resolve_dims(array.dims)
    if dims[0] == 0:
        return []
    if current_trace().captures.plain_lists is not None or (isinstance(dims[0], int) and dims[0] <= SHORT):
        return [call("tolist", part) for part in array]
    kind = Kind("list" if array.ndim > 1 else "python", ArrayType(PYTHON_DTYPES[number], dims[1:]), number)
    return TracedList.around([call("astype", array, kind.type.dtype)], Item(LEAF, (kind,)))


@implements("computed item")
def computed_item(items: Any, key: Any) -> Any:
    """``items[key]`` of a list or tuple of numbers at an index that the program computes."""
    trace = current_trace()
    if isinstance(key, SymbolicInt) and not trace.sizes.is_late(trace.sizes.resolve(key.dim)):
        return NotImplemented
    if key.dims or (getattr(key, "dim", None) is not None and not isinstance(key, SymbolicInt)):
        return NotImplemented
    if not items or len(items) > _LONGEST or any(isinstance(x, (list, np.ndarray, TracedArray)) for x in items):
        return NotImplemented
    try:
        made = TracedList(list(items), trace)
    except UnstageableError:
        return NotImplemented
    made.own_memory()
    return made[key]


_LONGEST = 10_000
