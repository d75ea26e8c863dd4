"""Where values belong in sorted arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tracejit.ir.builder import same_dims
from tracejit.ir.core import Eqn, Operand
from tracejit.ir.ops.common import batch_size, require, with_batch
from tracejit.ir.primitive import primitive
from tracejit.ir.types import ArrayType

__all__ = ["search"]

Array = np.ndarray[Any, Any]


def _search_infer(x: ArrayType, values: ArrayType, *, side: str, batch: int) -> ArrayType:
    fits = x.rank == batch + 1 and same_dims(x.dims[:batch], values.dims[:batch])
    require(fits and x.dtype == values.dtype, "search", f"{values} in {x} with {batch} batch axes")
    require(x.dtype.kind != "c" and side in ("left", "right"), "search", f"{side} in {x}")
    return ArrayType(np.dtype(np.int64), values.dims)


def _search_reference(x: Array, values: Array, *, side: Any, batch: int) -> Array:
    values = np.asarray(values)
    result = np.empty(values.shape, np.int64)
    for index in np.ndindex(values.shape[:batch]):
        result[index] = np.searchsorted(x[index], values[index], side)
    return result


def _search_batch(eqn: Eqn, operands: Sequence[Operand], batched: Sequence[bool]) -> list[Operand]:
    if not batched[0] and eqn.attrs["batch"] == 0:
        return [eqn.op(*operands, **eqn.attrs)]
    size = batch_size(operands, batched)
    x, values = (with_batch(o, b, size) for o, b in zip(operands, batched, strict=True))
    return [eqn.op(x, values, side=eqn.attrs["side"], batch=eqn.attrs["batch"] + 1)]


search = primitive("search", infer=_search_infer, reference=_search_reference, batch=_search_batch)
"""``search(x, values) {side, batch}``: the position before which (left) or behind which (right) equal elements of the
sorted last axis of x each value belongs, NaN last; the first ``batch`` axes of both go together."""
