"""Random numbers inside compiled functions: fresh at each call, and the sequence of the undecorated function."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tests.util.compare import assert_same

X = np.linspace(0.5, 2.5, 7)
SHARED = np.random.default_rng(3)


def run(function: Callable[..., Any], *args: Any) -> list[Any]:
    """Three calls, with the generators behind the modules seeded before."""
    np.random.seed(11)
    random.seed(11)
    return [function(*[a.copy() if isinstance(a, np.ndarray) else a for a in args]) for _ in range(3)]


MODULES: list[Callable[[Any], Any]] = [
    lambda x: np.random.rand(),
    lambda x: np.random.rand(3, len(x)) + x,
    lambda x: x * np.random.normal(size=x.shape),
    lambda x: np.random.normal(x, 2.0),
    lambda x: np.random.randint(0, 10),
    lambda x: np.random.randint(0, len(x), size=5),
    lambda x: x[np.random.randint(len(x))],
    lambda x: x[np.random.permutation(len(x))],
    lambda x: np.random.choice(x, size=4, p=x / x.sum()),
    lambda x: np.random.choice(5, 3, replace=False),
    lambda x: np.random.uniform(x[0], x[1] + 5, 3),
    lambda x: np.random.multivariate_normal(np.zeros(2), np.eye(2), len(x)),
    lambda x: (np.random.shuffle(x), x)[1],
    lambda x: np.random.binomial(10, x[0] / 3) + np.random.poisson(3.0),
    lambda x: (np.random.seed(5), np.random.rand(2))[1],
    lambda x: random.random() * x[0],
    lambda x: random.gauss(0, 1) + random.uniform(1, 2),
    lambda x: random.randint(1, 6),
    lambda x: random.choice([1.5, 2.5, 3.5]),
    lambda x: random.sample(range(10), 3),
    lambda x: [random.random() for _ in range(3)],
    lambda x: np.where(np.random.random(x.shape) < 0.5, x, 0.0),
    lambda x: np.random.default_rng(7).normal(size=3),
    lambda x: np.random.default_rng(int(x[0] * 10)).normal(size=len(x)),
    lambda x: np.random.RandomState(3).standard_normal((2, 2)),
    lambda x: np.random.Generator(np.random.PCG64(4)).integers(0, 9, 4),
    lambda x: [g.random() for g in np.random.default_rng(7).spawn(2)],
    lambda x: random.Random(4).random(),
    lambda x: np.sort(np.random.rand(len(x)))[0],
]


@pytest.mark.filterwarnings("ignore::tracejit.PerformanceWarning")
@pytest.mark.parametrize("number", range(len(MODULES)))
def test_the_sequence_is_numpys(number: int) -> None:
    function = MODULES[number]
    jitted = tj.jit(function, exact=True)
    for x in (X, X[:5].copy()):
        assert_same(run(jitted, x), run(function, x))


METHODS: list[Callable[[Any, Any], Any]] = [
    lambda rng, x: rng.random(),
    lambda rng, x: rng.normal(),
    lambda rng, x: rng.integers(10),
    lambda rng, x: rng.integers(1, 6, size=x.shape, endpoint=True),
    lambda rng, x: rng.normal(x, 0.5) + rng.standard_normal(len(x), dtype="f4"),
    lambda rng, x: rng.permutation(x),
    lambda rng, x: rng.permuted(np.outer(x, x), axis=1),
    lambda rng, x: rng.choice(np.outer(x, x), 3),
    lambda rng, x: rng.multinomial(5, x / x.sum(), size=2),
    lambda rng, x: rng.dirichlet(x),
    lambda rng, x: (rng.shuffle(x), x * 2),
    lambda rng, x: (rng.shuffle(x[1:4]), x),
    lambda rng, x: (rng.random(out=x), x)[1],
    lambda rng, x: rng.integers(x[:3].astype(int), 9),
    lambda rng, x: rng.exponential(scale=2.0) > 1,
]


@pytest.mark.parametrize("number", range(len(METHODS)))
def test_a_generator_as_argument(number: int) -> None:
    function = METHODS[number]
    jitted = tj.jit(function)
    for seed in range(3):  # another generator at each call is no reason for another version
        a, b, x, y = np.random.default_rng(seed), np.random.default_rng(seed), X.copy(), X.copy()
        for _ in range(2):
            assert_same(jitted(a, x), function(b, y))
        assert_same(x, y)
        assert a.bit_generator.state == b.bit_generator.state
    assert jitted.cache_info().traces == 1


def walk(rng: Any, x: Any, n: int) -> Any:
    """Draws in a loop, in a branch and in the condition of a loop."""
    total = 0.0
    for _ in range(n):
        if rng.random() < 0.5:
            x = x + rng.normal(size=x.shape)
        else:
            x = x * rng.integers(1, 7)
        total += x[0]
    turns = 0
    while rng.random() < 0.9:
        turns += 1
    return x, total, turns


def test_loops_and_branches() -> None:
    def function(rng: Any, x: Any, n: int) -> Any:
        return walk(rng, x.copy(), n)

    jitted = tj.jit(function, exact=True)
    for count in (30, 7):
        for seed in range(4):
            got = jitted(np.random.default_rng(seed), X, count)
            assert_same(got, function(np.random.default_rng(seed), X, count))
    assert jitted.cache_info().traces == 1


def test_globals_closures_and_attributes() -> None:
    class Model:
        def __init__(self) -> None:
            self.rng = np.random.default_rng(1)

        def step(self, x: Any) -> Any:
            return x + self.rng.normal(size=x.shape)

    local = np.random.RandomState(2)
    model = Model()

    def function(x: Any) -> Any:
        return SHARED.random() + local.rand(), model.step(x)

    def states() -> list[Any]:
        return [SHARED.bit_generator.state, local.get_state(legacy=False), model.rng.bit_generator.state]

    before = states()
    expected = [function(X) for _ in range(3)]
    SHARED.bit_generator.state, model.rng.bit_generator.state = before[0], before[2]
    local.set_state(before[1])
    jitted = tj.jit(function)
    assert_same([jitted(X) for _ in range(3)], expected)
    model.rng = np.random.default_rng(1)
    jitted(X)
    assert jitted.cache_info().traces == 1


def test_one_generator_under_two_names() -> None:
    function = tj.jit(lambda a, b: (a.random(), b.random()))
    a, b = np.random.default_rng(1), np.random.default_rng(1)
    assert function(a, a) == (b.random(), b.random())
    c, d = np.random.default_rng(5), np.random.default_rng(6)
    assert function(c, d) == (np.random.default_rng(5).random(), np.random.default_rng(6).random())
    assert function(a, a) == (b.random(), b.random())


def test_lists_are_shuffled_when_the_program_runs() -> None:
    def function(x: Any) -> Any:
        order = list(range(6))
        np.random.shuffle(order)
        random.shuffle(order)
        return order, x[order[0]]

    assert_same(run(tj.jit(function), X), run(function, X))


def test_tracing_draws_nothing() -> None:
    rng = np.random.default_rng(0)
    function = tj.jit(lambda x: x + rng.normal())
    state = rng.bit_generator.state
    function.ir(X)
    assert rng.bit_generator.state == state


def test_draws_in_functions_that_are_handed_on() -> None:
    def function(x):
        return x + sum(map(np.random.normal, [1.0, 2.0]))

    compiled = tj.jit(function)
    np.random.seed(0)
    expected = [function(X) for _ in range(3)]
    np.random.seed(0)
    for each in expected:
        assert_same(compiled(X), each)


def test_draws_that_nobody_sees_are_refused() -> None:
    @tj.jit
    def function(x):
        order = [1.0, 2.0, 3.0]
        order.sort(key=np.random.normal)
        return x + order[0]

    np.random.seed(0)
    with pytest.raises(tj.UnsupportedError, match="random numbers of RandomState"):
        function(X)
    expected = np.random.RandomState(0).rand()
    assert np.random.rand() == expected


def test_errors_are_numpys_and_the_state_stays() -> None:
    rng, other = np.random.default_rng(0), np.random.default_rng(0)
    function = tj.jit(lambda x, scale: rng.normal(x, scale))
    assert_same(function(X, 1.0), other.normal(X, 1.0))
    for _ in range(2):
        with pytest.raises(ValueError, match="scale < 0"):
            function(X, -1.0)
    assert_same(function(X, 1.0), other.normal(X, 1.0))


def test_threads_have_their_own_generators() -> None:
    function = tj.jit(walk, exact=True)
    function(np.random.default_rng(9), X.copy(), 20)
    found: dict[int, Any] = {}

    def work(seed: int) -> None:
        rng = np.random.default_rng(seed)
        found[seed] = [function(rng, X.copy(), 20) for _ in range(5)]

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed in range(2):
        rng = np.random.default_rng(seed)
        assert_same(found[seed], [walk(rng, X.copy(), 20) for _ in range(5)])


def test_gradients_go_past_random_numbers() -> None:
    def loss(w: Any, seed: int) -> Any:
        noise = np.random.default_rng(seed).normal(size=w.shape)
        return np.sum(w * w * noise)

    np.testing.assert_allclose(tj.grad(loss)(X, 3), 2 * X * np.random.default_rng(3).normal(size=X.shape))
