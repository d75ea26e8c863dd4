"""Python's own functions on traced values: len, int, isinstance, min, max, sum, round, ..."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.ir.core import Operand
from tracejit.ir.dims import maximum, minimum
from tracejit.trace.array import NumpyValue, TracedArray, TracedScalar, new_array, wrap
from tracejit.trace.base import Tracer
from tracejit.trace.conditions import truth_of
from tracejit.trace.dtypes import BOOL, FLOAT64, INT64
from tracejit.trace.inputs import (
    as_array,
    contains_tracer,
    describe_input,
    materialize,
    operand_of,
    stand_in,
)
from tracejit.trace.maybe import Maybe, is_none, settled
from tracejit.trace.numpy_api.common import ufunc
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

__all__ = ["BUILTINS", "class_of", "complex_of_parts", "one_element", "replaces"]

BUILTINS: dict[Any, Callable[..., Any]] = {}
"""Callable to what it does while tracing."""


def replaces(function: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register the decorated function for what it does while tracing."""

    def register(implementation: Callable[..., Any]) -> Callable[..., Any]:
        BUILTINS[function] = implementation
        return implementation

    return register


@replaces(len)
def _len(value: Any) -> Any:
    if isinstance(value, TracedList):
        return python_size(value.size())
    if isinstance(value, Tracer) and (dims := getattr(value, "dims", ())):
        return python_size(dims[0])
    if isinstance(value, Tracer) and not isinstance(value, TracedArray):
        kind = class_of(value)
        raise TypeError(f"object of type '{'numpy.' * issubclass(kind, np.generic)}{kind.__name__}' has no len()")
    return len(value)


def _converter(kind: type) -> None:
    @replaces(kind)
    def convert(*args: Any, **kwargs: Any) -> Any:
        if len(args) != 1 or kwargs or not isinstance(args[0], Tracer):
            return kind(*args, **kwargs)
        (value,) = args
        if isinstance(value, Maybe):
            return truth_of(value) if kind is bool else convert(value.required(kind))
        if isinstance(value, SymbolicInt) and kind in (int, bool):
            return python_size(value.dim) if kind is int else truth_of(value)
        if isinstance(value, NumpyValue) and value.dims:
            kind(stand_in(value))  # raises what NumPy raises
            value = wrap(reshape(value.operand(), ()))
        return to_number(value, kind)


for _kind in (int, float, complex, bool):
    _converter(_kind)
_complex = BUILTINS[complex]


def one_element(value: Any) -> Operand:
    """The single element that Python's converters take, as a scalar."""
    operand = operand_of(value)
    if operand.type.dims:
        if not all(d == 1 for d in new_array(operand).shape):
            float(stand_in(new_array(operand)))  # raises what NumPy raises
        operand = reshape(operand, ())
    return operand


@replaces(complex)
def complex_of_parts(*args: Any, **kwargs: Any) -> Any:
    """``complex``."""
    parts = dict(zip(("real", "imag"), args, strict=False)) | kwargs
    if not contains_tracer(parts):
        return complex(*args, **kwargs)
    if "imag" not in parts:
        return _complex(parts["real"])
    real, imag = parts.get("real", 0.0), parts["imag"]
    if any(issubclass(class_of(part), (complex, np.complexfloating)) for part in (real, imag)):
        return _complex(real) + _complex(imag) * 1j
    return number(emit("complex", *(cast(one_element(part), FLOAT64) for part in (real, imag))), complex)


def class_of(value: Any) -> type:
    """The class that a tracer stands for."""
    if isinstance(value, TracedList):
        return value.python_class
    if isinstance(value, TracedArray):
        return np.ndarray
    if isinstance(value, TracedScalar):
        return value.dtype.type
    return value.python_type if isinstance(value, PythonNumber) else type(value)


@replaces(isinstance)
def _isinstance(value: Any, classes: Any) -> Any:
    if isinstance(value, Maybe):
        fits, none_fits = _isinstance(value.value, classes), isinstance(None, classes)
        return fits if fits == none_fits else value.test() if fits else is_none(value)
    return issubclass(class_of(value), classes) if isinstance(value, Tracer) else isinstance(value, classes)


@replaces(type)
def _type(*args: Any, **kwargs: Any) -> Any:
    if len(args) == 1 and isinstance(args[0], Tracer):
        return class_of(settled(args[0]))
    return type(*args, **kwargs)


def _extreme(function: Any, comparison: np.ufunc, size: Callable[[Any, Any], Any]) -> None:
    @replaces(function)
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
                raise TypeError(f"{class_of(single).__name__!r} object is not iterable")
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
    if _is_size(current) and _is_size(value) and not class_of(current) is class_of(value) is bool:
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
    classes = [class_of(v) for v in (current, value)]
    if all(kind in _NUMBERS for kind in classes):
        return to_number(result, max(classes, key=_NUMBERS.index))
    return TracedScalar(result.operand())


_NUMBERS: tuple[type, ...] = (bool, int, float)


_extreme(max, np.greater, max)
_extreme(min, np.less, min)


@replaces(sum)
def _sum(iterable: Any, /, start: Any = 0) -> Any:
    if isinstance(iterable, TracedList):
        total = _sum(as_array(iterable), start)
        return iterable.as_item(total, start)
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
    @replaces(function)
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


@replaces(operator.truth)
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


def _text_maker(function: Any) -> None:
    @replaces(function)
    def make(*args: Any, **kwargs: Any) -> Any:
        return formatted(function, args, kwargs) if is_pending((args, kwargs)) else function(*args, **kwargs)


for _maker in (str, repr, format, ascii):
    _text_maker(_maker)


# ------------------------------------------------------------------------------------------------ NumPy's scalar types


def _scalar_type(kind: type[np.generic]) -> None:
    dtype = np.dtype(kind)

    @replaces(kind)
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
