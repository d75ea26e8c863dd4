"""The functions of ``math`` and ``cmath`` on traced values, with Python's exceptions where a result is not defined."""

from __future__ import annotations

import cmath
import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.ir.core import Literal, Operand
from tracejit.trace.array import TracedArray, TracedScalar, wrap
from tracejit.trace.base import Tracer
from tracejit.trace.builtin_functions import BUILTINS, class_of, complex_of_parts, one_element, replaces
from tracejit.trace.dtypes import COMPLEX128, FLOAT64, INT64
from tracejit.trace.inputs import as_array, contains_tracer
from tracejit.trace.number_errors import require
from tracejit.trace.numpy_api.common import ufunc
from tracejit.trace.registry import call, implements
from tracejit.trace.scalar import SymbolicInt, number, to_number
from tracejit.trace.traced_list import TracedList
from tracejit.trace.values import cast, emit, literal

__all__: list[str] = []

# ---------------------------------------------------------------------------------------------------------- exceptions


def _domain(wrong: Callable[..., Operand]) -> Callable[..., None]:
    def check(result: Operand, *inputs: Operand) -> None:
        require(wrong(*inputs), "ValueError", "math domain error")

    return check


def _overflow(result: Operand, *inputs: Operand) -> None:
    """Infinities come from infinities only."""
    wrong = emit("isinf", result)
    for value in inputs:
        if not isinstance(value, Literal):
            wrong = emit("bitwise_and", wrong, emit("isfinite", value))
    require(wrong, "OverflowError", "math range error")


def _number(value: float) -> Operand:
    return literal(value, FLOAT64)


def _and(*parts: Operand) -> Operand:
    return functools.reduce(lambda a, b: emit("bitwise_and", a, b), parts)


def _no_remainder(x: Operand, y: Operand) -> Operand:
    infinite = _and(emit("isinf", x), emit("eq", y, y))
    return emit("bitwise_or", infinite, _and(emit("eq", y, _number(0.0)), emit("eq", x, x)))


def _power_error(result: Operand, x: Operand, y: Operand) -> None:
    known = _and(emit("isfinite", x), emit("isfinite", y))
    undefined = emit("bitwise_or", emit("isnan", result), _and(emit("isinf", result), emit("eq", x, _number(0.0))))
    require(_and(known, undefined), "ValueError", "math domain error")
    require(_and(known, emit("isinf", result)), "OverflowError", "math range error")


_CHECKS: dict[str, Callable[..., None]] = {
    **dict.fromkeys(("sin", "cos", "tan"), _domain(lambda x: emit("isinf", x))),
    **dict.fromkeys(("exp", "expm1", "exp2", "sinh", "cosh"), _overflow),
    **dict.fromkeys(("log", "log2", "log10"), _domain(lambda x: emit("le", x, _number(0.0)))),
    **dict.fromkeys(("asin", "acos"), _domain(lambda x: emit("gt", emit("abs", x), _number(1.0)))),
    "sqrt": _domain(lambda x: emit("lt", x, _number(0.0))),
    "log1p": _domain(lambda x: emit("le", x, _number(-1.0))),
    "acosh": _domain(lambda x: emit("lt", x, _number(1.0))),
    "atanh": _domain(lambda x: emit("ge", emit("abs", x), _number(1.0))),
    "fmod": _domain(_no_remainder),
    "remainder": _domain(_no_remainder),
    "pow": _power_error,
}

# -------------------------------------------------------------------------------------------------------- real numbers


def _float(value: Any) -> Operand:
    return cast(one_element(value), FLOAT64)


def _math(name: str, numpy_function: np.ufunc, result: type = float) -> None:
    function, check = getattr(math, name, None), _CHECKS.get(name)

    def apply(*args: Any) -> Any:
        if not any(isinstance(value, Tracer) for value in args):
            return function(*args)  # type: ignore[misc]
        operands = [_float(value) for value in args]
        computed = ufunc(numpy_function, *map(TracedScalar, operands))
        if check is not None:
            check(computed.operand(), *operands)
        return to_number(computed, result)

    if function is not None:
        replaces(function)(apply)


