"""``np.linalg`` in compiled code: LAPACK's loops, bit for bit NumPy's results, and its errors."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tracejit as tj
from tests.util.compare import assert_same

RNG = np.random.default_rng(11)
SQUARE = RNG.normal(size=(4, 4)) + 4 * np.eye(4)
RIGHT = RNG.normal(size=(4, 3))
STACK = RNG.normal(size=(6, 4, 4)) + 4 * np.eye(4)
ROWS = RNG.normal(size=(6, 4))


@pytest.fixture(autouse=True)
def without_callbacks() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error", tj.PerformanceWarning)
        yield


def outcome(function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    try:
        with np.errstate(all="ignore"):
            return function(*args)
    except Exception as error:
        return type(error), str(error)


def assert_bits(function: Callable[..., Any], *args: Any) -> None:
    """The same bits, types, dtypes, shapes and strides, or the same error, twice."""
    compiled, expected = tj.jit(function), outcome(function, args)
    for _ in range(2):
        actual = outcome(compiled, args)
        assert type(actual) is type(expected)
        parts = [part if isinstance(part, tuple) else (part,) for part in (actual, expected)]
        for a, b in zip(*parts, strict=True):
            assert type(a) is type(b)
            if not isinstance(b, (np.ndarray, np.generic)):
                assert a == b
                continue
            assert (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
            if b.size and isinstance(b, np.ndarray):
                assert a.strides == b.strides


MATRICES: list[Any] = [
    SQUARE,
    SQUARE.T,
    SQUARE[::2, ::-2],
    SQUARE.astype("f4"),
    SQUARE + 1j * SQUARE.T,
    (SQUARE * (1 + 2j)).astype("c8"),
    (SQUARE * 9).astype(int),
    SQUARE > 0,
    STACK,
    STACK.transpose(0, 2, 1)[::2],
    STACK.reshape(2, 3, 4, 4).transpose(1, 0, 2, 3),
    np.zeros((0, 0)),
    np.zeros((2, 0, 3, 3)),
    np.zeros((2, 0, 0)),
    np.ones((3, 3)),
    np.full((2, 2), np.nan),
    np.ones((2, 3)),
    np.ones(3),
    np.ones((2, 2), "f2"),
]

FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "inv": np.linalg.inv,
    "det": np.linalg.det,
    "slogdet": np.linalg.slogdet,
    "eigh": np.linalg.eigh,
    "eigh of the upper triangle": lambda a: np.linalg.eigh(a, "u"),
    "eigvalsh": np.linalg.eigvalsh,
    "svd": np.linalg.svd,
    "thin svd": lambda a: np.linalg.svd(a, full_matrices=False),
    "svdvals": np.linalg.svdvals,
    "svd of a Hermitian matrix": lambda a: np.linalg.svd(a, hermitian=True),
    "cholesky": lambda a: np.linalg.cholesky(a),
    "upper cholesky": lambda a: np.linalg.cholesky(a, upper=True),
    "qr": np.linalg.qr,
    "qr, r": lambda a: np.linalg.qr(a, "r"),
    "qr, raw": lambda a: np.linalg.qr(a, "raw"),
    "qr, complete": lambda a: np.linalg.qr(a, "complete"),
    "tensorinv": lambda a: np.linalg.tensorinv(a.reshape(2, 2, 4), ind=2),
    "solve for itself": lambda a: np.linalg.solve(a, a),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_decompositions_have_numpys_bits(name: str) -> None:
    for matrix in MATRICES:
        if name == "tensorinv" and matrix.shape != (4, 4):
            continue
        assert_bits(FUNCTIONS[name], matrix)


@pytest.mark.parametrize("mode", ["reduced", "complete", "r", "raw"])
@pytest.mark.parametrize("shape", [(5, 2), (2, 5), (3, 4, 2), (0, 3), (3, 0)])
def test_qr_of_any_shape(mode: Any, shape: tuple[int, ...]) -> None:
    matrix = RNG.normal(size=shape)
    assert_bits(lambda a: np.linalg.qr(a, mode), matrix)
    assert_bits(lambda a: np.linalg.qr(a, mode), np.asfortranarray(matrix * (1 + 1j)))


PAIRS = [
    (SQUARE, ROWS[0]),
    (SQUARE, RIGHT),
    (SQUARE.T, RIGHT[::-1]),
    (SQUARE.astype("f4"), RIGHT.astype("f4")),
    (SQUARE.astype("f4"), RIGHT),
    (SQUARE, RIGHT * 1j),
    (STACK, RIGHT),
    (STACK, ROWS[0]),
    (STACK, ROWS),
    (SQUARE, STACK),
    (STACK.reshape(2, 3, 4, 4), RNG.normal(size=(3, 4, 1))),
    (np.zeros((0, 0)), np.zeros((0, 2))),
    (SQUARE, np.zeros((4, 0))),
    (np.ones((4, 4)), RIGHT),
    (SQUARE[:3], RIGHT),
    (SQUARE, RIGHT[:3]),
    (STACK, STACK[:4]),
    (SQUARE, 3.0),
]


@pytest.mark.parametrize("number", range(len(PAIRS)))
def test_solve_has_numpys_bits(number: int) -> None:
    assert_bits(np.linalg.solve, *PAIRS[number])


@pytest.mark.parametrize("rcond", [None, 1e-3, 10.0])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_lstsq(rank: int, rcond: float | None) -> None:
    """The number of residues depends on the rank."""
    tall = RNG.normal(size=(7, rank)) @ RNG.normal(size=(rank, 3))
    for matrix in (tall, tall[:3], tall[:2], (tall * (1 - 2j)).astype("c8")):
        for right in (RNG.normal(size=len(matrix)), RNG.normal(size=(len(matrix), 2))):
            assert_bits(lambda a, b: np.linalg.lstsq(a, b, rcond), matrix, right)


def test_lstsq_in_a_loop() -> None:
    def function(a: Any, b: Any) -> Any:
        total, ranks = 0.0, 0
        for i in range(len(a)):
            found, residues, rank, _ = np.linalg.lstsq(a[i], b[i], rcond=None)
            total += found.sum()
            ranks += rank
            if len(residues) > 0:
                total += residues[0]
        return total, ranks

    a, b = RNG.normal(size=(5, 6, 2)), RNG.normal(size=(5, 6))
    a[2, :, 1] = a[2, :, 0]
    assert_same(tj.jit(function)(a, b), function(a, b), ulps=8)


COMPOSED: list[tuple[Callable[..., Any], tuple[Any, ...]]] = [
    (np.linalg.pinv, (RNG.normal(size=(5, 3)),)),
    (np.linalg.pinv, (STACK[:, :2] * 1j,)),
    (lambda a: np.linalg.pinv(a, rtol=None), (np.ones((3, 2)),)),
    (np.linalg.matrix_rank, (STACK * [1, 1, 1, 0],)),
    (lambda a: np.linalg.matrix_rank(a, tol=0.5), (STACK,)),
    (np.linalg.cond, (STACK * [1, 1, 1, 0],)),
    (lambda a: np.linalg.cond(a, 1), (STACK,)),
    (lambda a: np.linalg.cond(a, "fro"), (np.ones((3, 3)),)),
    (lambda a: (np.linalg.norm(a, 2), np.linalg.norm(a, -2), np.linalg.norm(a, "nuc")), (RIGHT,)),
    (lambda a: np.linalg.norm(a, 2, axis=(0, 2), keepdims=True), (STACK,)),
    (lambda a: np.linalg.matrix_power(a, -3), (SQUARE,)),
    (lambda a: np.linalg.tensorsolve(a, a[0, 0]), (RNG.normal(size=(2, 2, 2, 2)),)),
    (lambda x, y: np.polyfit(x, y, 2), (np.arange(7.0), RNG.normal(size=(7, 2)))),
    (lambda x, y: np.polyfit(x, y, 1, w=x + 1), (np.arange(7), RNG.normal(size=7))),
    (lambda a: np.linalg.eig(a).eigenvectors, (SQUARE + 0j,)),
    (np.linalg.eigvals, (STACK * 1j,)),
]


@pytest.mark.parametrize("number", range(len(COMPOSED)))
def test_what_numpy_composes(number: int) -> None:
    function, args = COMPOSED[number]
    np.testing.assert_allclose(tj.jit(function)(*args), function(*args), rtol=1e-12, atol=1e-14)


def test_one_program_for_all_sizes() -> None:
    @tj.jit
    def function(a: Any, b: Any) -> Any:
        return np.linalg.solve(a, b), np.linalg.svd(b, full_matrices=False), np.linalg.qr(b)

    for size, count in ((3, 2), (5, 7), (20, 1), (2, 2)):
        a, b = RNG.normal(size=(size, size)), RNG.normal(size=(size, count))
        found = function(a, b)
        assert_same(found, (np.linalg.solve(a, b), np.linalg.svd(b, full_matrices=False), np.linalg.qr(b)))
    assert function.cache_info().traces == 1


def test_matrices_of_computed_sizes() -> None:
    def function(a: Any, b: Any, mask: Any) -> Any:
        chosen = a[mask][:, mask]
        found = np.linalg.solve(chosen, b[mask]), np.linalg.inv(chosen), np.linalg.det(chosen)
        return (*found, np.linalg.lstsq(a[mask], b[mask])[0], np.linalg.svd(a[mask], full_matrices=False).S)

    compiled = tj.jit(function)
    for mask in ([True, False, True, True], [True] * 4, [False, True, False, False]):
        assert_same(compiled(SQUARE, RIGHT, np.array(mask)), function(SQUARE, RIGHT, np.array(mask)))
    some = np.array([True, False, True, True])
    with pytest.raises(np.linalg.LinAlgError, match="Last 2 dimensions of the array must be square"):
        tj.jit(lambda a, mask: np.linalg.inv(a[mask]))(SQUARE, some)
    with pytest.raises(np.linalg.LinAlgError, match="Incompatible dimensions"):
        tj.jit(lambda a, b, mask: np.linalg.lstsq(a[mask], b)[0])(SQUARE, RIGHT, some)


def test_views_are_read_where_they_lie() -> None:
    text = str(tj.jit(lambda a: np.linalg.inv(a[1:, :-1].T)).ir(SQUARE, stage="loops"))
    assert "call_library" in text
    assert "for(" not in text.replace(" ", "") and "alloc" not in text


def _leading_blocks(a: Any) -> Any:
    total = 0.0
    for k in range(1, a.shape[1]):
        for i in range(len(a)):
            total = total + np.linalg.det(a[i][:k, :k]) + np.linalg.slogdet(a[i, k:, k:])[1]
    return total


def _until_small(a: Any) -> Any:
    x, turns = np.ones(4), 0
    while abs(x).max() > 1e-6 and turns < 50:
        x = np.linalg.solve(a[0], x)
        turns += 1
    return x, turns


def _in_a_branch(a: Any) -> Any:
    return np.linalg.inv(a[0]) if a[0, 0, 0] > 0 else np.linalg.solve(a[0], a[1])


def _in_place(a: Any) -> Any:
    a[1] = np.linalg.inv(a[1])
    for i in range(2, len(a)):
        a[i] = np.linalg.solve(a[i - 1], a[i])
    a[0][:] = np.linalg.inv(a[0].T)
    return a


def _before_and_after(a: Any) -> Any:
    x = np.linalg.solve(a[0], a[1])
    y = np.linalg.inv(a[0])
    a[0] += 1
    return x, y, np.linalg.inv(a[0])


@pytest.mark.parametrize("function", [_leading_blocks, _until_small, _in_a_branch, _in_place, _before_and_after])
def test_in_loops_and_branches(function: Callable[[Any], Any]) -> None:
    for stack in (STACK, -STACK[:, ::-1]):
        mine, numpys = stack.copy(), stack.copy()
        assert_same(tj.jit(function)(mine), function(numpys), ulps=4)
        assert_same(mine, numpys)


def test_earlier_invalid_operations_are_no_failure() -> None:
    def function(x: Any, a: Any) -> Any:
        return np.sqrt(x) + np.log(x), np.linalg.inv(a), np.linalg.cholesky(a @ a.T)

    with np.errstate(invalid="ignore"):
        assert_same(tj.jit(function)(-np.ones(3), SQUARE), function(-np.ones(3), SQUARE), ulps=4)


def test_errors_come_from_the_users_line_and_change_nothing() -> None:
    def function(a: Any) -> Any:
        a[0] = 1.0
        a[1] = np.linalg.inv(a[1])
        return a

    a = STACK.copy()
    a[1] = 0
    before = a.copy()
    with pytest.raises(np.linalg.LinAlgError, match="Singular matrix") as caught:
        tj.jit(function)(a)
    line = function.__code__.co_firstlineno + 2
    assert any(f"{__file__}:{line}" in note for note in caught.value.__notes__)
    np.testing.assert_array_equal(a, before)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 7), st.integers(0, 3), st.lists(st.integers(0, 3), max_size=3), st.booleans(), st.randoms())
def test_any_batch_of_any_layout(size: int, count: int, batch: list[int], is_complex: bool, random: Any) -> None:
    generator = np.random.default_rng(random.randrange(2**32))
    a = generator.normal(size=(*batch, size, size)) + size * np.eye(size)
    b = generator.normal(size=(*batch[len(batch) // 2 :], size, count))
    if is_complex:
        a = a + 1j * generator.normal(size=a.shape)
    order = random.sample(range(a.ndim - 2), a.ndim - 2)
    laid = np.ascontiguousarray(a.transpose(*order, a.ndim - 1, a.ndim - 2))
    back = [order.index(axis) for axis in range(a.ndim - 2)]
    laid = laid.transpose(*back, a.ndim - 1, a.ndim - 2)
    assert_bits_of_program(laid, b)


_solve = tj.jit(np.linalg.solve)


def assert_bits_of_program(a: Any, b: Any) -> None:
    expected = np.linalg.solve(a, b)
    actual = _solve(a, b)
    assert (actual.shape, actual.tobytes()) == (expected.shape, expected.tobytes())


def test_vmap_is_a_batch() -> None:
    assert_same(tj.vmap(np.linalg.solve)(STACK, ROWS), np.linalg.solve(STACK, ROWS[..., None])[..., 0])
    assert_same(tj.vmap(np.linalg.solve, in_axes=(None, 0))(SQUARE, STACK), np.linalg.solve(SQUARE, STACK))
    assert_same(tj.vmap(np.linalg.solve, in_axes=(0, None))(STACK, ROWS[0]), np.linalg.solve(STACK, ROWS[0]))
    assert_same(tj.vmap(np.linalg.eigh)(STACK)[0], np.linalg.eigh(STACK)[0])
    text = str(tj.jit(tj.vmap(np.linalg.inv)).ir(STACK, stage="optimized"))
    assert "loop(" not in text.replace("library_loop(", "")


def test_loops_that_numpy_lays_out_otherwise_are_called_by_python(monkeypatch: pytest.MonkeyPatch) -> None:
    from tracejit.codegen_llvm import library_loops

    monkeypatch.setattr(library_loops, "is_available", lambda name, dtype: False)

    def function(a: Any, n: int) -> Any:
        for _ in range(n):
            a = np.linalg.inv(a)
        return a, np.fft.rfft(a, 5, axis=0), np.linalg.qr(a)

    assert_same(tj.jit(function)(SQUARE, 5), function(SQUARE, 5))
    with pytest.raises(np.linalg.LinAlgError, match="Singular matrix"):
        tj.jit(function)(np.ones((4, 4)), 5)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of memory are Linux's")
def test_no_memory_inside_the_library_is_an_error() -> None:
    program = """
        import resource
        import numpy as np, tracejit as tj
        inverse = tj.jit(np.linalg.inv)
        inverse(np.eye(30))
        matrix = np.eye(2000)
        pages = int(open("/proc/self/statm").read().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (50 << 20),) * 2)
        try:
            inverse(matrix)
        except MemoryError as error:
            print(type(error).__name__)
    """
    ran = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "MemoryError"
