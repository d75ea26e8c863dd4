"""Traced values that do not depend on the call: what NumPy computed from literals can be asked for while tracing."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.ir.builder import symbols_in
from tracejit.ir.core import Eqn, Literal, Operand
from tracejit.trace.context import active_trace
from tracejit.trace.sizes import TracingBuilder

__all__ = ["constant_value"]

_MOST_ELEMENTS = 4096
_MOST_OPERATIONS = 256


def constant_value(operand: Operand) -> np.ndarray[Any, Any] | None:
    """The value of an operand of the current trace if it is made of constants only, and small; else None."""
    if isinstance(operand, Literal):
        return np.asarray(operand.value, operand.type.dtype)
    trace = active_trace()
    if trace is None:
        return None
    needed = _needed(operand, trace.builder)
    if needed is None:
        return None
    values: dict[Operand, Any] = {}
    with np.errstate(all="ignore"):
        for eqn in needed:
            arrays = [np.asarray(o.value if isinstance(o, Literal) else values[o], o.type.dtype) for o in eqn.operands]
            values[eqn.results[0]] = np.asarray(eqn.op.reference(*arrays, **eqn.attrs))
    return values[operand]  # type: ignore[no-any-return]


def _needed(operand: Operand, builder: TracingBuilder) -> list[Eqn] | None:
    """The equations that compute an operand, in order; None if they are no small constants."""
    found: set[int] = set()
    pending = [operand]
    while pending:
        value = pending.pop()
        if isinstance(value, Literal):
            continue
        position = builder.definition(value)
        if position is None or len(found) == _MOST_OPERATIONS or not _is_plain(builder.eqns[position]):
            return None
        if position not in found:
            found.add(position)
            pending.extend(builder.eqns[position].operands)
    return [builder.eqns[position] for position in sorted(found)]


def _is_plain(eqn: Eqn) -> bool:
    if eqn.op.effect is not None or eqn.regions or len(eqn.results) != 1 or eqn.op.name in ("empty", "dim"):
        return False
    if symbols_in(tuple(eqn.attrs.values())):
        return False  # a part of it that the program finds
    size = 1
    for dim in eqn.results[0].type.dims:
        if not isinstance(dim, int):
            return False
        size *= dim
    return size <= _MOST_ELEMENTS