for _name in "sin cos tan sinh cosh tanh exp exp2 expm1 log1p log2 log10 sqrt cbrt fabs degrees radians".split():
    _math(_name, getattr(np, _name))
for _name in "copysign fmod nextafter".split():
    _math(_name, getattr(np, _name))
for _name in "asin acos atan asinh acosh atanh".split():
    _math(_name, getattr(np, f"arc{_name[1:]}"))
_math("atan2", np.arctan2)
_math("pow", np.power)
for _name in ("isnan", "isinf", "isfinite"):
    _math(_name, getattr(np, _name), bool)
for _name in ("floor", "ceil", "trunc"):
    _math(_name, getattr(np, _name), int)
implements(math.floor)(BUILTINS[math.floor])
implements(math.ceil)(BUILTINS[math.ceil])


@replaces(math.log)
def _log(x: Any, *base: Any) -> Any:
    if not contains_tracer((x, base)):
        return math.log(x, *base)
    operands = [_float(value) for value in (x, *base)]
    for operand in operands:
        _CHECKS["log"](operand, operand)
    values = [ufunc(np.log, TracedScalar(operand)) for operand in operands]
    return to_number(values[0] if not base else ufunc(np.divide, *values), float)


@replaces(math.hypot)
def _hypot(*coordinates: Any) -> Any:
    if not contains_tracer(coordinates):
        return math.hypot(*coordinates)
    return _length([_float(value) for value in coordinates])


def _length(parts: list[Operand]) -> Any:
    """The length of a vector, without overflow on the way."""
    parts = parts if len(parts) > 1 else [_number(0.0), *parts]
    return number(functools.reduce(lambda a, b: emit("hypot", a, b), parts), float)


@replaces(math.dist)
def _dist(p: Any, q: Any) -> Any:
    if not contains_tracer((p, q)):
        return math.dist(p, q)
    p, q = tuple(p), tuple(q)
    if len(p) != len(q):
        raise ValueError("both points must have the same number of dimensions")
    return _length([emit("sub", _float(a), _float(b)) for a, b in zip(p, q, strict=True)])


@replaces(math.remainder)
def _remainder(x: Any, y: Any) -> Any:
    if not contains_tracer((x, y)):
        return math.remainder(x, y)
    left, right = _float(x), _float(y)
    _CHECKS["remainder"](left, left, right)
    size, step = emit("abs", left), emit("abs", right)
    rest = emit("fmod", size, step)
    beyond = emit("sub", step, rest)
    half = emit("fmod", emit("mul", _number(0.5), emit("sub", size, rest)), step)  # 0 where the quotient is even
    tie = emit("sub", rest, emit("mul", _number(2.0), half))
    near = emit("select", emit("gt", rest, beyond), emit("neg", beyond), tie)
    near = emit("select", emit("lt", rest, beyond), rest, near)
    signed = emit("mul", emit("copysign", _number(1.0), left), near)
    return number(emit("select", emit("isinf", step), left, signed), float)


@replaces(math.isclose)
def _isclose(a: Any, b: Any, *, rel_tol: Any = 1e-09, abs_tol: Any = 0.0) -> Any:
    if not contains_tracer((a, b, rel_tol, abs_tol)):
        return math.isclose(a, b, rel_tol=rel_tol, abs_tol=abs_tol)
    return _is_close(_float(a), _float(b), rel_tol, abs_tol)


def _is_close(a: Operand, b: Operand, rel_tol: Any, abs_tol: Any) -> Any:
    relative, absolute = _float(rel_tol), _float(abs_tol)
    negative = emit("bitwise_or", emit("lt", relative, _number(0.0)), emit("lt", absolute, _number(0.0)))
    require(negative, "ValueError", "tolerances must be non-negative")
    size = emit("maximum", emit("abs", a), emit("abs", b))
    distance = emit("abs", emit("sub", a, b))
    near = emit("le", distance, emit("maximum", emit("mul", relative, size), absolute))
    finite = emit("isfinite", size)
    return number(emit("bitwise_or", emit("eq", a, b), emit("bitwise_and", near, finite)), bool)


