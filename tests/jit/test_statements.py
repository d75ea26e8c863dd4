"""Statements of Python that are rewritten before they are traced: match, walrus, generators, closures, try."""

from __future__ import annotations

import numpy as np
import pytest

import tracejit as tj
from tests.util.compare import check, versions_of

UP = np.array([3.0, 1.0, 2.0, 5.0, 0.5, 7.0])
DOWN = -np.arange(1.0, 7.0)

# ----------------------------------------------------------------------------------------------------------- match


def by_value(x):
    n = int(x[0])
    match n:
        case 0:
            r = 1.0
        case -1 | 2:
            r = 2.0
        case k if k > 2:
            r = 4.0 * k
        case _:
            r = 3.0
    return r


def by_none(x):
    v = x[0] if x[0] > 0 else None
    match v:
        case None:
            r = x[1]
        case _:
            r = v + 1
    return r


def by_class(x):
    v = float(x[0])
    match v:
        case int():
            return 1.0
        case float(y) | complex(y):  # stays a match statement
            return y
    return 2.0


def by_one_class(x):
    match float(x[0]):
        case int():
            return 1.0
        case float(y):
            return y + 1
    return 2.0


def by_structure(x):
    match (x, 2.0):
        case (a,):
            return a
        case (a, b):
            return a * b


def with_a_guard(x):
    match x.sum():
        case s if s > 100:
            return s
        case s if s > 0:
            return s * 2
        case s:
            return -s


@pytest.mark.parametrize("function", [by_value, by_none, by_one_class, by_structure, with_a_guard])
def test_match(function):
    jitted = tj.jit(function, exact=True)
    for x in (UP, DOWN, UP * 0, UP * 40, UP - 1, DOWN + 3):
        check(function, x, jitted=jitted)
    assert versions_of(jitted) == 1


def test_a_pattern_that_only_python_can_match_is_refused():
    with pytest.raises(tj.errors.UnsupportedError, match="asks for the class of a value that is computed"):
        tj.jit(by_class)(UP)


# ------------------------------------------------------------------------------------------- loops in all their forms


def assigns_in_its_test(x):
    total, i = np.float64(0), 0
    while (v := x[i]) > 0.6:
        total += v
        i += 1
    else:
        total += 100
    return total, v, i


def leaves_from_nested_branches(x):
    i = 0
    while True:
        if x[i] > 2:
            if x[i] > 4:
                break
            i += 2
        else:
            i += 1
        if i >= len(x):
            break
    return i


def for_else(x):
    for v in x:
        if v > 4:
            r = v
            break
    else:
        r = x[0]
    return r


def while_else(x):
    i = 0
    while i < len(x):
        if x[i] > 4:
            r = i
            break
        i += 1
    else:
        r = -1
    return r


def returns_from_an_else(x):
    for v in x:
        if v > 4:
            break
    else:
        return x[1]
    return v


def leaves_from_an_else(x):
    count = 0
    for i in range(len(x)):
        for j in range(i):
            if x[j] > x[i]:
                break
        else:
            if i > 2:
                break
            count += 10
            continue
        count += 1
    return count, i


def continues_in_nested_loops(x):
    count = 0
    for i in range(len(x)):
        if x[i] < 1:
            continue
        for j in range(i):
            if x[j] > x[i]:
                continue
            count += 1
            if count > 7:
                break
        else:
            count += 100
    return count


def returns_from_nested_loops(x):
    for i in range(len(x)):
        for j in range(len(x)):
            if x[i] + x[j] > 11:
                return i * 10 + j
    return -1


def deletes(x):
    for i in range(len(x)):
        t = x[i]
        u = t * 2
        del t
    return u


def generators(x):
    return (
        any(v > 4 for v in x),
        all(v > 0 for v in x),
        sum(v * v for v in x),
        max(v + 1 for v in x),
        min(-v for v in x if v > -3.5),
        sum((x[i] * i for i in range(len(x)) if x[i] > 1), np.float64(0)),
        any(x[i] > x[i - 1] + 2 for i in range(1, len(x))),
        sum(a * b for a, b in zip(x, x[::-1], strict=True)),
        sum(1 for v in x if v > 2),
        sum((v for v in x), 5.0),
    )


