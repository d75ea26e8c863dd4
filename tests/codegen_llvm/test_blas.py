"""Addresses of BLAS and LAPACK, and products of C-ordered matrices against NumPy."""

import ctypes
import itertools
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from tracejit.codegen_llvm import blas, engine, threads

KERNEL = """
define void @kernel(i1 %ta, i1 %tb, i64 %m, i64 %n, i64 %k, ptr %scalars, ptr %a, i64 %lda, ptr %b, i64 %ldb,
                    ptr %c, i64 %ldc) {
  %alpha = load $real, ptr %scalars
  %beta.at = getelementptr $real, ptr %scalars, i64 1
  %beta = load $real, ptr %beta.at
  call void @tj.gemm.$name(i1 %ta, i1 %tb, i64 %m, i64 %n, i64 %k, $real %alpha, ptr %a, i64 %lda, ptr %b, i64 %ldb,
                           $real %beta, ptr %c, i64 %ldc)
  ret void
}
"""
REAL = {"f64": "double", "f32": "float"}
DTYPE = {"f64": np.float64, "f32": np.float32}
_signature = [ctypes.c_bool] * 2 + [ctypes.c_int64] * 3 + [ctypes.c_void_p] * 2 + [ctypes.c_int64, ctypes.c_void_p]
_signature += [ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64]


@pytest.fixture(scope="module")
def products():
    codes = {}
    for name, real in REAL.items():
        text = blas.gemm_text(name) + KERNEL.replace("$real", real).replace("$name", name)
        codes[name] = engine.load_object(engine.compile_object(text))
    return codes


