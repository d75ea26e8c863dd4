"""Reductions, positions of extremes, and cumulative operations along an axis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracejit.ir.core import Eqn, Operand
from tracejit.ir.dims import DimLike, product
from tracejit.ir.ops.common import Tangent, full, linear_jvp, op, require
from tracejit.ir.primitive import Primitive, literal_like, primitive
from tracejit.ir.types import ArrayType

__all__ = [
    "argmax",
    "argmin",
    "cummax",
    "cummin",
    "cumprod",
    "cumsum",
    "reduce_all",
    "reduce_any",
    "reduce_max",
    "reduce_min",
    "reduce_prod",
    "reduce_sum",
]

Array = np.ndarray[Any, Any]


def _kept(rank: int, axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(axis for axis in range(rank) if axis not in axes)


def _back(x: Operand, like: Operand, axes: tuple[int, ...]) -> Operand:
    """A reduced value repeated along the reduced axes."""
    dims = like.type.dims
    result: Operand = op("broadcast", x, dims=dims, axes=_kept(len(dims), axes))
    return result


def _reduce_infer(name: str) -> Callable[..., ArrayType]:
    def infer(x: ArrayType, *, axes: tuple[int, ...]) -> ArrayType:
        valid = len(set(axes)) == len(axes) and all(0 <= axis < x.rank for axis in axes)
        require(valid, name, f"axes {axes} of {x}")
        require(name not in ("reduce_any", "reduce_all") or x.dtype == np.bool_, name, f"{x} is not of bools")
        return x.with_dims(tuple(x.dims[axis] for axis in _kept(x.rank, axes)))

    return infer


def _reduce_batch(eqn: Eqn, operands: Sequence[Operand], batched: Sequence[bool]) -> list[Operand]:
    return [eqn.op(operands[0], axes=tuple(axis + 1 for axis in eqn.attrs["axes"]))]


def _reduce(name: str, reference: Callable[..., Any], jvp: Any = None, transpose: Any = None) -> Primitive:
    return primitive(
        name, infer=_reduce_infer(name), reference=reference, jvp=jvp, transpose=transpose, batch=_reduce_batch
    )


# ---------------------------------------------------------------------------------------------------- reductions


def _extreme_jvp(eqn: Eqn, primals: Sequence[Operand], tangents: Sequence[Tangent]) -> list[Tangent]:
    """Elements that tie share the derivative equally."""
    (x,), (t,) = primals, tangents
    if t is None:
        return [None]
    axes = eqn.attrs["axes"]
    chosen = op("eq", x, _back(eqn.op(x, axes=axes), x, axes))
    # A select, not a product: an infinite tangent of an element that was not chosen must not make a NaN.
    total = reduce_sum(op("select", chosen, t, literal_like(0, t)), axes=axes)
    count = reduce_sum(op("cast", chosen, dtype=x.type.dtype), axes=axes)
    return [op("div", total, count)]


def exclusive_product(x: Operand, axis: int, *, reverse: bool) -> Operand:
    """The product of all elements before (or after) each element along an axis."""
    dims = x.type.dims
    rank = len(dims)
    one = full(1, x.type.dtype, tuple(1 if k == axis else size for k, size in enumerate(dims)))
    if reverse:
        x = _reversed(x, axis)
    shifted = op("cumprod", op("concatenate", one, x, axis=axis), axis=axis)
    result: Operand = op("slice", shifted, starts=(0,) * rank, sizes=dims, steps=(1,) * rank)
    return _reversed(result, axis) if reverse else result


def _reversed(x: Operand, axis: int) -> Operand:
    dims = x.type.dims
    starts: tuple[DimLike, ...] = tuple(size - 1 if k == axis else 0 for k, size in enumerate(dims))
    steps = tuple(-1 if k == axis else 1 for k in range(len(dims)))
    result: Operand = op("slice", x, starts=starts, sizes=dims, steps=steps)
    return result


def _flat_last(x: Operand, axes: tuple[int, ...]) -> Operand:
    """The reduced axes moved to the end and made one."""
    kept = _kept(x.type.rank, axes)
    if axes == (x.type.rank - 1,):
        return x
    moved = op("transpose", x, perm=kept + axes)
    dims = moved.type.dims
    result: Operand = op("reshape", moved, dims=(*dims[: len(kept)], product(dims[len(kept) :])))
    return result


def _prod_jvp(eqn: Eqn, primals: Sequence[Operand], tangents: Sequence[Tangent]) -> list[Tangent]:
    """Each element's factor is the product of the others, from both sides, so that zeros do no harm."""
    if tangents[0] is None:
        return [None]
    axes = tuple(sorted(eqn.attrs["axes"]))
    if not axes:
        return [tangents[0]]
    x, t = _flat_last(primals[0], axes), _flat_last(tangents[0], axes)
    last = x.type.rank - 1
    others = op("mul", exclusive_product(x, last, reverse=False), exclusive_product(x, last, reverse=True))
    return [reduce_sum(op("mul", t, others), axes=(last,))]


