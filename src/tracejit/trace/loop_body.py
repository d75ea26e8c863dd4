"""The body of a loop, traced once: what it carries from turn to turn, and as what kinds of values."""

from __future__ import annotations

import dis
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import CodeType, FunctionType
from typing import Any

import numpy as np

from tracejit.ir.core import Operand, Value
from tracejit.ir.dims import Dim, DimLike, maximum, symbols_of
from tracejit.ir.primitive import PRIMITIVES
from tracejit.ir.types import scalar
from tracejit.trace.array import TracedArray
from tracejit.trace.conditions import truth_of
from tracejit.trace.context import Trace, current_trace
from tracejit.trace.facts import add_facts, facts_of
from tracejit.trace.inputs import as_array
from tracejit.trace.iteration import Indexed
from tracejit.trace.jumps import RETURNED, STOPPED, VALUE
from tracejit.trace.location import user_location
from tracejit.trace.maybe import Maybe, converted, narrowed, unified
from tracejit.trace.pytree import LEAF, Tree, flatten, unflatten
from tracejit.trace.region import CarryError, PeelError, UnstageableError, region_of
from tracejit.trace.rotation import Rotation, period_of, steps_of
from tracejit.trace.scalar import SymbolicInt
from tracejit.trace.sizes import UndecidedError
from tracejit.trace.state import UNDEFINED, Kind, cells_of, enter, get, is_outside, join, kind_of, operand_as, put
from tracejit.trace.storage import Storage, make_twins, written_twins
from tracejit.trace.traced_list import TracedList
from tracejit.trace.values import dim_value, late_dim
from tracejit.trace.varying import SIZE, VaryingSizes, are_alike

__all__ = ["Attempt", "CarriedName", "LoopBody", "NewListError", "PeelError", "RetryError", "loop_index"]


@dataclass
class CarriedName:
    """A carried variable: the structure of its value, and the kind of each leaf (None: as it is)."""

    name: str
    tree: Tree
    leaves: list[Any]
    kinds: list[Kind | None]
    sources: list[list[Storage]]  # of array leaves that are carried: memory of which they may be copies
    borrowed: list[bool]  # array leaves that are carried, and may show memory that the caller knows


@dataclass
class Attempt:
    """A body that was traced: its region, the params of carried leaves, what the variables hold at the end."""

    region: Trace
    names: list[CarriedName]
    indexed: Indexed | None
    index: Value | None
    params: list[Value] = field(default_factory=list)
    kinds: list[Kind] = field(default_factory=list)
    inits: list[Any] = field(default_factory=list)
    results: list[Operand] = field(default_factory=list)
    ends: dict[str, Any] = field(default_factory=dict)
    item: Any = None  # what the turn was about
    end_leaves: dict[str, list[Any]] = field(default_factory=dict)  # of carried variables
    known: frozenset[str] = frozenset()  # sizes around the loop
    only_inside: set[str] = field(default_factory=set)  # variables without a value where there is no turn
    no_turn: Any = False  # whether there is none, found only where it matters
    counted: int = 0  # of these, the sizes that vary, which come first

    def entered(self, values: Sequence[Operand], sizes: Sequence[DimLike]) -> dict[str, list[Any]]:
        """What the user's code sees of the carried leaves, variable by variable, where sizes that vary are these."""
        rest = iter(zip(values[self.counted :], self.kinds[self.counted :], strict=False))
        return {
            entry.name: [
                leaf if kind is None else enter(*next(rest), sizes=sizes)
                for leaf, kind in zip(entry.leaves, entry.kinds, strict=True)
            ]
            for entry in self.names
        }


class RetryError(Exception):
    """Trace again, with other kinds."""


