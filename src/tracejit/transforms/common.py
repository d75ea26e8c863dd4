"""What differentiation and batching share: activity masks, finishing a function."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from tracejit.ir.builder import Builder, substitute_sizes
from tracejit.ir.core import Eqn, Function, Operand, Value
from tracejit.ir.ops.common import Tangent, zeros
from tracejit.ir.types import ArrayType

__all__ = [
    "Mask",
    "chosen",
    "differentiable",
    "emit_as",
    "filled",
    "finished",
    "fixpoint",
    "placed",
    "tangent_values",
]

Mask: TypeAlias = tuple[bool, ...]


def differentiable(type: ArrayType) -> bool:
    """Whether values of a type have tangents: floats and complex numbers do."""
    return type.dtype.kind in "fcV"  # V is bfloat16


def tangent_values(params: Sequence[Operand], active: Sequence[bool]) -> list[Value | None]:
    """Stand-ins for the tangents of active params: what depends on them is linear."""
    return [Value(p.type) if a and differentiable(p.type) else None for p, a in zip(params, active, strict=True)]


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


def finished(builder: Builder, results: Sequence[Operand], function: Function, name: str) -> Function:
    """Finish a function made from another: it has that one's sizes, guards and aliases."""
    made = builder.finish(
        results,
        name="_".join(filter(None, (name, function.name))),
        sizes=function.sizes,
        guards=function.guards,
        aliases=function.aliases,
    )
    return _unshared(made, set())


def _unshared(function: Function, seen: set[int]) -> Function:
    """The function with every region occurring once: what is known of a value then holds wherever it is met."""
    eqns = []
    changed = False
    for eqn in function.eqns:
        if eqn.regions:
            regions = tuple(
                substitute_sizes(region, lambda dim: dim) if id(region) in seen else _unshared(region, seen)
                for region in eqn.regions
            )
            seen.update(map(id, eqn.regions))
            if any(a is not b for a, b in zip(regions, eqn.regions, strict=True)):
                eqn = Eqn(eqn.op, eqn.operands, eqn.attrs, regions, eqn.results, eqn.loc)
                changed = True
        eqns.append(eqn)
    if not changed:
        return function
    return Function(
        function.name,
        function.params,
        tuple(eqns),
        function.results,
        sizes=function.sizes,
        guards=function.guards,
        aliases=function.aliases,
    )
