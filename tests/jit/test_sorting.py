"""np.sort and argsort: NumPy's bits and its order of equal elements, whichever way a line is sorted."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tests.util.compare import check, versions_of
from tracejit.codegen_llvm import sorts
from tracejit.config import options

DTYPES = [np.dtype(letter) for letter in "?bBhHiIlLefdFD"]
KINDS = ("quicksort", "heapsort", "stable")
LINES = [(0,), (1,), (2,), (17,), (127,), (128,), (700,)]


def numbers(dtype: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Few different numbers, so that many are equal; the extreme ones, zeros of both signs and several NaNs."""
    dtype, rng = np.dtype(dtype), np.random.default_rng(0)
    if dtype.kind == "c":
        parts = numbers(dtype.char.lower(), (*shape, 2))
        return parts.view(dtype)[..., 0]
    if dtype.kind in "biu":
        limits = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        few = np.array([dtype.type(number) for number in (*limits, 0, 1, 3, 5, 100, *limits)])
        return rng.choice(few, shape)
    few = np.array([-np.inf, -3, -0.0, 0.0, -0.0, 0.0, 1.5, 3, np.inf, np.nan, -np.nan], dtype)
    return rng.choice(few, shape)


def assert_same_bits(actual: np.ndarray, expected: np.ndarray) -> None:
    assert (actual.dtype, actual.shape) == (expected.dtype, expected.shape)
    assert actual.tobytes() == expected.tobytes()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.filterwarnings("error")
def test_lines(dtype: Any, kind: str) -> None:
    for function in (np.sort, np.argsort):
        jitted = tj.jit(lambda x, function=function: function(x, kind=kind))
        for shape in LINES:
            for x in (numbers(dtype, shape), numbers(dtype, shape)[::-1]):
                assert_same_bits(jitted(x), function(x, kind=kind))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("axis", [0, 1, -1, None])
@pytest.mark.parametrize("dtype", ["f8", "i4", "i1"])
def test_axes(dtype: str, axis: int | None, kind: str) -> None:
    for function in (np.sort, np.argsort):
        jitted = tj.jit(lambda x, function=function: function(x, axis=axis, kind=kind))
        for shape in ((300, 3), (2, 200), (0, 3), (3, 0), (4, 150, 2)):
            x = numbers(dtype, shape)
            assert_same_bits(jitted(x), function(x, axis=axis, kind=kind))


def test_which_kind_is_meant() -> None:
    x = numbers("f8", (300,))
    for arguments in ({}, {"kind": None}, {"kind": "mergesort"}, {"stable": True}, {"stable": False}, {"stable": None}):
        for function in (np.sort, np.argsort):
            jitted = tj.jit(lambda x, function=function, arguments=arguments: function(x, **arguments))
            assert_same_bits(jitted(x), function(x, **arguments))


