"""Compiles loop-level functions and runs them on NumPy arrays; parallel loops are split in random ways and orders."""

from __future__ import annotations

import ctypes
import random
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from tracejit.codegen_llvm import engine
from tracejit.codegen_llvm.emit import emit_kernel
from tracejit.ir.builder import Builder
from tracejit.ir.core import Function
from tracejit.ir.ops import PRIMITIVES
from tracejit.ir.primitive import Primitive
from tracejit.ir.types import ArrayType, BufferType, dtype_named
from tracejit.lowering.loops import for_loop, store


class Context(ctypes.Structure):
    """The context of docs/architecture.md, section 3."""

    _fields_ = (
        ("parallel_for", ctypes.c_void_p),
        ("allocate", ctypes.c_void_p),
        ("release", ctypes.c_void_p),
        ("thread_count", ctypes.c_int64),
        ("error_code", ctypes.c_int64),
        ("error_values", ctypes.c_int64 * 4),
    )


_BODY = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
_blocks: dict[int, tuple[Any, int]] = {}
chunks: list[tuple[int, int]] = []
"""The ranges of all calls of parallel bodies since the last run began."""


@ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_int64)
def _allocate(size: int) -> int:
    memory = np.full(size + 128, 0xAB, np.uint8)
    address = (memory.ctypes.data + 63) // 64 * 64
    _blocks[address] = (memory, size)
    return address


@ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)
def _release(address: int, size: int) -> None:
    assert _blocks.pop(address)[1] == size


@ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
def _parallel_for(body: int, closure: int, count: int, grain: int) -> None:
    assert grain >= 1
    ranges, begin = [], 0
    while begin < count:
        size = grain + random.randrange(0, grain + 1)
        ranges.append((begin, min(begin + size, count)))
        begin += size
    random.shuffle(ranges)
    chunks.extend(ranges)
    for begin, end in ranges:
        _BODY(body)(closure, begin, end)


def make_target(vector_bits: int | None = None) -> Any:
    """The host, with another size of vector registers."""
    host = engine.host_target()
    return SimpleNamespace(triple=host.triple, features=host.features, vector_bits=vector_bits or host.vector_bits)


class Compiled:
    """A compiled function: call it with its buffers and the values of its size symbols."""

    def __init__(self, function: Function, vector_bits: int | None = None, level: int = engine.LEVEL_SHORT) -> None:
        self.kernel = emit_kernel(function, make_target(vector_bits))
        self.code = engine.load_object(engine.compile_object(self.kernel.text, level=level), "kernel")
        self.context = Context()
        self._entry = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)(
            self.code.address
        )

    def __call__(self, arrays: Sequence[np.ndarray[Any, Any]], sizes: Sequence[int] = (), threads: int = 1) -> int:
        assert all(array.flags.c_contiguous for array in arrays)
        data = (ctypes.c_void_p * max(len(arrays), 1))(*[array.ctypes.data for array in arrays])
        values = (ctypes.c_int64 * max(len(sizes), 1))(*sizes)
        functions = [ctypes.cast(f, ctypes.c_void_p).value for f in (_parallel_for, _allocate, _release)]
        self.context = Context(*functions, threads, 0)
        chunks.clear()
        code: int = self._entry(data, values, ctypes.byref(self.context))
        assert not _blocks, "memory was not released"
        return code


def buffer(name: str, *dims: Any) -> BufferType:
    """A buffer's type by the short name of its dtype."""
    return BufferType(dtype_named(name), dims)


def loop_function(params: Sequence[BufferType], emit: Callable[..., None]) -> Function:
    """A loop-level function whose body is emitted by ``emit(*params)``."""
    builder = Builder()
    with builder:
        emit(*[builder.param(type) for type in params])
        return builder.finish([], name="f")


def elementwise_function(
    op: Primitive, dtypes: Sequence[Any], dim: Any, kind: str = "vector", **attrs: Any
) -> Function:
    """``out[i] = op(x[i], ...)``."""
    result = op.infer(*[ArrayType(dtype) for dtype in dtypes], **attrs)

    def emit(*params: Any) -> None:
        *inputs, out = params

        def body(i: Any, _: Any) -> list[Any]:
            store(op(*[PRIMITIVES["load"](x, i) for x in inputs], **attrs), out, [i])
            return []

        for_loop(dim, body, kind=kind, cost=len(params))

    return loop_function([BufferType(dtype, (dim,)) for dtype in (*dtypes, result.dtype)], emit)


def same_bits(a: Any, b: Any) -> Any:
    """Lanes that have the same bits, or are both NaN."""
    a, b = np.asarray(a), np.asarray(b)
    assert a.dtype == b.dtype, (a.dtype, b.dtype)
    if a.dtype.kind == "c":
        return same_bits(a.real, b.real) & same_bits(a.imag, b.imag)
    if a.dtype.kind == "V":
        a, b = a.astype(np.float32), b.astype(np.float32)
    if a.dtype.kind != "f":
        return a == b
    bits = f"u{a.dtype.itemsize}"
    return (np.ascontiguousarray(a).view(bits) == np.ascontiguousarray(b).view(bits)) | (np.isnan(a) & np.isnan(b))
