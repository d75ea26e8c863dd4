"""Truth tests of the user's function: ``if``, ``and``, ``or``, ``not``, ``is``, ``in``, ``assert`` and the like.

What is known while tracing is decided at once, the rest by the program.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import CellType
from typing import Any

import numpy as np

from tracejit.trace.array import TracedArray
from tracejit.trace.base import Tracer
from tracejit.trace.branches import Branch, emit_check
from tracejit.trace.context import active_trace, as_it_is, current_trace, flat
from tracejit.trace.facts import Fact, facts_of, negated, note_meaning, outer_facts
from tracejit.trace.inputs import contains_tracer, operand_of, stand_in
from tracejit.trace.instances import compares_itself
from tracejit.trace.location import is_internal, user_location
from tracejit.trace.maybe import Maybe, made, narrowed
from tracejit.trace.region import StagedRaise
from tracejit.trace.registry import call, implements
from tracejit.trace.scalar import PythonNumber, SymbolicInt, number
from tracejit.trace.sizes import UndecidedError
from tracejit.trace.state import (
    cells_of,
    join,
    kind_of,
)
from tracejit.trace.traced_list import TracedList
from tracejit.trace.values import reshape, truth

__all__ = ["both", "branch", "chain", "choose", "ensure", "opposite", "truth_of"]


def truth_of(value: Any) -> Any:
    """``bool(value)``: a plain bool, or a traced one where only the running program knows."""
    if not isinstance(value, Tracer):
        return bool(value)
    if isinstance(value, Maybe):
        return _truth_of_maybe(value)
    if isinstance(value, TracedList):
        value = value.held()
        if type(value) is int:
            return value > 0
    if isinstance(value, SymbolicInt):
        try:
            return bool(value)
        except UndecidedError:
            return number(truth(value.operand()), bool)
    if isinstance(value, TracedArray) and not all(d == 1 for d in value.shape):
        bool(stand_in(value))  # raises what NumPy raises
    operand = operand_of(value)
    return number(truth(reshape(operand, ())), bool)


def _truth_of_maybe(value: Maybe) -> Any:
    if value.name is not None:
        return truth_of(value.required())
    going = value.test()
    if isinstance(going, bool):
        return going and truth_of(value.value)
    return both(going, lambda: truth_of(value.value))


def branch(
    test: Any,
    then: Callable[[], Any],
    otherwise: Callable[[], Any],
    needed: Sequence[str],
    cells: Mapping[str, CellType],
    changed: Sequence[str] = (),
) -> None:
    """``if test: then() else: otherwise()``; ``needed`` are the variables that are read later.

    changed: the variables whose lists one of the sides changes.
    """
    going = truth_of(test)
    if isinstance(going, bool):
        (then if going else otherwise)()
        return
    Branch(going.operand(), needed, cells, changed=changed).run(then, otherwise)


@implements("when")
def when(test: Any, then: Callable[[], Any]) -> None:
    """``if test: then()``."""

    def side() -> None:
        then()

    def nothing() -> None: ...

    branch(test, side, nothing, (), {})


def choose(test: Any, then: Callable[[], Any], otherwise: Callable[[], Any]) -> Any:
    """``then() if test else otherwise()``."""
    going = truth_of(test)
    if isinstance(going, bool):
        return then() if going else otherwise()
    return Branch(going.operand(), (), {}, _variables_of(then, otherwise)).run(then, otherwise)


def _variables_of(*functions: Any) -> dict[str, CellType]:
    """The user's variables that expressions read which are evaluated later."""
    return cells_of(f for f in functions if not is_internal(f.__code__.co_filename))


def both(first: Any, *rest: Callable[[], Any]) -> Any:
    """``first and rest() and ...``."""
    value = first
    for following in rest:
        if not isinstance(value, Tracer):
            if not value:
                return value
            value = following()
            continue
        value = _joined(value, following, True)
    return value


def either(first: Any, *rest: Callable[[], Any]) -> Any:
    """``first or rest() or ...``."""
    value = first
    for following in rest:
        if not isinstance(value, Tracer):
            if value:
                return value
            value = following()
            continue
        value = _joined(value, following, False)
    return value


