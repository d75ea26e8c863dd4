"""List comprehensions and generator expressions: loops that append, compiled as loops where they are long.

The rewritten syntax hands in the iterable and a function of one item, which adds what it makes to a list. Over a
constant range whose items the program does not compute it stays a list of Python.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tracejit.trace.conditions import truth_of
from tracejit.trace.context import active_trace, current_trace
from tracejit.trace.inputs import contains_tracer
from tracejit.trace.iteration import Indexed, as_indexed
from tracejit.trace.location import describe, user_location
from tracejit.trace.loops import captured, turns_in_python, unrolling
from tracejit.trace.region import region_of, watched
from tracejit.trace.registry import ask
from tracejit.trace.sizes import UndecidedError
from tracejit.trace.traced_list import TracedList

__all__ = ["Generated", "added", "comprehension", "extended", "filtered", "keyed"]

Step = Callable[[Any, Any], Any]
_LONG = 32  # turns of a constant range from which on computed items are made by a loop
_CONSTANT = 1000  # items of a constant range that may be known while tracing


def comprehension(iterable: Any, step: Step) -> Any:
    """``[... for item in iterable]``, where ``step(item, out)`` adds the items that belong to one."""
    out: Any = []
    if active_trace() is None:
        for item in iterable:
            out = step(item, out)
        return out
    indexed = as_indexed(iterable)
    if indexed is not None and _is_worth_a_loop(indexed, step):
        made = TracedList([], current_trace())
        with indexed.going_through():
            problem = captured(indexed, lambda item: step(item, made))
        if problem is None:
            return made if made.columns else made.first
        turns_in_python(indexed, problem)
        with unrolling(problem, describe(user_location())) as budget:
            for item in indexed:
                budget.check()
                out = step(item, out)
        return out
    for item in iterable if indexed is None else indexed:
        out = step(item, out)
    return out


def _is_worth_a_loop(indexed: Indexed, step: Step) -> bool:
    trace = current_trace()
    if trace.captures.plain_lists is not None:
        return False
    count = trace.sizes.resolve(indexed.stop - indexed.start)
    try:
        if not trace.sizes.decide(count - 1, ">= 0"):
            return False  # no item tells of what kind they would have been
    except UndecidedError:
        pass
    if not isinstance(count, int) or count > _CONSTANT:
        return True
    return count > _LONG and contains_tracer(_first(indexed, step))


def _first(indexed: Indexed, step: Step) -> Any:
    """What the first turn adds, found out by tracing it apart."""
    out: list[Any] = []
    with watched([]), region_of(current_trace()):
        made = step(next(iter(indexed)), out)
        return list(made) if type(made) is list else [made]


def keyed(is_dict: bool, iterable: Any, step: Step) -> Any:
    """A comprehension that makes a dict or set."""
    indexed = as_indexed(iterable)
    short = indexed is None or isinstance(current_trace().sizes.resolve(indexed.stop - indexed.start), int)
    found = comprehension(list(iterable) if short else iterable, step)
    if not isinstance(found, TracedList):
        return dict(found) if is_dict else set(found)
    made: Any = ask("map of", {} if is_dict else set(), current_trace())

    def enter(item: Any) -> None:
        if is_dict:
            made[item[0]] = item[1]
        else:
            made.add(item)

    ask("for each", found, enter)
    return made


def extended(out: Any, iterable: Any, step: Step) -> Any:
    """One more ``for`` inside: its items are added to the same list."""
    indexed = None if active_trace() is None else as_indexed(iterable)
    if isinstance(out, TracedList) and indexed is not None:
        ask("for each", indexed, lambda item: step(item, out))
        return out
    for item in iterable if indexed is None else indexed:
        out = step(item, out)
    return out


def filtered(out: Any, test: Any, inner: Callable[[Any], Any]) -> Any:
    """``if test`` inside."""
    going = truth_of(test)
    if isinstance(going, bool):
        return inner(out) if going else out
    made = out if isinstance(out, TracedList) else TracedList(out, current_trace())
    ask("when", going, lambda: inner(made))
    return made


def added(out: Any, value: Any) -> Any:
    """The list with one more item."""
    out.append(value)
    return out


class Generated:
    """A generator expression that a function is given, which makes a list of it."""

    def __init__(self, iterable: Any, step: Step) -> None:
        self.iterable = iterable
        self.step = step

    def __iter__(self) -> Iterator[Any]:
        return iter(self.collect())

    def collect(self) -> Any:
        """All items as a list."""
        return comprehension(self.iterable, self.step)
