"""Universal functions of sizes: what NumPy computes from shapes can be a size again, or the answer to a question."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.ir.dims import DimLike, maximum, minimum
from tracejit.trace.constants import constant_value
from tracejit.trace.context import current_trace
from tracejit.trace.scalar import SymbolicInt

__all__ = ["size_arithmetic"]

_VALUES: dict[Any, Callable[..., DimLike]] = {
    np.add: operator.add,
    np.subtract: operator.sub,
    np.multiply: operator.mul,
    np.floor_divide: operator.floordiv,
    np.remainder: operator.mod,
    np.negative: operator.neg,
    np.maximum: maximum,
    np.minimum: minimum,
}


def _ask(dim: DimLike, relation: str) -> bool:
    return current_trace().sizes.decide(dim, relation)


_QUESTIONS: dict[Any, Callable[..., bool]] = {
    np.less: lambda a, b: _ask(b - a - 1, ">= 0"),
    np.less_equal: lambda a, b: _ask(b - a, ">= 0"),
    np.greater: lambda a, b: _ask(a - b - 1, ">= 0"),
    np.greater_equal: lambda a, b: _ask(a - b, ">= 0"),
    np.equal: lambda a, b: _ask(a - b, "== 0"),
    np.not_equal: lambda a, b: not _ask(a - b, "== 0"),
}


def size_arithmetic(ufunc: np.ufunc, inputs: tuple[Any, ...]) -> DimLike | bool | None:
    """The size that a ufunc of sizes gives, or the answer of a comparison; None where it is neither."""
    if ufunc not in _VALUES and ufunc not in _QUESTIONS and ufunc is not np.absolute:
        return None
    found = [_as_size(value) for value in inputs]
    sizes = [size for size in found if size is not None]
    if len(sizes) < len(found):
        return None
    if ufunc is np.absolute:
        return sizes[0] if _ask(sizes[0], ">= 0") else -sizes[0]
    if ufunc in _QUESTIONS:
        return _QUESTIONS[ufunc](*sizes)
    if ufunc in (np.floor_divide, np.remainder) and not _ask(sizes[1] - 1, ">= 0"):
        return None
    return _VALUES[ufunc](*sizes)


def _as_size(value: Any) -> DimLike | None:
    if isinstance(value, SymbolicInt) or getattr(value, "dim", None) is not None:
        return current_trace().sizes.resolve(value.dim)
    if type(value) is int or isinstance(value, np.integer):
        return int(value)
    if getattr(value, "dims", None) == () and getattr(value.kind, "kind", "") in ("i", "u"):
        known = constant_value(value.operand())
        return None if known is None else int(known)
    return None
