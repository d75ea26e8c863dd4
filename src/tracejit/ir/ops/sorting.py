"""Sorting along the last axis, and the order that sorts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tracejit.ir.core import Eqn, Operand
from tracejit.ir.ops.common import Tangent, op, require
from tracejit.ir.primitive import primitive
from tracejit.ir.types import ArrayType

__all__ = ["argsort", "sort"]

Array = np.ndarray[Any, Any]
INT64 = np.dtype(np.int64)


def _check(name: str, x: ArrayType) -> None:
    require(x.rank > 0 and x.dtype.kind in "biuf", name, f"{x} has no order")


def _sort_infer(x: ArrayType) -> ArrayType:
    _check("sort", x)
    return x


def _sort_jvp(eqn: Eqn, primals: Sequence[Operand], tangents: Sequence[Tangent]) -> list[Tangent]:
    """The tangents in the same order."""
    (x,), (t,) = primals, tangents
    if t is None:
        return [None]
    dims = x.type.dims
    others = [op("iota", dtype=INT64, dims=dims, axis=axis) for axis in range(len(dims) - 1)]
    return [op("gather", t, *others, argsort(x), axes=tuple(range(len(dims))))]


def _argsort_infer(x: ArrayType) -> ArrayType:
    _check("argsort", x)
    return ArrayType(INT64, x.dims)


def _batch(eqn: Eqn, operands: Sequence[Operand], batched: Sequence[bool]) -> list[Operand]:
    return [eqn.op(*operands)]


sort = primitive(
    "sort",
    infer=_sort_infer,
    reference=lambda x: np.sort(x, axis=-1, kind="stable"),
    jvp=_sort_jvp,
    batch=_batch,
)
"""``sort(x)``: each line of the last axis in ascending order, NaN last."""

argsort = primitive(
    "argsort",
    infer=_argsort_infer,
    reference=lambda x: np.argsort(x, axis=-1, kind="stable"),
    batch=_batch,
)
"""``argsort(x)``: the indices that sort each line of the last axis; equal elements stay in their order."""
