"""Functions for which NumPy's own Python source is traced: it is made of functions that tracejit knows.

Only functions whose source has been found to work are listed; each is tested against NumPy like the others.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from types import CellType, FunctionType
from typing import Any

import numpy as np

from tracejit.trace import heaps
from tracejit.trace.base import unknown_function
from tracejit.trace.builtin_functions import BUILTINS
from tracejit.trace.calls import Hook
from tracejit.trace.inputs import contains_tracer
from tracejit.trace.region import UnstageableError
from tracejit.trace.registry import FUNCTIONS, implements
from tracejit.trace.syntax import HOOK, rewritten_code
from tracejit.trace.traced_list import TracedList

__all__: list[str] = []

_NAMES = """
apply_over_axes i0 array_equiv common_type corrcoef cross cumulative_prod cumulative_sum ix_ nancumprod
nancumsum polyadd polyder polyint polysub polyval require resize unwrap vander
"""
_LINALG = "cross diagonal matrix_norm matrix_power outer trace vector_norm"
_FFT = "fftfreq fftshift ifftshift rfftfreq"
_SAME = {"matmul": "matmul", "tensordot": "tensordot", "vecdot": "vecdot", "matrix_transpose": "matrix_transpose"}


_made: dict[FunctionType, FunctionType] = {}


class _LibraryHook(Hook):
    """What rewritten functions of NumPy call: private functions of NumPy are rewritten, too."""

    __slots__ = ()

    def call(self, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        """``function(*args, **kwargs)``."""
        if type(function) is FunctionType and function not in FUNCTIONS and _is_traced(function):
            return _with_hooks(function)(*args, **kwargs)
        return super().call(function, *args, **kwargs)


def _is_traced(function: FunctionType) -> bool:
    module = function.__module__ or ""
    return module.startswith("numpy.") or module == heaps.__name__


def _with_hooks(source: FunctionType) -> FunctionType:
    """The function as NumPy wrote it, with rewritten syntax; rewritten at its first use."""
    known = _made.get(source)
    if known is not None:
        return known
    code = rewritten_code(source)
    if code is None:
        raise unknown_function(source)
    cells = dict(zip(source.__code__.co_freevars, source.__closure__ or (), strict=True))
    cells[HOOK] = CellType(_LibraryHook(source.__globals__, cells))
    closure = tuple(cells[name] for name in code.co_freevars)
    result = _made[source] = FunctionType(code, source.__globals__, source.__name__, source.__defaults__, closure)
    result.__kwdefaults__ = source.__kwdefaults__
    return result


def _from_source(function: Any) -> Callable[..., Any]:
    return lambda *args, **kwargs: _with_hooks(getattr(function, "__wrapped__", function))(*args, **kwargs)


@implements("with hooks")
def traced_source(function: FunctionType) -> FunctionType:
    """A function of this package as traced code."""
    return _with_hooks(function)


@implements("numpy source")
def call_source(function: Any, *args: Any, **kwargs: Any) -> Any:
    """Trace NumPy's own source of a function, for the arguments that our implementation leaves to it."""
    return _from_source(function)(*args, **kwargs)


def _register() -> None:
    for module, names in ((np, _NAMES), (np.linalg, _LINALG), (np.fft, _FFT)):
        for name in names.split():
            function = getattr(module, name, None)
            if function is not None:
                FUNCTIONS[function] = _from_source(function)
    for name, other in _SAME.items():
        if hasattr(np.linalg, name):
            FUNCTIONS[getattr(np.linalg, name)] = _same_as(getattr(np, other))


def _same_as(function: Any) -> Callable[..., Any]:
    return lambda *args, **kwargs: FUNCTIONS[function](*args, **kwargs)


def _on_heaps(plain: Any, ours: Any, empty: str | None) -> None:
    def replacement(heap: Any, *items: Any) -> Any:
        if not isinstance(heap, TracedList):
            if contains_tracer([heap, *items]):
                raise UnstageableError(
                    "a heap of computed values is changed that was not made by a list in the variables of this function"
                )
            return plain(heap, *items)
        if empty is not None:
            heap.check_not_empty(empty)
        return _with_hooks(ours)(heap, *items)

    BUILTINS[plain] = replacement


_on_heaps(heapq.heappush, heaps.push, None)
_on_heaps(heapq.heappop, heaps.pop, "index out of range")
_on_heaps(heapq.heapreplace, heaps.replace, "index out of range")
_on_heaps(heapq.heappushpop, heaps.push_pop, None)
_on_heaps(heapq.heapify, heaps.heapify, None)
_register()
