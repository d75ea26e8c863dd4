"""Operations that move elements without computing: each declared once with its types, meaning and rules."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from tracejit.errors import UnsupportedError
from tracejit.ir.builder import same_dim, same_dims
from tracejit.ir.core import Eqn, Operand
from tracejit.ir.dims import Dim, DimLike, product
from tracejit.ir.ops.common import (
    Tangent,
    batch_size,
    dim_operand,
    index_add,
    index_clamp,
    index_floordiv,
    index_literal,
    index_mod,
    index_mul,
    index_sub,
    is_unknown,
    linear_jvp,
    op,
    require,
    with_batch,
    zeros,
)
from tracejit.ir.primitive import Index, Loader, Primitive, primitive
from tracejit.ir.types import ArrayType, scalar

__all__ = [
    "bind_size",
    "broadcast",
    "concatenate",
    "constant",
    "dim",
    "empty",
    "iota",
    "reshape",
    "slice",
    "transpose",
    "update_slice",
]

Array = np.ndarray[Any, Any]
Dims = tuple[DimLike, ...]

# ------------------------------------------------------------------------------------------------------ broadcast


def _broadcast_infer(x: ArrayType, *, dims: Dims, axes: tuple[int, ...]) -> ArrayType:
    require(len(axes) == x.rank, "broadcast", f"{len(axes)} axes for an operand of rank {x.rank}")
    ordered = all(a < b for a, b in pairwise(axes))
    require(ordered and all(0 <= a < len(dims) for a in axes), "broadcast", f"axes {axes} into rank {len(dims)}")
    for axis, own in zip(axes, x.dims, strict=True):
        require(own == 1 or same_dim(own, dims[axis]), "broadcast", f"{x} does not fit axis {axis} of {dims}")
    return x.with_dims(dims)


def _broadcast_reference(x: Array, *, dims: tuple[int, ...], axes: tuple[int, ...]) -> Array:
    shape = [1] * len(dims)
    for axis, size in zip(axes, np.shape(x), strict=True):
        shape[axis] = size
    return np.broadcast_to(np.reshape(x, shape), dims)


def _broadcast_transpose(eqn: Eqn, cotangents: Sequence[Operand], operands: Sequence[Any]) -> list[Tangent]:
    (x,), (ct,) = operands, cotangents
    axes = eqn.attrs["axes"]
    kept = [axis for axis, own in zip(axes, x.type.dims, strict=True) if same_dim(own, eqn.attrs["dims"][axis])]
    summed = tuple(axis for axis in range(ct.type.rank) if axis not in kept)
    result = op("reduce_sum", ct, axes=summed) if summed else ct
    if result.type.rank != x.type.rank:
        result = op("reshape", result, dims=x.type.dims)
    return [result]


def _broadcast_batch(eqn: Eqn, operands: Sequence[Operand], batched: Sequence[bool]) -> list[Operand]:
    dims = (batch_size(operands, batched), *eqn.attrs["dims"])
    return [broadcast(operands[0], dims=dims, axes=(0, *(a + 1 for a in eqn.attrs["axes"])))]


def _broadcast_load(eqn: Eqn, index: Index) -> Loader:
    x, dims = eqn.operands[0], eqn.attrs["dims"]
    own: Index = tuple(
        index[axis] if same_dim(size, dims[axis]) else index_literal(0)
        for axis, size in zip(eqn.attrs["axes"], x.type.dims, strict=True)
    )
    return (yield x, own)


broadcast: Primitive = primitive(
    "broadcast",
    infer=_broadcast_infer,
    reference=_broadcast_reference,
    jvp=linear_jvp,
    transpose=_broadcast_transpose,
    batch=_broadcast_batch,
    load=_broadcast_load,
)

# -------------------------------------------------------------------------------------------------------- reshape


def _reshape_infer(x: ArrayType, *, dims: Dims) -> ArrayType:
    difference = x.size - product(dims)
    # Where the sizes differ symbolically, the trace has guarded that they are equal.
    require(isinstance(difference, Dim) or difference == 0, "reshape", f"{x} has not as many elements as {dims}")
    return x.with_dims(dims)


def _reshape_batch(eqn: Eqn, operands: Sequence[Operand], batched: Sequence[bool]) -> list[Operand]:
    return [reshape(operands[0], dims=(batch_size(operands, batched), *eqn.attrs["dims"]))]


Group = tuple[list[int], list[int]]  # axes of the source and of the target that hold the same elements


def reshape_groups(source: Dims, target: Dims) -> list[Group]:
    """Split two shapes of equal size into the smallest runs of axes that map to each other, without axes of size 1.

    Example:
        >>> reshape_groups((2, 3, 4), (6, 1, 4))
        [([0, 1], [0]), ([2], [2])]
    """
    left = [axis for axis, size in enumerate(source) if size != 1]
    right = [axis for axis, size in enumerate(target) if size != 1]
    last: list[Group] = []
    while left and right and same_dim(source[left[-1]], target[right[-1]]):
        last.insert(0, ([left.pop()], [right.pop()]))
    first: list[Group] = []
    while left and right:
        split = _first_split([source[axis] for axis in left], [target[axis] for axis in right])
        if split is None:
            break
        first.append((left[: split[0]], right[: split[1]]))
        left, right = left[split[0] :], right[split[1] :]
    if left or right:
        first.append((left, right))
    return first + last


def _first_split(source: list[DimLike], target: list[DimLike]) -> tuple[int, int] | None:
    """The shortest prefixes of equal product."""
    for total in range(2, len(source) + len(target)):
        for p in range(max(1, total - len(target)), min(len(source), total - 1) + 1):
            if same_dim(product(tuple(source[:p])), product(tuple(target[: total - p]))):
                return p, total - p
    return None


def linear_index(index: Sequence[Operand], dims: Sequence[DimLike]) -> Operand:
    """The row-major position of an index."""
    position: Operand = index_literal(0)
    for i, size in zip(index, dims, strict=True):
        position = index_add(index_mul(position, dim_operand(size)), i)
    return position


def split_index(position: Operand, dims: Sequence[DimLike]) -> list[Operand]:
    """The index of a row-major position."""
    index: list[Operand] = []
    for size in reversed(dims[1:]):
        index.append(index_mod(position, dim_operand(size)))
        position = index_floordiv(position, dim_operand(size))
    if dims:
        index.append(position)
    return index[::-1]


def _reshape_load(eqn: Eqn, index: Index) -> Loader:
    x, target = eqn.operands[0], eqn.attrs["dims"]
    source = x.type.dims
    own: list[Operand] = [index_literal(0)] * len(source)
    for left, right in reshape_groups(source, target):
        position = linear_index([index[axis] for axis in right], [target[axis] for axis in right])
        for axis, i in zip(left, split_index(position, [source[axis] for axis in left]), strict=True):
            own[axis] = i
    return (yield x, tuple(own))


reshape: Primitive = primitive(
    "reshape",
    infer=_reshape_infer,
    reference=lambda x, *, dims: np.reshape(x, dims),
    jvp=linear_jvp,
    transpose=lambda eqn, cotangents, operands: [reshape(cotangents[0], dims=operands[0].type.dims)],
    batch=_reshape_batch,
    load=_reshape_load,
)

# ------------------------------------------------------------------------------------------------------ transpose


def _transpose_infer(x: ArrayType, *, perm: tuple[int, ...]) -> ArrayType:
    require(sorted(perm) == list(range(x.rank)), "transpose", f"{perm} is no permutation of the axes of {x}")
    return x.with_dims(tuple(x.dims[axis] for axis in perm))


def _transpose_load(eqn: Eqn, index: Index) -> Loader:
    own: list[Operand] = list(index)
    for position, axis in enumerate(eqn.attrs["perm"]):
        own[axis] = index[position]
    return (yield eqn.operands[0], tuple(own))


transpose: Primitive = primitive(
    "transpose",
    infer=_transpose_infer,
    reference=lambda x, *, perm: np.transpose(x, perm),
    jvp=linear_jvp,
    transpose=lambda eqn, cotangents, operands: [
        transpose(cotangents[0], perm=tuple(int(axis) for axis in np.argsort(eqn.attrs["perm"])))
    ],
    batch=lambda eqn, operands, batched: [transpose(operands[0], perm=(0, *(axis + 1 for axis in eqn.attrs["perm"])))],
    load=_transpose_load,
)

# -------------------------------------------------------------------------------------------- slice, update_slice


def _check_range(name: str, size: DimLike, start: DimLike, count: DimLike, step: DimLike) -> None:
    if isinstance(size, int) and isinstance(start, int) and isinstance(count, int) and isinstance(step, int):
        last = start + (count - 1) * step
        inside = count == 0 or (0 <= start < size and 0 <= last < size)
        require(count >= 0 and inside, name, f"{count} elements from {start} by {step} of an axis of {size}")


def _slice_infer(x: ArrayType, *, starts: Dims, sizes: Dims, steps: Dims) -> ArrayType:
    require(len(starts) == len(sizes) == len(steps) == x.rank, "slice", f"one start, size and step an axis of {x}")
    for size, start, count, step in zip(x.dims, starts, sizes, steps, strict=True):
        _check_range("slice", size, start, count, step)
    return x.with_dims(sizes)


def _window(starts: Sequence[int], sizes: Sequence[int], steps: Sequence[int]) -> tuple[Any, ...]:
    """The NumPy index of a region of elements ``start + i * step``."""
    window: list[Any] = []
    for start, size, step in zip(starts, sizes, steps, strict=True):
        if size == 0:
            window.append(np.s_[0:0])
        elif step == 0:
            window.append(np.s_[start : start + 1])
        else:
            stop = start + size * step
            window.append(np.s_[start : None if stop < 0 else stop : step])
    return tuple(window)


def _slice_reference(x: Array, *, starts: Sequence[int], sizes: tuple[int, ...], steps: Sequence[int]) -> Array:
    return np.broadcast_to(np.asarray(x)[_window(starts, sizes, steps)], sizes)


def _slice_transpose(eqn: Eqn, cotangents: Sequence[Operand], operands: Sequence[Any]) -> list[Tangent]:
    starts, sizes, steps = eqn.attrs["starts"], eqn.attrs["sizes"], eqn.attrs["steps"]
    ct = cotangents[0]
    repeated = tuple(axis for axis, step in enumerate(steps) if step == 0 and sizes[axis] != 1)
    if repeated:
        kept = tuple(1 if axis in repeated else size for axis, size in enumerate(sizes))
        ct = op("reshape", op("reduce_sum", ct, axes=repeated), dims=kept)
    steps = tuple(1 if step == 0 else step for step in steps)
    return [update_slice(zeros(operands[0].type), ct, starts=starts, steps=steps)]


def _slice_batch(eqn: Eqn, operands: Sequence[Operand], batched: Sequence[bool]) -> list[Operand]:
    starts, sizes, steps = eqn.attrs["starts"], eqn.attrs["sizes"], eqn.attrs["steps"]
    size = batch_size(operands, batched)
    return [slice(operands[0], starts=(0, *starts), sizes=(size, *sizes), steps=(1, *steps))]


def _slice_load(eqn: Eqn, index: Index) -> Loader:
    own = tuple(
        index_add(index_mul(i, dim_operand(step)), dim_operand(start))
        for i, start, step in zip(index, eqn.attrs["starts"], eqn.attrs["steps"], strict=True)
    )
    return (yield eqn.operands[0], own)


slice: Primitive = primitive(
    "slice",
    infer=_slice_infer,
    reference=_slice_reference,
    jvp=linear_jvp,
    transpose=_slice_transpose,
    batch=_slice_batch,
    load=_slice_load,
)


def _update_infer(x: ArrayType, v: ArrayType, *, starts: Dims, steps: Dims) -> ArrayType:
    require(x.dtype == v.dtype and x.rank == v.rank, "update_slice", f"{v} into {x}")
    require(len(starts) == len(steps) == x.rank and 0 not in steps, "update_slice", f"steps {steps} for {x}")
    for size, start, count, step in zip(x.dims, starts, v.dims, steps, strict=True):
        _check_range("update_slice", size, start, count, step)
    return x


def _update_reference(x: Array, v: Array, *, starts: Sequence[int], steps: Sequence[int]) -> Array:
    result = np.array(x)
    result[_window(starts, np.shape(v), steps)] = v
    return result


def _update_jvp(eqn: Eqn, primals: Sequence[Operand], tangents: Sequence[Tangent]) -> list[Tangent]:
    x, v = (zeros(p.type) if t is None else t for p, t in zip(primals, tangents, strict=True))
    return [update_slice(x, v, **eqn.attrs)]


def _update_transpose(eqn: Eqn, cotangents: Sequence[Operand], operands: Sequence[Any]) -> list[Tangent]:
    (x, v), (ct,) = operands, cotangents
    starts, steps = eqn.attrs["starts"], eqn.attrs["steps"]
    return [
        update_slice(ct, zeros(v.type), starts=starts, steps=steps) if is_unknown(x) else None,
        slice(ct, starts=starts, sizes=v.type.dims, steps=steps) if is_unknown(v) else None,
    ]


def _update_batch(eqn: Eqn, operands: Sequence[Operand], batched: Sequence[bool]) -> list[Operand]:
    size = batch_size(operands, batched)
    x, v = (with_batch(o, b, size) for o, b in zip(operands, batched, strict=True))
    return [update_slice(x, v, starts=(0, *eqn.attrs["starts"]), steps=(1, *eqn.attrs["steps"]))]


update_slice: Primitive = primitive(
    "update_slice",
    infer=_update_infer,
    reference=_update_reference,
    jvp=_update_jvp,
    transpose=_update_transpose,
    batch=_update_batch,
)

# ---------------------------------------------------------------------------------------------------- concatenate


def _concatenate_infer(*xs: ArrayType, axis: int) -> ArrayType:
    require(bool(xs) and 0 <= axis < xs[0].rank, "concatenate", f"axis {axis} of {xs}")
    rest = xs[0].dims[:axis] + xs[0].dims[axis + 1 :]
    total: DimLike = 0
    for x in xs:
        fits = x.dtype == xs[0].dtype and x.rank == xs[0].rank and same_dims(x.dims[:axis] + x.dims[axis + 1 :], rest)
        require(fits, "concatenate", f"{x} beside {xs[0]} along axis {axis}")
        total = total + x.dims[axis]
    return xs[0].with_dims((*xs[0].dims[:axis], total, *xs[0].dims[axis + 1 :]))


def _concatenate_jvp(eqn: Eqn, primals: Sequence[Operand], tangents: Sequence[Tangent]) -> list[Tangent]:
    parts = [zeros(p.type) if t is None else t for p, t in zip(primals, tangents, strict=True)]
    return [concatenate(*parts, **eqn.attrs)]


def _concatenate_transpose(eqn: Eqn, cotangents: Sequence[Operand], operands: Sequence[Any]) -> list[Tangent]:
    axis: int = eqn.attrs["axis"]
    offset: DimLike = 0
    parts: list[Tangent] = []
    for x in operands:
        rank, dims = x.type.rank, x.type.dims
        starts = (0,) * axis + (offset,) + (0,) * (rank - axis - 1)
        parts.append(slice(cotangents[0], starts=starts, sizes=dims, steps=(1,) * rank) if is_unknown(x) else None)
        offset = offset + dims[axis]
    return parts


def _concatenate_batch(eqn: Eqn, operands: Sequence[Operand], batched: Sequence[bool]) -> list[Operand]:
    size = batch_size(operands, batched)
    parts = [with_batch(o, b, size) for o, b in zip(operands, batched, strict=True)]
    return [concatenate(*parts, axis=eqn.attrs["axis"] + 1)]


def _concatenate_load(eqn: Eqn, index: Index) -> Loader:
    """Every part is read, at an index clamped into it, and the one that holds the element is selected."""
    axis: int = eqn.attrs["axis"]
    parts = [x for x in eqn.operands if x.type.dims[axis] != 0]
    offset: DimLike = 0
    values: list[Operand] = []
    ends: list[DimLike] = []
    for k, x in enumerate(parts):
        size = x.type.dims[axis]
        local = index_sub(index[axis], dim_operand(offset))
        lower = None if offset == 0 else index_literal(0)
        local = index_clamp(local, lower, None if k == len(parts) - 1 else dim_operand(size - 1))
        values.append((yield x, (*index[:axis], local, *index[axis + 1 :])))
        offset = offset + size
        ends.append(offset)
    result = values[-1]
    for value, end in zip(values[-2::-1], ends[-2::-1], strict=True):
        result = op("select", op("lt", index[axis], dim_operand(end)), value, result)
    return result


concatenate: Primitive = primitive(
    "concatenate",
    infer=_concatenate_infer,
    reference=lambda *xs, axis: np.concatenate(xs, axis=axis),
    jvp=_concatenate_jvp,
    transpose=_concatenate_transpose,
    batch=_concatenate_batch,
    load=_concatenate_load,
)

# ----------------------------------------------------------------------------------- iota, empty, constant, dim


def _iota_infer(*, dtype: np.dtype[Any], dims: Dims, axis: int) -> ArrayType:
    require(0 <= axis < len(dims), "iota", f"axis {axis} of {dims}")
    return ArrayType(dtype, dims)


def _iota_reference(*, dtype: np.dtype[Any], dims: tuple[int, ...], axis: int) -> Array:
    line = np.arange(dims[axis], dtype=dtype).reshape([-1 if k == axis else 1 for k in range(len(dims))])
    return np.broadcast_to(line, dims)


def _iota_load(eqn: Eqn, index: Index) -> Loader:
    yield from ()
    position = index[eqn.attrs["axis"]]
    dtype = eqn.attrs["dtype"]
    result: Operand = position if dtype == position.type.dtype else op("cast", position, dtype=dtype)
    return result


iota = primitive("iota", infer=_iota_infer, reference=_iota_reference, load=_iota_load)

empty = primitive(
    "empty",
    infer=lambda *, dtype, dims: ArrayType(dtype, dims),
    # Zeros, so that two runs of one program can be compared.
    reference=lambda *, dtype, dims: np.zeros(dims, dtype),
)


def _constant_infer(*, dtype: np.dtype[Any], dims: tuple[int, ...], data: bytes) -> ArrayType:
    count = product(dims)
    fits = isinstance(count, int) and count * dtype.itemsize == len(data)
    require(fits, "constant", f"{len(data)} bytes for {ArrayType(dtype, dims)}")
    return ArrayType(dtype, dims)


constant = primitive(
    "constant",
    infer=_constant_infer,
    reference=lambda *, dtype, dims, data: np.frombuffer(data, dtype).reshape(dims),
)


def _dim_load(eqn: Eqn, index: Index) -> Loader:
    yield from ()
    return dim_operand(eqn.attrs["dim"])


dim = primitive(
    "dim",
    infer=lambda *, dim: scalar("i64"),
    reference=lambda *, dim: np.int64(dim),
    load=_dim_load,
    level="both",
)


def _bind_size_infer(x: ArrayType, *, symbol: str) -> tuple[()]:
    require(x == scalar("i64"), "bind_size", f"a size is an i64[], not {x}")
    return ()


def _bind_size_batch(eqn: Eqn, operands: Sequence[Operand], batched: Sequence[bool]) -> list[Operand]:
    raise UnsupportedError(
        "vmap over a function that computes a size (a slice up to a computed place, np.unique, np.zeros of a computed "
        "length, ...) is not compiled: each example would have another size. Call the function in a loop"
    )


# Gives a size symbol its value while the program runs: dims may use the symbol afterwards, in the same region and in
# regions inside. The interpreter and code generation keep the value, so the reference has nothing to do.
bind_size = primitive(
    "bind_size",
    infer=_bind_size_infer,
    reference=lambda x, *, symbol: (),
    batch=_bind_size_batch,
    level="both",
    effect="write",
)
