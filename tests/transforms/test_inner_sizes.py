"""Derivatives of loops whose slices have sizes that the counter decides."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tracejit.testing import check_grads


def polynomial(v: Any) -> Any:
    return np.polyval(v, 1.3)


def growing_slices(v: Any) -> Any:
    y = 0.0 * v
    for k in range(1, len(v)):
        y[:k] += v[k] * v[:k] ** 2
        y[k:] *= v[k - 1]
    return y


def triangular_loops(v: Any) -> Any:
    y = 1.0
    for k in range(1, len(v)):
        for j in range(k):
            y = y * v[k] + v[j:k].sum() * y
    return y


@pytest.mark.parametrize("function", [polynomial, growing_slices, triangular_loops])
@pytest.mark.parametrize("count", [4, 12])
def test_against_finite_differences(function: Any, count: int) -> None:
    check_grads(function, (np.linspace(0.2, 0.4, count),))
