"""What calls need of the pool of buffers: contexts for kernels, and results with the pool's memory.

This module owns the way to ``codegen_llvm.buffers`` for the call path, and that its machine code comes from the disk
cache. It knows nothing of programs.
"""

from __future__ import annotations

import ctypes
import functools
import math
from typing import Any, ClassVar

import numpy as np

from tracejit.codegen_llvm import buffers, engine, support
from tracejit.runtime import cache, layout

__all__ = [
    "address_of",
    "context_template_address",
    "forget",
    "load_support",
    "new_array",
    "new_context",
    "new_record",
    "new_result_address",
    "release_address",
    "take_over",
    "take_over_address",
]

_POOLED_BYTES = 1 << 16  # smaller results come from NumPy's own allocator, which is quicker for them


@functools.cache
def load_support() -> None:
    """Let the support code come from disk where an earlier process left it."""
    disk = cache.default_cache()

    def name(text: str) -> str:
        return cache.key("support", text, engine.host_target().key)

    def fetch(text: str) -> bytes | None:
        stored = disk.load(name(text))
        return None if stored is None else stored.get("object")

    def keep(text: str, code: bytes) -> None:
        disk.store(name(text), {"object": code})

    support.set_object_store(fetch, keep)


def context_template_address() -> int:
    """The address of the context whose first four words every call copies."""
    load_support()
    return buffers.context_template_address()


class CallContext(buffers.Context):
    """A context, and behind it the address of what answers callbacks."""

    _fields_: ClassVar = [("server", ctypes.c_void_p)]


def new_context() -> tuple[int, CallContext]:
    """A context for one call: its address, and the object that owns it."""
    context = CallContext.from_buffer_copy(_template())
    return ctypes.addressof(context), context


@functools.cache
def _template() -> CallContext:
    template = CallContext()
    ctypes.memmove(ctypes.addressof(template), context_template_address(), buffers.CONTEXT_BYTES)
    return template


def new_result_address() -> int:
    """The address of the pool's function that makes results, or 0 where NumPy's arrays are laid out otherwise."""
    load_support()
    return buffers.new_result_address() if buffers.results_are_native() else 0


def take_over_address() -> int:
    """The address of the pool's function that makes an array of the memory that a kernel claimed."""
    load_support()
    return buffers.take_over_address()


def release_address() -> int:
    """The address of the pool's function that takes back what nobody took over."""
    load_support()
    return buffers.release_address()


def address_of(found: np.ndarray[Any, Any]) -> int:
    """Where the elements of an array begin."""
    if layout.problem() is None:  # ten times as fast as found.ctypes.data
        return ctypes.c_uint64.from_address(id(found) + layout.ARRAY_DATA).value
    return found.ctypes.data


def new_record(rank: int) -> np.ndarray[Any, Any]:
    """What a kernel is given for an array whose memory it claims: nothing is claimed yet."""
    return np.zeros(layout.RECORD_DIMS // 8 + rank, np.int64)


def take_over(record: np.ndarray[Any, Any], dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """The array for which a kernel has filled this record."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(dtype))  # which it keeps
    array: np.ndarray[Any, Any] = _take_over()(id(dtype), len(record) - layout.RECORD_DIMS // 8, address_of(record))
    return array


@functools.cache
def _take_over() -> Any:
    return ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)(take_over_address())


def forget(record: np.ndarray[Any, Any]) -> None:
    """Give back what a kernel claimed, if nobody has taken it over."""
    if record[0]:
        ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(release_address())(int(record[0]), 0)
        record[0] = 0


def new_array(shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """A new array; a large one with memory from the pool."""
    if math.prod(shape) * dtype.itemsize < _POOLED_BYTES:
        return np.empty(shape, dtype)
    load_support()
    switch = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object)(buffers.set_handler_address())
    before = switch(buffers.memory_handler())
    try:
        return np.empty(shape, dtype)
    finally:
        switch(before)
