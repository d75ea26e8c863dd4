"""What the declarations of structured operations share: checks, rank-0 index arithmetic, constants, batch axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tracejit.errors import VerifyError
from tracejit.ir.core import Eqn, Literal, Operand
from tracejit.ir.dims import DimLike
from tracejit.ir.primitive import PRIMITIVES, Unknown
from tracejit.ir.types import ArrayType, scalar

__all__ = [
    "Tangent",
    "batch_size",
    "dim_operand",
    "full",
    "index_add",
    "index_clamp",
    "index_floordiv",
    "index_literal",
    "index_mod",
    "index_mul",
    "index_sub",
    "is_unknown",
    "linear_jvp",
    "move_axis",
    "op",
    "require",
    "with_batch",
    "zeros",
]

Tangent = Operand | None  # None is a zero


def op(name: str, *operands: Any, **attrs: Any) -> Any:
    """Emit a primitive by name: operations of other files may be declared later than the rules that use them."""
    return PRIMITIVES[name](*operands, **attrs)


def require(condition: bool, name: str, message: str) -> None:
    """Raise when an equation breaks a rule of the IR; what users do wrong is found by the trace."""
    if not condition:
        raise VerifyError(f"{name}: {message}")


def is_unknown(operand: Any) -> bool:
    """Whether a transpose rule is asked for the cotangent of this operand."""
    return isinstance(operand, Unknown)


# ---------------------------------------------------------------------------------------- rank-0 index arithmetic


def index_literal(value: int) -> Literal:
    """An i64 constant."""
    return Literal(value, scalar("i64"))


def dim_operand(dim: DimLike) -> Operand:
    """A dim as an i64 operand."""
    result: Operand = index_literal(dim) if isinstance(dim, int) else op("dim", dim=dim)
    return result


def _is(operand: Operand, value: int) -> bool:
    return isinstance(operand, Literal) and int(operand.value) == value


def index_add(a: Operand, b: Operand) -> Operand:
    """``a + b`` without useless operations."""
    if _is(b, 0):
        return a
    if _is(a, 0):
        return b
    result: Operand = op("add", a, b)
    return result


def index_sub(a: Operand, b: Operand) -> Operand:
    """``a - b`` without useless operations."""
    if _is(b, 0):
        return a
    if a is b:
        return index_literal(0)
    result: Operand = op("sub", a, b)
    return result


def index_mul(a: Operand, b: Operand) -> Operand:
    """``a * b`` without useless operations."""
    if _is(a, 0) or _is(b, 1):
        return a
    if _is(b, 0) or _is(a, 1):
        return b
    if _is(b, -1):
        return index_sub(index_literal(0), a)
    result: Operand = op("mul", a, b)
    return result


def index_floordiv(a: Operand, b: Operand) -> Operand:
    """``a // b`` without useless operations."""
    if _is(a, 0) or _is(b, 1):
        return a
    result: Operand = op("floordiv", a, b)
    return result


def index_mod(a: Operand, b: Operand) -> Operand:
    """``a % b`` without useless operations."""
    if _is(a, 0) or _is(b, 1):
        return index_literal(0)
    result: Operand = op("mod", a, b)
    return result


def index_clamp(a: Operand, lower: Operand | None, upper: Operand | None) -> Operand:
    """``a`` moved into [lower, upper]; a missing bound is not enforced."""
    if upper is not None:
        a = op("minimum", a, upper)
    if lower is not None:
        a = op("maximum", a, lower)
    return a


# ------------------------------------------------------------------------------------------------------ constants


def full(value: Any, dtype: np.dtype[Any], dims: tuple[DimLike, ...]) -> Operand:
    """A constant of any shape: a literal, broadcast where the rank is not 0."""
    literal = Literal(value, ArrayType(dtype))
    if not dims:
        return literal
    result: Operand = op("broadcast", literal, dims=dims, axes=())
    return result


def zeros(type: ArrayType) -> Operand:
    """Zeros of a type."""
    return full(0, type.dtype, type.dims)


# ---------------------------------------------------------------------------------------------------------- rules


def linear_jvp(eqn: Eqn, primals: Sequence[Operand], tangents: Sequence[Tangent]) -> list[Tangent]:
    """The jvp of an operation that is linear in its only operand: itself, of the tangent."""
    return [None if tangents[0] is None else eqn.op(tangents[0], **eqn.attrs)]


def batch_size(operands: Sequence[Operand], batched: Sequence[bool]) -> DimLike:
    """The size of the batch axis."""
    return next(o.type.dims[0] for o, b in zip(operands, batched, strict=True) if b)


def with_batch(operand: Operand, batched: bool, size: DimLike) -> Operand:
    """The operand with a leading batch axis, repeated along it when it has none yet."""
    if batched:
        return operand
    dims = operand.type.dims
    result: Operand = op("broadcast", operand, dims=(size, *dims), axes=tuple(range(1, len(dims) + 1)))
    return result


def move_axis(x: Operand, source: int, target: int) -> Operand:
    """Transpose such that one axis moves and the others keep their order."""
    if source == target:
        return x
    order = [axis for axis in range(x.type.rank) if axis != source]
    order.insert(target, source)
    result: Operand = op("transpose", x, perm=tuple(order))
    return result
