"""``dot``: the one contraction of two arrays, closed under differentiation together with ``transpose``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tracejit.ir.builder import same_dim
from tracejit.ir.core import Eqn, Operand
from tracejit.ir.ops.common import Tangent, is_unknown, move_axis, op, require
from tracejit.ir.primitive import primitive
from tracejit.ir.types import ArrayType

__all__ = ["dot"]

Array = np.ndarray[Any, Any]
Axes = tuple[int, ...]
Pair = tuple[Axes, Axes]


def free_axes(rank: int, *taken: Axes) -> Axes:
    """The axes that are neither contracted nor batch axes, in order."""
    return tuple(axis for axis in range(rank) if not any(axis in axes for axes in taken))


def _dot_infer(x: ArrayType, y: ArrayType, *, contract: Pair, batch: Pair) -> ArrayType:
    require(x.dtype == y.dtype, "dot", f"{x} with {y}")
    for pair in (contract, batch):
        require(len(pair[0]) == len(pair[1]), "dot", f"{pair} are not pairs of axes")
        for a, b in zip(*pair, strict=True):
            fits = 0 <= a < x.rank and 0 <= b < y.rank and same_dim(x.dims[a], y.dims[b])
            require(fits, "dot", f"axis {a} of {x} with axis {b} of {y}")
    for k, type in enumerate((x, y)):
        axes = contract[k] + batch[k]
        require(len(set(axes)) == len(axes), "dot", f"an axis of {type} twice in {axes}")
    free_x, free_y = free_axes(x.rank, contract[0], batch[0]), free_axes(y.rank, contract[1], batch[1])
    dims = [x.dims[axis] for axis in batch[0] + free_x] + [y.dims[axis] for axis in free_y]
    return x.with_dims(tuple(dims))


def _dot_reference(x: Array, y: Array, *, contract: Pair, batch: Pair) -> Array:
    x, y = np.asarray(x), np.asarray(y)
    free_x, free_y = free_axes(x.ndim, contract[0], batch[0]), free_axes(y.ndim, contract[1], batch[1])
    inner = int(np.prod([x.shape[axis] for axis in contract[0]], dtype=np.int64))
    dims_batch, dims_x, dims_y = (
        [array.shape[axis] for axis in axes] for array, axes in ((x, batch[0]), (x, free_x), (y, free_y))
    )
    rows, columns = (int(np.prod(dims, dtype=np.int64)) for dims in (dims_x, dims_y))
    left = x.transpose(batch[0] + free_x + contract[0]).reshape([*dims_batch, rows, inner])
    right = y.transpose(batch[1] + contract[1] + free_y).reshape([*dims_batch, inner, columns])
    result: Array = np.matmul(left, right).reshape(dims_batch + dims_x + dims_y)
    return result


def _dot_jvp(eqn: Eqn, primals: Sequence[Operand], tangents: Sequence[Tangent]) -> list[Tangent]:
    (x, y), (dx, dy) = primals, tangents
    parts = []
    if dx is not None:
        parts.append(dot(dx, y, **eqn.attrs))
    if dy is not None:
        parts.append(dot(x, dy, **eqn.attrs))
    if not parts:
        return [None]
    return [parts[0] if len(parts) == 1 else op("add", *parts)]


def _dot_transpose(eqn: Eqn, cotangents: Sequence[Operand], operands: Sequence[Any]) -> list[Tangent]:
    (x, y), (ct,) = operands, cotangents
    contract, batch = eqn.attrs["contract"], eqn.attrs["batch"]
    shared = len(batch[0])
    free_x = free_axes(x.type.rank, contract[0], batch[0])
    free_y = free_axes(y.type.rank, contract[1], batch[1])
    first = tuple(range(shared))
    after = shared + len(free_x)
    if is_unknown(x):
        ct_axes = tuple(range(after, ct.type.rank))
        result = dot(ct, y, contract=(ct_axes, free_y), batch=(first, batch[1]))
        # What is left of y are its contracted axes, in y's order.
        left = tuple(contract[0][contract[1].index(axis)] for axis in sorted(contract[1]))
        return [_ordered(result, batch[0] + free_x + left), None]
    result = dot(ct, x, contract=(tuple(range(shared, after)), free_x), batch=(first, batch[0]))
    left = tuple(contract[1][contract[0].index(axis)] for axis in sorted(contract[0]))
    return [None, _ordered(result, batch[1] + free_y + left)]


def _ordered(x: Operand, axes: Axes) -> Operand:
    """Axis k of ``x`` moved to position ``axes[k]``."""
    if axes == tuple(range(len(axes))):
        return x
    result: Operand = op("transpose", x, perm=tuple(axes.index(axis) for axis in range(len(axes))))
    return result


def _dot_batch(eqn: Eqn, operands: Sequence[Operand], batched: Sequence[bool]) -> list[Operand]:
    x, y = operands
    moved = [
        tuple(tuple(axis + 1 for axis in axes) if b else axes for axes, b in zip(pair, batched, strict=True))
        for pair in (eqn.attrs["contract"], eqn.attrs["batch"])
    ]
    contract, batch = moved
    if all(batched):
        return [dot(x, y, contract=contract, batch=((0, *batch[0]), (0, *batch[1])))]
    result = dot(x, y, contract=contract, batch=batch)
    # The batch axis is the first free one of the operand that has it.
    shared = len(batch[0])
    position = shared if batched[0] else shared + len(free_axes(x.type.rank, contract[0], batch[0]))
    return [move_axis(result, position, 0)]


dot = primitive(
    "dot", infer=_dot_infer, reference=_dot_reference, jvp=_dot_jvp, transpose=_dot_transpose, batch=_dot_batch
)
