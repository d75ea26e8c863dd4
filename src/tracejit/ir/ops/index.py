"""Reading and writing at run-time indices: gather, scatter, scatter_add."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tracejit.ir.builder import same_dims
from tracejit.ir.core import Eqn, Operand
from tracejit.ir.dims import product
from tracejit.ir.ops.common import (
    Tangent,
    batch_size,
    full,
    is_unknown,
    move_axis,
    op,
    require,
    with_batch,
    zeros,
)
from tracejit.ir.primitive import Index, Loader, primitive
from tracejit.ir.types import ArrayType

__all__ = ["gather", "scatter", "scatter_add"]

Array = np.ndarray[Any, Any]
INT64 = np.dtype(np.int64)


def _result_type(name: str, x: ArrayType, indices: Sequence[ArrayType], axes: tuple[int, ...]) -> ArrayType:
    """The type of the elements of ``x`` at the indices."""
    distinct = len(set(axes)) == len(axes) == len(indices) > 0
    require(distinct and all(0 <= a < x.rank for a in axes), name, f"axes {axes} of {x}, {len(indices)} indices")
    for index in indices:
        fits = index.dtype == INT64 and same_dims(index.dims, indices[0].dims)
        require(fits, name, f"an index of type {index} beside {indices[0]}")
    return x.with_dims(indices[0].dims + tuple(size for axis, size in enumerate(x.dims) if axis not in axes))


def _front(x: Array, axes: tuple[int, ...]) -> Array:
    """A view with the indexed axes first."""
    return np.moveaxis(x, axes, range(len(axes)))


# --------------------------------------------------------------------------------------------------------- gather


def _gather_infer(x: ArrayType, *indices: ArrayType, axes: tuple[int, ...]) -> ArrayType:
    return _result_type("gather", x, indices, axes)


def _gather_reference(x: Array, *indices: Array, axes: tuple[int, ...]) -> Array:
    return np.asarray(_front(np.asarray(x), axes)[indices])


def _gather_jvp(eqn: Eqn, primals: Sequence[Operand], tangents: Sequence[Tangent]) -> list[Tangent]:
    return [None if tangents[0] is None else gather(tangents[0], *primals[1:], **eqn.attrs)]


def _gather_transpose(eqn: Eqn, cotangents: Sequence[Operand], operands: Sequence[Any]) -> list[Tangent]:
    x, *indices = operands
    return [scatter_add(zeros(x.type), cotangents[0], *indices, **eqn.attrs), *[None] * len(indices)]


def _batch_indices(indices: Sequence[Operand], batched: Sequence[bool], batch: Any) -> list[Operand]:
    """Indices with the batch axis first, preceded by the index of the batch itself."""
    indices = [with_batch(o, b, batch) for o, b in zip(indices, batched, strict=True)]
    return [op("iota", dtype=INT64, dims=indices[0].type.dims, axis=0), *indices]


def _gather_batch(eqn: Eqn, operands: Sequence[Operand], batched: Sequence[bool]) -> list[Operand]:
    x, *indices = operands
    axes = eqn.attrs["axes"]
    size = batch_size(operands, batched)
    if not batched[0]:
        return [gather(x, *(with_batch(o, b, size) for o, b in zip(indices, batched[1:], strict=True)), axes=axes)]
    moved = tuple(axis + 1 for axis in axes)
    if not any(batched[1:]):
        return [move_axis(gather(x, *indices, axes=moved), indices[0].type.rank, 0)]
    return [gather(x, *_batch_indices(indices, batched[1:], size), axes=(0, *moved))]


def _gather_load(eqn: Eqn, index: Index) -> Loader:
    x, *indices = eqn.operands
    axes = eqn.attrs["axes"]
    rank = indices[0].type.rank
    own: dict[int, Operand] = {}
    for axis, operand in zip(axes, indices, strict=True):
        own[axis] = yield operand, index[:rank]
    rest = iter(index[rank:])
    return (yield x, tuple(own[axis] if axis in own else next(rest) for axis in range(x.type.rank)))


gather = primitive(
    "gather",
    infer=_gather_infer,
    reference=_gather_reference,
    jvp=_gather_jvp,
    transpose=_gather_transpose,
    batch=_gather_batch,
    load=_gather_load,
)

# -------------------------------------------------------------------------------------------- scatter, scatter_add


def _scatter_infer(x: ArrayType, v: ArrayType, *indices: ArrayType, axes: tuple[int, ...]) -> ArrayType:
    part = _result_type("scatter", x, indices, axes)
    require(v.dtype == x.dtype and same_dims(v.dims, part.dims), "scatter", f"{v} where {part} is needed")
    return x


def _scatter_reference(x: Array, v: Array, *indices: Array, axes: tuple[int, ...]) -> Array:
    result = np.array(x)
    # NumPy does not say which of several writes to one element wins; the last one does, in order of the indices.
    _front(result, axes)[indices] = v
    return result


def _scatter_add_reference(x: Array, v: Array, *indices: Array, axes: tuple[int, ...]) -> Array:
    result = np.array(x)
    np.add.at(_front(result, axes), indices, v)
    return result


def _scatter_jvp(eqn: Eqn, primals: Sequence[Operand], tangents: Sequence[Tangent]) -> list[Tangent]:
    x, v = (zeros(p.type) if t is None else t for p, t in zip(primals[:2], tangents[:2], strict=True))
    return [scatter(x, v, *primals[2:], **eqn.attrs)]


def _winners(x: Any, v: Any, indices: Sequence[Operand], axes: tuple[int, ...]) -> Operand:
    """Which elements of ``v`` are still there after the scatter: of several writes to one place only the last."""
    dims = indices[0].type.dims
    order = op("reshape", op("iota", dtype=INT64, dims=(product(dims),), axis=0), dims=dims)
    places = full(0, INT64, tuple(x.type.dims[axis] for axis in axes))
    every = tuple(range(len(axes)))
    written = gather(scatter(places, order, *indices, axes=every), *indices, axes=every)
    mask: Operand = op("eq", written, order)
    if v.type.rank == len(dims):
        return mask
    result: Operand = op("broadcast", mask, dims=v.type.dims, axes=tuple(range(len(dims))))
    return result


def _scatter_transpose(eqn: Eqn, cotangents: Sequence[Operand], operands: Sequence[Any]) -> list[Tangent]:
    (x, v, *indices), (ct,) = operands, cotangents
    of_v = None
    if is_unknown(v):  # read before the other one overwrites, so that both can be done in place
        of_v = gather(ct, *indices, **eqn.attrs)
        if indices[0].type.rank:
            of_v = op("select", _winners(x, v, indices, eqn.attrs["axes"]), of_v, zeros(ArrayType(v.type.dtype)))
    of_x = scatter(ct, zeros(v.type), *indices, **eqn.attrs) if is_unknown(x) else None
    return [of_x, of_v, *[None] * len(indices)]


def _scatter_add_jvp(eqn: Eqn, primals: Sequence[Operand], tangents: Sequence[Tangent]) -> list[Tangent]:
    if tangents[1] is None:
        return [tangents[0]]
    x = zeros(primals[0].type) if tangents[0] is None else tangents[0]
    return [scatter_add(x, tangents[1], *primals[2:], **eqn.attrs)]


def _scatter_add_transpose(eqn: Eqn, cotangents: Sequence[Operand], operands: Sequence[Any]) -> list[Tangent]:
    (x, v, *indices), (ct,) = operands, cotangents
    return [
        ct if is_unknown(x) else None,
        gather(ct, *indices, **eqn.attrs) if is_unknown(v) else None,
        *[None] * len(indices),
    ]


def _scatter_batch(eqn: Eqn, operands: Sequence[Operand], batched: Sequence[bool]) -> list[Operand]:
    size = batch_size(operands, batched)
    x, v = (with_batch(o, b, size) for o, b in zip(operands[:2], batched[:2], strict=True))
    indices = _batch_indices(operands[2:], batched[2:], size)
    return [eqn.op(x, v, *indices, axes=(0, *(axis + 1 for axis in eqn.attrs["axes"])))]


scatter = primitive(
    "scatter",
    infer=_scatter_infer,
    reference=_scatter_reference,
    jvp=_scatter_jvp,
    transpose=_scatter_transpose,
    batch=_scatter_batch,
)

scatter_add = primitive(
    "scatter_add",
    infer=_scatter_infer,
    reference=_scatter_add_reference,
    jvp=_scatter_add_jvp,
    transpose=_scatter_add_transpose,
    batch=_scatter_batch,
)
