"""Calling the loops of NumPy's linear algebra and Fourier transforms: dtypes, batches, sizes and failures."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from tracejit.ir.core import Operand
from tracejit.ir.dims import DimLike
from tracejit.ir.ops.library import LOOPS
from tracejit.trace.array import TracedArray, new_array, wrap
from tracejit.trace.axis_order import Order, joint_order, normal
from tracejit.trace.context import current_trace
from tracejit.trace.dtypes import DType
from tracejit.trace.inputs import raise_as_numpy
from tracejit.trace.values import (
    Dims,
    broadcast_dims,
    broadcast_to,
    cast,
    check_equal,
    emit,
    emit_all,
    reshape,
    resolve_dims,
)

__all__ = ["Matrices", "apply_loop", "named_result", "same_size"]

SQUARE = "Last 2 dimensions of the array must be square"


def apply_loop(
    name: str,
    *operands: Operand,
    sizes: Sequence[DimLike] = (),
    variant: DimLike = 0,
    axis: int = -1,
    error: str = "",
) -> tuple[Operand, ...]:
    """The results of a loop; where it fails the program raises LinAlgError, unless no text is given."""
    results = emit_all("library_loop", *operands, loop=name, sizes=tuple(sizes), variant=variant, axis=axis)
    if not LOOPS[name].reports:
        return results
    if error:
        current_trace().check(emit("logical_not", results[-1]), (), "LinAlgError", error)
    return results[:-1]


def same_size(a: DimLike, b: DimLike, text: str) -> bool:
    """Whether two sizes are equal; of computed ones the program checks it, with a LinAlgError."""
    sizes = current_trace().sizes
    if sizes.is_late(sizes.resolve(a) - sizes.resolve(b)):
        check_equal(a, b, "LinAlgError", text)
        return True
    return sizes.require_equal(a, b)


@functools.cache
def named_result(function: Any) -> Any:
    """The class of named tuples that a function of ``np.linalg`` returns."""
    return type(function(np.eye(1)))


class Matrices:
    """Operands of one function of ``np.linalg``, in the dtype that it works in.

    cores: how many of the last axes belong to each operand's core.
    """

    def __init__(self, function: Any, arrays: Sequence[TracedArray], cores: Sequence[int] = (2,), **keywords: Any):
        self.function, self.arrays, self.keywords = function, arrays, keywords
        self.cores = cores
        if any(array.ndim < core for array, core in zip(arrays, cores, strict=True)):
            self.raise_as_numpy()
        if any(array.dtype.kind in "fc" and array.dtype.char not in "fdFD" for array in arrays):
            self.raise_as_numpy()
        complex_ = any(array.dtype.kind == "c" for array in arrays)
        single = all(array.dtype.char in "fF" for array in arrays)
        self.loop = np.dtype("c16" if complex_ else "f8")
        self.real = np.dtype("f4" if single else "f8")
        self.dtype = np.dtype(f"c{2 * self.real.itemsize}") if complex_ else self.real
        leads = [resolve_dims(array.dims[: array.ndim - core]) for array, core in zip(arrays, cores, strict=True)]
        batch = broadcast_dims(leads)
        self.batch: Dims = self.raise_as_numpy() if batch is None else batch
        self.operands = [self._operand(array, core) for array, core in zip(arrays, cores, strict=True)]

    def _operand(self, array: TracedArray, core: int) -> Operand:
        x = cast(array.operand(), self.loop)
        own = x.type.dims
        if len(own) == core or not self.batch:
            return x
        return broadcast_to(x, (*self.batch, *own[len(own) - core :]))

    def raise_as_numpy(self) -> Any:
        """Raise what NumPy says of operands of these dtypes and shapes."""
        raise_as_numpy(self.function, *self.arrays, **self.keywords)

    def sizes(self, position: int = 0) -> Dims:
        """The core sizes of an operand."""
        array = self.arrays[position]
        return resolve_dims(array.dims[array.ndim - self.cores[position] :])

    def require_square(self) -> DimLike:
        """The size of the first operand's core, which must be square."""
        rows, columns = self.sizes()
        if not same_size(rows, columns, SQUARE):
            self.raise_as_numpy()
        self.give_size(0, -1, rows)
        return rows

    def give_size(self, position: int, axis: int, size: DimLike) -> None:
        """Give an axis of an operand, counted from the end, a size that the program has checked to be its own."""
        x = self.operands[position]
        dims = list(x.type.dims)
        if not current_trace().sizes.same(dims[axis], size):
            dims[axis] = size
            self.operands[position] = reshape(x, tuple(dims))

    def order(self, core: int) -> Order:
        """The order of a result with so many core axes: that of the batch, then the core by rows."""
        count = len(self.batch)
        if count < 2:
            return ()
        paces = []
        for array, own in zip(self.arrays, self.cores, strict=True):
            lead = array.paces()[: array.ndim - own]
            paces.append((*(0,) * (count - len(lead)), *lead))
        return normal([*(joint_order(paces) or range(count)), *range(count, count + core)])

    def result(self, value: Operand, core: int, dtype: DType | None = None) -> Any:
        """A result with so many core axes, in the dtype of the function's results."""
        value = cast(value, dtype or self.dtype)
        return new_array(value, order=self.order(core)) if value.rank else wrap(value)