@pytest.mark.parametrize("dtype", ["f8", "i4", "i1", "f2"])
@pytest.mark.parametrize("kind", KINDS)
def test_without_a_library(dtype: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loops sort everything that they can; elements that are equal keep their order."""
    monkeypatch.setattr(sorts, "_address", lambda sort: 0)
    with options(disk_cache=False):
        for function in (np.sort, np.argsort):
            jitted = tj.jit(lambda x, function=function: function(x, kind=kind))
            for shape in (*LINES, (3, 200)):
                x = numbers(dtype, shape)
                assert_same_bits(jitted(x), function(x, kind="stable"))
            assert "_line" not in str(jitted.ir(x, stage="loops"))


def test_code_from_disk_whose_sort_is_missing_is_compiled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def function(x):
        return np.sort(x * 1.25) - 3.5

    x = np.arange(200.0)[::-1].copy()
    first = tj.jit(function)
    check(function, x, jitted=first)
    again = tj.jit(function)
    check(function, x, jitted=again)
    assert again.cache_info().disk_hits == 1
    monkeypatch.setattr(sorts, "_address", lambda sort: 0)
    without = tj.jit(function)
    check(function, x, jitted=without)
    assert (without.cache_info().compiles, without.cache_info().disk_hits) == (1, 0)


# ------------------------------------------------------------------------------------------------------ in programs


def _rows_one_by_one(x):
    for i in range(len(x)):
        x[i] = np.sort(x[i])
    return x


def _smallest_first(x):
    total = 0.0
    for i in range(len(x)):
        total = total * 0.5 + np.sort(x[i] * (i + 1))[0] + np.argsort(x[i])[-1]
    return total


def _until_sorted(x):
    turns = 0
    while (x[1:] < x[:-1]).any():
        x.sort()
        turns += 1
    return x, turns


def _one_of_two(x):
    if x[0, 0] > 0:
        x = np.sort(x, axis=0)
    else:
        x = np.sort(x, axis=1)[:, ::-1]
    return x


def _in_place(x):
    x.sort(axis=0)
    x[1].sort(kind="stable")
    x[:, ::2].sort()
    return x[0]


def _used_before_and_after(x):
    y = x * 2
    z = np.sort(y)
    return y - z, z


PROGRAMS: dict[str, tuple[Callable[..., Any], tuple[int, ...]]] = {
    "rows one by one": (_rows_one_by_one, (7, 30)),
    "smallest first": (_smallest_first, (6, 20)),
    "until sorted": (_until_sorted, (40,)),
    "one of two": (_one_of_two, (5, 6)),
    "in place": (_in_place, (6, 7)),
    "used before and after": (_used_before_and_after, (3, 50)),
    "an expression": (lambda x: np.sort(np.abs(x) + x.T, axis=0) * 2, (9, 9)),
    "many rows": (lambda x: (np.sort(x), np.argsort(x, axis=1)), (900, 64)),
    "order applied": (lambda x: np.take_along_axis(x, np.argsort(x, axis=0), axis=0), (30, 4)),
    "sorted twice": (lambda x: np.sort(np.sort(x, axis=0), axis=1), (20, 30)),
    "a literal": (lambda x: np.sort(np.ones(5)) + np.argsort(np.zeros(5)) + x[0, 0], (2, 2)),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs(name: str) -> None:
    function, shape = PROGRAMS[name]
    check(function, np.random.default_rng(1).normal(size=shape))


def test_in_threads() -> None:
    jitted = tj.jit(lambda x: (np.sort(x), np.argsort(x, axis=0)))
    arrays = [np.random.default_rng(seed).normal(size=(300, 400)) for seed in range(4)]
    jitted(arrays[0])
    wrong: list[int] = []

    def run(number: int) -> None:
        for _ in range(5):
            values, places = jitted(arrays[number])
            if (values != np.sort(arrays[number])).any() or (places != np.argsort(arrays[number], axis=0)).any():
                wrong.append(number)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(arrays))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("dtype", ["f8", "i8", "f4", "i2", "?"])
def test_unique_of_zeros_and_nan(dtype: str) -> None:
    x = numbers(dtype, (300,))
    check(lambda x: np.unique(x, return_inverse=True, return_counts=True), x)
    check(lambda x: np.unique(x, return_index=True), x)


def test_gradients_go_where_the_elements_went() -> None:
    x = np.random.default_rng(2).normal(size=(3, 40))
    weights = np.arange(40.0)
    for axis, kind in ((1, "quicksort"), (1, "stable")):
        gradient = tj.jit(tj.grad(lambda x, axis=axis, kind=kind: (np.sort(x, axis, kind) * weights).sum()))(x)
        np.testing.assert_array_equal(gradient, weights[np.argsort(np.argsort(x))])


# ------------------------------------------------------------------------------------------------------- quantiles

QUANTILES: dict[str, Callable[..., Any]] = {
    "a number": lambda x: np.percentile(x, 30),
    "all of them": lambda x: (np.percentile(x, 100), np.percentile(x, 0), np.quantile(x, 1.0), np.quantile(x, 0.0)),
    "between": lambda x: np.quantile(x, 0.123),
    "several": lambda x: np.percentile(x, [25, 50, 75.5]),
    "several quantiles": lambda x: np.quantile(x, (0.1, 0.9)),
    "columns": lambda x: np.percentile(np.stack([x, x * 2, x[::-1]]), 60, axis=0),
    "rows": lambda x: np.percentile(np.stack([x, x * 2, x[::-1]]), [10, 90], axis=-1),
    "a matrix": lambda x: np.quantile(np.stack([x, x * 2]), 0.5),
    "elements": lambda x: np.quantile(x, 1),
    "a method": lambda x: np.percentile(x, 30, method="lower"),
    "kept": lambda x: np.percentile(x, 30, keepdims=True),
    "too large": lambda x: np.percentile(x, 101),
    "too small": lambda x: np.quantile(x, [0.5, -0.1]),
    "in a loop": lambda x: sum(np.percentile(x, 20 * i) for i in range(5)),
    "no such axis": lambda x: np.percentile(x, 5, axis=1),
}


@pytest.mark.parametrize("dtype", ["f8", "f4", "i8", "u1", "i1"])
@pytest.mark.parametrize("name", QUANTILES)
@pytest.mark.filterwarnings("ignore::tracejit.PerformanceWarning")  # other methods are NumPy's
def test_quantiles(name: str, dtype: str) -> None:
    jitted = tj.jit(QUANTILES[name], exact=True)
    for size in (1, 2, 33, 300):
        x = (np.random.default_rng(size).normal(size=size) * 60).clip(0 if dtype == "u1" else -128, 127).astype(dtype)
        check(QUANTILES[name], x, jitted=jitted)
        if dtype[0] == "f":
            x[size // 2] = np.nan
            check(QUANTILES[name], x, jitted=jitted)


def test_quantiles_of_a_list_that_changes() -> None:
    wanted = [25, 50]
    jitted = tj.jit(lambda x: np.percentile(x, wanted), exact=True)
    for _ in range(3):
        check(lambda x: np.percentile(x, wanted), np.arange(10.0), jitted=jitted)
        wanted[0] += 7


def test_quantiles_go_through_no_python() -> None:
    jitted = tj.jit(lambda x: (np.percentile(x, [25, 75], axis=0), np.quantile(x, 0.5)))
    assert "callback" not in str(jitted.ir(np.ones((4, 5))))


# ----------------------------------------------------------------------------------- several keys, rows, several axes

CUBE = np.random.default_rng(8).random((4, 5, 6))
TIES = np.random.default_rng(9).integers(0, 4, (50, 3))


def test_several_keys() -> None:
    def orders(a, b, c):
        return np.lexsort((a, b, c)), np.lexsort([c, b]), np.lexsort(np.array([a, b])), np.lexsort((a, b), axis=0)

    jitted = check(orders, *TIES.T)
    check(orders, *TIES[:20].T, jitted=jitted)
    assert versions_of(jitted) == 1
    check(orders, TIES[:, 0], TIES[:, 1] > 1, np.round(CUBE.ravel()[:50], 1))
    check(orders, TIES[:, 0], TIES[:9, 1], TIES[:, 2], text=False)
    check(lambda x: (np.lexsort(x), np.lexsort(x.T), np.lexsort((x, x[::-1])), np.lexsort((x, x), axis=0)), TIES)


@pytest.mark.parametrize("rows", [TIES, TIES > 1, np.round(CUBE[0], 1), np.array([[1, np.nan], [1, np.nan], [0.0, 2]])])
def test_unique_rows(rows) -> None:
    check(lambda x: (np.unique(x, axis=0), np.unique(x, axis=1)), rows)
    check(lambda x: np.unique(x, axis=0, return_index=True, return_counts=True), rows)
    check(lambda x: np.unique(x, axis=-1, return_counts=True), rows)


@pytest.mark.parametrize("axis", [(0, 1), (2, 0), (1,), 1, None])
@pytest.mark.parametrize("keepdims", [False, True])
def test_medians_and_quantiles_over_several_axes(axis, keepdims) -> None:
    check(lambda x: np.median(x, axis=axis, keepdims=keepdims), CUBE)
    check(lambda x: np.percentile(x, [10, 50], axis=axis, keepdims=keepdims), CUBE)
    check(lambda x: np.quantile(x, 0.3, axis=axis, keepdims=keepdims), CUBE)
