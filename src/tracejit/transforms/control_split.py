"""Forward differentiation of control flow with known and linear equations kept apart, as the reverse pass needs it.

A loop becomes two. The known one also saves what the linear one reads, in arrays with one entry for each iteration.
Where nothing bounds the number of iterations, such arrays have no size; the loop is then cut into a fixed number of
segments, of which only the start is saved, and the linear loop computes the rest once more.
"""

from __future__ import annotations

from collections.abc import Sequence

from tracejit.errors import UnsupportedError
from tracejit.ir.builder import Builder, inline
from tracejit.ir.core import Eqn, Function, Literal, Operand, Value, walk
from tracejit.ir.dims import DimLike
from tracejit.ir.ops.callbacks import callback
from tracejit.ir.ops.common import Tangent, index_add, index_literal, index_mul, index_sub, op, zeros
from tracejit.ir.primitive import PRIMITIVES
from tracejit.ir.types import ArrayType, scalar
from tracejit.transforms.common import Mask, chosen, emit_as, filled, fixpoint, placed, tangent_values
from tracejit.transforms.jvp import Push
from tracejit.transforms.ranges import Range
from tracejit.transforms.residuals import Split, split_region
from tracejit.transforms.reverse import drop_linear

__all__ = ["split_cond", "split_fori", "split_while"]

Result = tuple[Sequence[Operand], list[Tangent]]

SEGMENTS = 128
"""Into how many pieces a loop of unknown length is cut, twice: up to 128 * 128 iterations are computed three times."""


def _inner(push: Push, builder: Builder, params: Sequence[Value], ranges: Sequence[Range], cuts: int) -> Push:
    inner = Push(builder, split=True, ranges=push.ranges.inner(), cuts=cuts)
    for param, bounds in zip(params, ranges, strict=True):
        inner.ranges[param] = bounds
    return inner


# ----------------------------------------------------------------------------------------------------------- cond


class _Branch:
    """One region of a split cond."""

    def __init__(self, push: Push, region: Function, active: Mask, ranges: Sequence[Range]) -> None:
        self.region = region
        with Builder() as self.builder:
            self.params = [self.builder.param(p.type, p.loc) for p in region.params]
            inner = _inner(push, self.builder, self.params, ranges, push.cuts)
            self.seeds = tangent_values(self.params, active)
            inner.bind(region.params, self.params, self.seeds)
            inner.run(region.eqns)
            self.results, self.tangents = inner.outcome(region.results)
            self.again = inner.again

    def split(self, mask: Mask) -> None:
        with self.builder:
            self.outputs = filled(self.tangents, mask, self.results)
        seeds = [s for s in self.seeds if s is not None]
        self.parts = split_region(self.builder.eqns, self.params, self.params, seeds, self.outputs, self.again)

    def known(self, before: Sequence[Value], after: Sequence[Value]) -> Function:
        """The region of values, that also gives what it saves, and zeros for what the other branch saves."""
        with self.builder:
            fill_before, fill_after = [zeros(v.type) for v in before], [zeros(v.type) for v in after]
            results = [*self.results, *fill_before, *self.parts.saved, *fill_after]
            drop_linear(self.builder, self.seeds)
            return self.builder.finish(results, name=self.region.name)

    def linear(self, active: Mask, before: Sequence[Value], after: Sequence[Value]) -> Function:
        """The region of tangents: (tangents, params, saved by the first branch, by the second)."""
        with Builder() as builder:
            environment: dict[Operand, Operand] = {}
            for seed in chosen(self.seeds, active):
                environment[seed] = builder.param(seed.type)
            for param in self.params:
                environment[param] = builder.param(param.type)
            for value in before:
                builder.param(value.type)
            for value in self.parts.saved:
                environment[value] = builder.param(value.type)
            for value in after:
                builder.param(value.type)
            return builder.finish(self.parts.emit(builder, environment, self.outputs), name=self.region.name)


