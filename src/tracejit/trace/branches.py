"""Branches of the user's function on traced values.

What is known while tracing is decided at once. Otherwise both sides are traced as regions of a ``cond`` of which one
runs; where both are a few operations on scalars, both are computed and one is chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import CellType
from typing import Any

from tracejit.errors import TracejitError, UnsupportedError, raisable_class
from tracejit.ir.builder import has_effect, inline, is_check
from tracejit.ir.core import Function, Location, Operand
from tracejit.ir.dims import Dim, DimLike, symbols_of
from tracejit.ir.types import scalar
from tracejit.trace.array import TracedArray
from tracejit.trace.base import Tracer
from tracejit.trace.context import Trace, as_it_is, current_trace
from tracejit.trace.facts import add_facts, facts_of, negated
from tracejit.trace.growing_lists import GrowingLists, GrowsError
from tracejit.trace.jumps import RETURNED, VALUE
from tracejit.trace.location import describe, is_ours, traceback_location, user_location
from tracejit.trace.maybe import converted, narrowed, unified
from tracejit.trace.pytree import Tree, flatten, unflatten
from tracejit.trace.region import Inputs, StagedRaise, UnstageableError, emit_regions, finish, region_of, watched
from tracejit.trace.scalar import number
from tracejit.trace.state import (
    UNDEFINED,
    Kind,
    ambiguous,
    blank,
    enter,
    get,
    is_outside,
    join,
    kind_of,
    operand_as,
    put,
)
from tracejit.trace.storage import Storage, lose_twins, make_twins
from tracejit.trace.values import dim_value, emit, late_dim, literal
from tracejit.trace.varying import SIZE, are_alike, room_of_both

__all__ = ["Branch", "emit_check", "emit_raise", "may_raise", "owners_of"]
_SIZE, _OWNER = "a size", "whose memory"  # no names of variables
_CHEAP = 12  # operations on scalars that are computed although they may not be needed


class _Side:
    """One side, traced."""

    def __init__(self, region: Trace) -> None:
        self.region = region
        self.ends: dict[str, Any] = {}
        self.value: Any = None
        self.error: BaseException | None = None  # that it always raises; a StagedRaise where it is one of several
        self.location: Location | None = None


class Branch:
    """``if predicate: ... else: ...`` in the current trace."""

    def __init__(
        self,
        predicate: Operand,
        needed: Sequence[str],
        cells: Mapping[str, CellType],
        read: Mapping[str, CellType] | None = None,
        changed: Sequence[str] = (),
    ) -> None:
        """read: variables of which the sides see what the condition tells, beside those that they may set.

        changed: the variables whose lists one of the sides changes.
        """
        self.outer = current_trace()
        self.lists = GrowingLists(self.outer, cells, changed)
        self.predicate = predicate
        self.cells = cells
        self.seen = cells if read is None else {**cells, **read}
        self.names = [name for name in cells if name in needed]
        self.sizes: dict[tuple[DimLike, DimLike], tuple[int, DimLike]] = {}  # that differ: their numbers, the room
        self.known = frozenset(self.outer.sizes.late)
        self.trees: dict[str, Tree] = {}  # of what is merged

    def run(self, then: Callable[[], Any], otherwise: Callable[[], Any]) -> Any:
        """Trace both sides and emit the choice; gives the joined value of what they return."""
        sides = self._trace_both(then, otherwise)
        for position, side in enumerate(sides):
            if side.error is not None:
                self.lists.leave(done=False)
                # That side only raises: the program checks, and goes on with the other.
                self._raise_in(side, position == 0)
                add_facts(self.outer, facts_of(self.predicate, position != 0, self.outer))
                for cell in self.seen.values():
                    put(cell, narrowed(get(cell)))
                other = sides[1 - position]
                if other.error is not None:
                    self._raise_in(other, position != 0)
                    raise StagedRaise(None, None, self.outer)
                return (otherwise if position == 0 else then)()
        merged = self._merge(sides)
        computed = [item for item in merged if item.kind is not None]
        inputs = Inputs(self.outer, [side.region for side in sides])
        regions = []
        for k, side in enumerate(sides):
            params = [*inputs.written_params(side.region), *inputs.constant_params(side.region)]
            results = [item.results[k] for item in computed] + inputs.results(side.region)
            regions.append(finish(side.region, params, results, "then" if k == 0 else "else"))
        operands = [*inputs.memory(), *inputs.constants]
        values = self._emit(operands, regions)
        inputs.write_back(values[len(computed) :])
        for side in sides:
            lose_twins(side.region, self.outer)
        result = self._hand_out(sides, merged, values)
        self.lists.finish({**sides[0].ends, **sides[1].ends})
        return result

    def _trace_both(self, then: Callable[[], Any], otherwise: Callable[[], Any]) -> list[_Side]:
        """Both sides, once there is room for what they add to lists."""
        self.lists.enter()
        for _ in range(12):
            self.lists.begin(None)
            try:
                sides = [self._trace(then, True), self._trace(otherwise, False)]
                self.lists.check({storage: None for side in sides for storage in side.region.written})
                return sides
            except GrowsError as grown:
                if grown.owner is not self.outer:
                    raise
                self.lists.prepare(grown)
            except UnstageableError as error:
                self.lists.leave(done=False)
                if self.outer.region:
                    raise
                raise UnsupportedError(str(error)) from error
        raise UnsupportedError(f"what a branch does to lists is too involved ({describe(user_location())})")

    def _trace(self, side: Callable[[], Any], holds: bool) -> _Side:
        before = {name: get(cell) for name, cell in self.seen.items()}
        facts = facts_of(self.predicate, holds, self.outer)
        with watched(list(before.values())) as changed, region_of(self.outer) as region:
            region.conditional = True
            add_facts(region, facts)
            found = _Side(region)
            given = {name: narrowed(value) for name, value in before.items()}
            for name, value in given.items():
                put(self.seen[name], value)
            try:
                found.value = side()
                ends = {name: get(cell) for name, cell in self.cells.items()}
                found.ends = {name: before[name] if end is given[name] else end for name, end in ends.items()}
            except StagedRaise as raised:
                found.error, found.location = raised.error or raised, raised.location
                if raised.error is None and raised.trace is not region:
                    where = describe(user_location())
                    raise UnsupportedError(
                        f"every way through a function under grad or vmap raises ({where})"
                    ) from None
            except Exception as error:
                if isinstance(error, TracejitError) or raisable_class(error) is None or is_ours(error.__traceback__):
                    raise
                found.error, found.location = error, traceback_location(error.__traceback__)
                if may_raise(region):
                    emit_raise(error)
                    found.error = StagedRaise(None, None, region)
            finally:
                for name, value in before.items():
                    put(self.seen[name], value)
            if found.error is None and changed():
                raise UnsupportedError(
                    f"a list or dict is changed where a traced condition holds ({describe(user_location())}), and how "
                    "long it becomes would be known only when the compiled function runs; fill an array and count"
                )
        return found

    def _raise_in(self, side: _Side, holds: bool) -> None:
        """Let the program raise where it comes to a side that always does."""
        assert side.error is not None
        if not isinstance(side.error, StagedRaise):
            self._check(side.error, fails_if=holds, location=side.location)
            return
        # Which exception depends on further conditions, whose checks are in the region.
        nothing = region_of(self.outer)
        with nothing as empty:
            pass
        inputs = Inputs(self.outer, [side.region, empty])
        regions = []
        for region in (side.region, empty) if holds else (empty, side.region):
            params = [*inputs.written_params(region), *inputs.constant_params(region)]
            regions.append(finish(region, params, [], "raising"))
        emit_regions("cond", [self.predicate, *inputs.memory(), *inputs.constants], tuple(regions))

    def _check(self, error: BaseException, *, fails_if: bool, location: Location | None) -> None:
        pred = emit("logical_not", self.predicate) if fails_if else self.predicate
        kind = raisable_class(error)
        if kind is None:
            raise UnsupportedError(
                f"raising {type(error).__name__} where a traced condition holds is not compiled "
                f"({describe(location or user_location())}); raise one of Python's own exceptions"
            )
        emit_check(pred, kind.__name__, _text_of(error), location)

    # ------------------------------------------------------------------------------------------------- joining

    def _merge(self, sides: Sequence[_Side]) -> list[_Merged]:
        merged: list[_Merged] = []
        for name in self.names:
            a, b = (side.ends[name] for side in sides)
            if a is not b:
                self._merge_value(name, a, b, sides, merged)
        if sides[0].value is not None or sides[1].value is not None:
            self._merge_value("", sides[0].value, sides[1].value, sides, merged)
        return merged

    def _merge_value(self, name: str, a: Any, b: Any, sides: Sequence[_Side], merged: list[_Merged]) -> None:
        if name == VALUE:
            a, b = (
                UNDEFINED if x is None and not _has_returned(side) else x for x, side in ((a, sides[0]), (b, sides[1]))
            )
            if a is UNDEFINED and b is UNDEFINED:
                self.trees[name] = flatten(None)[1]
                return
        own = [flatten(value) for value in (a, b)]
        (_, first), (_, second) = own
        if name == VALUE and (a is UNDEFINED or b is UNDEFINED):  # that it is not set is what the flag beside it says
            tree = second if a is UNDEFINED else first
            leaves = [
                [UNDEFINED] * tree.size if v is UNDEFINED else flat for v, (flat, _) in zip((a, b), own, strict=True)
            ]
        else:
            wider = unified(first, second, name)
            if wider is None:
                raise self._differ(name, a, b)
            tree = wider
            leaves = [converted(shape, flat, tree, UNDEFINED, bool) for flat, shape in own]
        self.trees[name] = tree
        for x, y in zip(*leaves, strict=True):
            merged.append(self._merge_leaf(name, x, y, sides, merged))

    def _merge_leaf(self, name: str, x: Any, y: Any, sides: Sequence[_Side], merged: list[_Merged]) -> _Merged:
        if (shared := _one_array(x, y, sides)) is not None:
            return _Merged(name, None, [], shared)
        kinds = [None if leaf is UNDEFINED else kind_of(leaf) for leaf in (x, y)]
        present = [kind for kind in kinds if kind is not None]
        if not present or (len(present) == 2 and type(x) is type(y) and not isinstance(x, Tracer) and x is y):
            if x is not UNDEFINED and y is not UNDEFINED and x is not y and x != y:
                raise self._differ(name, x, y)
            return _Merged(name, None, [], y if x is UNDEFINED else x)
        if len(present) == 1 and UNDEFINED not in (x if kinds[0] is None else None, y if kinds[1] is None else None):
            raise self._differ(name, x, y)
        if isinstance(x, bool) and isinstance(y, bool):  # they differ
            going = number(self.predicate, bool)
            return _Merged(name, None, [], going if x else negated(going))
        if len(present) == 1 and present[0].form == "array" and any(map(self._is_inside, present[0].type.dims)):
            kind = self._vary(self._nothing(kinds), sides, merged)
        else:
            kind = present[0] if len(present) == 1 else join(*present) or self._vary(present, sides, merged)
        if kind is None:
            raise self._differ(name, x, y)
        results = []
        for leaf, side in zip((x, y), sides, strict=True):
            with side.region.running():
                results.append(blank(kind) if leaf is UNDEFINED else operand_as(leaf, kind))
        sources = [
            leaf.storage
            for leaf, side in zip((x, y), sides, strict=True)
            if isinstance(leaf, TracedArray) and leaf.storage.trace is not side.region
        ]
        outside = any(is_outside(leaf, side.region) for leaf, side in zip((x, y), sides, strict=True))
        found = _Merged(name, kind, results, None, outside, sources)
        owners = [owners_of(leaf) for leaf in (x, y)]
        for storage in dict.fromkeys(storage for own in owners for storage in own):
            ours, theirs = (own.get(storage, False) for own in owners)
            found.owners[storage] = flag = self._merge_leaf(_OWNER, ours, theirs, sides, merged)
            merged.append(flag)
        return found

    def _is_inside(self, dim: DimLike) -> bool:
        """Whether a size is known inside of one side only."""
        return bool(symbols_of(dim) & (self.outer.sizes.late.keys() - self.known)) if isinstance(dim, Dim) else False

    def _nothing(self, kinds: Sequence[Kind | None]) -> list[Kind]:
        """The kinds of both sides where one has no array: there its sizes that the other computes are 0."""
        found = next(kind for kind in kinds if kind is not None)
        empty = tuple(0 if self._is_inside(dim) else dim for dim in found.type.dims)
        return [replace(found, type=found.type.with_dims(empty)) if kind is None else kind for kind in kinds]

    def _vary(self, kinds: Sequence[Kind], sides: Sequence[_Side], merged: list[_Merged]) -> Kind | None:
        """The kind of arrays of different sizes, whose sizes become results too."""
        a, b = kinds
        if not are_alike(a, b):
            return None
        same = self.outer.sizes.same
        pairs = [None if same(*pair) else pair for pair in zip(a.type.dims, b.type.dims, strict=True)]
        for pair in filter(None, pairs):
            if pair in self.sizes:
                continue
            room = room_of_both(*pair)
            if room is None:
                return None
            results = []
            for dim, side in zip(pair, sides, strict=True):
                with side.region.running():
                    results.append(dim_value(dim))
            # Sizes of the trace around it tell most, but memory must have room for all their values.
            merged.append(_Merged(_SIZE, SIZE, results, room_of_both(*pair, self.known)))
            self.sizes[pair] = len(self.sizes), room
        found = [None if pair is None else self.sizes[pair] for pair in pairs]
        dims = tuple(d if f is None else f[1] for d, f in zip(a.type.dims, found, strict=True))
        order = a.order if a.order == b.order else ()
        return Kind("array", a.type.with_dims(dims), None, order, tuple(f and f[0] for f in found))

    def _differ(self, name: str, a: Any, b: Any) -> UnsupportedError:
        def shown(value: Any) -> str:
            kind = kind_of(value)
            return repr(value) if kind is None else str(kind)

        what = f"the variable {name!r}" if name and name != VALUE else "the value"
        return UnsupportedError(
            f"{what} is {shown(a)} after one side of a branch and {shown(b)} after the other, and the condition is "
            f"known only when the compiled function runs ({describe(user_location())}). Give it the same shape and "
            "dtype on both sides"
        )

    # ------------------------------------------------------------------------------------------------- emission

    def _emit(self, operands: list[Operand], regions: list[Function]) -> Sequence[Operand]:
        if all(map(_is_cheap, regions)):
            then, otherwise = (inline(self.outer.builder, region, operands) for region in regions)
            return [
                a if a is b or a == b else emit("select", self.predicate, a, b)
                for a, b in zip(then, otherwise, strict=True)
            ]
        if not any(region.results for region in regions) and not any(region.eqns for region in regions):
            return []
        return emit_regions("cond", [self.predicate, *operands], tuple(regions))

    def _hand_out(self, sides: Sequence[_Side], merged: list[_Merged], values: Sequence[Operand]) -> Any:
        leaves = self._leaves(merged, values)
        for name in self.cells:
            ends = [side.ends[name] for side in sides]
            if name in self.trees:
                put(self.cells[name], unflatten(self.trees[name], leaves.get(name, [])))
            else:
                put(self.cells[name], ends[0] if ends[0] is ends[1] else UNDEFINED)
        return unflatten(self.trees[""], leaves.get("", [])) if "" in self.trees else None

    def _leaves(self, merged: list[_Merged], values: Sequence[Operand]) -> dict[str, list[Any]]:
        """What the user's code sees of the merged leaves, by the names of variables."""
        rest = iter(values)
        leaves: dict[str, list[Any]] = {}
        sizes: list[DimLike] = []
        for item in merged:
            if item.name == _SIZE:
                sizes.append(late_dim(next(rest), 0, item.value))
                continue
            if item.kind is not None:
                item.value = enter(next(rest), item.kind, sizes=sizes)
            if item.name != _OWNER:
                self._note_memory(item)
                leaves.setdefault(item.name, []).append(item.value)
        return leaves

    def _note_memory(self, item: _Merged) -> None:
        """Note whose memory a merged array may be."""
        value = item.value
        if item.owners:
            value.storage.owners = {storage: flag.value for storage, flag in item.owners.items()}
        if item.outside:
            reason = (
                f"{item.name or 'an array'} may be the memory of an argument or not, depending on a condition that "
                f"is known only when the compiled function runs ({describe(user_location())}); copy it before "
                "writing into it"
            )
            ambiguous(value, lambda: reason)
        for source in dict.fromkeys(item.sources):
            make_twins(value.storage, source)