def _halves(function: Any, numpy_function: np.ufunc, second: type) -> None:
    @replaces(function)
    def apply(x: Any) -> Any:
        if not isinstance(x, Tracer):
            return function(x)
        first, rest = ufunc(numpy_function, TracedScalar(_float(x)))
        return to_number(first, float), to_number(rest, second)


_halves(math.frexp, np.frexp, int)
_halves(math.modf, np.modf, float)


@replaces(math.ldexp)
def _ldexp(x: Any, i: Any) -> Any:
    if not contains_tracer((x, i)):
        return math.ldexp(x, i)
    if not issubclass(class_of(i), (int, np.integer)):
        raise TypeError("Expected an int as second argument to ldexp.")
    operand = _float(x)
    scaled = ufunc(np.ldexp, TracedScalar(operand), wrap(one_element(i)))
    _overflow(scaled.operand(), operand)
    return to_number(scaled, float)


@replaces(math.ulp)
def _ulp(x: Any) -> Any:
    if not isinstance(x, Tracer):
        return math.ulp(x)
    size = ufunc(np.absolute, TracedScalar(_float(x)))
    return to_number(call(np.where, ufunc(np.isinf, size), size, ufunc(np.spacing, size)), float)


def _special(function: Any, primitive: str) -> None:
    @replaces(function)
    def apply(x: Any) -> Any:
        if not isinstance(x, Tracer):
            return function(x)
        return number(emit(primitive, _float(x)), float)


_special(math.erf, "erf")
_special(math.erfc, "erfc")
_special(math.lgamma, "lgamma")

# ------------------------------------------------------------------------------------------------------------ integers


def _int(value: Any) -> Operand:
    if not issubclass(class_of(value), (int, np.integer, np.bool_)):
        raise TypeError(f"'{class_of(value).__name__}' object cannot be interpreted as an integer")
    return cast(one_element(value), INT64)


def _divisors(function: Any, primitive: str, neutral: int) -> None:
    @replaces(function)
    def apply(*integers: Any) -> Any:
        if not contains_tracer(integers):
            return function(*integers)
        first, *rest = map(_int, integers) if len(integers) > 1 else (literal(neutral, INT64), _int(integers[0]))
        return number(functools.reduce(lambda a, b: emit(primitive, a, b), rest, first), int)


_divisors(math.gcd, "gcd", 0)
_divisors(math.lcm, "lcm", 1)


@replaces(math.isqrt)
def _isqrt(n: Any) -> Any:
    if not isinstance(n, Tracer):
        return math.isqrt(n)
    value, one = _int(n), literal(1, INT64)
    require(emit("lt", value, literal(0, INT64)), "ValueError", "isqrt() argument must be nonnegative")
    root = cast(emit("sqrt", cast(value, FLOAT64)), INT64)
    root = emit("minimum", root, literal(3037000499, INT64))  # whose square fits; rounding may have given one more
    root = emit("select", emit("gt", emit("mul", root, root), value), emit("sub", root, one), root)
    return number(root, int)


def _at_run_time(function: Any) -> None:
    """A function that Python itself computes when the program runs."""

    @replaces(function)
    def apply(*args: Any, **kwargs: Any) -> Any:
        if not contains_tracer((args, kwargs)):
            return function(*args, **kwargs)
        if not any(isinstance(value, Tracer) and not isinstance(value, SymbolicInt) for value in args):
            return function(*args, **kwargs)
        return call("python function", function, args, kwargs)


for _function in (math.gamma, math.comb, math.perm, math.factorial):
    _at_run_time(_function)


@replaces(math.fsum)
def _fsum(seq: Any) -> Any:
    if not isinstance(seq, Tracer):
        seq = list(seq)
    if not contains_tracer(seq):
        return math.fsum(seq)
    return call("python function", math.fsum, (call(np.asarray, seq),), {})


