"""Small helpers that emit loop-level operations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracejit.ir.builder import Builder, current_builder
from tracejit.ir.core import Function, Literal, Operand, Value
from tracejit.ir.dims import DimLike
from tracejit.ir.ops import PRIMITIVES
from tracejit.ir.types import ArrayType, scalar

__all__ = ["allocate", "for_loop", "identity_element", "if_then", "size_operand", "store"]

Body = Callable[[Value, list[Operand]], Sequence[Operand]]


def size_operand(dim: DimLike) -> Operand:
    """A dim as an i64 operand of the current loop body."""
    if isinstance(dim, int):
        return Literal(dim, scalar("i64"))
    operand: Operand = PRIMITIVES["dim"](dim=dim)
    return operand


def for_loop(
    upper: DimLike | Operand,
    body: Body,
    inits: Sequence[Operand] = (),
    *,
    lower: DimLike | Operand = 0,
    kind: str = "serial",
    ops: tuple[str, ...] = (),
    cost: DimLike = 0,
    finish: Callable[[Function], Function] | None = None,
) -> list[Operand]:
    """Emit ``for i in lower..upper`` around ``body(i, carries) -> carries``; gives the final carries.

    finish: a last change to the finished body.
    """
    parent = current_builder()
    bounds = tuple(b if isinstance(b, (Value, Literal)) else size_operand(b) for b in (lower, upper))
    inner = Builder(parent, loc=parent.loc)
    i = inner.param(scalar("i64"))
    carries: list[Operand] = [inner.param(o.type) for o in inits]
    with inner:
        region = inner.finish(list(body(i, carries)))
    if finish is not None:
        region = finish(region)
    attrs = {"kind": kind, "ops": ops, "cost": cost}
    return list(parent.emit(PRIMITIVES["for"], (*bounds, *inits), attrs, (region,)))


def if_then(predicate: Operand, then: Callable[[], object], otherwise: Callable[[], object] | None = None) -> None:
    """Emit an ``if`` without results."""
    parent = current_builder()
    regions = []
    for side in (then, otherwise or (lambda: None)):
        inner = Builder(parent, loc=parent.loc)
        with inner:
            side()
            regions.append(inner.finish([]))
    parent.emit(PRIMITIVES["if"], (predicate,), {}, tuple(regions))


def allocate(dtype: np.dtype[Any], dims: tuple[DimLike, ...]) -> Value:
    """A new buffer that lives until the end of the current region."""
    buffer: Value = PRIMITIVES["alloc"](dtype=dtype, dims=dims)
    return buffer


def store(value: Operand, buffer: Value, index: Sequence[Operand]) -> None:
    """Store one element."""
    current_builder().emit(PRIMITIVES["store"], (value, buffer, *index))


def identity_element(combine: str, dtype: np.dtype[Any]) -> Literal:
    """The neutral element of a reduction."""
    if combine in ("add", "or"):
        return Literal(0, ArrayType(dtype))
    if combine in ("mul", "and"):
        return Literal(1, ArrayType(dtype))
    if dtype.kind == "f":
        return Literal(np.inf if combine == "min" else -np.inf, ArrayType(dtype))
    if dtype.kind == "b":
        return Literal(combine == "min", ArrayType(dtype))
    if dtype.kind == "c":  # in the order of complex numbers: by real part, then by imaginary part
        limit = np.inf if combine == "min" else -np.inf
        return Literal(complex(limit, limit), ArrayType(dtype))
    limits = np.iinfo(dtype)
    return Literal(limits.max if combine == "min" else limits.min, ArrayType(dtype))
