"""The support objects: machine code that every program shares, compiled once.

Owns what they contain, their loading for the life of the process, and their repair after `fork`. It must not know
arrays or programs. `threads.py`, `buffers.py` and `blas.py` are their Python faces.

There are four parts, each compiled and loaded at its first use: "core" (thread pool, buffer pool, Context), "products"
(matrix products), "halves" (16-bit floats) and "draws" (random numbers). `set_object_store` lets the runtime keep the
object code between processes. They are never unloaded: workers sleep in them, and arrays that outlive everything are
freed by them.
"""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Callable

from tracejit.codegen_llvm import engine
from tracejit.codegen_llvm.buffers_pool import buffer_pool_text
from tracejit.codegen_llvm.draws import OWN_DRAWS, draws_text, numpy_draw
from tracejit.codegen_llvm.halves import CONVERSIONS, halves_text
from tracejit.codegen_llvm.products import REALS, products_text
from tracejit.codegen_llvm.threads_posix import thread_pool_text

__all__ = [
    "PARTS",
    "has_native_threads",
    "resolve_symbol",
    "set_object_store",
    "support_address",
    "support_object",
    "support_text",
    "word",
]

_CALLABLE = (
    "tj_allocate",
    "tj_release",
    "tj_new_result",
    "tj_take_over",
    "tj_handler_malloc",
    "tj_handler_calloc",
    "tj_handler_realloc",
    "tj_handler_free",
    "tj_pool_trim",
    "tj_pool_reset",
)
_DATA = ("tj_context", "tj_numpy", "tj_pool_limit", "tj_pool_retained", "tj_pool_hits", "tj_pool_misses")
_THREADS = ("tj_parallel_for", "tj_threads_reset", "tj_threads", "tj_spin_ns")


def has_native_threads() -> bool:
    """Whether this platform has POSIX threads, and so the pool of `threads_posix.py`."""
    return os.name == "posix"


# What each part defines, and so which part a symbol is in.
PARTS: dict[str, tuple[str, ...]] = {
    "core": _CALLABLE + _DATA + (_THREADS if has_native_threads() else ()),
    "products": ("tj_blas_threads", *(f"tj_{kind}_{real}" for real in REALS for kind in ("gemm", "blas"))),
    "halves": tuple("tj_" + name.strip("_") for name in CONVERSIONS),
    "draws": OWN_DRAWS,
}
_PART_OF = {symbol: part for part, symbols in PARTS.items() for symbol in symbols}

_SHARED = """
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
declare i64 @llvm.smax.i64(i64, i64)
declare i64 @llvm.smin.i64(i64, i64)
"""

# The fields of Context (docs/architecture.md); programs copy it, so that each call has error slots of its own.
_CONTEXT = """
@tj_context = global {ptr, ptr, ptr, i64, i64, [4 x i64], ptr}
  {ptr $parallel_for, ptr @tj_allocate, ptr @tj_release, i64 1, i64 0, [4 x i64] zeroinitializer, ptr null}, align 64
"""


def support_text(part: str = "core") -> str:
    """Return the LLVM text of a part for this platform."""
    if part == "products":
        return _SHARED + products_text()
    if part == "halves":
        return halves_text()
    if part == "draws":
        return draws_text()
    native = has_native_threads()
    text = _SHARED + _CONTEXT.replace("$parallel_for", "@tj_parallel_for" if native else "null") + buffer_pool_text()
    if native:
        text += "@tj_threads = global i64 1, align 8\n" + thread_pool_text()
    return text


_fetch: Callable[[str], bytes | None] = lambda text: None  # noqa: E731
_keep: Callable[[str, bytes], None] = lambda text, code: None  # noqa: E731


def set_object_store(fetch: Callable[[str], bytes | None], keep: Callable[[str, bytes], None]) -> None:
    """Ask ``fetch(text)`` before compiling a part, and pass what it compiled to ``keep(text, code)``."""
    global _fetch, _keep
    _fetch, _keep = fetch, keep


@functools.cache
def support_object(part: str = "core") -> bytes:
    """Return the object code of a part, from the object store or compiled now."""
    text = support_text(part)
    code = _fetch(text)
    if code is None:
        code = engine.compile_object(text, level=engine.LEVEL_QUICK)
        _keep(text, code)
    return code


@functools.cache
def _load_part(part: str) -> engine.LoadedCode:
    loaded = engine.load_object(support_object(part), *PARTS[part])
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(loaded))  # for ever: even interpreter shutdown must not unload it
    if part == "core":
        _call_if_there(loaded, "tj_threads_reset")
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_repair_after_fork)
    return loaded


def _call_if_there(loaded: engine.LoadedCode, name: str) -> None:
    if name in loaded.addresses:
        ctypes.CFUNCTYPE(None)(loaded.addresses[name])()


def _repair_after_fork() -> None:
    _call_if_there(_load_part("core"), "tj_pool_reset")
    _call_if_there(_load_part("core"), "tj_threads_reset")


def support_address(name: str) -> int:
    """Return the address of a function or word of the support objects, loading its part first if need be.

    >>> support_address("tj_allocate") > 0
    True
    """
    with engine.lock:
        return _load_part(_PART_OF[name]).addresses[name]


def word(name: str, index: int = 0) -> ctypes.c_int64:
    """Return one 8-byte word of the support objects' data as a ctypes integer that reads and writes it."""
    return ctypes.c_int64.from_address(support_address(name) + 8 * index)


def resolve_symbol(name: str) -> int | None:
    """Return the address of a symbol that LLVM or programs use by name; products need `blas.py` to prepare them."""
    if name in CONVERSIONS:
        return support_address("tj_" + name.strip("_"))
    if name in PARTS["core"] or name in OWN_DRAWS:
        return support_address(name)
    return numpy_draw(name)
