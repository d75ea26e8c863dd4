"""Where the fields of CPython's and NumPy's objects lie, a check that they do lie there, and the pointers to both APIs.

This module owns every number that machine code of the call path assumes about foreign structs. It knows nothing of
programs; ``entry_text.py`` reads its names, ``entry.py`` asks it whether this interpreter is one that they hold for.
"""

from __future__ import annotations

import ctypes
import platform
import sys
import types
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np

from tracejit.trace.floating_errors import VARIABLE

__all__ = [
    "ALIGNED",
    "API_FIELDS",
    "ARRAY_DATA",
    "ARRAY_DESCR",
    "ARRAY_DIMS",
    "ARRAY_FLAGS",
    "ARRAY_RANK",
    "ARRAY_STRIDES",
    "BY_COLUMNS",
    "CELL_CONTENT",
    "CONTEXT_CALL_PYTHON",
    "CONTEXT_ERROR",
    "CONTEXT_SHARED_WORDS",
    "CONTEXT_VALUES",
    "CONTEXT_WORDS",
    "CONTIGUOUS",
    "DICT_SIZE",
    "INSTANCE_CALL",
    "INSTANCE_HITS",
    "INSTANCE_RUNNING",
    "INSTANCE_SIZE",
    "INSTANCE_TABLE",
    "LIST_ITEMS",
    "LIST_SIZE",
    "OBJECT_SIZE",
    "OBJECT_TYPE",
    "OBJECT_VALUE",
    "RECORD_DIMS",
    "TABLE_API",
    "TABLE_ENTRY",
    "TABLE_FAIL",
    "TABLE_KERNEL",
    "TABLE_NEXT",
    "TABLE_SLOTS",
    "TABLE_UNFLATTEN",
    "TUPLE_ITEMS",
    "TUPLE_SIZE",
    "TYPE_FLAGS",
    "WARN_ON_WRITE",
    "WRITEABLE",
    "api_offset",
    "foreign_pointers",
    "problem",
]

OBJECT_TYPE, OBJECT_VALUE, OBJECT_SIZE = 8, 16, 16  # a float's, complex's or NumPy scalar's value follows the header
CELL_CONTENT = 16
LIST_SIZE, LIST_ITEMS, TUPLE_SIZE, DICT_SIZE = 16, 24, 16, 16
TUPLE_ITEMS = tuple.__basicsize__  # the items follow what every tuple has, which is longer in 3.14
ARRAY_DATA, ARRAY_RANK, ARRAY_DIMS, ARRAY_STRIDES, ARRAY_DESCR, ARRAY_FLAGS = 16, 24, 32, 40, 56, 64
CONTIGUOUS, BY_COLUMNS, ALIGNED, WRITEABLE, WARN_ON_WRITE = 0x1, 0x2, 0x100, 0x400, 1 << 31
TYPE_FLAGS = 168

# Our own structs. An instance: its vectorcall slot, the first version's table, the number of calls that machine code
# finished or will finish, and the number of those now running. A table: see ``entry.py``; its last fields vary.
INSTANCE_CALL, INSTANCE_TABLE, INSTANCE_HITS, INSTANCE_RUNNING, INSTANCE_SIZE = 16, 24, 32, 40, 48
TABLE_ENTRY, TABLE_NEXT, TABLE_API, TABLE_KERNEL, TABLE_FAIL, TABLE_UNFLATTEN, TABLE_SLOTS = 0, 8, 16, 24, 32, 40, 48
# The kernel's context: four fields that are copied from a template, the error code, four values, the function that
# calls Python, and behind the context what that one looks for.
CONTEXT_WORDS, CONTEXT_SHARED_WORDS, CONTEXT_ERROR, CONTEXT_VALUES, CONTEXT_CALL_PYTHON = 11, 4, 32, 40, 72

# The record of memory that a kernel claims: its address, its bytes, then the dims.
RECORD_DIMS = 16

