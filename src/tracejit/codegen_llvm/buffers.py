"""Memory for results and scratch, and the Context that carries it to machine code.

Owns the Python side of the buffer pool: its limit, the NumPy memory handler (NEP 49) on top of it, how a result array
is made, and the filled-in template of Context. It must not know programs or kernels. The pool itself is machine code,
in the support object.
"""

from __future__ import annotations

import ctypes
import functools
import os
from typing import Any

import numpy as np

from tracejit.codegen_llvm import engine, support, threads
from tracejit.codegen_llvm.buffers_pool import FLAGS_OFFSET, HANDLER_OFFSET

__all__ = [
    "CONTEXT_BYTES",
    "Context",
    "allocate_address",
    "context_template_address",
    "get_handler_address",
    "make_context",
    "memory_handler",
    "new_result_address",
    "pool_statistics",
    "release_address",
    "results_are_native",
    "set_handler_address",
    "set_pool_limit",
    "take_over_address",
    "trim_pool",
]


class Context(ctypes.Structure):
    """What every kernel is passed besides its data; the layout is in docs/architecture.md, section 3."""

    _fields_ = [
        ("parallel_for", ctypes.c_void_p),
        ("allocate", ctypes.c_void_p),
        ("release", ctypes.c_void_p),
        ("thread_count", ctypes.c_int64),
        ("error_code", ctypes.c_int64),
        ("error_values", ctypes.c_int64 * 4),
        ("call_python", ctypes.c_void_p),
    ]


CONTEXT_BYTES = ctypes.sizeof(Context)
_ready = False

# Limits --------------------------------------------------------------------------------------------------------------


def _default_limit() -> int:
    setting = os.environ.get("TRACEJIT_POOL_BYTES", "").strip()
    if setting:
        if not setting.isdecimal():
            raise ValueError(f"TRACEJIT_POOL_BYTES must be a whole number of bytes, not {setting!r}")
        return int(setting)
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # not on Windows
        memory = 8 << 30
    return min(memory // 8, 4 << 30)


def _prepare() -> None:
    global _ready
    with engine.lock:
        if not _ready:
            support.word("tj_pool_limit").value = _default_limit()
            _ready = True


def set_pool_limit(limit: int) -> None:
    """Keep at most ``limit`` bytes of freed buffers; 0 keeps none."""
    _prepare()
    support.word("tj_pool_limit").value = limit
    trim_pool(limit)


def trim_pool(keep: int = 0) -> None:
    """Give freed buffers back to the system until at most ``keep`` bytes are retained."""
    ctypes.CFUNCTYPE(None, ctypes.c_int64)(support.support_address("tj_pool_trim"))(keep)


def pool_statistics() -> dict[str, int]:
    """Return the pool's limit, the bytes it retains now, and how many requests it could and could not serve.

    >>> sorted(pool_statistics())
    ['hits', 'limit', 'misses', 'retained']
    """
    _prepare()
    return {name: support.word(f"tj_pool_{name}").value for name in ("limit", "retained", "hits", "misses")}


def allocate_address() -> int:
    """Return the C address of ``void *allocate(int64_t bytes)``: 64-byte aligned, null if memory is exhausted."""
    _prepare()
    return support.support_address("tj_allocate")


def release_address() -> int:
    """Return the C address of ``void release(void *pointer, int64_t bytes)``."""
    _prepare()
    return support.support_address("tj_release")


# Context -----------------------------------------------------------------------------------------------------------


def context_template_address() -> int:
    """Return the address of the process's one filled-in Context, to copy from: it is kept up to date by `threads.py`.

    A call needs error slots of its own. The cheapest way is a Context on the caller's stack: copy the first 32 bytes
    (four 8-byte words) from here and store 0 to `error_code`; `error_values` mean nothing until that is set.
    """
    _prepare()
    threads.parallel_for_address()
    return support.support_address("tj_context")


def make_context() -> tuple[int, Context]:
    """Return a fresh Context's address and the object that owns it, for one call at a time.

    >>> address, context = make_context()
    >>> context.error_code, context.thread_count >= 1
    (0, True)
    """
    context = Context.from_buffer_copy((ctypes.c_char * CONTEXT_BYTES).from_address(context_template_address()))
    return ctypes.addressof(context), context


# NumPy -------------------------------------------------------------------------------------------------------------


class _Allocator(ctypes.Structure):
    _fields_ = [(name, ctypes.c_void_p) for name in ("context", "malloc", "calloc", "realloc", "free")]


class _Handler(ctypes.Structure):
    """NumPy's PyDataMem_Handler, version 1."""

    _fields_ = [("name", ctypes.c_char * 127), ("version", ctypes.c_uint8), ("allocator", _Allocator)]


_NEW_FROM_DESCR, _ARRAY_TYPE, _SET_HANDLER, _GET_HANDLER = 94, 2, 304, 305
_handler_storage = _Handler()  # module-level, and the capsule is immortal: arrays are freed through it at shutdown too
_CAPSULE_NAME = b"mem_handler"


@functools.cache
def _numpy_function(index: int) -> int:
    """An entry of NumPy's C API table."""
    get_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
        ("PyCapsule_GetPointer", ctypes.pythonapi)
    )
    table = get_pointer(np._core._multiarray_umath._ARRAY_API, None)  # type: ignore[attr-defined]
    return (ctypes.c_void_p * (index + 1)).from_address(table)[index] or 0


