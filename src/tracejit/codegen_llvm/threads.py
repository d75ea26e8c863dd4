"""The threads that parallel loops run on: how many, and the address of the `parallel_for` that machine code calls.

Owns the number of threads and the choice between two pools of the same contract (docs/architecture.md, section 3):
the native one in the support object where the platform has POSIX threads, and one on `concurrent.futures` elsewhere.
It must not know what the loops compute.
"""

from __future__ import annotations

import ctypes
import functools
import itertools
import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from tracejit.codegen_llvm import engine, support

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

__all__ = [
    "default_thread_count",
    "executor_parallel_for_address",
    "parallel_for_address",
    "set_thread_count",
    "thread_count",
    "use_executor",
]

_CONTEXT_PARALLEL_FOR, _CONTEXT_THREAD_COUNT = 0, 3
_count: int | None = None
_executor_forced = False


def _quota() -> int | None:
    """How many CPUs' worth of time the container may use, if that is limited."""
    try:
        with open("/sys/fs/cgroup/cpu.max") as file:
            limit, period = file.read().split()
        return None if limit == "max" else max(1, -(-int(limit) // int(period)))
    except (OSError, ValueError):
        return None


def default_thread_count() -> int:
    """Return ``TRACEJIT_NUM_THREADS``, else the number of CPUs this process may use.

    >>> default_thread_count() >= 1
    True
    """
    setting = os.environ.get("TRACEJIT_NUM_THREADS", "").strip()
    if setting:
        if not setting.isdecimal() or int(setting) < 1:
            raise ValueError(f"TRACEJIT_NUM_THREADS must be a positive whole number, not {setting!r}")
        return int(setting)
    affinity = getattr(os, "sched_getaffinity", None)
    count = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    return min(count, _quota() or count)


def thread_count() -> int:
    """Return how many threads a parallel loop may use, the calling one included."""
    global _count
    with engine.lock:
        if _count is None:
            _count = default_thread_count()
        return _count


def set_thread_count(count: int) -> None:
    """Let parallel loops use ``count`` threads from now on; a loop that is running keeps its own number."""
    global _count
    if count < 1:
        raise ValueError(f"a parallel loop needs at least one thread, not {count}")
    with engine.lock:
        _count = count
        if parallel_for_address.cache_info().currsize:
            _publish()


def _publish() -> None:
    """Tell machine code: the pool itself, and the template of Context."""
    count = thread_count()
    if support.has_native_threads():
        support.word("tj_threads").value = count
    support.word("tj_context", _CONTEXT_THREAD_COUNT).value = count


def use_executor(forced: bool) -> None:
    """Use the Python thread pool even where there is a native one, or stop doing so (for tests and comparisons)."""
    global _executor_forced
    with engine.lock:
        _executor_forced = forced
        parallel_for_address.cache_clear()
        parallel_for_address()


@functools.cache
def parallel_for_address() -> int:
    """Return the C address of ``parallel_for``, ready to be called; workers start at its first parallel loop.

    >>> parallel_for_address() > 0
    True
    """
    with engine.lock:
        native = support.has_native_threads() and not _executor_forced
        address = support.support_address("tj_parallel_for") if native else executor_parallel_for_address()
        support.word("tj_context", _CONTEXT_PARALLEL_FOR).value = address
        engine.define_symbol("tj_parallel_for", address)
        _publish()
        return address


# The pool for platforms without POSIX threads ----------------------------------------------------------------------

_Body = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
_ParallelFor = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
_taken = threading.Lock()
_executor: ThreadPoolExecutor | None = None


def _workers() -> ThreadPoolExecutor:
    global _executor
    if _executor is None:
        from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415  takes 10 ms to import, and most platforms never need it

        _executor = ThreadPoolExecutor(max(os.cpu_count() or 1, thread_count()), thread_name_prefix="tracejit")
    return _executor


def _forget_executor() -> None:
    """In a forked child the workers are gone and the lock may be held by a thread that is."""
    global _executor, _taken
    _executor, _taken = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_executor)


def _run_pieces(body: Callable[[int, int, int], None], closure: int, count: int, grain: int, threads: int) -> None:
    """Share [0, count) among the caller and workers; a piece costs some microseconds here, so there are few."""
    piece = -(-count // (threads * 4 * grain)) * grain
    begins = itertools.count(0, piece)  # next() is atomic

    def work() -> None:
        for begin in begins:
            if begin >= count:
                return
            body(closure, begin, min(begin + piece, count))

    helpers = min(threads, -(-count // piece)) - 1
    try:
        futures = [_workers().submit(work) for _ in range(helpers)]
    except RuntimeError:  # the interpreter is shutting down and starts no threads any more
        futures = []
    work()
    for future in futures:
        if not future.cancel():  # one that has not begun by now is not needed
            future.result()


def _executor_parallel_for(body: int, closure: int | None, count: int, grain: int) -> None:
    function = _Body(body)
    threads, grain = thread_count(), max(grain, 1)
    if threads > 1 and count > grain and _taken.acquire(blocking=False):
        lock = _taken
        try:
            _run_pieces(function, closure or 0, count, grain, threads)
        finally:
            lock.release()
    elif count > 0:
        function(closure or 0, 0, count)


_executor_callback = _ParallelFor(_executor_parallel_for)


def executor_parallel_for_address() -> int:
    """Return the C address of the Python pool's ``parallel_for``; it takes the GIL, its workers' loops do not."""
    return ctypes.cast(_executor_callback, ctypes.c_void_p).value or 0
