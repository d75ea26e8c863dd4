"""NumPy's loops for linear algebra and Fourier transforms: where the C functions are, and whether they do their work.

Owns the addresses of the inner loops of the generalised ufuncs behind ``np.linalg`` and ``np.fft``. They work on memory
of any strides, without the GIL and without array objects; LAPACK is the one that NumPy brings. It must not know which
programs call them.

They are found in the ufunc objects, whose layout is part of NumPy's C interface and is compared with what the object
says of itself; each loop is tried on a sample before a program may use it. Loops that can fail say so by the
floating-point flag of invalid operations, which they clear when they begin.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
import re
import sys
from typing import Any

import numpy as np

from tracejit.ir.ops.library import LOOPS, LibraryLoop
from tracejit.ir.types import ArrayType, dtype_name, dtype_named

__all__ = ["INVALID", "data_symbol", "function_symbol", "has_data", "is_available", "resolve_symbol"]

DType = np.dtype[Any]
INVALID = 0x10 if sys.platform == "win32" else 1
"""C's FE_INVALID."""

_FLAGS = {"tj_clear_flags": "feclearexcept", "tj_test_flags": "fetestexcept"}
_SYMBOL = re.compile("tj_(loop|loopdata)_([a-z0-9_]+)_([a-z]+[0-9]+)")


def function_symbol(function: str, dtype: DType) -> str:
    """The C symbol of a loop whose first operand has this dtype.

    >>> function_symbol("solve1", np.dtype("f8"))
    'tj_loop_solve1_f64'
    """
    return f"tj_loop_{function}_{dtype_name(dtype)}"


def data_symbol(function: str, dtype: DType) -> str:
    """The C symbol of what the loop wants as its last argument."""
    return f"tj_loopdata_{function}_{dtype_name(dtype)}"


class _Ufunc(ctypes.Structure):
    """The beginning of NumPy's ``PyUFuncObject``."""

    _fields_ = (
        ("head", ctypes.c_char * object.__basicsize__),
        ("nin", ctypes.c_int),
        ("nout", ctypes.c_int),
        ("nargs", ctypes.c_int),
        ("identity", ctypes.c_int),
        ("functions", ctypes.POINTER(ctypes.c_void_p)),
        ("data", ctypes.POINTER(ctypes.c_void_p)),
        ("ntypes", ctypes.c_int),
        ("reserved", ctypes.c_int),
        ("name", ctypes.c_char_p),
        ("types", ctypes.POINTER(ctypes.c_char)),
    )


def _loop_of(function: str) -> LibraryLoop | None:
    return next((loop for loop in LOOPS.values() if function in loop.functions), None)


def _types(loop: LibraryLoop, dtype: DType) -> str:
    """The loop's dtypes as the ufunc writes them: ``dd->d``."""
    inputs = len(loop.inputs)
    letters = [loop.dtype_of(position, dtype).char for position in range(len(loop.dtypes))]
    outputs = letters[inputs + loop.overwrites :]
    return "".join(letters[:inputs]) + "->" + "".join(outputs)


@functools.cache
def _found(function: str, dtype: DType) -> tuple[int, int]:
    """The addresses of a loop and of its data; zeros where NumPy has it not, or not in this way."""
    loop = _loop_of(function)
    if loop is None:
        return 0, 0
    try:
        ufunc = getattr(importlib.import_module(loop.module), function)
        place = ufunc.types.index(_types(loop, dtype))
    except (ImportError, AttributeError, ValueError):
        return 0, 0
    seen = _Ufunc.from_address(id(ufunc))
    counts = (seen.nin, seen.nout, seen.nargs, seen.ntypes)
    if counts != (ufunc.nin, ufunc.nout, ufunc.nargs, ufunc.ntypes):
        return 0, 0
    numbers = bytes([np.dtype(letter).num for letter in _types(loop, dtype).replace("->", "")])
    own = seen.types[place * seen.nargs : (place + 1) * seen.nargs]
    if own != numbers or (seen.name or b"").decode() != ufunc.__name__:
        return 0, 0
    return seen.functions[place] or 0, (seen.data[place] or 0) if seen.data else 0


_C_LOOP: Any = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 4)
_C_FLAGS: Any = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)


@functools.cache
def _flag_function(name: str) -> int:
    """The address of a function for the floating-point flags, 0 where the C library has none."""
    for library in (None, "libm.so.6", "ucrtbase.dll"):
        try:
            found = getattr(ctypes.CDLL(library), name)
        except (OSError, AttributeError, TypeError):
            continue
        return ctypes.cast(found, ctypes.c_void_p).value or 0
    return 0


