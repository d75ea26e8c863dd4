"""Which results may be made in the memory of an operand that they are a changed form of."""

from __future__ import annotations

from tracejit.ir.core import Eqn, Function, Operand, Value

__all__ = ["changed_params", "overwritten"]

_IN_PLACE = ("update_slice", "scatter", "scatter_add", "spread", "sort")


def overwritten(eqn: Eqn) -> list[tuple[Operand, Value]]:
    """Pairs of an array operand and the result that may be made in its memory."""
    name = eqn.op.name
    if name in _IN_PLACE:
        return [(eqn.operands[0], eqn.results[0])]
    if name == "fori_loop":
        pairs = list(zip(eqn.operands[2:], eqn.results, strict=False))
    elif name == "while_loop":
        pairs = list(zip(eqn.operands, eqn.results, strict=False))
    elif name == "cond":
        pairs = [(eqn.operands[1 + p], eqn.results[k]) for k, p in changed_params(eqn).items()]
    else:
        return []
    return [(old, new) for old, new in pairs if new.rank and eqn.operands.count(old) == 1]


def changed_params(eqn: Eqn) -> dict[int, int]:
    """For results of a ``cond`` that both branches make from one array param (or leave as it is): that param."""
    found: dict[int, int] = {}
    for k, result in enumerate(eqn.results):
        if not result.rank:
            continue
        then, otherwise = (_origin(region, region.results[k]) for region in eqn.regions)
        if then is not None and then == otherwise and then not in found.values():
            found[k] = then
    return found


def _origin(region: Function, result: Operand) -> int | None:
    """The param that a result is a changed form of."""
    makers = {value: eqn for eqn in region.eqns for value in eqn.results}
    current = result
    while isinstance(current, Value) and current in makers:
        olds = [old for old, new in overwritten(makers[current]) if new is current]
        if not olds:
            return None
        current = olds[0]
    return region.params.index(current) if isinstance(current, Value) and current in region.params else None
