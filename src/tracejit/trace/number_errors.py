"""Exceptions of Python's arithmetic: the program raises them where NumPy's would give infinities and NaN.

The texts are Python's own, which change with its version: each is found by making Python raise it.
"""

from __future__ import annotations

import functools
import operator
from typing import Any

from tracejit.errors import UnsupportedError
from tracejit.ir.core import Literal, Operand
from tracejit.trace.context import as_it_is, current_trace
from tracejit.trace.dtypes import FLOAT64
from tracejit.trace.values import emit, literal

__all__ = [
    "check_divisor",
    "check_integer",
    "check_overflow",
    "check_power",
    "division_error",
    "order_error",
    "require",
]

_OPERATIONS = {"truediv": operator.truediv, "floordiv": operator.floordiv, "mod": operator.mod, "pow": operator.pow}


def require(wrong: Operand, exception: str, text: str) -> None:
    """Let the program raise an exception where a condition holds."""
    if not isinstance(wrong, Literal) or wrong.value:
        text = as_it_is(text)
        current_trace().check(emit("logical_not", wrong), (), exception, text)


@functools.lru_cache(maxsize=None, typed=True)
def _error(name: str, *operands: Any) -> tuple[str, str]:
    """The class and the text of what Python raises."""
    try:
        _OPERATIONS[name](*operands)
    except ArithmeticError as error:
        return type(error).__name__, str(error)
    raise AssertionError(name)


def division_error(name: str, kind: type) -> ZeroDivisionError:
    """What Python raises for a division of numbers of this type by zero."""
    return ZeroDivisionError(_error(name, kind(1), kind(0))[1])


def check_divisor(name: str, divisor: Operand, kind: type) -> None:
    """Division by zero."""
    require(emit("eq", divisor, literal(0, divisor.type.dtype)), *_error(name, kind(1), kind(0)))


def _both_finite(x: Operand, y: Operand | None) -> Operand:
    finite = emit("isfinite", x)
    return finite if y is None or isinstance(y, Literal) else emit("bitwise_and", finite, emit("isfinite", y))


def check_overflow(result: Operand, x: Operand, y: Operand | None = None) -> None:
    """A power that is infinite, of finite numbers."""
    require(emit("bitwise_and", emit("isinf", result), _both_finite(x, y)), *_error("pow", 10.0, 1000.0))


def check_power(result: Operand, x: Operand, y: Operand) -> None:
    """A real power that Python refuses, or that is a complex number."""
    zero = literal(0.0, FLOAT64)
    negative = emit("bitwise_and", emit("eq", x, zero), emit("lt", y, zero))
    require(negative, *_error("pow", 0.0, -1.0))
    whole = emit("eq", emit("floor", y), y)
    is_complex = emit("bitwise_and", emit("lt", x, zero), emit("logical_not", whole))
    text = "a negative float to a power that is no integer is complex in Python; convert the float with np.float64"
    require(emit("bitwise_and", is_complex, _both_finite(x, y)), "UnsupportedError", text)
    check_overflow(result, x, y)


@functools.cache
def _conversion_error(value: float) -> tuple[str, str]:
    try:
        int(value)
    except (ValueError, OverflowError) as error:
        return type(error).__name__, str(error)
    raise AssertionError(value)


def check_integer(x: Operand) -> None:
    """The conversion of a float to a Python int, which is at most 64 bits wide here."""
    require(emit("isnan", x), *_conversion_error(float("nan")))
    require(emit("isinf", x), *_conversion_error(float("inf")))
    size = emit("abs", x)
    beyond = emit("ge", size, literal(2.0**63, size.type.dtype))
    require(beyond, UnsupportedError.__name__, "an int of more than 64 bits, which compiled code cannot hold")


def order_error(name: str, left: type, right: type) -> TypeError:
    """What Python raises for a comparison of complex numbers."""
    try:
        getattr(operator, name)(left(1), right(1))
    except TypeError as error:
        return error
    raise AssertionError(name)
