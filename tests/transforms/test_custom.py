"""Derivatives given by the user, through every transformation."""

from __future__ import annotations

import numpy as np
import pytest

from tests.transforms.cases import LINE, SCALAR, draw, total
from tests.transforms.helpers import array, build, check_derivatives, control, fori, i64, op, symbol
from tracejit.errors import UnsupportedError
from tracejit.ir.core import walk
from tracejit.ir.interpreter import interpret
from tracejit.transforms import inline_custom, jvp_function, value_and_grad, vjp_function, vmap_function

B = symbol("b")


def custom_product(x, y):
    """x * sin(y), its tangent written by hand."""
    types = [x.type, y.type]
    primal = build(lambda x, y: x * op("sin", y), *types)
    rule = build(lambda x, y, dx, dy: [x * op("sin", y), dx * op("sin", y) + x * op("cos", y) * dy], *types, *types)
    return control("custom_jvp", [x, y], [primal, rule])[0]


def tripled(x, y):
    """x * sin(y), whose gradients are three times what they should be."""
    types = [x.type, y.type]
    primal = build(lambda x, y: x * op("sin", y), *types)
    forward = build(lambda x, y: [x * op("sin", y), x, y], *types)
    backward = build(lambda x, y, ct: [op("sin", y) * ct * 3.0, x * op("cos", y) * ct * 3.0], *types, x.type)
    return control("custom_vjp", [x, y], [primal, forward, backward], residuals=2)[0]


def test_custom_jvp_is_a_derivative_like_others():
    function = build(lambda x, y: custom_product(x * x, y), LINE, LINE)
    check_derivatives(function, draw(3), draw(3))
    check_derivatives(vjp_function(function, (0, 1)), draw(3), draw(3), draw(3), tolerance=1e-5)


def test_custom_jvp_in_a_loop_and_batched():
    function = build(lambda x, y: fori(i64(0), i64(3), [x], [y], lambda i, x, y: custom_product(x, y) + x), LINE, LINE)
    check_derivatives(function, draw(3), draw(3))
    mapped = vmap_function(function, (False, True), B)
    check_derivatives(mapped, draw(3), draw(2, 3))
    x, y = draw(3), draw(2, 3)
    np.testing.assert_allclose(interpret(mapped, x, y)[0][1], interpret(function, x, y[1])[0])


def test_the_rule_is_used():
    function = build(lambda x, y: total(tripled(x, y)), LINE, LINE)
    x, y = draw(3), draw(3)
    _, dx, dy = interpret(value_and_grad(function, (0, 1)), x, y)
    np.testing.assert_allclose(dx, 3 * np.sin(y))
    np.testing.assert_allclose(dy, 3 * x * np.cos(y))


def test_only_one_operand_moves():
    function = build(lambda x, y: total(tripled(x, y)), LINE, LINE)
    assert len(value_and_grad(function, (1,)).results) == 2


def test_gradients_of_what_is_shared_by_a_batch_are_summed():
    function = build(lambda x, y: total(tripled(x, y)), LINE, LINE)
    mapped = vmap_function(function, (False, True), B)
    summed = build(lambda x, y: op("reduce_sum", _emit(mapped, x, y), axes=(0,)), LINE, array((B, symbol("n"))))
    x, y = draw(3), draw(4, 3)
    _, dx, dy = interpret(value_and_grad(summed, (0, 1)), x, y)
    np.testing.assert_allclose(dx, 3 * np.sin(y).sum(0))
    np.testing.assert_allclose(dy, 3 * x * np.cos(y))


def _emit(function, *operands):
    from tracejit.ir.builder import current_builder, inline

    return inline(current_builder(), function, operands)[0]


def test_custom_vjp_in_a_loop_and_differentiated_twice():
    function = build(lambda x, y: total(fori(i64(0), i64(2), [x], [y], lambda i, x, y: tripled(x, y))[0]), LINE, LINE)
    gradient = value_and_grad(function, (0,))
    x, y = draw(3), draw(3)
    np.testing.assert_allclose(interpret(gradient, x, y)[1], 9 * np.sin(y) ** 2)
    pushed = jvp_function(gradient, (False, True))
    np.testing.assert_allclose(interpret(pushed, x, y, np.ones(3))[-1], 9 * np.sin(2 * y))


def test_custom_vjp_has_no_forward_derivative():
    function = build(lambda x, y: tripled(x, y), LINE, LINE)
    with pytest.raises(UnsupportedError, match="custom_jvp"):
        jvp_function(function, (True, True))


def test_they_are_removed_everywhere():
    function = build(
        lambda x, y: fori(i64(0), i64(2), [x], [y], lambda i, x, y: custom_product(tripled(x, y), y)), LINE, LINE
    )
    plain = inline_custom(function)
    assert not any(e.op.name.startswith("custom") for e in walk(plain))
    x, y = draw(3), draw(3)
    np.testing.assert_array_equal(interpret(plain, x, y), interpret(function, x, y))
    assert inline_custom(plain) is plain
    assert plain.name == function.name


def test_integers_among_the_operands():
    def make(x, i):
        types = [x.type, i.type]
        primal = build(lambda x, i: [x * x, i + i], *types)
        rule = build(lambda x, i, dx: [x * x, i + i, x * dx * 2.0], *types, x.type)
        return control("custom_jvp", [x, i], [primal, rule])

    check_derivatives(build(make, SCALAR, array((), "i64")), 1.5, np.int64(2))