# NumPy's C API is a table; positions in it never change.
_NUMPY = {"ndarray": 2, "array_scalar": 60, "new_copy": 85, "new_array": 94}
_PYTHON = {
    "int_value": "PyLong_AsLongLongAndOverflow",
    "int_new": "PyLong_FromLongLong",
    "float_new": "PyFloat_FromDouble",
    "complex_new": "PyComplex_FromDoubles",
    "incref": "Py_IncRef",
    "decref": "Py_DecRef",
    "tuple_new": "PyTuple_New",
    "tuple_set": "PyTuple_SetItem",
    "list_new": "PyList_New",
    "list_set": "PyList_SetItem",
    "vectorcall": "PyObject_Vectorcall",
    "contextvar_get": "PyContextVar_Get",
    "getattr": "PyObject_GetAttr",
    "error_clear": "PyErr_Clear",
    "error_occurred": "PyErr_Occurred",
    "dict_get": "PyDict_GetItemWithError",
    "dict_next": "PyDict_Next",
    "text_compare": "PyUnicode_Compare",
    "save_thread": "PyEval_SaveThread",
    "restore_thread": "PyEval_RestoreThread",
}
_OBJECTS: dict[str, object] = {kind.__name__: kind for kind in (int, float, complex, str, list, tuple, dict)}
_OBJECTS |= {"true": True, "false": False, "none": None}
# Filled by entry.py: functions of the support module, and objects of ours.
_OWN = (
    *("slow_name", "context", "new_result", "new", "contiguous", "release", "pack", "build", "fail", "released"),
    *("same_text", "error_variable", "asked_for", "take_over", "forget", "call_python"),
)

# "suspended" is no pointer: how many reasons there are to send every call to the slow path. "accepted_state" is the
# last of NumPy's modes for floating-point errors under which machine code was found to do.
API_FIELDS: tuple[str, ...] = ("suspended", "accepted_state", *_NUMPY, *_PYTHON, *_OBJECTS, *_OWN)
_OFFSETS = {name: 8 * k for k, name in enumerate(API_FIELDS)}


def api_offset(name: str) -> int:
    """The byte offset of a pointer in the table that all entries of a process share."""
    return _OFFSETS[name]


def foreign_pointers() -> dict[str, int]:
    """The addresses of what the call path uses of NumPy and CPython, by name."""
    prototype = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)
    get_pointer = prototype(("PyCapsule_GetPointer", ctypes.pythonapi))
    multiarray: Any = np._core._multiarray_umath  # type: ignore[attr-defined]
    table = ctypes.cast(get_pointer(multiarray._ARRAY_API, None), ctypes.POINTER(ctypes.c_void_p))
    pointers = {name: table[k] or 0 for name, k in _NUMPY.items()}
    for name, symbol in _PYTHON.items():
        pointers[name] = ctypes.cast(getattr(ctypes.pythonapi, symbol), ctypes.c_void_p).value or 0
    return pointers | {name: id(value) for name, value in _OBJECTS.items()}


@cache
def problem() -> str | None:
    """Why machine code may not read this interpreter's objects, or ``None`` where it may.

    The interpreter and its build are asked first, since only where both are as expected is it safe to look at memory.
    """
    if sys.implementation.name != "cpython":
        return f"{sys.implementation.name} is not CPython"
    if ctypes.sizeof(ctypes.c_void_p) != 8 or sys.byteorder != "little":
        return f"{platform.machine()} is not a 64-bit little-endian machine"
    if not getattr(sys, "_is_gil_enabled", lambda: True)() or "t" in getattr(sys, "abiflags", ""):
        return "the interpreter is free-threaded"
    if VARIABLE is None:
        return "this NumPy keeps what np.errstate sets in another place"
    if object.__basicsize__ != OBJECT_SIZE:
        return "objects have a longer header (a debug build)"
    for name, check in _checks():
        try:
            good = check()
        except (AttributeError, ValueError, TypeError) as error:
            return f"{name}: {error}"
        if not good:
            return f"{name} is laid out differently"
    return None


def _read(kind: Any, value: object, offset: int) -> Any:
    return kind.from_address(id(value) + offset).value


