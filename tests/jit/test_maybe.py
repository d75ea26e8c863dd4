"""A variable that is None for some data, or has no value: what Python does with it, a compiled function does."""

from __future__ import annotations

import numpy as np
import pytest

import tracejit as tj
from tests.util.compare import check, versions_of

UP = np.array([3.0, 1.0, 2.0, 5.0, 0.5, 7.0])
DOWN = -np.arange(1.0, 7.0)

# ------------------------------------------------------------------------------------------------- None or a value


def falls_off(x, y):
    if x[0] > y:
        return x[0]


def finds(x, y):
    for i in range(len(x)):
        if x[i] > y:
            return i


def finds_or_says_none(x, y):
    for i in range(len(x)):
        if x[i] > y:
            return i
    return None


def calls_one_that_finds(x, y):
    i = finds(x, y)
    if i is None:
        return x[0]
    return x[i]


def counts_down(x, y):
    while y > 0:
        y = y - 1
        if y == 2:
            return y


def least(x, y):
    best = where = None
    for i in range(len(x)):
        if x[i] > y and (best is None or x[i] < best):
            best, where = x[i], i
    return best, where


def least_and_one(x, y):
    best, _ = least(x, y)
    return best + 1


def nearest_hit(x, y):
    hit = None
    for s in range(len(x)):
        if x[s] < 0:
            continue
        if x[s] > y:
            hit = s
            break
    if hit is None:
        return x[0] * 0
    return x[hit]


def a_pair_or_none(x, y):
    found = None
    for i in range(len(x)):
        if x[i] > y:
            found = (i, x[i])
    if found is None:
        return np.float64(0.5)
    i, value = found
    return i + value


def none_inside_of_a_tuple(x, y):
    return (1, x[0] if x[0] > y else None, [None, x.sum() if x[0] > y else None])


def an_array_or_none(x, y):
    previous, total = None, 0.0
    for i in range(len(x)):
        current = x * i
        if previous is not None:
            total += np.abs(current - previous).sum() + y
        previous = current
    return total + 1.0, previous


def until_none(x, y):
    node, total = np.abs(x[1]), np.float64(0)
    while node is not None:
        total = total + node
        node = None if node > abs(y) else node * 2 + 1
    return total


def asks_in_many_ways(x, y):
    v = x[0] if x[0] > y else None
    return v is None, v is not None, v == None, v != None, None is v, not v, isinstance(v, float), v is v  # noqa: E711


def gives_way(x, y):
    v = float(x[0]) if x[0] > y else None
    return v or 7.0, v and 7.0, 1.0 if v is None else v, v is not None and v > 1.0


def asserts(x, y):
    v = x[0] if x[0] > y else None
    assert v is not None, "none"
    return v + 1


def has_a_default(x, w=None):
    if w is None:
        w = x * 0 + 2
    return x * w


def gives_a_default(x, y):
    return has_a_default(x, x + 1 if x.sum() > y else None)


def uses_what_is_none(x, y):
    v = x if x[0] > y else None
    return v.sum()


def indexes_what_is_none(x, y):
    v = x if x[0] > y else None
    return v[1]


def compares_what_is_none(x, y):
    v = x[0] if x[0] > y else None
    return v > 3.0


def steps_over(x, y):
    out, previous = np.zeros(len(x)), None
    for i in range(len(x)):
        out[i] = x[i] if previous is None else x[i] - previous
        if x[i] > y:
            previous = x[i]
    return out


def meets(origin, direction, radius):
    b = origin * direction
    disc = b * b - origin * origin + radius
    if disc < 0:
        return None
    t = -b - np.sqrt(disc)
    if t < 0:
        return None
    return t, t * direction + origin


def nearest_of_tuples(x, y):
    best = None
    for i in range(len(x)):
        found = meets(x[i], 1.0, y)
        if found is None:
            continue
        t, place = found
        if best is None or t < best[0]:
            best = (t, place, i)
    if best is None:
        return x[0]
    t, place, i = best
    return t + place + i


def two_largest(x, y):
    first = second = None
    for v in x:
        if v < y:
            continue
        if first is None or v > first:
            first, second = v, first
        elif second is None or v > second:
            second = v
    return first, second


def makes_an_array_at_need(x, y):
    total = None
    for i in range(len(x)):
        if x[i] > y:
            if total is None:
                total = np.zeros(3)
            total[i % 3] += x[i]
    return total


def selected_or_none(x, y):
    found = x[x > y] if x[0] > y else None
    return found, (x[1] if found is None else found.sum())


def a_text_or_none(x, y):
    return "large" if x[0] > y else None


def compares_two(x, y):
    a = float(x[0]) if x[0] > y else None
    b = float(x[0]) if x[1] > y else None
    return a == b, a != b, a is None and b is None


def a_list_of_both(x, y):
    return [v if v > y else None for v in (x[0], x[1])], {"a": x[2] if x[2] > y else None}


@pytest.mark.parametrize(
    "function",
    [
        nearest_of_tuples,
        two_largest,
        makes_an_array_at_need,
        selected_or_none,
        a_text_or_none,
        compares_two,
        a_list_of_both,
        falls_off,
        finds,
        finds_or_says_none,
        calls_one_that_finds,
        counts_down,
        least,
        least_and_one,
        nearest_hit,
        a_pair_or_none,
        none_inside_of_a_tuple,
        an_array_or_none,
        until_none,
        asks_in_many_ways,
        gives_way,
        gives_a_default,
        uses_what_is_none,
        indexes_what_is_none,
        compares_what_is_none,
        steps_over,
    ],
)
def test_none_or_a_value(function):
    jitted = tj.jit(function, exact=True)
    for x in (UP, DOWN):
        for y in (-10.0, 0.75, 4.0, 50.0):
            check(function, x, y, jitted=jitted, in_loop=True)
    assert versions_of(jitted) == 1


