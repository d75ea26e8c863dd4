"""An operation that fails: the exception that NumPy or the user's own code raises while it runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tracejit.errors import exception_named
from tracejit.ir.core import Eqn, Literal, Operand
from tracejit.ir.ops.common import op, require
from tracejit.ir.primitive import primitive
from tracejit.ir.types import ArrayType, scalar

__all__ = ["VALUES", "check"]

VALUES = 4
"""How many values a failing check may report."""

_INDEX = scalar("i64")


def _infer(pred: ArrayType, *values: ArrayType, exception: str, text: str) -> tuple[()]:
    require(pred == scalar("bool"), "check", f"the predicate is {pred}")
    require(len(values) <= VALUES, "check", f"{len(values)} values, where {VALUES} can be reported")
    require(all(value == _INDEX for value in values), "check", f"values {list(values)}, which are not i64")
    exception_named(exception)
    text.format(*values)
    return ()


def _reference(pred: Any, *values: Any, exception: str, text: str) -> tuple[()]:
    if not pred:
        raise exception_named(exception)(text.format(*map(int, values)))
    return ()


def _batch(eqn: Eqn, operands: Sequence[Operand], batched: Sequence[bool]) -> list[Operand]:
    """The check of all examples: it reports the values of the first that fails."""
    pred, *values = operands
    if not batched[0]:
        pred = op("broadcast", pred, dims=operands[batched.index(True)].type.dims, axes=())
    size = pred.type.dims[0]
    order = op("iota", dtype=_INDEX.dtype, dims=(size,), axis=0)
    last = Literal(np.iinfo(np.int64).max, _INDEX)
    first = op("reduce_min", op("select", pred, last, order), axes=(0,))
    chosen = op("eq", order, first)
    least = Literal(np.iinfo(np.int64).min, _INDEX)
    reported = [
        op("reduce_max", op("select", chosen, value, least), axes=(0,)) if flag else value
        for value, flag in zip(values, batched[1:], strict=True)
    ]
    op("check", op("reduce_all", pred, axes=(0,)), *reported, **eqn.attrs)
    return []


check = primitive("check", infer=_infer, reference=_reference, batch=_batch, level="both", effect="write")
"""Fails with the named exception unless the predicate holds; ``text`` shows the values as ``{0}`` to ``{3}``."""
