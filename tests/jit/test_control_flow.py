"""Python's loops and branches in compiled functions do what they do in Python."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tests.util.compare import check, versions_of


def test_an_error_in_a_loop_leaves_what_the_turns_before_it_wrote():
    def f(x, y, i):
        for k in range(len(i)):
            x[i[k]] += y[k]

    x, y = np.ones(5), np.arange(10.0)
    jitted = tj.jit(f, exact=True)
    check(f, x, y, np.array([0, 4, 2, 1, 1]), jitted=jitted)
    check(f, x, y, np.array([1, 2, 99, 0, 3]), jitted=jitted, in_loop=True)
    check(f, x, y, np.array([-5, 2, 4, -1, -6]), jitted=jitted, in_loop=True)


# ------------------------------------------------------------------------- arrays whose names change from turn to turn


def exchanged(g, n):
    new = g.copy()
    for k in range(n):
        new[1:-1] = 0.5 * (g[2:] + g[:-2]) + k
        g, new = new, g
    return g


def exchanged_without_result(g, n):
    new = g.copy()
    for _ in range(n):
        new[:] = g + 1
        g, new = new, g


def of_three(g, n):
    g = g.copy()
    new, old = g.copy(), np.zeros(len(g))
    for k in range(n):
        new[1:-1] = 0.5 * (g[2:] + old[:-2]) + k
        g, new, old = new, old, g
    return g + old


def in_an_outer_loop(g, n):
    g = g.copy()
    new = g.copy()
    for t in range(3 * n):
        for k in range(n):
            new[1:-1] = 0.5 * (g[2:] + g[:-2]) + k
            g, new = new, g
        g[0] = t
    return g


def replaced_then_written(x, n):
    for _ in range(n):
        x = x + 1
    x[0] = 0
    return x


def written_then_replaced(x, n):
    for k in range(n):
        x[0] = k + 7
        x = x + 1
    return x


def rows_of_a_table(s, n):
    previous, current = np.arange(len(s) + 1), np.zeros(len(s) + 1, int)
    for i in range(len(s)):
        current[0] = i + n
        for j in range(len(s)):
            current[j + 1] = min(previous[j + 1], current[j]) + int(s[i])
        previous, current = current, previous
    return previous[-1]


EXCHANGES = [
    rows_of_a_table,
    exchanged,
    exchanged_without_result,
    of_three,
    in_an_outer_loop,
    replaced_then_written,
    written_then_replaced,
]


@pytest.mark.parametrize("function", EXCHANGES, ids=lambda f: f.__name__)
def test_arrays_that_change_their_names_in_a_loop(function):
    """What is written through either name is in that memory, the caller's too, after even and odd numbers of turns."""
    jitted = tj.jit(function, exact=True)
    for n in (5, 6, 1, 7, 12):
        check(function, np.arange(6.0), n, jitted=jitted)


def test_an_argument_that_may_have_another_name_is_not_written():
    def f(g, n):
        new = g.copy()
        for _ in range(n):
            new[1:-1] = 0.5 * (g[2:] + g[:-2])
            if abs(new - g).max() < 1e-3:
                break
            g, new = new, g
        return g

    with pytest.raises(tj.errors.UnsupportedError, match="may be the memory of an argument or not"):
        tj.jit(f)(np.arange(6.0), 50)


def test_a_list_that_grows_on_a_traced_condition_outside_of_a_loop():
    def f(x):
        out = []
        for i in range(3):  # so few turns are no loop of the program
            if x[i] > 0:
                out.append(i)
        return np.array(out), out

    jitted = tj.jit(f)
    for x in ([1.0, -1, 2], [-1.0, -1, 2], [3.0, 2, 1]):
        check(f, np.array(x), jitted=jitted)


# ------------------------------------------------------------------------------------------------- loops without a turn


def test_a_loop_without_a_turn_has_no_version_of_its_own():
    def f(a, b):
        c = np.zeros((a.shape[0], b.shape[1]))
        for i in range(a.shape[0]):
            for j in range(b.shape[1]):
                for k in range(a.shape[1]):
                    c[i, j] += a[i, k] * b[k, j]
        return c

    jitted = tj.jit(f, exact=True)
    for m, n, k in ((5, 6, 7), (1, 1, 1), (0, 3, 2), (2, 0, 3), (2, 3, 0)):
        check(f, np.full((m, k), 2.0), np.full((k, n), 3.0), jitted=jitted)
    assert jitted.cache_info().traces == 1