def split_cond(push: Push, eqn: Eqn, operands: list[Operand], tangents: list[Tangent]) -> Result:
    """A cond of values, and a cond of tangents with the same predicate."""
    active = tuple(t is not None for t in tangents[1:])
    ranges = [push.ranges[o] for o in operands[1:]]
    then, otherwise = (_Branch(push, region, active, ranges) for region in eqn.regions)
    mask = tuple(a is not None or b is not None for a, b in zip(then.tangents, otherwise.tangents, strict=True))
    then.split(mask)
    otherwise.split(mask)
    first, second = then.parts.saved, otherwise.parts.saved
    results = emit_as(eqn, push.builder, operands, {}, then.known((), second), otherwise.known(first, ()))
    count = len(eqn.results)
    if not any(mask):
        return results[:count], [None] * count
    given = [operands[0], *chosen(tangents[1:], active), *operands[1:], *results[count:]]
    regions = then.linear(active, (), second), otherwise.linear(active, first, ())
    return results[:count], placed(emit_as(eqn, push.builder, given, {}, *regions), mask)


# ------------------------------------------------------------------------------------------------------ fori_loop


class _Body:
    """The body of a split loop, its equations emitted and divided into known and linear ones."""

    def __init__(
        self, push: Push, body: Function, mask: Mask, constants: Mask, ranges: Sequence[Range], cuts: int
    ) -> None:
        self.region = body
        carries = len(mask)
        with Builder() as self.builder:
            self.params = [self.builder.param(p.type, p.loc) for p in body.params]
            inner = _inner(push, self.builder, self.params, ranges, cuts)
            self.seeds = tangent_values(self.params, (False, *mask, *constants))
            inner.bind(body.params, self.params, self.seeds)
            inner.run(body.eqns)
            self.results, tangents = inner.outcome(body.results)
            self.again = inner.again
            self.grown = tuple(a or t is not None for a, t in zip(mask, tangents, strict=True))
            self.outputs = filled(tangents, mask, self.results)
        self.index, self.carried = self.params[0], self.params[1 : 1 + carries]
        self.constants = self.params[1 + carries :]
        self.linear_inputs = [s for s in self.seeds if s is not None]

    def split(self, *, recompute: bool) -> Split:
        """Save what cannot be computed from constants; with ``recompute`` only carries."""
        free = [self.index, *self.constants]
        return split_region(
            self.builder.eqns, self.params, free, self.linear_inputs, self.outputs, self.again, recompute=recompute
        )

    def known(self, saved: Sequence[Value], lower: Operand, trip: DimLike) -> Function:
        """The body of values: (i, carries, stacks, constants, lower), the stacks being what the linear body reads."""
        with self.builder as builder:
            stacks = [Value(_stacked(v.type, trip)) for v in saved]
            low = lower if isinstance(lower, Literal) else Value(lower.type)
            position = index_sub(self.index, low)
            full = [op("scatter", stack, v, position, axes=(0,)) for stack, v in zip(stacks, saved, strict=True)]
            extra = [low] if isinstance(low, Value) else []
            builder.params = [self.index, *self.carried, *stacks, *self.constants, *extra]
            drop_linear(builder, self.seeds)
            return builder.finish([*self.results, *full], name=self.region.name)

    def known_plain(self, saved: Sequence[Value], trip: DimLike) -> Function:
        """As ``known`` where only carries are saved, from iteration 0: without what the linear body computes again."""
        with Builder() as builder:
            index = builder.param(scalar("i64"))
            carried = [builder.param(c.type) for c in self.carried]
            stacks = [builder.param(_stacked(v.type, trip)) for v in saved]
            constants = [builder.param(c.type) for c in self.constants]
            kept = [carried[self.carried.index(v)] for v in saved]
            full = [op("scatter", stack, v, index, axes=(0,)) for stack, v in zip(stacks, kept, strict=True)]
            results = inline(builder, self.region, [index, *carried, *constants])
            return builder.finish([*results, *full], name=self.region.name)

    def linear(self, parts: Split, lower: Operand, trip: DimLike) -> Function:
        """The body of tangents: (i, carried tangents, constant tangents, constants, lower, stacks)."""
        with Builder() as builder:
            environment: dict[Operand, Operand] = {self.index: builder.param(scalar("i64"))}
            for value in (*self.linear_inputs, *self.constants):
                environment[value] = builder.param(value.type)
            low = lower if isinstance(lower, Literal) else builder.param(lower.type)
            position = index_sub(environment[self.index], low)
            for value in parts.saved:
                environment[value] = op("gather", builder.param(_stacked(value.type, trip)), position, axes=(0,))
            return builder.finish(parts.emit(builder, environment, self.outputs), name=self.region.name)

    def linear_from_start(self, parts: Split, lower: Operand) -> Function:
        """As ``linear``, with the initial carries instead of stacks: the carries are computed from them again."""
        with Builder() as builder:
            index = builder.param(scalar("i64"))
            environment: dict[Operand, Operand] = {self.index: index}
            for value in (*self.linear_inputs, *self.constants):
                environment[value] = builder.param(value.type)
            low = lower if isinstance(lower, Literal) else builder.param(lower.type)
            inits = [builder.param(c.type) for c in self.carried]
            given = (low, index, *inits, *[environment[c] for c in self.constants])
            attrs = {"carries": len(inits)}
            carries = builder.emit(PRIMITIVES["fori_loop"], given, attrs, (self.region,))
            environment.update(zip(self.carried, carries, strict=True))
            return builder.finish(parts.emit(builder, environment, self.outputs), name=self.region.name)