@replaces(math.prod)
def _prod(iterable: Any, /, *, start: Any = 1) -> Any:
    if isinstance(iterable, TracedList):
        return iterable.as_item(_prod(as_array(iterable), start=start), start)
    if isinstance(iterable, TracedArray) and iterable.ndim == 1:
        product = call(np.prod, iterable)
        return start * product if start != 1 else product
    return functools.reduce(lambda a, b: a * b, iterable, start)


@replaces(pow)
def _pow(base: Any, exp: Any, mod: Any = None) -> Any:
    if mod is None or not contains_tracer((base, exp, mod)):
        return pow(base, exp) if mod is None else pow(base, exp, mod)
    if any(isinstance(value, TracedArray) or class_of(value) is not int for value in (base, exp, mod)):
        raise TypeError(
            f"unsupported operand type(s) for ** or pow(): "
            f"{', '.join(repr(class_of(value).__name__) for value in (base, exp, mod))}"
        )
    values = [_int(value) for value in (base, exp, mod)]
    require(emit("eq", values[2], literal(0, INT64)), "ValueError", "pow() 3rd argument cannot be 0")
    beyond = emit("gt", emit("abs", values[2]), literal(3037000499, INT64))  # whose square is the last that fits
    unknown = emit("bitwise_or", beyond, emit("lt", values[1], literal(0, INT64)))
    text = "pow() with a negative exponent or a modulus from 3037000500 on is not compiled; compute it outside"
    require(unknown, "UnsupportedError", text)
    return call("with hooks", _power_modulo)(*(number(value, int) for value in values))


def _power_modulo(base: Any, exponent: Any, modulus: Any) -> Any:
    result = 1 % modulus
    base = base % modulus
    while exponent > 0:
        if exponent & 1:
            result = result * base % modulus
        base = base * base % modulus
        exponent = exponent >> 1
    return result


# ----------------------------------------------------------------------------------------------------- complex numbers


def _complex(value: Any) -> TracedScalar:
    return TracedScalar(cast(one_element(value), COMPLEX128))


def _cmath(function: Any, numpy_function: Any, result: type = complex) -> None:
    @replaces(function)
    def apply(x: Any) -> Any:
        if not isinstance(x, Tracer):
            return function(x)
        compute = ufunc if isinstance(numpy_function, np.ufunc) else call
        return to_number(compute(numpy_function, _complex(x)), result)


for _name in "sin cos tan sinh cosh tanh exp sqrt log10".split():
    _cmath(getattr(cmath, _name), getattr(np, _name))
for _name in "asin acos atan asinh acosh atanh".split():
    _cmath(getattr(cmath, _name), getattr(np, f"arc{_name[1:]}"))
for _name in ("isnan", "isinf", "isfinite"):
    _cmath(getattr(cmath, _name), getattr(np, _name), bool)
_cmath(cmath.phase, np.angle, float)


@replaces(cmath.log)
def _complex_log(x: Any, *base: Any) -> Any:
    if not contains_tracer((x, base)):
        return cmath.log(x, *base)
    values = [ufunc(np.log, _complex(v)) for v in (x, *base)]
    return to_number(ufunc(np.divide, *values) if base else values[0], complex)


@replaces(cmath.polar)
def _polar(x: Any) -> Any:
    return cmath.polar(x) if not isinstance(x, Tracer) else (abs(x), BUILTINS[cmath.phase](x))


@replaces(cmath.rect)
def _rect(r: Any, phi: Any) -> Any:
    if not contains_tracer((r, phi)):
        return cmath.rect(r, phi)
    return complex_of_parts(r * BUILTINS[math.cos](phi), r * BUILTINS[math.sin](phi))


@replaces(cmath.isclose)
def _complex_isclose(a: Any, b: Any, *, rel_tol: Any = 1e-09, abs_tol: Any = 0.0) -> Any:
    if not contains_tracer((a, b, rel_tol, abs_tol)):
        return cmath.isclose(a, b, rel_tol=rel_tol, abs_tol=abs_tol)
    return _is_close(_complex(a).operand(), _complex(b).operand(), rel_tol, abs_tol)
