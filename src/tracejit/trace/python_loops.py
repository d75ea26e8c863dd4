"""Python's functions that loop and call another one: ``reduce``, ``max(..., key=...)``, ``filter``, ``accumulate``.

Over arrays, ranges and lists that the program makes they are the loops that they stand for, which are traced like the
user's own; over other iterables Python runs them.
"""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.ir.dims import DimLike
from tracejit.trace.base import Tracer
from tracejit.trace.builtin_functions import BUILTINS, replaces
from tracejit.trace.context import current_trace
from tracejit.trace.inputs import contains_tracer
from tracejit.trace.iteration import Indexed, as_indexed
from tracejit.trace.registry import call
from tracejit.trace.scalar import python_size

__all__: list[str] = []

_MISSING: Any = object()


def _loops_over(iterable: Any) -> Indexed | None:
    """The iterable with an index, if only the program knows its items."""
    found = as_indexed(iterable) if contains_tracer(iterable) or isinstance(iterable, (np.ndarray, range)) else None
    if isinstance(iterable, Indexed):
        found = iterable
    return None if found is None else found.from_zero()


def _count(items: Indexed) -> DimLike:
    return current_trace().sizes.resolve(items.stop)


def _traced(function: Callable[..., Any]) -> Any:
    return call("with hooks", function)


def _from(items: Indexed, start: int) -> Indexed:
    return Indexed(start, items.stop, items.item)


# ------------------------------------------------------------------------------------------------- extremes by a key


def _extreme_by_key(function: Any, better: Callable[[Any, Any], Any]) -> None:
    plain = BUILTINS[function]

    @replaces(function)
    def extreme(*args: Any, key: Any = None, default: Any = _MISSING) -> Any:
        if key is None and default is _MISSING:
            return plain(*args)
        given = {} if default is _MISSING else {"default": default}
        if len(args) != 1:
            if key is None:
                return plain(*args, **given)
            items = as_indexed(args) or Indexed(0, len(args), lambda k: args[k])
        else:
            found = _loops_over(args[0])
            if found is None:
                values = args[0] if isinstance(args[0], (list, tuple)) else list(args[0])
                if key is None or not values:
                    return plain(values) if values else function(values, **given)
                found = Indexed(0, len(values), lambda k: values[k])
            items = found
        if key is None:
            return plain(*args) if default is _MISSING or not _is_empty(items) else default
        if _is_empty(items):
            return function((), **given)
        if all(isinstance(n, int) for n in (items.start, _count(items))):
            return _unrolled(list(items), key, better)
        return _traced(_best)(items.item(0), _from(items, 1), key, better)


def _is_empty(items: Indexed) -> bool:
    return current_trace().sizes.decide(_count(items) - items.start, "== 0")


def _unrolled(values: list[Any], key: Any, better: Any) -> Any:
    return _traced(_best)(values[0], values[1:], key, better)


def _best(best: Any, others: Any, key: Any, better: Any) -> Any:
    best_key = key(best)
    for item in others:
        item_key = key(item)
        if better(item_key, best_key):
            best = item
            best_key = item_key
    return best


_extreme_by_key(max, operator.gt)
_extreme_by_key(min, operator.lt)

# ----------------------------------------------------------------------------------------------- reduce and accumulate


@replaces(functools.reduce)
def _reduce(function: Any, iterable: Any, *initial: Any) -> Any:
    items = _loops_over(iterable)
    if items is None:
        return _traced(_folded)(function, list(iterable), *initial) if initial else _first_and_rest(function, iterable)
    if initial:
        return _traced(_folded)(function, items, *initial)
    if _is_empty(items):
        raise TypeError("reduce() of empty iterable with no initial value")
    return _traced(_folded)(function, _from(items, 1), items.item(0))


def _first_and_rest(function: Any, iterable: Any) -> Any:
    values = list(iterable)
    if not values:
        raise TypeError("reduce() of empty iterable with no initial value")
    return _traced(_folded)(function, values[1:], values[0])


