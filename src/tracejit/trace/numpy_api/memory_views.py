"""Views by what lies in memory: other dtypes, strides, sliding windows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from tracejit.errors import UnsupportedError
from tracejit.trace.array import TracedArray, TracedScalar
from tracejit.trace.bit_views import BitsView, reinterpret, reinterpreted_dims
from tracejit.trace.context import current_trace
from tracejit.trace.creation import as_dtype
from tracejit.trace.inputs import as_array, raise_as_numpy
from tracejit.trace.location import describe, user_location
from tracejit.trace.numpy_api.common import axis_index
from tracejit.trace.registry import implements
from tracejit.trace.scalar import as_dim
from tracejit.trace.strided_views import StridedView
from tracejit.trace.strided_views import as_strided as strided
from tracejit.trace.values import resolve_dims

__all__: list[str] = []

_numpys_view = np.lib.stride_tricks.sliding_window_view
_CLASS = type  # `type` is a parameter below


@implements("view")
def view(x: Any, dtype: Any = None, type: Any = None) -> Any:
    """``ndarray.view``."""
    if isinstance(dtype, _CLASS) and issubclass(dtype, np.ndarray):
        dtype, type = None, dtype
    if type not in (None, np.ndarray):
        raise UnsupportedError(f"ndarray.view as {type.__name__} is not compiled ({describe(user_location())})")
    if dtype is None:
        return x if isinstance(x, TracedScalar) else TracedArray(x.storage, x.views, x.dtype)
    target = as_dtype(dtype)
    if target == x.dtype:
        return view(x)
    dims = resolve_dims(x.dims)
    reinterpreted_dims(dims, x.dtype, target)
    if isinstance(x, TracedScalar):
        return TracedScalar(reinterpret(x.operand(), target))
    if target.itemsize != x.dtype.itemsize and not _ends_without_gaps(x):
        raise ValueError("To change to a dtype of a different size, the last axis must be contiguous")
    result = x.view(BitsView(dims, x.dtype, target))
    return TracedArray(result.storage, result.views, target)


def _ends_without_gaps(x: TracedArray) -> bool:
    strides = x.memory_strides()
    return strides is None or x.hint_shape()[-1] == 1 or strides[-1] == 1


def _integers(value: Any) -> tuple[Any, ...]:
    """An int or a sequence of ints as a tuple of sizes."""
    return tuple(map(as_dim, value)) if isinstance(value, Iterable) else (as_dim(value),)


@implements(np.lib.stride_tricks.sliding_window_view)
def sliding_window_view(
    x: Any, window_shape: Any, axis: Any = None, *, subok: bool = False, writeable: bool = False
) -> TracedArray:
    """``np.lib.stride_tricks.sliding_window_view``: a view, which is never written to memory as a whole."""
    array = as_array(x)
    sizes = current_trace().sizes
    windows = _integers(window_shape)
    axes = tuple(range(array.ndim))
    if axis is not None:
        axes = tuple(axis_index(k, array.ndim) for k in (axis if isinstance(axis, Iterable) else (axis,)))
    if len(windows) != len(axes) or any(not sizes.decide(size, ">= 0") for size in windows):
        raise_as_numpy(lambda value: _numpys_view(value, tuple(map(sizes.hint, windows)), axis), array)
    source = resolve_dims(array.dims)
    outer = list(source)
    rows = [[int(k == row) for k in range(len(source))] for row in range(len(source))]
    for row, own in enumerate(rows):
        own.extend(int(k == row) for k in axes)
    for k, size in zip(axes, windows, strict=True):
        if not sizes.decide(outer[k] - size, ">= 0"):
            raise_as_numpy(lambda value: _numpys_view(value, tuple(map(sizes.hint, windows)), axis), array)
        outer[k] = outer[k] - size + 1
    dims = (*outer, *windows)
    factors = tuple(map(tuple, rows))
    return array.view(StridedView(source, (0,) * len(source), dims, factors, writeable=writeable))


@implements(np.lib.stride_tricks.as_strided)
def as_strided(
    x: Any, shape: Any = None, strides: Any = None, subok: bool = False, writeable: bool = True
) -> TracedArray:
    """``np.lib.stride_tricks.as_strided`` within the memory of the array."""
    array = as_array(x)
    dims = array.dims if shape is None else _integers(shape)
    steps = tuple(map(as_dim, array.strides)) if strides is None else _integers(strides)
    if len(dims) != len(steps):
        raise ValueError("mismatch in length of strides and shape")
    return strided(array, resolve_dims(dims), resolve_dims(steps), writeable=writeable)