def _joined(value: Any, following: Callable[[], Any], conjunction: bool) -> Any:
    going = truth_of(value)
    if isinstance(going, bool):
        return following() if going == conjunction else value

    kind, outer = kind_of(value), current_trace()
    joins = False
    further: list[Fact] = []

    def rest() -> Any:
        nonlocal joins
        found = following()
        other = kind_of(found)
        joins = kind is not None and other is not None and join(kind, other) is not None
        joins = joins or isinstance(value, Maybe) or isinstance(found, Maybe)
        # Values of two shapes have no common one: only their truth is told.
        told = found if joins else truth_of(found)
        if isinstance(told, PythonNumber) and told.python_type is bool:
            inner = current_trace()
            find = facts_of if inner is outer else outer_facts
            further.extend(find(told.operand(), conjunction, inner))
        return told

    def here() -> Any:
        return narrowed(value) if joins else not conjunction

    test = going if conjunction else opposite(going)
    joined = Branch(test.operand(), (), {}, _variables_of(following)).run(rest, here)
    facts = [*facts_of(going.operand(), conjunction, outer), *further]
    note_meaning(joined, true=facts if conjunction else (), false=() if conjunction else facts)
    return joined


def opposite(value: Any) -> Any:
    """``not value``."""
    going = truth_of(value)
    return not going if isinstance(going, bool) else negated(going)


def contained(item: Any, container: Any) -> Any:
    """``item in container``: of arrays any equal element, of lists and tuples one comparison after the other."""
    if isinstance(container, TracedList):
        return container.contains(item)
    if (trace := active_trace()) is not None and compares_itself(item):
        trace.captures.pin((item, container))
    if isinstance(container, TracedArray):
        return truth_of(call(np.any, container == item))
    if type(container) not in (list, tuple) or not contains_tracer((item, container)):
        return item in container
    comparisons = [lambda element=element: element is item or element == item for element in container]
    return truth_of(either(False, *comparisons))


def identical(left: Any, right: Any) -> Any:
    """``left is right``: Python has one object for each of its two bools."""
    for one, other in ((left, right), (right, left)):
        if isinstance(one, Maybe) and one is not other:
            return _same_or_none(one, other)
    if left is not right and _is_python_bool(left) and _is_python_bool(right):
        return truth_of(left == right)
    return left is right


def _same_or_none(value: Maybe, other: Any) -> Any:
    absent = opposite(value.test())
    if other is None:
        return absent
    if isinstance(other, Maybe):
        neither = both(absent, lambda: opposite(other.test()))
        return neither if value.value is not other.value else either(neither, value.test, other.test)
    return both(value.test(), lambda: identical(value.value, other))


def _is_python_bool(value: Any) -> bool:
    return isinstance(value, bool) or (isinstance(value, PythonNumber) and value.python_type is bool)


_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "Lt": lambda a, b: a < b,
    "LtE": lambda a, b: a <= b,
    "Gt": lambda a, b: a > b,
    "GtE": lambda a, b: a >= b,
    "Eq": lambda a, b: a == b,
    "NotEq": lambda a, b: a != b,
}


def chain(left: Any, *pairs: Any) -> Any:
    """``left < b() < c()`` and the like, each value computed once."""
    name, following, *rest = pairs
    right = following()
    result = _COMPARE[name](left, right)
    return both(result, lambda: chain(right, *rest)) if rest else result


def ensure(test: Any, message: Callable[[], Any]) -> None:
    """``assert test, message()``."""
    going = truth_of(test)
    if isinstance(going, bool):
        if not going:
            found = message()
            raise AssertionError() if found is None else AssertionError(found)
        return
    found = message()
    text = "" if found is None else str(found)
    emit_check(going.operand(), "AssertionError", as_it_is(text))


def finished(value: Any, returned: Any) -> Any:
    """What a function gives whose end was reached; ``returned``: whether a return was run before."""
    if value is None or not isinstance(returned, Tracer):
        return value
    if not isinstance(value, Maybe):
        return made(None, (returned, value))
    there = both(returned, lambda: value.test())
    return made(None, (there, value.value))


def raising(error: Any) -> Any:
    """What a ``raise`` raises: where it depends on a traced condition, the end of the branch."""
    trace = active_trace()
    found = error() if isinstance(error, type) else error
    while trace is not None and trace.region:
        if any(at is trace and isinstance(found, flat(kinds)) for kinds, _, at in trace.captures.caught):
            return found  # caught in the same block, as it always is
        if trace.conditional:
            return StagedRaise(found, user_location())
        trace = trace.parent
    return error
