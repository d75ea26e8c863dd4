"""Calls back into Python, at both levels.

``callback`` may have effects: it is neither dropped, merged nor moved over another one. ``pure_callback`` is a function
of its operands alone. ``call_python`` is what both become at loop level: the same call on memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracejit.errors import UnsupportedError
from tracejit.ir.core import Eqn, Function, Operand, walk
from tracejit.ir.ops.common import Tangent, require
from tracejit.ir.primitive import primitive
from tracejit.ir.types import ArrayType, BufferType

__all__ = ["call_checked", "call_python", "callback", "callbacks_of", "pure_callback"]

Array = np.ndarray[Any, Any]


def call_checked(function: Callable[..., Any], arrays: Sequence[Any], types: Sequence[ArrayType]) -> list[Array]:
    """Call a Python function and check that its results have the announced types, whose dims are ints."""
    results = function(*arrays)
    if not isinstance(results, tuple | list):
        results = (results,)
    if len(results) != len(types):
        require(False, "callback", f"{len(results)} results of {function!r}, not {len(types)}")
    converted = []
    for result, type in zip(results, types, strict=True):
        array = np.asarray(result)
        if array.dtype != type.dtype or array.shape != type.dims:
            raise TypeError(f"{function!r} gave {array.dtype}{list(array.shape)} where {type} was announced")
        converted.append(array)
    return converted


def callbacks_of(function: Function) -> tuple[Callable[..., Any], ...]:
    """The Python functions that a program calls back, each once: compiled code calls them by their position here."""
    found: dict[Any, None] = {}
    for eqn in walk(function):
        if eqn.op in (callback, pure_callback, call_python):
            found.setdefault(eqn.attrs["function"])
    return tuple(found)


def _reference(*arrays: Array, function: Callable[..., Any], types: tuple[ArrayType, ...]) -> tuple[Any, ...]:
    return tuple(call_checked(function, arrays, types))


def _jvp(eqn: Eqn, primals: Sequence[Operand], tangents: Sequence[Tangent]) -> list[Tangent]:
    raise UnsupportedError(
        f"{eqn.attrs['function']!r} runs as Python and cannot be differentiated; give its derivative with custom_jvp "
        "or custom_vjp, or wrap its arguments in stop_gradient"
    )


callback = primitive(
    "callback", infer=lambda *operands, function, types: types, reference=_reference, jvp=_jvp, effect="write"
)
pure_callback = primitive(
    "pure_callback", infer=lambda *operands, function, types: types, reference=_reference, jvp=_jvp
)

# ------------------------------------------------------------------------------------------------------- loop level


def _call_python_infer(*buffers: ArrayType, function: Callable[..., Any], results: int) -> tuple[()]:
    for buffer in buffers:
        require(isinstance(buffer, BufferType), "call_python", f"{buffer} is no buffer")
    require(0 <= results <= len(buffers), "call_python", f"{results} results among {len(buffers)} buffers")
    return ()


def _call_python_reference(*buffers: Array, function: Callable[..., Any], results: int) -> tuple[()]:
    inputs, outputs = buffers[: len(buffers) - results], buffers[len(buffers) - results :]
    types = [ArrayType(output.dtype, output.shape) for output in outputs]
    for output, result in zip(outputs, call_checked(function, [b.copy() for b in inputs], types), strict=True):
        output[...] = result
    return ()


call_python = primitive(
    "call_python", infer=_call_python_infer, reference=_call_python_reference, level="loop", effect="write"
)
"""Calls ``function`` on the contents of the first buffers and writes what it returns to the last ``results`` ones."""
