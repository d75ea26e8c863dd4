"""What is indexed rather than called: mgrid, ogrid, r_ and c_; and the indices of diagonals and triangles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.trace.array import TracedArray
from tracejit.trace.base import Tracer
from tracejit.trace.context import current_trace
from tracejit.trace.inputs import as_array, contains_tracer
from tracejit.trace.registry import INDEXED, call, implements
from tracejit.trace.scalar import as_dim, python_size

__all__: list[str] = []


def _indexed(*objects: Any) -> Callable[[Any], Any]:
    def register(implementation: Any) -> Any:
        for value in objects:
            INDEXED[type(value)] = implementation
        return implementation

    return register


@_indexed(np.mgrid, np.ogrid)
def grid(owner: Any, key: Any) -> Any:
    """``np.mgrid[key]`` and ``np.ogrid[key]``, whose bounds may be sizes."""
    if not contains_tracer(key):
        return call("adopt", owner[key])
    if isinstance(key, slice):
        return call(np.arange, 0 if key.start is None else key.start, key.stop, 1 if key.step is None else key.step)
    ranges = []
    for item in key:
        if isinstance(item.step, complex):
            ranges.append(call(np.linspace, item.start or 0, item.stop, int(abs(item.step))))
        else:
            start, step = (0 if item.start is None else item.start), (1 if item.step is None else item.step)
            ranges.append(call(np.arange, start, item.stop, step))
    loop = np.result_type(*(part.dtype for part in ranges))
    parts = call(np.meshgrid, *(call("astype", part, loop) for part in ranges), indexing="ij", sparse=owner.sparse)
    return tuple(parts) if owner.sparse else call(np.stack, parts)


@_indexed(np.r_, np.c_)
def concatenator(owner: Any, key: Any) -> Any:
    """``np.r_[key]`` and ``np.c_[key]``: slices are ranges, everything is joined along an axis."""
    items = list(key) if isinstance(key, tuple) else [key]
    axis, rank, place = owner.axis, owner.ndmin, owner.trans1d
    if isinstance(items[0], str):
        if items[0] in ("r", "c"):
            return owner[key]  # a matrix, which is not traced
        numbers = [int(part) for part in items.pop(0).split(",")]
        given = dict(zip(("axis", "rank", "place"), numbers, strict=False))
        axis, rank, place = given["axis"], given.get("rank", rank), given.get("place", place)
    parts, kinds = [], []
    for item in items:
        part, kind = _part(item)
        parts.append(_with_rank(part, item, rank, place))
        kinds.append(kind)
    loop = np.result_type(*kinds)
    return call(np.concatenate, [call("astype", part, loop) for part in parts], axis)


def _part(item: Any) -> tuple[TracedArray, Any]:
    """An entry as an array, and what it says about the dtype: Python numbers are weak."""
    if isinstance(item, slice):
        if isinstance(item.step, complex):
            found = call(np.linspace, item.start or 0, item.stop, int(abs(item.step)))
        else:
            found = call(np.arange, item.start or 0, item.stop, item.step or 1)
        return found, found.dtype
    array = as_array(item)
    return array, item if type(item) in (int, float, complex) else array.dtype


def _with_rank(array: TracedArray, item: Any, rank: int, place: int) -> TracedArray:
    """At least ``rank`` axes; those of the array are put where ``place`` says."""
    array = as_array(call(np.atleast_1d, array))
    own, missing = array.ndim, rank - array.ndim
    if missing <= 0:
        return array
    if isinstance(item, slice) or not isinstance(item, (int, float, complex, np.generic)):
        first = place + missing + 1 if place < 0 else place
        shape = [1] * rank
        shape[first : first + own] = list(array.shape)
        return call(np.reshape, array, tuple(shape))  # type: ignore[no-any-return]
    return call(np.reshape, array, (1,) * rank)  # type: ignore[no-any-return]


# ------------------------------------------------------------------------------------------------------------ indices


@implements(np.diag_indices)
def diag_indices(n: Any, ndim: int = 2) -> tuple[Any, ...]:
    """``np.diag_indices``."""
    place = call(np.arange, n)
    return (place,) * ndim


@implements(np.diag_indices_from)
def diag_indices_from(arr: Any) -> tuple[Any, ...]:
    """``np.diag_indices_from``."""
    array = as_array(arr)
    if array.ndim < 2:
        raise ValueError("input array must be at least 2-d")
    sizes = current_trace().sizes
    if not all(sizes.require_equal(dim, array.dims[0]) for dim in array.dims[1:]):
        raise ValueError("All dimensions of input must be of equal length")
    return diag_indices(python_size(array.dims[0]), array.ndim)


def _triangle(function: Any, from_array: Any) -> None:
    @implements(function)
    def indices(n: Any, k: Any = 0, m: Any = None) -> Any:
        """The number of places is a product of sizes: the sizes of this call become part of the program."""
        plain = [_concrete(value) for value in (n, k, m)]
        return call("adopt", function(*plain))

    @implements(from_array)
    def indices_from(arr: Any, k: Any = 0) -> Any:
        if as_array(arr).ndim != 2:
            raise ValueError("input array must be 2-d")
        return indices(as_array(arr).shape[0], k, as_array(arr).shape[1])


def _concrete(value: Any) -> Any:
    return current_trace().sizes.concrete(as_dim(value)) if isinstance(value, Tracer) else value


_triangle(np.tril_indices, np.tril_indices_from)
_triangle(np.triu_indices, np.triu_indices_from)
