"""Transformations of transformed functions, and random programs through all of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.transforms.cases import CASES, LINE, draw, total
from tests.transforms.helpers import array, build, check_derivatives, cond, fori, i64, op, symbol
from tracejit.ir.core import walk
from tracejit.ir.interpreter import interpret
from tracejit.transforms import jvp_function, value_and_grad, vjp_function, vmap_function
from tracejit.transforms.jvp import differentiable

B = symbol("b")


def floats(function):
    return tuple(k for k, p in enumerate(function.params) if differentiable(p.type))


@pytest.mark.parametrize("name", CASES)
def test_derivatives_of_reverse(name):
    """jvp of vjp against finite differences, and vjp of vjp against it: second order, both ways."""
    function, args = CASES[name]
    rng = np.random.default_rng(1)
    pulled = vjp_function(function, floats(function))
    extra = []
    values = [v for v, r in zip(interpret(function, *args), function.results, strict=True) if differentiable(r.type)]
    for value in values:
        value = np.asarray(value)
        noise = rng.standard_normal(value.shape) + (
            1j * rng.standard_normal(value.shape) if value.dtype.kind == "c" else 0
        )
        extra.append(np.asarray(noise, value.dtype))
    check_derivatives(pulled, *args, *extra, tolerance=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_reverse_of_forward(name):
    function, args = CASES[name]
    pushed = jvp_function(function, [True] * len(args))
    moves = [np.asarray(args[k]) * 0.3 + 0.1 for k in floats(function)]
    check_derivatives(pushed, *args, *moves, tolerance=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_batches_of_gradients(name):
    function, args = CASES[name]
    pulled = vjp_function(function, floats(function))
    values = [v for v, r in zip(interpret(function, *args), function.results, strict=True) if differentiable(r.type)]
    given = [np.asarray(a) for a in args] + [np.ones_like(np.asarray(v)) for v in values]
    flags = [k in floats(function) for k in range(len(args))] + [False] * len(values)
    batched = [np.stack([g, g * 0.9]) if f else g for g, f in zip(given, flags, strict=True)]
    got = interpret(vmap_function(pulled, flags, B), *batched)
    for k in range(2):
        row = interpret(pulled, *[g[k] if f else g for g, f in zip(batched, flags, strict=True)])
        for a, b in zip(got, row, strict=True):
            np.testing.assert_allclose(a[k], b, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", CASES)
def test_gradients_of_batches(name):
    function, args = CASES[name]
    flags = [k in floats(function) for k in range(len(args))]
    mapped = vmap_function(function, flags, B)
    given = [np.stack([np.asarray(a), np.asarray(a) * 0.9]) if f else a for a, f in zip(args, flags, strict=True)]
    check_derivatives(mapped, *given, tolerance=1e-5)


def test_hessian_by_batched_forward_over_reverse():
    function = build(lambda x: total(op("sin", x) * op("sin", x)) * total(x), LINE)
    gradient = value_and_grad(function, (0,))
    pushed = jvp_function(gradient, (True,))
    hessian = vmap_function(pushed, (False, True), symbol("n"))
    x = draw(4)
    *_, h = interpret(hessian, x, np.eye(4))
    np.testing.assert_allclose(h, h.T, atol=1e-12)
    s, c2, s2 = np.sin(x), np.cos(2 * x), np.sin(2 * x)
    expected = np.diag(2 * c2 * x.sum()) + s2[:, None] + s2[None, :]
    np.testing.assert_allclose(h, expected, atol=1e-12)
    assert np.isfinite(s).all()


def test_third_derivative():
    function = build(lambda s: op("exp", s * 2.0), array())
    for _ in range(3):
        gradient = value_and_grad(function, (0,))
        with_only_gradient = build(lambda s, g=gradient: _inline(g, s)[1], array())
        function = with_only_gradient
    assert np.isclose(interpret(function, 0.3)[0], 8 * np.exp(0.6))


def _inline(function, *operands):
    from tracejit.ir.builder import current_builder, inline

    return inline(current_builder(), function, operands)


def test_per_example_gradients():
    def loss(w, x):
        return total(op("tanh", op("dot", x, w, contract=((0,), (0,)), batch=((), ()))))

    function = build(loss, array((3, 2)), array((3,)))
    gradient = vmap_function(value_and_grad(function, (0,)), (False, True), B)
    w, x = draw(3, 2), draw(5, 3)
    _, dw = interpret(gradient, w, x)
    expected = x[:, :, None] * (1 - np.tanh(x @ w) ** 2)[:, None, :]
    np.testing.assert_allclose(dw, expected, atol=1e-12)


# -------------------------------------------------------------------------------------------------- random programs

ROWS, COLUMNS = symbol("r"), symbol("c")


def _step(choice, pool):
    """Append one value to the pool of [r, c] arrays."""
    kind, a, b = choice
    x, y = pool[a % len(pool)], pool[b % len(pool)]
    dims = x.type.dims
    one = (1, 1)
    made = {
        0: lambda: op("sin", x) if b % 2 else op("tanh", x),
        1: lambda: x + y,
        2: lambda: x * op("cos", y),
        3: lambda: op("select", x < y, x * 2.0, op("sin", y)),
        4: lambda: op("broadcast", op("reduce_sum", x, axes=(1,)), dims=dims, axes=(0,)) * 0.3,
        5: lambda: op("transpose", op("transpose", op("sin", x), perm=(1, 0)), perm=(1, 0)),
        6: lambda: op("reshape", op("cumsum", op("reshape", x * 0.3, dims=(ROWS * COLUMNS,)), axis=0), dims=dims),
        7: lambda: op("slice", op("concatenate", x, y, axis=0), starts=(1, 0), sizes=dims, steps=one),
        8: lambda: op("update_slice", x, op("sin", y), starts=(ROWS - 1, 0), steps=(-1, 1)),
        9: lambda: op(
            "dot",
            op("dot", x, y, contract=((1,), (1,)), batch=((), ())),
            y * 0.1,
            contract=((1,), (0,)),
            batch=((), ()),
        ),
        10: lambda: op("scatter_add", x, op("gather", y, i64(1), axes=(0,)), i64(0), axes=(0,)),
        11: lambda: op("scatter", x, op("gather", y, i64(0), axes=(1,)), i64(1), axes=(1,)),
        12: lambda: fori(i64(0), op("dim", dim=ROWS), [x], [y], lambda i, x, y: op("sin", x) * 0.7 + y * 0.1)[0],
        13: lambda: cond(total(x) < 0.0, [x, y], lambda x, y: x * y, lambda x, y: op("sin", y))[0],
        14: lambda: fori(
            i64(1),
            op("dim", dim=ROWS),
            [x],
            [],
            lambda i, x: op("scatter", x, op("sin", op("gather", x, i - 1, axes=(0,))), i, axes=(0,)),
        )[0],
        15: lambda: x * op("broadcast", op("reduce_max", y, axes=(0,)), dims=dims, axes=(1,)),
    }[kind]()
    pool.append(made)


programs = st.lists(st.tuples(st.integers(0, 15), st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=7)


def random_program(choices):
    def make(x, y):
        pool = [x, y]
        for choice in choices:
            _step(choice, pool)
        return [pool[-1], total(op("sin", pool[-1]))]

    return build(make, array((ROWS, COLUMNS)), array((ROWS, COLUMNS)))


@settings(max_examples=60, deadline=None)
@given(programs, st.integers(0, 1000))
def test_random_programs(choices, seed):
    function = random_program(choices)
    rng = np.random.default_rng(seed)
    x, y = 0.5 * rng.standard_normal((2, 3, 2))
    check_derivatives(function, x, y, seed=seed, tolerance=1e-5)
    gradient = value_and_grad(function, (0, 1), result=1)
    mapped = vmap_function(gradient, (True, False), B)
    got = interpret(mapped, np.stack([x, y]), y)
    for k, first in enumerate((x, y)):
        for a, b in zip(got, interpret(gradient, first, y), strict=True):
            np.testing.assert_allclose(a[k], b, rtol=1e-9, atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(programs, st.integers(0, 1000))
def test_random_programs_second_order(choices, seed):
    function = random_program(choices)
    rng = np.random.default_rng(seed)
    x, y = 0.5 * rng.standard_normal((2, 3, 2))
    gradient = value_and_grad(function, (0,), result=1)
    check_derivatives(gradient, x, y, seed=seed, tolerance=1e-4)
    assert sum(1 for _ in walk(gradient)) < 60 * (len(choices) + 2)
