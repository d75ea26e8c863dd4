"""The elements that a mask selects, and writing to them: compress and spread. How many there are is a size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from tracejit.errors import UnsupportedError
from tracejit.ir.builder import same_dims
from tracejit.ir.core import Eqn, Operand
from tracejit.ir.dims import DimLike
from tracejit.ir.ops.common import Tangent, batch_size, is_unknown, op, require, with_batch, zeros
from tracejit.ir.primitive import primitive
from tracejit.ir.types import ArrayType

__all__ = ["compress", "spread"]

Array = np.ndarray[Any, Any]
BOOL = np.dtype(np.bool_)


def _rest(name: str, mask: ArrayType, x: ArrayType) -> tuple[DimLike, ...]:
    """The axes of x behind those of the mask."""
    fits = mask.rank > 0 and mask.dtype == BOOL and same_dims(x.dims[: mask.rank], mask.dims)
    require(fits, name, f"a mask {mask} of {x}")
    return x.dims[mask.rank :]


def _refuse_batch(batched: Sequence[bool]) -> NoReturn:
    raise UnsupportedError(
        "vmap over a function that selects elements by a mask of each example is not compiled: each example would get "
        "an array of another size. Use np.where(mask, x, neutral) and reduce, or call the function in a loop"
    )


# ------------------------------------------------------------------------------------------------------- compress


def _compress_infer(mask: ArrayType, x: ArrayType, *, size: DimLike) -> ArrayType:
    return x.with_dims((size, *_rest("compress", mask, x)))


def _compress_reference(mask: Array, x: Array, *, size: int) -> Array:
    result: Array = np.asarray(x)[np.asarray(mask)]
    require(len(result) == size, "compress", f"{len(result)} elements where {size} were counted")
    return result


def _compress_jvp(eqn: Eqn, primals: Sequence[Operand], tangents: Sequence[Tangent]) -> list[Tangent]:
    return [None if tangents[1] is None else compress(primals[0], tangents[1], **eqn.attrs)]


def _compress_transpose(eqn: Eqn, cotangents: Sequence[Operand], operands: Sequence[Any]) -> list[Tangent]:
    mask, x = operands
    return [None, spread(zeros(x.type), mask, cotangents[0])]


def _compress_batch(eqn: Eqn, operands: Sequence[Operand], batched: Sequence[bool]) -> list[Operand]:
    mask, x = operands
    if batched[0]:
        _refuse_batch(batched)
    # The axis of the examples goes behind those that the mask stands for.
    rank = mask.type.rank
    perm = (*range(1, rank + 1), 0, *range(rank + 1, x.type.rank))
    result = compress(mask, op("transpose", x, perm=perm), **eqn.attrs)
    return [op("transpose", result, perm=(1, 0, *range(2, result.type.rank)))]


compress = primitive(
    "compress",
    infer=_compress_infer,
    reference=_compress_reference,
    jvp=_compress_jvp,
    transpose=_compress_transpose,
    batch=_compress_batch,
)
"""``compress(mask, x) {size}``: ``x[mask]`` for a mask over the first axes of x, ``size`` of whose elements hold."""

# --------------------------------------------------------------------------------------------------------- spread


def _spread_infer(x: ArrayType, mask: ArrayType, v: ArrayType) -> ArrayType:
    rest = _rest("spread", mask, x)
    require(v.dtype == x.dtype and v.rank == len(rest) + 1 and same_dims(v.dims[1:], rest), "spread", f"{v} into {x}")
    return x


def _spread_reference(x: Array, mask: Array, v: Array) -> Array:
    result = np.array(x)
    result[np.asarray(mask)] = v
    return result


def _spread_jvp(eqn: Eqn, primals: Sequence[Operand], tangents: Sequence[Tangent]) -> list[Tangent]:
    x, v = (zeros(primals[k].type) if tangents[k] is None else tangents[k] for k in (0, 2))
    return [spread(x, primals[1], v)]


def _spread_transpose(eqn: Eqn, cotangents: Sequence[Operand], operands: Sequence[Any]) -> list[Tangent]:
    (x, mask, v), (ct,) = operands, cotangents
    of_v = compress(mask, ct, size=v.type.dims[0]) if is_unknown(v) else None
    of_x = None
    if is_unknown(x):
        wide = op("broadcast", mask, dims=ct.type.dims, axes=tuple(range(mask.type.rank)))
        of_x = op("select", wide if ct.type.rank > mask.type.rank else mask, zeros(ArrayType(ct.type.dtype)), ct)
    return [of_x, None, of_v]


def _spread_batch(eqn: Eqn, operands: Sequence[Operand], batched: Sequence[bool]) -> list[Operand]:
    if batched[1]:
        _refuse_batch(batched)
    size = batch_size(operands, batched)
    x, v = (with_batch(operands[k], batched[k], size) for k in (0, 2))
    mask = operands[1]
    rank = mask.type.rank
    x = op("transpose", x, perm=(*range(1, rank + 1), 0, *range(rank + 1, x.type.rank)))
    v = op("transpose", v, perm=(1, 0, *range(2, v.type.rank)))
    result = spread(x, mask, v)
    return [op("transpose", result, perm=(rank, *range(rank), *range(rank + 1, result.type.rank)))]


spread = primitive(
    "spread",
    infer=_spread_infer,
    reference=_spread_reference,
    jvp=_spread_jvp,
    transpose=_spread_transpose,
    batch=_spread_batch,
)
"""``spread(x, mask, v)``: x with ``x[mask] = v``, where v has one row for each element of the mask that holds."""
