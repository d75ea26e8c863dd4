"""Functions of complex numbers at infinities, NaNs, signed zeros and the ends of the range are NumPy's."""

from __future__ import annotations

import numpy as np
import pytest

import tracejit as tj

SPECIAL = [np.inf, -np.inf, np.nan, 0.0, -0.0, 1.0, -1.0, 2.5, -3.0]
FUNCTIONS = [np.cos, np.cosh, np.exp, np.log, np.log10, np.log2, np.sin, np.sinh, np.sqrt]


def all_pairs(parts: list[float], dtype: str) -> np.ndarray:
    return np.array([complex(x, y) for x in parts for y in parts]).astype(dtype)


@pytest.mark.parametrize("dtype", ["c8", "c16"])
@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_special_values(function: np.ufunc, dtype: str) -> None:
    x = all_pairs(SPECIAL, dtype)
    with np.errstate(all="ignore"):
        expected, actual = function(x), tj.jit(lambda x: function(x))(x)
    for mine, theirs in ((actual.real, expected.real), (actual.imag, expected.imag)):
        np.testing.assert_allclose(mine, theirs, rtol=1e-6)
        # Where the other part is NaN, C leaves the sign of a zero open.
        signed = np.isfinite(expected) & (theirs == 0)
        np.testing.assert_array_equal(np.signbit(mine[signed]), np.signbit(theirs[signed]))


@pytest.mark.parametrize("function", [np.log, np.sqrt], ids=lambda function: function.__name__)
@pytest.mark.parametrize("dtype", ["c8", "c16"])
def test_ends_of_the_range(function: np.ufunc, dtype: str) -> None:
    limits = np.finfo(dtype)
    ends = [limits.smallest_subnormal, limits.smallest_normal, limits.smallest_normal / 3, limits.max, limits.max / 3]
    x = all_pairs([0.0, 1.0, *map(float, ends), *(-float(end) for end in ends)], dtype)[1:]
    with np.errstate(all="ignore"):
        expected, actual = function(x), tj.jit(lambda x: function(x))(x)
    np.testing.assert_allclose(actual.real, expected.real, rtol=2e-6)
    np.testing.assert_allclose(actual.imag, expected.imag, rtol=2e-6)
