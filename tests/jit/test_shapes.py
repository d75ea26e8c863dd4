"""One compilation for all sizes; one more for each broadcast pattern and guarded branch that is used."""

from __future__ import annotations

import numpy as np
import pytest

import tracejit as tj
from tests.util.compare import check, versions_of


def test_one_compilation_for_fifty_lengths():
    @tj.jit
    def function(x, y):
        z = np.sqrt(x * x + y * y)
        return z / z.sum(), z[1:] - z[:-1], z.max()

    for size in range(2, 52):
        x, y = np.arange(1.0, size + 1), np.ones(size)
        expected = function.__wrapped__(x, y)
        for a, b in zip(function(x, y), expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-14)
    info = function.cache_info()
    assert (info.compiles, info.traces, info.entries, info.misses, info.hits) == (1, 1, 1, 1, 49)


def test_one_compilation_for_all_batch_sizes_of_a_network():
    def loss(w1, b1, w2, x, y):
        hidden = np.maximum(x @ w1 + b1, 0)
        scores = hidden @ w2
        scores = scores - scores.max(1, keepdims=True)
        logs = scores - np.log(np.exp(scores).sum(1, keepdims=True))
        return -logs[np.arange(len(y)), y].mean()

    random = np.random.default_rng(0)
    w1, b1, w2 = random.normal(size=(8, 16)), random.normal(size=16), random.normal(size=(16, 3))
    jitted = tj.jit(loss)
    for batch in (32, 32, 7, 100, 2, 65):
        x, y = random.normal(size=(batch, 8)), random.integers(0, 3, batch)
        check(loss, w1, b1, w2, x, y, jitted=jitted, tolerance=1e-12)
    assert versions_of(jitted) == 1


def test_sizes_zero_and_one():
    def function(x, y):
        return x + y, x * 2, (x - y).sum(0), np.concatenate([x, y]), x[::-1], np.exp(x).T @ y

    jitted = None
    for shape in [(4, 3), (0, 3), (1, 3), (4, 1), (4, 0), (0, 0), (1, 1), (5, 4)]:
        jitted = check(function, np.ones(shape), np.full(shape, 2.0), jitted=jitted, tolerance=1e-13)
    assert versions_of(jitted) == 1


@pytest.mark.parametrize(
    "shapes",
    [
        [(4, 3), (3,)], [(4, 3), (1, 3)], [(4, 3), (4, 1)], [(4, 1), (1, 3)], [(4, 3), ()], [(1,), (5,)],
        [(1, 1), (4, 3)],
        [(2, 1, 3), (4, 1)], [(0, 3), (1, 3)], [(0,), (1,)], [(1, 0), (5, 1)], [(3,), (2, 4, 3)],
    ],
    ids=str,
)  # fmt: skip
def test_broadcast_patterns(shapes):
    a, b = (np.arange(float(np.prod(s))).reshape(s) + 1 for s in shapes)
    check(lambda a, b: (a + b, a * b - a, np.maximum(a, b).sum(), a / b, np.where(a > b, a, b)), a, b, tolerance=1e-14)


def test_each_broadcast_pattern_compiles_once():
    jitted = tj.jit(lambda a, b: a + b)
    sizes = [((n, m), s) for n, m in [(4, 3), (6, 5), (7, 2)] for s in ((n, m), (1, m), (n, 1), (1, 1), (m,))]
    for _ in range(2):
        for first, second in sizes:
            a, b = np.ones(first), np.full(second, 2.0)
            np.testing.assert_array_equal(jitted(a, b), a + b)
    assert versions_of(jitted) == 5


def test_a_size_of_one_that_broadcasts_in_the_first_call_only():
    def function(a, b):
        return a + b

    for first, later in [((1, 3), (4, 3)), ((4, 3), (1, 3))]:
        jitted = check(function, np.ones(first), np.ones((4, 3)))
        check(function, np.ones(later), np.ones((4, 3)), jitted=jitted)
        check(function, np.ones((1, 3)), np.ones((1, 3)), jitted=jitted)


