"""Python's own functions and those of ``math``, ``functools`` and ``itertools`` on values of the program."""

from __future__ import annotations

import cmath
import functools
import itertools
import math
import operator
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tests.trace.harness import function_of
from tests.util.compare import check, versions_of
from tracejit.trace.pytree import flatten

NAMES = {"math": math, "cmath": cmath, "functools": functools, "itertools": itertools, "operator": operator}
LINE = np.array([1.5, -2.75, 9.0, 0.25, -2.75, 6.0])
COUNTS = np.array([12, 18, 100, 7])


def program(body: str, names: str = "x") -> Any:
    made = function_of(body, names)
    made.__globals__.update(NAMES)
    return made


def lines(text: str) -> list[str]:
    return [body.strip() for line in text.strip().splitlines() for body in line.split("|")]


# ------------------------------------------------------------------------------------------------------------ values

REAL = """
math.lgamma(x), math.erf(x), math.erfc(x), math.cbrt(x), math.exp2(x), math.modf(x), math.frexp(x), math.ldexp(x, 3)
math.hypot(x, 2.0), math.hypot(x), math.hypot(x, 3, x), math.hypot(), math.dist((x, 1.0), (2.0, x))
math.copysign(x, -1), math.fmod(x, 0.7), math.nextafter(x, 9.0), math.ulp(x), math.prod((x, 2, x)), math.fabs(x)
math.isclose(x, x + 1e-12), math.isclose(x, x + 1e-3), math.isclose(x, 0.0, abs_tol=5), math.isclose(x, math.inf)
math.isclose(x, 2 * x, rel_tol=0.6), math.log(x), math.log(x, 2), math.log1p(x), math.floor(x), math.ceil(x), int(x)
math.degrees(x), math.atan2(x, 2), math.pow(x, 1.5), x**0.5, x**2, x**-1, 1 / x, 7 // x, 7 % x, divmod(x, 2.0), round(x)
cmath.sqrt(-x), cmath.exp(1j * x), cmath.polar(x + 1j), cmath.rect(x, 2.0), cmath.isclose(x, x + 1e-3j), complex(x, 1)
"""


@pytest.mark.parametrize("body", REAL.strip().splitlines())
def test_functions_of_real_numbers(body: str) -> None:
    plain, jitted = program(body), tj.jit(program(body), exact=True)
    for value in (2.5, 0.3, 7.0, 123.25):
        own, expected = flatten(jitted(value))[0], flatten(plain(value))[0]
        assert list(map(type, own)) == list(map(type, expected))
        assert own == pytest.approx(expected, rel=2e-15)


@pytest.mark.parametrize("y", [0.7, -2.0, 1e-3, math.inf])
def test_the_remainder_of_the_nearest_multiple(y: float) -> None:
    jitted = tj.jit(lambda x, y: math.remainder(x, y))
    for x in (2.5, -5.5, 1.0, 3.0, 5.0, -7.0, 0.35, 1.05, 1e300, 0.0, -0.0, math.nan):
        expected = math.remainder(x, y)
        assert repr(jitted(x, y)) == repr(expected), (x, y)


INTEGERS = """
math.gcd(x[0], x[1]), math.gcd(*x), math.gcd(), math.gcd(x[0]), math.lcm(x[0], x[1]), math.lcm(*x), math.lcm(x[3])
math.isqrt(x[0]), math.isqrt(x[2] - 1), math.isqrt(x[3] + 2**62), math.isqrt(x[3] * 0), pow(int(x[0]), int(x[1]), 7)
[pow(int(b), int(x[2]), 1009) for b in x], math.prod(x), math.prod(x, start=2.5), pow(x[0], 2), pow(int(x[3]), 3)
"""


@pytest.mark.parametrize("body", INTEGERS.strip().splitlines())
def test_functions_of_integers(body: str) -> None:
    check(program(body), COUNTS, tolerance=1e-15)


