"""Answers kernels that call Python: finds the function, makes arrays of the kernel's memory, keeps exceptions.

One C function serves the whole process. It knows the call that it is asked for by the address of the call's context,
so threads, and callbacks that call compiled functions, do not meet. See docs/architecture.md, section 3.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from tracejit.codegen_llvm.buffers import Context
from tracejit.ir.ops.callbacks import call_checked
from tracejit.ir.types import ArrayType, dtype_numbered

__all__ = ["RAISED", "serve"]

RAISED = -1
"""What a kernel returns after a callback has raised."""

_Numbers = Iterator[int]


class _Call:
    """The callbacks of one running kernel, and what one of them raised."""

    __slots__ = ("error", "functions")

    def __init__(self, functions: Sequence[Callable[..., Any]]) -> None:
        self.functions = functions
        self.error: BaseException | None = None

    def answer(self, number: int, data: int, shapes: int) -> None:
        """Call a function on the operands in ``data``, and write its results there."""
        function = self.functions[number]
        counts = (ctypes.c_int64 * 2).from_address(shapes)
        pointers = (ctypes.c_void_p * sum(counts)).from_address(data)
        types = _types(shapes + 16, sum(counts))
        operands = [_copied(type, pointer) for type, pointer in zip(types[: counts[0]], pointers, strict=False)]
        results = call_checked(function, operands, types[counts[0] :])
        for result, pointer in zip(results, pointers[counts[0] :], strict=True):
            if result.size and pointer:
                result = np.asarray(result, result.dtype.newbyteorder("="), order="C")
                ctypes.memmove(pointer, result.ctypes.data, result.nbytes)


def _types(place: int, count: int) -> list[ArrayType]:
    types = []
    for _ in range(count):
        number, rank = (ctypes.c_int64 * 2).from_address(place)
        types.append(ArrayType(dtype_numbered(number), tuple((ctypes.c_int64 * rank).from_address(place + 16))))
        place += 16 + 8 * rank
    return types


def _copied(type: ArrayType, pointer: int | None) -> np.ndarray[Any, Any]:
    """An array of its own: the function may keep it or write to it."""
    array: np.ndarray[Any, Any] = np.empty(type.dims, type.dtype)
    if array.size and pointer:
        ctypes.memmove(array.ctypes.data, pointer, array.nbytes)
    return array


_running: dict[int, _Call] = {}


def _call_python(context: int, number: int, data: int, shapes: int) -> int:
    call = _running[context]
    try:
        call.answer(number, data, shapes)
    except BaseException as error:  # machine code cannot pass it on; the wrapper raises it again
        call.error = error
        return 1
    return 0


_C_FUNCTION = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)
_c_call_python = _C_FUNCTION(_call_python)
_address = ctypes.cast(_c_call_python, ctypes.c_void_p).value


@contextmanager
def serve(functions: Sequence[Callable[..., Any]], address: int, context: Context) -> Iterator[Callable[[], None]]:
    """While a kernel runs with this context, answer it by these functions.

    Gives a function that raises what a callback raised.
    """
    call = _running[address] = _Call(functions)
    context.call_python = _address

    def reraise() -> None:
        if call.error is not None:
            raise call.error

    try:
        yield reraise
    finally:
        del _running[address]
        call.error = None  # its traceback refers to this frame
