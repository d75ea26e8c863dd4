"""Emitting primitives on operands into the current trace: the vocabulary in which NumPy functions are composed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import tracejit.ir.ops  # noqa: F401  (declares the primitives)
from tracejit.ir.core import Literal, Operand
from tracejit.ir.dims import Dim, DimLike, product
from tracejit.ir.primitive import PRIMITIVES
from tracejit.ir.types import ArrayType
from tracejit.trace.context import current_trace
from tracejit.trace.dtypes import BOOL, INT64, DType
from tracejit.trace.floating_errors import current_state, require_none_asked
from tracejit.trace.location import user_location
from tracejit.trace.sizes import SizeEnvironment

__all__ = [
    "Dims",
    "broadcast_dims",
    "broadcast_to",
    "cast",
    "dim_value",
    "emit",
    "emit_all",
    "fits",
    "full",
    "iota",
    "reshape",
    "resolve_dims",
    "select",
    "slice_axis",
    "squeeze",
    "transpose",
    "truth",
]

Dims = tuple[DimLike, ...]


def emit(name: str, *operands: Operand, **attrs: Any) -> Operand:
    """Append one operation with one result to the current trace, at the user's line."""
    return emit_all(name, *operands, **attrs)[0]


def emit_all(name: str, *operands: Operand, **attrs: Any) -> tuple[Operand, ...]:
    """Append one operation; gives all of its results."""
    trace = current_trace()
    if current_state() is not trace.captures.error_state:
        require_none_asked(trace)
    if name == "wrap_index" and trace.captures.caught:
        _check_caught(*operands)
    return trace.builder.emit(PRIMITIVES[name], operands, attrs, (), user_location())


def _check_caught(index: Operand, size: Operand) -> None:
    """An index outside of its bounds in a ``try`` that would catch the IndexError."""
    inside = emit("bitwise_and", emit("lt", index, size), emit("ge", index, emit("neg", size)))
    if not inside.type.dims:
        current_trace().check(inside, (), "IndexError", "index out of bounds")


def literal(value: Any, dtype: DType) -> Literal:
    """A scalar constant."""
    return Literal(value, ArrayType(dtype))


def cast(x: Operand, dtype: DType) -> Operand:
    """The values in another dtype, converted as ``astype`` does."""
    if x.type.dtype == dtype:
        return x
    return emit("cast", x, dtype=dtype)


def truth(x: Operand) -> Operand:
    """Which elements are non-zero."""
    return x if x.type.dtype == BOOL else emit("ne", x, literal(0, x.type.dtype))


def resolve_dims(dims: Sequence[DimLike]) -> Dims:
    """Dims in their canonical form."""
    sizes = current_trace().sizes
    return tuple([d if type(d) is int else sizes.resolve(d) for d in dims])


def dim_value(dim: DimLike) -> Operand:
    """A size as an i64 scalar."""
    dim = current_trace().sizes.resolve(dim)
    return emit("dim", dim=dim) if isinstance(dim, Dim) else literal(dim, INT64)


def full(value: Operand, dims: Dims) -> Operand:
    """A scalar repeated to dims."""
    return emit("broadcast", value, dims=dims, axes=()) if dims else value


def iota(dtype: DType, dims: Dims, axis: int) -> Operand:
    """Each element is its index along an axis."""
    return emit("iota", dtype=dtype, dims=dims, axis=axis)


def reshape(x: Operand, dims: Dims) -> Operand:
    """The same elements in row-major order; the sizes are known to be equal."""
    if x.type.dims == dims:
        return x
    if isinstance(x, Literal):
        return full(x, dims)
    return emit("reshape", x, dims=dims)


def squeeze(x: Operand, axes: Sequence[int]) -> Operand:
    """Without some axes of size 1."""
    return reshape(x, tuple(d for axis, d in enumerate(x.type.dims) if axis not in axes))


def expand(x: Operand, axes: Sequence[int]) -> Operand:
    """With axes of size 1 at these positions of the result."""
    rest = iter(x.type.dims)
    return reshape(x, tuple(1 if axis in axes else next(rest) for axis in range(len(x.type.dims) + len(axes))))


def transpose(x: Operand, perm: tuple[int, ...]) -> Operand:
    """Axis k of the result is axis ``perm[k]``."""
    return x if perm == tuple(range(len(perm))) else emit("transpose", x, perm=perm)


def slice_axis(x: Operand, axis: int, start: DimLike, size: DimLike, step: DimLike = 1) -> Operand:
    """Elements ``start, start + step, ...`` along one axis."""
    dims = x.type.dims
    rank = len(dims)
    starts = tuple(start if k == axis else 0 for k in range(rank))
    sizes = tuple(size if k == axis else dims[k] for k in range(rank))
    steps = tuple(step if k == axis else 1 for k in range(rank))
    return emit("slice", x, starts=starts, sizes=sizes, steps=steps)


def select(condition: Operand, a: Operand, b: Operand) -> Operand:
    """``a`` where the condition holds, else ``b``; dims as for elementwise operations."""
    return emit("select", condition, a, b)


def broadcast_dims(shapes: Sequence[Dims]) -> Dims | None:
    """The dims that these dims broadcast to, or None when NumPy would raise; equalities are learned."""
    result: Dims = ()
    for dims in shapes:
        if dims is result or not dims:
            continue
        if not result:
            result = dims
            continue
        joined = _join(result, dims)
        if joined is None:
            return None
        result = joined
    return resolve_dims(result)


