"""Answers kernels that call Python: finds the function, makes arrays of the kernel's memory, keeps exceptions.

One C function serves the whole process. The word behind a call's context is the address of the program's
:class:`Server`, so programs do not meet; what a callback raises is kept for its thread. See docs/architecture.md,
section 3.
"""

from __future__ import annotations

import ctypes
import math
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NoReturn

import numpy as np

from tracejit.codegen_llvm.buffers import CONTEXT_BYTES
from tracejit.ir.ops.callbacks import call_checked
from tracejit.ir.types import ArrayType, dtype_numbered

__all__ = ["ADDRESS", "RAISED", "SERVER_OFFSET", "Server", "needs_call", "reraise"]

RAISED = -1
"""What a kernel returns after a callback has raised."""

_Numbers = Iterator[int]


class Server:
    """The callbacks of a program, and the types that they were called with last."""

    __slots__ = ("functions", "known")

    def __init__(self, functions: Sequence[Callable[..., Any]]) -> None:
        self.functions = functions
        self.known: dict[int, tuple[bytes, list[ArrayType], list[ArrayType]]] = {}

    def answer(self, number: int, data: int, shapes: int) -> None:
        """Call a function on the operands in ``data``, and write its results there."""
        function = self.functions[number]
        operands, results = self._types(number, shapes)
        pointers = (ctypes.c_void_p * (len(operands) + len(results))).from_address(data)
        array = _shown if getattr(function, "borrows", False) else _copied
        arrays = [array(type, pointer) for type, pointer in zip(operands, pointers, strict=False)]
        for position, result in enumerate(call_checked(function, arrays, results), len(operands)):
            pointer = pointers[position]
            if result.size and pointer:
                result = np.asarray(result, result.dtype.newbyteorder("="), order="C")
                source = result.tobytes() if result.nbytes <= _SMALL else result.ctypes.data
                ctypes.memmove(pointer, source, result.nbytes)

    def _types(self, number: int, shapes: int) -> tuple[list[ArrayType], list[ArrayType]]:
        """Those of operands and results: mostly the same as last time."""
        known = self.known.get(number)
        if known is None or ctypes.string_at(shapes, len(known[0])) != known[0]:
            operands, results = (ctypes.c_int64 * 2).from_address(shapes)
            end, types = _types(shapes + 16, operands + results)
            known = ctypes.string_at(shapes, end - shapes), types[:operands], types[operands:]
            self.known[number] = known
        return known[1:]


_SMALL = 512
"""Bytes up to which a copy as ``bytes`` is faster than asking NumPy for an address."""


def _types(place: int, count: int) -> tuple[int, list[ArrayType]]:
    """The types written at an address, and the address behind them."""
    types = []
    for _ in range(count):
        number, rank = (ctypes.c_int64 * 2).from_address(place)
        types.append(ArrayType(dtype_numbered(number), tuple((ctypes.c_int64 * rank).from_address(place + 16))))
        place += 16 + 8 * rank
    return place, types


def _copied(type: ArrayType, pointer: int | None) -> np.ndarray[Any, Any]:
    """An array of its own: the function may keep it or write to it."""
    shape: Any = type.dims
    size: int = math.prod(shape) * type.dtype.itemsize
    if size <= _SMALL and size and pointer:
        return np.ndarray(shape, type.dtype, bytearray(ctypes.string_at(pointer, size)))
    array: np.ndarray[Any, Any] = np.empty(shape, type.dtype)
    if size and pointer:
        ctypes.memmove(array.ctypes.data, pointer, size)
    return array


def _shown(type: ArrayType, pointer: int | None) -> np.ndarray[Any, Any]:
    """The kernel's own memory, for a function that keeps and changes nothing."""
    shape: Any = type.dims
    size: int = math.prod(shape) * type.dtype.itemsize
    if not size or not pointer:
        return _copied(type, None)
    memory: Any = (ctypes.c_char * size).from_address(pointer)
    array: np.ndarray[Any, Any] = np.ndarray(shape, type.dtype, memory)
    array.flags.writeable = False
    return array


class _Raised(threading.local):
    error: BaseException | None = None


_raised = _Raised()  # by the last callback of this thread that failed
SERVER_OFFSET = CONTEXT_BYTES
"""Where a call's context has the address of a :class:`Server`."""


def _call_python(context: int, number: int, data: int, shapes: int) -> int:
    server: Server = ctypes.py_object.from_address(context + SERVER_OFFSET).value
    try:
        server.answer(number, data, shapes)
    except BaseException as error:  # machine code cannot pass it on; the caller raises it again
        _raised.error = error
        return 1
    return 0


_C_FUNCTION = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)
_c_call_python = _C_FUNCTION(_call_python)
ADDRESS: int = ctypes.cast(_c_call_python, ctypes.c_void_p).value or 0
"""Of the function that answers kernels."""


def reraise() -> NoReturn:
    """Raise what a callback of this thread has raised."""
    error, _raised.error = _raised.error, None  # its traceback refers to frames
    assert error is not None
    raise error


def needs_call(functions: Iterable[Callable[..., Any]]) -> bool:
    """Whether callbacks look for objects of the call that is running (``trace.frames``)."""
    return any(getattr(function, "needs_call", True) for function in functions)
