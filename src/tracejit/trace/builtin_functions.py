"""Python's own functions and those of ``math`` on traced values: len, int, isinstance, min, max, math.sin, ..."""

from __future__ import annotations

import cmath
import functools
import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.ir.core import Operand
from tracejit.ir.dims import maximum, minimum
from tracejit.trace.array import NumpyValue, TracedArray, TracedScalar, new_array, wrap
from tracejit.trace.base import Tracer
from tracejit.trace.branches import truth_of
from tracejit.trace.dtypes import BOOL, COMPLEX128, FLOAT64, INT64
from tracejit.trace.inputs import (
    as_array,
    contains_tracer,
    describe_input,
    materialize,
    operand_of,
    stand_in,
)
from tracejit.trace.numpy_api.common import ufunc
from tracejit.trace.outside import set_attribute
from tracejit.trace.registry import call, implements
from tracejit.trace.scalar import (
    PythonNumber,
    SymbolicInt,
    as_dim,
    number,
    python_size,
    to_number,
)
from tracejit.trace.text import formatted, is_pending
from tracejit.trace.traced_list import TracedList
from tracejit.trace.values import cast, emit, reshape, truth

__all__ = ["BUILTINS"]

BUILTINS: dict[Any, Callable[..., Any]] = {}
"""Callable to what it does while tracing."""