def _join(a: Dims, b: Dims) -> Dims | None:
    if a == b:
        return a
    if len(a) < len(b):
        a, b = b, a
    sizes = current_trace().sizes
    result = list(a[: len(a) - len(b)])
    for left, right in zip(a[len(a) - len(b) :], b, strict=True):
        size = sizes.broadcast(left, right)
        if size is None:
            return None
        result.append(size)
    return tuple(result)


def fits(own: Dims, target: Dims) -> bool:
    """Whether dims broadcast to others that stay what they are, as a value does to what it is assigned to."""
    if len(own) > len(target):
        return False
    sizes = current_trace().sizes
    for size, wanted in zip(own, target[len(target) - len(own) :], strict=True):
        if sizes.is_late(sizes.resolve(size) - sizes.resolve(wanted)):
            sizes.check_equal(size, wanted)
            continue
        if sizes.resolve(size) == 1 or sizes.require_equal(size, wanted):
            continue
        if sizes.hint(size) != 1:
            return False
        sizes.require_equal(size, 1)
    return True


def broadcast_to(x: Operand, dims: Dims) -> Operand:
    """The operand with exactly these dims, axes aligned at the end; the dims are known to fit."""
    own = x.type.dims
    if own == dims:
        return x
    resolved, target = resolve_dims(own), resolve_dims(dims)
    if resolved == target:
        return x
    sizes = current_trace().sizes
    if sizes.late:
        tail = target[len(target) - len(own) :]
        checked = tuple(
            t if d not in (t, 1) and sizes.is_late(d - t) else d for d, t in zip(resolved, tail, strict=True)
        )
        if checked != resolved:  # sizes that the program has checked to be equal
            return broadcast_to(reshape(x, checked), dims)
    if any(a != b and a == 1 for a, b in zip(resolved, own, strict=True)):
        x = reshape(x, resolved)  # a size that turned out to be 1 has to be 1 in the type, too
    return emit("broadcast", x, dims=target, axes=tuple(range(len(target) - len(own), len(target))))


def match(x: Operand, dims: Dims) -> Operand:
    """Like :func:`broadcast_to`, but a scalar stays a scalar."""
    return broadcast_to(x, dims) if x.type.dims else x


def size_of(dims: Dims) -> DimLike:
    """The number of elements, in canonical form."""
    return product(resolve_dims(dims))


def constant(array: np.ndarray[Any, Any]) -> Operand:
    """A small array known while tracing."""
    array = np.asarray(array, array.dtype.newbyteorder("="), order="C")
    if array.ndim == 0 or (array.size and array.size <= 4096 and (array == array.flat[0]).all() and _plain(array)):
        return full(Literal(array.flat[0]), array.shape)
    return emit("constant", dtype=array.dtype, dims=array.shape, data=array.tobytes())


def _plain(array: np.ndarray[Any, Any]) -> bool:
    """Whether equal elements have equal bits: no zeros of both signs."""
    if array.flat[0] != 0 or array.dtype.kind not in "fc":
        return True
    return not np.any(np.signbit(array.real) | np.signbit(array.imag))


def late_dim(operand: Operand, low: DimLike | None = None, high: DimLike | None = None) -> DimLike:
    """A computed i64 as a size that the program binds; ``low`` and ``high`` are sizes between which it lies."""
    if isinstance(operand, Literal):
        return int(operand.value)
    trace = current_trace()
    known = trace.late_sizes.get(operand)
    if known is None:
        known = trace.late_sizes[operand] = trace.sizes.fresh_late("k", low, high)
        trace.builder.emit(PRIMITIVES["bind_size"], (operand,), {"symbol": known.as_symbol}, (), user_location())
    return known


def check_equal(a: DimLike, b: DimLike, exception: str = "ValueError", text: str = "") -> None:
    """Let the program check that two sizes are equal, of which one is computed; ``text`` shows both."""
    trace = current_trace()
    sizes = trace.sizes
    a, b = sizes.resolve(a), sizes.resolve(b)
    if a == b or trace.is_checked((a, b)):
        return
    x, y = dim_value(a), dim_value(b)
    if not text:
        text = "operands could not be broadcast together with shapes ({0},) ({1},) "
        one = literal(1, INT64)
        equal = emit("eq", x, y)
        maybe = [emit("eq", size, one) for size in (x, y) if not isinstance(size, Literal)]
        for other in maybe:
            equal = emit("bitwise_or", equal, other)
        trace.check(equal, (x, y), exception, text)
        exception, text = (
            "UnsupportedError",
            (
                "sizes {0} and {1}, which depend on data: an axis of size 1 is not stretched where only "
                "the running program knows; use np.broadcast_to, or index with [0]"
            ),
        )
    trace.check(emit("eq", x, y), (x, y), exception, text)
    trace.checked.add((a, b))


def assume(dim: DimLike, relation: str) -> bool:
    """The usual answer to a question about a computed size (not 0, not negative), which the program checks."""
    trace = current_trace()
    answer = relation == ">= 0"
    if not trace.is_checked((dim, relation)):
        op = "ge" if answer else "ne"
        text = (
            "a size that depends on data is one that the compiled program does not cover: {0} where "
            + ("it must not be negative" if answer else "it must not be 0")
            + f" (the size is {dim})"
        )
        value = dim_value(dim)
        trace.check(emit(op, value, literal(0, INT64)), (value,), "UnsupportedError", text)
        trace.checked.add((dim, relation))
    return answer


SizeEnvironment.check_equal = staticmethod(check_equal)  # type: ignore[method-assign, assignment]
SizeEnvironment.assume = staticmethod(assume)  # type: ignore[method-assign, assignment]
