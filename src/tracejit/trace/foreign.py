"""Data of other libraries: which objects count as arrays, and which are refused, with what to write instead.

An object counts as an array if NumPy's functions take it for one: it has ``__array__`` (columns of pandas, tensors of
torch), ``__array_interface__``, ``__dlpack__`` or a buffer of numbers (``array.array``, ``memoryview``). Programs see
``np.asarray`` of it, at each call anew.
"""

from __future__ import annotations

import array
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

from tracejit.errors import UnsupportedError
from tracejit.trace.dtypes import DType, check_dtype
from tracejit.trace.location import describe, user_location

__all__ = ["check_alignment", "check_array", "is_foreign", "plain_array"]

_PLAIN = frozenset((np.ndarray, bool, int, float, complex, str, bytes, type(None), list, tuple, dict))
_BUFFERS = (memoryview, array.array)
_ATTRIBUTES = ("__array__", "__array_interface__", "__dlpack__", "__cuda_array_interface__")
_ON_HOST = (1, 3, 11)  # DLPack's numbers of devices whose memory the CPU reads: CPU, pinned for CUDA, pinned for ROCm
_INSTEAD = {
    "O": "convert it to a dtype of numbers first, x.astype(float)",
    "U": "convert it to numbers first, x.astype(float)",
    "S": "convert it to numbers first, x.astype(float)",
    "T": "convert it to numbers first, x.astype(float)",
    "M": "pass the integers behind it, x.view(np.int64)",
    "m": "pass the integers behind it, x.view(np.int64)",
    "V": "pass its fields one by one, x['name']",
    "f": "convert it first, x.astype(np.float64)",
    "c": "convert it first, x.astype(np.complex128)",
}


def is_foreign(value: Any) -> bool:
    """Whether a value counts as an array and is none of NumPy's."""
    kind = type(value)
    if kind in _PLAIN or isinstance(value, (np.ndarray, np.generic, type)):
        return False
    return isinstance(value, _BUFFERS) or any(hasattr(kind, name) or hasattr(value, name) for name in _ATTRIBUTES)


def plain_array(value: Any, what: str) -> np.ndarray[Any, Any]:
    """The array that NumPy takes a foreign object for, without a copy if there is none to make."""
    kind = type(value)
    device = getattr(value, "__dlpack_device__", None)
    on_host = device is None or int(device()[0]) in _ON_HOST
    readable = isinstance(value, _BUFFERS) or hasattr(value, "__array__") or hasattr(value, "__array_interface__")
    if not on_host or not (readable or device is not None):
        raise TypeError(
            f"{what} is a {kind.__module__}.{kind.__qualname__} in the memory of a GPU, which compiled code does not "
            "reach; copy it to the host first: x.cpu() for torch, x.get() for CuPy"
        )
    return np.asarray(value) if readable else np.from_dlpack(value)


def check_alignment(leaves: Sequence[Any]) -> None:
    """Raise UnsupportedError for columns of pandas that pandas would align by label: programs go by position."""
    columns = [leaf for leaf in leaves if type(leaf).__module__.split(".")[0] == "pandas" and hasattr(leaf, "align")]
    columns = [column for column in columns if column.ndim == 1]
    for first, second in combinations(columns, 2):
        if len(first) == len(second) and not first.index.equals(second.index):
            raise UnsupportedError(
                f"two arguments are pandas columns of one length with different indexes{_place()}; pandas aligns them "
                "by label, compiled code sees arrays: align them first, a, b = a.align(b, join='inner'), or pass "
                "a.to_numpy() and b.to_numpy()"
            )


def check_array(value: np.ndarray[Any, Any], what: str) -> None:
    """Raise TypeError for arrays that are not of numbers, and for subclasses, whose operations are their own."""
    kind = type(value)
    if kind is not np.ndarray and kind is not np.memmap:
        instead = "pass a plain array, np.asarray(x)"
        if isinstance(value, np.ma.MaskedArray):
            instead = "masks are not known to compiled code; pass x.filled(value), or x.data and x.mask as two arrays"
        elif isinstance(value, np.matrix):
            instead = "its * is the product of matrices and it never has one axis; pass np.asarray(x), and write @"
        raise TypeError(
            f"{what} is a {kind.__module__}.{kind.__qualname__}{_place()}, and such arrays are not compiled: {instead}"
        )
    check_dtype_of(value.dtype, what)


def check_dtype_of(dtype: DType, what: str) -> None:
    """Raise TypeError for dtypes that are not numbers or bools, with what to write instead."""
    try:
        check_dtype(dtype, what)
    except TypeError as problem:
        raise TypeError(f"{problem}; {_INSTEAD.get(dtype.kind, 'convert it first')}") from None


def _place() -> str:
    found = user_location()
    return "" if found is None else f" ({describe(found)})"
