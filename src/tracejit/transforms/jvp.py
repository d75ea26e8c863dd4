"""Forward differentiation: one walk that emits each equation and, beside it, the equation of its tangent.

A tangent that is zero is never emitted: it is absent. Values that are no floats have no tangent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from tracejit.ir.builder import Builder
from tracejit.ir.core import Eqn, Function, Operand, Value
from tracejit.ir.ops.common import Tangent, zeros
from tracejit.ir.primitive import PRIMITIVES
from tracejit.ir.types import ArrayType
from tracejit.transforms.ranges import Ranges

__all__ = [
    "CONTROL",
    "Push",
    "chosen",
    "differentiable",
    "emit_as",
    "filled",
    "fixpoint",
    "jvp",
    "jvp_function",
    "placed",
    "same_guards",
    "tangent_values",
]

Mask: TypeAlias = tuple[bool, ...]

Rule: TypeAlias = Callable[["Push", Eqn, list[Operand], list[Tangent]], tuple[Sequence[Operand], list[Tangent]]]

CONTROL: dict[str, Rule] = {}
"""Rules of operations with regions: they emit values and tangents together."""


def differentiable(type: ArrayType) -> bool:
    """Whether values of a type have tangents: floats and complex numbers do."""
    return type.dtype.kind in "fcV"  # V is bfloat16


class Push:
    """The forward walk over one function or region, into a builder.

    split: known and linear equations are kept apart, as reverse differentiation needs it; otherwise a loop computes
    values and tangents together.
    cuts: how often a split loop of unknown length is cut into segments.
    """

    def __init__(self, builder: Builder, *, split: bool, ranges: Ranges, cuts: int = 2) -> None:
        self.builder = builder
        self.cuts = cuts
        self.split = split
        self.ranges = ranges
        self.values: dict[Operand, Operand] = {}
        self.tangents: dict[Operand, Operand] = {}

    def bind(self, params: Sequence[Operand], operands: Sequence[Operand], tangents: Sequence[Tangent]) -> None:
        """Set the values and tangents of params or results."""
        for param, operand, tangent in zip(params, operands, tangents, strict=True):
            self.values[param] = operand
            if tangent is not None and differentiable(param.type):
                self.tangents[param] = tangent

    def run(self, eqns: Sequence[Eqn]) -> None:
        """Emit equations and their tangents."""
        values, known = self.values, self.tangents
        emit, note = self.builder.emit, self.ranges.note
        for eqn in eqns:
            self.builder.loc = eqn.loc
            operands = tuple([values.get(o, o) for o in eqn.operands])
            tangents = [known.get(o) for o in eqn.operands]
            if all(t is None for t in tangents):
                results: Sequence[Operand] = emit(eqn.op, operands, eqn.attrs, eqn.regions, eqn.loc)
                values.update(zip(eqn.results, results, strict=True))
                note(eqn.op, eqn.attrs, operands, results[0])
            elif eqn.op.name in CONTROL:
                self.bind(eqn.results, *CONTROL[eqn.op.name](self, eqn, list(operands), tangents))
            else:
                results = emit(eqn.op, operands, eqn.attrs, eqn.regions, eqn.loc)
                values.update(zip(eqn.results, results, strict=True))
                if eqn.op.jvp is not None:
                    self.bind(eqn.results, results, self._tangents(eqn, operands, tangents))

    def _tangents(self, eqn: Eqn, operands: Sequence[Operand], tangents: list[Tangent]) -> list[Tangent]:
        assert eqn.op.jvp is not None
        answer: list[Tangent] = eqn.op.jvp(eqn, operands, tangents)
        for k, (result, tangent) in enumerate(zip(eqn.results, answer, strict=True)):
            if tangent is not None and tangent.type.rank != result.type.rank:
                answer[k] = PRIMITIVES["broadcast"](tangent, dims=result.type.dims, axes=())
        return answer

    def outcome(self, results: Sequence[Operand]) -> tuple[list[Operand], list[Tangent]]:
        """The new operands and the tangents of the function's results."""
        return [self.values.get(r, r) for r in results], [self.tangents.get(r) for r in results]