@functools.cache
def _works(name: str, dtype: DType) -> bool:
    """Whether all functions of a loop do on samples what the library does; and report failure, if they can."""
    loop = LOOPS[name]
    if loop.reports and not all(map(_flag_function, _FLAGS.values())):
        return False
    for variant, function in enumerate(loop.functions):
        address, data = _found(function, dtype)
        if not address:
            return False
        good = _samples(loop, dtype, good=True)
        if _called(loop, address, data, good) != _expected(name, good, variant):
            return False
    if not loop.reports:
        return True
    if name.startswith(("svd", "qr", "lstsq", "eig")):
        return True  # no sample of finite numbers makes these fail
    return _called(loop, *_found(name, dtype), _samples(loop, dtype, good=False))[-1] == b"\x01"


Samples = list[np.ndarray[Any, Any]]
_SIZES = {"m": 3, "n": 4, "k": 3, "o": 2, "p": 3}


def _samples(loop: LibraryLoop, dtype: DType, *, good: bool) -> Samples:
    """Operands: positive definite matrices, or singular ones that are none."""
    arrays = []
    for position, names in enumerate(loop.inputs):
        shape = tuple(_SIZES[name] for name in names)
        kind = loop.dtype_of(position, dtype)
        numbers = (np.arange(int(np.prod(shape))) * 7919 % 13 / 8).reshape(shape)
        if shape == (3, 3):
            numbers = numbers @ numbers.T + np.eye(3) if good else -np.ones((3, 3))
        arrays.append(np.asarray(numbers.astype(kind) if shape else 0.5, kind))
    return arrays


def _expected(name: str, samples: Samples, variant: int) -> list[bytes]:
    from tracejit.ir.primitive import PRIMITIVES  # noqa: PLC0415

    sizes = _free_sizes(LOOPS[name])
    results = PRIMITIVES["library_loop"].reference(*samples, loop=name, sizes=sizes, variant=variant)
    return [np.asarray(result).tobytes() for result in results]


def _free_sizes(loop: LibraryLoop) -> tuple[int, ...]:
    return tuple(_SIZES[name] for name in loop.free)


def _called(loop: LibraryLoop, address: int, data: int, samples: Samples) -> list[bytes]:
    """What the C function makes of samples."""
    types = [ArrayType(array.dtype, array.shape) for array in samples]
    sizes: dict[str, Any] = loop.core_sizes(types, _free_sizes(loop))
    base = samples[0].dtype
    outputs = [
        np.zeros([sizes[name] for name in names], loop.dtype_of(position, base))
        for position, names in enumerate(loop.outputs, len(samples))
    ]
    inputs = [array.copy() for array in samples]
    if loop.overwrites:
        outputs[0] = inputs[0]
    arguments = [*inputs, *outputs[loop.overwrites :]]
    pointers = (ctypes.c_void_p * len(arguments))(*[array.ctypes.data for array in arguments])
    dims = (ctypes.c_ssize_t * (1 + len(sizes)))(1, *sizes.values())
    steps = [0] * len(arguments) + [stride for array in arguments for stride in array.strides]
    if loop.reports:
        _C_FLAGS(_flag_function("feclearexcept"))(INVALID)
    _C_LOOP(address)(pointers, dims, (ctypes.c_ssize_t * len(steps))(*steps), data)
    results = [output.tobytes() for output in outputs]
    if loop.reports:
        failed = _C_FLAGS(_flag_function("fetestexcept"))(INVALID) != 0
        _C_FLAGS(_flag_function("feclearexcept"))(INVALID)
        results.append(np.bool_(failed).tobytes())
    return results


def is_available(name: str, dtype: DType) -> bool:
    """Whether programs may call a loop of :data:`~tracejit.ir.ops.library.LOOPS` on operands of this dtype.

    >>> is_available("solve", np.dtype("f8")), is_available("solve", np.dtype("i8"))
    (True, False)
    """
    return _works(name, dtype)


def has_data(function: str, dtype: DType) -> bool:
    """Whether a loop wants an address as its last argument, rather than null."""
    return _found(function, dtype)[1] != 0


def resolve_symbol(symbol: str) -> int | None:
    """Return the address of a symbol that programs use by name: ``tj_loop_solve1_f64``."""
    if symbol in _FLAGS:
        return _flag_function(_FLAGS[symbol]) or None
    match = _SYMBOL.fullmatch(symbol)
    return _found(match[2], dtype_named(match[3]))[match[1] == "loopdata"] or None if match else None
