"""Python's numbers raise where NumPy's have infinity, and arrays of integers refuse single numbers that do not fit."""

from __future__ import annotations

import operator

import numpy as np
import pytest

import tracejit as tj
from tests.util.compare import check, versions_of


@pytest.mark.parametrize("function", [operator.truediv, operator.floordiv, operator.mod, divmod])
@pytest.mark.parametrize(
    ("left", "divisors"),
    [
        (1.5, (2.0, 0.0, -0.0)),
        (7, (2, 0, -3)),
        (1, (0.5, 0.0)),
        (1.5, (2, 0)),
        (2.5, (True, False)),
        (np.float64(1.5), (2.0, 0.0)),
        (1.5, (np.float64(2), np.float64(0))),
    ],
)
def test_division_by_zero(function, left, divisors):
    def divide(a, b):
        return function(a, b)

    jitted = tj.jit(divide, exact=True)
    for divisor in divisors:
        check(divide, left, divisor, jitted=jitted, text=function is not divmod)


def test_division_that_a_test_guards():
    def guarded(a, b):
        return a / b if b != 0 else 0.0

    def in_a_loop(n, a):
        total = 0.0
        for i in range(n):
            total += a / (i - 3)
        return total

    jitted = tj.jit(guarded, exact=True)
    for b in (2.0, 0.0):
        check(guarded, 1.0, b, jitted=jitted)
    assert versions_of(jitted) == 1
    for n in (3, 9):
        check(in_a_loop, n, 2.0, text=False)


def test_complex_division_and_order():
    check(lambda a, b: a / b, 1 + 1j, 0j)
    check(lambda a, b: a > b, 1 + 1j, 2.0)
    check(lambda z: (z[0] > 0, z[0] > z[1], z < 2), np.array([1 + 1j, 2, 0]))


def test_powers():
    def power(a, b):
        return a**b

    jitted = tj.jit(power, exact=True)
    for a, b in ((4.0, 0.5), (0.0, -1.0), (-2.0, 3.0), (0.0, 2.0)):
        check(power, a, b, jitted=jitted, ulps=2)
    with pytest.raises(tj.errors.UnsupportedError, match="is complex in Python"):
        jitted(-2.0, 0.5)
    assert versions_of(jitted) == 1
    check(lambda x: x**-1, 0.0)
    check(lambda x: x**-1, np.float64(0.0))
    check(lambda x: (x**3, x**2, x**-2.0), -2.0, ulps=2)


def one_number(x, v):
    x[0] = v


def a_row(x, v):
    x[1:] = v


def by_indices(x, v):
    x[[0, 2]] = v


def elements(x, v):
    for k in range(len(x)):
        x[k] = v[k]


def adds(x, v):
    for k in range(len(x)):
        x[k] += v[k]


def turns(x, v):
    for k in range(len(x)):
        x[k] = 100 * k + 1


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "uint32", "int64", "uint64"])
def test_numbers_that_do_not_fit(dtype):
    x = np.zeros(5, dtype)
    single = [300, -2, 2.5, 300.5, float("nan"), np.int64(300), np.int64(-2), np.float64(300.5), np.array(300), 2.0**40]
    for function in (one_number, a_row, by_indices):
        for value in single:
            check(function, x, value, text=False)
    for values in ([0, 1, 2, 3, 4], [0, 100, 300, 3, 4], [0.5, 1.5, 2, 3, 4], [0, 1, np.nan, 3, 4]):
        for function in (elements, adds):
            v = np.array(values)
            if not (function is adds and v.dtype == float):
                check(function, x, v, in_loop=True, text=False) if dtype[0] == "i" else check(
                    function, x, np.abs(v) % 99
                )
    check(turns, x, 1, in_loop=True)