def test_variables_that_a_turn_sets_are_read_after_the_loop():
    def index(n):
        i = -1
        for i in range(n):  # noqa: B007
            pass
        return i

    def number(x):
        last = -1.0
        for i in range(len(x)):
            last = x[i] * 2
            index = i + 0.5
        return last, index

    def after_a_default(x):
        found = 7
        for i in range(len(x)):
            found = i
        return found

    for function, arguments in (
        (index, [5, 1, 0, 9]),
        (number, [np.arange(5.0), np.ones(1), np.ones(0)]),
        (after_a_default, [np.arange(5.0), np.ones(0), np.ones(1)]),
    ):
        jitted = tj.jit(function, exact=True)
        for argument in arguments:
            check(function, argument, jitted=jitted, text=False)


def test_a_short_loop_that_begins_at_a_size_fixes_no_size() -> None:
    def last_columns(x: np.ndarray) -> int:
        n = x.shape[1]
        for k in range(n - 2, n):
            x[:, k] += x[:, k - 1] * k
        return k

    jitted = tj.jit(last_columns)
    for n in (5, 8, 13):
        check(last_columns, np.arange(3.0 * n).reshape(3, n), jitted=jitted)
    assert versions_of(jitted) == 1


def test_and_or_give_their_values():
    for x, y in ((0, 2.5), (0.0, 2.5), (1.5, 0.0), (1.5, -3.0), (True, 2.5), (np.float32(2), np.float32(0))):
        check(lambda x, y: (x and y, x or y, x - x or y, x and y - y), x, y)


def test_and_of_two_conditions_of_two_kinds():
    def condition(x):
        return 1 if (np.round(x) == 0.0) and x < 0 else 2

    for x in (3, 2.5, 0.3, -0.3):
        check(condition, x)


def test_both_sides_of_a_branch_hold_the_same_constant():
    def pair(x):
        if x > 0:
            result = (None, x, False)
        else:
            result = (None, -x, False)
        return result

    for x in (2.5, -2.5):
        check(pair, x)


def test_in_looks_for_equal_elements():
    def sums(a, k):
        if k in a:
            return a.sum()
        return a.max()

    a = np.array([3, 1, 2])
    for k in (1, 7, 2.0, np.int8(3), np.float64(2.5)):
        check(lambda a, k: (k in a, k not in a, k in a.reshape(3, 1) * 1.5), a, k)
        check(lambda a, k: (k in [a[0], 7], k not in (a[1], a[2]), a[0] in (1, 2)), a, k)
        check(sums, a, k)
    check(lambda a, b: b in a, a, np.array([3, 4, 2]))
    check(lambda a, b: b in a, a, np.array([3, 4]), text=False)
    check(lambda a, b: b in a, a, None)


def test_is_true_of_a_bool_of_the_call():
    def fill(flag, x):
        if flag is True:
            x[0] = 1
        if flag is not False:
            x[1] = 1
        return flag is None, (x[0] > 0) is True, bool(x[1] > 0) is True

    jitted = tj.jit(fill, exact=True)
    for flag in (True, False, np.True_, 1):
        check(fill, flag, np.zeros(3), jitted=jitted)


def test_a_bool_joins_a_numpy_scalar():
    def f(a, b):
        if not a > 2:
            return True
        return b

    check(f, 2.5, np.float32(1.5))
    check(f, 2.5, np.bool_(False))


def test_a_range_whose_step_is_computed() -> None:
    def sieve(n: int) -> Any:
        prime = np.ones(n + 1, np.bool_)
        prime[:2] = False
        i = 2
        while i * i <= n:
            if prime[i]:
                for j in range(i * i, n + 1, i):
                    prime[j] = False
            i += 1
        return prime

    def visit(n: int, steps: Any) -> Any:
        seen = np.zeros((len(steps), n), int)
        for k in range(len(steps)):
            turn = 0
            for j in range(n - 1 if steps[k] < 0 else 0, -1 if steps[k] < 0 else n, int(steps[k])):
                turn += 1
                seen[k, j] = turn
        return seen

    jitted = tj.jit(sieve)
    for n in (50, 1000):
        np.testing.assert_array_equal(jitted(n), sieve(n))
    assert jitted.cache_info().traces == 1
    jitted = tj.jit(visit)
    for steps in ([1, -1, 3, -4, 9], [2, -20, 100]):
        np.testing.assert_array_equal(jitted(9, np.array(steps)), visit(9, np.array(steps)))
    with pytest.raises(ValueError, match="must not be zero"):
        jitted(9, np.array([1, 0]))
