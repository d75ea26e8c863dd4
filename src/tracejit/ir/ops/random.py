"""Random bits, from NumPy's own bit generators: by the C functions that each of them has."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from tracejit.ir.ops.common import require
from tracejit.ir.primitive import primitive
from tracejit.ir.types import ArrayType, scalar

__all__ = ["random_bits"]

C_TYPES: dict[str, Any] = {"float64": ctypes.c_double, "uint64": ctypes.c_uint64, "uint32": ctypes.c_uint32}


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
