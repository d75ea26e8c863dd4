"""What the call path needs of the pool of buffers: a context for a kernel, NumPy arrays with the pool's memory."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import numpy as np

__all__ = ["Context", "context_template", "memory_handler", "new_array", "new_context"]


class Context(ctypes.Structure):
    """The kernel's context (``docs/architecture.md``, section 3)."""

    _fields_ = [
        ("parallel_for", ctypes.c_void_p),
        ("allocate", ctypes.c_void_p),
        ("release", ctypes.c_void_p),
        ("thread_count", ctypes.c_int64),
        ("error_code", ctypes.c_int64),
        ("error_values", ctypes.c_int64 * 4),
    ]


@cache
def context_template() -> Context:
    """The context whose shared fields every call copies."""
    return Context()


def new_context() -> Context:
    """A context for one call."""
    return Context.from_buffer_copy(context_template())


def memory_handler() -> object | None:
    """The NEP-49 capsule for large arrays."""
    return None


def new_array(shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """An array for a result."""
    return np.empty(shape, dtype)
