"""Random numbers: bits by the C functions of NumPy's bit generators, numbers by NumPy's C functions on top of these.

A function of NumPy is known by its name in ``numpy/random/distributions.h``, without ``random_``. Those in ``OWN`` are
ours: of NumPy's older methods and of Python's own generator, for which no C function can be called. Their machine code
is in ``codegen_llvm/draws.py``.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.ir.ops.common import require
from tracejit.ir.primitive import primitive
from tracejit.ir.types import ArrayType, BufferType, scalar

__all__ = ["OWN", "c_function", "random_array", "random_bits", "random_line", "random_number"]

C_TYPES: dict[str, Any] = {
    "float64": ctypes.c_double,
    "float32": ctypes.c_float,
    "int64": ctypes.c_int64,
    "uint64": ctypes.c_uint64,
    "uint32": ctypes.c_uint32,
}
OWN = ("legacy_gauss", "legacy_exponential", "python_double", "python_bits")


def _infer(function: ArrayType, state: ArrayType, *, dtype: np.dtype[Any]) -> ArrayType:
    require(function == state == scalar("i64"), "random_bits", f"the addresses are {function} and {state}, not i64[]")
    require(dtype.name in C_TYPES, "random_bits", f"no bit generator gives {dtype}")
    return ArrayType(dtype)


def _reference(function: Any, state: Any, *, dtype: np.dtype[Any]) -> Any:
    call = ctypes.CFUNCTYPE(C_TYPES[dtype.name], ctypes.c_void_p)(int(function))
    return dtype.type(call(int(state)))


random_bits = primitive("random_bits", infer=_infer, reference=_reference, level="both", effect="write")
"""``random_bits(function, state) {dtype}``: the next number of a bit generator: a double in [0, 1), or 64 or 32 bits.
The operands are the addresses in ``BitGenerator.ctypes``; each call advances the state."""


# ------------------------------------------------------------------------------------------------- numbers by functions


@functools.cache
def _library() -> Any:
    """NumPy's compiled functions; None where their names are not visible."""
    try:
        return ctypes.CDLL(str(importlib.import_module("numpy.random._generator").__file__))
    except OSError:
        return None


@functools.cache
def c_function(name: str) -> int:
    """The address of ``random_<name>``; 0 where it cannot be found."""
    function = getattr(_library(), f"random_{name}", None)
    return 0 if function is None else ctypes.cast(function, ctypes.c_void_p).value or 0


def _check(name: str, state: ArrayType, parameters: tuple[ArrayType, ...], function: str) -> None:
    require(state == scalar("i64"), name, f"the address of the state is {state}, not i64[]")
    for parameter in parameters:
        fits = parameter.rank == 0 and parameter.dtype.name in C_TYPES
        require(fits, name, f"{parameter} is no parameter of {function}")


def _number_infer(state: ArrayType, *parameters: ArrayType, function: str, dtype: np.dtype[Any]) -> ArrayType:
    _check("random_number", state, parameters, function)
    require(dtype.name in C_TYPES, "random_number", f"no generator gives {dtype}")
    return ArrayType(dtype)


def _drawing(function: str, dtype: np.dtype[Any], parameters: tuple[Any, ...]) -> Callable[[int], Any]:
    """A function of the state's address."""
    if function in OWN:
        return functools.partial(_OWN[function], *parameters)
    types = [C_TYPES[np.asarray(parameter).dtype.name] for parameter in parameters]
    call = ctypes.CFUNCTYPE(C_TYPES[dtype.name], ctypes.c_void_p, *types)(c_function(function))
    return lambda state: call(state, *(np.asarray(parameter).item() for parameter in parameters))


def _number_reference(state: Any, *parameters: Any, function: str, dtype: np.dtype[Any]) -> Any:
    return dtype.type(_drawing(function, dtype, parameters)(int(state)))


def _array_reference(
    state: Any, *parameters: Any, function: str, dtype: np.dtype[Any], dims: tuple[int, ...]
) -> np.ndarray[Any, Any]:
    draw = _drawing(function, dtype, parameters)
    return np.array([draw(int(state)) for _ in range(math.prod(dims))], dtype).reshape(dims)


