"""Branches and truth tests of the user's function on traced values.

What is known while tracing is decided at once. Otherwise both sides are traced as regions of a ``cond`` of which one
runs; where both are a few operations on scalars, both are computed and one is chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import CellType
from typing import Any

import numpy as np

from tracejit.errors import UnsupportedError, exception_named
from tracejit.ir.builder import inline
from tracejit.ir.core import Function, Operand
from tracejit.ir.dims import DimLike
from tracejit.ir.primitive import PRIMITIVES
from tracejit.trace.array import TracedArray
from tracejit.trace.base import Tracer
from tracejit.trace.context import Trace, active_trace, current_trace
from tracejit.trace.growing_lists import GrowingLists, GrowsError
from tracejit.trace.inputs import contains_tracer, operand_of, stand_in
from tracejit.trace.jumps import RETURNED, VALUE
from tracejit.trace.location import describe, user_location
from tracejit.trace.pytree import flatten, unflatten
from tracejit.trace.region import Inputs, StagedRaise, UnstageableError, emit_regions, finish, region_of, watched
from tracejit.trace.registry import call, implements
from tracejit.trace.scalar import PythonNumber, SymbolicInt, number
from tracejit.trace.sizes import UndecidedError
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
from tracejit.trace.traced_list import TracedList
from tracejit.trace.values import dim_value, emit, late_dim, reshape, truth
from tracejit.trace.varying import SIZE, are_alike, room_of_both

__all__ = ["branch", "chain", "choose", "ensure", "opposite", "truth_of"]

_SIZE = "a size"  # no name of a variable
_CHEAP = 12  # operations on scalars that are computed although they may not be needed


def truth_of(value: Any) -> Any:
    """``bool(value)``: a plain bool, or a traced one where only the running program knows."""
    if not isinstance(value, Tracer):
        return bool(value)
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


# ---------------------------------------------------------------------------------------------------------- branches


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
    _Branch(going.operand(), needed, cells, changed).run(then, otherwise)


@implements("when")
def when(test: Any, then: Callable[[], Any]) -> None:
    """``if test: then()``."""

    def side() -> None:
        then()

    def nothing() -> None: ...

    branch(test, side, nothing, (), {})


class _Side:
    """One side, traced."""

    def __init__(self, region: Trace) -> None:
        self.region = region
        self.ends: dict[str, Any] = {}
        self.value: Any = None
        self.error: BaseException | None = None


class _Branch:
    def __init__(
        self, predicate: Operand, needed: Sequence[str], cells: Mapping[str, CellType], changed: Sequence[str] = ()
    ) -> None:
        self.outer = current_trace()
        self.lists = GrowingLists(self.outer, cells, changed)
        self.predicate = predicate
        self.cells = cells
        self.names = [name for name in cells if name in needed]
        self.sizes: dict[tuple[DimLike, DimLike], tuple[int, DimLike]] = {}  # that differ: their numbers, the room
        self.known = frozenset(self.outer.sizes.late)

    def run(self, then: Callable[[], Any], otherwise: Callable[[], Any]) -> Any:
        """Trace both sides and emit the choice; gives the joined value of what they return."""
        sides = self._trace_both(then, otherwise)
        for position, side in enumerate(sides):
            if side.error is not None:
                self.lists.leave(done=False)
                # That side only raises: the program checks, and goes on with the other.
                self._check(side.error, fails_if=position == 0)
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
                sides = [self._trace(then), self._trace(otherwise)]
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

    def _trace(self, side: Callable[[], Any]) -> _Side:
        before = {name: get(cell) for name, cell in self.cells.items()}
        with watched(list(before.values())) as changed, region_of(self.outer) as region:
            region.conditional = True
            found = _Side(region)
            try:
                found.value = side()
                found.ends = {name: get(cell) for name, cell in self.cells.items()}
            except StagedRaise as raised:
                found.error = raised.error
            finally:
                for name, value in before.items():
                    put(self.cells[name], value)
            if found.error is None and changed():
                raise UnsupportedError(
                    f"a list or dict is changed where a traced condition holds ({describe(user_location())}), and how "
                    "long it becomes would be known only when the compiled function runs; fill an array and count"
                )
        return found

    def _check(self, error: BaseException, *, fails_if: bool) -> None:
        pred = emit("logical_not", self.predicate) if fails_if else self.predicate
        name = type(error).__name__
        try:
            known = exception_named(name) is type(error)
        except ValueError:
            known = False
        if not known:
            raise UnsupportedError(
                f"raising {name} where a traced condition holds is not compiled ({describe(user_location())}); "
                "raise one of Python's own exceptions"
            )
        text = str(error).replace("{", "{{").replace("}", "}}")
        _emit_check(pred, name, text)

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
                UNDEFINED if x is None and y is not None and side.ends.get(RETURNED) is not True else x
                for x, y, side in ((a, b, sides[0]), (b, a, sides[1]))
            )
        if a is UNDEFINED and b is UNDEFINED:
            return
        known = b if a is UNDEFINED else a
        leaves, tree = flatten(known)
        own: list[list[Any]] = []
        for value in (a, b):
            if value is UNDEFINED:
                own.append([UNDEFINED] * len(leaves))
                continue
            found, shape = flatten(value)
            if shape != tree:
                raise self._differ(name, a, b)
            own.append(found)
        for x, y in zip(*own, strict=True):
            merged.append(self._merge_leaf(name, x, y, sides, merged))

    def _merge_leaf(self, name: str, x: Any, y: Any, sides: Sequence[_Side], merged: list[_Merged]) -> _Merged:
        kinds = [None if leaf is UNDEFINED else kind_of(leaf) for leaf in (x, y)]
        present = [kind for kind in kinds if kind is not None]
        if not present or (len(present) == 2 and type(x) is type(y) and not isinstance(x, Tracer) and x is y):
            if x is not UNDEFINED and y is not UNDEFINED and x is not y and x != y:
                raise self._differ(name, x, y)
            return _Merged(name, None, [], y if x is UNDEFINED else x)
        if len(present) == 1 and UNDEFINED not in (x if kinds[0] is None else None, y if kinds[1] is None else None):
            raise self._differ(name, x, y)
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
        return _Merged(name, kind, results, None, outside, sources)

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
        rest = iter(values)
        leaves: dict[str, list[Any]] = {}
        sizes: list[DimLike] = []
        for item in merged:
            if item.name == _SIZE:
                sizes.append(late_dim(next(rest), 0, item.value))
                continue
            if item.kind is None:
                leaves.setdefault(item.name, []).append(item.value)
                continue
            value = enter(next(rest), item.kind, sizes=sizes)
            if item.outside:
                reason = (
                    f"{item.name or 'an array'} may be the memory of an argument or not, depending on a condition that "
                    f"is known only when the compiled function runs ({describe(user_location())}); copy it before "
                    "writing into it"
                )
                ambiguous(value, lambda reason=reason: reason)  # type: ignore[misc]
            for source in dict.fromkeys(item.sources):
                make_twins(value.storage, source)
            leaves.setdefault(item.name, []).append(value)
        for name in self.cells:
            ends = [side.ends[name] for side in sides]
            if name in leaves:
                _, tree = flatten(ends[1] if ends[0] is UNDEFINED or (name == VALUE and ends[0] is None) else ends[0])
                put(self.cells[name], unflatten(tree, leaves[name]))
            elif ends[0] is ends[1]:
                put(self.cells[name], ends[0])
            else:
                put(self.cells[name], UNDEFINED)
        if "" in leaves:
            _, tree = flatten(sides[0].value)
            return unflatten(tree, leaves[""])
        return None


class _Merged:
    """One leaf: its kind and the result of each side, or the value that both sides have."""

    __slots__ = ("kind", "name", "outside", "results", "sources", "value")

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


def _is_cheap(region: Function) -> bool:
    """Whether a side is a few operations on scalars that cannot fail."""
    return (
        len(region.eqns) <= _CHEAP
        and all(e.op.elementwise and e.op.name not in _COSTLY for e in region.eqns)
        and all(not o.type.dims for e in region.eqns for o in (*e.operands, *e.results))
        and all(not r.type.dims for r in region.results)
    )


_COSTLY = frozenset(("wrap_index", "pow", "floordiv", "mod", "exp", "log", "sin", "cos", "tan", "tanh"))


# ------------------------------------------------------------------------------------------------------- expressions


def choose(test: Any, then: Callable[[], Any], otherwise: Callable[[], Any]) -> Any:
    """``then() if test else otherwise()``."""
    going = truth_of(test)
    if isinstance(going, bool):
        return then() if going else otherwise()
    return _Branch(going.operand(), (), {}).run(then, otherwise)


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

    kind = kind_of(value)
    joins = False

    def rest() -> Any:
        nonlocal joins
        found = following()
        other = kind_of(found)
        joins = kind is not None and other is not None and join(kind, other) is not None
        return found if joins else truth_of(found)  # values of two shapes have no common one: only their truth is told

    def here() -> Any:
        return value if joins else not conjunction

    if conjunction:
        return choose(going, rest, here)
    return choose(number(emit("logical_not", going.operand()), bool), rest, here)


def opposite(value: Any) -> Any:
    """``not value``."""
    going = truth_of(value)
    return not going if isinstance(going, bool) else number(emit("logical_not", going.operand()), bool)


def contained(item: Any, container: Any) -> Any:
    """``item in container``: of arrays any equal element, of lists and tuples one comparison after the other."""
    if isinstance(container, TracedArray):
        return truth_of(call(np.any, container == item))
    if isinstance(container, TracedList):
        return container.contains(item)
    if type(container) not in (list, tuple) or not contains_tracer((item, container)):
        return item in container
    comparisons = [lambda element=element: element is item or element == item for element in container]
    return truth_of(either(False, *comparisons))


def identical(left: Any, right: Any) -> Any:
    """``left is right``: Python has one object for each of its two bools."""
    if left is not right and _is_python_bool(left) and _is_python_bool(right):
        return truth_of(left == right)
    return left is right


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
    _emit_check(going.operand(), "AssertionError", text.replace("{", "{{").replace("}", "}}"))


def _emit_check(pred: Operand, exception: str, text: str) -> None:
    trace = current_trace()
    trace.builder.emit(PRIMITIVES["check"], (pred,), {"exception": exception, "text": text}, (), user_location())


def finished(value: Any, returned: Any) -> Any:
    """What a function gives whose end was reached; ``returned``: whether a return was run before."""
    if value is not None and isinstance(returned, Tracer):
        text = (
            f"the function gives a value for some data and None for other data ({describe(user_location())}), and this "
            "call gives None, which compiled code cannot hold. End the function with a return of the same kind of value"
        )
        _emit_check(operand_of(returned), "UnsupportedError", text.replace("{", "{{").replace("}", "}}"))
    return value


def raising(error: Any) -> Any:
    """What a ``raise`` raises: where it depends on a traced condition, the end of the branch."""
    trace = active_trace()
    while trace is not None and trace.region:
        if trace.conditional:
            return StagedRaise(error() if isinstance(error, type) else error)
        trace = trace.parent
    return error
