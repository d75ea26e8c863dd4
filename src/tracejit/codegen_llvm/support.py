"""The support object: all machine code that every program shares, compiled once.

Owns the object's contents (thread pool and buffer pool), its loading for the life of the process
and its repair after `fork`. It must not know arrays or programs. `threads.py` and `buffers.py` are its Python faces.

The code is compiled at the first use, unless `provide_object` hands in the bytes from an earlier process; `support_object`
returns them for keeping. It is never unloaded: workers sleep in it, and arrays that outlive everything are freed by it.
"""

from __future__ import annotations

import ctypes
import functools
import os
import threading

from tracejit.codegen_llvm import engine
from tracejit.codegen_llvm.buffers_pool import buffer_pool_text
from tracejit.codegen_llvm.halves import CONVERSIONS, halves_text

__all__ = ["has_native_threads", "provide_object", "support_address", "support_object", "support_text", "word"]

_FUNCTIONS = ("tj_allocate", "tj_release", "tj_new_result", "tj_pool_trim", "tj_pool_reset")
_HANDLER = ("tj_handler_malloc", "tj_handler_calloc", "tj_handler_realloc", "tj_handler_free")
_WORDS = ("tj_pool_limit", "tj_pool_retained", "tj_pool_hits", "tj_pool_misses", "tj_numpy", "tj_context")
_THREADS = ("tj_parallel_for", "tj_threads_reset", "tj_threads", "tj_spin_ns")

_lock = threading.RLock()
_object: bytes | None = None
_loaded: engine.LoadedCode | None = None


def has_native_threads() -> bool:
    """Whether this platform has POSIX threads, and so the pool of `threads_posix.py`."""
    return os.name == "posix"


_SHARED = """
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
declare i64 @llvm.smax.i64(i64, i64)
declare i64 @llvm.smin.i64(i64, i64)
"""

# The fields of Context (docs/architecture.md); programs copy it, so that each call has error slots of its own.
_CONTEXT = """
@tj_context = global {ptr, ptr, ptr, i64, i64, [4 x i64]}
  {ptr $parallel_for, ptr @tj_allocate, ptr @tj_release, i64 1, i64 0, [4 x i64] zeroinitializer}, align 64
"""


def support_text() -> str:
    """Return the LLVM text of the support object for this platform."""
    native = has_native_threads()
    text = _SHARED + _CONTEXT.replace("$parallel_for", "@tj_parallel_for" if native else "null")
    text += buffer_pool_text()
    if native:
        from tracejit.codegen_llvm.threads_posix import thread_pool_text  # uses modules that other platforms lack

        text += "@tj_threads = global i64 1, align 8\n" + thread_pool_text()
    return text


def support_object() -> bytes:
    """Return the object code, compiled now unless it is already there."""
    global _object
    with _lock:
        if _object is None:
            _object = engine.compile_object(support_text(), level=engine.LEVEL_QUICK)
        return _object


def provide_object(code: bytes) -> bool:
    """Use bytes that `support_object` returned in an earlier process; False when the code is already in use."""
    global _object
    with _lock:
        if _object is not None:
            return False
        _object = code
        return True


def _addresses() -> dict[str, int]:
    global _loaded
    with _lock:
        if _loaded is not None:
            return _loaded.addresses
        names = [*_FUNCTIONS, *_HANDLER, *_WORDS]
        if has_native_threads():
            names += _THREADS
        loaded = _loaded = engine.load_object(support_object(), *names)
        _keep_for_ever(loaded)
        for name in (*_FUNCTIONS, *_HANDLER):
            engine.define_symbol(name, loaded.addresses[name])
        if has_native_threads():
            engine.define_symbol("tj_parallel_for", loaded.addresses["tj_parallel_for"])
            _call(loaded.addresses["tj_threads_reset"])
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_repair_after_fork)
        return loaded.addresses


@functools.cache
def _conversions() -> dict[str, int]:
    """An object of its own, since few programs need it."""
    names = ["tj_" + name.strip("_") for name in CONVERSIONS]
    loaded = engine.load_object(engine.compile_object(halves_text(), level=engine.LEVEL_QUICK), *names)
    _keep_for_ever(loaded)
    return dict(zip(CONVERSIONS, loaded.addresses.values(), strict=True))


def _keep_for_ever(loaded: engine.LoadedCode) -> None:
    """Even interpreter shutdown must not unload it."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(loaded))


def _call(address: int) -> None:
    ctypes.CFUNCTYPE(None)(address)()


def _repair_after_fork() -> None:
    addresses = _addresses()
    _call(addresses["tj_pool_reset"])
    if "tj_threads_reset" in addresses:
        _call(addresses["tj_threads_reset"])


def support_address(name: str) -> int:
    """Return the address of a function or word of the support object, loading it first if need be.

    >>> support_address("tj_allocate") > 0
    True
    """
    return _addresses()[name]


def word(name: str, index: int = 0) -> ctypes.c_int64:
    """Return one 8-byte word of the support object's data as a ctypes integer that reads and writes it."""
    return ctypes.c_int64.from_address(support_address(name) + 8 * index)


def _resolve(name: str) -> int | None:
    """Symbols that programs use without knowing that they are ours."""
    if name in CONVERSIONS:
        return _conversions()[name]
    if name in _FUNCTIONS or name in _HANDLER or name == "tj_parallel_for":
        return support_address(name)
    return None


engine.add_symbol_resolver(_resolve)