def _has_returned(side: _Side) -> bool:
    """Whether a side may have run a ``return``: what it gives counts."""
    return side.ends.get(RETURNED, True) is not False


class _Merged:
    """One leaf: its kind and the result of each side, or the value that both sides have."""

    __slots__ = ("kind", "name", "outside", "owners", "results", "sources", "value")

    def __init__(
        self,
        name: str,
        kind: Kind | None,
        results: list[Operand],
        value: Any,
        outside: bool = False,
        sources: Sequence[Storage] = (),
    ) -> None:
        self.name = name
        self.kind = kind
        self.results = results
        self.value = value
        self.outside = outside
        self.sources = sources
        self.owners: dict[Storage, _Merged] = {}  # whether it is the memory of an argument


def _one_array(x: Any, y: Any, sides: Sequence[_Side]) -> TracedArray | None:
    """The array from around a branch that a variable is after both sides, or after the only side that sets it."""
    found = [leaf for leaf in (x, y) if leaf is not UNDEFINED]
    regions = [side.region for side in sides]
    if not all(isinstance(leaf, TracedArray) and leaf.storage.trace not in regions for leaf in found):
        return None
    alone = len({leaf.storage for leaf in found}) == 1 and not any(leaf.views for leaf in found)
    return found[0] if alone or x is y else None


