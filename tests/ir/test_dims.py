"""Dims: their normal form against plain evaluation."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.ir.strategies import SYMBOLS, dims
from tracejit.ir import dims as dim
from tracejit.ir.parser import parse

SIZES = st.fixed_dictionaries({name: st.integers(0, 50) for name in SYMBOLS})
OPERATIONS: list[tuple[Callable[..., dim.DimLike], Callable[..., int]]] = [
    (lambda a, b: a + b, lambda a, b: a + b),
    (lambda a, b: a - b, lambda a, b: a - b),
    (lambda a, b: a * b, lambda a, b: a * b),
    (dim.maximum, max),
    (dim.minimum, min),
]


@given(dims(), dims(), SIZES)
def test_arithmetic_commutes_with_evaluation(a: dim.DimLike, b: dim.DimLike, sizes: dict[str, int]) -> None:
    x, y = dim.evaluate(a, sizes), dim.evaluate(b, sizes)
    for symbolic, plain in OPERATIONS:
        assert dim.evaluate(symbolic(a, b), sizes) == plain(x, y)
    assert dim.evaluate(-a, sizes) == -x


@given(dims(), st.one_of(dims(), st.integers(1, 7)), SIZES)
def test_division_commutes_with_evaluation(a: dim.DimLike, b: dim.DimLike, sizes: dict[str, int]) -> None:
    assume(isinstance(b, dim.Dim) or b != 0)
    x, y = dim.evaluate(a, sizes), dim.evaluate(b, sizes)
    assume(y != 0)
    assert dim.evaluate(dim.floordiv(a, b), sizes) == x // y
    assert dim.evaluate(dim.modulo(a, b), sizes) == x % y


@given(dims(), dims(), dims())
def test_normal_form(a: dim.DimLike, b: dim.DimLike, c: dim.DimLike) -> None:
    assert (a + b) + c == a + (b + c)
    assert a * b == b * a
    assert a * (b + c) == a * b + a * c
    assert a - a == 0
    assert hash(a + b) == hash(b + a)
    assert dim.maximum(a, b) == dim.maximum(b, a)


@given(dims(), SIZES)
def test_substitution(a: dim.DimLike, sizes: dict[str, int]) -> None:
    assert dim.substitute(a, sizes) == dim.evaluate(a, sizes)
    assert dim.substitute(a, {name: dim.symbol(name) for name in SYMBOLS}) == a
    shifted = dim.substitute(a, {name: dim.symbol(name) + 1 for name in SYMBOLS})
    assert dim.evaluate(shifted, sizes) == dim.evaluate(a, {name: size + 1 for name, size in sizes.items()})


@given(dims())
def test_text(a: dim.DimLike) -> None:
    assert parse(f"func @f(%x: f64[{a}]) -> () {{ return }}").params[0].dims[0] == a
    assert dim.symbols_of(a) <= set(SYMBOLS)


def test_exact_quotients() -> None:
    n, m = dim.symbol("n"), dim.symbol("m")
    assert dim.floordiv(n * m, n) == m
    assert dim.floordiv(6 * n * m + 4 * n, 2 * n) == 3 * m + 2
    assert dim.floordiv(2 * n + 1, 2) == n
    assert dim.floordiv(0, n) == 0
    assert str(dim.floordiv(n + 1, m)) == "floordiv(n+1, m)"


def test_the_truth_of_a_size_is_not_known() -> None:
    with pytest.raises(TypeError, match="the symbolic size n is not known"):
        bool(dim.symbol("n"))


def test_products_and_constants() -> None:
    n = dim.symbol("n")
    assert dim.product((n, 2, n)) == 2 * n * n
    assert dim.product(()) == 1
    assert isinstance(n, dim.Dim)
    assert n.as_symbol == "n"
    total = n * 2 + 3
    assert isinstance(total, dim.Dim)
    assert total.as_symbol is None
    assert total.constant == 3
