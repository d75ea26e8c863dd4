"""Loops of the user's function as operations with regions.

A loop is traced once, on tracers for what it carries. Variables that change their kind on the way are joined and the
loop is traced again; where that does not help, the first turn runs before the loop. What cannot be staged runs turn by
turn in Python while tracing, which the log ``tracejit.guards`` tells.
"""

from __future__ import annotations

import dis
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import CellType, FunctionType
from typing import Any

import numpy as np

from tracejit.errors import UnsupportedError
from tracejit.ir.core import Operand, Value
from tracejit.ir.dims import Dim, DimLike, substitute, symbols_of
from tracejit.ir.primitive import PRIMITIVES
from tracejit.ir.types import scalar
from tracejit.trace.array import TracedArray
from tracejit.trace.branches import branch, truth_of
from tracejit.trace.context import Trace, current_trace
from tracejit.trace.inputs import as_array
from tracejit.trace.iteration import Indexed, as_indexed
from tracejit.trace.jumps import VALUE
from tracejit.trace.location import describe, user_location
from tracejit.trace.pytree import Tree, flatten, unflatten
from tracejit.trace.region import Inputs, UnstageableError, emit_regions, finish, region_of, watched
from tracejit.trace.rotation import Rotation, grouped, period_of
from tracejit.trace.scalar import SymbolicInt, number, python_size
from tracejit.trace.sizes import UndecidedError
from tracejit.trace.state import (
    UNDEFINED,
    Kind,
    ambiguous,
    cells_of,
    enter,
    get,
    is_outside,
    join,
    kind_of,
    operand_as,
    put,
    zeros,
)
from tracejit.trace.values import dim_value, emit, literal

__all__ = ["for_loop", "while_loop"]

_log = logging.getLogger("tracejit.guards")
SHORT = 4  # turns of a loop with a constant count that are traced one by one
MOST_TURNS = 20_000  # of a loop that runs in Python while tracing


# -------------------------------------------------------------------------------------------------------------- entry


def for_loop(
    iterable: Any, body: FunctionType, carried: Sequence[str], needed: Sequence[str], stopped: str | None
) -> None:
    """``for item in iterable: body(item)``; ``stopped`` names the variable that ends it early."""
    indexed = as_indexed(iterable)
    if indexed is None:
        _turn_by_turn(iterable, body, stopped, needed)
        return
    count = current_trace().sizes.resolve(indexed.stop - indexed.start)
    if isinstance(count, int) and count <= SHORT:
        _turn_by_turn(indexed, body, stopped, needed)
        return
    loop = _Loop(body, None, carried, needed, stopped)
    problem = loop.stage(indexed)
    if problem is not None:
        _fall_back(problem, indexed, count, loop)


def while_loop(test: FunctionType, body: FunctionType, carried: Sequence[str], needed: Sequence[str]) -> None:
    """``while test(): body()``."""
    loop = _Loop(body, test, carried, needed, None)
    problem = loop.stage(None)
    if problem is None:
        return
    turns = 0
    while True:
        going = truth_of(test())
        if not isinstance(going, bool):
            raise problem
        if not going:
            break
        body()
        turns += 1
        if turns > MOST_TURNS:
            raise _too_long(problem)
    _say(f"while loop run {turns} times while tracing", problem)


def _turn_by_turn(iterable: Any, body: FunctionType, stopped: str | None, needed: Sequence[str]) -> None:
    cell = cells_of([body])[stopped] if stopped else None
    for item in iterable:
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


def _fall_back(problem: Exception, indexed: Indexed, count: DimLike, loop: _Loop) -> None:
    sizes = current_trace().sizes
    if sizes.is_late(count):
        raise problem
    if sizes.hint(count) > MOST_TURNS:
        raise _too_long(problem)
    _say(f"loop run {sizes.hint(count)} times while tracing", problem)
    _turn_by_turn(indexed, loop.body, loop.stopped, loop.needed)


def _too_long(problem: Exception) -> Exception:
    return UnsupportedError(f"a loop of more than {MOST_TURNS} turns cannot be compiled as a loop: {problem}")


