"""NumPy's sorts for machine code: where the C functions are, whether they do what NumPy does, and their names.

Owns the addresses of the functions that NumPy keeps for each dtype, which have its vector instructions and its order of
equal elements. They sort one line of aligned numbers in memory and need neither the GIL nor an array object. It must
not know which programs sort, nor what becomes of those for which there is no such function.

They are found through NumPy's table of C functions, whose layout is the same for all of NumPy 2; each is tried on a
sample before a program may use it.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
import re
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from tracejit.codegen_llvm.blas import capsule_address
from tracejit.ir.types import dtype_name, dtype_named

__all__ = ["Sort", "is_available", "resolve_symbol"]

DType = np.dtype[Any]
_ABI = 0x02000000
# Places in the table of C functions: the version of the table, and what gives a dtype's functions.
_GET_VERSION, _GET_FUNCTIONS = 0, 365
# Of a dtype's functions the first are 21 casts and 12 others; then come, for each kind, sort and argsort.
_SORT, _ARGSORT = 33, 36
_KINDS = ("quicksort", "heapsort", "stable")
_SYMBOL = re.compile(f"tj_(sort|argsort)_({'|'.join(_KINDS)})_([a-z]+[0-9]*)")


@dataclass(frozen=True)
class Sort:
    """A sort of one line. ``operation``: "sort" for the elements, "argsort" for their places."""

    operation: str
    kind: str
    dtype: DType

    @property
    def symbol(self) -> str:
        """The C symbol that programs call it by.

        >>> Sort("argsort", "stable", np.dtype("f8")).symbol
        'tj_argsort_stable_f64'
        """
        return f"tj_{self.operation}_{self.kind}_{dtype_name(self.dtype)}"

    @property
    def declaration(self) -> str:
        """Its type in LLVM text: elements, places if wanted, how many, and the array object that numbers do without."""
        pointers = "ptr, ptr" if self.operation == "argsort" else "ptr"
        return f"declare i32 @{self.symbol}({pointers}, i64, ptr)\n"

    @property
    def allocates(self) -> bool:
        """Whether it needs memory of its own, which there may be none of: then it does not return 0."""
        return self.kind == "stable"


@functools.cache
def _functions(dtype: DType) -> list[int]:
    """The addresses of a dtype's six sorts in the order of the table, 0 for those it lacks; none for other NumPys."""
    try:
        table = capsule_address(importlib.import_module("numpy._core._multiarray_umath")._ARRAY_API)
    except (ImportError, AttributeError):
        return []
    word = ctypes.sizeof(ctypes.c_void_p)

    def entry(start: int, position: int) -> int:
        return ctypes.c_void_p.from_address(start + position * word).value or 0

    if word != 8 or ctypes.PYFUNCTYPE(ctypes.c_uint)(entry(table, _GET_VERSION))() != _ABI:
        return []
    get_functions = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object)(entry(table, _GET_FUNCTIONS))
    functions = get_functions(dtype)
    return [entry(functions, position) for position in range(_SORT, _ARGSORT + len(_KINDS))] if functions else []


@functools.cache
def _sample(dtype: DType) -> np.ndarray[Any, Any]:
    """Some hundred numbers, many of them equal; floats with zeros of both signs and NaN."""
    numbers = np.arange(700) * 7919 % 97
    sample = (numbers % 2 if dtype.kind == "b" else numbers).astype(dtype)
    if dtype.kind in "fc":
        sample[::5] *= -1
        sample[::67] = np.nan
    return sample


@functools.cache
def _address(sort: Sort) -> int:
    """The address of a function that does what NumPy does, else 0."""
    found = _functions(sort.dtype)
    # NumPy 2.4 does not use its heap sort any more; other kinds than "stable" mean the same.
    for kind in dict.fromkeys((sort.kind, "quicksort" if sort.kind == "heapsort" else sort.kind)):
        address = found[len(_KINDS) * (sort.operation == "argsort") + _KINDS.index(kind)] if found else 0
        if address and _is_numpys(sort, address):
            return address
    return 0


def _is_numpys(sort: Sort, address: int) -> bool:
    """Whether a function sorts a sample as NumPy does."""
    sample, kind = _sample(sort.dtype), cast(Any, sort.kind)
    elements, places = sample.copy(), np.arange(sample.size)
    arrays = (elements, places) if sort.operation == "argsort" else (elements,)
    types = [*[ctypes.c_void_p] * len(arrays), ctypes.c_ssize_t, ctypes.c_void_p]
    code = ctypes.CFUNCTYPE(ctypes.c_int, *types)(address)(*[a.ctypes.data for a in arrays], sample.size, None)
    if sort.operation == "argsort":
        same = elements.tobytes() == sample.tobytes() and bool((places == np.argsort(sample, kind=kind)).all())
    else:
        same = elements.tobytes() == np.sort(sample, kind=kind).tobytes()
    return code == 0 and same


def is_available(operation: str, kind: str, dtype: DType) -> bool:
    """Whether there is a function for ``operation`` "sort" or "argsort" of lines of a dtype.

    >>> is_available("sort", "quicksort", np.dtype("f8"))
    True
    """
    return _address(Sort(operation, kind, dtype)) != 0


def resolve_symbol(symbol: str) -> int | None:
    """Return the address of a symbol that programs use by name: ``tj_sort_quicksort_f64``."""
    match = _SYMBOL.fullmatch(symbol)
    return _address(Sort(match[1], match[2], dtype_named(match[3]))) or None if match else None