def _replaces(function: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def register(implementation: Callable[..., Any]) -> Callable[..., Any]:
        BUILTINS[function] = implementation
        return implementation

    return register


@_replaces(len)
def _len(value: Any) -> Any:
    if isinstance(value, TracedList):
        return python_size(value.size())
    if isinstance(value, TracedArray) and value.dims:
        return python_size(value.dims[0])
    if isinstance(value, Tracer) and not isinstance(value, TracedArray):
        kind = _class_of(value)
        raise TypeError(f"object of type '{'numpy.' * issubclass(kind, np.generic)}{kind.__name__}' has no len()")
    return len(value)


def _converter(kind: type) -> None:
    @_replaces(kind)
    def convert(*args: Any, **kwargs: Any) -> Any:
        if len(args) != 1 or kwargs or not isinstance(args[0], Tracer):
            return kind(*args, **kwargs)
        (value,) = args
        if isinstance(value, SymbolicInt) and kind in (int, bool):
            return python_size(value.dim) if kind is int else truth_of(value)
        if isinstance(value, NumpyValue) and value.dims:
            kind(stand_in(value))  # raises what NumPy raises
            value = wrap(reshape(value.operand(), ()))
        return to_number(value, kind)


for _kind in (int, float, complex, bool):
    _converter(_kind)
_complex = BUILTINS[complex]


@_replaces(complex)
def _complex_of_parts(*args: Any, **kwargs: Any) -> Any:
    parts = dict(zip(("real", "imag"), args, strict=False)) | kwargs
    if not contains_tracer(parts):
        return complex(*args, **kwargs)
    if "imag" not in parts:
        return _complex(parts["real"])
    real, imag = parts.get("real", 0.0), parts["imag"]
    if any(issubclass(_class_of(part), (complex, np.complexfloating)) for part in (real, imag)):
        return _complex(real) + _complex(imag) * 1j
    return number(emit("complex", *(cast(_one_element(part), FLOAT64) for part in (real, imag))), complex)


def _class_of(value: Any) -> type:
    """The class that a tracer stands for."""
    if isinstance(value, TracedList):
        return value.python_class
    if isinstance(value, TracedArray):
        return np.ndarray
    if isinstance(value, TracedScalar):
        return value.dtype.type
    return value.python_type if isinstance(value, PythonNumber) else type(value)


@_replaces(isinstance)
def _isinstance(value: Any, classes: Any) -> bool:
    return issubclass(_class_of(value), classes) if isinstance(value, Tracer) else isinstance(value, classes)


@_replaces(type)
def _type(*args: Any, **kwargs: Any) -> Any:
    if len(args) == 1 and isinstance(args[0], Tracer):
        return _class_of(args[0])
    return type(*args, **kwargs)


def _extreme(function: Any, comparison: np.ufunc, size: Callable[[Any, Any], Any]) -> None:
    @_replaces(function)
    def extreme(*args: Any, **kwargs: Any) -> Any:
        values = args
        if len(args) == 1:
            (single,) = args
            if isinstance(single, TracedList) and len(single.dims) == 1 and not kwargs:
                found = call(np.max if function is max else np.min, as_array(single))
                return single.as_item(found)
            if isinstance(single, TracedArray) and single.ndim == 1 and not kwargs:
                return call(np.max if function is max else np.min, single)
            if isinstance(single, Tracer) and not isinstance(single, TracedArray):
                raise TypeError(f"{_class_of(single).__name__!r} object is not iterable")
            values = tuple(single)
        if not any(isinstance(v, Tracer) for v in values):
            return function(values, **kwargs)
        if kwargs:
            return function(*args, **kwargs)
        result = values[0]
        for value in values[1:]:
            result = _better(result, value, comparison, size)
        return result


def _is_size(value: Any) -> bool:
    return isinstance(value, (int, np.integer, SymbolicInt)) or getattr(value, "dim", None) is not None


def _better(current: Any, value: Any, comparison: np.ufunc, size: Callable[[Any, Any], Any]) -> Any:
    if _is_size(current) and _is_size(value) and not _class_of(current) is _class_of(value) is bool:
        if not isinstance(current, Tracer) and not isinstance(value, Tracer):
            return size(current, value)
        return python_size((maximum if comparison is np.greater else minimum)(as_dim(current), as_dim(value)))
    if isinstance(value, PythonNumber) or isinstance(current, PythonNumber):
        chosen = value > current if comparison is np.greater else value < current
        if isinstance(chosen, bool):
            return value if chosen else current
    chosen = ufunc(comparison, value, current)
    if isinstance(chosen, TracedArray) and chosen.dims:
        bool(chosen)  # Python would need one truth value: raises
    result = call(np.where, chosen, value, current)
    classes = [_class_of(v) for v in (current, value)]
    if all(kind in _NUMBERS for kind in classes):
        return to_number(result, max(classes, key=_NUMBERS.index))
    return TracedScalar(result.operand())


_NUMBERS: tuple[type, ...] = (bool, int, float)


_extreme(max, np.greater, max)
_extreme(min, np.less, min)


@_replaces(sum)
def _sum(iterable: Any, /, start: Any = 0) -> Any:
    if isinstance(iterable, TracedList):
        total = _sum(as_array(iterable), start)
        return iterable.as_item(total)
    if isinstance(iterable, TracedArray) and iterable.ndim:
        x = iterable.operand()
        x = cast(x, INT64) if x.type.dtype == BOOL else x
        return (
            start + wrap(emit("reduce_sum", x, axes=(0,)))
            if x.rank > 1 or start != 0
            else wrap(emit("reduce_sum", x, axes=(0,)))
        )
    return sum(iterable, start)


def _quantifier(function: Any, name: str, pairwise: str, decisive: bool) -> None:
    @_replaces(function)
    def quantifier(iterable: Any) -> Any:
        if isinstance(iterable, TracedList):
            iterable = as_array(iterable)
        if isinstance(iterable, TracedArray) and iterable.ndim == 1:
            return number(emit(name, truth(iterable.operand()), axes=(0,)), bool)
        if isinstance(iterable, Tracer):
            return function(iterable)
        pending = []
        for value in iterable:
            going = truth_of(value)
            if not isinstance(going, bool):
                pending.append(going.operand())
            elif going == decisive:
                return going
        if not pending:
            return not decisive
        return number(functools.reduce(lambda a, b: emit(pairwise, a, b), pending), bool)


_quantifier(any, "reduce_any", "bitwise_or", True)
_quantifier(all, "reduce_all", "bitwise_and", False)


@_replaces(operator.truth)
def _truth(value: Any) -> Any:
    return truth_of(value)


@implements(round)
def _round(value: Any, ndigits: Any = None) -> Any:
    if isinstance(value, TracedArray):
        raise TypeError("type numpy.ndarray doesn't define __round__ method")
    if isinstance(value, SymbolicInt) or not isinstance(value, Tracer):
        return round(value, ndigits)
    if ndigits is None:
        return to_number(ufunc(np.rint, value), int)
    rounded = call(np.round, value, ndigits)
    return to_number(rounded, float) if isinstance(value, PythonNumber) else rounded


BUILTINS[round] = _round


@_replaces(setattr)
def _setattr(owner: Any, name: str, value: Any) -> None:
    set_attribute(owner, name, value)


def _text_maker(function: Any) -> None:
    @_replaces(function)
    def make(*args: Any, **kwargs: Any) -> Any:
        return formatted(function, args, kwargs) if is_pending((args, kwargs)) else function(*args, **kwargs)


for _maker in (str, repr, format, ascii):
    _text_maker(_maker)


# ---------------------------------------------------------------------------------------------------------------- math


def _math(function: Any, numpy_function: np.ufunc, result: type = float) -> None:
    @_replaces(function)
    def apply(*args: Any) -> Any:
        if not any(isinstance(value, Tracer) for value in args):
            return function(*args)
        operands = [new_scalar(cast(_one_element(value), FLOAT64)) for value in args]
        return to_number(ufunc(numpy_function, *operands), result)


def new_scalar(operand: Operand) -> TracedScalar:
    """A float64 scalar of NumPy, for ufuncs."""
    return TracedScalar(operand)


def _one_element(value: Any) -> Operand:
    operand = operand_of(value)
    if operand.type.dims:
        if not all(d == 1 for d in new_array(operand).shape):
            float(stand_in(new_array(operand)))  # raises what NumPy raises
        operand = reshape(operand, ())
    return operand


_SAME_NAME = "sin cos tan sinh cosh tanh exp expm1 log1p log2 log10 sqrt fabs hypot degrees radians copysign fmod"
for _name in (*_SAME_NAME.split(), "exp2", "cbrt"):
    if hasattr(math, _name):
        _math(getattr(math, _name), getattr(np, _name))
for _name, _numpy_name in (
    ("asin", "arcsin"),
    ("acos", "arccos"),
    ("atan", "arctan"),
    ("asinh", "arcsinh"),
    ("acosh", "arccosh"),
    ("atanh", "arctanh"),
    ("atan2", "arctan2"),
    ("pow", "power"),
):
    _math(getattr(math, _name), getattr(np, _numpy_name))
for _name in ("isnan", "isinf", "isfinite"):
    _math(getattr(math, _name), getattr(np, _name), bool)
for _name in ("floor", "ceil", "trunc"):
    _math(getattr(math, _name), getattr(np, _name), int)
implements(math.floor)(BUILTINS[math.floor])
implements(math.ceil)(BUILTINS[math.ceil])


@_replaces(math.log)
def _log(x: Any, *base: Any) -> Any:
    if not contains_tracer((x, base)):
        return math.log(x, *base)
    values = [ufunc(np.log, new_scalar(cast(_one_element(v), FLOAT64))) for v in (x, *base)]
    return to_number(values[0] if not base else ufunc(np.divide, *values), float)


def _halves(function: Any, numpy_function: np.ufunc, second: type) -> None:
    @_replaces(function)
    def apply(x: Any) -> Any:
        if not isinstance(x, Tracer):
            return function(x)
        first, rest = ufunc(numpy_function, new_scalar(cast(_one_element(x), FLOAT64)))
        return to_number(first, float), to_number(rest, second)


_math(math.nextafter, np.nextafter)
_halves(math.frexp, np.frexp, int)
_halves(math.modf, np.modf, float)


@_replaces(math.ldexp)
def _ldexp(x: Any, i: Any) -> Any:
    if not contains_tracer((x, i)):
        return math.ldexp(x, i)
    if not issubclass(_class_of(i), (int, np.integer)):
        raise TypeError("Expected an int as second argument to ldexp.")
    return to_number(ufunc(np.ldexp, new_scalar(cast(_one_element(x), FLOAT64)), wrap(_one_element(i))), float)


@_replaces(math.ulp)
def _ulp(x: Any) -> Any:
    if not isinstance(x, Tracer):
        return math.ulp(x)
    size = ufunc(np.absolute, new_scalar(cast(_one_element(x), FLOAT64)))
    return to_number(call(np.where, ufunc(np.isinf, size), size, ufunc(np.spacing, size)), float)


def _special(function: Any, primitive: str) -> None:
    @_replaces(function)
    def apply(x: Any) -> Any:
        if not isinstance(x, Tracer):
            return function(x)
        return number(emit(primitive, cast(_one_element(x), FLOAT64)), float)


_special(math.erf, "erf")
_special(math.erfc, "erfc")
_special(math.lgamma, "lgamma")

# --------------------------------------------------------------------------------------------------------------- cmath


def _complex_scalar(value: Any) -> TracedScalar:
    return new_scalar(cast(_one_element(value), COMPLEX128))


def _cmath(function: Any, numpy_function: Any, result: type = complex) -> None:
    @_replaces(function)
    def apply(x: Any) -> Any:
        if not isinstance(x, Tracer):
            return function(x)
        compute = ufunc if isinstance(numpy_function, np.ufunc) else call
        return to_number(compute(numpy_function, _complex_scalar(x)), result)


for _name in "sin cos tan sinh cosh tanh exp sqrt log10".split():
    _cmath(getattr(cmath, _name), getattr(np, _name))
for _name in "asin acos atan asinh acosh atanh".split():
    _cmath(getattr(cmath, _name), getattr(np, f"arc{_name[1:]}"))
for _name in ("isnan", "isinf", "isfinite"):
    _cmath(getattr(cmath, _name), getattr(np, _name), bool)
_cmath(cmath.phase, np.angle, float)


@_replaces(cmath.log)
def _complex_log(x: Any, *base: Any) -> Any:
    if not contains_tracer((x, base)):
        return cmath.log(x, *base)
    values = [ufunc(np.log, _complex_scalar(v)) for v in (x, *base)]
    return to_number(ufunc(np.divide, *values) if base else values[0], complex)


@_replaces(cmath.polar)
def _polar(x: Any) -> Any:
    return cmath.polar(x) if not isinstance(x, Tracer) else (abs(x), BUILTINS[cmath.phase](x))


@_replaces(cmath.rect)
def _rect(r: Any, phi: Any) -> Any:
    if not contains_tracer((r, phi)):
        return cmath.rect(r, phi)
    return _complex_of_parts(r * BUILTINS[math.cos](phi), r * BUILTINS[math.sin](phi))


# ------------------------------------------------------------------------------------------------ NumPy's scalar types


def _scalar_type(kind: type[np.generic]) -> None:
    dtype = np.dtype(kind)

    @_replaces(kind)
    def convert(*args: Any, **kwargs: Any) -> Any:
        if len(args) != 1 or not contains_tracer(args[0]):
            return kind(*args, **kwargs)
        if isinstance(args[0], TracedArray) and args[0].dims and args[0].dtype == dtype:
            return args[0]
        if isinstance(args[0], PythonNumber):
            return wrap(materialize(describe_input(args[0])[1], dtype))
        return wrap(cast(operand_of(args[0]), dtype))


for _code in "?bhilqBHILQefdFD":
    _scalar_type(np.dtype(_code).type)
