"""Products of parts of matrices, which are read where they lie."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tracejit as tj

PRODUCTS: dict[str, Callable[..., Any]] = {
    "column by part": lambda a, b, k: a[:, k] @ a[:, k + 1 :],
    "part by column": lambda a, b, k: a[:, 1:] @ b[1:, k],
    "parts": lambda a, b, k: a[1:, k:] @ b[k:, 2:5],
    "transposed part": lambda a, b, k: a[1:4, k:].T @ b[2:5, 1:],
    "columns": lambda a, b, k: a[:, k] @ a[:, 0],
    "rows": lambda a, b, k: a[k] @ b[:, 1:4],
    "changed between": lambda a, b, k: changed(a, b, k),
    "column of a row": lambda a, b, k: a[k : k + 1] @ b[:, :3],
    "gaps": lambda a, b, k: a[::2, ::2] @ b[::2],
    "nothing": lambda a, b, k: a[:, 3:3] @ b[3:3],
    "outer": lambda a, b, k: np.outer(a[:, k], b[k, 1:]),
}


def changed(a: Any, b: Any, k: int) -> Any:
    part = a[:, 1:].copy()
    seen = a[:, 1:] @ b[1:, 1:]
    a[:, k] += 1
    return seen + a[:, 1:] @ b[1:, 1:] + part @ b[1:, 1:]


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64, np.complex128])
@pytest.mark.parametrize("name", PRODUCTS)
def test_products_of_parts(name: str, dtype: Any) -> None:
    product = PRODUCTS[name]

    def once(a: Any, b: Any) -> Any:
        return product(a, b, 2)

    def program(a: Any, b: Any, n: int) -> Any:
        total = 0
        for k in range(n):
            total = total + product(a, b, k).sum()
        return total

    a, b = np.random.default_rng(3).integers(-9, 9, (2, 6, 6)).astype(dtype)
    np.testing.assert_allclose(tj.jit(once)(a.copy(), b), once(a.copy(), b), rtol=1e-6)
    np.testing.assert_allclose(tj.jit(program)(a.copy(), b, 5), program(a.copy(), b, 5), rtol=1e-6)


def test_nothing_is_copied() -> None:
    def program(a: Any) -> Any:
        found = np.zeros(a.shape[1])
        for k in range(a.shape[1] - 1):
            found[k + 1 :] += a[:, k] @ a[:, k + 1 :]
        return found

    text = str(tj.jit(program).ir(np.ones((40, 30)), stage="loops"))
    assert "gemm" in text
    assert "alloc {dims=(<a0>" not in text
