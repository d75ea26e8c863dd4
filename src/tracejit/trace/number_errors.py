"""What Python's numbers do not compute, as checks of the program: division by zero, powers that are complex, and
numbers that do not fit into an array of integers."""

from __future__ import annotations

import functools
import operator

import numpy as np

from tracejit.ir.core import Literal, Operand
from tracejit.trace.context import current_trace
from tracejit.trace.dtypes import BOOL, INT64, DType
from tracejit.trace.values import cast, emit, literal

__all__ = ["check_divisor", "check_fits", "check_power", "unordered", "zero_division"]


@functools.cache
def zero_division(name: str, left: type, right: type) -> str:
    """Python's message for a division by zero."""
    function = divmod if name == "divmod" else getattr(operator, name)
    try:
        function(left(1), right(0))
    except ZeroDivisionError as error:
        return str(error)
    return "division by zero"


def check_divisor(name: str, left: type, right: type, divisor: Operand) -> None:
    """Let the program raise ZeroDivisionError."""
    trace = current_trace()
    if trace.is_checked((divisor, "!= 0")):
        return
    nonzero = divisor if divisor.type.dtype == BOOL else emit("ne", divisor, literal(0, divisor.type.dtype))
    trace.check(nonzero, (), "ZeroDivisionError", zero_division(name, left, right))
    trace.checked.add((divisor, "!= 0"))


def check_power(base: Operand, exponent: Operand) -> None:
    """Let the program raise where a float to the power of another is no float in Python."""
    trace = current_trace()
    zero = literal(0.0, base.type.dtype)
    known = exponent.value if isinstance(exponent, Literal) else None
    if known is None or not float(known).is_integer():
        fits = emit("logical_not", emit("lt", base, zero))
        if known is None:
            fits = emit("bitwise_or", fits, emit("eq", emit("floor", exponent), exponent))
        text = (
            "a negative float to the power of a fraction, which in Python is a complex number, where compiled code has "
            "a float; take the power of a complex number, or np.float64(x) ** y, which is nan"
        )
        trace.check(fits, (), "UnsupportedError", text)
    if known is None or known < 0:
        fits = emit("ne", base, zero)
        if known is None:
            fits = emit("bitwise_or", fits, emit("logical_not", emit("lt", exponent, zero)))
        trace.check(fits, (), "ZeroDivisionError", _zero_power())


@functools.cache
def _zero_power() -> str:
    try:
        operator.pow(0.0, -1.0)
    except ZeroDivisionError as error:
        return str(error)
    return ""


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


def unordered(name: str, left: type, right: type) -> TypeError:
    """Python's error where numbers have no order."""
    try:
        getattr(operator, name)(left(1), right(1))
    except TypeError as error:
        return error
    return TypeError(name)
