"""Programs of thousands of operations: no recursion, and time that grows with their length only."""

from __future__ import annotations

import time

import numpy as np
import pytest

import tracejit as tj
from tests.util.compare import versions_of


def chain(x, count):
    for k in range(count):
        x = x * 0.5 + 1.0 if k % 2 else np.maximum(x, -1.0) - 0.25
    return x


@pytest.mark.slow
def test_twenty_thousand_operations():
    """In one chain, the worst case for everything that follows operands."""
    function = tj.jit(lambda x: chain(x, 10_000))
    x = np.linspace(-1, 1, 33)
    started = time.perf_counter()
    result = function(x)
    assert time.perf_counter() - started < 120  # a bound against quadratic time, not a benchmark
    np.testing.assert_array_equal(result, chain(x, 10_000))
    assert versions_of(function) == 1


def test_many_results():
    function = tj.jit(lambda x: [np.sin(x) * k for k in range(300)])
    x = np.linspace(0, 1, 7)
    for k, row in enumerate(function(x)):
        np.testing.assert_allclose(row, np.sin(x) * k, rtol=1e-15)


def test_many_arguments():
    function = tj.jit(lambda *xs: sum(xs[1:], xs[0]))
    xs = [np.full(3, float(k)) for k in range(200)]
    np.testing.assert_array_equal(function(*xs), sum(xs))
    np.testing.assert_array_equal(function(*xs), sum(xs))


def test_deep_structures():
    tree = np.ones(3)
    for _ in range(60):
        tree = [tree]
    result = tj.jit(lambda tree: tree)(tree)
    for _ in range(60):
        (result,) = result
    np.testing.assert_array_equal(result, np.ones(3))


def test_many_updates_of_one_array():
    def function(x):
        for k in range(200):
            x[k % 7] += x[(k + 1) % 7] * 0.5
        return x.sum()

    x, y = np.ones((7, 3)), np.ones((7, 3))
    np.testing.assert_allclose(tj.jit(function)(x), function(y), rtol=1e-14)
    np.testing.assert_allclose(x, y, rtol=1e-14)


def test_time_grows_with_the_length():
    """Four times as many operations take no more than about four times as long: no stage is quadratic."""

    def seconds(count):
        function = tj.jit(lambda x: chain(x, count))
        started = time.perf_counter()
        function.ir(np.ones(9), stage="loops")
        return time.perf_counter() - started

    seconds(10)
    ratio = min(seconds(2000) / seconds(500) for _ in range(3))
    assert ratio < 10
