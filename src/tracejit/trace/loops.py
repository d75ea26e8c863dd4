"""Loops of the user's function as operations with regions.

A loop is traced once, on tracers for what it carries. Variables that change their kind on the way are joined and the
loop is traced again; where that does not help, the first turn runs before the loop. What cannot be staged runs turn by
turn in Python while tracing, which the log ``tracejit.guards`` tells.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import CellType, FunctionType
from typing import Any

from tracejit.errors import TracejitError, UnsupportedError
from tracejit.ir.dims import DimLike
from tracejit.trace.conditions import branch, truth_of
from tracejit.trace.context import current_trace
from tracejit.trace.growing_lists import GrowingLists, GrowsError
from tracejit.trace.iteration import Indexed, as_indexed
from tracejit.trace.location import describe, user_location
from tracejit.trace.loop_body import LoopBody, NewListError, PeelError, RetryError, loop_index
from tracejit.trace.loop_emission import emit_loop
from tracejit.trace.loop_results import NoTurnError
from tracejit.trace.open_groups import OpenGroups
from tracejit.trace.region import CarryError, StagedRaise, UnstageableError, watched
from tracejit.trace.rotation import Rotation, grouped
from tracejit.trace.scalar import number, python_size
from tracejit.trace.state import cells_of, get, put
from tracejit.trace.values import dim_value, emit

__all__ = ["captured", "for_loop", "turns_in_python", "while_loop"]

_log = logging.getLogger("tracejit.guards")
SHORT = 4  # turns of a loop with a constant count that are traced one by one
MOST_RECORDED = 50_000  # operations that such loops may record, all of one function together
MOST_TURNS = 20_000  # of a loop that runs in Python while tracing


# -------------------------------------------------------------------------------------------------------------- entry


def for_loop(
    iterable: Any,
    body: FunctionType,
    carried: Sequence[str],
    needed: Sequence[str],
    stopped: str | None,
    changed: Sequence[str] = (),
) -> None:
    """``for item in iterable: body(item)``; ``stopped`` names the variable that ends it early.

    changed: the variables whose lists the body changes.
    """
    indexed = as_indexed(iterable)
    if indexed is None:
        _turn_by_turn(iterable, body, stopped, needed)
        return
    count = current_trace().sizes.resolve(indexed.stop - indexed.start)
    if isinstance(count, int) and count <= SHORT:
        with indexed.going_through():
            _turn_by_turn(indexed, body, stopped, needed)
        return
    loop = LoopBody(body, None, carried, needed, stopped, changed)
    with indexed.going_through():
        problem = _stage(loop, indexed)
        if problem is not None:
            _fall_back(problem, indexed, loop)


def while_loop(
    test: FunctionType,
    body: FunctionType,
    carried: Sequence[str],
    needed: Sequence[str],
    changed: Sequence[str] = (),
) -> None:
    """``while test(): body()``."""
    loop = LoopBody(body, test, carried, needed, None, changed)
    problem = _stage(loop, None)
    if problem is None:
        return
    turns = 0
    with unrolling(problem, describe(user_location())) as budget:
        while True:
            going = truth_of(test())
            if not isinstance(going, bool):
                raise _refusal(problem)
            if not going:
                break
            body()
            turns += 1
            budget.check()
            if turns > MOST_TURNS:
                raise _too_long(problem)
    if turns:
        _say(f"while loop run {turns} times while tracing", problem)


def captured(indexed: Indexed, body: Any) -> Exception | None:
    """``for item in indexed: body(item)`` as a loop of the program; the reason where that cannot be done."""

    def turn(item: Any) -> None:
        body(item)

    return _stage(LoopBody(turn, None, (), (), None), indexed)  # type: ignore[arg-type]


def turns_in_python(indexed: Indexed, problem: Exception) -> None:
    """Say why a loop is about to run while tracing; raise where it cannot."""
    sizes = current_trace().sizes
    count = sizes.resolve(indexed.stop - indexed.start)
    if sizes.is_late(count):
        raise _refusal(problem)
    if sizes.hint(count) > MOST_TURNS:
        raise _too_long(problem)
    _say(f"loop run {max(sizes.hint(count), 0)} times while tracing", problem)


def _refusal(problem: Exception) -> Exception:
    """What a loop raises that cannot run while tracing either: nobody knows how many turns it has."""
    if not isinstance(problem, UnstageableError) or current_trace().region:
        return problem  # a loop around it may do something about it
    return UnsupportedError(
        f"the loop at {describe(user_location())} cannot be compiled as one, and how many turns it has is known only "
        f"when the compiled function runs: {problem}. Let every turn do the same with arrays, numbers and lists of one "
        "kind of items"
    )


class Budget:
    """How many operations loops that run turn by turn may record, all of one traced function together."""

    def __init__(self, where: str, problem: Exception) -> None:
        self.where = where
        self.problem = problem
        self.start = current_trace().sizes.recorded

    def check(self) -> None:
        """Refuse a program that would take minutes to compile."""
        outermost: Budget = current_trace().captures.unrolling
        recorded = current_trace().sizes.recorded - outermost.start
        if recorded > MOST_RECORDED:
            inner = "" if outermost is self else f" Of the one at {self.where} inside: {self.problem}."
            raise UnsupportedError(
                f"the loop at {outermost.where} runs turn by turn while tracing, and has recorded more than "
                f"{MOST_RECORDED} operations, which would take minutes to compile. The reason: {outermost.problem}."
                f"{inner} Let every turn do the same with arrays, numbers and lists of one kind of items, so that the "
                "loop is compiled as one, or use functions of arrays instead of it"
            )


@contextmanager
def unrolling(problem: Exception, where: str) -> Iterator[Budget]:
    """While a loop runs turn by turn."""
    captures = current_trace().captures
    budget = Budget(where, problem)
    before = captures.unrolling
    captures.unrolling = before or budget
    try:
        yield budget
    finally:
        captures.unrolling = before


def _turn_by_turn(
    iterable: Any, body: FunctionType, stopped: str | None, needed: Sequence[str], budget: Budget | None = None
) -> None:
    cell = cells_of([body])[stopped] if stopped else None
    for item in iterable:
        if budget is not None:
            budget.check()
        if cell is not None:
            gone = truth_of(get(cell))
            if isinstance(gone, bool):
                if gone:
                    break
            else:
                _under_flag(cell, body, item, needed)
                continue
        body(item)


def _under_flag(cell: CellType, body: FunctionType, item: Any, needed: Sequence[str]) -> None:
    """One turn of a loop that may have ended already."""

    def nothing() -> None: ...

    names = sorted({*needed, *body.__code__.co_freevars})
    branch(get(cell), nothing, lambda: body(item), names, cells_of([body]))


def _fall_back(problem: Exception, indexed: Indexed, loop: LoopBody) -> None:
    turns_in_python(indexed, problem)
    where = describe(user_location())
    try:
        with unrolling(problem, where) as budget:
            _turn_by_turn(indexed, loop.body, loop.stopped, loop.needed, budget)
    except TracejitError as error:
        error.add_note(f"in a loop that runs turn by turn while tracing ({where}), as {problem}")
        raise


def _too_long(problem: Exception) -> Exception:
    return UnsupportedError(f"a loop of more than {MOST_TURNS} turns cannot be compiled as a loop: {problem}")


def _say(what: str, problem: Exception) -> None:
    """Log that a loop is unrolled, once for each line."""
    where, said = describe(user_location()), current_trace().captures.said
    if where not in said:
        said.add(where)
        _log.info("%s: %s: %s", where, what, problem)


# ------------------------------------------------------------------------------------------------------------- staging


def _stage(loop: LoopBody, indexed: Indexed | None) -> Exception | None:
    """Emit the loop; the reason where that cannot be done, with everything as it was."""
    lists = GrowingLists(loop.outer, loop.cells, loop.changed)
    before = {name: get(cell) for name, cell in loop.cells.items()}
    with watched(list(before.values())) as changed:
        try:
            _trace_and_emit(loop, indexed, changed, lists)
            return None
        except StagedRaise:
            reason: Exception = PeelError("it raises in its first turn")
        except Exception as error:
            reason = error
    lists.leave(done=False)
    for name, value in before.items():
        put(loop.cells[name], value)
    before.clear()  # lists to which nothing else refers may become traced ones in another attempt
    if isinstance(reason, UnstageableError):
        reason.__traceback__ = reason.__context__ = None  # its frames refer to them, too
    if isinstance(reason, NoTurnError):
        return None
    if isinstance(reason, Rotation):
        return _stage_groups(loop, indexed, reason)
    if isinstance(reason, PeelError) and indexed is not None and _is_single(loop) and loop.runs_once(indexed):
        first, rest = indexed.start, Indexed(indexed.start + 1, indexed.stop, indexed.item, indexed.lists)
        loop.turns(indexed.item(python_size(first)))
        if loop.stopped is None:
            for_loop(rest, loop.body, loop.carried, loop.needed, loop.stopped)
            return None
    return reason


def _is_single(loop: LoopBody) -> bool:
    """Whether a turn of the program is one of Python's."""
    return loop.group == 1 and loop.run_group is None


