"""Binary search as loops: the same number of steps for all values, so that several are searched beside each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracejit.ir.core import Eqn, Operand, Value
from tracejit.ir.ops import PRIMITIVES
from tracejit.ir.ops.common import index_literal
from tracejit.ir.primitive import Index
from tracejit.lowering.loops import for_loop, size_operand, store
from tracejit.lowering.nests import map_loops

if TYPE_CHECKING:
    from tracejit.lowering.lower import Lowering

__all__ = ["bit_length", "emit_search", "less"]


def emit_search(lowering: Lowering, eqn: Eqn) -> None:
    """Emit ``search``: the interval [low, high) is halved until it is empty."""
    buffer = lowering.result_buffer(eqn.results[0])
    x, values = eqn.operands
    batch, left = eqn.attrs["batch"], eqn.attrs["side"] == "left"
    total = size_operand(x.dims[-1])
    last = PRIMITIVES["sub"](total, index_literal(1))
    steps = bit_length(total)
    reader = lowering.reader

    def body(index: Index) -> None:
        wanted = reader.read(values, index)

        def step(_: Value, interval: list[Operand]) -> list[Operand]:
            low, high = interval
            with reader:
                middle = PRIMITIVES["shift_right"](low + high, index_literal(1))
                # An interval that is empty already may lie behind the end.
                found = reader.read(x, (*index[:batch], PRIMITIVES["minimum"](middle, last)))
            before = less(found, wanted) if left else PRIMITIVES["logical_not"](less(wanted, found))
            right = before & (low < high)
            beside = PRIMITIVES["select"](right, middle + 1, low)
            keeps = PRIMITIVES["select"](before, high, PRIMITIVES["minimum"](middle, high))
            return [beside, keeps]

        low, _ = for_loop(steps, step, [index_literal(0), total])
        store(low, buffer, index)

    map_loops(values.dims, body, flat=False, cost=64, reader=reader)
    lowering.place(eqn.results[0], buffer)


def less(a: Operand, b: Operand) -> Operand:
    """``a < b`` in the order of sorted arrays, where NaN is above everything."""
    result: Operand = a < b
    if a.dtype.kind in "fV":
        result = result | (PRIMITIVES["isnan"](b) & PRIMITIVES["logical_not"](PRIMITIVES["isnan"](a)))
    return result


def bit_length(n: Operand) -> Operand:
    """How many bits a non-negative i64 has: it is filled with ones below its first, which are counted."""
    for shift in (1, 2, 4, 8, 16, 32):
        n = n | PRIMITIVES["shift_right"](n, index_literal(shift))
    length: Operand = PRIMITIVES["cast"](PRIMITIVES["bitwise_count"](n), dtype=index_literal(0).type.dtype)
    return length
