"""Functions that join arrays or split one."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from tracejit.ir.dims import DimLike
from tracejit.trace.array import TracedArray, new_array
from tracejit.trace.context import current_trace
from tracejit.trace.creation import as_dtype
from tracejit.trace.inputs import as_array, describe_input, raise_as_numpy
from tracejit.trace.numpy_api.common import axis_index, given, left_to_numpy
from tracejit.trace.registry import call, implements, implements_named
from tracejit.trace.scalar import SymbolicInt, as_dim, python_size
from tracejit.trace.ufuncs import write_out
from tracejit.trace.values import cast, emit, expand, reshape, resolve_dims, size_of

__all__: list[str] = []


@implements(np.concatenate, np.concat)
def concatenate(
    arrays: Any, axis: Any = 0, out: Any = None, *, dtype: Any = None, casting: str = "same_kind"
) -> TracedArray:
    """``np.concatenate``."""
    parts = [as_array(a) for a in arrays]
    if not parts:
        raise ValueError("need at least one array to concatenate")
    if axis is None:
        parts, axis = [call(np.ravel, part) for part in parts], 0
    if any(part.ndim == 0 for part in parts):
        raise ValueError("zero-dimensional arrays cannot be concatenated")
    position = axis_index(axis, parts[0].ndim)
    sizes = current_trace().sizes
    for part in parts[1:]:
        others = zip(part.dims, parts[0].dims, strict=False)
        if part.ndim != parts[0].ndim or not all(
            k == position or sizes.require_equal(a, b) for k, (a, b) in enumerate(others)
        ):
            raise_as_numpy(np.concatenate, parts, axis)
    kinds = [describe_input(a)[0] for a in arrays]
    loop = as_dtype(dtype, np.result_type(*[_strong(kind, part) for kind, part in zip(kinds, parts, strict=True)]))
    if dtype is not None and not all(np.can_cast(part.dtype, loop, casting) for part in parts):  # type: ignore[arg-type]
        raise_as_numpy(np.concatenate, parts, axis, dtype=dtype, casting=casting)
    operands = [cast(part.operand(), loop) for part in parts]
    value = operands[0] if len(operands) == 1 else emit("concatenate", *operands, axis=position)
    if given(out):
        return write_out(np.concatenate, (parts, axis), value, out, True, casting)  # type: ignore[no-any-return]
    return new_array(value)


def _strong(kind: Any, part: TracedArray) -> Any:
    return part.dtype if isinstance(kind, type) else kind


@implements(np.stack)
def stack(arrays: Any, axis: Any = 0, out: Any = None, *, dtype: Any = None, casting: str = "same_kind") -> TracedArray:
    """``np.stack``."""
    parts = [as_array(a) for a in arrays]
    if not parts:
        raise ValueError("need at least one array to stack")
    sizes = current_trace().sizes
    for part in parts[1:]:
        if part.ndim != parts[0].ndim or not all(map(sizes.require_equal, part.dims, parts[0].dims)):
            raise ValueError("all input arrays must have the same shape")
    position = axis_index(axis, parts[0].ndim + 1)
    rows = [new_array(expand(part.operand(), (position,))) for part in parts]
    return concatenate(rows, position, out, dtype=dtype, casting=casting)


def _sequence(tup: Any) -> list[TracedArray]:
    if isinstance(tup, TracedArray):
        return list(tup)
    return [as_array(a) for a in tup]


@implements(np.vstack)
def vstack(tup: Any, *, dtype: Any = None, casting: str = "same_kind") -> TracedArray:
    """``np.vstack``."""
    return concatenate([call(np.atleast_2d, a) for a in _sequence(tup)], 0, dtype=dtype, casting=casting)


@implements(np.hstack)
def hstack(tup: Any, *, dtype: Any = None, casting: str = "same_kind") -> TracedArray:
    """``np.hstack``."""
    parts = [call(np.atleast_1d, a) for a in _sequence(tup)]
    axis = 0 if parts and parts[0].ndim == 1 else 1
    return concatenate(parts, axis, dtype=dtype, casting=casting)


@implements(np.dstack)
def dstack(tup: Any) -> TracedArray:
    """``np.dstack``."""
    return concatenate([call(np.atleast_3d, a) for a in _sequence(tup)], 2)


@implements(np.column_stack)
def column_stack(tup: Any) -> TracedArray:
    """``np.column_stack``."""
    parts = []
    for a in _sequence(tup):
        parts.append(new_array(reshape(a.operand(), (size_of(a.dims), 1))) if a.ndim < 2 else a)
    return concatenate(parts, 1)


@implements(np.append)
def append(arr: Any, values: Any, axis: Any = None) -> TracedArray:
    """``np.append``."""
    if axis is None:
        return concatenate([call(np.ravel, as_array(arr)), call(np.ravel, as_array(values))])
    return concatenate([arr, values], axis)


@implements(np.block)
def block(arrays: Any) -> TracedArray:
    """``np.block`` of nested lists."""
    depth, rank = _block_depth(arrays), 0
    leaves: list[TracedArray] = []
    _block_leaves(arrays, leaves)
    rank = max([depth, *(leaf.ndim for leaf in leaves)])
    return _block(arrays, depth, rank)


def _block_depth(value: Any) -> int:
    return 1 + _block_depth(value[0]) if isinstance(value, list) else 0


def _block_leaves(value: Any, leaves: list[TracedArray]) -> None:
    if isinstance(value, list):
        for item in value:
            _block_leaves(item, leaves)
    else:
        leaves.append(as_array(value))


def _block(value: Any, depth: int, rank: int) -> TracedArray:
    if not isinstance(value, list):
        array = as_array(value)
        return call(operator.getitem, array, (None,) * (rank - array.ndim) + (Ellipsis,))  # type: ignore[no-any-return]
    return concatenate([_block(item, depth - 1, rank) for item in value], -depth)


# ----------------------------------------------------------------------------------------------------------- splitting


def _pieces(array: TracedArray, edges: Sequence[DimLike], axis: int) -> list[TracedArray]:
    """The views between consecutive edges."""
    prefix = (slice(None),) * axis
    return [call(operator.getitem, array, (*prefix, slice(python_size(a), python_size(b)))) for a, b in pairwise(edges)]


@implements(np.array_split)
def array_split(ary: Any, indices_or_sections: Any, axis: Any = 0) -> list[TracedArray]:
    """``np.array_split``: views."""
    array = as_array(ary)
    position = axis_index(axis, array.ndim)
    total = resolve_dims((array.dims[position],))[0]
    if isinstance(indices_or_sections, (list, tuple, np.ndarray)):
        cuts = [as_dim(i) for i in indices_or_sections]
        prefix = (slice(None),) * position
        bounds = [None, *(python_size(c) for c in cuts), None]
        return [call(operator.getitem, array, (*prefix, slice(0 if a is None else a, b))) for a, b in pairwise(bounds)]
    sections = current_trace().sizes.concrete(as_dim(indices_or_sections))
    if sections <= 0:
        raise ValueError("number sections must be larger than 0.")
    sizes = current_trace().sizes
    each = total // sections
    extra = sizes.concrete(total - sections * each)
    edges: list[DimLike] = [0]
    for k in range(sections):
        edges.append(edges[-1] + each + (1 if k < extra else 0))
    return _pieces(array, edges, position)


@implements(np.split)
def split(ary: Any, indices_or_sections: Any, axis: Any = 0) -> list[TracedArray]:
    """``np.split``: views of equal size, or between given indices."""
    if not isinstance(indices_or_sections, (list, tuple, np.ndarray)):
        array = as_array(ary)
        total = array.dims[axis_index(axis, array.ndim)]
        sizes = current_trace().sizes
        if not sizes.decide(total % as_dim(indices_or_sections), "== 0"):
            raise ValueError("array split does not result in an equal division")
    return array_split(ary, indices_or_sections, axis)


@implements(np.hsplit)
def hsplit(ary: Any, indices_or_sections: Any) -> list[TracedArray]:
    """``np.hsplit``."""
    array = as_array(ary)
    if array.ndim == 0:
        raise ValueError("hsplit only works on arrays of 1 or more dimensions")
    return split(array, indices_or_sections, 1 if array.ndim > 1 else 0)


@implements(np.vsplit)
def vsplit(ary: Any, indices_or_sections: Any) -> list[TracedArray]:
    """``np.vsplit``."""
    if as_array(ary).ndim < 2:
        raise ValueError("vsplit only works on arrays of 2 or more dimensions")
    return split(ary, indices_or_sections, 0)


@implements(np.dsplit)
def dsplit(ary: Any, indices_or_sections: Any) -> list[TracedArray]:
    """``np.dsplit``."""
    if as_array(ary).ndim < 3:
        raise ValueError("dsplit only works on arrays of 3 or more dimensions")
    return split(ary, indices_or_sections, 2)


@implements_named("unstack")
def unstack(x: Any, *, axis: int = 0) -> tuple[Any, ...]:
    """``np.unstack``."""
    if not as_array(x).ndim:
        raise ValueError("Input array must be at least 1-d.")
    return tuple(call(np.moveaxis, as_array(x), axis, 0))


@implements(np.pad)
def pad(array: Any, pad_width: Any, mode: Any = "constant", **kwargs: Any) -> TracedArray:
    """``np.pad`` with constants, edge values, or wrapped, reflected and mirrored ones."""
    x = as_array(array)
    if any(isinstance(w, int) and w < 0 for pair in _plain_pairs(pad_width, x.ndim) for w in pair):
        raise ValueError("index can't contain negative values")
    if callable(mode) or kwargs.get("reflect_type", "even") != "even":
        return left_to_numpy(np.pad, array, pad_width, mode, **kwargs)  # type: ignore[no-any-return]
    if not _is_simple_pad(x, pad_width, mode, kwargs):
        return call("numpy source", np.pad, array, pad_width, mode, **kwargs)  # type: ignore[no-any-return]
    widths = _pairs(pad_width, x.ndim)
    values = _pairs(kwargs.get("constant_values", 0), x.ndim)
    for axis, (width, value) in enumerate(zip(widths, values, strict=True)):
        x = _padded(x, axis, tuple(as_dim(w) for w in width), mode, value)
    return new_array(x.operand())


_PAD_MODES = ("constant", "edge", "wrap", "reflect", "symmetric")  # the others are NumPy's own code


def _plain_pairs(pad_width: Any, rank: int) -> list[tuple[Any, Any]]:
    return [] if isinstance(pad_width, dict) else _pairs(pad_width, rank)


def _is_simple_pad(x: TracedArray, pad_width: Any, mode: Any, options: dict[str, Any]) -> bool:
    """Whether each side is one piece that a slice or a constant gives."""
    if mode not in _PAD_MODES or set(options) > {"constant_values"}:
        return False
    if (options and mode != "constant") or isinstance(pad_width, dict):
        return False
    sizes = current_trace().sizes
    for (before, after), dim in zip(_pairs(pad_width, x.ndim), x.dims, strict=True):
        for width in (before, after):
            if not isinstance(width, (int, np.integer, SymbolicInt)):
                return False
            count = as_dim(width)
            smallest = {"constant": 0, "edge": 1, "reflect": count + 1}.get(mode, count)
            if not sizes.decide(dim - smallest, ">= 0") or not sizes.decide(count, ">= 0"):
                return False
    return True


def _pairs(value: Any, rank: int) -> list[tuple[Any, Any]]:
    """A pair for each axis from NumPy's short forms."""
    if not isinstance(value, (list, tuple, np.ndarray)):
        return [(value, value)] * rank
    if len(value) and not isinstance(value[0], (list, tuple, np.ndarray)):
        pair = (value[0], value[1]) if len(value) == 2 else (value[0], value[0])
        return [pair] * rank
    pairs = [(item[0], item[1]) if len(item) == 2 else (item[0], item[0]) for item in value]
    return pairs * rank if len(pairs) == 1 else pairs


