"""Single numbers that are stored into arrays of integers: the program raises where they do not fit, as NumPy does."""

from __future__ import annotations

import functools

import numpy as np

from tracejit.ir.core import Literal, Operand
from tracejit.trace.context import current_trace
from tracejit.trace.dtypes import INT64, DType
from tracejit.trace.values import cast, emit, literal

__all__ = ["check_fits"]


def check_fits(value: Operand, dtype: DType, weak: bool) -> None:
    """Let the program raise where a single number is stored into integers that cannot hold it.

    weak: it is a Python number. NumPy's own scalars wrap around in unsigned integers.
    """
    source = value.type.dtype
    if dtype.kind not in "iu" or source.kind not in "iuf" or value.type.dims or (dtype.kind == "u" and not weak):
        return
    if isinstance(value, Literal):
        number = value.value.item() if weak else value.value
        np.empty(1, dtype)[0] = number
        return
    limits = np.iinfo(dtype)
    low, high = int(limits.min), int(limits.max)
    if source.kind == "f":
        _check_whole(value, signed=dtype != np.uint64)
        smallest, largest = -(2**63), 2**63 - 1 if dtype != np.uint64 else high
    else:
        smallest, largest = int(np.iinfo(source).min), int(np.iinfo(source).max)
    if largest > 2**63 - 1 >= high:  # of 64 bits without a sign
        fits = emit("le", value, literal(high, source))
        current_trace().check(fits, (), "OverflowError", "Python int too large to convert to C long")
        return
    _check_between(cast(value, INT64), low if smallest < low else None, high if largest > high else None, dtype)


def _check_whole(value: Operand, *, signed: bool) -> None:
    """A float must be an integer of 64 bits."""
    trace = current_trace()
    trace.check(emit("eq", value, value), (), "ValueError", "cannot convert float NaN to integer")
    if signed:
        inside = emit("lt", emit("abs", cast(value, np.dtype(float))), literal(2.0**63, np.dtype(float)))
        trace.check(inside, (), "OverflowError", "Python int too large to convert to C long")


def _check_between(number: Operand, low: int | None, high: int | None, dtype: DType) -> None:
    checks = [] if low is None else [emit("ge", number, literal(low, INT64))]
    checks += [] if high is None else [emit("le", number, literal(high, INT64))]
    if checks:
        text = f"Python integer {{0}} out of bounds for {dtype}"
        holds = functools.reduce(lambda a, b: emit("bitwise_and", a, b), checks)
        current_trace().check(holds, (number,), "OverflowError", text)
