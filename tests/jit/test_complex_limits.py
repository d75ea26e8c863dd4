"""Functions of complex numbers at infinities, NaNs, signed zeros, the ends of the range; their accuracy."""

from __future__ import annotations

import warnings
from typing import Any

import mpmath
import numpy as np
import pytest

import tracejit as tj

SPECIAL = [np.inf, -np.inf, np.nan, 0.0, -0.0, 1.0, -1.0, 2.5, -3.0, 80.0]
INVERSE = [np.arccos, np.arccosh, np.arcsin, np.arcsinh, np.arctan, np.arctanh]
FUNCTIONS = [
    *[np.cos, np.cosh, np.exp, np.exp2, np.expm1, np.log, np.log10, np.log1p, np.log2, np.sin, np.sinh, np.sqrt],
    *[np.tan, np.tanh, *INVERSE],
]


def all_pairs(parts: list[float], dtype: str) -> np.ndarray:
    return np.array([complex(x, y) for x in parts for y in parts]).astype(dtype)


@pytest.mark.parametrize("dtype", ["c8", "c16"])
@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_special_values(function: np.ufunc, dtype: str) -> None:
    x = all_pairs(SPECIAL, dtype)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("error", tj.PerformanceWarning)
        expected, actual = function(x), tj.jit(lambda x: function(x))(x)
    for mine, theirs in ((actual.real, expected.real), (actual.imag, expected.imag)):
        np.testing.assert_allclose(mine, theirs, rtol=1e-6)
        # Where the other part is NaN, C leaves the sign of a zero open.
        signed = np.isfinite(expected) & (theirs == 0)
        np.testing.assert_array_equal(np.signbit(mine[signed]), np.signbit(theirs[signed]))


@pytest.mark.parametrize("function", [np.log, np.sqrt, np.tanh, *INVERSE], ids=lambda function: function.__name__)
@pytest.mark.parametrize("dtype", ["c8", "c16"])
def test_ends_of_the_range(function: np.ufunc, dtype: str) -> None:
    limits = np.finfo(dtype)
    ends = [limits.smallest_subnormal, limits.smallest_normal, limits.smallest_normal / 3, limits.max, limits.max / 3]
    x = all_pairs([0.0, 1.0, *map(float, ends), *(-float(end) for end in ends)], dtype)[1:]
    with np.errstate(all="ignore"):
        expected, actual = function(x), tj.jit(lambda x: function(x))(x)
    np.testing.assert_allclose(actual.real, expected.real, rtol=2e-6)
    np.testing.assert_allclose(actual.imag, expected.imag, rtol=2e-6)


# The largest errors of the real part, the imaginary part and the whole number, in units in the last place of each.
ACCURACY = {
    np.tan: (5, 5, 5), np.tanh: (5, 5, 5), np.arcsin: (3, 3, 3), np.arccos: (3, 3, 3), np.arctan: (3, 3, 3),
    np.arcsinh: (3, 3, 3), np.arccosh: (3, 3, 3), np.arctanh: (3, 3, 3),
    np.expm1: (None, 4, 4), np.log1p: (None, 3, 4),  # real parts that cancel are only as exact as the whole number
}  # fmt: skip
EXACT = {
    np.tan: mpmath.tan, np.tanh: mpmath.tanh, np.arcsin: mpmath.asin, np.arccos: mpmath.acos, np.arctan: mpmath.atan,
    np.arcsinh: mpmath.asinh, np.arccosh: mpmath.acosh, np.arctanh: mpmath.atanh, np.expm1: mpmath.expm1,
    np.log1p: lambda z: mpmath.log(1 + z),
}  # fmt: skip


def around_branch_points(dtype: str) -> np.ndarray:
    """Numbers of all sizes and directions, and close to 1, -1, i, -i and the circle through them."""
    random = np.random.default_rng(5)
    count = 80

    def sizes(low: float, high: float) -> np.ndarray:
        return 10 ** random.uniform(low, high, count) * random.choice([-1, 1], count)

    low = -12 if dtype == "c16" else -6
    everywhere = sizes(low, 1.5) + 1j * sizes(low, 1.5)
    close = random.choice([1, -1, 1j, -1j], count) + sizes(low, -1) + 1j * sizes(low, -1)
    circle = np.exp(1j * random.uniform(0, 7, count)) * (1 + sizes(low, -2))
    return np.concatenate([everywhere, close, circle]).astype(dtype)


def error_in_units(found: Any, exact: Any, real: type) -> float:
    size = abs(exact)
    return 0.0 if size == 0 else float(abs(found - exact) / mpmath.mpf(float(np.spacing(real(float(size))))))


@pytest.mark.parametrize("dtype", ["c8", "c16"])
@pytest.mark.parametrize("function", ACCURACY, ids=lambda function: function.__name__)
def test_accuracy(function: np.ufunc, dtype: str) -> None:
    x = around_branch_points(dtype)
    real = np.float64 if dtype == "c16" else np.float32
    errors = [0.0, 0.0, 0.0]
    with mpmath.workprec(300):
        for number, result in zip(x, tj.jit(lambda x: function(x))(x), strict=True):
            found = mpmath.mpc(float(result.real), float(result.imag))
            exact = EXACT[function](mpmath.mpc(float(number.real), float(number.imag)))
            pairs = (found.real, exact.real), (found.imag, exact.imag), (found, exact)
            errors = [max(e, error_in_units(*pair, real)) for e, pair in zip(errors, pairs, strict=True)]
    for error, limit in zip(errors, ACCURACY[function], strict=True):
        assert limit is None or error <= limit, errors
