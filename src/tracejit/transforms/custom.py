"""Functions whose derivatives the user gives: the rules of ``custom_jvp`` and ``custom_vjp``, and their removal.

``inline_custom`` replaces them by the functions themselves when all transformations are done.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tracejit.errors import UnsupportedError
from tracejit.ir.builder import Builder, current_builder, inline
from tracejit.ir.core import Eqn, Function, Operand
from tracejit.ir.ops.common import Tangent, is_unknown, op, zeros
from tracejit.ir.primitive import PRIMITIVES
from tracejit.transforms.common import chosen, differentiable, filled, finished, placed
from tracejit.transforms.jvp import CONTROL as PUSHES
from tracejit.transforms.jvp import Push
from tracejit.transforms.reverse import TRANSPOSES
from tracejit.transforms.vmap import CONTROL as BATCHES
from tracejit.transforms.vmap import Batch, Batched, batched_region

__all__ = ["inline_custom"]

_CUSTOM = {"custom_jvp", "custom_vjp"}


def _floats(values: Sequence[Operand]) -> list[bool]:
    return [differentiable(v.type) for v in values]


# ------------------------------------------------------------------------------------------------- differentiation


def _push_jvp(
    push: Push, eqn: Eqn, operands: list[Operand], tangents: list[Tangent]
) -> tuple[Sequence[Operand], list[Tangent]]:
    rule = eqn.regions[1]
    results = inline(push.builder, rule, [*operands, *filled(tangents, _floats(operands), operands)])
    count = len(eqn.results)
    return results[:count], placed(results[count:], _floats(eqn.results))


def _push_vjp(
    push: Push, eqn: Eqn, operands: list[Operand], tangents: list[Tangent]
) -> tuple[Sequence[Operand], list[Tangent]]:
    if not push.split:
        raise UnsupportedError("a function with custom_vjp has no forward derivative; use custom_jvp instead")
    _, forward, backward = eqn.regions
    count = len(eqn.results)
    made = inline(push.builder, forward, operands)
    moved = filled(tangents, _floats(operands), operands)
    types = tuple(r.type for r in eqn.results if differentiable(r.type))
    linear = push.builder.emit(
        PRIMITIVES["custom_linear"], (*made[count:], *moved), {"results": types}, (backward,), eqn.loc
    )
    return made[:count], placed(linear, _floats(eqn.results))


def _transpose_linear(eqn: Eqn, cotangents: Sequence[Tangent], operands: Sequence[Any]) -> list[Tangent]:
    (backward,) = eqn.regions
    count = len(operands) - len(backward.results)
    given = [zeros(r.type) if ct is None else ct for ct, r in zip(cotangents, eqn.results, strict=True)]
    gradients = inline(current_builder(), backward, [*operands[:count], *given])
    wanted = operands[count:]
    return [*[None] * count, *[g if is_unknown(o) else None for g, o in zip(gradients, wanted, strict=True)]]


# -------------------------------------------------------------------------------------------------------- batching


def _batch_jvp(walk: Batch, eqn: Eqn, operands: list[Operand], flags: list[bool]) -> Batched:
    """Both regions are batched; all results are, so that the two agree on their types."""
    primal, rule = eqn.regions
    moved = chosen(flags, _floats(operands))
    regions = (
        batched_region(primal, flags, [True] * len(primal.results), walk.size)[0],
        batched_region(rule, [*flags, *moved], [True] * len(rule.results), walk.size)[0],
    )
    results = list(walk.builder.emit(eqn.op, tuple(operands), eqn.attrs, regions, eqn.loc))
    return results, [True] * len(results)


def _batch_vjp(walk: Batch, eqn: Eqn, operands: list[Operand], flags: list[bool]) -> Batched:
    primal, forward, backward = eqn.regions
    regions = (
        batched_region(primal, flags, [True] * len(primal.results), walk.size)[0],
        batched_region(forward, flags, [True] * len(forward.results), walk.size)[0],
        _batched_backward(walk, backward, chosen(flags, _floats(operands))),
    )
    results = list(walk.builder.emit(eqn.op, tuple(operands), eqn.attrs, regions, eqn.loc))
    return results, [True] * len(results)


def _batched_backward(walk: Batch, backward: Function, flags: Sequence[bool]) -> Function:
    """What all examples share gets the sum of their gradients."""
    every = [True] * len(backward.params)
    batched, _ = batched_region(backward, every, [True] * len(backward.results), walk.size)
    with Builder() as builder:
        params = [builder.param(p.type, p.loc) for p in batched.params]
        results = inline(builder, batched, params)
        summed = [r if f else op("reduce_sum", r, axes=(0,)) for r, f in zip(results, flags, strict=True)]
        return builder.finish(summed, name=backward.name)


PUSHES.update(custom_jvp=_push_jvp, custom_vjp=_push_vjp)
TRANSPOSES["custom_linear"] = _transpose_linear
BATCHES.update(custom_jvp=_batch_jvp, custom_vjp=_batch_vjp)

# --------------------------------------------------------------------------------------------------------- removal


def inline_custom(function: Function) -> Function:
    """The function with calls of what has custom derivatives replaced by what they compute.

    Example:
        >>> from tracejit.ir.types import scalar
        >>> with Builder() as b:
        ...     x = b.param(scalar("f64"))
        ...     f = b.finish([x + x], name="f")
        >>> inline_custom(f) is f
        True
    """
    if not _has_custom(function):
        return function
    with Builder() as builder:
        params = [builder.param(p.type, p.loc) for p in function.params]
        return finished(builder, _inlined(builder, function, params), function, "")


def _has_custom(function: Function) -> bool:
    return any(eqn.op.name in _CUSTOM or (eqn.regions and any(map(_has_custom, eqn.regions))) for eqn in function.eqns)


def _inlined(builder: Builder, function: Function, arguments: Sequence[Operand]) -> list[Operand]:
    environment: dict[Operand, Operand] = dict(zip(function.params, arguments, strict=True))
    for eqn in function.eqns:
        builder.loc = eqn.loc
        operands = [environment.get(o, o) for o in eqn.operands]
        if eqn.op.name in _CUSTOM:
            results: Sequence[Operand] = _inlined(builder, eqn.regions[0], operands)
        else:
            regions = tuple(map(inline_custom, eqn.regions))
            results = builder.emit(eqn.op, tuple(operands), eqn.attrs, regions, eqn.loc)
        environment.update(zip(eqn.results, results, strict=True))
    return [environment.get(r, r) for r in function.results]
