"""Functions for which NumPy's own Python source is traced: it is made of functions that tracejit knows.

Only functions whose source has been found to work are listed; each is tested against NumPy like the others.
"""

from __future__ import annotations

from collections.abc import Callable
from types import CellType, FunctionType
from typing import Any

import numpy as np

from tracejit.trace.base import unknown_function
from tracejit.trace.calls import Hook
from tracejit.trace.registry import FUNCTIONS
from tracejit.trace.syntax import HOOK, rewritten_code

__all__: list[str] = []

_NAMES = (
    "apply_over_axes corrcoef cov cross geomspace gradient ix_ polyadd polysub polyval real_if_close resize unwrap "
    "vander"
)
_LINALG = "matrix_norm matrix_power multi_dot outer vector_norm"
_SAME = {"matmul": "matmul", "tensordot": "tensordot", "vecdot": "vecdot", "matrix_transpose": "matrix_transpose"}


def _from_source(function: Any) -> Callable[..., Any]:
    """The function as NumPy wrote it, with rewritten syntax; rewritten at its first use."""
    made: list[FunctionType] = []

    def implementation(*args: Any, **kwargs: Any) -> Any:
        if not made:
            source: FunctionType = function.__wrapped__
            code = rewritten_code(source)
            if code is None:
                raise unknown_function(function)
            cells = dict(zip(source.__code__.co_freevars, source.__closure__ or (), strict=True))
            cells[HOOK] = CellType(Hook(source.__globals__, cells))
            closure = tuple(cells[name] for name in code.co_freevars)
            result = FunctionType(code, source.__globals__, source.__name__, source.__defaults__, closure)
            result.__kwdefaults__ = source.__kwdefaults__
            made.append(result)
        return made[0](*args, **kwargs)

    return implementation


def _register() -> None:
    for module, names in ((np, _NAMES), (np.linalg, _LINALG)):
        for name in names.split():
            function = getattr(module, name, None)
            if hasattr(function, "__wrapped__"):
                FUNCTIONS[function] = _from_source(function)
    for name, other in _SAME.items():
        if hasattr(np.linalg, name):
            FUNCTIONS[getattr(np.linalg, name)] = _same_as(getattr(np, other))


def _same_as(function: Any) -> Callable[..., Any]:
    return lambda *args, **kwargs: FUNCTIONS[function](*args, **kwargs)


_register()