def product(code, a, b, c, *, transpose_a=False, transpose_b=False, alpha=1.0, beta=0.0) -> None:
    """`c = alpha a b + beta c` in place; operands may be the first columns of wider arrays."""
    m, n = c.shape
    k = a.shape[0] if transpose_a else a.shape[1]
    scalars = np.array([alpha, beta], c.dtype)
    leading = [array.strides[0] // array.itemsize if array.shape[0] > 1 else array.shape[1] for array in (a, b, c)]
    function = ctypes.CFUNCTYPE(None, *_signature)(code.address)
    pa, pb, pc = (array.ctypes.data for array in (a, b, c))
    function(transpose_a, transpose_b, m, n, k, scalars.ctypes.data, pa, leading[0], pb, leading[1], pc, leading[2])


SHAPES = [(3, 4, 5), (1, 4, 5), (3, 1, 5), (3, 4, 1), (1, 1, 5), (1, 4, 1), (3, 1, 1), (1, 1, 1), (17, 33, 9)]
EMPTY = [(0, 4, 5), (3, 0, 5), (3, 4, 0), (1, 4, 0), (3, 1, 0), (0, 0, 0), (1, 1, 0)]


def operand(random, rows: int, columns: int, extra: int, dtype) -> np.ndarray:
    return random.standard_normal((rows, columns + extra)).astype(dtype)[:, :columns]


@pytest.mark.parametrize("name", ["f64", "f32"])
@pytest.mark.parametrize(("m", "n", "k"), SHAPES + EMPTY)
@pytest.mark.parametrize("extra", [0, 3])
def test_products_agree_with_numpy(products, name: str, m: int, n: int, k: int, extra: int) -> None:
    random = np.random.default_rng(m * 100 + n * 10 + k)
    dtype = DTYPE[name]
    for transpose_a, transpose_b, (alpha, beta) in itertools.product(
        (False, True), (False, True), ((1.0, 0.0), (2.0, 1.0), (-1.0, 0.5))
    ):
        a = operand(random, *((k, m) if transpose_a else (m, k)), extra, dtype)
        b = operand(random, *((n, k) if transpose_b else (k, n)), extra, dtype)
        c = operand(random, m, n, extra, dtype)
        beside = c.base[:, n:].copy() if c.base is not None else None
        left, right = (a.T if transpose_a else a).astype(float), (b.T if transpose_b else b).astype(float)
        expected = alpha * (left @ right) + beta * c
        if beta == 0:
            c[...] = np.nan  # must not be read
        product(products[name], a, b, c, transpose_a=transpose_a, transpose_b=transpose_b, alpha=alpha, beta=beta)
        tolerance = np.finfo(dtype).eps * 8 * (1 + k)
        np.testing.assert_allclose(c, expected, rtol=tolerance, atol=tolerance)
        if beside is not None and c.base is not None:
            np.testing.assert_array_equal(c.base[:, n:], beside)


def rounding_bound(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """How far two products may be apart that add the same terms in different orders."""
    terms = a.shape[1]
    return 2 * (terms + 1) * np.finfo(a.dtype).eps * (np.abs(a).astype(float) @ np.abs(b).astype(float))


def test_products_agree_with_numpys_however_they_are_cut(products) -> None:
    """Not to the last bit: some of OpenBLAS's kernels add in an order that depends on the rows of the block."""
    library = blas._numpy_library()
    if library is None:
        pytest.skip("NumPy does not bundle the 64-bit OpenBLAS here")
    random = np.random.default_rng(0)
    count = library.scipy_openblas_get_num_threads64_()
    threads_before = threads.thread_count()
    threads.set_thread_count(2)
    try:
        shapes = [(64, 64, 64), (200, 100, 300), (500, 1, 2000), (1, 1500, 900), (20, 4000, 300), (256, 500, 784)]
        for name, (m, n, k) in itertools.product(DTYPE, shapes):
            a, b = (random.standard_normal(shape).astype(DTYPE[name]) for shape in ((m, k), (k, n)))
            c = np.full((m, n), np.nan, DTYPE[name])
            library.scipy_openblas_set_num_threads64_(2)
            product(products[name], a, b, c)
            assert library.scipy_openblas_get_num_threads64_() == 2
            library.scipy_openblas_set_num_threads64_(1)
            assert (np.abs(c.astype(float) - (a @ b).astype(float)) <= rounding_bound(a, b)).all()
    finally:
        threads.set_thread_count(threads_before)
        library.scipy_openblas_set_num_threads64_(count)


def test_nan_and_infinity_pass_through(products) -> None:
    a, b, c = np.array([[np.nan, 1.0], [np.inf, 0.0]]), np.array([[1.0], [0.0]]), np.zeros((2, 1))
    product(products["f64"], a, b, c)
    assert np.isnan(c[0, 0])
    assert c[1, 0] == np.inf


def test_addresses_are_callable() -> None:
    x = np.array([1.0, 2.0, 3.0])
    for integer, address in ((ctypes.c_int32, blas.address("ddot")), (ctypes.c_int64, blas.wide_address("ddot"))):
        n, step = integer(3), integer(1)
        dot = ctypes.CFUNCTYPE(ctypes.c_double, *[ctypes.c_void_p] * 5)(address)
        step_at = ctypes.addressof(step)
        assert dot(ctypes.addressof(n), x.ctypes.data, step_at, x.ctypes.data, step_at) == 14.0


def test_lapack_by_symbol() -> None:
    text = """
    declare void @tj_dpotrf(ptr, ptr, ptr, ptr, ptr)
    @letter = private constant [1 x i8] c"U"
    define i32 @kernel(ptr %a, i32 %n) {
      %sizes = alloca i32
      %info = alloca i32
      store i32 %n, ptr %sizes
      call void @tj_dpotrf(ptr @letter, ptr %sizes, ptr %a, ptr %sizes, ptr %info)
      %result = load i32, ptr %info
      ret i32 %result
    }
    """
    code = engine.load_object(engine.compile_object(text))
    kernel = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_int32)(code.address)
    matrix = np.array([[4.0, 2.0], [2.0, 3.0]])
    assert kernel(matrix.ctypes.data, 2) == 0
    np.testing.assert_allclose(np.tril(matrix), np.linalg.cholesky([[4.0, 2.0], [2.0, 3.0]]))
    bad = np.array([[-1.0, 0.0], [0.0, 1.0]])
    assert kernel(bad.ctypes.data, 2) == 1


def test_unknown_routine() -> None:
    with pytest.raises(KeyError, match="dnothing"):
        blas.address("dnothing")


def test_without_numpys_library_scipys_serves(products, monkeypatch) -> None:
    monkeypatch.setattr(blas, "_numpy_library", lambda: None)
    blas.wide_address.cache_clear()
    try:
        assert blas.wide_address("dgemm") == blas.address("dgemm")
        text = blas.gemm_text("f64") + KERNEL.replace("$real", "double").replace("$name", "f64")
        code = engine.load_object(engine.compile_object(text))
        a, b, c = np.arange(6.0).reshape(2, 3), np.arange(12.0).reshape(3, 4), np.empty((2, 4))
        product(code, a, b, c)
        np.testing.assert_array_equal(c, a @ b)
    finally:
        monkeypatch.undo()
        blas.wide_address.cache_clear()
        blas.resolve_symbol("tj_gemm_f64")


def test_scipy_is_not_imported_and_can_be_later() -> None:
    script = """
    import sys
    from tracejit.codegen_llvm import blas
    assert "scipy" not in sys.modules
    blas.wide_address("dgemm")
    blas.address("dgemm"), blas.address("dgetrf")
    print("scipy.linalg" in sys.modules)
    import numpy as np
    import scipy.linalg
    from scipy.linalg import cython_blas, cython_lapack
    print(scipy.linalg.solve(np.eye(2) * 2, np.ones(2)).tolist(), "dgemm" in cython_blas.__pyx_capi__)
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout == "False\n[0.5, 0.5] True\n"
