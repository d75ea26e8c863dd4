"""Sorting along the last axis, and the order that sorts; at loop level the same for one line in memory.

``kind`` is NumPy's: "quicksort", "heapsort" or "stable". It says where equal elements go; among floats those may
differ: zeros have signs, NaNs have bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tracejit.ir.core import Eqn, Operand
from tracejit.ir.ops.common import Tangent, op, require
from tracejit.ir.primitive import primitive
from tracejit.ir.types import ArrayType, BufferType, scalar

__all__ = ["KINDS", "argsort", "argsort_line", "sort", "sort_line"]

Array = np.ndarray[Any, Any]
INT64 = np.dtype(np.int64)
KINDS = ("quicksort", "heapsort", "stable")


def _check(name: str, x: ArrayType, kind: str) -> None:
    require(x.rank > 0 and x.dtype.kind in "biufc", name, f"{x} has no order")
    require(kind in KINDS, name, f"{kind!r} is no kind of sort: {', '.join(KINDS)}")


def _sort_infer(x: ArrayType, *, kind: str) -> ArrayType:
    _check("sort", x, kind)
    return x


def _sort_jvp(eqn: Eqn, primals: Sequence[Operand], tangents: Sequence[Tangent]) -> list[Tangent]:
    """The tangents in the same order."""
    (x,), (t,) = primals, tangents
    if t is None:
        return [None]
    dims = x.type.dims
    others = [op("iota", dtype=INT64, dims=dims, axis=axis) for axis in range(len(dims) - 1)]
    return [op("gather", t, *others, argsort(x, **eqn.attrs), axes=tuple(range(len(dims))))]


def _argsort_infer(x: ArrayType, *, kind: str) -> ArrayType:
    _check("argsort", x, kind)
    return ArrayType(INT64, x.dims)


def _batch(eqn: Eqn, operands: Sequence[Operand], batched: Sequence[bool]) -> list[Operand]:
    return [eqn.op(*operands, **eqn.attrs)]


sort = primitive(
    "sort",
    infer=_sort_infer,
    reference=lambda x, *, kind: np.sort(x, axis=-1, kind=kind),
    jvp=_sort_jvp,
    batch=_batch,
)
"""``sort(x) {kind}``: each line of the last axis in ascending order, NaN last."""

argsort = primitive(
    "argsort",
    infer=_argsort_infer,
    reference=lambda x, *, kind: np.argsort(x, axis=-1, kind=kind),
    batch=_batch,
)
"""``argsort(x) {kind}``: the indices that sort each line of the last axis."""

# -------------------------------------------------------------------------------------------------------- lines


def _check_line(name: str, buffers: Sequence[ArrayType], numbers: Sequence[ArrayType], kind: str) -> None:
    for buffer in buffers:
        require(isinstance(buffer, BufferType), name, f"{buffer} is no buffer")
    _check(name, buffers[0], kind)
    require(set(numbers) == {scalar("i64")}, name, f"offsets and sizes {list(numbers)} are not all i64")


def _sort_line_infer(buffer: ArrayType, offset: ArrayType, count: ArrayType, *, kind: str) -> tuple[()]:
    _check_line("sort_line", (buffer,), (offset, count), kind)
    return ()


def _argsort_line_infer(
    values: ArrayType, offset: ArrayType, places: ArrayType, places_offset: ArrayType, count: ArrayType, *, kind: str
) -> tuple[()]:
    _check_line("argsort_line", (values, places), (offset, places_offset, count), kind)
    require(places.dtype == INT64, "argsort_line", f"places are i64, not {places}")
    return ()


def _line(buffer: Array, offset: Any, count: Any) -> Array:
    if not 0 <= offset <= offset + count <= buffer.size:
        raise IndexError(f"{count} elements from {offset} are not inside a buffer of {buffer.size}")
    return buffer.reshape(-1)[int(offset) : int(offset + count)]


def _sort_line_reference(buffer: Array, offset: Any, count: Any, *, kind: Any) -> tuple[()]:
    _line(buffer, offset, count).sort(kind=kind)
    return ()


def _argsort_line_reference(
    values: Array, offset: Any, places: Array, places_offset: Any, count: Any, *, kind: Any
) -> tuple[()]:
    found = _line(places, places_offset, count)
    if not np.array_equal(found, np.arange(count)):
        raise ValueError("argsort_line starts from places 0, 1, 2, ...")
    found[:] = np.argsort(_line(values, offset, count), kind=kind)
    return ()


sort_line = primitive("sort_line", infer=_sort_line_infer, reference=_sort_line_reference, level="loop", effect="write")
"""``sort_line(buffer, offset, count) {kind}``: sort so many elements of row-major memory where they are."""

argsort_line = primitive(
    "argsort_line", infer=_argsort_line_infer, reference=_argsort_line_reference, level="loop", effect="write"
)
"""``argsort_line(values, offset, places, places_offset, count) {kind}``: turn places 0, 1, 2, ... into the order."""