class NewListError(Exception):
    """A variable holds another list after a turn, of another length: it must be one list that gets new contents."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class LoopBody:
    """The nested functions that a loop was rewritten into, and the variables that they share with the function."""

    def __init__(
        self,
        body: FunctionType,
        test: Callable[[], Any] | None,
        carried: Sequence[str],
        needed: Sequence[str],
        stopped: str | None,
        changed: Sequence[str] = (),
    ) -> None:
        self.changed = changed
        self.body = body
        self.test = test
        self.needed: Sequence[str] = needed
        self.stopped = stopped
        self.group = 1  # turns that are traced as one
        self.run_group: Callable[[Any], None] | None = None  # them, where the loop may end after any of them
        self.rotates = True
        self.initial: dict[str, Any] = {}  # what the variables are before the loop
        self.unset: set[str] = set()  # variables without a value before the loop that are carried all the same
        self.sizes = VaryingSizes(None, False)
        self.cells = cells_of(function for function in (test, body) if isinstance(function, FunctionType))
        self.outer = current_trace()
        declared = self.cells.keys()
        self.assigned = [n for n in body.__code__.co_freevars if n in _stored(body.__code__)]
        self.carried = [n for n in carried if n in declared and n in self.assigned]

    def turns(self, item: Any) -> None:
        """One turn, or a group of them."""
        if self.run_group is not None:
            self.run_group(item)
            return
        for each in [item] if self.group == 1 else item:
            self.body(each)

    def runs_once(self, indexed: Indexed, late: bool = False) -> bool:
        """Whether there is a turn: as in this call, under a guard; ``late`` where only the running program knows."""
        try:
            return self.outer.sizes.decide(indexed.stop - indexed.start - 1, ">= 0")
        except UndecidedError:
            return late

    def most_turns(self, indexed: Indexed) -> DimLike:
        """The turns of a loop that does not end early."""
        count = indexed.stop - indexed.start
        return count if self.outer.sizes.proves(count) else maximum(count, 0)

    def names(self) -> list[CarriedName]:
        """The carried variables as they are before the loop."""
        found = []
        for name in self.carried:
            value = self.initial[name]
            if (value is UNDEFINED and name not in self.unset) or (name == VALUE and value is None):
                continue
            found.append(self.entry(name))
        return found

    def entry(self, name: str) -> CarriedName:
        """A carried variable as it is before the loop."""
        leaves, tree = flatten(self.initial[name])
        leaves = [as_array(leaf) if isinstance(leaf, np.ndarray) else leaf for leaf in leaves]
        # Arrays are themselves at first, so that writing into them writes into the memory around the loop.
        kinds = [None if isinstance(leaf, TracedArray) else kind_of(leaf) for leaf in leaves]
        sources = [[leaf.storage] if isinstance(leaf, TracedArray) else [] for leaf in leaves]
        return CarriedName(name, tree, leaves, kinds, sources, [is_outside(leaf, None) for leaf in leaves])

    def carry(self, name: str, names: list[CarriedName]) -> None:
        """Let one more variable be carried."""
        self.unset.add(name)
        if name not in self.carried:
            self.carried.append(name)
        names.append(self.entry(name))

    def certainly_runs(self, indexed: Indexed | None) -> bool:
        """Whether there is a turn: also for other data, under a guard."""
        if indexed is not None:
            return self.runs_once(indexed)
        assert self.test is not None
        with region_of(self.outer):
            return truth_of(self.test()) is True

    def begin(self, indexed: Indexed | None) -> list[CarriedName]:
        """What is carried, before the first attempt."""
        turns = None if indexed is None else self.most_turns(indexed)
        self.sizes = VaryingSizes(turns, self.stopped is None)
        self.initial = {name: get(cell) for name, cell in self.cells.items()}
        return self.names()

    def trace(self, names: list[CarriedName], indexed: Indexed | None) -> Attempt:
        """Trace one turn (or a group of them); raises RetryError where ``names`` has got other kinds."""
        before = {name: get(cell) for name, cell in self.cells.items()}
        with region_of(self.outer) as region:
            try:
                return self._trace_in(region, names, indexed)
            except CarryError as missing:
                if missing.trace is not region:
                    raise
                self.carry(missing.name, names)
                raise RetryError from None
            finally:
                for name, value in before.items():
                    put(self.cells[name], value)

    def _trace_in(self, region: Trace, names: list[CarriedName], indexed: Indexed | None) -> Attempt:
        known = {entry.name for entry in names}
        region.unset = frozenset(n for n in self.carried if n not in known and n != VALUE)
        attempt = self._start(region, names, indexed)
        position = None if attempt.index is None or indexed is None else loop_index(attempt.index, indexed)
        turn = 0 if indexed is None or position is None else position.dim - indexed.start
        region.turn = turn
        rooms = [size.room for size in self.sizes.computed]
        computed = [late_dim(p, 0, room) for p, room in zip(attempt.params, rooms, strict=False)]
        entered = attempt.entered(attempt.params, self.sizes.begin(computed, turn))
        for entry in names:
            leaves = entered[entry.name]
            rest = zip(leaves, entry.kinds, entry.borrowed, entry.sources, strict=True)
            for leaf, kind, borrowed, sources in rest:
                if kind is None:
                    continue
                if borrowed:
                    leaf.storage.borrowed = True
                for source in sources:
                    make_twins(leaf.storage, source, entering=True)
            put(self.cells[entry.name], unflatten(entry.tree, leaves))
        self._assume_going()
        if indexed is None:
            self._assume_test(region)
            if self.run_group is None:
                self.body()
            else:
                self.run_group(None)
        else:
            attempt.item = indexed.item(position)
            self.turns(attempt.item)
        attempt.ends = {name: get(self.cells[name]) for name in self.assigned}
        if self.rotates:
            self._check_rotation(attempt, names)
        self._check_ends(attempt, names, entered)
        return attempt

    def _assume_going(self) -> None:
        """A turn begins only where no turn before has left the loop, or the function."""
        read = self.test.__code__.co_freevars if isinstance(self.test, FunctionType) else ()
        flags = [name for name in (self.stopped, *read) if name is not None and name.startswith(STOPPED)]
        if flags and self.initial.get(RETURNED) is False:
            flags.append(RETURNED)
        for name in flags:
            put(self.cells[name], False)

    def _assume_test(self, region: Trace) -> None:
        """Let the body of a ``while`` know what its test tells of variables that may be None."""
        assert self.test is not None
        maybe = any(isinstance(get(cell), Maybe) for cell in self.cells.values())
        if not maybe or not isinstance(self.test, FunctionType) or _stored(self.test.__code__):
            return
        going = truth_of(self.test())
        if not isinstance(going, bool):
            add_facts(region, facts_of(going.operand(), True, region))
            for cell in self.cells.values():
                put(cell, narrowed(get(cell)))

    def _start(self, region: Trace, names: list[CarriedName], indexed: Indexed | None) -> Attempt:
        """An attempt with the params of what is carried."""
        index = None if indexed is None else region.builder.param(scalar("i64"))
        attempt = Attempt(region, names, indexed, index, known=frozenset(self.outer.sizes.late))
        region.most_turns = None if indexed is None else self.most_turns(indexed)
        region.turns = None if self.stopped is not None else region.most_turns
        for init in self.sizes.inits():
            self._carry(attempt, SIZE, init)
        attempt.counted = len(attempt.params)
        for entry in names:
            for leaf, kind in zip(entry.leaves, entry.kinds, strict=True):
                if kind is not None:
                    self._carry(attempt, kind, leaf)
        return attempt

    def _check_ends(self, attempt: Attempt, names: list[CarriedName], entered: dict[str, list[Any]]) -> None:
        changed = False
        for entry in names:
            try:
                changed = self._check_end(attempt, entry, entered[entry.name]) or changed
            except PeelError:
                if changed:  # perhaps not with the other kinds
                    break
                raise
        known = {entry.name for entry in names}
        for name in self.carried:
            end = attempt.ends.get(name)
            if name not in known and isinstance(end, Maybe) and end.name is not None:
                self.carry(name, names)  # set in some turns only
                changed = True
        if changed:
            raise RetryError
        if any(source in attempt.region.memory_params for source in written_twins(attempt.region)):
            raise UnstageableError("an array is read that may be written under another name")
        attempt.results[:0] = [dim_value(size) for size in self.sizes.results()]

    def _carry(self, attempt: Attempt, kind: Kind, init: Any) -> None:
        attempt.params.append(attempt.region.builder.param(kind.type))
        attempt.kinds.append(kind)
        attempt.inits.append(init)

    def _check_rotation(self, attempt: Attempt, names: list[CarriedName]) -> None:
        before: dict[tuple[str, int], Any] = {}
        after: dict[tuple[str, int], Any] = {}
        for entry in names:
            leaves, tree = flatten(attempt.ends[entry.name])
            if tree == entry.tree:
                for k, leaf in enumerate(leaves):
                    if entry.kinds[k] is None:
                        before[entry.name, k], after[entry.name, k] = entry.leaves[k], leaf
        step = steps_of(before, after)
        period = period_of(step)
        if period > 1:
            moved = [v for key, v in before.items() if not (after[key] is v or after[key].shares_place(v))]
            raise Rotation(period, step, any(is_outside(v, attempt.region) for v in moved))

    def _check_end(self, attempt: Attempt, entry: CarriedName, entered: list[Any]) -> bool:
        """Note what a carried variable holds after one turn; whether it needs other kinds."""
        leaves, tree = flatten(attempt.ends[entry.name])
        if tree != entry.tree:
            if _is_list(entry.tree, entry.leaves) and _is_list(tree, leaves):
                raise NewListError(entry.name)
            wider = unified(entry.tree, tree, entry.name)
            if wider is None:
                raise PeelError(f"the structure of {entry.name!r} changes from turn to turn")
            leaves = converted(tree, leaves, wider, UNDEFINED, bool)
            if wider != entry.tree:
                self._widen(attempt, entry, wider, leaves)
                return True
        attempt.end_leaves[entry.name] = leaves
        before = list(entry.kinds)
        for k, (leaf, given) in enumerate(zip(leaves, entered, strict=True)):
            if entry.kinds[k] is None:
                self._check_reference(entry, k, leaf)
            else:
                self._check_carried(attempt, entry, k, leaf, given)
        return entry.kinds != before

    def _widen(self, attempt: Attempt, entry: CarriedName, wider: Tree, ends: Sequence[Any]) -> None:
        """Let a carried variable have what may be None, or not set, as it is in some turns."""
        own = list(zip(entry.leaves, entry.kinds, entry.sources, entry.borrowed, strict=True))
        flags: list[Any] = [(flag, kind_of(flag), [], False) for flag in (False, True)]
        parts: list[Any] = converted(entry.tree, own, wider, None, flags.__getitem__)
        for k, (part, end) in enumerate(zip(parts, ends, strict=True)):
            if part is not None:
                continue
            kind = None if end is UNDEFINED else kind_of(end)
            if kind is None:
                parts[k] = end, None, [], False
                continue
            if any(symbols_of(d) & (self.outer.sizes.late.keys() - attempt.known) for d in kind.type.dims if d != 0):
                raise UnstageableError(f"{entry.name!r} may be there or not, and each turn computes its size")
            parts[k] = UNDEFINED, kind, [], False
        entry.leaves, entry.kinds, entry.sources, entry.borrowed = (list(part) for part in zip(*parts, strict=True))
        entry.tree = wider

    def _check_reference(self, entry: CarriedName, k: int, leaf: Any) -> None:
        """A leaf that is not carried must be the same after a turn; an array that is another one becomes carried."""
        initial = entry.leaves[k]
        if isinstance(initial, TracedArray):
            if not (isinstance(leaf, TracedArray) and leaf.shares_place(initial)):
                entry.kinds[k] = kind_of(initial)
        elif isinstance(initial, TracedList) and isinstance(leaf, TracedList):
            if leaf is not initial:
                initial.become(leaf)
        elif leaf is not initial:
            raise PeelError(f"{entry.name!r} changes from {initial!r} to {leaf!r}, which is not computed")

    def _check_carried(self, attempt: Attempt, entry: CarriedName, k: int, leaf: Any, given: Any) -> None:
        kind, end = entry.kinds[k], kind_of(leaf)
        assert kind is not None
        if entry.borrowed[k] and given.storage.written:
            raise PeelError(f"{entry.name!r} may be the memory of an argument, is written and then replaced")
        if leaf is UNDEFINED:  # not there: anything
            attempt.results.append(given.operand())
            return
        joined = None if end is None else self._joined(entry.leaves[k], kind, end, leaf, given)
        if joined is None:
            raise PeelError(f"{entry.name!r} is {kind} before a turn and {leaf if end is None else end} after it")
        if isinstance(leaf, TracedArray) and not entry.borrowed[k] and is_outside(leaf, None):
            entry.borrowed[k] = True
            raise RetryError
        if isinstance(leaf, TracedArray) and leaf.storage.trace is not attempt.region:
            if leaf.storage not in entry.sources[k]:
                entry.sources[k].append(leaf.storage)
                raise RetryError
        if joined == kind:
            position = attempt.counted + len(attempt.results)
            attempt.results.append(operand_as(leaf, kind, attempt.params[position] if kind.varying else None))
        entry.kinds[k] = joined

    def _joined(self, initial: Any, kind: Kind, end: Kind, leaf: Any, given: Any) -> Kind | None:
        """The kind of a carried leaf before and after a turn."""
        if not kind.varying:
            joined = join(kind, end)
            if joined is not None or not are_alike(kind, end):
                return joined
            if leaf.storage is given.storage or leaf.storage.trace is not current_trace():
                return None  # a view of what there was: turn by turn, writing into it is right too
            return self.sizes.vary(kind, kind.type.dims, end.type.dims)
        if not are_alike(kind, end):
            return None
        first = kind_of(initial)
        if first is None:
            return None
        found = self.sizes.check(kind, end.type.dims)
        if found is None:
            return None
        dims = [a if n is None else b for a, b, n in zip(first.type.dims, end.type.dims, kind.varying, strict=True)]
        fixed = [a if n is None else b for a, b, n in zip(end.type.dims, dims, kind.varying, strict=True)]
        return self.sizes.vary(found, dims, fixed)


def _is_list(tree: Tree, leaves: Sequence[Any]) -> bool:
    """Whether a variable holds a list, of Python's or of the program's."""
    return tree.kind == "list" or (tree is LEAF and isinstance(leaves[0], TracedList))


@functools.lru_cache(maxsize=4096)
def _stored(code: CodeType) -> frozenset[str]:
    """The shared variables that the code of a nested function (or one inside it) sets."""
    found = {i.argval for i in dis.get_instructions(code) if i.opname in ("STORE_DEREF", "DELETE_DEREF")}
    return frozenset(found).union(*(_stored(c) for c in code.co_consts if isinstance(c, CodeType)))


def loop_index(param: Operand, indexed: Indexed) -> SymbolicInt:
    """The index of a loop as a size that the program binds in each turn."""
    sizes = current_trace().sizes
    dim = sizes.fresh_late("i", indexed.start, indexed.stop - 1)
    _emit_bind(param, dim)
    return SymbolicInt(dim, sizes)


def _emit_bind(operand: Operand, dim: Dim) -> None:
    """Bind a size symbol in the current trace."""
    current_trace().builder.emit(PRIMITIVES["bind_size"], (operand,), {"symbol": dim.as_symbol}, (), user_location())
