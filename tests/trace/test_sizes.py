"""Sizes: equalities, guards, how many programs a function needs for many sizes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.trace.harness import Jit, check, function_of
from tracejit.trace.sizes import SizeEnvironment
from tracejit.trace.tracer import trace


def test_equality_is_solved_for_the_newest_symbol() -> None:
    sizes = SizeEnvironment()
    n, m = sizes.fresh("n", 5), sizes.fresh("m", 4)
    assert sizes.require_equal(n - 1, m)
    assert sizes.resolve(m) == n - 1
    assert sizes.decide(n - 1, ">= 0") and sizes.guards() == ()  # m is a size, so n - 1 is known


def test_unsolvable_equality_becomes_a_guard() -> None:
    sizes = SizeEnvironment()
    n, m = sizes.fresh("n", 3), sizes.fresh("m", 2)
    assert sizes.require_equal(2 * n, 3 * m)
    assert sizes.same(2 * n, 3 * m)
    assert [str(guard.dim) + guard.relation for guard in sizes.guards()] == ["-3*m+2*n== 0"]


def test_different_sizes_are_not_equal() -> None:
    sizes = SizeEnvironment()
    n, m = sizes.fresh("n", 3), sizes.fresh("m", 2)
    assert not sizes.require_equal(n, m)
    assert sizes.broadcast(n, m) is None


def test_one_broadcasts_only_where_it_does() -> None:
    sizes = SizeEnvironment()
    n, m, k = sizes.fresh("n", 1), sizes.fresh("m", 1), sizes.fresh("k", 4)
    assert sizes.broadcast(n, m) == n and sizes.resolve(m) == n
    assert sizes.broadcast(n, k) == k and sizes.resolve(m) == 1


def test_trivial_facts_need_no_guard() -> None:
    sizes = SizeEnvironment()
    n = sizes.fresh("n", 5)
    assert sizes.decide(n, ">= 0") and sizes.decide(n + 1 - n, ">= 0") and not sizes.decide(-n - 1, ">= 0")
    assert sizes.decide(n % 4, ">= 0") and not sizes.decide(n % 4 - 4, ">= 0")
    assert not sizes.decide(n + 3, "== 0")
    assert sizes.guards() == ()


def test_only_the_strictest_guard_stays() -> None:
    sizes = SizeEnvironment()
    n = sizes.fresh("n", 5)
    assert sizes.decide(n - 1, ">= 0") and sizes.decide(n - 4, ">= 0") and sizes.decide(n - 2, ">= 0")
    assert [str(guard.dim) for guard in sizes.guards()] == ["n-4"]


def test_ints_of_the_call_keep_their_guard() -> None:
    sizes = SizeEnvironment()
    k, n = sizes.fresh("k", 5, integer=True), sizes.fresh("n", 5)
    assert sizes.require_equal(n, k) and sizes.guards() == ()
    assert sizes.concrete(k) == 5
    assert [str(guard.dim) + guard.relation for guard in sizes.guards()] == ["k-5== 0"]


def test_one_program_for_fifty_lengths() -> None:
    def program(x: Any, y: Any) -> Any:
        return np.sum(x * 2 + y), x[1:] - x[:-1], np.mean(x), np.concatenate([x, y]), np.arange(len(x)) * x

    jit = Jit(program)
    for n in range(1, 51):
        check(program, np.arange(float(n)), np.ones(n), jit=jit)
    assert len(jit.traces) == 1


def test_programs_for_broadcast_patterns() -> None:
    def program(x: Any, y: Any) -> Any:
        return x + y

    jit = Jit(program)
    for n, m in [(5, 5), (1, 1), (0, 0), (7, 7), (5, 1), (3, 1), (1, 5), (1, 0), (1, 9)]:
        check(program, np.ones(n), np.ones(m), jit=jit)
    assert len(jit.traces) == 3
    check(program, np.ones(3), np.ones(4), jit=jit)


def test_branch_on_a_size_is_guarded() -> None:
    def program(x: Any) -> Any:
        if len(x) % 2 == 0:
            return x.reshape(2, -1)
        return x if x.shape[0] > 3 else -x

    jit = Jit(program)
    for n in (4, 6, 8, 5, 7, 9, 3, 1, 2, 11):
        check(program, np.arange(float(n)), jit=jit)
    assert len(jit.traces) == 3


def test_matrix_sizes_are_learned() -> None:
    traced = trace(lambda a, b: a @ b, (np.ones((4, 3)), np.ones((3, 5))))
    assert [str(p.type) for p in traced.function.params] == ["f64[a0, a1]", "f64[a1, b1]"]
    assert traced.function.guards == ()
    assert traced.bind([np.ones((2, 7)), np.ones((7, 1))]) is not None
    assert traced.bind([np.ones((2, 7)), np.ones((6, 1))]) is None


@pytest.mark.parametrize("shape", [(12,), (3, 4), (2, 2, 3), (0, 5)])
def test_reshape_with_unknown(shape: tuple[int, ...]) -> None:
    check(lambda x: (x.reshape(-1), x.reshape(1, -1), x.reshape(x.shape[0], -1) if x.size else x), np.ones(shape))


def test_sizes_of_zero() -> None:
    def program(x: Any) -> Any:
        return x * 2, x.sum(axis=0), x[:, 1:], np.concatenate([x, x]), x.T, x.reshape(-1), np.zeros_like(x), x.mean()

    for shape in ((0, 3), (3, 1), (0, 1), (4, 2)):
        check(program, np.ones(shape))


SHAPES = """
x.shape == (4, 3)
np.prod(x.shape)
np.zeros(np.prod(x.shape))
int(np.prod(x.shape)) // 2
np.sum(x.shape)
str(x.shape)
f'{x.shape[0]}x{x.shape[1]}'
[x[i, j] for i, j in np.ndindex(2, 2)]
x.shape[::-1]
sum(x.shape)
max(x.shape)
np.array(x.shape)
x.reshape(x.shape[0] // 2, -1)
x.reshape(*x.shape, 1)
any(s > 3 for s in x.shape)
int(np.sqrt(x.size))
int(np.ceil(len(x) / 3))
x[: len(x) // 2], x[len(x) // 2 :]
x[-1:0:-1]
x[:: len(x) - 1]
np.roll(x, len(x) // 2, axis=0)
np.split(x, [len(x) // 2])
math.prod(x.shape)
np.repeat(x, x.shape[1], axis=0)
np.tile(x, (x.shape[0], 1))
np.linspace(0, 1, x.size).reshape(x.shape)
bool(x.shape[0])
"""


@pytest.mark.parametrize("body", SHAPES.strip().splitlines())
def test_arithmetic_of_shapes(body: str) -> None:
    function = function_of(body, "x")
    jit = Jit(function)
    for shape in ((4, 3), (4, 5), (6, 3)):
        check(function, np.arange(float(np.prod(shape))).reshape(shape), jit=jit)