def test_derivatives_through_none():
    def f(x):
        y = x * x if x > 0 else None
        return -x if y is None else y * x

    assert tj.jit(tj.grad(f))(2.0) == 12.0
    assert tj.jit(tj.grad(f))(-2.0) == -1.0
    assert tj.vmap(f)(np.array([2.0, -2.0])).tolist() == [8.0, 2.0]
    with pytest.raises(tj.errors.UnsupportedError, match="gives None for some data"):
        tj.vmap(lambda x: x if x > 0 else None)(np.array([2.0, -2.0]))


def test_an_assertion_makes_it_a_value():
    jitted = tj.jit(asserts)
    assert jitted(UP, 0.5) == 4.0
    with pytest.raises(AssertionError, match="none"):
        jitted(UP, 4.0)


def test_an_index_that_may_be_none_is_told():
    def f(x, y):
        i = 2 if y > 0 else None
        return x[i]

    jitted = tj.jit(f)
    assert jitted(UP, 1.0) == 2.0
    with pytest.raises(tj.errors.UnsupportedError, match=r"is None here .*test `is None` before"):
        jitted(UP, -1.0)


# --------------------------------------------------------------------------------------------------- not set at all


def set_on_one_side(x, y):
    if x[0] > y:
        v = x[1]
    return v + 1


def read_where_it_is_set(x, y):
    if x[0] > y:
        v = x[1]
    return v if x[0] > y else x[0]


def set_in_a_loop(x, y):
    for i in range(int(y)):
        v = x[i]
    return v


def set_in_the_first_turn(x, y):
    for k in range(len(x)):
        if k == 0:
            best = x[0]
        else:
            best = max(best, x[k])
    return best


def set_in_some_turns(x, y):
    for k in range(len(x)):
        if x[k] > y:
            v = x[k]
    return v


def set_while(x, y):
    while y > 0:
        v = y
        y = y - 1
    return v


def set_on_both_sides_that_stay(x, y):
    if x[0] > y:
        if x[1] > y:
            return 1.5
        v = 2.5
    else:
        v = 3.5
    return v


@pytest.mark.parametrize(
    "function",
    [
        set_on_one_side,
        read_where_it_is_set,
        set_in_a_loop,
        set_in_the_first_turn,
        set_in_some_turns,
        set_while,
        set_on_both_sides_that_stay,
    ],
)
def test_a_variable_that_is_set_for_some_data_only(function):
    jitted = tj.jit(function, exact=True)
    for x in (UP, DOWN):
        for y in (-10.0, 0.0, 2.0, 4.0):
            check(function, x, y, jitted=jitted, in_loop=True)
    assert versions_of(jitted) == 1


# --------------------------------------------------------------------------------------- errors where they are reached


def a_truth_of_an_array(x, y):
    if y > 0:
        return 1
    elif x > 0:
        return 2
    return 3


def an_index_out_of_range(x, y):
    return x[17] if y < 0 else x[0]


def a_division_by_zero(x, y):
    if y < 0:
        return 1 // 0
    return 1


def shapes_that_do_not_fit(x, y):
    if y < 0:
        return (x + np.ones(len(x) + 1)).sum()
    return x.sum()


def a_missing_key(x, y):
    return {"a": 1.0}["b" if y < 0 else "a"]


def errors_on_all_sides(x, y):
    if y < 0:
        raise KeyError("first")
    if y < 3:
        raise IndexError(f"{1} of {2}")
    return x[99]


def errors_in_a_branch(x, y):
    if y < 0:
        if x[0] < 0:
            raise ValueError("both")
        x[99] = 0
    return x.sum()


def an_axis_that_is_not_there(x, y):
    return x.sum(axis=3 if y < 0 else 0)


@pytest.mark.parametrize(
    "function",
    [
        a_truth_of_an_array,
        an_index_out_of_range,
        a_division_by_zero,
        shapes_that_do_not_fit,
        errors_on_all_sides,
        errors_in_a_branch,
    ],
)
def test_an_error_is_raised_where_it_is_reached(function):
    jitted = tj.jit(function, exact=True)
    for x in (UP, DOWN):
        for y in (1.0, -1.0, 5.0):
            check(function, x, y, jitted=jitted)
    assert versions_of(jitted) == 1


# ------------------------------------------------------------------------------------------ whose memory a result is


def stops_early(a, b, n, most):
    for _ in range(n):
        a[:] = a + 1
        a, b = b, a
        if a.sum() > most:
            break
    return a, b


def stops_by_its_test(a, b, n, most):
    while a.sum() < most + n:
        a[:] = a + 1
        a, b = b, a
    return a, b


def three_names(a, b, n, most):
    c = a.copy()
    while c.sum() < most:
        a[:] = a + n
        a, b, c = b, c, a
    return a, b, c


def one_or_the_other(a, b, n, most):
    return a if most > 50 else b


def it_or_a_new_one(a, b, n, most):
    return (a if most > 50 else a * n), a


def it_without_a_turn(a, b, n, most):
    while most > 50:
        a = a + 1
        most = most - 10
    return a


@pytest.mark.parametrize(
    "function",
    [stops_early, stops_by_its_test, three_names, one_or_the_other, it_or_a_new_one, it_without_a_turn],
)
def test_a_result_that_is_an_argument_or_not(function):
    jitted = tj.jit(function, exact=True)
    a, b = np.arange(4.0), np.arange(4.0) + 10
    for n, most in ((9, 60.0), (9, 50.0), (8, 1e3), (7, 1e3), (5, 0.0), (9, 70.0)):
        check(function, a, b, n, most, jitted=jitted)
    assert versions_of(jitted) == 1