def _say(what: str, problem: Exception) -> None:
    _log.info("%s: %s: %s", describe(user_location()), what, problem)


# -------------------------------------------------------------------------------------------------------------- staging


@dataclass
class _Name:
    """A carried variable: the structure of its value, and the kind of each leaf (None: as it is)."""

    name: str
    tree: Tree
    leaves: list[Any]
    kinds: list[Kind | None]
    borrowed: list[bool]  # array leaves that are carried, and may show memory that the caller knows


@dataclass
class _Attempt:
    """A body that was traced: its region, the params of carried leaves, what the variables hold at the end."""

    region: Trace
    index: Value | None
    params: list[Value] = field(default_factory=list)
    kinds: list[Kind] = field(default_factory=list)
    inits: list[Any] = field(default_factory=list)
    results: list[Operand] = field(default_factory=list)
    ends: dict[str, Any] = field(default_factory=dict)


class _Retry(Exception):
    """Trace again, with other kinds."""


class _Loop:
    def __init__(
        self,
        body: FunctionType,
        test: FunctionType | None,
        carried: Sequence[str],
        needed: Sequence[str],
        stopped: str | None,
    ) -> None:
        self.body = body
        self.test = test
        self.needed = needed
        self.stopped = stopped
        self.group = 1  # turns that are traced as one
        self.rotates = True
        self.cells = cells_of([body] if test is None else [test, body])
        self.outer = current_trace()
        declared = self.cells.keys()
        self.assigned = [n for n in body.__code__.co_freevars if n in _stored(body)]
        self.carried = [n for n in carried if n in declared and n in self.assigned]

    # ------------------------------------------------------------------------------------------------- attempts

    def stage(self, indexed: Indexed | None) -> Exception | None:
        """Emit the loop; the reason where that cannot be done, with everything as it was."""
        before = {name: get(cell) for name, cell in self.cells.items()}
        with watched(list(before.values())) as changed:
            try:
                self._stage(indexed, changed)
                return None
            except Exception as error:
                reason = error
        for name, value in before.items():
            put(self.cells[name], value)
        if isinstance(reason, _NoTurn):
            return None
        if isinstance(reason, Rotation):
            return self._stage_groups(indexed, reason)
        if isinstance(reason, _PeelError) and indexed is not None and self._runs_once(indexed):
            first, rest = indexed.start, Indexed(indexed.start + 1, indexed.stop, indexed.item)
            self._turns(indexed.item(python_size(first)))
            if self.stopped is None:
                self.stage_again(rest)
                return None
        return reason

    def _stage_groups(self, indexed: Indexed | None, rotation: Rotation) -> Exception | None:
        """The loop with so many turns as one that every array has its name again; then the turns left over."""
        if indexed is None or self.stopped is not None:
            self.rotates = False
            return self.stage(indexed)
        period, sizes = rotation.period, self.outer.sizes
        count = indexed.stop - indexed.start
        left: DimLike = count - (count // period) * period
        if rotation.outside and not sizes.is_late(left):
            left = sizes.concrete(left)  # which memory a name stands for after the loop must be known
        self.group = period
        problem = self.stage(grouped(indexed, period))
        self.group = 1
        if problem is None:
            self._turns_left(indexed, count - left, left, period - 1)
        return problem

    def _turns_left(self, indexed: Indexed, done: DimLike, left: DimLike, most: int) -> None:
        if most:
            more = left > 0 if isinstance(left, int) else number(emit("gt", dim_value(left), dim_value(0)), bool)
            names = sorted({*self.needed, *self.cells})

            def turn() -> None:
                index: Any = python_size(indexed.start + done)
                if not isinstance(left, int):
                    index = _loop_index(dim_value(indexed.start + done), indexed)
                self.body(indexed.item(index))
                self._turns_left(indexed, done + 1, left - 1, most - 1)

            def nothing() -> None: ...

            branch(more, turn, nothing, names, self.cells)

    def _turns(self, item: Any) -> None:
        """One turn, or a group of them."""
        for each in [item] if self.group == 1 else item:
            self.body(each)

    def stage_again(self, rest: Indexed) -> None:
        """The turns after the first one."""
        for_loop(rest, self.body, self.carried, self.needed, self.stopped)

    def _runs_once(self, indexed: Indexed, late: bool = False) -> bool:
        """Whether there is a turn: as in this call, under a guard; ``late`` where only the running program knows."""
        try:
            return self.outer.sizes.decide(indexed.stop - indexed.start - 1, ">= 0")
        except UndecidedError:
            return late

    def _stage(self, indexed: Indexed | None, changed: Callable[[], bool]) -> None:
        names = self._names()
        for _ in range(4):
            try:
                attempt = self._trace(names, indexed)
            except _Retry:
                continue
            if changed():
                raise UnstageableError("its body changes a list or dict")
            self._emit(attempt, names, indexed)
            return
        raise UnstageableError("its variables change their kind from turn to turn")

    def _names(self) -> list[_Name]:
        found = []
        for name in self.carried:
            value = get(self.cells[name])
            if value is UNDEFINED or (name == VALUE and value is None):
                continue
            leaves, tree = flatten(value)
            leaves = [as_array(leaf) if isinstance(leaf, np.ndarray) else leaf for leaf in leaves]
            # Arrays are themselves at first, so that writing into them writes into the memory around the loop.
            kinds = [None if isinstance(leaf, TracedArray) else kind_of(leaf) for leaf in leaves]
            found.append(_Name(name, tree, leaves, kinds, [is_outside(leaf, None) for leaf in leaves]))
        return found

    def _trace(self, names: list[_Name], indexed: Indexed | None) -> _Attempt:
        before = {name: get(cell) for name, cell in self.cells.items()}
        with region_of(self.outer) as region:
            try:
                return self._trace_in(region, names, indexed)
            finally:
                for name, value in before.items():
                    put(self.cells[name], value)

    def _trace_in(self, region: Trace, names: list[_Name], indexed: Indexed | None) -> _Attempt:
        index = None if indexed is None else region.builder.param(scalar("i64"))
        attempt = _Attempt(region, index)
        entered: dict[str, list[Any]] = {}
        for entry in names:
            leaves = []
            for leaf, kind, borrowed in zip(entry.leaves, entry.kinds, entry.borrowed, strict=True):
                if kind is None:
                    leaves.append(leaf)
                    continue
                param = region.builder.param(kind.type)
                attempt.params.append(param)
                attempt.kinds.append(kind)
                attempt.inits.append(leaf)
                leaves.append(enter(param, kind))
                if borrowed:
                    leaves[-1].storage.borrowed = True
            entered[entry.name] = leaves
            put(self.cells[entry.name], unflatten(entry.tree, leaves))
        if indexed is None:
            self.body()
        else:
            assert index is not None
            self._turns(indexed.item(_loop_index(index, indexed)))
        attempt.ends = {name: get(self.cells[name]) for name in self.assigned}
        if self.rotates:
            self._check_rotation(attempt, names)
        for entry in names:
            self._check_end(attempt, entry, entered[entry.name])
        return attempt

    def _check_rotation(self, attempt: _Attempt, names: list[_Name]) -> None:
        before: dict[Any, Any] = {}
        after: dict[Any, Any] = {}
        for entry in names:
            leaves, tree = flatten(attempt.ends[entry.name])
            if tree == entry.tree:
                for k, leaf in enumerate(leaves):
                    if entry.kinds[k] is None:
                        before[entry.name, k], after[entry.name, k] = entry.leaves[k], leaf
        period = period_of(before, after)
        if period > 1:
            moved = [v for key, v in before.items() if not (after[key] is v or after[key].shares_place(v))]
            raise Rotation(period, any(is_outside(v, attempt.region) for v in moved))

    def _check_end(self, attempt: _Attempt, entry: _Name, entered: list[Any]) -> None:
        """Note what a carried variable holds after one turn; ask for other kinds where it does not fit."""
        leaves, tree = flatten(attempt.ends[entry.name])
        if tree != entry.tree:
            raise _PeelError(f"the structure of {entry.name!r} changes from turn to turn")
        before = list(entry.kinds)
        for k, (leaf, given) in enumerate(zip(leaves, entered, strict=True)):
            if entry.kinds[k] is None:
                self._check_reference(entry, k, leaf)
            else:
                self._check_carried(attempt, entry, k, leaf, given)
        if entry.kinds != before:
            raise _Retry

    def _check_reference(self, entry: _Name, k: int, leaf: Any) -> None:
        """A leaf that is not carried must be the same after a turn; an array that is another one becomes carried."""
        initial = entry.leaves[k]
        if isinstance(initial, TracedArray):
            if not (isinstance(leaf, TracedArray) and leaf.shares_place(initial)):
                entry.kinds[k] = kind_of(initial)
        elif leaf is not initial:
            raise _PeelError(f"{entry.name!r} changes from {initial!r} to {leaf!r}, which is not computed")

    def _check_carried(self, attempt: _Attempt, entry: _Name, k: int, leaf: Any, given: Any) -> None:
        kind, end = entry.kinds[k], kind_of(leaf)
        assert kind is not None
        if entry.borrowed[k] and given.storage.written:
            raise _PeelError(f"{entry.name!r} may be the memory of an argument, is written and then replaced")
        joined = None if end is None else join(kind, end)
        if joined is None:
            raise _PeelError(f"{entry.name!r} is {kind} before a turn and {end or leaf!r} after it")
        if isinstance(leaf, TracedArray) and not entry.borrowed[k] and is_outside(leaf, None):
            entry.borrowed[k] = True
            raise _Retry
        if joined == kind:
            attempt.results.append(operand_as(leaf, kind))
        entry.kinds[k] = joined

    # ------------------------------------------------------------------------------------------------- emission

    def _emit(self, attempt: _Attempt, names: list[_Name], indexed: Indexed | None) -> None:
        region = attempt.region
        locals_ = self._locals(attempt, names, indexed)
        stopped = self._flag(attempt, names)
        condition = None
        if indexed is None or stopped is not None:
            condition = self._condition(attempt, names, indexed, stopped)
        regions = [region] if condition is None else [condition.region, region]
        inputs = Inputs(self.outer, regions)
        if condition is not None and condition.region.written:
            raise UnstageableError("its test writes into an array")
        inits = [operand_as(leaf, kind) for leaf, kind in zip(attempt.inits, attempt.kinds, strict=True)]
        inits += [local.init for local in locals_] + inputs.memory()
        params = [*attempt.params, *(local.param for local in locals_), *inputs.written_params(region)]
        with region.builder:
            results = [*attempt.results, *(local.end for local in locals_), *inputs.results(region)]
        constant_params = inputs.constant_params(region)
        count = len(inits)
        if condition is None:
            assert indexed is not None and attempt.index is not None
            body = finish(region, [attempt.index, *params, *constant_params], results, "body")
            bounds = [dim_value(indexed.start), dim_value(indexed.stop)]
            values = tuple(emit_regions("fori_loop", [*bounds, *inits, *inputs.constants], (body,), carries=count))
        else:
            values = self._emit_while(attempt, condition, indexed, inputs, inits, params, results, constant_params)
        self._hand_out(attempt, names, locals_, values, inputs, indexed)

    def _emit_while(
        self,
        attempt: _Attempt,
        condition: _Condition,
        indexed: Indexed | None,
        inputs: Inputs,
        inits: list[Operand],
        params: list[Value],
        results: list[Operand],
        constant_params: list[Value],
    ) -> tuple[Operand, ...]:
        region = attempt.region
        first: list[Operand] = []
        if indexed is not None:
            assert attempt.index is not None
            params, first = [attempt.index, *params], [dim_value(indexed.start)]
            with region.running():
                results = [emit("add", attempt.index, literal(1, scalar("i64").dtype)), *results]
        body = finish(region, [*params, *constant_params], results, "body")
        own = condition.region
        count = len(params)
        heads = [own.builder.param(p.type) for p in params[len(condition.params) :]]
        memory = dict(zip(inputs.written_params(region), inputs.written_params(own), strict=True))
        ordered = [*condition.params, *heads]
        for position, param in enumerate(params):
            if param in memory:
                ordered[position] = memory[param]
        test = finish(own, [*ordered, *inputs.constant_params(own)], [condition.result], "test")
        values = emit_regions("while_loop", [*first, *inits, *inputs.constants], (test, body), carries=count)
        return tuple(values[len(first) :])

    def _condition(
        self, attempt: _Attempt, names: list[_Name], indexed: Indexed | None, stopped: int | None
    ) -> _Condition:
        with region_of(self.outer) as region:
            params: list[Value] = []
            index = None
            if indexed is not None:
                index = region.builder.param(scalar("i64"))
                params.append(index)
            leaf_params = [region.builder.param(kind.type) for kind in attempt.kinds]
            params += leaf_params
            if self.test is not None:
                result = self._test(names, leaf_params, attempt)
            else:
                assert stopped is not None and indexed is not None and index is not None
                inside = emit("lt", index, dim_value(indexed.stop))
                going = emit("logical_not", leaf_params[stopped])
                result = emit("bitwise_and", inside, going)
        return _Condition(region, params, result)

    def _test(self, names: list[_Name], params: list[Value], attempt: _Attempt) -> Operand:
        assert self.test is not None
        before = {name: get(cell) for name, cell in self.cells.items()}
        rest = iter(zip(params, attempt.kinds, strict=True))
        try:
            for entry in names:
                leaves = [
                    leaf if kind is None else enter(*next(rest))
                    for leaf, kind in zip(entry.leaves, entry.kinds, strict=True)
                ]
                put(self.cells[entry.name], unflatten(entry.tree, leaves))
            going = truth_of(self.test())
        finally:
            for name, value in before.items():
                put(self.cells[name], value)
        return literal(going, scalar("bool").dtype) if isinstance(going, bool) else going.operand()

    def _flag(self, attempt: _Attempt, names: list[_Name]) -> int | None:
        """The position of the leaf that ends the loop early, if any turn may set it."""
        if self.stopped is None:
            return None
        position = 0
        for entry in names:
            for kind in entry.kinds:
                if kind is None:
                    continue
                if entry.name == self.stopped and attempt.results[position] is not attempt.params[position]:
                    return position
                position += 1
        return None

    # ------------------------------------------------------------------------------- variables that a turn only sets

    def _locals(self, attempt: _Attempt, names: list[_Name], indexed: Indexed | None) -> list[_Local]:
        """Variables that are set in each turn and read after the loop."""
        found: list[_Local] = []
        known = {entry.name for entry in names}
        wanted = [n for n in self.assigned if n in self.needed and n not in known]
        for name in wanted:
            value = attempt.ends[name]
            if value is UNDEFINED or self._last(value, indexed) is not None:
                continue
            leaves, _ = flatten(value)
            for leaf in leaves:
                kind = kind_of(leaf)
                if kind is None or any(self.outer.sizes.is_late(d) for d in kind.type.dims):
                    continue
                old = get(self.cells[name])
                old_kind = None if old is UNDEFINED else kind_of(old)
                fits = old_kind is not None and join(old_kind, kind) == kind
                if not fits and indexed is not None and not self._runs_once(indexed, late=True):
                    raise _NoTurn
                init = operand_as(old, kind) if fits else zeros(kind)
                param = attempt.region.builder.param(kind.type)
                with attempt.region.running():
                    end = operand_as(leaf, kind)
                attempt.region.active = True
                found.append(_Local(name, kind, init, param, end))
        return found

    def _last(self, value: Any, indexed: Indexed | None) -> Any:
        """The last value of what follows the loop's index, where that is a size; None for the rest."""
        if indexed is None or not isinstance(value, SymbolicInt) or self.stopped is not None:
            return None
        sizes = self.outer.sizes
        if not sizes.is_late(value.dim):
            return value
        name = next((n for n, (low, high) in sizes.late.items() if sizes_index(n, value.dim, indexed, low, high)), None)
        if name is None:
            return None
        if not self._runs_once(indexed):
            return None
        return python_size(substitute(value.dim, {name: indexed.stop - 1}))

    def _hand_out(
        self,
        attempt: _Attempt,
        names: list[_Name],
        locals_: list[_Local],
        values: Sequence[Operand],
        inputs: Inputs,
        indexed: Indexed | None,
    ) -> None:
        """Give the variables their values after the loop."""
        self._hand_out_carried(attempt, names, values, indexed)
        position = len(attempt.kinds)
        inputs.write_back(values[position + len(locals_) :])
        known = {entry.name for entry in names}
        given: dict[str, list[Any]] = {}
        for local, value in zip(locals_, values[position:], strict=False):
            given.setdefault(local.name, []).append(enter(value, local.kind))
        for name in self.assigned:
            if name in known:
                continue
            end = attempt.ends[name]
            last = self._last(end, indexed) if name in self.needed else None
            if last is not None:
                put(self.cells[name], last)
            elif name in given:
                leaves, tree = flatten(end)
                fresh = iter(given[name])
                put(self.cells[name], unflatten(tree, [x if kind_of(x) is None else next(fresh) for x in leaves]))
            elif end is not UNDEFINED and name not in self.needed:
                put(self.cells[name], UNDEFINED)
            elif end is not UNDEFINED and not _traced(end):
                put(self.cells[name], end)

    def _hand_out_carried(
        self, attempt: _Attempt, names: list[_Name], values: Sequence[Operand], indexed: Indexed | None
    ) -> None:
        rest = iter(zip(values, attempt.kinds, strict=False))
        for entry in names:
            leaves = [
                leaf if kind is None else enter(*next(rest))
                for leaf, kind in zip(entry.leaves, entry.kinds, strict=True)
            ]
            ends, _ = flatten(attempt.ends[entry.name])
            for leaf, kind, borrowed, end in zip(leaves, entry.kinds, entry.borrowed, ends, strict=True):
                if kind is not None and borrowed:
                    ambiguous(leaf, self._why_ambiguous(entry.name, end, indexed))
            put(self.cells[entry.name], unflatten(entry.tree, leaves))

    def _why_ambiguous(self, name: str, end: Any, indexed: Indexed | None) -> Callable[[], str]:
        """Why an array must not be written after the loop: it may be memory that it showed before."""
        where, fresh = describe(user_location()), not is_outside(end, None)

        def reason() -> str:
            if fresh and indexed is not None and self._runs_once(indexed):
                return ""
            return (
                f"{name!r} may be the memory of an argument or not, depending on how often a loop runs ({where}); "
                "copy it before writing into it"
            )

        return reason


@dataclass
class _Condition:
    region: Trace
    params: list[Value]
    result: Operand


@dataclass
class _Local:
    name: str
    kind: Kind
    init: Operand
    param: Value
    end: Operand


class _NoTurn(Exception):
    """Variables that only a turn sets are read after the loop, which in this call has no turn."""


class _PeelError(UnstageableError):
    """The first turn is unlike the others."""


def _traced(value: Any) -> bool:
    leaves, _ = flatten(value)
    return any(kind_of(leaf) is not None for leaf in leaves)


def sizes_index(name: str, dim: DimLike, indexed: Indexed, low: Any, high: Any) -> bool:
    """Whether a late symbol in a dim is the index of a loop over these bounds."""
    return name in symbols_of(dim) and low == indexed.start and high == indexed.stop - 1


def _stored(body: FunctionType) -> set[str]:
    """The shared variables that a nested function (or one inside it) sets."""
    found: set[str] = set()
    stack = [body.__code__]
    while stack:
        code = stack.pop()
        found.update(i.argval for i in dis.get_instructions(code) if i.opname in ("STORE_DEREF", "DELETE_DEREF"))
        stack.extend(c for c in code.co_consts if hasattr(c, "co_freevars"))
    return found


def _loop_index(param: Operand, indexed: Indexed) -> SymbolicInt:
    """The index of a loop as a size that the program binds in each turn."""
    sizes = current_trace().sizes
    dim = sizes.fresh_late("i", indexed.start, indexed.stop - 1)
    emit_bind(param, dim)
    return SymbolicInt(dim, sizes)


def emit_bind(operand: Operand, dim: Dim) -> None:
    """Bind a size symbol in the current trace."""
    current_trace().builder.emit(PRIMITIVES["bind_size"], (operand,), {"symbol": dim.as_symbol}, (), user_location())