def test_equal_sizes_are_required_only_where_they_meet():
    def function(a, b):
        return a * 2, b.sum()

    jitted = check(function, np.ones(3), np.ones(3))
    check(function, np.ones(3), np.ones(5), jitted=jitted)
    assert versions_of(jitted) == 1

    def meets(a, b):
        return a * b

    jitted = check(meets, np.ones(3), np.ones(3))
    check(meets, np.ones(3), np.ones(5), jitted=jitted)
    check(meets, np.ones(1), np.ones(5), jitted=jitted)
    check(meets, np.ones(5), np.ones(5), jitted=jitted)


def test_guards_on_sizes():
    def function(x):
        if len(x) > 4:
            return x[:4].sum()
        if x.shape[0] == 2:
            return x[0] * x[1]
        return x.sum() * x.size

    jitted = None
    for size in (7, 100, 5, 3, 2, 1, 0, 4, 50):
        jitted = check(function, np.arange(float(size)), jitted=jitted, tolerance=1e-15)
    assert versions_of(jitted) <= 5


def test_sizes_in_arithmetic():
    def function(x):
        n, m = x.shape
        return (
            x / n,
            np.ones((m, n)) * n,
            x.reshape(n * m),
            x.reshape(m, -1),
            np.arange(n) / m,
            x.mean() * (n - 1),
            n,
            x.size // 2,
        )

    jitted = None
    for shape in [(4, 3), (7, 2), (3, 8), (1, 5)]:
        jitted = check(function, np.arange(float(np.prod(shape))).reshape(shape), jitted=jitted, tolerance=1e-14)
    assert versions_of(jitted) <= 2


def test_ints_as_sizes():
    def function(n, m, start):
        return (
            np.zeros((n, m)),
            np.arange(start, n),
            np.linspace(0, 1, m),
            np.eye(n),
            np.full(m, start),
            np.ones(n)[: m - 1],
        )

    jitted = None
    for n, m, start in [(4, 3, 1), (6, 2, 3), (10, 7, 0), (5, 5, 2), (3, 4, 0)]:
        jitted = check(function, n, m, start, jitted=jitted, tolerance=1e-15)
    assert versions_of(jitted) <= 3


def test_negative_and_inferred_sizes():
    check(lambda n: np.zeros(n), -1)
    check(lambda x: x.reshape(3, -1), np.arange(12.0))
    check(lambda x: x.reshape(5, -1), np.arange(12.0))
    jitted = tj.jit(lambda x: x.reshape(2, -1) + 1)
    for size in (4, 10, 6):
        check(lambda x: x.reshape(2, -1) + 1, np.arange(float(size)), jitted=jitted)
    check(lambda x: x.reshape(2, -1) + 1, np.arange(5.0), jitted=jitted)


@pytest.mark.parametrize("rank", range(0, 9))
def test_ranks(rank):
    shape = (2, 3, 1, 2, 1, 2, 2, 1)[:rank]
    x = np.arange(float(np.prod(shape))).reshape(shape)
    check(lambda x: (x + 1, x.T, x.sum(), x[...], x.ravel(), (x * x.T.T).T), x)


def test_shapes_are_no_part_of_static_loops():
    """A loop over the rows runs as often as there are rows, in this call."""

    def function(x):
        total = np.zeros(x.shape[1])
        for row in x:
            total = total + row * len(x)
        return total

    jitted = None
    for rows in (3, 5, 2, 3):
        jitted = check(function, np.arange(float(rows * 4)).reshape(rows, 4), jitted=jitted, tolerance=1e-15)