def _trace_and_emit(loop: LoopBody, indexed: Indexed | None, changed: Callable[[], bool], lists: GrowingLists) -> None:
    turns = None if indexed is None or loop.stopped is not None else loop.most_turns(indexed)
    if lists.converted and (indexed is None or loop.runs_once(indexed, late=True)):
        lists.enter()
    names = loop.begin(indexed)
    for _ in range(12):
        try:
            lists.begin(turns)
            attempt = loop.trace(names, indexed)
            lists.check(attempt.region.written)
        except RetryError:
            continue
        except GrowsError as grown:
            if grown.owner is not loop.outer:
                raise
            _require_turn(grown, loop, indexed)
            lists.prepare(grown)
            continue
        except NewListError as error:
            lists.convert(error.name)
            names = loop.begin(indexed)
            continue
        if changed():
            raise UnstageableError("its body changes a list or dict")
        try:
            emit_loop(loop, attempt)
        except CarryError as missing:
            loop.carry(missing.name, names)
            continue
        lists.finish(attempt.ends)
        return
    raise UnstageableError("its variables change their kind from turn to turn")


def _require_turn(grown: GrowsError, loop: LoopBody, indexed: Indexed | None) -> None:
    """What a list without an item would hold is told by a turn."""
    if grown.list.item is None and indexed is not None and not loop.runs_once(indexed, late=True):
        raise UnstageableError("a list stays empty as there is no turn") from None


