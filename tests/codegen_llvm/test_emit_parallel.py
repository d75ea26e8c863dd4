"""Parallel loops: when they are split, that all iterations run once, and errors of checks in every kind of loop."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.codegen_llvm.emit_harness import Compiled, buffer, chunks, loop_function
from tracejit.codegen_llvm.writer import Message
from tracejit.ir.dims import symbol
from tracejit.ir.ops import PRIMITIVES as P
from tracejit.lowering.loops import for_loop, store

N, M = symbol("n"), symbol("m")
KINDS = ("serial", "vector", "parallel", "parallel_vector")


def increment(kind: str, cost: Any) -> Any:
    """``out[i] += x[i] + scale``, with a scalar from outside of the loop."""

    def emit(x: Any, scale: Any, out: Any) -> None:
        outside = P["load"](scale) * 2.0

        def body(i: Any, _: Any) -> list[Any]:
            store(P["load"](out, i) + P["load"](x, i) + outside, out, [i])
            return []

        for_loop(N, body, kind=kind, cost=cost)

    return loop_function([buffer("f64", N), buffer("f64"), buffer("f64", N)], emit)


@pytest.mark.parametrize("kind", ["parallel", "parallel_vector"])
def test_every_iteration_runs_once(kind: str) -> None:
    kernel = Compiled(increment(kind, 3))
    for n in (0, 1, 7, 1000, 123_457):
        x, out = np.arange(float(n)), np.ones(n)
        assert kernel([x, np.array(1.5), out], [n], threads=3) == 0
        assert (out == x + 4).all()
        assert (len(chunks) > 1) == (n > 100_000)


@pytest.mark.parametrize("cost", [2, M])
def test_costly_iterations_are_split_few_at_a_time(cost: Any) -> None:
    def emit(x: Any, out: Any) -> None:
        def row(i: Any, _: Any) -> list[Any]:
            for_loop(M, lambda j, _: [store(P["load"](x, i, j) + 1.0, out, [i, j])] and [], kind="vector")
            return []

        for_loop(N, row, kind="parallel", cost=cost)

    kernel = Compiled(loop_function([buffer("f64", N, M)] * 2, emit))
    x, out = np.zeros((6, 100_000)), np.zeros((6, 100_000))
    assert kernel([x, out], [6, 100_000], threads=2) == 0
    assert (out == 1).all()
    assert (len(chunks) > 1) == (cost is M)


def test_one_thread_or_little_work_stays_with_the_caller() -> None:
    kernel = Compiled(increment("parallel_vector", 3))
    for n, threads in ((200_000, 1), (100, 8)):
        assert kernel([np.zeros(n), np.array(0.0), np.zeros(n)], [n], threads=threads) == 0
        assert not chunks


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_index_is_reported(kind: str) -> None:
    def emit(x: Any, indices: Any, out: Any) -> None:
        def body(i: Any, _: Any) -> list[Any]:
            index = P["wrap_index"](P["load"](indices, i), P["dim"](dim=N), axis=2)
            store(P["load"](x, index), out, [i])
            return []

        for_loop(M, body, kind=kind, cost=10**6)

    kernel = Compiled(loop_function([buffer("f64", N), buffer("i64", M), buffer("f64", M)], emit))
    assert kernel.kernel.messages == (
        Message("IndexError", "index {0} is out of bounds for axis 2 with size {1}", None),
    )
    rng = np.random.default_rng(0)
    for m in (1, 5, 64, 1000):
        x, indices, out = rng.random(20), rng.integers(-20, 20, m), np.zeros(m)
        assert kernel([x, indices, out], [20, m], threads=3) == 0
        assert (out == x[indices]).all()
        for wrong in (-21, 20, 2**40, -(2**63)):
            broken = indices.copy()
            broken[m - 1] = wrong
            assert kernel([x, broken, out], [20, m], threads=3) == 1
            assert tuple(kernel.context.error_values[:2]) == (wrong, 20)
        assert kernel([x[:0].copy(), indices, out], [0, m], threads=2) == 1