def set_handler_address() -> int:
    """Return the C address of NumPy's ``PyObject *PyDataMem_SetHandler(PyObject *)``."""
    return _numpy_function(_SET_HANDLER)


def get_handler_address() -> int:
    """Return the C address of NumPy's ``PyObject *PyDataMem_GetHandler(void)``."""
    return _numpy_function(_GET_HANDLER)


@functools.cache
def memory_handler() -> Any:
    """Return the capsule that makes NumPy allocate array data from the pool, for ``PyDataMem_SetHandler``."""
    _prepare()
    _handler_storage.name, _handler_storage.version = b"tracejit", 1
    for name in ("malloc", "calloc", "realloc", "free"):
        setattr(_handler_storage.allocator, name, support.support_address(f"tj_handler_{name}"))
    for keep in (_handler_storage, _CAPSULE_NAME):
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(keep))
    new = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)(
        ("PyCapsule_New", ctypes.pythonapi)
    )
    capsule = new(ctypes.addressof(_handler_storage), _CAPSULE_NAME, None)
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(capsule))
    return capsule


def new_result_address() -> int:
    """Return the C address of the function that makes a result array, memory from the pool included.

    ``PyObject *new_result(PyArray_Descr *descr, int rank, const npy_intp *dims, int64_t bytes)``: a C-contiguous array
    that owns its data. Steals a reference to ``descr``; NULL with an exception set when it fails. Call it with the GIL
    held, and only where `results_are_native()`.
    """
    _tell_of_numpy(id(memory_handler()))
    return support.support_address("tj_new_result")


def take_over_address() -> int:
    """Return the C address of the function that makes an array of the memory that a kernel has claimed.

    ``PyObject *take_over(PyArray_Descr *descr, int rank, void *record)``; the record is described in
    docs/architecture.md. Otherwise as `new_result_address`, and for any layout of array objects whose data NumPy's
    functions find.
    """
    _tell_of_numpy(id(memory_handler()) if results_are_native() else 0)
    return support.support_address("tj_take_over")


def _tell_of_numpy(handler: int) -> None:
    increment = ctypes.cast(ctypes.pythonapi.Py_IncRef, ctypes.c_void_p).value or 0
    values = (_numpy_function(_NEW_FROM_DESCR), _numpy_function(_ARRAY_TYPE), increment, handler)
    for index, value in enumerate(values):
        support.word("tj_numpy", index).value = value


@functools.cache
def results_are_native() -> bool:
    """Whether array objects have the layout that `new_result` relies on, tried on an array made under our handler."""
    if np.ndarray.__basicsize__ < HANDLER_OFFSET + 8:
        return False
    switch = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object)(set_handler_address())
    previous = switch(memory_handler())
    try:
        array = np.empty(1 << 17, np.uint8)
    finally:
        switch(previous)
    owner = ctypes.c_void_p.from_address(id(array) + HANDLER_OFFSET).value
    flags = [ctypes.c_int32.from_address(id(item) + FLAGS_OFFSET).value for item in (array, array[:0])]
    return owner == id(memory_handler()) and flags == [array.flags.num, array[:0].flags.num] and flags[0] & 4 == 4
