"""Python numbers as arguments: ints are sizes and guards, floats and bools keep Python's meaning."""

from __future__ import annotations

import cmath
import math
import operator
from typing import Any

import numpy as np
import pytest

from tests.trace.harness import Jit, check
from tracejit.errors import UnsupportedError


def integers(n: int, x: Any) -> Any:
    return (
        n + 1, 1 + n, n - 7, 7 - n, n * n, n * 2.5, n / 2, 1 / n, n // 2, 7 // n, n % 3, -n, +n, abs(n - 10), n**2,
        2**n, n**-1, divmod(n, 2), n > 2, n == 3, n != 3, n <= 3, int(n), float(n), complex(n), round(n / 3),
        n << 1, n & 1, n | 8, n ^ 1, n >> 1, max(n, 3), min(n, 2), max(n, 2.5), f"{n} {n:03d}", str(n), {n: 1},
        [0] * n, list(range(n)), math.sqrt(n), math.floor(n), math.log(n + 1), np.sqrt(n), np.float32(n), n * x,
        x**n, x / n, n - x, x[:n], x[n:], x[n - 1], x[-n], np.zeros((n, n + 1)), np.arange(n), np.arange(1, n + 1),
        np.ones(n, dtype=int), np.full(n, 2), np.eye(n), (n, x.shape[0] + n), x.sum() + n, isinstance(n, int),
        type(n) is int, n.bit_length(), bool(n), not n, np.linspace(0, 1, n), x.astype(np.float32) * n,
        np.array([n, n + 1]), hash(n) == hash(3), n in (1, 3), n is None,
    )  # fmt: skip


def test_integers() -> None:
    jit = Jit(integers)
    for n in (3, 3, 4, 5):
        check(integers, n, np.arange(5.0), jit=jit)


def floats(s: float, x: Any) -> Any:
    y = x.astype(np.float32)
    return (
        s + 1, 1 - s, s * s, s / 2, 1 / s, s // 1, s % 1, -s, +s, abs(-s), s**2, s**0.5, 2**s, divmod(s, 2), s < 3,
        s == 2.5, s * x, x + s, s / x, x**s, s**x, y * s, y + 2 * s, s + 1j, complex(s), int(s), round(s),
        round(s, 1), math.exp(s), math.floor(s), math.ceil(s), math.hypot(s, 1), math.isnan(s), np.sin(s),
        np.float32(s), np.maximum(s, x), max(s, 1.0), min(s, 1.0), np.array([s, 1.0]), np.full(3, s),
        np.where(x > s, s, x), s + True, isinstance(s, float), s.is_integer(), s.real, s.conjugate(),
        np.linspace(0, s, 4), np.clip(x, 0, s), x.sum() * s, s + np.float32(1), [s] * 2, s is None,
    )  # fmt: skip


def test_floats() -> None:
    jit = Jit(floats)
    for s in (2.5, 3.25, 0.5):
        check(floats, s, np.arange(1.0, 4), jit=jit)
    assert len(jit.traces) == 1


def computed_bits(x: Any, n: int) -> Any:
    a, b, c = int(x[0]), int(x[1]), bool(x[2])
    return (
        a & b, a | b, a ^ b, ~a, a << 3, a >> 1, a & 6, 6 & a, 5 | a, 5 ^ a, 1 << b, 1000 >> b, c & (b > 2), c | True,
        c ^ True, c & 3, c << 2, a & n, n & a, n << b, b << n, a ^ x[1], x[1] ^ a, x & a,
    )  # fmt: skip


def test_bits_of_computed_numbers() -> None:
    check(computed_bits, np.array([13, 6, 1, 2]), 5)
    check(computed_bits, np.array([-13, 2, 0, 2], np.int16), 3)


def test_complex_numbers() -> None:
    check(
        lambda c, x: (c + 1, c * c, abs(c), c.real, c.imag, c.conjugate(), c * x, -c, c == 1j, c / 2),
        1 + 2j,
        np.ones(2),
    )


def test_bools_are_decided_under_a_guard() -> None:
    def program(x: Any, double: bool, shift: Any = None) -> Any:
        if double:
            x = x * 2
        if shift is not None:
            x = x + shift
        return x + double, double, not double, double + 1

    jit = Jit(program)
    for args in ((True,), (False,), (True,), (False, 2.0), (False, 3.0), (True, 1)):
        check(program, np.ones(2), *args, jit=jit)
    assert len(jit.traces) == 4


def test_numpy_scalars_are_not_weak() -> None:
    check(lambda s, x: (s * x, s + 1, s, s.dtype.kind), np.float64(2), np.ones(2, np.float32))
    check(lambda s, x: (s * x, s + 1.5), np.int8(2), np.ones(2, np.float16))


