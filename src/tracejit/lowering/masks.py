"""Masks as loops: selecting elements by a mask, and writing to the selected ones.

One pass in order of the mask, which counts as it goes. Elements are stored whether they are selected or not, each over
the one before that was not, so that there is no branch to predict; the memory has one element more for the last.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from tracejit.ir.core import Eqn, Operand, Value
from tracejit.ir.ops import PRIMITIVES
from tracejit.ir.ops.common import index_literal
from tracejit.ir.primitive import Index
from tracejit.lowering.loops import allocate, for_loop, if_then, size_operand, store
from tracejit.lowering.nests import ordered_loops
from tracejit.lowering.reader import Reader

if TYPE_CHECKING:
    from tracejit.lowering.lower import Lowering

__all__ = ["emit_compress", "emit_spread"]

Visit = Callable[[Index, Operand, Operand], None]  # index in the mask, whether it holds there, how many did before


def _count_along(lowering: Lowering, mask: Operand, visit: Visit) -> None:
    """Go through a mask in order."""
    reader = lowering.reader

    def level(depth: int, outer: Index, count: Operand) -> Operand:
        def inside(i: Value, carries: list[Operand]) -> list[Operand]:
            with reader:
                index = (*outer, i)
                if depth + 1 < mask.rank:
                    return [level(depth + 1, index, carries[0])]
                holds = reader.read(mask, index)
                visit(index, holds, carries[0])
                one = PRIMITIVES["cast"](holds, dtype=np.dtype(np.int64))
                return [PRIMITIVES["add"](carries[0], one)]

        return for_loop(mask.dims[depth], inside, [count])[0]

    level(0, (), index_literal(0))


def emit_compress(lowering: Lowering, eqn: Eqn) -> None:
    """Emit ``compress``."""
    mask, x = eqn.operands
    result, rest = eqn.results[0], x.dims[mask.rank :]
    reader = lowering.reader
    if rest:
        buffer = lowering.result_buffer(result)
    else:
        claimed = lowering.roomy.get(lowering.home.get(result, result))
        memory = allocate(result.dtype, (result.dims[0] + 1,)) if claimed is None else claimed
        buffer = PRIMITIVES["view"](memory, dims=result.dims) if claimed is None else lowering.home[result]

    def element(index: Index, holds: Operand, count: Operand) -> None:
        if not rest:
            store(reader.read(x, index), memory, (count,))
            return

        def row() -> None:
            with reader:
                ordered_loops(
                    reader, rest, lambda inner: store(reader.read(x, (*index, *inner)), buffer, (count, *inner))
                )

        if_then(holds, row)

    _count_along(lowering, mask, element)
    lowering.place(result, buffer)


def emit_spread(lowering: Lowering, eqn: Eqn, buffer: Value) -> None:
    """Emit ``spread`` into memory that holds its first operand."""
    x, mask, values = eqn.operands
    rest = x.dims[mask.rank :]
    reader = lowering.reader
    last = PRIMITIVES["sub"](size_operand(values.dims[0]), index_literal(1))

    def element(index: Index, holds: Operand, count: Operand) -> None:
        if not rest:
            value = reader.read(values, (PRIMITIVES["minimum"](count, last),))
            store(PRIMITIVES["select"](holds, value, Reader.load(buffer, index)), buffer, index)
            return

        def move(inner: Index) -> None:
            store(reader.read(values, (count, *inner)), buffer, (*index, *inner))

        def row() -> None:
            with reader:
                ordered_loops(reader, rest, move)

        if_then(holds, row)

    def fill() -> None:
        with reader:
            _count_along(lowering, mask, element)

    if_then(PRIMITIVES["ge"](last, index_literal(0)), fill)
    lowering.place(eqn.results[0], buffer)
