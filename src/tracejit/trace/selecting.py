"""What a mask selects, as arrays of a size that the program computes.

Selected elements are operations of their own (``compress``, ``spread``). Where they are only reduced, or only written
back to where they came from, lowering goes over all elements instead (``lowering/selections.py``).
"""

from __future__ import annotations

from collections.abc import Sequence

from tracejit.ir.core import Operand
from tracejit.ir.dims import DimLike
from tracejit.trace.context import current_trace
from tracejit.trace.dtypes import INT64
from tracejit.trace.values import cast, check_equal, dim_value, emit, iota, late_dim, literal, resolve_dims, size_of

__all__ = ["count_selected", "places", "require_filled", "selected", "write_selected"]


def count_selected(mask: Operand) -> DimLike:
    """How many elements of a mask hold, as a size."""
    axes = tuple(range(mask.rank))
    return late_dim(emit("reduce_sum", cast(mask, INT64), axes=axes), 0, size_of(mask.type.dims))


def selected(x: Operand, mask: Operand) -> Operand:
    """``x[mask]`` for a mask over the first axes of x."""
    return emit("compress", mask, x, size=count_selected(mask))


def places(mask: Operand) -> list[Operand]:
    """``mask.nonzero()``: for each axis the indices at which the mask holds."""
    dims = resolve_dims(mask.type.dims)
    return [selected(iota(INT64, dims, axis), mask) for axis in range(len(dims))]


def write_selected(x: Operand, mask: Operand, values: Operand) -> Operand:
    """``x`` after ``x[mask] = values``, with one row of values for each element that is selected."""
    given, wanted = values.type.dims[0], count_selected(mask)
    sizes = current_trace().sizes
    if not sizes.same(given, wanted):
        text = (
            "NumPy boolean array indexing assignment cannot assign {0} input values to the {1} output values where "
            "the mask is true"
        )
        check_equal(given, wanted, "ValueError", text)
    return emit("spread", x, mask, values)


def require_filled(dims: Sequence[DimLike], text: str) -> None:
    """Let the program raise ValueError where there are no elements; only for sizes that it computes."""
    sizes = current_trace().sizes
    for dim in dims:
        dim = sizes.resolve(dim)
        if sizes.is_late(dim) and not sizes.proves(dim - 1):
            filled = emit("gt", dim_value(dim), literal(0, INT64))
            current_trace().check(filled, (), "ValueError", text)
