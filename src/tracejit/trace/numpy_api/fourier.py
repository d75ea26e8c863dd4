"""``np.fft``: one transform along one axis by a loop of NumPy's, and the others as NumPy composes them of it."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from tracejit.ir.core import Operand
from tracejit.ir.dims import DimLike, floordiv, modulo
from tracejit.ir.ops.library import FFT
from tracejit.trace.array import TracedArray, new_array
from tracejit.trace.context import current_trace
from tracejit.trace.dtypes import INT64, DType
from tracejit.trace.inputs import as_array
from tracejit.trace.numpy_api.common import axis_index, given, left_to_numpy, ufunc
from tracejit.trace.numpy_api.library_loops import apply_loop
from tracejit.trace.registry import call, implements
from tracejit.trace.result_order import kept_order
from tracejit.trace.scalar import as_dim, python_size
from tracejit.trace.values import cast, dim_value, emit, literal, resolve_dims

__all__: list[str] = []

_OTHER_WAY = {"backward": "forward", None: "forward", "ortho": "ortho", "forward": "backward"}
_NORMS = 'should be "backward", "ortho" or "forward".'


def _other_way(norm: Any) -> Any:
    """How the transform in the other direction is scaled."""
    if norm not in _OTHER_WAY:
        raise ValueError(f"Invalid norm value {norm}; {_NORMS}")
    return _OTHER_WAY[norm]


def _points(n: Any, default: DimLike) -> DimLike:
    """How many points a transform has; at least one."""
    points = default if n is None else as_dim(n)
    trace = current_trace()
    points = trace.sizes.resolve(points)
    if not isinstance(points, int) and trace.sizes.is_late(points):
        if not trace.sizes.proves(points - 1) and not trace.is_checked((points, ">= 1")):
            value = dim_value(points)
            text = "Invalid number of FFT data points ({0}) specified."
            trace.check(emit("ge", value, literal(1, INT64)), (value,), "ValueError", text)
            trace.checked.add((points, ">= 1"))
    elif not trace.sizes.decide(points - 1, ">= 0"):
        shown = points if isinstance(points, int) else trace.sizes.hint(points)
        raise ValueError(f"Invalid number of FFT data points ({shown}) specified.")
    return points


def _factor(points: DimLike, norm: Any, real: DType, loop: DType) -> Operand:
    """What the sum is multiplied by: computed in the dtype of the array, used in that of the loop."""
    if norm is None or norm == "backward":
        return literal(1, loop)
    if norm not in ("ortho", "forward"):
        raise ValueError(f"Invalid norm value {norm}; {_NORMS}".replace(", ", ",", 1))
    count = literal(points, real) if isinstance(points, int) else cast(dim_value(points), real)
    root = emit("sqrt", count) if norm == "ortho" else count
    return cast(emit("div", literal(1, real), root), loop)


def _transform(name: str, array: TracedArray, points: DimLike, axis: Any, norm: Any, out: Any) -> Any:
    """One of the loops along one axis."""
    real = np.result_type(_real_dtype(array.dtype), 1.0)
    inexact = np.result_type(array.dtype, 1j)
    result = real if name == "irfft" else inexact
    own, variant = (name, 0) if name != "rfft" else ("rfft_n_even", modulo(points, 2))
    loop, scale_dtype = _loop_dtypes(own, array.dtype, norm, real, result)
    scale = _factor(points, norm, real, scale_dtype)
    position = axis_index(axis, array.ndim)
    size = floordiv(points, 2) + 1 if name == "rfft" else points
    x = cast(array.operand(), loop)
    (value,) = apply_loop(name, x, scale, sizes=(size,), variant=variant, axis=position - array.ndim)
    if given(out):
        return call("write out", getattr(np.fft, name), (array,), value, out, True, "same_kind")
    return new_array(cast(value, result), order=kept_order(array))


def _real_dtype(dtype: DType) -> DType:
    return np.dtype(f"f{dtype.itemsize // 2}") if dtype.kind == "c" else dtype


def _loop_dtypes(name: str, dtype: DType, norm: Any, real: DType, result: DType) -> tuple[DType, DType]:
    """The dtypes that NumPy's own function works in, for an array of this dtype."""
    factor = int if norm is None or norm == "backward" else real
    loop, scale, _ = getattr(importlib.import_module(FFT), name).resolve_dtypes(
        (dtype, factor, result), casting="same_kind"
    )
    return loop, scale


def _one_axis(name: str, a: Any, n: Any, axis: Any, norm: Any, out: Any, is_forward: bool) -> Any:
    array = as_array(a)
    if not hasattr(axis, "__index__"):
        return left_to_numpy(getattr(np.fft, name), array, n, axis, norm, out)
    size = resolve_dims(array.dims)[_checked_axis(axis, array)] if n is None else 0
    points = _points(n, (size - 1) * 2 if name == "irfft" else size)
    return _transform(name, array, points, axis, norm if is_forward else _other_way(norm), out)


def _checked_axis(axis: Any, array: TracedArray) -> int:
    """The axis whose size is asked for: as an index of the shape."""
    if not -array.ndim <= axis < array.ndim:
        raise IndexError("tuple index out of range")
    return int(axis)


@implements(np.fft.fft)
def fft(a: Any, n: Any = None, axis: Any = -1, norm: Any = None, out: Any = None) -> Any:
    """``np.fft.fft``."""
    return _one_axis("fft", a, n, axis, norm, out, True)


@implements(np.fft.ifft)
def ifft(a: Any, n: Any = None, axis: Any = -1, norm: Any = None, out: Any = None) -> Any:
    """``np.fft.ifft``."""
    return _one_axis("ifft", a, n, axis, norm, out, False)


