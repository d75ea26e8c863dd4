"""The loop level: loops over scalars, memory, and matrix products on memory. Regions see enclosing values.

References receive each region as a callable ``region(*values) -> sequence of values``, and buffers as arrays of their
dims. Bounds are checked here: a wrong index is an error in the interpreter, never silently another element.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracejit.ir.core import Function, Operand
from tracejit.ir.dims import DimLike, product
from tracejit.ir.ops.common import require
from tracejit.ir.primitive import primitive
from tracejit.ir.types import ArrayType, BufferType, scalar

__all__ = [
    "KINDS",
    "REDUCTIONS",
    "alloc",
    "claim",
    "for_",
    "gemm",
    "if_",
    "load",
    "record_type",
    "store",
    "view",
    "while_",
]

Array = np.ndarray[Any, Any]
Region = Callable[..., Sequence[Any]]

KINDS = ("serial", "vector", "parallel", "parallel_vector", "reduce")
REDUCTIONS = ("add", "mul", "min", "max", "and", "or")

# ---------------------------------------------------------------------------------------------------------- loops


def _types(values: Sequence[Operand]) -> tuple[ArrayType, ...]:
    return tuple(value.type for value in values)


def _check(name: str, what: str, got: Sequence[ArrayType], wanted: Sequence[ArrayType]) -> None:
    require(tuple(got) == tuple(wanted), name, f"{what} {list(got)} where {list(wanted)} are needed")


def _check_carries(name: str, types: Sequence[ArrayType]) -> None:
    for type in types:
        require(not type.dims and not isinstance(type, BufferType), name, f"carries are scalars, not {type}")


def _for_infer(
    lower: ArrayType,
    upper: ArrayType,
    *inits: ArrayType,
    regions: tuple[Function],
    kind: str,
    ops: tuple[str, ...] = (),
    cost: DimLike = 1,
) -> tuple[ArrayType, ...]:
    (body,) = regions
    index = scalar("i64")
    _check("for", "bounds", (lower, upper), (index, index))
    _check_carries("for", inits)
    _check("for", "parameters of the body", _types(body.params), (index, *inits))
    _check("for", "results of the body", _types(body.results), inits)
    require(kind in KINDS, "for", f"{kind!r} is no kind of loop: {', '.join(KINDS)}")
    require(kind in ("serial", "reduce") or not inits, "for", f"a {kind} loop has no carries")
    fits = len(ops) == len(inits) if kind == "reduce" else not ops
    require(fits and all(o in REDUCTIONS for o in ops), "for", f"ops {ops} of a {kind} loop with {len(inits)} carries")
    return inits


def _for_reference(
    lower: Any,
    upper: Any,
    *inits: Any,
    regions: tuple[Region],
    kind: str,
    ops: tuple[str, ...] = (),
    cost: int = 1,
) -> Sequence[Any]:
    (body,) = regions
    carries: Sequence[Any] = inits
    for i in range(int(lower), int(upper)):
        carries = body(np.int64(i), *carries)
    return tuple(carries)


def _while_infer(*inits: ArrayType, regions: tuple[Function, Function]) -> tuple[ArrayType, ...]:
    condition, body = regions
    _check_carries("while", inits)
    _check("while", "parameters of the condition", _types(condition.params), inits)
    _check("while", "parameters of the body", _types(body.params), inits)
    _check("while", "results of the condition", _types(condition.results), (scalar("bool"),))
    _check("while", "results of the body", _types(body.results), inits)
    return inits


def _while_reference(*inits: Any, regions: tuple[Region, Region]) -> Sequence[Any]:
    condition, body = regions
    carries: Sequence[Any] = inits
    while condition(*carries)[0]:
        carries = body(*carries)
    return tuple(carries)


def _if_infer(pred: ArrayType, *, regions: tuple[Function, Function]) -> tuple[ArrayType, ...]:
    then, otherwise = regions
    _check("if", "predicate", (pred,), (scalar("bool"),))
    _check("if", "parameters", _types((*then.params, *otherwise.params)), ())
    _check("if", "results of the branches", _types(otherwise.results), _types(then.results))
    _check_carries("if", _types(then.results))
    return _types(then.results)


def _if_reference(pred: Any, *, regions: tuple[Region, Region]) -> Sequence[Any]:
    return tuple(regions[0 if pred else 1]())


# Loops and branches may store, and are not worth merging: all count as writes.
for_ = primitive("for", infer=_for_infer, reference=_for_reference, level="loop", effect="write")
while_ = primitive("while", infer=_while_infer, reference=_while_reference, level="loop", effect="write")
if_ = primitive("if", infer=_if_infer, reference=_if_reference, level="loop", effect="write")

# --------------------------------------------------------------------------------------------------------- memory


def _check_access(name: str, buffer: ArrayType, index: Sequence[ArrayType]) -> None:
    require(isinstance(buffer, BufferType), name, f"{buffer} is no buffer")
    _check(name, f"index into {buffer}", index, (scalar("i64"),) * buffer.rank)


def _load_infer(buffer: ArrayType, *index: ArrayType) -> ArrayType:
    _check_access("load", buffer, index)
    return ArrayType(buffer.dtype)


def _store_infer(value: ArrayType, buffer: ArrayType, *index: ArrayType) -> tuple[()]:
    _check_access("store", buffer, index)
    _check("store", "value", (value,), (ArrayType(buffer.dtype),))
    return ()


def _check_bounds(buffer: Array, index: Sequence[Any]) -> None:
    for axis, (i, size) in enumerate(zip(index, buffer.shape, strict=True)):
        if not 0 <= i < size:
            raise IndexError(f"index {i} is out of bounds for axis {axis} with size {size}")


def _load_reference(buffer: Array, *index: Any) -> Any:
    _check_bounds(buffer, index)
    return buffer[index]


def _store_reference(value: Any, buffer: Array, *index: Any) -> tuple[()]:
    _check_bounds(buffer, index)
    buffer[index] = value
    return ()


def _alloc_infer(*, dtype: np.dtype[Any], dims: tuple[DimLike, ...]) -> ArrayType:
    return BufferType(dtype, dims)


def _alloc_reference(*, dtype: np.dtype[Any], dims: tuple[int, ...]) -> Array:
    """Fresh memory, filled with what a program that reads before it writes will not overlook."""
    if dtype.kind in "fcV":
        return np.full(dims, np.nan, dtype)
    return np.full(dims, dtype.kind == "b" or np.iinfo(dtype).max // 3, dtype)


load = primitive("load", infer=_load_infer, reference=_load_reference, level="loop", effect="read")
store = primitive("store", infer=_store_infer, reference=_store_reference, level="loop", effect="write")
view = primitive(
    "view",
    infer=lambda buffer, *, dims: BufferType(buffer.dtype, dims),
    reference=lambda buffer, *, dims: buffer.reshape(-1)[: int(np.prod(dims))].reshape(dims),
    level="loop",
)
"""The same memory with other dims, of equal size or less: then its beginning."""

# "read", though it reads nothing: two allocations are two buffers and must not be merged.
alloc = primitive("alloc", infer=_alloc_infer, reference=_alloc_reference, level="loop", effect="read")


def _claim_infer(record: ArrayType, *, dtype: np.dtype[Any], dims: tuple[DimLike, ...]) -> ArrayType:
    _check("claim", "the record", (record,), (record_type(len(dims)),))
    return BufferType(dtype, (product(dims) + 1,))


def _claim_reference(record: Array, *, dtype: np.dtype[Any], dims: tuple[int, ...]) -> Array:
    count = int(np.prod(dims, dtype=int))
    record[:] = (0, count * dtype.itemsize, *dims)  # what is interpreted has no address
    return _alloc_reference(dtype=dtype, dims=(count + 1,))


def record_type(rank: int) -> BufferType:
    """What a kernel is given for a result whose dims it computes: the words that :data:`claim` fills."""
    return BufferType(np.dtype(np.int64), (2 + rank,))


claim = primitive("claim", infer=_claim_infer, reference=_claim_reference, level="loop", effect="write")
"""Memory for a result of these dims, which the caller takes over; the record gets its address, its bytes, and the dims.
It has room for one element more, so that a selection may store what it does not select, too."""

# ------------------------------------------------------------------------------------------------ matrix products


def _gemm_infer(*types: ArrayType, transpose_a: bool, transpose_b: bool, accumulate: bool) -> tuple[()]:
    require(len(types) == 12, "gemm", f"{len(types)} operands, not 12")
    buffers = types[0:9:3]
    for buffer in buffers:
        require(isinstance(buffer, BufferType), "gemm", f"{buffer} is no buffer")
        require(buffer.dtype == types[6].dtype and buffer.dtype.kind in "fc", "gemm", f"dtypes {list(buffers)}")
    indices = [type for position, type in enumerate(types) if position not in (0, 3, 6)]
    _check("gemm", "offsets and sizes", indices, (scalar("i64"),) * 9)
    return ()


def _matrix(buffer: Array, offset: Any, stride: Any, rows: Any, columns: Any) -> Array:
    """Rows of a C-contiguous buffer as a matrix; writing to it writes to the buffer."""
    flat = buffer.reshape(-1)[int(offset) :]
    if rows and columns and (int(rows) - 1) * int(stride) + int(columns) > flat.size:
        raise IndexError(f"gemm: {rows}x{columns} elements by {stride} from {offset} outside a buffer of {buffer.size}")
    item = buffer.itemsize
    return np.lib.stride_tricks.as_strided(flat, (int(rows), int(columns)), (int(stride) * item, item))


def _gemm_reference(
    a: Array,
    a_offset: Any,
    lda: Any,
    b: Array,
    b_offset: Any,
    ldb: Any,
    c: Array,
    c_offset: Any,
    ldc: Any,
    m: Any,
    n: Any,
    k: Any,
    *,
    transpose_a: bool,
    transpose_b: bool,
    accumulate: bool,
) -> tuple[()]:
    left = _matrix(a, a_offset, lda, k, m).T if transpose_a else _matrix(a, a_offset, lda, m, k)
    right = _matrix(b, b_offset, ldb, n, k).T if transpose_b else _matrix(b, b_offset, ldb, k, n)
    target = _matrix(c, c_offset, ldc, m, n)
    product = left @ right
    target[...] = target + product if accumulate else product
    return ()


gemm = primitive("gemm", infer=_gemm_infer, reference=_gemm_reference, level="loop", effect="write")
"""``c[i, j] (+)= sum over l of a[i, l] * b[l, j]`` on row-major memory: element (i, l) of a is
``a[a_offset + i * lda + l]``, or ``a[a_offset + l * lda + i]`` when transposed; likewise b and c."""