def _stacked(type: ArrayType, trip: DimLike) -> ArrayType:
    return type.with_dims((trip, *type.dims))


class _Loop:
    """A fori_loop to be split: the operands and tangents of one equation, by their part in it."""

    def __init__(self, push: Push, eqn: Eqn, operands: Sequence[Operand], tangents: Sequence[Tangent]) -> None:
        self.push, self.eqn = push, eqn
        self.carries: int = eqn.attrs["carries"]
        middle = 2 + self.carries
        self.lower, self.upper = operands[:2]
        self.inits, self.constants = list(operands[2:middle]), list(operands[middle:])
        self.carry_tangents, self.constant_tangents = list(tangents[2:middle]), list(tangents[middle:])
        self.trip = push.ranges.trip(self.lower, self.upper)
        self.extra = [] if isinstance(self.lower, Literal) else [self.lower]

    def body(self, cuts: int) -> None:
        """Emit the body, for the carries that turn out to be active."""
        (low, _), (_, high) = self.push.ranges[self.lower], self.push.ranges[self.upper]
        index: Range = (low, None if high is None else high - 1)
        ranges = [index, *[(None, None)] * self.carries, *[self.push.ranges[o] for o in self.constants]]
        active = tuple(t is not None for t in self.constant_tangents)

        def step(mask: Mask) -> tuple[Mask, _Body]:
            body = _Body(self.push, self.eqn.regions[0], mask, active, ranges, cuts)
            return body.grown, body

        self.mask, self.emitted = fixpoint(tuple(t is not None for t in self.carry_tangents), step)

    def saving(self, parts: Split, *, plain: bool = False) -> Result:
        """A known loop that saves, and a linear loop that reads."""
        trip = 0 if self.trip is None else self.trip
        stacks = [op("empty", dtype=v.type.dtype, dims=(trip, *v.type.dims)) for v in parts.saved]
        body = self.emitted
        known = body.known_plain(parts.saved, trip) if plain else body.known(parts.saved, self.lower, trip)
        given = [self.lower, self.upper, *self.inits, *stacks, *self.constants, *self.extra]
        attrs = {"carries": self.carries + len(stacks)}
        results = emit_as(self.eqn, self.push.builder, given, attrs, known)
        if not any(self.mask):
            return results[: self.carries], [None] * self.carries
        if plain:
            self.push.again.update(results)
        linear = self.emitted.linear(parts, self.lower, trip)
        return results[: self.carries], self._tangents(linear, results[self.carries :])

    def repeating(self, parts: Split) -> Result:
        """A known loop as it was, and a linear loop that runs all iterations before each of its own again."""
        given = [self.lower, self.upper, *self.inits, *self.constants]
        results = emit_as(self.eqn, self.push.builder, given, self.eqn.attrs, self.eqn.regions[0])
        if not any(self.mask):
            return results, [None] * self.carries
        return results, self._tangents(self.emitted.linear_from_start(parts, self.lower), self.inits)

    def _tangents(self, linear: Function, read: Sequence[Operand]) -> list[Tangent]:
        moved = filled(self.carry_tangents, self.mask, self.inits)
        moved += [t for t in self.constant_tangents if t is not None]
        given = [self.lower, self.upper, *moved, *self.constants, *self.extra, *read]
        attrs = {"carries": sum(self.mask)}
        return placed(emit_as(self.eqn, self.push.builder, given, attrs, linear), self.mask)