def _array_infer(state: ArrayType, *parameters: ArrayType, function: str, dtype: np.dtype[Any], dims: Any) -> ArrayType:
    return ArrayType(_number_infer(state, *parameters, function=function, dtype=dtype).dtype, dims)


def _line_infer(buffer: ArrayType, state: ArrayType, *parameters: ArrayType, function: str) -> tuple[()]:
    require(isinstance(buffer, BufferType), "random_line", f"{buffer} is no buffer")
    _check("random_line", state, parameters, function)
    return ()


def _line_reference(buffer: Any, state: Any, *parameters: Any, function: str) -> tuple[()]:
    attrs = {"function": function, "dtype": buffer.dtype, "dims": buffer.shape}
    buffer[...] = _array_reference(state, *parameters, **attrs)
    return ()


class _Gauss(ctypes.Structure):
    """``aug_bitgen_t`` of NumPy (numpy/random/src/legacy/legacy-distributions.h)."""

    _fields_ = [("bits", ctypes.c_void_p), ("has_gauss", ctypes.c_int), ("gauss", ctypes.c_double)]


def _double_of(bits: int) -> Callable[[], float]:
    """The function of a ``bitgen_t`` that gives a number in [0, 1)."""
    state, _, _, double, _ = (ctypes.c_size_t * 5).from_address(bits)
    return functools.partial(ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_void_p)(double), state)


def _legacy_gauss(state: int) -> float:
    own = _Gauss.from_address(state)
    if own.has_gauss:
        own.has_gauss, kept, own.gauss = 0, own.gauss, 0.0
        return float(kept)
    double = _double_of(own.bits)
    squares = 0.0
    while squares >= 1.0 or squares == 0.0:
        x, y = 2.0 * double() - 1.0, 2.0 * double() - 1.0
        squares = x * x + y * y
    factor = math.sqrt(-2.0 * math.log(squares) / squares)
    own.has_gauss, own.gauss = 1, factor * x
    return float(factor * y)


def _legacy_exponential(bits: int) -> float:
    return -math.log(1.0 - _double_of(bits)())


class _Twister(ctypes.Structure):
    """What ``_random.Random`` holds behind its head."""

    _fields_ = [("index", ctypes.c_int), ("words", ctypes.c_uint32 * 624)]


def _python_bits(count: Any, state: int) -> int:
    own = _Twister.from_address(state)
    words = own.words
    if own.index >= 624:
        for k in range(624):
            mixed = (words[k] & 0x80000000) | (words[(k + 1) % 624] & 0x7FFFFFFF)
            words[k] = words[(k + 397) % 624] ^ mixed >> 1 ^ (0x9908B0DF if mixed & 1 else 0)
        own.index = 0
    word = words[own.index]
    own.index += 1
    word ^= word >> 11
    word ^= word << 7 & 0x9D2C5680
    word ^= word << 15 & 0xEFC60000
    return int((word ^ word >> 18) >> 32 - int(count))


def _python_double(state: int) -> float:
    high, low = _python_bits(27, state), _python_bits(26, state)
    return (high * 67108864.0 + low) / 9007199254740992.0


_OWN: dict[str, Callable[..., Any]] = {
    "legacy_gauss": _legacy_gauss,
    "legacy_exponential": _legacy_exponential,
    "python_double": _python_double,
    "python_bits": _python_bits,
}

random_number = primitive(
    "random_number", infer=_number_infer, reference=_number_reference, level="both", effect="write"
)
"""``random_number(state, *parameters) {function, dtype}``: the next number that a function of NumPy's, or one in
``OWN``, makes of the generator at this address, which advances. Integers are exact: i64, u64 or u32."""

random_array = primitive("random_array", infer=_array_infer, reference=_array_reference, effect="write")
"""``random_array(state, *parameters) {function, dtype, dims}``: an array of such numbers, drawn in row-major order."""

random_line = primitive("random_line", infer=_line_infer, reference=_line_reference, level="loop", effect="write")
"""``random_line(buffer, state, *parameters) {function}``: the same, into memory."""