def chosen(items: Sequence[Any], mask: Sequence[bool]) -> list[Any]:
    """The items where the mask is True."""
    return [item for item, m in zip(items, mask, strict=True) if m]


def placed(items: Sequence[Operand], mask: Sequence[bool]) -> list[Tangent]:
    """The inverse of choosing: None where the mask is False."""
    remaining = iter(items)
    return [next(remaining) if m else None for m in mask]


def filled(tangents: Sequence[Tangent], mask: Sequence[bool], like: Sequence[Operand]) -> list[Operand]:
    """The tangents where the mask is True, zeros for those that are absent."""
    return [
        zeros(value.type) if tangent is None else tangent
        for tangent, m, value in zip(tangents, mask, like, strict=True)
        if m
    ]


def fixpoint(mask: Mask, step: Callable[[Mask], tuple[Mask, Any]]) -> tuple[Mask, Any]:
    """Grow the mask of active carries until an iteration adds none."""
    while True:
        after, made = step(mask)
        grown = tuple(a or b for a, b in zip(mask, after, strict=True))
        if grown == mask:
            return mask, made
        mask = grown


def emit_as(
    eqn: Eqn, builder: Builder, operands: Sequence[Operand], attrs: Mapping[str, Any], *regions: Function
) -> list[Operand]:
    """Emit the operation of an equation with other operands and regions."""
    return list(builder.emit(eqn.op, tuple(operands), attrs, regions, eqn.loc))


def same_guards(builder: Builder, results: Sequence[Operand], function: Function, name: str) -> Function:
    """Finish a function that begins with the results of another, and assumes of sizes what that one assumed."""
    return builder.finish(
        results,
        name=f"{name}_{function.name}" if function.name else name,
        sizes=function.sizes,
        guards=function.guards,
        aliases=function.aliases,
    )


def jvp(function: Function, active: Sequence[bool]) -> tuple[Function, tuple[bool, ...]]:
    """Values and tangents: a function of (params, tangents of the active params).

    Its results are those of ``function`` and then the tangents that are not zero; the mask says whose they are.

    active: for each param whether it has a tangent; integers and bools have none whatever is asked.

    Example:
        >>> from tracejit.ir.builder import Builder
        >>> from tracejit.ir.types import scalar
        >>> with Builder() as b:
        ...     x = b.param(scalar("f64"))
        ...     square = b.finish([x * x], name="square")
        >>> function, mask = jvp(square, (True,))
        >>> len(function.params), len(function.results), mask
        (2, 2, (True,))
    """
    builder = Builder()
    with builder:
        push = Push(builder, split=False, ranges=Ranges(frozenset(function.sizes)))
        params = [builder.param(p.type, p.loc) for p in function.params]
        tangents: list[Tangent] = [
            builder.param(p.type, p.loc) if a and differentiable(p.type) else None
            for p, a in zip(function.params, active, strict=True)
        ]
        push.bind(function.params, params, tangents)
        push.run(function.eqns)
        results, moved = push.outcome(function.results)
        mask = tuple(t is not None for t in moved)
        return same_guards(builder, [*results, *[t for t in moved if t is not None]], function, "jvp"), mask


def jvp_function(function: Function, active: Sequence[bool]) -> Function:
    """As :func:`jvp`, with a tangent for every result that is a float: zeros where nothing active reaches it."""
    pushed, mask = jvp(function, active)
    count = len(function.results)
    values, moved = pushed.results[:count], iter(pushed.results[count:])
    if all(m or not differentiable(r.type) for m, r in zip(mask, values, strict=True)):
        return pushed
    with Builder() as builder:
        builder.eqns.extend(pushed.eqns)
        builder.params.extend(pushed.params)
        tangents = [
            next(moved) if m else zeros(r.type) for m, r in zip(mask, values, strict=True) if differentiable(r.type)
        ]
        return same_guards(builder, [*values, *tangents], function, "jvp")


def tangent_values(params: Sequence[Operand], active: Sequence[bool]) -> list[Value | None]:
    """Stand-ins for the tangents of active params: what depends on them is linear."""
    return [Value(p.type) if a and differentiable(p.type) else None for p, a in zip(params, active, strict=True)]
