"""Which values of a loop or branch inside a vector loop differ between lanes, found before it is emitted."""

from __future__ import annotations

from collections.abc import Sequence

from tracejit.codegen_llvm.emit_body import Body
from tracejit.ir.core import Eqn, Operand, Value

__all__ = ["varying_carries"]


def varying_carries(body: Body, eqn: Eqn) -> list[bool]:
    """Which carries of a loop inside a vector loop differ between lanes."""
    found: set[Value] = set()
    _spread(body, eqn, found)
    return [result in found for result in eqn.results]


def _varies(body: Body, operand: Operand, found: set[Value]) -> bool:
    return type(operand) is Value and (operand in found or body.is_varying(operand))


def _spread(body: Body, eqn: Eqn, found: set[Value]) -> None:
    """Add what varies inside of an equation with regions, and its results, to ``found``: until nothing new varies."""
    size = -1
    while len(found) != size:
        size = len(found)
        _enter(body, eqn, found)
        for region in eqn.regions:
            for inner in region.eqns:
                if inner.regions:
                    _spread(body, inner, found)
                elif _gives_varying(body, inner, found):
                    found.update(inner.results)
        _leave(body, eqn, found)


def _enter(body: Body, eqn: Eqn, found: set[Value]) -> None:
    """A carry varies in the regions if it does before the loop or after an iteration."""
    if eqn.op.name == "if":
        return
    is_for = eqn.op.name == "for"
    inits = eqn.operands[2:] if is_for else eqn.operands
    for position, (init, result) in enumerate(zip(inits, eqn.results, strict=True)):
        if result in found or _varies(body, init, found):
            found.add(result)
            found.update(region.params[position + 1 if is_for else position] for region in eqn.regions)


def _gives_varying(body: Body, eqn: Eqn, found: set[Value]) -> bool:
    if eqn.op.name == "load":
        buffer = eqn.operands[0]
        private = body.shared.memory(buffer).lanes > 1  # type: ignore[arg-type]
        return private or any(_varies(body, index, found) for index in eqn.operands[1:])
    return any(_varies(body, operand, found) for operand in eqn.operands)


def _leave(body: Body, eqn: Eqn, found: set[Value]) -> None:
    """Results vary if a region gives something that does, or if lanes go different ways."""
    yielding: Sequence[object] = eqn.regions
    tests: tuple[Operand, ...] = ()
    if eqn.op.name == "while":
        yielding, tests = eqn.regions[1:], eqn.regions[0].results
    elif eqn.op.name == "if":
        tests = eqn.operands
    if any(_varies(body, test, found) for test in tests):
        found.update(eqn.results)
    for region in eqn.regions:
        if region in yielding:
            for result, given in zip(eqn.results, region.results, strict=True):
                if _varies(body, given, found):
                    found.add(result)