@implements(np.fft.rfft)
def rfft(a: Any, n: Any = None, axis: Any = -1, norm: Any = None, out: Any = None) -> Any:
    """``np.fft.rfft``."""
    return _one_axis("rfft", a, n, axis, norm, out, True)


@implements(np.fft.irfft)
def irfft(a: Any, n: Any = None, axis: Any = -1, norm: Any = None, out: Any = None) -> Any:
    """``np.fft.irfft``."""
    return _one_axis("irfft", a, n, axis, norm, out, False)


@implements(np.fft.hfft)
def hfft(a: Any, n: Any = None, axis: Any = -1, norm: Any = None, out: Any = None) -> Any:
    """``np.fft.hfft``; NumPy makes no use of ``out``."""
    return irfft(ufunc(np.conjugate, as_array(a)), n, axis, _other_way(norm))


@implements(np.fft.ihfft)
def ihfft(a: Any, n: Any = None, axis: Any = -1, norm: Any = None, out: Any = None) -> Any:
    """``np.fft.ihfft``."""
    return ufunc(np.conjugate, rfft(a, n, axis, _other_way(norm), out), out=out)


# --------------------------------------------------------------------------------------------------- several axes


def _sizes_and_axes(
    array: TracedArray, s: Any, axes: Any, inverse_real: bool = False
) -> tuple[list[Any], list[Any]] | None:
    """The sizes and the axes of a transform; None for what is deprecated."""
    dims = [python_size(dim) for dim in resolve_dims(array.dims)]
    if s is None:
        axes = list(range(-array.ndim, 0)) if axes is None else list(axes)
        sizes = [dims[axis] for axis in axes]
        if inverse_real:
            sizes[-1] = (dims[axes[-1]] - 1) * 2
        return sizes, axes
    sizes = list(s)
    if axes is None or any(size is None for size in sizes):
        return None
    axes = list(axes)
    if len(sizes) != len(axes):
        raise ValueError("Shape and axes have different lengths.")
    whole = [type(size) is int and size == -1 for size in sizes]
    return [dims[axis] if w else size for size, axis, w in zip(sizes, axes, whole, strict=True)], axes


def _in_turn(function: Any, array: Any, sizes: Sequence[Any], axes: Sequence[Any], norm: Any, out: Any = None) -> Any:
    """A transform along one axis after the other, the last one first."""
    for size, axis in zip(reversed(sizes), reversed(axes), strict=True):
        array = function(array, size, axis, norm, out)
    return array


@implements(np.fft.fftn)
def fftn(a: Any, s: Any = None, axes: Any = None, norm: Any = None, out: Any = None) -> Any:
    """``np.fft.fftn``."""
    array = as_array(a)
    found = _sizes_and_axes(array, s, axes)
    if found is None:
        return left_to_numpy(np.fft.fftn, array, s, axes, norm, out)
    return _in_turn(fft, array, *found, norm, out)


@implements(np.fft.ifftn)
def ifftn(a: Any, s: Any = None, axes: Any = None, norm: Any = None, out: Any = None) -> Any:
    """``np.fft.ifftn``."""
    array = as_array(a)
    found = _sizes_and_axes(array, s, axes)
    if found is None:
        return left_to_numpy(np.fft.ifftn, array, s, axes, norm, out)
    return _in_turn(ifft, array, *found, norm, out)


@implements(np.fft.fft2)
def fft2(a: Any, s: Any = None, axes: Any = (-2, -1), norm: Any = None, out: Any = None) -> Any:
    """``np.fft.fft2``."""
    return fftn(a, s, axes, norm, out)


@implements(np.fft.ifft2)
def ifft2(a: Any, s: Any = None, axes: Any = (-2, -1), norm: Any = None, out: Any = None) -> Any:
    """``np.fft.ifft2``; NumPy makes no use of ``out``."""
    return ifftn(a, s, axes, norm)


@implements(np.fft.rfftn)
def rfftn(a: Any, s: Any = None, axes: Any = None, norm: Any = None, out: Any = None) -> Any:
    """``np.fft.rfftn``."""
    array = as_array(a)
    found = _sizes_and_axes(array, s, axes)
    if found is None:
        return left_to_numpy(np.fft.rfftn, array, s, axes, norm, out)
    sizes, places = found
    first = rfft(array, sizes[-1], places[-1], norm, out)
    return _in_turn(fft, first, sizes[:-1], places[:-1], norm, out)


@implements(np.fft.rfft2)
def rfft2(a: Any, s: Any = None, axes: Any = (-2, -1), norm: Any = None, out: Any = None) -> Any:
    """``np.fft.rfft2``."""
    return rfftn(a, s, axes, norm, out)


@implements(np.fft.irfftn)
def irfftn(a: Any, s: Any = None, axes: Any = None, norm: Any = None, out: Any = None) -> Any:
    """``np.fft.irfftn``."""
    array = as_array(a)
    found = _sizes_and_axes(array, s, axes, inverse_real=True)
    if found is None:
        return left_to_numpy(np.fft.irfftn, array, s, axes, norm, out)
    sizes, places = found
    before = _in_turn(ifft, array, sizes[-2::-1], places[-2::-1], norm)
    return irfft(before, sizes[-1], places[-1], norm, out)


@implements(np.fft.irfft2)
def irfft2(a: Any, s: Any = None, axes: Any = (-2, -1), norm: Any = None, out: Any = None) -> Any:
    """``np.fft.irfft2``; NumPy makes no use of ``out``."""
    return irfftn(a, s, axes, norm)
