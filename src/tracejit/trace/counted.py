"""A counted loop of the compiled program, for what NumPy computes element after element."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tracejit.ir.core import Operand
from tracejit.ir.primitive import PRIMITIVES
from tracejit.ir.types import scalar
from tracejit.trace.context import Trace, current_trace
from tracejit.trace.dtypes import INT64
from tracejit.trace.location import user_location
from tracejit.trace.values import emit, literal

__all__ = ["counted_loop", "element", "store_element"]

Body = Callable[[Operand, list[Operand], list[Operand]], Sequence[Operand]]


def counted_loop(
    lower: Operand | int, upper: Operand, carries: Sequence[Operand], constants: Sequence[Operand], body: Body
) -> list[Operand]:
    """``for i in range(lower, upper): carries = body(i, carries, constants)``; gives the last carries.

    The body may use only what it is given. Bounds are i64 scalars.
    """
    outer = current_trace()
    inner = Trace(outer.captures, outer)
    with inner.running():
        i = inner.builder.param(scalar("i64"))
        values = [inner.builder.param(o.type) for o in (*carries, *constants)]
        results = list(body(i, list(values[: len(carries)]), list(values[len(carries) :])))
        region = inner.builder.finish(results, name="loop")
    start = literal(lower, INT64) if isinstance(lower, int) else lower
    operands = (start, upper, *carries, *constants)
    attrs = {"carries": len(carries)}
    return list(outer.builder.emit(PRIMITIVES["fori_loop"], operands, attrs, (region,), user_location()))


def element(x: Operand, i: Operand, axis: int = 0) -> Operand:
    """The part of x at index i of an axis; i is known to be in range."""
    return emit("gather", x, i, axes=(axis,))


def store_element(x: Operand, value: Operand, i: Operand, axis: int = 0) -> Operand:
    """The array x with the part at index i of an axis replaced."""
    return emit("scatter", x, value, i, axes=(axis,))
