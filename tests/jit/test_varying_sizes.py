"""Arrays whose size is not the same after both sides of a branch, or changes from turn to turn of a loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tests.util.compare import check, versions_of

VECTORS = [np.random.default_rng(k).normal(size=n) for k, n in enumerate((9, 14, 23))]
VECTORS.append(-VECTORS[0])


def filtered(x: np.ndarray) -> Any:
    if x[0] > 0:
        x = x[x > 0]
    return x * 2, len(x)


def trimmed_together(x: np.ndarray) -> Any:
    y, z = x + 1, x * 2
    if x[0] > 0:
        y, z = y[2:], z[2:]
    return y * z


def a_part_or_the_rest(x: np.ndarray) -> Any:
    y = (x[:3] if x[1] > 0 else x[3:]) + 1
    return y, y.max()


def neighbours_summed(x: np.ndarray) -> Any:
    v = np.maximum(x, 0)
    for _ in range(len(x) - 1):
        v = 0.5 * v[1:] + 0.4 * v[:-1]
    return v[0], v


def appended(x: np.ndarray) -> Any:
    out = np.array([0.0])
    for i in range(len(x)):
        out = np.append(out, x[i] ** 2)
    return out, out.shape


def appended_where_positive(x: np.ndarray) -> Any:
    out = np.empty(0)
    for i in range(len(x)):
        if x[i] > 0:
            out = np.append(out, x[i] ** 2)
    return out, out.max(initial=0)


def stacked(x: np.ndarray) -> Any:
    out = np.zeros((1, 3))
    for i in range(len(x)):
        out = np.vstack([out, np.full(3, x[i])])
    return out


def a_triangle_of_numbers(x: np.ndarray) -> Any:
    row = np.array([1])
    for _ in range(len(x)):
        row = np.concatenate((row, [0])) + np.concatenate(([0], row))
    return row


def sieved(x: np.ndarray) -> Any:
    left = np.abs(x) * 100 // 1
    turns = 0
    while len(left) > 0:
        left = left[left > left.min()]
        turns += 1
    return turns


def what_stays(x: np.ndarray) -> Any:
    places, y, when = np.arange(len(x)), x.copy(), np.zeros(len(x), dtype=int)
    for turn in range(30):
        if len(y) == 0:
            break
        y = y * y - 0.3
        stays = np.abs(y) < 0.5
        when[places[~stays]] = turn
        y, places = y[stays], places[stays]
    return when, places


def written_before_it_shrinks(x: np.ndarray) -> Any:
    y = x.copy()
    for i in range(len(x) - 1):
        y[0] = i
        y = y[:-1] + 1
        y[-1] *= 2
    return y


def selected_in_the_last_turn(x: np.ndarray) -> Any:
    for i in range(len(x)):
        y = x[x > x[i]]
    return y


@pytest.mark.parametrize(
    "function",
    [
        filtered,
        trimmed_together,
        a_part_or_the_rest,
        neighbours_summed,
        appended,
        appended_where_positive,
        stacked,
        a_triangle_of_numbers,
        sieved,
        what_stays,
        written_before_it_shrinks,
        selected_in_the_last_turn,
    ],
)
def test_one_program_for_all_sizes(function: Callable[..., Any]) -> None:
    jitted = tj.jit(function)
    for x in VECTORS:
        check(function, x, jitted=jitted)
    assert versions_of(jitted) == 1


# --------------------------------------------------------------------------------------- which memory a name stands for


def through_a_view_of_a_branch(x: np.ndarray) -> Any:
    z = x.copy()
    y = z
    if x[0] > 0:
        y = y[::-1]
    y[0] += 1
    return z


def the_memory_behind_a_branch(x: np.ndarray) -> Any:
    z = x.copy()
    y = z[1:] if x[0] > 0 else z
    z[3:] = 7
    return y


def through_a_view_of_a_loop(x: np.ndarray) -> Any:
    z = x.copy()
    y = z
    for _ in range(len(x)):
        y = y[::-1]
        y[0] += 1
    return z


def the_memory_behind_a_loop(x: np.ndarray) -> Any:
    z = x.copy()
    for i in range(len(x)):
        z[3] = i
        y = z[i % 2 :]
    z[4] = 99
    return y


@pytest.mark.parametrize(
    "function",
    [through_a_view_of_a_branch, the_memory_behind_a_branch, through_a_view_of_a_loop, the_memory_behind_a_loop],
)
def test_what_may_have_been_written_under_another_name_is_not_read(function: Callable[..., Any]) -> None:
    with pytest.raises(tj.errors.UnsupportedError, match=r"written under another name.*Copy the array there"):
        tj.jit(function)(VECTORS[0])


def views_that_shrink_are_written(x: np.ndarray) -> Any:
    z = x.copy()
    y = z
    for _ in range(len(x) - 1):
        y = y[1:]
        y[0] += 1
    return z


def the_old_memory_is_dropped(x: np.ndarray) -> Any:
    y = x.copy()
    if x[0] > 0:
        y = y[::-1]
    y[0] += 1
    for _ in range(len(x)):
        y[1] = 3
        y = y[::-1] * 2
    return y


@pytest.mark.parametrize("function", [views_that_shrink_are_written, the_old_memory_is_dropped])
def test_names_of_one_memory(function: Callable[..., Any]) -> None:
    for x in VECTORS:
        check(function, x, jitted=tj.jit(function))


def test_a_shape_that_is_set_after_the_array_was_read() -> None:
    def flat(n: int, m: int) -> Any:
        x, y = np.mgrid[0:n, 0:m]
        z = x * 2 + y
        x.shape = y.shape = n * m
        return z, x + 1, y

    check(flat, 3, 4)
