"""Forward differentiation of ``cond``, ``fori_loop`` and ``while_loop``.

One loop carries values and tangents together; a pass that keeps them apart has other rules (``control_split.py``).
"""

from __future__ import annotations

from collections.abc import Sequence

from tracejit.ir.builder import Builder
from tracejit.ir.core import Eqn, Function, Operand
from tracejit.ir.ops.common import Tangent
from tracejit.transforms.common import Mask, chosen, emit_as, filled, fixpoint, placed
from tracejit.transforms.control_split import split_cond, split_fori, split_while
from tracejit.transforms.jvp import CONTROL, Push
from tracejit.transforms.ranges import Ranges

Result = tuple[Sequence[Operand], list[Tangent]]


# ----------------------------------------------------------------------------------------------------------- cond


def _cond(push: Push, eqn: Eqn, operands: list[Operand], tangents: list[Tangent]) -> Result:
    return split_cond(push, eqn, operands, tangents) if push.split else _joint_cond(push, eqn, operands, tangents)


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
            return builder.finish([*results, *filled(moved, mask or found, results)], name=region.name), found

    masks = [branch(region, None)[1] for region in eqn.regions]
    mask = tuple(map(any, zip(*masks, strict=True)))
    regions = [branch(region, mask)[0] for region in eqn.regions]
    given = [*operands, *chosen(tangents[1:], active)]
    results = emit_as(eqn, push.builder, given, {}, *regions)
    count = len(eqn.results)
    return results[:count], placed(results[count:], mask)


# ------------------------------------------------------------------------------------------------------ fori_loop


def _fori(push: Push, eqn: Eqn, operands: list[Operand], tangents: list[Tangent]) -> Result:
    if push.split:
        return split_fori(push, eqn, operands, tangents)
    carries = eqn.attrs["carries"]
    initial = tuple(t is not None for t in tangents[2 : 2 + carries])
    constants = tuple(t is not None for t in tangents[2 + carries :])
    mask, region = fixpoint(initial, lambda m: _joint_body(push, eqn.regions[0], 1, m, constants))
    inits, rest = operands[2 : 2 + carries], operands[2 + carries :]
    moved = filled(tangents[2 : 2 + carries], mask, inits)
    given = [*operands[:2], *inits, *moved, *rest, *chosen(tangents[2 + carries :], constants)]
    results = emit_as(eqn, push.builder, given, {"carries": carries + len(moved)}, region)
    return results[:carries], placed(results[carries:], mask)


def _joint_body(push: Push, body: Function, leading: int, mask: Mask, constants: Mask) -> tuple[Mask, Function]:
    """The body of a loop over values and tangents: (leading, carries, their tangents, constants, their tangents)."""
    middle = leading + len(mask)
    head, carried, rest = body.params[:leading], body.params[leading:middle], body.params[middle:]
    with Builder() as builder:
        inner = Push(builder, split=False, ranges=push.ranges.inner())
        inner.bind(head, [builder.param(p.type, p.loc) for p in head], [None] * leading)
        for group, active in ((carried, mask), (rest, constants)):
            params = [builder.param(p.type, p.loc) for p in group]
            inner.bind(
                group, params, [builder.param(p.type) if a else None for p, a in zip(group, active, strict=True)]
            )
        inner.run(body.eqns)
        results, moved = inner.outcome(body.results)
        grown = tuple(a or t is not None for a, t in zip(mask, moved, strict=True))
        return grown, builder.finish([*results, *filled(moved, mask, results)], name=body.name)


# ----------------------------------------------------------------------------------------------------- while_loop


def _while(push: Push, eqn: Eqn, operands: list[Operand], tangents: list[Tangent]) -> Result:
    if push.split:
        return split_while(push, eqn, operands, tangents)
    carries = eqn.attrs["carries"]
    initial = tuple(t is not None for t in tangents[:carries])
    constants = tuple(t is not None for t in tangents[carries:])
    condition, body = eqn.regions
    mask, region = fixpoint(initial, lambda m: _joint_body(push, body, 0, m, constants))
    inits, rest = operands[:carries], operands[carries:]
    moved = filled(tangents[:carries], mask, inits)
    given = [*inits, *moved, *rest, *chosen(tangents[carries:], constants)]
    attrs = {"carries": carries + len(moved)}
    results = emit_as(eqn, push.builder, given, attrs, _with_tangents(condition, mask, constants), region)
    return results[:carries], placed(results[carries:], mask)


def _with_tangents(condition: Function, mask: Mask, constants: Mask) -> Function:
    """The condition of a loop that also carries tangents, which it does not look at."""
    carries = len(mask)
    with Builder() as builder:
        params = []
        for group, active in ((condition.params[:carries], mask), (condition.params[carries:], constants)):
            params += [builder.param(p.type, p.loc) for p in group]
            for p in chosen(group, active):
                builder.param(p.type)
        push = Push(builder, split=False, ranges=Ranges())
        push.bind(condition.params, params, [None] * len(params))
        push.run(condition.eqns)
        return builder.finish(push.outcome(condition.results)[0], name=condition.name)


CONTROL.update(cond=_cond, fori_loop=_fori, while_loop=_while)