def owners_of(leaf: Any) -> dict[Storage, Any]:
    """The arguments that a leaf may be, and whether it is."""
    if not isinstance(leaf, TracedArray) or leaf.views:
        return {}
    return {leaf.storage: True} if leaf.storage.origin is not None else leaf.storage.owners


def _is_cheap(region: Function) -> bool:
    """Whether a side is a few operations on scalars that cannot fail."""
    return (
        len(region.eqns) <= _CHEAP
        and all(e.op.elementwise and e.op.name not in _COSTLY for e in region.eqns)
        and all(not o.type.dims for e in region.eqns for o in (*e.operands, *e.results))
        and all(not r.type.dims for r in region.results)
    )


_COSTLY = frozenset(("wrap_index", "pow", "floordiv", "mod", "exp", "log", "sin", "cos", "tan", "tanh"))


def may_raise(trace: Trace) -> bool:
    """Whether what was traced may raise something, or has effects, before it comes to its end."""
    return any(is_check(eqn) or has_effect(eqn) for eqn in trace.builder.eqns)


def emit_raise(error: Exception) -> None:
    """Let the program raise an error that was found while tracing, after all that comes before it."""
    kind = raisable_class(error)
    assert kind is not None
    never = literal(False, scalar("bool").dtype)
    emit_check(never, kind.__name__, _text_of(error), traceback_location(error.__traceback__))


def _text_of(error: BaseException) -> str:
    return as_it_is(str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error))


def emit_check(pred: Operand, exception: str, text: str, location: Location | None = None) -> None:
    """Let the program raise unless a condition holds."""
    trace = current_trace()
    trace.emit_check(pred, (), exception, text, location or user_location())
    add_facts(trace, facts_of(pred, True, trace))
