"""Forward differentiation: one walk that emits each equation and, beside it, the equation of its tangent.

A tangent that is zero is never emitted: it is absent. Values that are no floats have no tangent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from tracejit.ir.builder import Builder
from tracejit.ir.core import Eqn, Function, Operand
from tracejit.ir.ops.common import Tangent, zeros
from tracejit.transforms.common import differentiable, finished
from tracejit.transforms.ranges import Ranges

__all__ = ["CONTROL", "Push", "jvp", "jvp_function"]

Rule: TypeAlias = Callable[["Push", Eqn, list[Operand], list[Tangent]], tuple[Sequence[Operand], list[Tangent]]]

CONTROL: dict[str, Rule] = {}
"""Rules of operations with regions: they emit values and tangents together."""


class Push:
    """The forward walk over one function or region, into a builder.

    split: known and linear equations are kept apart, as reverse differentiation needs it; otherwise a loop computes
    values and tangents together.
    cuts: how often a split loop of unknown length is cut into segments.
    again: values that are better computed again than saved.
    """

    def __init__(self, builder: Builder, *, split: bool, ranges: Ranges, cuts: int = 2) -> None:
        self.builder = builder
        self.cuts = cuts
        self.again: set[Operand] = set()
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
            moves = not known.keys().isdisjoint(eqn.operands)
            if moves and eqn.op.name in CONTROL:
                tangents = [known.get(o) for o in eqn.operands]
                self.bind(eqn.results, *CONTROL[eqn.op.name](self, eqn, list(operands), tangents))
                continue
            results: Sequence[Operand] = emit(eqn.op, operands, eqn.attrs, eqn.regions, eqn.loc)
            values.update(zip(eqn.results, results, strict=True))
            if not moves:
                note(eqn.op, eqn.attrs, operands, results)
            elif eqn.op.jvp is not None:
                for result, tangent in zip(
                    eqn.results, eqn.op.jvp(eqn, operands, [known.get(o) for o in eqn.operands]), strict=True
                ):
                    if tangent is not None and differentiable(result.type):
                        known[result] = tangent

    def outcome(self, results: Sequence[Operand]) -> tuple[list[Operand], list[Tangent]]:
        """The new operands and the tangents of the function's results."""
        return [self.values.get(r, r) for r in results], [self.tangents.get(r) for r in results]


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
        return finished(builder, [*results, *[t for t in moved if t is not None]], function, "jvp"), mask


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
        return finished(builder, [*values, *tangents], function, "jvp")