def _stage_groups(loop: LoopBody, indexed: Indexed | None, rotation: Rotation) -> Exception | None:
    """The loop with so many turns as one that every array has its name again; then the turns left over."""
    if indexed is None or loop.stopped is not None:
        return _stage_open_groups(loop, indexed, rotation)
    period, sizes = rotation.period, loop.outer.sizes
    count = indexed.stop - indexed.start
    left: DimLike = count - (count // period) * period
    if rotation.outside and not sizes.is_late(left):
        left = sizes.concrete(left)  # which memory a name stands for after the loop must be known
    loop.group = period
    problem = _stage(loop, grouped(indexed, period))
    loop.group = 1
    if problem is None:
        _turns_left(loop, indexed, count - left, left, period - 1)
    return problem


def _stage_open_groups(loop: LoopBody, indexed: Indexed | None, rotation: Rotation) -> Exception | None:
    """The same for a loop that may end after any turn."""
    groups = OpenGroups(loop, indexed, rotation)
    with groups.entered():
        problem = _stage(loop, groups.indexed)
    if problem is None:
        groups.put_right()
        return None
    loop.rotates = False
    return _stage(loop, indexed)


def _turns_left(loop: LoopBody, indexed: Indexed, done: DimLike, left: DimLike, most: int) -> None:
    if not most:
        return
    more = left > 0 if isinstance(left, int) else number(emit("gt", dim_value(left), dim_value(0)), bool)
    names = sorted({*loop.needed, *loop.cells})

    def turn() -> None:
        index: Any = python_size(indexed.start + done)
        if not isinstance(left, int):
            index = loop_index(dim_value(indexed.start + done), indexed)
        loop.body(indexed.item(index))
        _turns_left(loop, indexed, done + 1, left - 1, most - 1)

    def nothing() -> None: ...

    branch(more, turn, nothing, names, loop.cells)