def test_matrix_products():
    def function(a, b):
        return (
            a @ b,
            np.dot(a, b),
            b.T @ a.T,
            np.outer(a[0], b[:, 0]),
            np.inner(a, a),
            np.einsum("ij,jk->ik", a, b),
            a @ b[:, 0],
        )

    jitted = None
    random = np.random.default_rng(0)
    for n, k, m in [(4, 3, 5), (1, 3, 2), (40, 30, 20), (4, 1, 4), (0, 3, 2), (3, 0, 2), (3, 3, 3)]:
        a, b = random.normal(size=(n, k)), random.normal(size=(k, m))
        if n:
            jitted = check(function, a, b, jitted=jitted, tolerance=1e-12)
        check(lambda a, b: a @ b, a, b, tolerance=1e-12)
    for dtype in ("f4", "i4", "c16", "?", "f2", "u1"):
        a, b = random.integers(0, 3, (5, 4)).astype(dtype), random.integers(0, 3, (4, 6)).astype(dtype)
        check(lambda a, b: (a @ b, np.tensordot(a, b, 1), a[0] @ b, a @ b[:, 1], a[1] @ b[:, 2]), a, b, tolerance=1e-6)
    stacked = random.normal(size=(6, 4, 3))
    check(
        lambda a, b: (a @ b, np.matmul(a, b[0]), np.einsum("bij,bjk->bik", a, b)),
        stacked,
        stacked.swapaxes(1, 2),
        tolerance=1e-12,
    )


def test_joining_and_splitting():
    def function(x, y):
        found = [
            np.concatenate([x, y]),
            np.stack([x, y]),
            np.vstack([x, y]),
            np.hstack([x, y]),
            np.concatenate([x, y], axis=None),
        ]
        found += [
            np.tile(x, 2),
            np.repeat(x, 3, axis=0),
            *np.split(x, 2),
            np.pad(x, 1),
            np.roll(x, 1),
            np.broadcast_to(x, (2, *x.shape)),
        ]
        return [
            *found,
            np.expand_dims(x, 1).squeeze(),
            np.swapaxes(x, 0, 1),
            np.moveaxis(x, 0, -1),
            np.tril(x),
            np.append(x, y),
        ]

    jitted = None
    for shape in [(4, 3), (2, 5), (6, 2)]:
        x = np.arange(float(np.prod(shape))).reshape(shape)
        jitted = check(function, x, x + 0.5, jitted=jitted)
    assert versions_of(jitted) == 1


def test_isin_gives_an_array_for_a_number():
    for x in (3, 3.5, np.float32(3), np.arange(4)):
        check(lambda x: (np.isin(x, 3), np.isin(x, [1, 3], invert=True), np.isin(x, np.arange(100))), x)


def test_argwhere_of_a_number_gives_no_coordinates():
    for x in (0, 2.5, np.float32(0), np.arange(3)):
        check(lambda x: np.argwhere(x), x)


def test_tri_takes_negative_sizes():
    for n in (3, 0, -2):
        check(lambda n: (np.tri(n), np.tri(n, 2), np.tri(2, n, 1)), n)


def test_arange_of_computed_floats():
    def ranges(start, stop, step):
        return np.arange(stop), np.arange(start, stop), np.arange(start, stop, step), np.arange(stop, start, -step)

    for bounds in (
        (0.5, 4.0, 0.7),
        (0, 1.0, 0.1),
        (0.3, 0.3, 2),
        (1.0, 0.5, 0.1),
        (0.0, 3.0, np.float32(0.1)),
        (0.1, 9.0, 1e9),
    ):
        check(ranges, *bounds)
    check(lambda x: np.arange(x[0], x[1], 0.25) ** 2, np.array([0.1, 2.5]))
    check(lambda x: np.arange(x, x + 4, dtype=np.float32), 0.75)
    check(lambda x: np.arange(0, x, dtype=int), 4.5)
    check(lambda x: np.arange(0.0, 1 + x, x).sum(), 1 / 99, tolerance=1e-14)
    check(lambda x: np.arange(0.0, 1.0, x), 0.0, text=False)
    check(lambda x: np.arange(0.0, x), np.nan)
    check(lambda x: np.arange(0.0, x), 1e300)
