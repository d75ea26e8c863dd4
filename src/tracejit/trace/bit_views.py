"""``array.view(dtype)``: the bytes of an array read as elements of another dtype, the lowest byte first."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from tracejit.errors import UnsupportedError
from tracejit.ir.core import Operand
from tracejit.trace.axis_order import Paces
from tracejit.trace.context import current_trace
from tracejit.trace.dtypes import BOOL, DType
from tracejit.trace.location import describe, user_location
from tracejit.trace.storage import Strides, View
from tracejit.trace.values import Dims, cast, emit, expand, literal, reshape, slice_axis, truth

__all__ = ["BitsView", "reinterpret", "reinterpreted_dims"]


class BitsView(View):
    """The same bytes as elements of another dtype; with another size, the last axis is longer or shorter."""

    __slots__ = ("dtype", "source_dtype")

    def __init__(self, source: Dims, source_dtype: DType, dtype: DType) -> None:
        self.dims = reinterpreted_dims(source, source_dtype, dtype)
        self.source_dtype = source_dtype
        self.dtype = dtype

    def read(self, x: Operand) -> Operand:
        """The value seen through the view."""
        return reinterpret(x, self.dtype)

    def write(self, x: Operand, part: Operand) -> Operand:
        """The whole value with the seen part replaced."""
        return reshape(reinterpret(part, self.source_dtype), x.type.dims)

    def strides(self, strides: Strides, shape: tuple[int, ...]) -> Strides | None:
        """The strides seen through the view."""
        old, new = self.source_dtype.itemsize, self.dtype.itemsize
        return strides if old == new else (*(stride * old // new for stride in strides[:-1]), 1)

    def paces(self, paces: Paces) -> Paces:
        """The paces of the axes seen through the view."""
        return paces

    def replay(self) -> tuple[Any, ...]:
        """The step as the run time repeats it."""
        return "view", self.dtype.str


def reinterpreted_dims(dims: Dims, old: DType, new: DType) -> Dims:
    """The dims under another dtype; NumPy's errors where there are none."""
    if "V" in (old.kind, new.kind) or new.kind not in "biufc":
        raise UnsupportedError(f"ndarray.view as {new} is not compiled ({describe(user_location())})")
    if old.itemsize == new.itemsize:
        return dims
    if not dims:
        raise ValueError("Changing the dtype of a 0d array is only supported if the itemsize is unchanged")
    total = dims[-1] * old.itemsize
    if new.itemsize > old.itemsize and not current_trace().sizes.decide(total % new.itemsize, "== 0"):
        raise ValueError(
            "When changing to a larger dtype, its size must be a divisor of the total size in bytes of the last axis "
            "of the array."
        )
    return (*dims[:-1], total // new.itemsize)


def _unsigned(dtype: DType) -> DType:
    return np.dtype(f"u{dtype.itemsize}")


def _interleaved(parts: list[Operand]) -> Operand:
    """The elements of equal arrays in turn, along the last axis."""
    dims = parts[0].type.dims
    joined = emit("concatenate", *(expand(part, (len(dims),)) for part in parts), axis=len(dims))
    return reshape(joined, (*dims[:-1], dims[-1] * len(parts)))


def _taken_apart(x: Operand, count: int) -> list[Operand]:
    """Every ``count``-th element of the last axis: from the first, from the second, and so on."""
    axis = len(x.type.dims) - 1
    size = x.type.dims[axis] // count
    return [slice_axis(x, axis, k, size, count) for k in range(count)]


def reinterpret(x: Operand, dtype: DType) -> Operand:
    """The elements whose bytes are those of ``x``; the last axis fits."""
    source = x.type.dtype
    if source == dtype:
        return x
    if source.kind == "c":
        return reinterpret(_interleaved([emit("real", x), emit("imag", x)]), dtype)
    if dtype.kind == "c":
        half: DType = np.empty(0, dtype).real.dtype
        return emit("complex", *_taken_apart(reinterpret(x, half), 2))
    if source == BOOL:
        return reinterpret(cast(x, np.dtype(np.uint8)), dtype)
    if dtype == BOOL:
        return truth(reinterpret(x, np.dtype(np.uint8)))
    old, new = source.itemsize, dtype.itemsize
    if old == new:
        return emit("bitcast", x, dtype=dtype)
    bits = x if source.kind == "u" else emit("bitcast", x, dtype=_unsigned(source))
    wide = _unsigned(dtype if new > old else source)
    shifts = [literal(8 * min(old, new) * k, wide) for k in range(max(old, new) // min(old, new))]
    if old > new:
        parts = [emit("shift_right", bits, shift) if k else bits for k, shift in enumerate(shifts)]
        whole = _interleaved([cast(part, _unsigned(dtype)) for part in parts])
    else:
        pieces = [cast(part, wide) for part in _taken_apart(bits, len(shifts))]
        pieces = [
            emit("shift_left", piece, shift) if k else piece
            for k, (piece, shift) in enumerate(zip(pieces, shifts, strict=True))
        ]
        whole = functools.reduce(lambda a, b: emit("bitwise_or", a, b), pieces)
    return whole if whole.type.dtype == dtype else emit("bitcast", whole, dtype=dtype)
