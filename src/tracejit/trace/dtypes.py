"""Which dtypes an operation works in: always NumPy's own answer, remembered.

A *kind* is a dtype, or one of ``int float complex`` for a Python number, which is weak (NEP 50).
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from tracejit.ir.types import dtype_name

__all__ = ["DType", "Kind", "check_dtype", "kind_dtype", "loop_dtypes", "result_type", "sum_dtype"]

DType: TypeAlias = "np.dtype[Any]"
Kind: TypeAlias = "DType | type"

BOOL = np.dtype(np.bool_)
INT64 = np.dtype(np.int64)
FLOAT64 = np.dtype(np.float64)
COMPLEX128 = np.dtype(np.complex128)
PYTHON_DTYPES: dict[type, DType] = {bool: BOOL, int: INT64, float: FLOAT64, complex: COMPLEX128}

_loops: dict[Any, tuple[DType, ...]] = {}
_sums: dict[tuple[Any, DType], DType] = {}
_SAMPLES: dict[type, Any] = {int: 0, float: 0.0, complex: 0j}


def kind_dtype(kind: Kind) -> DType:
    """The dtype that a value of this kind has by itself."""
    return PYTHON_DTYPES[kind] if isinstance(kind, type) else kind


def loop_dtypes(
    ufunc: np.ufunc, kinds: tuple[Kind, ...], dtype: DType | None = None, casting: Any = "same_kind"
) -> tuple[DType, ...]:
    """The dtypes of the operands and results of a ufunc on operands of these kinds.

    Example:
        >>> loop_dtypes(np.add, (np.dtype("f4"), float))
        (dtype('float32'), dtype('float32'), dtype('float32'))
    """
    key = (ufunc, kinds, dtype, casting)
    known = _loops.get(key)
    if known is None:
        types: Any = kinds + (None,) * ufunc.nout
        keywords: Any = {} if dtype is None else {"signature": (None,) * ufunc.nin + (dtype,) * ufunc.nout}
        # Asked for Python numbers and no casts at all, NumPy 2.4 ends the process, so the casts are judged here.
        strict = casting in ("no", "equiv")
        known = ufunc.resolve_dtypes(types, casting="same_kind" if strict else casting, **keywords)
        pairs = [pair for pair in zip(kinds, known, strict=False) if strict and not isinstance(pair[0], type)]
        if all(kind is int for kind in kinds):  # comparing Python's ints, NumPy keeps them as objects
            known = tuple([PYTHON_DTYPES[int] if loop.kind == "O" else loop for loop in known])
        if not all(np.can_cast(kind, loop, casting) for kind, loop in pairs):
            raise TypeError(f"operands of {ufunc.__name__} need casts, which casting={casting!r} rules out")
        _loops[key] = known
    return known


def result_type(*kinds: Kind) -> DType:
    """The dtype in which values of these kinds combine."""
    first = kinds[0]
    if all(kind == first for kind in kinds):
        return kind_dtype(first)
    return np.result_type(*(_SAMPLES[k] if isinstance(k, type) else k for k in kinds))


def sum_dtype(ufunc: np.ufunc, dtype: DType) -> DType:
    """The dtype of ``ufunc.reduce`` over an array: sums of small ints are wide."""
    key = (ufunc, dtype)
    known = _sums.get(key)
    if known is None:
        known = _sums[key] = ufunc.reduce(np.ones(1, dtype)).dtype
    return known


def check_dtype(dtype: DType, what: str) -> None:
    """Raise TypeError for dtypes that are not numbers or bools."""
    try:
        dtype_name(dtype)
    except TypeError:
        raise TypeError(f"{what} has dtype {dtype}; tracejit works on arrays of numbers and bools") from None