def _folded(function: Any, items: Any, value: Any) -> Any:
    for item in items:
        value = function(value, item)
    return value


@replaces(itertools.accumulate)
def _accumulate(iterable: Any, func: Any = None, *, initial: Any = None) -> Any:
    func = operator.add if func is None else func
    items = _loops_over(iterable)
    if items is None:
        if not contains_tracer(iterable := list(iterable)) and not isinstance(initial, Tracer):
            return itertools.accumulate(iterable, func, initial=initial)
        values = iterable if initial is None else [initial, *iterable]
        return _traced(_partial_values)(func, values[1:], [values[0]], values[0]) if values else []
    if initial is None:
        if _is_empty(items):
            return []
        initial, items = items.item(0), _from(items, 1)
    return _traced(_partial_values)(func, items, [initial], initial)


def _partial_values(function: Any, items: Any, result: Any, value: Any) -> Any:
    for item in items:
        value = function(value, item)
        result.append(value)
    return result


# ------------------------------------------------------------------------------------------------- choosing and mapping


@replaces(filter)
def _filter(function: Any, iterable: Any) -> Any:
    items = _loops_over(iterable)
    if items is None or isinstance(iterable, range):
        values = list(iterable)
        if not contains_tracer(values):
            return filter(function, values)
        return _traced(_chosen)(bool if function is None else function, values, [])
    return _traced(_chosen)(bool if function is None else function, items, [])


def _chosen(function: Any, items: Any, result: Any) -> Any:
    for item in items:
        if function(item):
            result.append(item)
    return result


@replaces(itertools.takewhile)
def _takewhile(predicate: Any, iterable: Any) -> Any:
    items = _loops_over(iterable)
    if items is None or isinstance(iterable, range):
        return itertools.takewhile(predicate, iterable)
    return _traced(_leading)(predicate, items, [])


def _leading(predicate: Any, items: Any, result: Any) -> Any:
    for item in items:
        if not predicate(item):
            break
        result.append(item)
    return result


@replaces(map)
def _map(function: Any, *iterables: Any) -> Any:
    items = BUILTINS[zip](*iterables)
    apply = _traced(_applied)
    if isinstance(items, Indexed):
        return Indexed(items.start, items.stop, lambda k: apply(function, items.item(k)))
    return (apply(function, item) for item in items)


def _applied(function: Any, item: Any) -> Any:
    return function(*item)


# --------------------------------------------------------------------------------------------------- iterators of items


@replaces(itertools.pairwise)
def _pairwise(iterable: Any) -> Any:
    items = _loops_over(iterable)
    if items is None or isinstance(iterable, range):
        return itertools.pairwise(iterable)
    return Indexed(0, items.stop - 1, lambda k: (items.item(k), items.item(k + 1)))


@replaces(itertools.islice)
def _islice(iterable: Any, *args: Any) -> Any:
    items = _loops_over(iterable)
    if items is None or isinstance(iterable, range):
        return itertools.islice(iterable, *args)
    start, stop, step = slice(*args).start or 0, slice(*args).stop, slice(*args).step or 1
    total = python_size(_count(items))
    stop = total if stop is None else BUILTINS[min](stop, total)
    picked = BUILTINS[range](start, stop, step)
    places = as_indexed(picked)
    assert places is not None
    return Indexed(places.start, places.stop, lambda k: items.item(places.item(k)))


@replaces(itertools.starmap)
def _starmap(function: Any, iterable: Any) -> Any:
    items = _loops_over(iterable)
    apply = _traced(_applied)
    if items is None:
        return (apply(function, item) for item in iterable)
    return Indexed(items.start, items.stop, lambda k: apply(function, items.item(k)))


_sum = BUILTINS[sum]


@replaces(sum)
def _sum_of_items(iterable: Any, /, start: Any = 0) -> Any:
    if isinstance(iterable, Indexed):
        return _traced(_folded)(operator.add, iterable, start)
    return _sum(iterable, start)
