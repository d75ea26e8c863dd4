"""Counting by intervals: ``np.histogram`` and its edges. One pass over the data, which selects and sorts nothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.ir.core import Operand
from tracejit.ir.dims import DimLike
from tracejit.trace.array import TracedArray, new_array, wrap
from tracejit.trace.context import current_trace
from tracejit.trace.dtypes import FLOAT64, INT64, result_type
from tracejit.trace.inputs import as_array, describe_input
from tracejit.trace.numpy_api.common import left_to_numpy, ufunc
from tracejit.trace.registry import call, implements
from tracejit.trace.scalar import as_dim, python_size
from tracejit.trace.values import cast, emit, full, literal, reshape, resolve_dims, size_of

__all__: list[str] = []


@implements(np.histogram)
def histogram(a: Any, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None) -> Any:
    """``np.histogram``."""
    values = as_array(a)
    given = None if weights is None else as_array(weights)
    if isinstance(bins, str) or values.dtype.kind not in "iuf" or (given is not None and given.dtype.kind not in "iuf"):
        return left_to_numpy(np.histogram, a, bins, range, density, weights)
    if given is not None:
        if not _same_shape(values, given):
            raise ValueError("weights should have the same shape as a.")
        given = as_array(call(np.ravel, given))
    values = as_array(call(np.ravel, values))
    if call(np.ndim, bins) == 0:
        edges, ends = _equal_edges(values, bins, range)
        places, holds = _equal_places(values, edges, ends)
    else:
        edges = _given_edges(bins)
        places, holds = _places(values, edges)
    counts = _counts(places, holds, given, resolve_dims(edges.dims)[0] - 1)
    if density:
        widths = call(np.diff, edges).astype(float)
        return counts / widths / counts.sum(), edges
    return counts, edges


@implements(np.histogram_bin_edges)
def histogram_bin_edges(a: Any, bins: Any = 10, range: Any = None, weights: Any = None) -> Any:
    """``np.histogram_bin_edges``."""
    values = as_array(a)
    if isinstance(bins, str) or values.dtype.kind not in "iuf" or weights is not None:
        return left_to_numpy(np.histogram_bin_edges, a, bins, range, weights)
    return _equal_edges(values, bins, range)[0] if call(np.ndim, bins) == 0 else _given_edges(bins)


def _same_shape(a: TracedArray, b: TracedArray) -> bool:
    sizes = current_trace().sizes
    return a.ndim == b.ndim and all(sizes.require_equal(x, y) for x, y in zip(a.dims, b.dims, strict=True))


def _given_edges(bins: Any) -> TracedArray:
    edges = as_array(bins)
    if edges.ndim != 1:
        raise ValueError("`bins` must be 1d, when an array")
    rises = call(np.all, ufunc(np.less_equal, edges[:-1], edges[1:]))
    current_trace().check(rises.operand(), (), "ValueError", "`bins` must increase monotonically, when an array")
    return edges


def _equal_edges(values: TracedArray, bins: Any, range: Any) -> tuple[TracedArray, tuple[Any, Any]]:
    """The edges of so many intervals, and the first and the last of them in the dtype in which NumPy has them."""
    sizes = current_trace().sizes
    count = as_dim(bins)
    if not sizes.decide(count - 1, ">= 0"):
        raise ValueError("`bins` must be positive, when an integer")
    if range is not None:
        first, last = range
        _require(ufunc(np.less_equal, first, last), "max must be larger than min in range parameter.")
        text = "supplied range is not finite"
    elif sizes.decide(size_of(values.dims), "== 0"):
        first, last, text = 0, 1, ""
    else:
        first, last = call(np.min, values), call(np.max, values)
        text = "autodetected range is not finite"
    if text:
        _require(ufunc(np.logical_and, ufunc(np.isfinite, first), ufunc(np.isfinite, last)), text)
    kind = result_type(describe_input(first)[0], describe_input(last)[0], values.dtype)
    if kind.kind in "iu":
        kind = result_type(kind, FLOAT64)
    same = ufunc(np.equal, first, last)
    low = call(np.where, same, ufunc(np.subtract, first, 0.5), first)
    high = call(np.where, same, ufunc(np.add, last, 0.5), last)
    edges = call(np.linspace, wrap(low.operand()), wrap(high.operand()), python_size(count + 1), dtype=kind)
    _require(
        call(np.all, ufunc(np.less, edges[:-1], edges[1:])),
        f"Too many bins for data range. Cannot create {sizes.hint(count)} finite-sized bins.",
    )
    return edges, (wrap(low.operand()), wrap(high.operand()))


def _require(holds: Any, text: str) -> None:
    operand = as_array(holds).operand()
    current_trace().check(operand, (), "ValueError", text)


def _equal_places(values: TracedArray, edges: TracedArray, ends: tuple[Any, Any]) -> tuple[Any, Any]:
    """The interval of each value by its distance from the first edge, corrected by one where rounding misled."""
    first, last = ends
    count = python_size(resolve_dims(edges.dims)[0] - 1)
    holds = ufunc(np.logical_and, ufunc(np.greater_equal, values, first), ufunc(np.less_equal, values, last))
    x = values.astype(edges.dtype)
    distance = ufunc(np.divide, ufunc(np.subtract, x, first), ufunc(np.subtract, last, first)) * count
    places = call(np.where, holds, distance, 0).astype(INT64)
    places = call(np.where, ufunc(np.equal, places, count), places - 1, places)
    places = places - ufunc(np.less, x, edges[places]).astype(INT64)
    places = call(np.where, ufunc(np.less, places, 0), 0, places)  # of values that are not counted
    beyond = ufunc(np.greater_equal, x, edges[places + 1])
    rises = ufunc(np.logical_and, beyond, ufunc(np.not_equal, places, count - 1))
    return places + rises.astype(INT64), holds


def _places(values: TracedArray, edges: TracedArray) -> tuple[Any, Any]:
    """The interval of each value between any edges; the last one holds its right edge, too."""
    above = ufunc(np.greater_equal, values, edges[0])
    holds = ufunc(np.logical_and, above, ufunc(np.less_equal, values, edges[-1]))
    found = call(np.searchsorted, edges, values, "right") - 1
    last = python_size(resolve_dims(edges.dims)[0] - 2)
    return ufunc(np.minimum, ufunc(np.maximum, found, 0), last), holds


def _counts(places: Any, holds: Any, weights: TracedArray | None, count: DimLike) -> TracedArray:
    """How many values, or what sum of weights, each interval has."""
    kept = holds.operand()
    dims = resolve_dims(kept.type.dims)
    added: Operand
    if weights is None:
        added = cast(kept, INT64)
    else:
        own = reshape(weights.operand(), dims)
        added = emit("select", kept, own, literal(0, own.type.dtype))
    empty = full(literal(0, added.type.dtype), (count,))
    return new_array(emit("scatter_add", empty, added, places.operand(), axes=(0,)))