@pytest.mark.parametrize("body", ["math.gamma(x)", "math.fsum([x, 1e16, -1e16])", "math.comb(int(x), 2)"])
def test_functions_that_python_computes(body: str) -> None:
    with pytest.warns(tj.PerformanceWarning, match="math"):
        check(program(body), 4.5)


def test_powers_by_a_modulus_serve_all_numbers() -> None:
    jitted = check(lambda a, b, m: pow(a, b, m), 17, 5, 13)
    check(lambda a, b, m: pow(a, b, m), 3, 20000, 1_000_003, jitted=jitted)
    assert versions_of(jitted) == 1
    with pytest.raises(ValueError, match="3rd argument"):
        jitted(3, 4, 0)
    with pytest.raises(tj.UnsupportedError, match="modulus"):
        jitted(3, 4, 1 << 40)


# -------------------------------------------------------------------------------------------------------- exceptions

UNDEFINED = [
    ("1 / x", 0.0), ("x // 0.0", 1.0), ("7 // x", 0.0), ("7 % x", 0.0), ("1 / int(x)", 0.0), ("10 // int(x)", 0.5),
    ("10 % int(x)", 0.5), ("(x + 1j) / (x * 1j)", 0.0), ("x**-1", 0.0), ("2.0 ** (x * 1e4)", 1.0), ("x**2", 1e200),
    ("int(x)", math.nan), ("int(x)", math.inf), ("math.floor(x)", -math.inf), ("round(x)", math.nan),
    ("math.sqrt(x)", -1.0), ("math.log(x)", 0.0), ("math.log(2, x)", -1.0), ("math.log1p(x)", -1.0),
    ("math.acos(x)", 1.5), ("math.asin(x)", -1.5), ("math.acosh(x)", 0.5), ("math.atanh(x)", 1.0),
    ("math.sin(x)", math.inf), ("math.cos(x)", -math.inf), ("math.exp(x)", 1000.0), ("math.cosh(x)", 1000.0),
    ("math.fmod(x, 0)", 1.0), ("math.fmod(x, 2)", math.inf), ("math.remainder(x, 0.0)", 1.0),
    ("math.pow(x, 0.5)", -1.0), ("math.pow(x, -1)", 0.0), ("math.pow(x, 200)", 1e10),
    ("math.ldexp(x, 2000)", 1.0), ("math.isqrt(int(x))", -1.0), ("math.isclose(x, 1, rel_tol=x)", -1.0),
]  # fmt: skip


@pytest.mark.parametrize(("body", "value"), UNDEFINED)
def test_what_is_not_defined_raises_as_in_python(body: str, value: float) -> None:
    check(program(body), value)


@pytest.mark.parametrize(
    ("body", "value"),
    [("math.sqrt(x)", math.nan), ("math.exp(x)", math.inf), ("math.sin(x)", math.nan), ("math.log(x)", math.inf),
     ("x**2", math.inf), ("x**-1", math.inf), ("x**0.5", math.nan), ("1 / x", math.nan), ("math.fmod(x, 2)", math.nan),
     ("math.pow(x, 2)", -math.inf), ("math.hypot(x, 1)", math.inf), ("math.acos(x)", math.nan)],
)  # fmt: skip
def test_infinities_and_nans_pass_where_python_lets_them(body: str, value: float) -> None:
    check(program(body), value)


def test_numpys_numbers_do_not_raise() -> None:
    def divided(x: Any) -> Any:
        return 1 / x[0], x[1] ** 0.5, x[0] // x[0]

    check(divided, np.array([0.0, -1.0]))


def test_errors_stay_in_the_branch_that_makes_them() -> None:
    def guarded(x: Any) -> Any:
        y = 1 / x if x != 0 else -1.0
        if x > 0:
            y += math.log(x)
        return y

    jitted = check(guarded, 2.0)
    for value in (0.0, -3.0):
        check(guarded, value, jitted=jitted)


