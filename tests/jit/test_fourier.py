"""``np.fft`` in compiled code: NumPy's loops along any axis, of any number of points, with its bits."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tests.jit.test_linear_algebra import assert_bits
from tests.util.compare import assert_same

RNG = np.random.default_rng(5)
X = RNG.normal(size=(5, 6))
Z = X + 1j * RNG.normal(size=(5, 6))


@pytest.fixture(autouse=True)
def without_callbacks() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error", tj.PerformanceWarning)
        yield


ARRAYS = [
    X,
    Z,
    X.astype("f4"),
    Z.astype("c8"),
    Z.T,
    X.astype("f2"),
    (X * 9).astype("i2"),
    X > 0.5,
    X[::2, ::-1],
    Z[0],
    RNG.normal(size=(2, 3, 7)).transpose(1, 0, 2),
    np.zeros((0, 4)),
]
KEYWORDS: list[dict[str, Any]] = [
    {},
    {"n": 4, "norm": "ortho"},
    {"n": 9, "norm": "forward"},
    {"axis": 0, "norm": "ortho"},
    {"axis": 0, "n": 4},
    {"axis": -2, "n": 7, "norm": "backward"},
    {"n": 0},
    {"n": -3},
    {"norm": "sideways"},
    {"axis": 5},
    {"axis": 5, "n": 3},
]


@pytest.mark.parametrize("name", ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"])
def test_along_one_axis(name: str) -> None:
    function = getattr(np.fft, name)
    for array in ARRAYS:
        for keywords in KEYWORDS:
            refused = name in ("rfft", "ihfft") and array.dtype.kind == "c"
            undefined = name in ("irfft", "hfft") and array.size == 0  # NumPy leaves what was in memory
            if not refused and not undefined:
                assert_bits(lambda a, keywords=keywords: function(a, **keywords), array)


@pytest.mark.parametrize("name", ["rfft", "ihfft"])
def test_real_transforms_of_complex_numbers_are_refused(name: str) -> None:
    with pytest.raises(TypeError, match="not supported for the input types"):
        tj.jit(getattr(np.fft, name))(Z)


@pytest.mark.parametrize("name", ["fft2", "ifft2", "fftn", "ifftn", "rfft2", "rfftn", "irfft2", "irfftn"])
def test_along_several_axes(name: str) -> None:
    function = getattr(np.fft, name)
    every: list[dict[str, Any]] = [
        {},
        {"s": (4, -1), "axes": (0, 1)},
        {"axes": (0,)},
        {"norm": "ortho"},
        {"s": (3,), "axes": (0, 1)},
        {"axes": (1, 0, 1)},
    ]
    for array in (X, Z, Z.T, RNG.normal(size=(2, 3, 4))):
        for keywords in every:
            if not (name.startswith("rfft") and array.dtype.kind == "c"):
                assert_bits(lambda a, keywords=keywords: function(a, **keywords), array)


def test_one_program_for_all_numbers_of_points() -> None:
    @tj.jit
    def function(a: Any, n: int) -> Any:
        return np.fft.rfft(a, n), np.fft.irfft(a, n, axis=0), np.fft.fft(a, n, norm="ortho")

    for rows, columns, points in ((5, 6, 4), (3, 8, 5), (9, 2, 7), (4, 4, 2), (2, 30, 9)):
        a = RNG.normal(size=(rows, columns))
        expected = np.fft.rfft(a, points), np.fft.irfft(a, points, axis=0), np.fft.fft(a, points, norm="ortho")
        assert_same(function(a, points), expected)
    assert function.cache_info().traces == 1


def _windows(x: Any) -> Any:
    total = 0.0
    for i in range(2, len(x)):
        total += abs(np.fft.rfft(x[:i])).max() + np.fft.irfft(x[:i] + 0j, norm="ortho")[0]
        if i % 3 == 0:
            total += np.fft.ifft(x[::i]).real[0]
    return total


def _filtered(x: Any) -> Any:
    for _ in range(6):
        coefficients = np.fft.rfft(x)
        coefficients[len(coefficients) // 2 :] = 0
        x = np.fft.irfft(coefficients, len(x))
    return x


def _points_of_data(x: Any) -> Any:
    count = np.argmax(x) + 1
    return np.fft.fft(x, count)[0]


@pytest.mark.parametrize("function", [_windows, _filtered, _points_of_data])
def test_in_loops(function: Any) -> None:
    compiled = tj.jit(function)
    for size in (12, 31):
        x = RNG.normal(size=size)
        assert_same(compiled(x), function(x), ulps=16)


def test_out() -> None:
    def function(a: Any, out: Any, real: Any) -> Any:
        first = np.fft.fft(a, out=out)
        np.fft.irfft(a, 8, axis=0, out=real[::2])
        np.fft.fft2(a, out=out)
        return first

    args = (X, np.zeros((5, 6), complex), np.zeros((16, 6)))
    mine, numpys = [[part.copy() for part in args] for _ in range(2)]
    assert_same(tj.jit(function)(*mine), function(*numpys))
    assert_same(mine[1:], numpys[1:])


def test_out_of_another_shape_or_dtype_is_refused() -> None:
    for out in (np.zeros((5, 5), complex), np.zeros((5, 6)), np.zeros((5, 6), "c8")):
        expected = None
        try:
            np.fft.fft(X, out=out)
        except (ValueError, TypeError) as error:
            expected = error
        if expected is None:
            assert_same(tj.jit(lambda a, out: np.fft.fft(a, out=out))(X, out.copy()), np.fft.fft(X, out=out))
        else:
            with pytest.raises(type(expected)):
                tj.jit(lambda a, out: np.fft.fft(a, out=out))(X, out)


def test_vmap_is_a_batch() -> None:
    for function in (np.fft.fft, np.fft.rfft, lambda x: np.fft.irfft(x, 7)):
        assert_same(tj.vmap(function)(X), function(X))
    assert_same(tj.vmap(lambda x: np.fft.fft(x, axis=0))(np.stack([Z, Z])), np.fft.fft(np.stack([Z, Z]), axis=1))
