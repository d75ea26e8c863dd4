"""Compile functions of `vector_math` into loops over arrays, and measure errors in units in the last place."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Sequence
from typing import Any

import llvmlite.binding as llvm
import mpmath
import numpy as np

from tracejit.codegen_llvm import engine
from tracejit.codegen_llvm.vector_math import ARITY, Definition, definition

DTYPES: dict[str, Any] = {"f32": np.float32, "f64": np.float64}
ArrayFunction = Callable[..., np.ndarray]


@functools.cache
def compiled(
    names: tuple[str, ...], type_name: str, width: int, fma: bool, inline: bool = True
) -> dict[str, ArrayFunction]:
    """One module with a loop for each name; the loops take and return arrays of any length."""
    definitions = {name: definition(name, type_name, width, inline=inline, fma=fma) for name in names}
    loops = [_loop(name, found, type_name, width) for name, found in definitions.items()]
    text = module_text(tuple(definitions.values())) + "\n".join(loops)
    symbols = [f"loop.{name}" for name in names]
    code = engine.load_object(engine.compile_object(text, level=engine.LEVEL_SHORT), *symbols)
    return {name: _callable(code, f"loop.{name}", name, type_name, width) for name in names}


def module_text(definitions: Sequence[Definition]) -> str:
    """The text of definitions and of all that they call, each once, with their declarations."""
    texts: dict[str, str] = {}
    declarations: set[str] = set()
    pending = list(definitions)
    while pending:
        found = pending.pop()
        texts[found.symbol] = found.text
        declarations |= found.requires
        pending += found.calls
    return "\n".join([*sorted(declarations), *texts.values(), ""])


def _loop(name: str, found: Definition, type_name: str, width: int) -> str:
    element = {"f32": "float", "f64": "double"}[type_name]
    vector = element if width == 1 else f"<{width} x {element}>"
    arguments = ["x", "y"][: ARITY[name]]
    loads = "\n".join(
        f"  %at.{a} = getelementptr {element}, ptr %{a}, i64 %i\n  %v.{a} = load {vector}, ptr %at.{a}, align 4"
        for a in arguments
    )
    return f"""define void @"loop.{name}"(i64 %n, ptr %out, {", ".join(f"ptr %{a}" for a in arguments)}) {{
entry:
  br label %body
body:
  %i = phi i64 [ 0, %entry ], [ %next, %latch ]
{loads}
  %r = call {vector} @"{found.symbol}"({", ".join(f"{vector} %v.{a}" for a in arguments)})
  br label %latch
latch:
  %at.out = getelementptr {element}, ptr %out, i64 %i
  store {vector} %r, ptr %at.out, align 4
  %next = add i64 %i, {width}
  %more = icmp slt i64 %next, %n
  br i1 %more, label %body, label %done
done:
  ret void
}}
"""


def _callable(code: engine.LoadedCode, symbol: str, name: str, type_name: str, width: int) -> ArrayFunction:
    prototype = ctypes.CFUNCTYPE(None, ctypes.c_int64, *[ctypes.c_void_p] * (ARITY[name] + 1))
    function = prototype(code.addresses[symbol])

    def call(*arrays: np.ndarray, keep: object = code) -> np.ndarray:
        padded = -(-arrays[0].size // width) * width
        buffers = [np.ones(padded, DTYPES[type_name]) for _ in range(len(arrays) + 1)]
        for buffer, array in zip(buffers[1:], arrays, strict=True):
            buffer[: array.size] = array
        function(padded, *[buffer.ctypes.data for buffer in buffers])
        return buffers[0][: arrays[0].size]

    return call


def host_has_fma() -> bool:
    """Whether llvm.fma is an instruction here."""
    return bool(llvm.get_host_cpu_features().get("fma", not engine.host_target().triple.startswith("x86")))


def worst_error(got: np.ndarray, arrays: Sequence[np.ndarray], reference: Callable[..., Any]) -> tuple[float, Any]:
    """The largest error in units in the last place against an mpmath function, and the arguments where it is."""
    limits = np.finfo(got.dtype)
    digits = int(limits.nmant) + 1
    smallest = mpmath.mpf(float(limits.smallest_subnormal))
    overflow = mpmath.mpf(float(limits.max)) * (1 + mpmath.mpf(2) ** -(digits + 1))
    worst: tuple[float, Any] = (0.0, None)
    for i, value in enumerate(got.tolist()):
        point = [float(array[i]) for array in arrays]
        exact = reference(*[mpmath.mpf(argument) for argument in point])
        if np.isinf(value) and abs(exact) >= overflow and (value > 0) == (exact > 0):
            continue
        if not np.isfinite(value):
            return float("inf"), (point, value)
        unit = max(mpmath.ldexp(1, mpmath.frexp(exact)[1] - digits), smallest) if exact else smallest
        error = float(abs(mpmath.mpf(value) - exact) / unit)
        if error > worst[0]:
            worst = error, (point, value)
    return worst


def errors_against(got: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Errors in units in the last place against longer floats; 0 where both are nan or the same infinity."""
    limits = np.finfo(got.dtype)
    with np.errstate(all="ignore"):
        exponent = np.frexp(exact)[1].astype(np.int64) - (int(limits.nmant) + 1)
        exponent = np.maximum(exponent, int(np.log2(limits.smallest_subnormal)))
        errors = np.abs(np.ldexp(got.astype(exact.dtype) - exact, -exponent)).astype(float)
        same = (got == exact.astype(got.dtype)) & ~np.isfinite(got) | (np.isnan(got) & np.isnan(exact))
    errors[same] = 0.0
    return np.where(np.isnan(errors), np.inf, errors)
