"""Loops without threads, for ``jit(parallel=False)``."""

from __future__ import annotations

from tracejit.ir.core import Eqn, Function

__all__ = ["single_thread"]

_KINDS = {"parallel": "serial", "parallel_vector": "vector"}


def single_thread(function: Function) -> Function:
    """The same loops, all run by the calling thread. Recursion is over the depth of loop nests."""
    eqns = []
    for eqn in function.eqns:
        if not eqn.regions:
            eqns.append(eqn)
            continue
        attrs = dict(eqn.attrs)
        if eqn.op.name == "for":
            attrs["kind"] = _KINDS.get(attrs["kind"], attrs["kind"])
        regions = tuple(single_thread(region) for region in eqn.regions)
        eqns.append(Eqn(eqn.op, eqn.operands, attrs, regions, eqn.results, eqn.loc))
    return function.replace(eqns=eqns)
