"""Batching: a function of one example becomes a function of many, stacked along a new first axis.

Only what depends on a batched param gets the axis. Operations without a rule of their own run in a loop over the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from tracejit.errors import UnsupportedError
from tracejit.ir.builder import Builder
from tracejit.ir.core import Eqn, Function, Operand
from tracejit.ir.dims import DimLike
from tracejit.ir.ops.common import dim_operand, index_literal, op, with_batch
from tracejit.ir.primitive import PRIMITIVES
from tracejit.ir.types import ArrayType, scalar
from tracejit.transforms.common import Mask, finished

__all__ = ["CONTROL", "Batch", "Batched", "batched_region", "vmap", "vmap_function"]

Batched: TypeAlias = tuple[list[Operand], list[bool]]


class Batch:
    """The walk that emits equations with their batch axis, where they have one, first."""

    def __init__(self, builder: Builder, size: DimLike) -> None:
        self.builder = builder
        self.size = size
        self.values: dict[Operand, Operand] = {}
        self.batched: set[Operand] = set()

    def bind(self, old: Sequence[Operand], new: Sequence[Operand], batched: Sequence[bool]) -> None:
        """Set what stands for params or results."""
        self.values.update(zip(old, new, strict=True))
        self.batched.update(o for o, b in zip(old, batched, strict=True) if b)

    def run(self, eqns: Sequence[Eqn]) -> None:
        """Emit equations."""
        values, batched = self.values, self.batched
        for eqn in eqns:
            self.builder.loc = eqn.loc
            operands = [values.get(o, o) for o in eqn.operands]
            if batched.isdisjoint(eqn.operands):
                results = self.builder.emit(eqn.op, tuple(operands), eqn.attrs, eqn.regions, eqn.loc)
                values.update(zip(eqn.results, results, strict=True))
                continue
            flags = [o in batched for o in eqn.operands]
            if eqn.op.name in CONTROL:
                self.bind(eqn.results, *CONTROL[eqn.op.name](self, eqn, operands, flags))
                continue
            if eqn.op.batch is not None:
                new = eqn.op.batch(eqn, operands, flags)
            elif eqn.op.elementwise:
                new = self._elementwise(eqn, operands, flags)
            else:
                new = self.loop(eqn, operands, flags)
            self.bind(eqn.results, new, [True] * len(new))

    def outcome(self, results: Sequence[Operand], wanted: Sequence[bool]) -> tuple[list[Operand], Mask]:
        """The new results; those that are wanted batched are repeated where they are not."""
        flags = tuple(r in self.batched for r in results)
        return [
            with_batch(self.values.get(r, r), f, self.size) if f or w else self.values.get(r, r)
            for r, f, w in zip(results, flags, wanted, strict=True)
        ], flags

    def _elementwise(self, eqn: Eqn, operands: list[Operand], flags: Sequence[bool]) -> Sequence[Operand]:
        """Operands of one rank, the batch axis of scalars too being the first; scalars without one go everywhere."""
        inner = eqn.results[0].type.dims
        dims = (self.size, *inner)
        for k, (operand, flag) in enumerate(zip(operands, flags, strict=True)):
            if flag and operand.type.rank != len(dims):
                operands[k] = op("broadcast", operand, dims=dims, axes=(0,))
            elif not flag and operand.type.rank:
                operands[k] = with_batch(operand, False, self.size)
        return self.builder.emit(eqn.op, tuple(operands), eqn.attrs, (), eqn.loc)

    def loop(self, eqn: Eqn, operands: Sequence[Operand], flags: Sequence[bool]) -> list[Operand]:
        """Any operation, one example after the other."""
        types = [ArrayType(r.type.dtype, (self.size, *r.type.dims)) for r in eqn.results]
        with Builder() as builder:
            i = builder.param(scalar("i64"))
            out = [builder.param(t) for t in types]
            params = [builder.param(o.type) for o in operands]
            given = [op("gather", p, i, axes=(0,)) if f else p for p, f in zip(params, flags, strict=True)]
            results = builder.emit(eqn.op, tuple(given), eqn.attrs, eqn.regions, eqn.loc)
            body = builder.finish([op("scatter", o, r, i, axes=(0,)) for o, r in zip(out, results, strict=True)])
        inits = [op("empty", dtype=t.dtype, dims=t.dims) for t in types]
        given = [index_literal(0), dim_operand(self.size), *inits, *operands]
        attrs = {"carries": len(types)}
        return list(self.builder.emit(PRIMITIVES["fori_loop"], tuple(given), attrs, (body,), eqn.loc))


def batched_region(
    region: Function, flags: Sequence[bool], wanted: Sequence[bool] | None, size: DimLike
) -> tuple[Function, Mask]:
    """A region with batched params; ``wanted`` says which results must be batched, besides those that are."""
    with Builder() as builder:
        walk = Batch(builder, size)
        params = [
            builder.param(_batched_type(p.type, f, size), p.loc) for p, f in zip(region.params, flags, strict=True)
        ]
        walk.bind(region.params, params, flags)
        walk.run(region.eqns)
        results, mask = walk.outcome(region.results, wanted or [False] * len(region.results))
        return builder.finish(results, name=region.name), mask


def _batched_type(type: ArrayType, batched: bool, size: DimLike) -> ArrayType:
    return type.with_dims((size, *type.dims)) if batched else type


# ---------------------------------------------------------------------------------------------------- control flow


def _cond(walk: Batch, eqn: Eqn, operands: list[Operand], flags: list[bool]) -> Batched:
    if flags[0]:
        every = [True] * len(eqn.results)
        return (_both(walk, eqn, operands, flags) if _is_harmless(eqn) else walk.loop(eqn, operands, flags)), every
    masks = [batched_region(region, flags[1:], None, walk.size)[1] for region in eqn.regions]
    mask = list(map(any, zip(*masks, strict=True)))
    regions = tuple(batched_region(region, flags[1:], mask, walk.size)[0] for region in eqn.regions)
    return list(walk.builder.emit(eqn.op, tuple(operands), eqn.attrs, regions, eqn.loc)), mask


def _is_harmless(eqn: Eqn) -> bool:
    """Whether both branches may run where one was asked for: nothing can fail, loop on, or be seen from outside."""
    return not any(
        inner.regions or inner.op.effect is not None or inner.op.name == "wrap_index"
        for region in eqn.regions
        for inner in region.eqns
    )


def _both(walk: Batch, eqn: Eqn, operands: list[Operand], flags: list[bool]) -> list[Operand]:
    """Both branches for all examples, and a choice by the predicate of each."""
    outcomes = []
    for region in eqn.regions:
        branch = Batch(walk.builder, walk.size)
        branch.bind(region.params, operands[1:], flags[1:])
        branch.run(region.eqns)
        outcomes.append(branch.outcome(region.results, [True] * len(region.results))[0])
    chosen = []
    for a, b in zip(*outcomes, strict=True):
        pred = operands[0] if a.type.rank == 1 else op("broadcast", operands[0], dims=a.type.dims, axes=(0,))
        chosen.append(op("select", pred, a, b))
    return chosen


def _grow(flags: Mask, step: Callable[[Mask], tuple[Function, Mask]]) -> tuple[Mask, Function]:
    """The carries that become batched, and the body with them."""
    while True:
        body, after = step(flags)
        grown = tuple(a or b for a, b in zip(flags, after, strict=True))
        if grown == flags:
            return flags, body
        flags = grown


def _fori(walk: Batch, eqn: Eqn, operands: list[Operand], flags: list[bool]) -> Batched:
    carries = eqn.attrs["carries"]
    if flags[0] or flags[1]:
        return walk.loop(eqn, operands, flags), [True] * carries
    rest = flags[2 + carries :]
    mask, body = _grow(
        tuple(flags[2 : 2 + carries]),
        lambda m: batched_region(eqn.regions[0], [False, *m, *rest], m, walk.size),
    )
    inits = [_as(walk, o, f, m) for o, f, m in zip(operands[2:], flags[2:], [*mask, *rest], strict=True)]
    return list(walk.builder.emit(eqn.op, (*operands[:2], *inits), eqn.attrs, (body,), eqn.loc)), list(mask)


def _while(walk: Batch, eqn: Eqn, operands: list[Operand], flags: list[bool]) -> Batched:
    carries = eqn.attrs["carries"]
    condition, body = eqn.regions
    rest = flags[carries:]
    mask, body = _grow(tuple(flags[:carries]), lambda m: batched_region(eqn.regions[1], [*m, *rest], m, walk.size))
    condition, varies = batched_region(condition, [*mask, *rest], None, walk.size)
    if varies[0]:
        # Each example has its own number of iterations.
        return walk.loop(eqn, operands, flags), [True] * carries
    inits = [_as(walk, o, f, m) for o, f, m in zip(operands, flags, [*mask, *rest], strict=True)]
    return list(walk.builder.emit(eqn.op, tuple(inits), eqn.attrs, (condition, body), eqn.loc)), list(mask)


def _as(walk: Batch, operand: Operand, batched: bool, wanted: bool) -> Operand:
    return with_batch(operand, batched, walk.size) if wanted else operand


CONTROL = {"cond": _cond, "fori_loop": _fori, "while_loop": _while}

# ------------------------------------------------------------------------------------------------------ functions


def vmap(function: Function, batched: Sequence[bool], size: DimLike) -> tuple[Function, Mask]:
    """The function for ``size`` examples: batched params and results have a new first axis.

    The mask says which results depend on a batched param; the others are as they were.

    Example:
        >>> with Builder() as b:
        ...     x, y = b.param(scalar("f64")), b.param(scalar("f64"))
        ...     f = b.finish([x + y, y], name="f")
        >>> function, mask = vmap(f, (True, False), 5)
        >>> [str(r.type) for r in function.results], mask
        (['f64[5]', 'f64[]'], (True, False))
    """
    return _vmapped(function, batched, size, every=False)


def vmap_function(function: Function, batched: Sequence[bool], size: DimLike) -> Function:
    """As :func:`vmap`, every result having the new axis."""
    return _vmapped(function, batched, size, every=True)[0]


def _vmapped(function: Function, batched: Sequence[bool], size: DimLike, *, every: bool) -> tuple[Function, Mask]:
    builder = Builder()
    with builder:
        walk = Batch(builder, size)
        params = [
            builder.param(_batched_type(p.type, b, size), p.loc) for p, b in zip(function.params, batched, strict=True)
        ]
        walk.bind(function.params, params, batched)
        walk.run(function.eqns)
        results, mask = walk.outcome(function.results, [every] * len(function.results))
        for position, param in function.aliases.items():
            if results[position].type != params[param].type:
                raise UnsupportedError(
                    "vmap of a function that changes an argument in place needs that argument to be batched"
                )
        return finished(builder, results, function, "vmap"), mask
