"""Reductions, compiled: every axis, dtype, keyword and special size."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tracejit as tj
from tests.jit.test_elementwise import DTYPES, values
from tests.util.compare import check

AXES = [None, 0, 1, 2, -1, (0, 1), (0, 2), (1, 2), (0, 1, 2), ()]


def wide(dtype: str, shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Values without NaNs and infinities, small enough for products."""
    random = np.random.default_rng(seed)
    if np.dtype(dtype).kind in "biu":
        return random.integers(0, 2 if dtype == "?" else 9, shape).astype(dtype)
    found = random.uniform(0.5, 1.5, shape)
    return (found + 1j * random.uniform(-0.5, 0.5, shape)).astype(dtype) if dtype[0] == "c" else found.astype(dtype)


def tolerance(dtype: str) -> float:
    """Sums are taken in another order than NumPy's: a few roundings more or less."""
    return {"f2": 4e-3, "f4": 4e-6, "c8": 4e-6, "f8": 1e-14, "c16": 1e-14}.get(dtype, 0)


@pytest.mark.parametrize("axis", AXES, ids=str)
def test_axes(axis):
    def function(x):
        found = [
            x.sum(axis), np.prod(x, axis=axis), x.min(axis), np.max(x, axis), np.any(x > 1, axis),
            np.all(x < 2, axis=axis),
            x.mean(axis), np.var(x, axis), np.std(x, axis=axis), np.ptp(x, axis), np.count_nonzero(x > 1, axis),
            np.sum(x, axis, keepdims=True), x.max(axis, keepdims=True), x.mean(axis, keepdims=True),
        ]  # fmt: skip
        if axis is None or isinstance(axis, int):
            found += [x.argmin(axis), np.argmax(x, axis=axis), np.argmax(x, axis, keepdims=True)]
            found += [np.cumsum(x, axis), np.cumprod(x, axis=axis)]
        return found

    jitted = None
    for shape in [(3, 5, 7), (4, 9, 33), (1, 1, 1), (2, 1, 40), (1, 300, 2)]:
        jitted = check(function, wide("f8", shape), jitted=jitted, tolerance=1e-12, calls=1)


@pytest.mark.parametrize("dtype", DTYPES)
def test_dtypes(dtype):
    def function(x):
        found = [x.sum(), np.sum(x, 0), x.prod(), x.min(1), x.max(), x.any(), np.all(x, 0)]
        found += [x.argmax(0), x.argmin()] if x.dtype.kind != "c" else []  # refused, see test_errors.py
        return [*found, np.mean(x, 0), np.cumsum(x, 1), np.cumprod(x[:5]), np.add.reduce(x), np.maximum.reduce(x, 1)]

    if dtype == "f2":  # of ours or NumPy's: 16 bits hold no product of 35 numbers to more digits
        check(lambda x: [x.prod()], wide(dtype, (5, 7)), tolerance=2e-2)
    check(function, wide(dtype, (5, 7) if dtype != "f2" else (3, 3)), tolerance=4 * tolerance(dtype))


@pytest.mark.parametrize("dtype", ["i1", "u2", "i8", "?"])
def test_integers_wrap_as_in_numpy(dtype):
    def function(x):
        return x.sum(), x.sum(dtype="i1"), x.prod(), np.sum(x, 0, dtype=x.dtype), np.mean(x), np.var(x, ddof=1)

    check(function, values(dtype, 40).reshape(5, 8), tolerance=1e-12)


@pytest.mark.parametrize("dtype", ["f4", "f8", "i4", "c16", "?"])
def test_dtype_keyword(dtype):
    def function(x):
        return x.sum(dtype="f4"), np.sum(x, 0, dtype="f8"), np.mean(x, dtype="f4"), np.prod(x, dtype="c16")

    with np.errstate(all="ignore"):
        if dtype == "c16":
            check(lambda x: (x.sum(dtype="c8"), np.mean(x, 0, dtype="c16")), wide(dtype, (4, 5)), tolerance=1e-5)
        else:
            check(function, wide(dtype, (4, 5)), tolerance=1e-5)