def _checks() -> Iterator[tuple[str, Callable[[], bool]]]:
    yield "the table of C functions", lambda: foreign_pointers()["ndarray"] == id(np.ndarray)
    yield "int", lambda: _read(ctypes.c_void_p, 7, OBJECT_TYPE) == id(int)
    yield "float", lambda: _read(ctypes.c_double, -2.5e300, OBJECT_VALUE) == -2.5e300
    yield "complex", lambda: _read(ctypes.c_double, complex(1.5, -7.0), OBJECT_VALUE + 8) == -7.0
    yield "cell", lambda: _read(ctypes.c_void_p, types.CellType(np), CELL_CONTENT) == id(np)
    yield "list", lambda: _items(_POINTER.from_address(id(_SAMPLE) + LIST_ITEMS).value or 0, _SAMPLE, LIST_SIZE)
    yield "tuple", lambda: _items(id(_SAMPLE_TUPLE) + TUPLE_ITEMS, _SAMPLE_TUPLE, TUPLE_SIZE)
    yield "dict", lambda: _read(ctypes.c_ssize_t, dict.fromkeys(_SAMPLE), DICT_SIZE) == len(_SAMPLE)
    yield "type", lambda: all(_read(ctypes.c_ulong, kind, TYPE_FLAGS) == kind.__flags__ for kind in (int, np.ndarray))
    yield "NumPy's scalars", _scalars_as_expected
    yield "ndarray", lambda: all(map(_array_as_expected, _sample_arrays()))


_POINTER = ctypes.c_void_p
_SAMPLE: list[Any] = [np, "a", None]
_SAMPLE_TUPLE = tuple(_SAMPLE)


def _items(first: int, sequence: Any, size_at: int) -> bool:
    found = (ctypes.c_void_p * len(sequence)).from_address(first)
    return list(found) == list(map(id, sequence)) and bool(_read(ctypes.c_ssize_t, sequence, size_at) == len(sequence))


def _scalars_as_expected() -> bool:
    return bool(
        _read(ctypes.c_double, np.float64(1.25), OBJECT_VALUE) == 1.25
        and _read(ctypes.c_float, np.float32(-1.25), OBJECT_VALUE) == -1.25
        and _read(ctypes.c_int64, np.int64(-(2**62)), OBJECT_VALUE) == -(2**62)
        and _read(ctypes.c_int8, np.int8(-3), OBJECT_VALUE) == -3
        and _read(ctypes.c_uint8, np.True_, OBJECT_VALUE) == 1
        and _read(ctypes.c_double, np.complex128(2 - 4j), OBJECT_VALUE + 8) == -4.0
    )


def _sample_arrays() -> Iterator[np.ndarray[Any, Any]]:
    base = np.arange(24.0).reshape(2, 3, 4)
    yield base
    yield base[1:, ::2]
    yield base.T
    yield np.asfortranarray(base)
    yield np.array(3, np.int8)
    yield np.zeros((0, 5), np.complex64)
    yield np.frombuffer(bytes(16), np.int32)  # not writeable
    yield np.frombuffer(bytes(17), np.uint8)[1:].view(np.float64)  # not aligned


def _array_as_expected(array: np.ndarray[Any, Any]) -> bool:
    flags = _read(ctypes.c_uint32, array, ARRAY_FLAGS)
    dims = _read(ctypes.c_void_p, array, ARRAY_DIMS) or id(array)  # null at rank 0
    strides = _read(ctypes.c_void_p, array, ARRAY_STRIDES) or id(array)
    return bool(
        _read(ctypes.c_void_p, array, OBJECT_TYPE) == id(np.ndarray)
        and _read(ctypes.c_void_p, array, ARRAY_DATA) == array.ctypes.data
        and _read(ctypes.c_int32, array, ARRAY_RANK) == array.ndim
        and _read(ctypes.c_void_p, array, ARRAY_DESCR) == id(array.dtype)
        and array.dtype is np.dtype(array.dtype.str)
        and tuple((ctypes.c_int64 * array.ndim).from_address(dims)) == array.shape
        and tuple((ctypes.c_int64 * array.ndim).from_address(strides)) == array.strides
        and bool(flags & CONTIGUOUS) == array.flags.c_contiguous
        and bool(flags & BY_COLUMNS) == array.flags.f_contiguous
        and bool(flags & ALIGNED) == array.flags.aligned
        and bool(flags & WRITEABLE) == array.flags.writeable
    )
