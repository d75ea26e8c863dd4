"""The shape that reshape is asked for: sizes that are known, -1, and sizes that the program computes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tracejit.ir.core import Operand
from tracejit.ir.dims import DimLike, floordiv, product
from tracejit.ir.ops.check import VALUES
from tracejit.trace.array import TracedArray
from tracejit.trace.context import current_trace
from tracejit.trace.registry import call
from tracejit.trace.scalar import as_dim
from tracejit.trace.values import Dims, dim_value, emit, resolve_dims, size_of

__all__ = ["target_dims"]


def target_dims(array: TracedArray, target: Any) -> Dims:
    """The dims that a ``shape`` argument of reshape means, -1 resolved."""
    if isinstance(target, TracedArray):
        target = call("tolist", target)
    entries = target if isinstance(target, (list, tuple)) else [target]
    dims = [as_dim(entry, "a shape") for entry in entries]
    sizes = current_trace().sizes
    total = size_of(array.dims)
    unknown = [k for k, d in enumerate(dims) if not sizes.decide(d, ">= 0")]
    if len(unknown) > 1:
        raise ValueError("can only specify one unknown dimension")
    if unknown:
        rest = product(tuple(d for k, d in enumerate(dims) if k not in unknown))
        if sizes.decide(rest, "== 0"):
            _cannot_reshape(total, dims, unknown)
        left = sizes.resolve(total % rest)
        dims[unknown[0]] = sizes.resolve(floordiv(sizes.resolve(total), sizes.resolve(rest)))
        if sizes.is_late(left):
            _check_reshape(left, 0, total, dims, unknown)
            return resolve_dims(dims)
        if not sizes.decide(left, "== 0"):
            _cannot_reshape(total, dims, unknown)
    wanted = sizes.resolve(product(tuple(dims)))
    if sizes.is_late(sizes.resolve(total) - wanted):
        _check_reshape(total, wanted, total, dims, unknown)
        return resolve_dims(dims)
    if not sizes.require_equal(total, product(tuple(dims))):
        _cannot_reshape(total, dims, unknown)
    return resolve_dims(dims)


def _check_reshape(a: DimLike, b: DimLike, total: DimLike, dims: Sequence[DimLike], unknown: Sequence[int]) -> None:
    """Let the program raise NumPy's error where two computed sizes differ."""
    trace = current_trace()
    values: list[Operand] = [dim_value(total)]
    shown = []
    for k, dim in enumerate(dims):
        if k in unknown:
            shown.append("newaxis")
        elif isinstance(dim, int) or len(values) == VALUES:
            shown.append(str(dim))
        else:
            shown.append(f"{{{len(values)}}}")
            values.append(dim_value(dim))
    text = ",".join(shown) + ("," if len(shown) == 1 else "")
    holds = emit("eq", dim_value(a), dim_value(b))
    trace.check(holds, values, "ValueError", f"cannot reshape array of size {{0}} into shape ({text})")


def _cannot_reshape(total: DimLike, dims: Sequence[DimLike], unknown: Sequence[int]) -> None:
    hint = current_trace().sizes.hint
    shown = ["newaxis" if k in unknown else str(hint(d)) for k, d in enumerate(dims)]
    text = ",".join(shown) + ("," if len(shown) == 1 else "")
    raise ValueError(f"cannot reshape array of size {hint(total)} into shape ({text})")