def generators_of_nothing(x):
    return max(v for v in x if v > 1e9)


@pytest.mark.parametrize(
    "function",
    [
        assigns_in_its_test,
        leaves_from_nested_branches,
        for_else,
        while_else,
        returns_from_an_else,
        leaves_from_an_else,
        continues_in_nested_loops,
        returns_from_nested_loops,
        deletes,
        generators,
        generators_of_nothing,
    ],
)
def test_loops(function):
    jitted = tj.jit(function, exact=True)
    for x in (UP, DOWN, np.append(UP, DOWN), UP[2:]):
        check(function, x, jitted=jitted, tolerance=1e-14)
    assert versions_of(jitted) <= 2


# ------------------------------------------------------------------------------------------------- functions inside


def counts_in_a_closure(x):
    n, total = 0, 0.0

    def note(v):
        nonlocal n, total
        n += 1
        if v > 2:
            n += 10
            total = total + v

    for i in range(len(x)):
        note(x[i])
    note(x[0])
    return n, total + 0 * x[0]


def counts_in_a_branch(x):
    n = 0

    def note():
        nonlocal n
        n += 1

    if x[0] > 0:
        note()
        note()
    return n


def binds_late(x):
    found = []
    for i in range(3):
        found.append(lambda v: v * i)  # noqa: B023
    return [f(x[1]) for f in found] + [f(x[1]) for f in [lambda v, i=i: v * i for i in range(3)]]


def binds_late_in_a_long_loop(x):
    total = np.float64(0)
    for i in range(len(x)):
        f = lambda v: v * i  # noqa: B023, E731
        total += f(x[i])
    return total, f(1.0)


@pytest.mark.parametrize("function", [counts_in_a_closure, counts_in_a_branch, binds_late, binds_late_in_a_long_loop])
def test_closures(function):
    jitted = tj.jit(function, exact=True)
    for x in (UP, DOWN):
        check(function, x, jitted=jitted)


# --------------------------------------------------------------------------------------------------------------- try


def tries(x):
    try:
        total = x.sum()
    except ValueError:
        total = -1.0
    finally:
        extra = 1
    return total + extra


def raises_and_catches(x):
    if x[0] > 2:
        try:
            raise ValueError("a")
        except ValueError:
            r = 2.0
    else:
        r = 1.0
    return r


def catches_what_depends_on_data(x):
    try:
        if x[0] > 2:
            raise ValueError("a")
        r = 1.0
    except ValueError:
        r = 2.0
    return r


def test_try_around_what_does_not_raise():
    for function in (tries, raises_and_catches):
        jitted = tj.jit(function, exact=True)
        for x in (UP, DOWN):
            check(function, x, jitted=jitted)


def test_an_exception_that_would_be_caught_is_told():
    jitted = tj.jit(catches_what_depends_on_data)
    assert jitted(DOWN) == 1.0
    with pytest.raises(tj.errors.UnsupportedError, match="raised in a try statement that would catch it"):
        jitted(UP)


# --------------------------------------------------------------------------------------------------------- recursion


def divisor(a, b):
    if b == 0:
        return a
    return divisor(b, a % b)


def steps_to_one(x, n=0):
    return n if x == 1 else steps_to_one(x / 2, n + 1) if x % 2 == 0 else steps_to_one(n=n + 1, x=3 * x + 1)


def fibonacci(n):
    if n < 2:
        return n
    return fibonacci(n - 1) + fibonacci(n - 2)


def halves(x, n):
    if n == 0:
        return x
    return halves(x / 2 if x > 1 else x * 3, n - 1) + 1


def test_a_call_of_itself_as_the_last_act_is_a_loop():
    jitted = tj.jit(divisor, exact=True)
    for a, b in ((48.0, 18.0), (17.0, 5.0), (8.0, 0.0), (1e9, 7.0)):
        check(divisor, a, b, jitted=jitted)
    assert versions_of(jitted) == 1
    check(lambda x: steps_to_one(x, 0), 27.0)


def test_recursion_that_data_end_is_refused():
    with pytest.raises(tj.errors.UnsupportedError, match=r"fibonacci calls itself .* last act"):
        tj.jit(fibonacci)(5.0)


def test_recursion_that_a_size_ends():
    for n in (3, 6):
        check(halves, 5.0, n)
