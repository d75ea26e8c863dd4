"""BLAS and LAPACK for machine code: where the routines are, and how a program's text calls them.

Owns the addresses of the libraries that NumPy and SciPy bring, found without importing `scipy.linalg`, and how programs
name them. It must not know which products a program has.

Two kinds of C symbols, both of the Fortran convention (every argument a pointer):

* ``tj_dgemm``, ``tj_dpotrf``, ...: SciPy's, by the tables of `scipy.linalg.cython_blas` and `cython_lapack`; integers
are
  `int32_t`.
* ``tj_dgemm_wide``, ...: level 1 to 3 BLAS for callers that keep integers in `int64_t` with values that fit in 32
bits. It
  is NumPy's own library where that is the bundled 64-bit OpenBLAS, which is in memory already, so it costs nothing,
  has the same threads and gives the same bits as `np.matmul`; else SciPy's, which reads the low half on little-endian
  machines.
"""

from __future__ import annotations

import ctypes
import functools
import glob
import importlib.machinery
import importlib.util
import os
import re
import sys
from types import ModuleType

import numpy as np

from tracejit.codegen_llvm import support, threads
from tracejit.codegen_llvm.products import REALS

__all__ = ["address", "capsule_address", "gemm_text", "resolve_symbol", "wide_address"]

# Addresses ---------------------------------------------------------------------------------------------------------


def _scipy_module(name: str) -> ModuleType:
    """`scipy.linalg.<name>`, its extension file loaded alone: importing the package takes five times as long."""
    full_name = f"scipy.linalg.{name}"
    if full_name in sys.modules:
        return sys.modules[full_name]
    spec = importlib.util.find_spec("scipy")
    for folder in (spec.submodule_search_locations or []) if spec is not None else []:
        for suffix in importlib.machinery.EXTENSION_SUFFIXES:
            path = os.path.join(folder, "linalg", name + suffix)
            if os.path.exists(path):
                loader = importlib.machinery.ExtensionFileLoader(full_name, path)
                module_spec = importlib.util.spec_from_file_location(full_name, path, loader=loader)
                assert module_spec is not None
                module = importlib.util.module_from_spec(module_spec)
                sys.modules[full_name] = module  # so that a later import of SciPy finds this one: it can load only once
                try:
                    loader.exec_module(module)
                except BaseException:
                    del sys.modules[full_name]
                    raise
                return module
    return importlib.import_module(full_name)


@functools.cache
def _scipy_table(name: str) -> dict[str, object]:
    table: dict[str, object] = _scipy_module(name).__pyx_capi__
    return table


def capsule_address(capsule: object) -> int:
    """The C address that a capsule holds, whatever its name."""
    # Prototypes of our own: the attributes of `ctypes.pythonapi`'s functions are shared with everybody else.
    get_name = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object)(("PyCapsule_GetName", ctypes.pythonapi))
    get_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p)(
        ("PyCapsule_GetPointer", ctypes.pythonapi)
    )
    return int(get_pointer(capsule, get_name(capsule)))


@functools.cache
def address(name: str) -> int:
    """Return the C address of a BLAS or LAPACK routine such as ``"dgemm"`` or ``"dpotrf"`` (integers are `int32_t`).

    >>> address("dgemm") > 0
    True
    """
    for table in ("cython_blas", "cython_lapack"):
        capsule = _scipy_table(table).get(name)
        if capsule is not None:
            return capsule_address(capsule)
    raise KeyError(f"neither BLAS nor LAPACK has a routine {name!r}")


@functools.cache
def _numpy_library() -> ctypes.CDLL | None:
    """The OpenBLAS with 64-bit integers that NumPy's wheels bundle; None for other builds of NumPy."""
    package = os.path.dirname(np.__file__)
    for pattern in ("../numpy.libs/libscipy_openblas64_*", ".dylibs/libscipy_openblas64_*"):
        for path in glob.glob(os.path.join(package, pattern)):
            try:
                return ctypes.CDLL(path)
            except OSError:
                continue
    return None


@functools.cache
def wide_address(name: str) -> int:
    """Return the C address of a BLAS routine for callers that pass integers as `int64_t` values below 2**31."""
    function = getattr(_numpy_library(), f"scipy_{name}_64_", None)
    if function is not None:
        return ctypes.cast(function, ctypes.c_void_p).value or 0
    if sys.byteorder != "little":
        raise NotImplementedError("products of matrices need NumPy's bundled OpenBLAS on a big-endian machine")
    return address(name)


def _share_threads() -> None:
    """Tell products whose threads to use: the pool's, where the library's can be told to stay out."""
    library = _numpy_library()
    names = ("scipy_openblas_get_num_threads64_", "scipy_openblas_set_num_threads64_")
    found = [ctypes.cast(getattr(library, name, None) or 0, ctypes.c_void_p).value or 0 for name in names]
    if not all(found):
        found = [0, 0]
    threads.parallel_for_address()  # fills in the context
    words = (support.support_address("tj_context"), *found)
    for index, value in enumerate(words):
        support.word("tj_blas_threads", index).value = value


# What a routine's name looks like: asking SciPy for other symbols would load it in vain.
_ROUTINE = re.compile("i?[sdcz][a-z0-9]{2,7}(_wide)?")
_PRODUCTS = {"tj_gemm_f64": ("dgemm", "dgemv"), "tj_gemm_f32": ("sgemm", "sgemv")}


def resolve_symbol(symbol: str) -> int | None:
    """Return the address of a symbol that programs use by name: ``tj_gemm_f64``, ``tj_dgemm_wide``, ``tj_dpotrf``."""
    if symbol in _PRODUCTS:
        for index, routine in enumerate(_PRODUCTS[symbol]):
            support.word(symbol.replace("gemm", "blas"), index).value = wide_address(routine)
        _share_threads()
        return support.support_address(symbol)
    name = symbol.removeprefix("tj_")
    if not _ROUTINE.fullmatch(name):
        return None
    try:
        return wide_address(name.removesuffix("_wide")) if name.endswith("_wide") else address(name)
    except KeyError:
        return None


_CALL = """
declare void @tj_gemm_$name(i1, i1, i64, i64, i64, $real, ptr, i64, ptr, i64, $real, ptr, i64)

define internal void @tj.gemm.$name(i1 %transpose_a, i1 %transpose_b, i64 %m, i64 %n, i64 %k, $real %alpha,
                                   ptr %a, i64 %lda, ptr %b, i64 %ldb, $real %beta, ptr %c, i64 %ldc) alwaysinline {
  call void @tj_gemm_$name(i1 %transpose_a, i1 %transpose_b, i64 %m, i64 %n, i64 %k, $real %alpha, ptr %a, i64 %lda,
                           ptr %b, i64 %ldb, $real %beta, ptr %c, i64 %ldc)
  ret void
}
"""


def gemm_text(type_name: str) -> str:
    """Return LLVM text that defines ``@tj.gemm.f64`` or ``@tj.gemm.f32`` for ``type_name`` "f64" or "f32".

    ``void (i1 transpose_a, i1 transpose_b, i64 m, i64 n, i64 k, T alpha, ptr a, i64 lda, ptr b, i64 ldb, T beta, ptr
    c, i64 ldc)``: c = alpha a b + beta c for C-ordered arrays, where a is m by k (k by m in memory if transposed) and
    b k by n. Leading dimensions count elements. Sizes must be below 2**31: the caller refuses others. With beta 0, c
    is not read.

    >>> "@tj.gemm.f32(" in gemm_text("f32")
    True
    """
    return _CALL.replace("$real", REALS[type_name]).replace("$name", type_name)
