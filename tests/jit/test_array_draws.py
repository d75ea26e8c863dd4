"""Arrays of random numbers, distributions, choices and shuffles: those of NumPy and Python, to the last bit."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tracejit.trace import generator_memory

P = np.array([0.1, 0.2, 0.3, 0.4])
DRAWS: dict[str, Callable[..., Any]] = {
    "random": lambda r, n, x: r.random(n),
    "random rows": lambda r, n, x: r.random((n, 3)),
    "random single": lambda r, n, x: r.random(size=n, dtype=np.float32),
    "random none": lambda r, n, x: r.random((n, 0)),
    "uniform": lambda r, n, x: r.uniform(-1, 2.5, n),
    "uniform ends": lambda r, n, x: r.uniform(x, x + 1),
    "standard_normal": lambda r, n, x: r.standard_normal(n),
    "standard_normal single": lambda r, n, x: r.standard_normal(n, np.float32),
    "normal": lambda r, n, x: r.normal(1.0, 2.0, (2, n)),
    "normal around": lambda r, n, x: r.normal(x, 0.5),
    "normal scales": lambda r, n, x: r.normal(1.5, x * x),
    "exponential": lambda r, n, x: r.exponential(2.0, n),
    "standard_exponential": lambda r, n, x: r.standard_exponential(n),
    "standard_exponential single": lambda r, n, x: r.standard_exponential(n, dtype=np.float32),
    "integers": lambda r, n, x: r.integers(0, n, n),
    "integers below": lambda r, n, x: r.integers(10, size=(n, 2)),
    "integers wide": lambda r, n, x: r.integers(-5, 2**40, n),
    "integers closed": lambda r, n, x: r.integers(1, 6, n, endpoint=True),
    "integers int32": lambda r, n, x: r.integers(1, 6, n, dtype=np.int32),
    "integers uint64": lambda r, n, x: r.integers(1, 6, n, dtype=np.uint64),
    "integers int8": lambda r, n, x: r.integers(1, 6, n, dtype=np.int8),
    "integers one": lambda r, n, x: r.integers(4, 5, n),
    "integers none": lambda r, n, x: r.integers(4, 2, 0),
    "shuffle": lambda r, n, x: r.shuffle(x),
    "shuffle rows": lambda r, n, x: r.shuffle(x.reshape(-1, 1)),
    "permutation": lambda r, n, x: r.permutation(n),
    "permutation of": lambda r, n, x: r.permutation(x),
    "permutation rows": lambda r, n, x: r.permutation(np.outer(x, x)),
    "choice": lambda r, n, x: r.choice(n),
    "choice of": lambda r, n, x: r.choice(x),
    "choices": lambda r, n, x: r.choice(x, n),
    "choices below": lambda r, n, x: r.choice(n, size=3),
    "weighted": lambda r, n, x: r.choice(4, size=n, p=P),
    "weighted one": lambda r, n, x: r.choice(4, p=P),
    "without": lambda r, n, x: r.choice(n, 3, replace=False),
    "without many": lambda r, n, x: r.choice(20_000 + n, 500, replace=False),
    "without all": lambda r, n, x: r.choice(n, n, replace=False),
    "without of": lambda r, n, x: r.choice(x, size=4, replace=False),
    "poisson": lambda r, n, x: r.poisson(3.5),
    "poissons": lambda r, n, x: r.poisson(30.0, n),
    "geometric": lambda r, n, x: r.geometric(0.3, n),
    "gamma": lambda r, n, x: r.gamma(2.0, 3.0),
    "standard_gamma": lambda r, n, x: r.standard_gamma(0.5, n),
    "beta": lambda r, n, x: r.beta(2.0, 0.5, n),
    "chisquare": lambda r, n, x: r.chisquare(3, n),
    "lognormal": lambda r, n, x: r.lognormal(0.0, 0.25, n),
    "laplace": lambda r, n, x: r.laplace(0.0, 2.0, n),
    "gumbel": lambda r, n, x: r.gumbel(0.0, 2.0, n),
    "logistic": lambda r, n, x: r.logistic(0.0, 2.0),
    "rayleigh": lambda r, n, x: r.rayleigh(size=n),
    "weibull": lambda r, n, x: r.weibull(1.5, n),
    "pareto": lambda r, n, x: r.pareto(1.5, n),
    "standard_cauchy": lambda r, n, x: r.standard_cauchy(n),
    "standard_t": lambda r, n, x: r.standard_t(3.0, n),
    "binomial": lambda r, n, x: r.binomial(10, 0.5, n),
}
LEGACY: dict[str, Callable[..., Any]] = {
    "rand": lambda r, n, x: r.rand(n, 2),
    "randn": lambda r, n, x: r.randn(n, 2),
    "randn one": lambda r, n, x: r.randn(),
    "randn odd": lambda r, n, x: r.randn(3),
    "random_sample": lambda r, n, x: r.random_sample((n,)),
    "randint": lambda r, n, x: r.randint(0, n, n),
    "randint wide": lambda r, n, x: r.randint(-5, 2**40, n),
    "randint int32": lambda r, n, x: r.randint(1, 6, n, dtype=np.int32),
} | {
    name: DRAWS[name]
    for name in (
        "uniform", "uniform ends", "standard_normal", "normal", "normal around", "exponential",
        "standard_exponential", "shuffle", "shuffle rows", "permutation", "permutation of",
        "permutation rows", "choice", "choice of", "choices", "choices below", "weighted", "weighted one",
        "without", "poisson", "poissons", "geometric", "gamma", "lognormal",
    )
}  # fmt: skip
PYTHON: dict[str, Callable[..., Any]] = {
    "random": lambda r, n, x: r.random(),
    "uniform": lambda r, n, x: r.uniform(-2, 3.5),
    "randint": lambda r, n, x: r.randint(1, n),
    "randrange": lambda r, n, x: r.randrange(n),
    "randrange between": lambda r, n, x: r.randrange(-3, 4),
    "randint computed": lambda r, n, x: r.randint(0, int(x[3] * 100)),
    "gauss": lambda r, n, x: r.gauss(0.0, 1.0),
}


def program(draw: Callable[..., Any]) -> Callable[..., Any]:
    """Some draws in a loop, and some numbers of the same generator after it."""

    def repeated(rng: Any, n: int, x: Any, turns: int) -> Any:
        found = 0.0
        drawn = draw(rng, n, x)
        for _ in range(turns):
            drawn = draw(rng, n, x)
            found = drawn + found if drawn is not None else found
        return found, drawn, x, rng.random(), draw(rng, n, x), rng.random()

    return repeated


def compare(draw: Callable[..., Any], make: Callable[[], Any]) -> None:
    function = program(draw)
    jitted = tj.jit(function)
    for n, turns in ((7, 5), (40, 8)):
        x = np.linspace(1.0, 3.0, n)
        expected = function(make(), n, x.copy(), turns)
        actual = jitted(make(), n, x.copy(), turns)
        for a, b in zip(actual, expected, strict=True):
            np.testing.assert_array_equal(a, b, strict=True)
            assert type(a) is type(b)


@pytest.mark.filterwarnings("ignore::tracejit.PerformanceWarning")
@pytest.mark.parametrize("name", DRAWS)
def test_generators(name: str) -> None:
    compare(DRAWS[name], lambda: np.random.default_rng(8))


@pytest.mark.filterwarnings("ignore::tracejit.PerformanceWarning")
@pytest.mark.parametrize("name", LEGACY)
def test_random_states(name: str) -> None:
    compare(LEGACY[name], lambda: np.random.RandomState(8))


@pytest.mark.parametrize("name", PYTHON)
def test_python(name: str) -> None:
    compare(PYTHON[name], lambda: random.Random(8))


def test_the_shared_generators() -> None:
    def walk(n: int) -> Any:
        np.random.seed(3)
        random.seed(4)
        total = np.zeros(3)
        for k in range(n):
            total += np.random.randn(3) * random.random() + np.random.normal(k, 2.0) + random.randint(0, k)
        return total, np.random.rand(), random.random()

    for actual, expected in zip(tj.jit(walk)(20), walk(20), strict=True):
        np.testing.assert_array_equal(actual, expected)


def test_the_layout_of_states_is_known() -> None:
    assert generator_memory.knows_state()
    assert generator_memory.knows_python()


def test_nothing_is_called_back_for_arrays() -> None:
    @tj.jit
    def total(rng: Any, n: int) -> Any:
        found = np.zeros(4)
        for _ in range(n):
            found += rng.normal(size=4) + rng.integers(0, 9, 4) + rng.permutation(4) + rng.choice(found, 4)
        return found

    text = str(total.ir(np.random.default_rng(3), 40))
    assert text.count("callback") == 1  # for the addresses


@pytest.mark.parametrize(
    "draw",
    [
        lambda r, x: r.poisson(x),
        lambda r, x: r.poisson(-x * 1e30),
        lambda r, x: r.geometric(x, 3),
        lambda r, x: r.gamma(x),
        lambda r, x: r.gamma(2.0, x),
        lambda r, x: r.beta(x, 2.0),
        lambda r, x: r.pareto(x),
        lambda r, x: r.normal(0.0, np.array([1.0, x])),
        lambda r, x: r.uniform(np.array([1.0, 2.0]), x),
        lambda r, x: r.integers(0, int(x), 3),
        lambda r, x: r.choice(3, p=np.array([0.5, 0.7, x])),
        lambda r, x: r.choice(3, p=np.array([0.5, 0.7, 0.9 + x])),
    ],
)
def test_wrong_parameters(draw: Callable[..., Any]) -> None:
    def function(rng: Any, x: float) -> Any:
        found = 0.0
        for _ in range(5):
            found = found + draw(rng, x)
        return found

    for x in (-1.0, -2.0):
        with pytest.raises((ValueError, OverflowError)) as expected:
            function(np.random.default_rng(4), x)
        with pytest.raises(expected.type) as actual:
            tj.jit(function)(np.random.default_rng(4), x)
        assert str(actual.value) == str(expected.value)


def test_an_empty_range_of_python() -> None:
    @tj.jit
    def function(rng: Any, x: float) -> Any:
        found = 0
        for _ in range(5):
            found += rng.randint(1, int(x))
        return found

    assert function(random.Random(1), 9.5) == sum(map(random.Random(1).randint, [1] * 5, [9] * 5))
    with pytest.raises(ValueError, match="empty range"):
        function(random.Random(1), 0.5)
