"""Functions of NumPy and SciPy that tracejit has no implementation of: called when the compiled function runs."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from scipy import linalg, special

import tracejit as tj
from tests.util.compare import assert_same, check

RNG = np.random.default_rng(7)
SQUARE = RNG.normal(size=(5, 5)) + 5 * np.eye(5)
TALL = RNG.normal(size=(7, 3))
LINE = RNG.normal(size=11)


@pytest.fixture(autouse=True)
def without_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", tj.PerformanceWarning)
        yield


FUNCTIONS: list[tuple[Callable[..., Any], tuple[Any, ...]]] = [
    (lambda x: np.sort(x)[::-1], (LINE,)),
    (lambda x: np.sort(x, axis=None), (TALL,)),
    (lambda x: np.sort(x, axis=0, kind="stable") + 1, (TALL,)),
    (lambda x: x[np.argsort(x)], (LINE,)),
    (lambda x: (np.partition(x, 3)[3], x.argsort()[0]), (LINE,)),
    (lambda x: np.linalg.inv(x) @ x, (SQUARE,)),
    (lambda x: np.linalg.inv(x), (np.stack([SQUARE, SQUARE + 1]),)),
    (lambda x, b: np.linalg.solve(x, b), (SQUARE, SQUARE[0])),
    (lambda x, b: np.linalg.solve(x, b) * 2, (SQUARE, SQUARE[:, :2])),
    (lambda x: np.linalg.cholesky(x @ x.T), (SQUARE,)),
    (lambda x: np.linalg.eigh(x + x.T), (SQUARE,)),
    (lambda x: np.linalg.eigvalsh(x + x.T), (SQUARE,)),
    (lambda x: np.linalg.svd(x), (TALL,)),
    (lambda x: np.linalg.svd(x, full_matrices=False).S, (TALL,)),
    (lambda x: np.linalg.svd(x, compute_uv=False), (TALL.T,)),
    (lambda x: np.linalg.qr(x), (TALL,)),
    (lambda x: np.linalg.qr(x, mode="complete").R, (TALL,)),
    (lambda x: (np.linalg.det(x), np.linalg.slogdet(x)), (SQUARE,)),
    (lambda x: np.linalg.pinv(x) @ x, (TALL,)),
    (lambda x: np.linalg.cond(x), (TALL,)),
    (lambda x: np.fft.ifft(np.fft.fft(x)).real, (LINE,)),
    (lambda x: np.fft.fft(x, axis=0), (TALL,)),
    (lambda x: np.fft.rfft(x), (LINE,)),
    (lambda x: np.fft.irfft(np.fft.rfft(x), n=len(x)), (LINE,)),
    (lambda x: np.fft.irfft(x), (TALL,)),
    (lambda x: np.fft.fftshift(np.fft.fft2(x)), (TALL,)),
    (lambda x, n: np.fft.fft(x, n), (LINE, 8)),
    (lambda x: np.interp(x, [-1.0, 0.0, 1.0], [3.0, x[0], 5.0]), (LINE,)),
    (lambda x: np.searchsorted(np.sort(x), x), (LINE,)),
    (lambda x: np.take(x, [-14, 2, 30], mode="wrap"), (LINE,)),
    (lambda x: np.argmax(x + 1j), (LINE,)),
    (lambda x: np.reshape(x, (3, 7), order="F").copy() if False else np.linalg.matrix_rank(x), (TALL,)),
    (lambda x: special.gammainc(x * x, 2.0), (LINE,)),
    (lambda x: special.logsumexp(x), (LINE,)),
    (lambda x: linalg.expm(x / 9), (SQUARE,)),
    (lambda x: linalg.lu_factor(x), (SQUARE,)),
    (lambda x: np.median(x, axis=1), (TALL,)),
    (lambda x: np.quantile(x, [0.2, 0.7], axis=0), (TALL,)),
    (lambda x: np.heaviside(x, 0.5).astype("f4"), (LINE,)),
]


@pytest.mark.parametrize("number", range(len(FUNCTIONS)))
def test_values_are_numpys(number: int) -> None:
    function, args = FUNCTIONS[number]
    compiled = tj.jit(function)
    for dtype in ("f8", "f4"):
        own = [a.astype(dtype) if isinstance(a, np.ndarray) else a for a in args]
        for _ in range(2):
            assert_same(compiled(*own), function(*own))


def test_one_program_serves_all_sizes() -> None:
    @tj.jit
    def function(a: Any, b: Any) -> Any:
        return np.linalg.svd(a, full_matrices=False).Vh * 2, np.fft.rfft(b), np.sort(b)

    for rows, columns, size in ((30, 4, 50), (3, 8, 1), (9, 9, 200)):
        a, b = RNG.normal(size=(rows, columns)), RNG.normal(size=size)
        vh, transform, ordered = function(a, b)
        np.testing.assert_allclose(vh, np.linalg.svd(a, full_matrices=False).Vh * 2)
        np.testing.assert_array_equal(transform, np.fft.rfft(b))
        np.testing.assert_array_equal(ordered, np.sort(b))
    assert function.cache_info().traces == 1


def test_errors_are_numpys() -> None:
    function = tj.jit(lambda x: np.linalg.inv(x) + 1)
    assert_same(function(SQUARE), np.linalg.inv(SQUARE) + 1)
    with pytest.raises(np.linalg.LinAlgError, match="Singular matrix") as caught:
        function(np.zeros((5, 5)))
    assert caught.value.__notes__[0].startswith(f"in {__file__}")
    with pytest.raises(np.linalg.LinAlgError, match="must be square"):
        function(TALL)
    with pytest.raises(np.linalg.LinAlgError, match="must be at least two-dimensional"):
        function(LINE)
    assert_same(function(SQUARE), np.linalg.inv(SQUARE) + 1)


def test_another_dtype_at_run_time_is_an_error() -> None:
    function = tj.jit(lambda x: np.linalg.eigvals(x))
    symmetric = np.diag([1.0, 2.0])
    assert_same(function(symmetric), np.linalg.eigvals(symmetric))
    with pytest.raises(tj.UnsupportedError, match=r"np\.linalg\.eigvals .* gave complex128 .* where it gave float64"):
        function(np.array([[0.0, 1.0], [-1.0, 0.0]]))


def test_the_warning_names_function_and_line_once() -> None:
    function = tj.jit(lambda x: np.linalg.eigvals(x + x.T))
    with pytest.warns(
        tj.PerformanceWarning, match=r"np\.linalg\.eigvals is called through NumPy .*test_unknown_functions"
    ):
        function(SQUARE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        function(SQUARE)
        function(SQUARE * 2)


MUTATING: list[Callable[[Any], Any]] = [
    lambda x: x.sort(),
    lambda x: x[::2].sort(),
    lambda x: x[1:4].partition(1),
    lambda x: np.put(x, [0, 2], [7.0, 8.0]),
    lambda x: np.place(x, x > 0, [1.0, 2.0]),
    lambda x: np.putmask(x, x > 0, x * x),
    lambda x: x.put([1], 3.5),
    lambda x: np.copyto(x, 2.0, where=x > 0),
]


@pytest.mark.parametrize("number", range(len(MUTATING)))
def test_functions_that_change_an_argument(number: int) -> None:
    change = MUTATING[number]

    def function(x: Any) -> Any:
        change(x)
        y = x * 2
        change(y)
        return y

    compiled = tj.jit(function)
    for size in (11, 6):
        x, z = LINE[:size].copy(), LINE[:size].copy()
        assert_same(compiled(x), function(z))
        assert_same(x, z)


def test_out_gets_the_result() -> None:
    def function(x: Any, out: Any) -> Any:
        other = np.empty_like(x)
        special.j0(x, out=other)
        np.cumsum(np.sort(x), out=out)
        return np.median(x, axis=0, out=out[0:1][0:1].reshape(())), other

    x, a, b = LINE.copy(), np.zeros(11), np.zeros(11)
    assert_same(tj.jit(function)(x, a), function(x, b))
    assert_same(a, b)


def test_in_loops_they_run_each_time() -> None:
    def function(x: Any) -> Any:
        for _ in range(3):
            x = np.sort(x)[::-1] * 1.5
            x[0] = 0
        return x

    assert_same(tj.jit(function)(LINE), function(LINE.copy()))


def test_views_are_refused_rather_than_copied() -> None:
    x = np.arange(6.0)
    with pytest.raises(tj.UnsupportedError, match=r"ndarray.getfield gives a view"):
        tj.jit(lambda x: x.getfield(np.int32))(x)


def test_an_argument_that_comes_back_is_itself() -> None:
    function = tj.jit(lambda x: np.asarray_chkfinite(x))
    x = np.arange(3.0)
    assert function(x) is x
    with pytest.raises(ValueError, match="array must not contain infs or NaNs"):
        function(np.array([np.nan, 1.0, 2.0]))


def test_derivatives_are_refused() -> None:
    with pytest.raises(tj.UnsupportedError, match=r"np\.partition .* runs as Python and cannot be differentiated"):
        tj.grad(lambda x: np.partition(x, 2)[2])(LINE)


def test_under_vmap_they_run_for_each_element() -> None:
    stack = np.stack([SQUARE, SQUARE.T, SQUARE * 2])
    found = tj.vmap(lambda x: linalg.expm(x / 9))(stack)
    np.testing.assert_allclose(found, [linalg.expm(x / 9) for x in stack])


REPEATED = np.array([3.0, 1.0, 2.0, 3.0, 1.0, 9.0])
COMPUTED_SIZES: list[Callable[[Any], Any]] = [
    lambda x: np.unique(x),
    lambda x: np.unique(x, return_index=True, return_counts=True),
    lambda x: (np.unique(x) * 2 + 1, np.unique(x).sum(), len(np.unique(x))),
    lambda x: np.unique(x)[1:] - np.unique(x)[:-1],
    lambda x: (lambda u: {"all": u, "again": u, "rest": u[1:], "count": u.size})(np.unique(x)),
    lambda x: x[: np.unique(x).size],
    lambda x: np.setdiff1d(x, [3.0]),
    lambda x: np.histogram(x, bins=4),
    lambda x: np.polyfit(x, x * 2 + 1, 1),
    lambda x: np.roots(x + 0j),
    lambda x: np.bincount(x.astype(int), weights=x),
    lambda x: linalg.null_space(np.outer(x, x)).shape,
]


@pytest.mark.parametrize("number", range(len(COMPUTED_SIZES)))
def test_sizes_that_only_the_call_gives(number: int) -> None:
    function = COMPUTED_SIZES[number]
    jitted = tj.jit(function, exact=True)
    for x in (REPEATED, REPEATED[::-1].copy(), np.array([5.0, 5.0, 1.0]), REPEATED):
        assert_same(jitted(x), function(x))
    assert jitted.cache_info().traces <= 2


def test_views_of_computed_sizes_show_the_argument() -> None:
    function = tj.jit(lambda x: x[: np.unique(x).size])
    x = REPEATED.copy()
    for _ in range(2):
        assert np.shares_memory(function(x), x)


def test_in_captured_loops_and_branches() -> None:
    def function(x: Any, n: int) -> Any:
        total, sizes = 0.0, 0
        for i in range(n):
            if x[i] > 2:
                x = np.sort(x * 1.5)[::-1] - i
            total += np.median(x)
            sizes += np.unique(np.floor(x / (i + 1))).size
        return x, total, sizes

    jitted = tj.jit(function, exact=True)
    for x in (REPEATED, REPEATED[::-1].copy(), np.linspace(0, 5, 30)):
        assert_same(jitted(x, x.size), function(x, x.size))
    assert jitted.cache_info().traces == 1


def test_an_error_in_a_loop_is_the_functions() -> None:
    def function(x: Any, n: int) -> Any:
        total = np.zeros(x.shape)
        for i in range(n):
            total += np.linalg.inv(x - i)
        return total

    jitted = tj.jit(function)
    diagonal = np.diag([9.0, 12.0, 14.0])
    for count in (4, 20, 4):
        outcomes = []
        for run in (function, jitted):
            try:
                outcomes.append(run(diagonal - 0, count))
            except np.linalg.LinAlgError as error:
                outcomes.append(str(error))
        assert_same(outcomes[1], outcomes[0])


def test_lists_of_ints_go_to_python_functions_of_numpy():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", tj.PerformanceWarning)
        check(lambda a, b: np.polynomial.polynomial.polyadd(a, b), [1, 2, 3], [1, 2, 4])
        check(lambda a: np.asarray_chkfinite(a), [1, 2, 3])
        check(lambda n: np.kaiser(n, 3), 4)


def test_objects_of_scipy() -> None:
    """Methods of SciPy's objects run when the program does; objects are not made of what only the program knows."""
    from scipy import integrate, interpolate, stats

    line = interpolate.interp1d(np.arange(5.0), np.arange(5.0) ** 2)

    def densities(x: Any) -> Any:
        return stats.norm.pdf(x), stats.norm.cdf(x, loc=1.0), line(x), stats.pearsonr(x, x[::-1] ** 2)[0]

    def solution(a: Any, b: Any) -> Any:
        return linalg.lu_solve(linalg.lu_factor(a), b), linalg.cho_solve(linalg.cho_factor(a), b)

    with pytest.warns(tj.PerformanceWarning):
        check(densities, np.linspace(0.5, 3.5, 7), tolerance=1e-14)
    with pytest.warns(tj.PerformanceWarning):
        check(solution, 3 * np.eye(4) + 0.1, np.arange(4.0), tolerance=1e-14)
    with pytest.raises(tj.UnsupportedError, match="makes an object"):
        tj.jit(lambda x: interpolate.interp1d(x, x)(1.5))(np.arange(3.0))
    with pytest.raises(tj.UnsupportedError, match="calls a function of yours"):
        tj.jit(lambda x: integrate.quad(lambda t: t * x, 0, 1)[0])(1.5)
    with pytest.raises(tj.UnsupportedError, match="calls a function of yours"):
        tj.jit(lambda x: integrate.quad(np.sin, 0, x)[0] + integrate.quad(lambda t: t, 0, x)[0])(1.5)