def test_where_and_initial():
    def function(x, mask, start):
        return [
            np.sum(x, where=mask), np.sum(x, 0, where=mask, initial=3), x.sum(1, initial=start), np.prod(x, where=mask),
            np.min(x, where=mask, initial=9.0), np.max(x, 1, where=mask, initial=-9.0), np.min(x, 0, initial=start),
            np.any(x > 1, where=mask), np.all(x > 0.5, 0, where=mask), np.mean(x, where=mask),
            np.mean(x, 1, where=mask),
            np.var(x, where=mask), np.sum(x, 1, where=mask[0]), np.sum(x, where=True),
        ]  # fmt: skip

    x, mask = wide("f8", (6, 7)), values("?", 42).reshape(6, 7)
    check(function, x, mask, 0.75, tolerance=1e-13)
    check(function, x, np.zeros_like(mask), 0.75, tolerance=1e-13)


@pytest.mark.parametrize("ddof", [0, 1, 2.5, 6])
def test_ddof(ddof):
    def function(x):
        return x.var(ddof=ddof), np.std(x, 0, ddof=ddof), np.var(x, axis=1, ddof=ddof, keepdims=True)

    check(function, wide("f8", (6, 9)), tolerance=1e-13)
    check(function, wide("c16", (6, 9)), tolerance=1e-13)
    check(lambda x, d: np.var(x, ddof=d), wide("f4", (30,)), 2, tolerance=1e-5)


def test_empty_reductions_have_numpys_identities():
    def function(x):
        return x.sum(), x.sum(0), x.prod(1), x.any(), x.all(), x.mean(0), x.sum(1), np.cumsum(x, 1), x.max(1)

    for shape in [(3, 0), (0, 3), (0, 0)]:
        if shape[1]:
            check(function, np.zeros(shape))
        check(lambda x: (x.sum(), x.prod(1), x.any(0), np.cumsum(x, 0)), np.zeros(shape, "i4"))


@pytest.mark.parametrize("name", ["min", "max", "argmin", "argmax"])
def test_empty_reductions_without_identity(name):
    check(lambda x: getattr(np, name)(x), np.zeros(0))
    # The same function, compiled for other sizes before, must notice.
    jitted = tj.jit(lambda x: getattr(np, name)(x, axis=0))
    jitted(np.ones((4, 3)))
    check(lambda x: getattr(np, name)(x, axis=0), np.zeros((0, 3)), jitted=jitted)
    check(lambda x: getattr(np, name)(x, axis=0), np.zeros((3, 0)), jitted=jitted)


@pytest.mark.parametrize("dtype", ["f8", "i4", "?"])
def test_rank_zero(dtype):
    def function(x):
        return (
            x.sum(),
            np.max(x),
            x.any(),
            np.mean(x),
            np.sum(x, axis=()),
            x.sum(keepdims=True),
            np.std(x),
            np.argmax(x),
        )

    check(function, np.array(1, dtype))
    check(function, np.dtype(dtype).type(1))


@pytest.mark.parametrize("dtype", ["f4", "f8", "f2", "c16"])
def test_nans(dtype):
    def function(x):
        found = [x.min(), x.max(), np.max(x, 0), np.min(x, 1), x.sum()]
        found += [np.argmax(x), np.argmin(x, 0), np.argmax(x, 1)] if x.dtype.kind != "c" else []
        return [*found, np.mean(x, 0), x.any(), x.all(0)]

    for place in (0, 7, 20, 39):
        x = wide(dtype, (5, 8))
        x.flat[place] = np.nan
        check(function, x, tolerance=tolerance(dtype) * 4, calls=1)


def test_nan_functions():
    def function(x):
        found = [np.nansum(x), np.nanmax(x, 0), np.nanmin(x, axis=1), np.nanmean(x, 0), np.nanprod(x, 1)]
        return [*found, np.nanstd(x), np.nanvar(x, 1)]

    x = wide("f8", (5, 8))
    x.flat[[3, 9, 30]] = np.nan
    check(function, x, tolerance=1e-13)


