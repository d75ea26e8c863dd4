"""What a function of NumPy may be given: how each kind of value enters the program, and NumPy's own errors.

An *input* is a pair ``(kind, value)``: the kind for dtype rules, the value an operand, or a Python number that takes
the dtype of its partners.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from tracejit.errors import UnsupportedError
from tracejit.ir.core import Literal, Operand
from tracejit.trace.array import NumpyValue, TracedArray, TracedScalar, new_array
from tracejit.trace.base import Tracer
from tracejit.trace.context import current_trace
from tracejit.trace.dtypes import BOOL, DType, Kind, check_dtype, kind_dtype
from tracejit.trace.foreign import is_foreign
from tracejit.trace.location import describe, user_location
from tracejit.trace.pytree import flatten, unflatten
from tracejit.trace.registry import call
from tracejit.trace.scalar import PythonNumber, SymbolicBool, SymbolicInt, TracedNumber
from tracejit.trace.stored_numbers import check_fits
from tracejit.trace.values import cast, constant, literal

__all__ = [
    "Input",
    "accept_input",
    "as_array",
    "contains_tracer",
    "describe_input",
    "materialize",
    "raise_as_numpy",
    "stored_operand",
    "unchecked_operand",
]

Input = tuple[Kind, Any]


def describe_input(value: Any) -> Input:
    """The kind and the operand (or weak Python number) of any argument of a NumPy function."""
    handler = _HANDLERS.get(type(value))
    if handler is not None:
        return handler(value)
    if isinstance(value, np.generic):
        check_dtype(value.dtype, "a scalar")
        return value.dtype, Literal(value)
    if isinstance(value, (np.ndarray, list, tuple)) or is_foreign(value):
        array = as_array(value)
        return array.dtype, array.operand()
    for kind in _NUMBERS:
        if isinstance(value, kind):
            return kind, kind(value)
    raise NotImplementedError  # the caller knows what NumPy would say


_NUMBERS: tuple[Any, ...] = (int, float, complex)


def _size(value: SymbolicInt) -> Input:
    return int, value


_HANDLERS: dict[type, Callable[[Any], Input]] = {
    TracedArray: lambda value: (value.dtype, value.operand()),
    TracedScalar: lambda value: (value.dtype, value.operand()),
    TracedNumber: lambda value: (value.kind, value.operand()),
    SymbolicInt: _size,
    SymbolicBool: lambda value: (BOOL, value.operand()),
    bool: lambda value: (BOOL, literal(value, BOOL)),
    int: lambda value: (int, value),
    float: lambda value: (float, value),
    complex: lambda value: (complex, value),
}


def accept_input(kind: type, describe: Callable[[Any], Input]) -> None:
    """Let NumPy functions take values of one more class of tracers."""
    _HANDLERS[kind] = describe


def materialize(value: Any, dtype: DType) -> Operand:
    """The operand of an input in a dtype; a Python int that does not fit raises NumPy's OverflowError."""
    if isinstance(value, SymbolicInt):
        if dtype.kind in "iu" and dtype != np.int64:
            limits = np.iinfo(dtype)
            low, high = int(limits.min), int(limits.max)
            sizes = value.sizes
            if sizes.is_late(sizes.resolve(value.dim)):
                if not (sizes.proves(value.dim - low) and sizes.proves(high - value.dim)):
                    check_fits(value.operand(), dtype, weak=True)
            elif value < low or value > high:
                raise OverflowError(f"Python integer {value} out of bounds for {dtype}")
        return cast(value.operand(), dtype)
    if type(value) in (int, float, complex):
        return literal(value, dtype)
    return cast(value, dtype)


def stored_operand(value: Any, dtype: DType, single: bool = False) -> Operand:
    """What an array of a dtype holds after an assignment: Python's numbers, also those in lists, must fit.

    single: where NumPy stores one number, so that a NumPy scalar has to fit, too.
    """
    if isinstance(value, TracedNumber) or (single and isinstance(value, (TracedScalar, np.generic))):
        number = Literal(value) if isinstance(value, np.generic) else value.operand()
        check_fits(number, dtype, isinstance(value, TracedNumber))
    if isinstance(value, (list, tuple)):
        return call(np.asarray, value, dtype=dtype).operand()  # type: ignore[no-any-return]
    try:
        return materialize(describe_input(value)[1], dtype)
    except NotImplementedError:  # a string, None, a range
        stored = np.empty(np.shape(value), dtype)
        stored[...] = value
        return constant(stored)


def unchecked_operand(value: Any, dtype: DType) -> Operand:
    """The operand of an input in a dtype; Python ints that do not fit wrap, where NumPy does not check them."""
    if type(value) is int and dtype.kind in "iu":
        bits = 8 * dtype.itemsize
        return literal(np.array(value % 2**bits, f"u{dtype.itemsize}").astype(dtype)[()], dtype)
    return cast(value.operand(), dtype) if isinstance(value, SymbolicInt) else materialize(value, dtype)


def operand_of(value: Any) -> Operand:
    """The operand of any argument, Python numbers in the dtype that they have by themselves."""
    kind, content = describe_input(value)
    return materialize(content, kind_dtype(kind))


def as_array(value: Any) -> TracedArray:
    """An array tracer for an array or a nested list; arrays from outside become inputs of the program."""
    if isinstance(value, TracedArray):
        return value
    if isinstance(value, Tracer):
        return new_array(operand_of(value))
    if isinstance(value, np.ndarray):
        return current_trace().captures.array(value)
    return call(np.asarray, value)  # type: ignore[no-any-return]


def as_value(value: Any) -> NumpyValue:
    """Like :func:`as_array`, but NumPy scalars stay scalars."""
    return value if isinstance(value, NumpyValue) else as_array(value)


def contains_tracer(value: Any) -> bool:
    """Whether a value is traced or a container of traced values."""
    if isinstance(value, Tracer):
        return True
    if isinstance(value, (list, tuple)):
        return any(map(contains_tracer, value))
    if isinstance(value, dict):
        return any(map(contains_tracer, value.values()))
    if type(value) is slice:
        return contains_tracer((value.start, value.stop, value.step))
    return False


def stand_in(value: Any) -> Any:
    """A plain value of the same dtype and size as a tracer, without its memory, for asking NumPy."""
    if isinstance(value, TracedArray):
        one = np.ones(1, value.dtype)
        shape = value.hint_shape()
        return np.lib.stride_tricks.as_strided(one, shape, (0,) * len(shape), writeable=value.writeable)
    if isinstance(value, TracedScalar):
        return value.dtype.type(1)
    if isinstance(value, SymbolicInt):
        return value.sizes.hint(value.dim)
    if isinstance(value, PythonNumber):
        return value.python_type(1)
    return value


def raise_as_numpy(function: Any, *args: Any, **kwargs: Any) -> NoReturn:
    """Raise what NumPy raises for arguments of these dtypes and shapes; arguments it accepts are unsupported."""
    leaves, tree = flatten((args, kwargs))
    plain_args, plain_kwargs = unflatten(tree, [stand_in(leaf) for leaf in leaves])
    with np.errstate(all="ignore"):
        function(*plain_args, **plain_kwargs)
    name = getattr(function, "__name__", repr(function))
    raise UnsupportedError(
        f"np.{name} with these arguments is not compiled by tracejit ({describe(user_location())}): "
        f"{', '.join(map(repr, args))}"
    )