def split_fori(push: Push, eqn: Eqn, operands: list[Operand], tangents: list[Tangent]) -> Result:
    """A loop of values and a loop of tangents."""
    loop = _Loop(push, eqn, operands, tangents)
    loop.body(0 if loop.trip is None else 2)
    parts = loop.emitted.split(recompute=False)
    if loop.trip is not None or not parts.saved:
        return loop.saving(parts)
    _refuse_effects(eqn)
    if push.cuts == 0:
        loop.body(2)
        return loop.repeating(loop.emitted.split(recompute=True))
    cut = _Loop(push, *_segmented(push, eqn, operands, tangents))
    cut.body(push.cuts - 1)
    return cut.saving(cut.emitted.split(recompute=True), plain=True)


def _refuse_effects(eqn: Eqn) -> None:
    if any(inner.op is callback for region in eqn.regions for inner in walk(region)):
        raise UnsupportedError(
            "a loop whose number of iterations is not known ahead is run more than once where it is differentiated in "
            "reverse, which must not repeat the effects in it (random numbers, print, callbacks): move them out of the "
            "loop, or let it run a known number of times"
        )


def _segmented(
    push: Push, eqn: Eqn, operands: list[Operand], tangents: list[Tangent]
) -> tuple[Eqn, list[Operand], list[Tangent]]:
    """The same loop as a loop over at most ``SEGMENTS`` segments, with a loop over the iterations of each inside."""
    lower, upper, *rest = operands
    one = index_literal(1)
    count = index_sub(upper, lower)
    length = op("maximum", op("floordiv", index_add(count, index_literal(SEGMENTS - 1)), index_literal(SEGMENTS)), one)
    pieces = op("floordiv", index_add(count, index_sub(length, one)), length)
    pieces = op("minimum", pieces, index_literal(SEGMENTS))
    push.ranges[pieces] = (None, SEGMENTS)
    with Builder() as builder:
        piece = builder.param(scalar("i64"))
        params = [builder.param(o.type) for o in rest]
        first, end, size = (builder.param(scalar("i64")) for _ in range(3))
        start = index_add(first, index_mul(piece, size))
        stop = op("minimum", index_add(start, size), end)
        results = builder.emit(eqn.op, (start, stop, *params), eqn.attrs, eqn.regions, eqn.loc)
        region = builder.finish(results, name=f"{eqn.regions[0].name}_segment")
    outer = Eqn(eqn.op, eqn.operands, eqn.attrs, (region,), eqn.results, eqn.loc)
    return outer, [index_literal(0), pieces, *rest, lower, upper, length], [*tangents, None, None, None]


# ----------------------------------------------------------------------------------------------------- while_loop


def split_while(push: Push, eqn: Eqn, operands: list[Operand], tangents: list[Tangent]) -> Result:
    """A loop that counts the iterations, and then a fori_loop with as many."""
    _refuse_effects(eqn)
    carries = eqn.attrs["carries"]
    condition, body = eqn.regions
    types = [o.type for o in operands]
    regions = (_with_counter(condition, carries, counting=False), _with_counter(body, carries, counting=True))
    given = (*operands[:carries], index_literal(0), *operands[carries:])
    count = push.builder.emit(eqn.op, given, {"carries": carries + 1}, regions, eqn.loc)[carries]
    with Builder() as builder:
        builder.param(scalar("i64"))
        params = [builder.param(t) for t in types]
        step = builder.finish(inline(builder, body, params), name=body.name)
    loop = Eqn(PRIMITIVES["fori_loop"], eqn.operands, eqn.attrs, (step,), eqn.results, eqn.loc)
    return split_fori(push, loop, [index_literal(0), count, *operands], [None, None, *tangents])


def _with_counter(region: Function, carries: int, *, counting: bool) -> Function:
    """A region of a while loop that carries the number of iterations after its other carries."""
    with Builder() as builder:
        params = [builder.param(p.type, p.loc) for p in region.params]
        counter = builder.param(scalar("i64"))
        builder.params = [*params[:carries], counter, *params[carries:]]
        results = inline(builder, region, params)
        if counting:
            results.append(index_add(counter, index_literal(1)))
        return builder.finish(results, name=region.name)
