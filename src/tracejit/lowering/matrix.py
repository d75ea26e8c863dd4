"""Contractions as matrix products on memory: which axes are rows, which columns, what must be copied first."""

from __future__ import annotations

from collections.abc import Sequence

from tracejit.ir.core import Eqn, Literal, Operand, Value
from tracejit.ir.dims import product
from tracejit.ir.ops import PRIMITIVES
from tracejit.ir.ops.common import index_mul
from tracejit.ir.primitive import Index
from tracejit.ir.types import scalar
from tracejit.lowering.analysis import part_of_matrix
from tracejit.lowering.loops import allocate, for_loop, size_operand, store
from tracejit.lowering.nests import map_loops
from tracejit.lowering.reader import Reader

__all__ = ["emit_dot"]


def emit_dot(reader: Reader, eqn: Eqn, result: Value) -> None:
    """``dot`` of float arrays through ``gemm``, once for each element of the batch."""
    x, y = eqn.operands
    (x_contract, y_contract), (x_batch, y_batch) = eqn.attrs["contract"], eqn.attrs["batch"]
    order = [x_contract.index(a) for a in _memory_order(reader, x)[1] if a in x_contract]
    x_part, y_part = (None, None) if x_batch else (_part(reader, x), _part(reader, y))
    if x_part is not None:
        left, left_depth_first = x_part[0], 0 in x_contract
    else:
        left, left_depth_first = _matrix(reader, x, x_batch, [x_contract[k] for k in order])
    if y_part is not None:
        right, right_depth_first = y_part[0], 0 in y_contract
    else:
        right, right_depth_first = _matrix(reader, y, y_batch, [y_contract[k] for k in order])
    m = product(tuple(d for a, d in enumerate(x.dims) if a not in x_contract and a not in x_batch))
    n = product(tuple(d for a, d in enumerate(y.dims) if a not in y_contract and a not in y_batch))
    k = product(tuple(x.dims[a] for a in x_contract))
    batch = product(tuple(x.dims[a] for a in x_batch))
    rows, columns, depth = size_operand(m), size_operand(n), size_operand(k)
    lda = rows if left_depth_first else depth
    ldb = columns if right_depth_first else depth
    zero = Literal(0, scalar("i64"))
    starts: list[Operand] = [zero, zero, zero]
    if x_part is not None:
        _, starts[0], lda = x_part
    if y_part is not None:
        _, starts[1], ldb = y_part

    def one(b: Operand) -> None:
        at = starts if batch == 1 else [index_mul(b, size_operand(size)) for size in (m * k, k * n, m * n)]
        operands = (left, at[0], lda, right, at[1], ldb, result, at[2], columns, rows, columns, depth)
        PRIMITIVES["gemm"](*operands, transpose_a=left_depth_first, transpose_b=not right_depth_first, accumulate=False)

    if batch == 1:
        one(Literal(0, scalar("i64")))
        return

    def inside(b: Value, _: list[Operand]) -> list[Operand]:
        one(b)
        return []

    for_loop(batch, inside)


def _part(reader: Reader, operand: Operand) -> tuple[Value, Operand, Operand] | None:
    """Of a part of a matrix: the matrix in memory, where the part begins, and from row to row how far it is."""
    if isinstance(operand, Value) and operand in reader.storage:
        return None
    found = part_of_matrix(reader.program, operand)
    if found is None or found[0] not in reader.storage:
        return None
    base, eqn = found
    row, column = eqn.attrs["starts"]
    width = base.dims[1]
    return reader.storage[base], size_operand(row * width + column), size_operand(width)


def _matrix(reader: Reader, operand: Operand, batch: Sequence[int], contract: list[int]) -> tuple[Value, bool]:
    """Memory of an operand with its axes as batch, free, contracted or, if True, as batch, contracted, free.

    An operand that lies in memory in neither order is copied.
    """
    free = [a for a in range(operand.rank) if a not in batch and a not in contract]
    base, axes = _memory_order(reader, operand)
    rows_first, depth_first = [*batch, *free, *contract], [*batch, *contract, *free]
    if base is not None and base in reader.storage and axes in (rows_first, depth_first):
        return reader.storage[base], axes != rows_first
    return _copy_in_order(reader, operand, rows_first), False


def _memory_order(reader: Reader, operand: Operand) -> tuple[Value | None, list[int]]:
    """The value whose memory holds an operand, looking through transposes, and the logical axis of each memory axis."""
    if not isinstance(operand, Value):
        return None, []
    axes = list(range(operand.rank))
    value: Operand = operand
    while isinstance(value, Value) and value not in reader.storage:
        eqn = reader.program.definition.get(value)
        if eqn is None or eqn.op.name != "transpose":
            return None, list(range(operand.rank))
        moved = [0] * len(axes)
        for position, axis in enumerate(eqn.attrs["perm"]):
            moved[axis] = axes[position]
        axes = moved
        value = eqn.operands[0]
    return (value if isinstance(value, Value) else None), axes


def _copy_in_order(reader: Reader, operand: Operand, order: list[int]) -> Value:
    dims = tuple(operand.dims[a] for a in order)
    buffer = allocate(operand.type.dtype, dims)

    def body(index: Index) -> None:
        own: list[Operand] = list(index)
        for position, axis in enumerate(order):
            own[axis] = index[position]
        store(reader.read(operand, tuple(own)), buffer, index)

    map_loops(dims, body, flat=False, cost=1, reader=reader)
    return buffer