def _padded(x: TracedArray, axis: int, width: tuple[DimLike, ...], mode: str, value: tuple[Any, Any]) -> TracedArray:
    sizes = current_trace().sizes
    parts: list[TracedArray] = []
    size = x.dims[axis]
    for side, count in enumerate(width):
        if side == 1:
            parts.append(x)
        if sizes.decide(count, "== 0"):
            continue
        dims = tuple(count if k == axis else d for k, d in enumerate(x.dims))
        shape = tuple(python_size(d) for d in dims)
        if mode == "constant":
            parts.append(call(np.full, shape, value[side], dtype=x.dtype))
            continue
        part = call(operator.getitem, x, (*(slice(None),) * axis, _pad_source(mode, side, size, count)))
        if mode in ("reflect", "symmetric"):
            part = call(np.flip, part, axis)
        parts.append(call(np.broadcast_to, part, shape) if mode == "edge" else part)
    return parts[0] if len(parts) == 1 else concatenate(parts, axis)


def _pad_source(mode: str, side: int, size: DimLike, count: DimLike) -> slice:
    """Which elements are repeated before (side 0) or after (side 1) an axis."""
    if mode == "edge":
        return slice(0, 1) if side == 0 else slice(-1, None)
    if mode == "wrap":
        return slice(python_size(size - count), None) if side == 0 else slice(0, python_size(count))
    border = int(mode == "reflect")  # the element at the border is not repeated
    if side == 0:
        return slice(border, python_size(count + border))
    return slice(python_size(size - count - border), python_size(size - border))