def test_signed_zeros_and_ties():
    x = np.array([[0.0, -0.0, 0.0], [-0.0, 0.0, -0.0], [-0.0, -0.0, -0.0]])
    # Which zero is the maximum depends on NumPy's own vector code: only the values count.
    check(lambda x: (x.max(1) == 0, x.argmax(0), x.argmin(1)), x)
    check(lambda x: x.sum(1), x)
    many = np.ones(1000)
    check(lambda x: (np.argmax(x), np.argmin(x)), many)
    check(lambda x: (np.argmax(x, 0), np.argmin(x, 1)), np.ones((40, 50), "i2"))


@pytest.mark.parametrize("size", [1, 7, 8, 63, 64, 65, 1000, 16384, 16385, 100_003])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_sums_are_no_less_accurate_than_numpys(dtype, size):
    x = np.random.default_rng(size).normal(size=size).astype(dtype)
    exact = math.fsum(x.tolist())
    scale = float(np.abs(x).sum(dtype="f8"))
    error, allowed = abs(float(_total(x)) - exact), abs(float(x.sum()) - exact)
    assert error <= max(allowed, np.finfo(dtype).eps * scale * 2)
    columns = np.ascontiguousarray(np.broadcast_to(x[:, None], (size, 3)))
    sums = _column_sums(columns)
    reference = columns.sum(0)
    worst = max(np.abs(reference.astype("f8") - exact).max(), np.finfo(dtype).eps * scale * 4)
    assert (np.abs(sums.astype("f8") - exact) <= worst).all()


_total, _column_sums = tj.jit(lambda x: x.sum()), tj.jit(lambda x: x.sum(0))


def test_threaded_reductions():
    x = wide("f8", (700, 1500))

    def function(x):
        return x.sum(), x.sum(0), x.sum(1), x.max(0), x.argmax(), (x * x).mean(1), np.any(x > 2, 1), np.cumsum(x, 0)[-1]

    check(function, x, tolerance=1e-12)


def test_softmax_and_normalisation():
    def function(x):
        shifted = np.exp(x - x.max(axis=1, keepdims=True))
        softmax = shifted / shifted.sum(axis=1, keepdims=True)
        normal = (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5)
        return softmax, normal, np.log(np.sum(np.exp(x), axis=-1))

    check(function, wide("f4", (9, 33)), tolerance=1e-5)
    check(function, wide("f8", (40, 3)), tolerance=1e-13)


@pytest.mark.parametrize("layout", ["transposed", "reversed", "strided"])
def test_layouts(layout):
    base = wide("f8", (30, 20))
    x = {"transposed": base.T, "reversed": base[::-1, ::-1], "strided": base[::2, ::3]}[layout]
    check(lambda x: (x.sum(), x.sum(0), x.max(1), x.argmin(0), np.cumsum(x)), x, tolerance=1e-13)


def test_reductions_of_views_and_slices():
    def function(x):
        return (
            x[1:-1].sum(0),
            x[:, ::-2].max(1),
            x.T.sum(0),
            (x[1:] - x[:-1]).prod(1),
            x[:, 3].mean(),
            x.ravel()[5:].min(),
        )

    check(function, wide("f8", (12, 11)), tolerance=1e-12)


def test_ufunc_methods():
    def function(x):
        return (
            np.add.reduce(x, 1),
            np.multiply.accumulate(x),
            np.maximum.reduce(x),
            np.add.accumulate(x, 1),
            np.add.outer(x[0], x[1]),
        )

    check(function, wide("f8", (5, 6)), tolerance=1e-13)


def test_statistics():
    def function(x, w):
        return (
            np.average(x, axis=0, weights=w),
            np.diff(x, axis=0),
            np.diff(x, 2),
            np.linalg.norm(x),
            np.linalg.norm(x, axis=1),
        )

    check(function, wide("f8", (5, 6)), wide("f8", (5,), 1), tolerance=1e-13)
