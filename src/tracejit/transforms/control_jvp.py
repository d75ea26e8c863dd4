"""Forward differentiation of ``cond``, ``fori_loop`` and ``while_loop``.

In a forward pass, one loop carries values and tangents. In a split pass (for reverse differentiation) there are two: the
known loop also saves what the linear loop needs, in arrays with one entry for each iteration.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tracejit.errors import UnsupportedError
from tracejit.ir.builder import Builder
from tracejit.ir.core import Eqn, Function, Literal, Operand, Value
from tracejit.ir.dims import DimLike
from tracejit.ir.ops.common import Tangent, index_sub, op, zeros
from tracejit.ir.primitive import PRIMITIVES
from tracejit.ir.types import ArrayType, scalar
from tracejit.transforms.jvp import CONTROL, Push, tangent_values
from tracejit.transforms.ranges import Range, Ranges
from tracejit.transforms.residuals import Split, split_region

Mask = tuple[bool, ...]
Result = tuple[Sequence[Operand], list[Tangent]]


def _chosen(items: Sequence[Any], mask: Sequence[bool]) -> list[Any]:
    return [item for item, m in zip(items, mask, strict=True) if m]


def _placed(items: Sequence[Operand], mask: Sequence[bool]) -> list[Tangent]:
    """The inverse of choosing: None where the mask is False."""
    remaining = iter(items)
    return [next(remaining) if m else None for m in mask]


def _filled(tangents: Sequence[Tangent], mask: Sequence[bool], like: Sequence[Operand]) -> list[Operand]:
    """The tangents where the mask is True, zeros for those that are absent."""
    return [
        zeros(value.type) if tangent is None else tangent
        for tangent, m, value in zip(tangents, mask, like, strict=True)
        if m
    ]


def _fixpoint(mask: Mask, step: Callable[[Mask], tuple[Mask, Any]]) -> tuple[Mask, Any]:
    """Grow the mask of active carries until an iteration adds none."""
    while True:
        after, made = step(mask)
        grown = tuple(a or b for a, b in zip(mask, after, strict=True))
        if grown == mask:
            return mask, made
        mask = grown


def _emit(eqn: Eqn, builder: Builder, name: str, operands: Sequence[Operand], attrs: Any, *regions: Function) -> list[Operand]:
    return list(builder.emit(PRIMITIVES[name], tuple(operands), attrs, regions, eqn.loc))


# ----------------------------------------------------------------------------------------------------------- cond


def _cond(push: Push, eqn: Eqn, operands: list[Operand], tangents: list[Tangent]) -> Result:
    return _split_cond(push, eqn, operands, tangents) if push.split else _joint_cond(push, eqn, operands, tangents)


def _joint_cond(push: Push, eqn: Eqn, operands: list[Operand], tangents: list[Tangent]) -> Result:
    active = tuple(t is not None for t in tangents[1:])

    def branch(region: Function, mask: Mask | None) -> tuple[Function, Mask]:
        with Builder() as builder:
            inner = Push(builder, split=False, ranges=push.ranges.inner())
            params = [builder.param(p.type, p.loc) for p in region.params]
            seeds = [builder.param(p.type) if a else None for p, a in zip(region.params, active, strict=True)]
            inner.bind(region.params, params, seeds)
            inner.run(region.eqns)
            results, moved = inner.outcome(region.results)
            found = tuple(t is not None for t in moved)
            return builder.finish([*results, *_filled(moved, mask or found, results)], name=region.name), found

    masks = [branch(region, None)[1] for region in eqn.regions]
    mask = tuple(map(any, zip(*masks, strict=True)))
    regions = [branch(region, mask)[0] for region in eqn.regions]
    given = [*operands, *_chosen(tangents[1:], active)]
    results = _emit(eqn, push.builder, "cond", given, {}, *regions)
    count = len(eqn.results)
    return results[:count], _placed(results[count:], mask)


class _Branch:
    """One region of a split cond."""

    def __init__(self, push: Push, region: Function, active: Mask, ranges: Sequence[Range | None]) -> None:
        self.region = region
        with Builder() as self.builder:
            inner = Push(self.builder, split=True, ranges=push.ranges.inner())
            self.params = [self.builder.param(p.type, p.loc) for p in region.params]
            for param, bounds in zip(self.params, ranges, strict=True):
                inner.ranges[param] = bounds
            self.seeds = tangent_values(self.params, active)
            inner.bind(region.params, self.params, self.seeds)
            inner.run(region.eqns)
            self.results, self.tangents = inner.outcome(region.results)

    def split(self, mask: Mask) -> None:
        with self.builder:
            self.outputs = _filled(self.tangents, mask, self.results)
        seeds = [s for s in self.seeds if s is not None]
        self.parts = split_region(self.builder.eqns, self.params, self.params, seeds, self.outputs)

    def known(self, before: Sequence[Value], after: Sequence[Value]) -> Function:
        """The region of values, that also gives what it saves, and zeros for what the other branch saves."""
        with self.builder:
            fill_before, fill_after = [zeros(v.type) for v in before], [zeros(v.type) for v in after]
            results = [*self.results, *fill_before, *self.parts.saved, *fill_after]
            return self.builder.finish(results, name=self.region.name)

    def linear(self, active: Mask, before: Sequence[Value], after: Sequence[Value]) -> Function:
        """The region of tangents: (tangents, params, saved by the first branch, by the second)."""
        with Builder() as builder:
            environment: dict[Operand, Operand] = {}
            for seed in _chosen(self.seeds, active):
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


def _split_cond(push: Push, eqn: Eqn, operands: list[Operand], tangents: list[Tangent]) -> Result:
    active = tuple(t is not None for t in tangents[1:])
    ranges = [push.ranges[o] if isinstance(o, Value) else None for o in operands[1:]]
    then, otherwise = (_Branch(push, region, active, ranges) for region in eqn.regions)
    mask = tuple(
        a is not None or b is not None for a, b in zip(then.tangents, otherwise.tangents, strict=True)
    )
    then.split(mask)
    otherwise.split(mask)
    first, second = then.parts.saved, otherwise.parts.saved
    known = then.known((), second), otherwise.known(first, ())
    results = _emit(eqn, push.builder, "cond", operands, {}, *known)
    count = len(eqn.results)
    if not any(mask):
        return results[:count], [None] * count
    linear = then.linear(active, (), second), otherwise.linear(active, first, ())
    given = [operands[0], *_chosen(tangents[1:], active), *operands[1:], *results[count:]]
    moved = _emit(eqn, push.builder, "cond", given, {}, *linear)
    return results[:count], _placed(moved, mask)


# ------------------------------------------------------------------------------------------------------ fori_loop


def _fori(push: Push, eqn: Eqn, operands: list[Operand], tangents: list[Tangent]) -> Result:
    carries = eqn.attrs["carries"]
    initial = tuple(t is not None for t in tangents[2 : 2 + carries])
    constants = tuple(t is not None for t in tangents[2 + carries :])
    if push.split:
        return _split_fori(push, eqn, operands, tangents, initial, constants)
    mask, region = _fixpoint(initial, lambda m: _joint_body(push, eqn.regions[0], 1, m, constants))
    inits, rest = operands[2 : 2 + carries], operands[2 + carries :]
    moved = _filled(tangents[2 : 2 + carries], mask, inits)
    given = [*operands[:2], *inits, *moved, *rest, *_chosen(tangents[2 + carries :], constants)]
    results = _emit(eqn, push.builder, "fori_loop", given, {"carries": carries + len(moved)}, region)
    return results[:carries], _placed(results[carries:], mask)


def _joint_body(push: Push, body: Function, leading: int, mask: Mask, constants: Mask) -> tuple[Mask, Function]:
    """The body of a loop over values and tangents: (leading, carries, their tangents, constants, their tangents)."""
    middle = leading + len(mask)
    head, carried, rest = body.params[:leading], body.params[leading:middle], body.params[middle:]
    with Builder() as builder:
        inner = Push(builder, split=False, ranges=push.ranges.inner())
        inner.bind(head, [builder.param(p.type, p.loc) for p in head], [None] * leading)
        for group, active in ((carried, mask), (rest, constants)):
            params = [builder.param(p.type, p.loc) for p in group]
            inner.bind(group, params, [builder.param(p.type) if a else None for p, a in zip(group, active, strict=True)])
        inner.run(body.eqns)
        results, moved = inner.outcome(body.results)
        grown = tuple(a or t is not None for a, t in zip(mask, moved, strict=True))
        return grown, builder.finish([*results, *_filled(moved, mask, results)], name=body.name)


class _Body:
    """The body of a split loop, its equations emitted and divided."""

    def __init__(self, push: Push, body: Function, mask: Mask, constants: Mask, ranges: Sequence[Range | None]) -> None:
        self.region = body
        self.mask = mask
        carries = len(mask)
        with Builder() as self.builder:
            inner = Push(self.builder, split=True, ranges=push.ranges.inner())
            self.params = [self.builder.param(p.type, p.loc) for p in body.params]
            for param, bounds in zip(self.params, ranges, strict=True):
                inner.ranges[param] = bounds
            self.seeds = tangent_values(self.params, (False, *mask, *constants))
            inner.bind(body.params, self.params, self.seeds)
            inner.run(body.eqns)
            self.results, tangents = inner.outcome(body.results)
            self.grown = tuple(a or t is not None for a, t in zip(mask, tangents, strict=True))
            self.outputs = _filled(tangents, mask, self.results)
        self.index, self.carried, self.constants = self.params[0], self.params[1 : 1 + carries], self.params[1 + carries :]
        self.carried_seeds = [s for s in self.seeds[1 : 1 + carries] if s is not None]
        self.constant_seeds = [s for s in self.seeds[1 + carries :] if s is not None]

    def split(self) -> Split:
        seeds = self.carried_seeds + self.constant_seeds
        return split_region(self.builder.eqns, self.params, [self.index, *self.constants], seeds, self.outputs)

    def known(self, parts: Split, lower: Operand, trip: DimLike) -> Function:
        """The body of values: (i, carries, stacks, constants, lower), the stacks being what the linear body reads."""
        with self.builder as builder:
            stacks = [Value(_stacked(v.type, trip)) for v in parts.saved]
            low = lower if isinstance(lower, Literal) else Value(lower.type)
            position = index_sub(self.index, low)
            filled = [
                op("scatter", stack, value, position, axes=(0,)) for stack, value in zip(stacks, parts.saved, strict=True)
            ]
            extra = [low] if isinstance(low, Value) else []
            builder.params = [self.index, *self.carried, *stacks, *self.constants, *extra]
            return builder.finish([*self.results, *filled], name=self.region.name)

    def linear(self, parts: Split, lower: Operand, trip: DimLike) -> Function:
        """The body of tangents: (i, carried tangents, constant tangents, constants, lower, stacks)."""
        with Builder() as builder:
            environment: dict[Operand, Operand] = {self.index: builder.param(scalar("i64"))}
            for value in (*self.carried_seeds, *self.constant_seeds, *self.constants):
                environment[value] = builder.param(value.type)
            low = lower if isinstance(lower, Literal) else builder.param(lower.type)
            position = index_sub(environment[self.index], low)
            for value in parts.saved:
                environment[value] = op("gather", builder.param(_stacked(value.type, trip)), position, axes=(0,))
            return builder.finish(parts.emit(builder, environment, self.outputs), name=self.region.name)


def _stacked(type: ArrayType, trip: DimLike) -> ArrayType:
    return type.with_dims((trip, *type.dims))


def _split_fori(
    push: Push, eqn: Eqn, operands: list[Operand], tangents: list[Tangent], initial: Mask, constants: Mask
) -> Result:
    carries = eqn.attrs["carries"]
    (lower, upper), inits, rest = operands[:2], operands[2 : 2 + carries], operands[2 + carries :]
    low, high = push.ranges[lower], push.ranges[upper]
    index_range = None if low is None or high is None else (low[0], high[1] - 1)
    ranges = [index_range, *[None] * carries, *[push.ranges[o] if isinstance(o, Value) else None for o in rest]]

    def step(mask: Mask) -> tuple[Mask, _Body]:
        body = _Body(push, eqn.regions[0], mask, constants, ranges)
        return body.grown, body

    mask, body = _fixpoint(initial, step)
    parts = body.split()
    trip = push.ranges.trip(lower, upper)
    if trip is None and parts.saved:
        raise UnsupportedError(
            "reverse differentiation of a loop whose number of iterations is computed from data is not supported: what "
            "it must save has no size; use jvp, or bound the loop by a size"
        )
    extra = [] if isinstance(lower, Literal) else [lower]
    trip = 0 if trip is None else trip
    stacks = [
        op("empty", dtype=v.type.dtype, dims=_stacked(v.type, trip).dims) for v in parts.saved
    ]
    known = body.known(parts, lower, trip)
    attrs = {"carries": carries + len(stacks)}
    results = _emit(eqn, push.builder, "fori_loop", [lower, upper, *inits, *stacks, *rest, *extra], attrs, known)
    if not any(mask):
        return results[:carries], [None] * carries
    linear = body.linear(parts, lower, trip)
    seeds = [*_filled(tangents[2 : 2 + carries], mask, inits), *_chosen(tangents[2 + carries :], constants)]
    given = [lower, upper, *seeds, *rest, *extra, *results[carries:]]
    moved = _emit(eqn, push.builder, "fori_loop", given, {"carries": sum(mask)}, linear)
    return results[:carries], _placed(moved, mask)


# ----------------------------------------------------------------------------------------------------- while_loop


def _while(push: Push, eqn: Eqn, operands: list[Operand], tangents: list[Tangent]) -> Result:
    carries = eqn.attrs["carries"]
    if push.split:
        raise UnsupportedError(
            "reverse differentiation of a while loop is not supported: it must save one entry for each iteration, and "
            "their number is not known; use jvp, or a for loop over a range whose length is a size"
        )
    initial = tuple(t is not None for t in tangents[:carries])
    constants = tuple(t is not None for t in tangents[carries:])
    condition, body = eqn.regions
    mask, region = _fixpoint(initial, lambda m: _joint_body(push, body, 0, m, constants))
    inits, rest = operands[:carries], operands[carries:]
    moved = _filled(tangents[:carries], mask, inits)
    given = [*inits, *moved, *rest, *_chosen(tangents[carries:], constants)]
    attrs = {"carries": carries + len(moved)}
    results = _emit(eqn, push.builder, "while_loop", given, attrs, _with_tangents(condition, mask, constants), region)
    return results[:carries], _placed(results[carries:], mask)


def _with_tangents(condition: Function, mask: Mask, constants: Mask) -> Function:
    """The condition of a loop that also carries tangents, which it does not look at."""
    carries = len(mask)
    with Builder() as builder:
        params = []
        for group, active in ((condition.params[:carries], mask), (condition.params[carries:], constants)):
            params += [builder.param(p.type, p.loc) for p in group]
            for p in _chosen(group, active):
                builder.param(p.type)
        push = Push(builder, split=False, ranges=Ranges())
        push.bind(condition.params, params, [None] * len(params))
        push.run(condition.eqns)
        return builder.finish(push.outcome(condition.results)[0], name=condition.name)


CONTROL.update(cond=_cond, fori_loop=_fori, while_loop=_while)
