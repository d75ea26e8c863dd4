"""Reverse differentiation of linear ``cond`` and ``fori_loop``: the transposed branches, and the loop run backwards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tracejit.errors import UnsupportedError
from tracejit.ir.builder import Builder, current_builder
from tracejit.ir.core import Eqn, Function, Operand
from tracejit.ir.ops.common import Tangent, index_add, index_literal, index_sub, is_unknown, zeros
from tracejit.ir.primitive import PRIMITIVES
from tracejit.ir.types import scalar
from tracejit.transforms.common import Mask
from tracejit.transforms.reverse import TRANSPOSES, Pull


def _run_back(
    builder: Builder,
    region: Function,
    seeds: Sequence[Operand],
    environment: dict[Operand, Operand],
    start: dict[Operand, Operand],
    cotangents: Sequence[Tangent],
) -> Pull:
    """Emit the known equations of a linear region, then its cotangents."""
    pull = Pull(builder, region.eqns, seeds)
    linear = {id(eqn) for eqn in pull.eqns}
    for eqn in region.eqns:
        if id(eqn) not in linear:
            operands = tuple(environment.get(o, o) for o in eqn.operands)
            results = builder.emit(eqn.op, operands, eqn.attrs, eqn.regions, eqn.loc)
            environment.update(zip(eqn.results, results, strict=True))
    pull.cotangents.update(start)
    for result, cotangent in zip(region.results, cotangents, strict=True):
        pull.add(result, cotangent)
    pull.run(environment)
    return pull


def _transpose_cond(eqn: Eqn, cotangents: Sequence[Tangent], operands: Sequence[Any]) -> list[Tangent]:
    pred, *rest = operands
    unknown = [is_unknown(o) for o in rest]
    given = [ct for ct in cotangents if ct is not None]

    def branch(region: Function, mask: list[bool] | None) -> tuple[list[bool], Function]:
        with Builder() as builder:
            incoming = [None if ct is None else builder.param(ct.type) for ct in cotangents]
            environment: dict[Operand, Operand] = {
                p: builder.param(p.type) for p, u in zip(region.params, unknown, strict=True) if not u
            }
            seeds = [p for p, u in zip(region.params, unknown, strict=True) if u]
            found = _run_back(builder, region, seeds, environment, {}, incoming).cotangents
            active = [p in found for p in seeds]
            outputs = [found.get(p) or zeros(p.type) for p, m in zip(seeds, mask or active, strict=True) if m]
            return active, builder.finish(outputs, name=region.name)

    mask = [a or b for a, b in zip(*(branch(region, None)[0] for region in eqn.regions), strict=True)]
    if not any(mask):
        return [None] * len(operands)
    regions = tuple(branch(region, mask)[1] for region in eqn.regions)
    known = [o for o, u in zip(rest, unknown, strict=True) if not u]
    results = iter(current_builder().emit(PRIMITIVES["cond"], (pred, *given, *known), {}, regions, eqn.loc))
    active = iter(mask)
    return [None, *[next(results) if u and next(active) else None for u in unknown]]


def _transpose_fori(eqn: Eqn, cotangents: Sequence[Tangent], operands: Sequence[Any]) -> list[Tangent]:
    """The loop backwards: cotangents are carried, those of constants are added up."""
    carries = eqn.attrs["carries"]
    lower, upper, *rest = operands
    constants = rest[carries:]
    (body,) = eqn.regions
    last = index_add(upper, index_sub(lower, index_literal(1)))

    def back(mask: Mask) -> tuple[Mask, Function]:
        return _back_body(body, mask, [is_unknown(c) for c in constants])

    mask = tuple(ct is not None for ct in cotangents)
    while True:
        grown, region = back(mask)
        if grown == mask:
            break
        mask = grown
    types = [r.type for r in eqn.results]
    start = [zeros(t) if ct is None else ct for ct, t, m in zip(cotangents, types, mask, strict=True) if m]
    sums = [zeros(c.type) for c in constants if is_unknown(c)]
    known = [c for c in constants if not is_unknown(c)]
    given = (lower, upper, *start, *sums, *known, last)
    results = iter(
        current_builder().emit(PRIMITIVES["fori_loop"], given, {"carries": len(start) + len(sums)}, (region,), eqn.loc)
    )
    of_carries = [next(results) if m else None for m in mask]
    return [None, None, *of_carries, *[next(results) if is_unknown(c) else None for c in constants]]


def _back_body(body: Function, mask: Mask, unknown: Sequence[bool]) -> tuple[Mask, Function]:
    """One iteration backwards: (k, cotangents of active carries, sums, known constants, last index)."""
    carries = len(mask)
    index, carried, constants = body.params[0], body.params[1 : 1 + carries], body.params[1 + carries :]
    with Builder() as builder:
        k = builder.param(scalar("i64"))
        incoming = [builder.param(c.type) if m else None for c, m in zip(carried, mask, strict=True)]
        summed = [c for c, u in zip(constants, unknown, strict=True) if u]
        start: dict[Operand, Operand] = {c: builder.param(c.type) for c in summed}
        environment: dict[Operand, Operand] = {
            c: builder.param(c.type) for c, u in zip(constants, unknown, strict=True) if not u
        }
        environment[index] = index_sub(builder.param(scalar("i64")), k)
        found = _run_back(builder, body, [*carried, *summed], environment, start, incoming).cotangents
        grown = tuple(m or c in found for m, c in zip(mask, carried, strict=True))
        outputs = [found.get(c) or zeros(c.type) for c, m in zip(carried, mask, strict=True) if m]
        return grown, builder.finish([*outputs, *[found[c] for c in summed]], name=body.name)


def _transpose_while(eqn: Eqn, cotangents: Sequence[Tangent], operands: Sequence[Any]) -> list[Tangent]:
    raise UnsupportedError("reverse differentiation of a while loop is not supported; use jvp")


TRANSPOSES.update(cond=_transpose_cond, fori_loop=_transpose_fori, while_loop=_transpose_while)
