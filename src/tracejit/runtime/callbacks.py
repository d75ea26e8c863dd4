"""Answers kernels that call Python: finds the function, makes arrays of the kernel's memory, keeps exceptions.

One C function serves the whole process. The word behind a call's context is the address of the program's
:class:`Server`, so programs do not meet; what a callback raises is kept for its thread. See docs/architecture.md,
section 3.
"""

from __future__ import annotations

import ctypes
import math
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn, TypeAlias

import numpy as np

from tracejit.codegen_llvm.buffers import CONTEXT_BYTES
from tracejit.ir.ops.callbacks import call_checked
from tracejit.ir.types import ArrayType, dtype_numbered
from tracejit.runtime.memory import address_of

__all__ = ["ADDRESS", "RAISED", "SERVER_OFFSET", "Server", "needs_call", "reraise"]

RAISED = -1
"""What a kernel returns after a callback has raised."""


class Server:
    """The callbacks of a program, and the types that they were called with last."""

    __slots__ = ("functions", "known")

    def __init__(self, functions: Sequence[Callable[..., Any]]) -> None:
        self.functions = functions
        self.known: dict[int, _Signature] = {}

    def answer(self, number: int, data: int, shapes: int) -> None:
        """Call a function on the operands in ``data``, and write its results there."""
        function = self.functions[number]
        known = self.known.get(number)
        if known is None or ctypes.string_at(shapes, len(known.text)) != known.text:
            known = self.known[number] = _Signature(shapes, getattr(function, "borrows", False))
        pointers = known.pointers.from_address(data)
        arrays = [show(pointer) for show, pointer in zip(known.operands, pointers, strict=False)]
        for position, result in enumerate(call_checked(function, arrays, known.results), len(arrays)):
            pointer = pointers[position]
            size = result.nbytes
            if not size or not pointer:
                continue
            if not result.dtype.isnative or not result.flags.c_contiguous:
                result = np.asarray(result, result.dtype.newbyteorder("="), order="C")
            ctypes.memmove(pointer, result.tobytes() if size <= _SMALL else address_of(result), size)


_SMALL = 512
"""Bytes up to which a copy as ``bytes`` is faster than asking for an address."""


class _Signature:
    """The types of operands and results of one callback, as a kernel writes them down.

    text: what it has written. pointers: a C array of so many. operands: for each of them, what makes an array.
    """

    __slots__ = ("operands", "pointers", "results", "text")

    def __init__(self, place: int, borrows: bool) -> None:
        operands, results = (ctypes.c_int64 * 2).from_address(place)
        end, types = _types(place + 16, operands + results)
        self.text = ctypes.string_at(place, end - place)
        self.pointers = ctypes.c_void_p * (operands + results)
        self.operands = [_shower(type) if borrows else _copier(type) for type in types[:operands]]
        self.results = types[operands:]


def _types(place: int, count: int) -> tuple[int, list[ArrayType]]:
    """The types written at an address, and the address behind them."""
    types = []
    for _ in range(count):
        number, rank = (ctypes.c_int64 * 2).from_address(place)
        types.append(ArrayType(dtype_numbered(number), tuple((ctypes.c_int64 * rank).from_address(place + 16))))
        place += 16 + 8 * rank
    return place, types


_Maker: TypeAlias = "Callable[[int | None], np.ndarray[Any, Any]]"


def _copier(type: ArrayType) -> _Maker:
    """Makes arrays of their own: the function may keep them or write to them."""
    shape: Any = type.dims
    dtype, size = type.dtype, math.prod(shape) * type.dtype.itemsize

    def copy(pointer: int | None) -> np.ndarray[Any, Any]:
        if not size or not pointer:
            return np.empty(shape, dtype)
        if size <= _SMALL:
            return np.ndarray(shape, dtype, bytearray(ctypes.string_at(pointer, size)))
        array: np.ndarray[Any, Any] = np.empty(shape, dtype)
        ctypes.memmove(address_of(array), pointer, size)
        return array

    return copy


def _shower(type: ArrayType) -> _Maker:
    """Shows the kernel's own memory, to a function that keeps and changes nothing."""
    shape: Any = type.dims
    dtype, size = type.dtype, math.prod(shape) * type.dtype.itemsize
    memory = ctypes.c_char * size

    def show(pointer: int | None) -> np.ndarray[Any, Any]:
        if not size or not pointer:
            return np.empty(shape, dtype)
        array: np.ndarray[Any, Any] = np.ndarray(shape, dtype, memory.from_address(pointer))
        array.setflags(write=False)
        return array

    return show


class _Raised(threading.local):
    error: BaseException | None = None


_raised = _Raised()  # by the last callback of this thread that failed
SERVER_OFFSET = CONTEXT_BYTES
"""Where a call's context has the address of a :class:`Server`."""


def _call_python(context: int, number: int, data: int, shapes: int) -> int:
    server: Any = ctypes.py_object.from_address(context + SERVER_OFFSET).value
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