def test_errors_in_loops() -> None:
    def roots(x: Any) -> Any:
        total = 0.0
        for k in range(len(x)):
            total += math.sqrt(x[k])
        return total

    jitted = check(roots, np.arange(9.0), tolerance=1e-15)
    check(roots, -np.arange(9.0), jitted=jitted)


def test_what_is_no_float_or_int_of_64_bits_is_refused() -> None:
    for body, value in [("x**0.5", -8.0), ("int(x)", 1e30), ("math.floor(x)", -1e19)]:
        with pytest.raises(tj.UnsupportedError):
            tj.jit(program(body))(value)


def test_gradients_of_python_numbers() -> None:
    assert tj.grad(lambda x: math.sqrt(x) / x + x**2)(4.0) == pytest.approx(-0.5 * 4.0**-1.5 + 8.0)


# ------------------------------------------------------------------------------------------- functions that loop

LOOPS = """
max(range(len(x)), key=lambda i: x[i]) | min(range(len(x)), key=lambda i: x[i]) | max(x, key=abs)
min(x, key=lambda v: abs(v - 1)) | max([x[0], x[1], x[2]], key=lambda v: -v) | min(x[0], x[1], key=abs)
max(x, default=0) | max(x[:0], default=3) | max((v for v in x), default=1.0) | max([], default=3) | min(x[:0], key=abs)
max(range(0), key=lambda i: x[i], default=-1) | max((1, 2), key=lambda i: x[i]) | max("ab", "cd", key=len)
functools.reduce(lambda a, b: 0.5 * a + b, x) | functools.reduce(operator.mul, x, 2.0)
functools.reduce(np.dot, [np.eye(2), x[:4].reshape(2, 2)]) | functools.reduce(operator.mul, x.shape, 1)
functools.reduce(max, x) | functools.reduce(operator.add, x[:0], 1.0) | functools.reduce(operator.add, x[:0])
sum(map(lambda v: v * v, x)) | np.array(list(map(abs, x))) | sum(map(operator.mul, x, x[::-1]))
list(map(float, x[:2])) | np.array(list(itertools.accumulate(x)))
np.array(list(itertools.accumulate(x, max)))
sum(filter(lambda v: v > 1, x))
np.array(list(itertools.accumulate(x, lambda a, b: 0.5 * a + b, initial=1.0))) | sum(filter(None, x))
sum(itertools.takewhile(lambda v: v < 8, x)) | sum(itertools.takewhile(lambda v: v < 100, x))
sum(abs(b - a) for a, b in itertools.pairwise(x)) | sum(itertools.starmap(operator.mul, zip(x, x)))
sum(v * v for v in itertools.islice(x, 4)) | sum(itertools.islice(x, 1, None, 2)) | sum(itertools.islice(x, 2, 99))
sum(a * b for a, b in itertools.combinations(x, 2)) | sum(a - b for a, b in itertools.product(x, [1, 2]))
sum(x[i] for i in itertools.chain(range(2), range(3, len(x)))) | sum(k * v for k, v in zip(itertools.count(1), x))
"""


@pytest.mark.parametrize("body", lines(LOOPS))
def test_functions_that_loop(body: str) -> None:
    check(program(body), LINE, tolerance=1e-14, text=False)


@pytest.mark.parametrize(
    "body",
    ["max(range(len(x)), key=lambda i: x[i])", "max(x, key=abs)", "functools.reduce(lambda a, b: 0.5 * a + b, x)",
     "sum(map(lambda v: v * v, x))", "functools.reduce(operator.add, x, 1.0)", "sum(filter(lambda v: v > 1, x))"],
)  # fmt: skip
def test_loops_serve_all_lengths(body: str) -> None:
    jitted = check(program(body), LINE, tolerance=1e-13)
    check(program(body), np.linspace(-9, 8, 300), jitted=jitted, tolerance=1e-12)
    assert versions_of(jitted) == 1