reduce_sum = _reduce(
    "reduce_sum",
    lambda x, *, axes: np.asarray(np.sum(x, axis=axes, dtype=x.dtype)),
    linear_jvp,
    lambda eqn, cotangents, operands: [_back(cotangents[0], operands[0], eqn.attrs["axes"])],
)
reduce_prod = _reduce("reduce_prod", lambda x, *, axes: np.asarray(np.prod(x, axis=axes, dtype=x.dtype)), _prod_jvp)
reduce_max = _reduce("reduce_max", lambda x, *, axes: np.asarray(np.max(x, axis=axes)), _extreme_jvp)
reduce_min = _reduce("reduce_min", lambda x, *, axes: np.asarray(np.min(x, axis=axes)), _extreme_jvp)
reduce_any = _reduce("reduce_any", lambda x, *, axes: np.asarray(np.any(x, axis=axes)))
reduce_all = _reduce("reduce_all", lambda x, *, axes: np.asarray(np.all(x, axis=axes)))

# ----------------------------------------------------------------------------------------------- argmax, argmin


def _axis_batch(eqn: Eqn, operands: Sequence[Operand], batched: Sequence[bool]) -> list[Operand]:
    return [eqn.op(operands[0], axis=eqn.attrs["axis"] + 1)]


def _position(name: str, function: Callable[..., Any]) -> Primitive:
    def infer(x: ArrayType, *, axis: int) -> ArrayType:
        require(0 <= axis < x.rank, name, f"axis {axis} of {x}")
        return ArrayType(np.dtype(np.int64), x.dims[:axis] + x.dims[axis + 1 :])

    def reference(x: Array, *, axis: int) -> Array:
        return np.asarray(function(x, axis=axis), np.int64)

    return primitive(name, infer=infer, reference=reference, batch=_axis_batch)


argmax = _position("argmax", np.argmax)
argmin = _position("argmin", np.argmin)

# ----------------------------------------------------------------------------------------------- cumsum, cumprod


def _cumulative_infer(x: ArrayType, *, axis: int) -> ArrayType:
    require(0 <= axis < x.rank, "a cumulative operation", f"axis {axis} of {x}")
    return x


def _cumsum_transpose(eqn: Eqn, cotangents: Sequence[Operand], operands: Sequence[Any]) -> list[Tangent]:
    axis = eqn.attrs["axis"]
    return [_reversed(cumsum(_reversed(cotangents[0], axis), axis=axis), axis)]


def _cumprod_jvp(eqn: Eqn, primals: Sequence[Operand], tangents: Sequence[Tangent]) -> list[Tangent]:
    """With y the result, dy[i] = dy[i-1] * x[i] + y[i-1] * dx[i]: a loop, because dividing y by x fails at zeros."""
    (x,), (t,) = primals, tangents
    if t is None:
        return [None]
    axis = eqn.attrs["axis"]
    from tracejit.ir.ops.control import linear_recurrence  # noqa: PLC0415  (loops are declared after their users)

    increments = op("mul", exclusive_product(x, axis, reverse=False), t)
    return [linear_recurrence(x, increments, axis)]


cumsum = primitive(
    "cumsum",
    infer=_cumulative_infer,
    reference=lambda x, *, axis: np.cumsum(x, axis=axis, dtype=x.dtype),
    jvp=linear_jvp,
    transpose=_cumsum_transpose,
    batch=_axis_batch,
)
cumprod = primitive(
    "cumprod",
    infer=_cumulative_infer,
    reference=lambda x, *, axis: np.cumprod(x, axis=axis, dtype=x.dtype),
    jvp=_cumprod_jvp,
    batch=_axis_batch,
)


def _extreme_so_far_jvp(eqn: Eqn, primals: Sequence[Operand], tangents: Sequence[Tangent]) -> list[Tangent]:
    """A loop that takes the tangent of the element where it is the new extreme; in a tie half of it, as ``maximum``."""
    (x,), (t,) = primals, tangents
    if t is None:
        return [None]
    axis = eqn.attrs["axis"]
    dims = x.type.dims
    from tracejit.ir.ops.control import linear_recurrence  # noqa: PLC0415  (loops are declared after their users)

    result = eqn.op(x, **eqn.attrs)
    # NaN is equal to nothing: the first element is always new.
    nothing = full(np.nan, x.type.dtype, tuple(1 if k == axis else size for k, size in enumerate(dims)))
    shifted = op("concatenate", nothing, result, axis=axis)
    before = op("slice", shifted, starts=(0,) * len(dims), sizes=dims, steps=(1,) * len(dims))
    one, half, zero = (literal_like(value, x) for value in (1, 0.5, 0))
    factors = op("select", op("eq", before, result), op("select", op("eq", x, result), half, one), zero)
    return [linear_recurrence(factors, op("mul", op("sub", one, factors), t), axis)]


cummax = primitive(
    "cummax",
    infer=_cumulative_infer,
    reference=lambda x, *, axis: np.maximum.accumulate(x, axis=axis),
    jvp=_extreme_so_far_jvp,
    batch=_axis_batch,
)
cummin = primitive(
    "cummin",
    infer=_cumulative_infer,
    reference=lambda x, *, axis: np.minimum.accumulate(x, axis=axis),
    jvp=_extreme_so_far_jvp,
    batch=_axis_batch,
)
