"""Single random numbers in loops: machine code draws the numbers of NumPy, to the last bit, and leaves its state."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tracejit.trace import native_draws, ziggurat
from tracejit.trace.frames import running_call
from tracejit.trace.native_draws import open_bits


@pytest.fixture(params=["functions of NumPy", "bits"], autouse=True)
def numbers_by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With NumPy's C functions, and where their names are not visible."""
    if request.param == "bits":
        monkeypatch.setattr(native_draws, "c_function", lambda name: 0)


BITS = [np.random.PCG64, np.random.PCG64DXSM, np.random.MT19937, np.random.Philox, np.random.SFC64]
DRAWS: list[Callable[..., Any]] = [
    lambda rng, low, high: rng.random(),
    lambda rng, low, high: rng.uniform(low, high + 0.5),
    lambda rng, low, high: rng.uniform(),
    lambda rng, low, high: rng.standard_normal(),
    lambda rng, low, high: rng.normal(),
    lambda rng, low, high: rng.normal(loc=low, scale=high - low),
    lambda rng, low, high: rng.standard_exponential(),
    lambda rng, low, high: rng.exponential(2.5),
    lambda rng, low, high: rng.integers(10),
    lambda rng, low, high: rng.integers(1),
    lambda rng, low, high: rng.integers(low, high),
    lambda rng, low, high: rng.integers(low, high=high),
    lambda rng, low, high: rng.integers(-5, 2**33),
    lambda rng, low, high: rng.integers(2**32),
    lambda rng, low, high: rng.integers(-(2**63), 2**63 - 1),
]
LEGACY: list[Callable[..., Any]] = [
    lambda rng, low, high: rng.random(),
    lambda rng, low, high: rng.random_sample(),
    lambda rng, low, high: rng.rand(),
    lambda rng, low, high: rng.uniform(high, low),
    lambda rng, low, high: rng.randint(7),
    lambda rng, low, high: rng.randint(low, high),
    lambda rng, low, high: rng.randint(-5, 2**45),
    lambda rng, low, high: rng.normal(low, 2.0),
    lambda rng, low, high: np.random.rand() + np.random.randint(3, 9),
]


def many(draw: Callable[..., Any], kind: type) -> Callable[..., Any]:
    """A loop of draws, and some numbers of the same generator around it."""

    def program(rng: Any, n: int, low: int, high: int) -> Any:
        found = np.empty(n, kind)
        first = rng.random()
        for k in range(n):
            found[k] = draw(rng, low, high)
        return first, found, rng.random(), rng.random(3)

    return program


def compare(draw: Callable[..., Any], make: Callable[[], Any], low: int, high: int, n: int) -> None:
    kind = np.float64 if isinstance(draw(make(), 0, 7), float) else np.int64
    program = many(draw, kind)
    np.random.seed(5)
    expected = program(make(), n, low, high)
    np.random.seed(5)
    actual = tj.jit(program)(make(), n, low, high)
    for a, b in zip(actual, expected, strict=True):
        np.testing.assert_array_equal(a, b, strict=True)
        assert type(a) is type(b)


@pytest.mark.parametrize("number", range(len(DRAWS)))
def test_the_numbers_of_numpy(number: int) -> None:
    for bits in BITS if number in (0, 3, 6, 10) else BITS[:1]:
        for low, high in ((0, 7), (-3, 2**50)):
            compare(DRAWS[number], lambda bits=bits: np.random.Generator(bits(8)), low, high, 2000)


@pytest.mark.parametrize("number", range(len(LEGACY)))
def test_the_numbers_of_random_states(number: int) -> None:
    for low, high in ((0, 7), (-3, 2**50)):
        compare(LEGACY[number], lambda: np.random.RandomState(8), low, high, 500)


def test_long_sequences_of_the_ziggurats() -> None:
    """Some draws out of a million need the tail, where NumPy calls the logarithm."""
    for draw in (lambda rng, a, b: rng.standard_normal(), lambda rng, a, b: rng.standard_exponential()):
        compare(draw, lambda: np.random.default_rng(1), 0, 1, 300_000)