def test_overflow_of_weak_ints() -> None:
    x = np.arange(3, dtype=np.uint8)
    check(lambda x: x + 300, x)
    check(lambda x, n: x + n, x, 300)
    check(lambda x, n: x + n, x, 200)
    check(lambda x: (x < 300, x == -1, x > -5, 300 > x), x)

    def store(x: Any) -> None:
        x[0] = 300

    check(store, x)


def test_range_and_loops_unroll() -> None:
    def program(x: Any, n: int) -> Any:
        total = 0.0
        for i in range(n):
            total += x[i] * i
        k = 0
        while k < n:
            x[k] = k
            k += 1
        return total, [row * 2 for row in x], sum(x), sum(v for v in x), dict(enumerate(x))

    check(program, np.arange(4.0), 3)


def test_divisions_by_zero_raise_as_python_does() -> None:
    for body in (
        lambda n: 1 // n,
        lambda n: 1 % n,
        lambda n: 1 / n,
        lambda n: n // 0,
        lambda n: n / 0,
        lambda n: n % 0.0,
    ):
        check(body, 0, text=False)


@pytest.mark.parametrize(
    "function", [math.sin, math.atan2, math.fabs, math.log10, math.erf, math.isfinite, math.degrees]
)
def test_math_functions(function: Any) -> None:
    if function is math.atan2:
        check(lambda s, x: function(s, x[0]), 0.5, np.ones(2))
    else:
        check(lambda s, x: (function(s), function(x[0]), function(0.25)), 0.5, np.ones(2))


def test_computed_ints_index() -> None:
    def program(x: Any) -> Any:
        k = int(x.argmax())
        x[k] = -1.0
        row = x.reshape(2, -1)[k % 2]
        row += 10
        return k, k + 1, k // 2, x[k], x[k - 1], x.argmin()

    check(program, np.array([1.0, 5.0, 2.0, 0.0]))
    check(program, np.array([9.0, 5.0, 2.0, 0.0]))


def test_computed_index_out_of_range() -> None:
    check(lambda x, i: x[i], np.arange(3.0), np.array([0, 3]))
    check(lambda x, i: x[i], np.arange(3.0), np.int64(-4))


def test_builtins_choose_among_numbers_and_bools() -> None:
    for x in (2.5, -1.5):
        check(lambda x: (max(x > 2, x > 1), min([x > 2, x > 1]), max(int(x), 1), max(v * 2 for v in (x, 1.0))), x)
        check(lambda x: (all([x, 1.0]), any([x - x, False]), all(v > 0 for v in (x, 2)), any(v > 3 for v in (x, 1))), x)
        check(lambda x: (operator.truth(x), operator.truth(x - x), all([]), any([1, x])), x)
        with pytest.raises(TypeError, match="'float' object is not iterable"):
            Jit(lambda x: max(x))(x)


def test_the_larger_of_two_bools_is_a_bool() -> None:
    for a, b in ((True, True), (True, False), (False, True), (False, False)):
        check(lambda a, b: (max(a, b), min(a, b), max(a, b, 2)), a, b)


def test_functions_of_math_that_take_floats_apart() -> None:
    for x in (2.5, -1.5, 0.0, 1e-310, 1e300, math.inf):
        check(lambda x: (math.frexp(x), math.modf(x), math.ulp(x), math.ldexp(x, -3), math.nextafter(x, 0.5)), x)
    check(lambda n: math.ldexp(0.5, n), 3)
    with pytest.raises(TypeError, match="Expected an int as second argument to ldexp"):
        Jit(lambda x: math.ldexp(2.0, x))(1.5)


def test_a_text_of_a_traced_value_is_no_result() -> None:
    for function in (lambda x: f"{x}", lambda x: str(x), lambda x: {"a": "x = " + str(x)}):
        with pytest.raises(UnsupportedError, match="gives a text made of a value"):
            Jit(function)(2.5)


def test_functions_of_cmath() -> None:
    names = "sin cos tan sinh cosh tanh exp sqrt log10 asin acos atan asinh acosh atanh isnan isinf phase polar"
    functions = [getattr(cmath, name) for name in (*names.split(), "isfinite")]
    for x in (1.5 - 0.5j, 2.5, 0.25, -1.5, -0.5 + 2j):
        check(lambda x: [function(x) for function in functions], x)
        check(lambda x: (cmath.log(x), cmath.log(x, 2.0), cmath.log(3j, x)), x)
    check(lambda x: (cmath.rect(x, 0.5), cmath.rect(2.0, x)), 2.5)
