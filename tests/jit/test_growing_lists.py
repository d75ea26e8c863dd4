"""Lists that loops append to: one program for all numbers of turns, and the list of the undecorated function."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tests.util.compare import assert_same

Program = Callable[..., Any]


def of_numbers(x, n):
    out = []
    for i in range(n):
        out.append(x[i % len(x)] * i)
    return np.array(out)


def of_python_numbers(x, n):
    times, values = [0.0], [2]
    for _ in range(n):
        times.append(times[-1] + 0.125)
        values.append(values[-1] * 3 % 101)
    return times, values, sum(values), max(times), min(values), len(values)


def of_arrays(x, n):
    states = [x]
    for _ in range(n):
        states.append(states[-1] * 0.75 + 0.5)
    return states, np.array(states), np.stack(states, axis=1), np.concatenate(states), np.vstack(states)


def on_a_condition(x, n):
    out = []
    for i in range(len(x)):
        if x[i] > 0:
            out.append(x[i] * n)
    return out, np.array(out), len(out)


def peaks(x, n):
    found = []
    last = -n
    for i in range(1, len(x) - 1):
        if x[i] < -0.5:
            continue
        if x[i] > x[i - 1] and x[i] >= x[i + 1] and i - last >= 2:
            found.append(i)
            last = i
    return found


def in_two_loops(x, n):
    out = []
    for i in range(n):
        out.append(i)
    out.append(100)
    for v in x:
        if v > 0:
            out.append(int(v * 1000))
    return out


def nested(x, n):
    out = []
    for i in range(n):
        for j in range(i, n):
            if (i * j) % 3 == 1:
                out.append(x[0] * i + j)
    return out


def with_break(x, n):
    ys = [1.0]
    for _ in range(n):
        ys.append(ys[-1] * 0.8)
        if ys[-1] < 0.2:
            break
    return np.array(ys)


def collatz(x, n):
    path = [n]
    while n != 1:
        n = n // 2 if n % 2 == 0 else 3 * n + 1
        path.append(n)
    return path


def read_afterwards(x, n):
    out = []
    for i in range(n):
        out.append(x * i)
    total = np.zeros_like(x)
    for item in out:
        total = total + item
    for k, item in enumerate(reversed(out)):
        total += k * item
    return total, out[0], out[-1], out[1:], [item.sum() for item in out[:2]]


def augmented(x, n):
    out = []
    for i in range(n):
        out.append(float(i))
        if i % 2:
            out[-1] += 0.5
    return out


def two_lists_with_tuple_of_values(x, n):
    a, b = [], []
    for i in range(n):
        p, q = divmod(i, 3)
        a.append(p)
        b.append(q * x[0])
    return np.column_stack([np.array(a), np.array(b)]), np.mean(b), np.max(a)


def changed_afterwards(x, n):
    out = []
    state = x.copy()
    for _ in range(n):
        state += 1
        out.append(state)
    return np.array(out)


PROGRAMS: list[Program] = [
    of_numbers, of_python_numbers, of_arrays, on_a_condition, peaks, in_two_loops, nested, with_break, collatz,
    read_afterwards, augmented, two_lists_with_tuple_of_values,
]  # fmt: skip


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda f: f.__name__)
def test_one_program_for_all_numbers_of_turns(program: Program) -> None:
    jitted = tj.jit(program)
    random = np.random.default_rng(5)
    for size, n in ((11, 6), (7, 30), (40, 9)):
        x = random.normal(size=size)
        x[3] = 0.75
        x[5] = 0.25
        assert_same(jitted(x.copy(), n), program(x.copy(), n), ulps=8)
    assert jitted.cache_info().traces == 1


def test_the_time_to_compile_does_not_depend_on_the_count() -> None:
    @tj.jit
    def squares(n: int) -> Any:
        out = []
        for i in range(n):
            out.append(i * i)
        return np.array(out)

    np.testing.assert_array_equal(squares(100_000), np.arange(100_000) ** 2)


def test_items_that_change_after_they_were_appended() -> None:
    for n in (6, 8):
        x = np.arange(4.0)
        assert_same(tj.jit(changed_afterwards)(x.copy(), n), changed_afterwards(x.copy(), n))


def test_an_array_that_is_an_item_and_changes_afterwards(caplog: pytest.LogCaptureFixture) -> None:
    def program(x, n):
        out = []
        for _ in range(n):
            state = x * n
            out.append(state)
        state += 1
        return out

    with caplog.at_level(logging.INFO, "tracejit.guards"):
        assert_same(tj.jit(program)(np.arange(3.0), 6), program(np.arange(3.0), 6))
    assert "append a copy" in caplog.text


def test_lists_under_two_names_stay_one_list() -> None:
    def program(x, n):
        out = []
        same = out
        for i in range(n):
            out.append(x[0] * i)
        same.append(x[1])
        return out, len(same)

    x = np.arange(1.0, 4)
    assert_same(tj.jit(program)(x, 7), program(x, 7))


def test_no_turn() -> None:
    x = np.arange(1.0, 9)
    for program in (of_numbers, of_python_numbers, nested):
        assert_same(tj.jit(program)(x, 0), program(x, 0))


def test_items_of_several_kinds_stay_what_they_are() -> None:
    def program(x, n):
        out = []
        for i in range(n):
            out.append(i)
            out.append(x[0] * i)
            if x[i % 3] > 2:
                out.append(0.5)
        return out

    jitted = tj.jit(program)
    x = np.arange(1.0, 4)
    for n in (6, 9):
        found, expected = jitted(x, n), program(x, n)
        assert_same(found, expected)
        assert list(map(type, found)) == list(map(type, expected))
    assert jitted.cache_info().traces == 1


def test_kinds_that_have_nothing_in_common_run_in_python(caplog: pytest.LogCaptureFixture) -> None:
    def program(x, n):
        out = []
        for i in range(n):
            out.append(i)
            out.append(x * i)
        return out

    x = np.arange(1.0, 4)
    with caplog.at_level(logging.INFO, "tracejit.guards"):
        assert_same(tj.jit(program)(x, 6), program(x, 6))
    assert "is stored among items" in caplog.text


def test_gradients_through_lists() -> None:
    def loss(x):
        states = [x]
        for _ in range(8):
            states.append(np.tanh(states[-1] * 1.5))
        return np.sum(np.array(states) ** 2)

    x = np.linspace(0.1, 0.9, 5)
    step = 1e-6
    expected = [(loss(x + step * e) - loss(x - step * e)) / (2 * step) for e in np.eye(5)]
    np.testing.assert_allclose(tj.grad(loss)(x), expected, rtol=1e-6)


def test_an_index_out_of_range() -> None:
    def program(x, n):
        out = [0.0]
        for i in range(n):
            out.append(out[i + 1] + x[0])
        return out

    with pytest.raises(IndexError):
        program(np.ones(3), 6)
    with pytest.raises(IndexError, match="list index out of range"):
        tj.jit(program)(np.ones(3), 6)