def test_arrays_of_numbers_in_loops() -> None:
    def program(rng: Any, state: Any, n: int) -> Any:
        total = np.zeros(3)
        for _ in range(n):
            total += rng.random(3) + rng.normal(0.0, 1.0, 3) + rng.integers(5, size=3) + rng.uniform(size=3)
            total += state.rand(3) + state.randint(0, 9, 3) + rng.random((2, 3)).sum(axis=0)
        return total

    jitted = tj.jit(program)
    for n in (6, 9):
        args = np.random.default_rng(2), np.random.RandomState(2)
        expected = program(np.random.default_rng(2), np.random.RandomState(2), n)
        np.testing.assert_allclose(jitted(*args, n), expected, rtol=1e-14)
    assert jitted.cache_info().traces == 1


def test_the_tables_are_read_from_numpy() -> None:
    for table in (ziggurat.normal(), ziggurat.exponential()):
        assert table is not None
        assert table.inside[1] == 0 and (table.inside[2:] > 2**51).all()


def test_nothing_is_called_back_for_each_number() -> None:
    calls = []

    class Watched(np.random.Generator):
        def random(self, *args: Any) -> Any:  # type: ignore[override]
            calls.append(1)
            return super().random(*args)

    @tj.jit
    def total(rng: Any, n: int) -> Any:
        found = 0.0
        for _ in range(n):
            found += rng.random()
        return found

    own, other = Watched(np.random.PCG64(3)), np.random.default_rng(3)
    assert total(own, 40) == total(other, 40)  # a class of the user's keeps its methods
    assert len(calls) >= 40
    assert "random_bits" in total.ir(other, 40)  # and nothing but the addresses is asked of Python
    assert str(total.ir(other, 40)).count("callback") == 1


def test_a_generator_made_inside() -> None:
    def total(seed: int, n: int) -> Any:
        rng = np.random.default_rng(seed)
        found = 0.0
        for _ in range(n):
            for _ in range(3):
                found += rng.normal()
        for _ in range(n):
            own = np.random.default_rng(7)
            found += own.random() + own.random()
        return found

    jitted = tj.jit(total)
    for seed in (1, 2):
        assert jitted(seed, 20) == total(seed, 20)


@pytest.mark.parametrize(
    "draw",
    [
        lambda rng, x: rng.normal(0.0, x),
        lambda rng, x: rng.exponential(x),
        lambda rng, x: rng.integers(int(x)),
        lambda rng, x: rng.integers(5, int(x)),
        lambda rng, x: rng.uniform(3.0, x),
        lambda rng, x: rng.uniform(x * 1e308, -x * 1e308),
    ],
)
def test_wrong_parameters(draw: Callable[..., Any]) -> None:
    def program(rng: Any, x: float) -> Any:
        found = rng.random()
        for _ in range(3):
            found += draw(rng, x)
        return found

    jitted = tj.jit(program)
    for x in (-1.0, -2.0):
        rng = np.random.default_rng(4)
        with pytest.raises((ValueError, OverflowError)) as expected:
            program(np.random.default_rng(4), x)
        with pytest.raises(expected.type) as actual:
            jitted(rng, x)
        assert str(actual.value) == str(expected.value)
        with rng.bit_generator.lock:
            assert rng.random() < 1


def test_the_lock_is_held_and_given_back() -> None:
    rng = np.random.default_rng(4)
    free: list[bool] = []

    def look() -> None:
        free.append(rng.bit_generator.lock.acquire(blocking=False))
        if free[-1]:
            rng.bit_generator.lock.release()

    def watch() -> None:
        watcher = threading.Thread(target=look)
        watcher.start()
        watcher.join()

    with running_call(()):
        open_bits(rng)
        open_bits(rng)
        watch()
    watch()
    assert free == [False, True]


def test_threads_share_a_generator() -> None:
    rng = np.random.default_rng(4)

    @tj.jit
    def draw(rng: Any, found: Any) -> None:
        for k in range(len(found)):
            found[k] = rng.random()

    parts = [np.empty(20_000) for _ in range(4)]
    threads = [threading.Thread(target=draw, args=(rng, part)) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.sort(np.random.default_rng(4).random(80_000)))
