"""Every universal function of NumPy on every pair of dtypes, with Python numbers, keywords and broadcasting."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.trace.harness import check

UFUNCS = sorted(
    {f for f in (getattr(np, name) for name in dir(np)) if isinstance(f, np.ufunc) and not f.signature},
    key=lambda f: f.__name__,
)
_base = np.random.default_rng(1).standard_normal(6)
SAMPLES = [
    _base, np.array([3, -4, 0, 1, -1, 2]), _base > 0, _base + 1j * _base[::-1], np.arange(6, dtype=np.uint8),
    _base.astype(np.float32), _base.astype(np.float16), np.arange(-3, 3, dtype=np.int8),
]  # fmt: skip
NUMBERS = (2, 2.5, 1j, True, -1, 300)


@pytest.mark.parametrize("ufunc", UFUNCS, ids=lambda f: f.__name__)
def test_dtypes(ufunc: Any) -> None:
    for x in SAMPLES:
        if ufunc.nin == 1:
            check(lambda x: ufunc(x), x)
            continue
        for y in SAMPLES:
            check(lambda x, y: ufunc(x, y), x, y)
        for number in NUMBERS:
            check(lambda x, n=number: ufunc(x, n), x)
            check(lambda x, n=number: ufunc(n, x), x)


shapes = hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=3)


@given(shapes=shapes, kinds=st.tuples(st.sampled_from("fdilB?"), st.sampled_from("fdilB?")))
@settings(max_examples=100)
def test_broadcasting(shapes: Any, kinds: Any) -> None:
    x, y = (np.ones(shape, kind) for shape, kind in zip(shapes.input_shapes, kinds, strict=True))
    check(lambda x, y: (x + y, x * 2, np.maximum(x, y), x < y, np.where(x > y, x, y)), x, y)


@given(
    left=st.lists(st.integers(0, 3), max_size=3),
    right=st.lists(st.integers(0, 3), max_size=3),
)
@settings(max_examples=60)
def test_shapes_that_may_not_fit(left: Any, right: Any) -> None:
    check(lambda x, y: x + y, np.ones(left), np.ones(right))


def test_keywords() -> None:
    x, y = np.arange(4.0), np.ones(4)

    def program(x: Any, y: Any) -> Any:
        a = np.add(x, y, dtype=np.float32)
        b = np.multiply(x, y, out=np.zeros(4), where=x > 1)
        c = np.zeros(4)
        result = np.sin(x, out=c)
        np.add(x, 1, c)
        quotient, rest = np.divmod(x, 2, out=(np.zeros(4), np.zeros(4)))
        fraction, whole = np.modf(x + 0.5)
        np.exp(x, out=y)
        return (
            a,
            b,
            c,
            result is c,
            quotient,
            rest,
            fraction,
            whole,
            np.add(x, 1, casting="safe"),
            np.sqrt(x, where=True),
        )

    check(program, x, y)


@pytest.mark.parametrize(
    "body",
    [
        lambda x, i: np.add(x, 1.5, out=i), lambda x, i: np.add(x, 1, dtype=int), lambda x, i: np.bitwise_and(x, 1),
        lambda x, i: np.left_shift(i, 1.5), lambda x, i: np.add(x, "a"), lambda x, i: np.sin(x, out=np.zeros(3)),
        lambda x, i: np.add(x, x, out=np.zeros(2)), lambda x, i: np.subtract(x > 0, x > 0), lambda x, i: -(x > 0),
        lambda x, i: i ** -2, lambda x, i: np.add(x), lambda x, i: np.isnat(x), lambda x, i: x + (1, 2),  # noqa: RUF005
        lambda x, i: np.sin(x, out=[1]), lambda x, i: np.add(x, None), lambda x, i: x @ 2, lambda x, i: x << 1,
    ],
)  # fmt: skip
def test_errors_are_numpys(body: Any) -> None:
    check(body, np.arange(4.0), np.arange(4), text=False)


def test_error_texts_are_numpys() -> None:
    x, i = np.arange(4.0), np.arange(4)

    def add_in_place(i: Any) -> None:
        i += 1.5

    check(add_in_place, i)
    check(lambda x, y: x + y, x, np.ones(3))
    check(lambda x: np.subtract(x > 0, x > 0), x)
    check(lambda i: i**-2, i)
    check(lambda x, i: np.add(x, i, out=i), x, i)
    check(lambda x: np.add(x, x, out=np.zeros(2)), x)


def test_at_outer_and_accumulate() -> None:
    def program(x: Any) -> Any:
        np.add.at(x, [0, 0, 2], 1)
        np.subtract.at(x, [1, 1], [0.5, 0.25])
        np.add.at(x, slice(1, 3), 10)
        return np.multiply.outer(x, x), np.add.accumulate(x), np.maximum.reduce(x), np.logical_or.reduce(x > 1)

    check(program, np.arange(4.0))


def test_rank_zero_arrays_give_scalars() -> None:
    def program(x: Any) -> Any:
        y = x + 1
        x += 1
        x[...] = x * 2
        return x, y, np.sin(x), x[()], x[...], x.copy(), x.sum(), x.reshape(1), np.add(x, 1, out=x)

    check(program, np.array(2.0))
