"""Reverse derivatives: against forward ones, and the size of what is emitted."""

from __future__ import annotations

import time

import numpy as np
import pytest

from tests.transforms.cases import CASES, LINE, SCALAR, at, draw, put, total
from tests.transforms.helpers import N, array, build, check_derivatives, fori, i64, inner, op, while_loop
from tracejit.ir.builder import current_builder
from tracejit.ir.core import walk
from tracejit.ir.interpreter import interpret
from tracejit.ir.primitive import PRIMITIVES
from tracejit.transforms import value_and_grad, vjp_function


@pytest.mark.parametrize("name", CASES)
def test_against_forward(name):
    function, args = CASES[name]
    check_derivatives(function, *args)


def names(function):
    return [eqn.op.name for eqn in walk(function)]


def test_one_use_emits_no_addition():
    gradient = value_and_grad(build(lambda x: total(op("sin", x)), LINE), (0,))
    assert names(gradient) == ["sin", "cos", "reduce_sum", "broadcast", "mul"]


def test_a_param_that_nothing_depends_on_gets_zeros():
    gradient = value_and_grad(build(lambda x, y: total(x), LINE, array((3,))), (0, 1))
    _, dx, dy = interpret(gradient, draw(2), draw(3))
    np.testing.assert_array_equal(dx, np.ones(2))
    np.testing.assert_array_equal(dy, np.zeros(3))


def test_only_what_is_asked_for():
    gradient = value_and_grad(build(lambda x, y: total(x * op("exp", y)), LINE, LINE), (0,))
    assert names(gradient).count("mul") == 2 and len(gradient.results) == 2


def test_a_param_asked_for_twice():
    gradient = value_and_grad(build(lambda x: total(x), LINE), (0, 0))
    assert len(gradient.results) == 3


def test_a_result_that_is_a_param():
    gradient = value_and_grad(build(lambda s: [s], SCALAR), (0,))
    assert interpret(gradient, 3.0) == [3.0, 1.0]


def test_other_results_come_along():
    gradient = value_and_grad(build(lambda x: [op("argmax", x, axis=0), total(x)], LINE), (0,), result=1)
    index, value, dx = interpret(gradient, np.array([1.0, 5.0]))
    assert (index, value) == (1, 6.0)
    np.testing.assert_array_equal(dx, [1, 1])


def test_gradients_of_integers_and_of_arrays_are_refused():
    with pytest.raises(TypeError, match="gradients are of floats"):
        value_and_grad(build(lambda i: op("cast", i, dtype=np.dtype(float)), array((), "i64")), (0,))
    with pytest.raises(TypeError, match="one real number"):
        value_and_grad(build(lambda x: x, LINE), (0,))


def test_read_elements_are_added_in_place():
    # Each read of one element must not cost a whole array of zeros and a whole addition.
    gradient = value_and_grad(build(lambda x: total(at(x, i64(0)) * at(x, i64(1)) * at(x, i64(2))), LINE), (0,))
    assert names(gradient).count("scatter_add") == 3
    additions = [e for e in gradient.eqns if e.op.name == "add"]
    assert all(e.results[0].rank == 0 for e in additions)


def test_reading_elements_in_a_loop_carries_the_sum():
    function = build(
        lambda x: fori(
            i64(0),
            op("dim", dim=N),
            [total(x) * 0.0],
            [x],
            lambda i, s, x: s + at(x, i) * at(x, i),
        ),
        LINE,
    )
    gradient = value_and_grad(function, (0,))
    bodies = [region for eqn in gradient.eqns for region in eqn.regions]
    assert not any(e.op.name in ("add", "broadcast") and e.results[0].rank for body in bodies for e in body.eqns)
    np.testing.assert_allclose(interpret(gradient, np.arange(4.0))[1], 2 * np.arange(4.0))


def test_what_is_defined_before_a_loop_and_used_after_it_keeps_its_adjoint():
    def make(x):
        before = op("sin", x)
        (looped,) = fori(i64(0), i64(3), [x], [before], lambda i, a, before: a * before)
        return total(looped * before) + total(before)

    check_derivatives(build(make, LINE), draw(4))


def test_an_array_overwritten_in_a_loop_and_read_before():
    def make(x):
        y = x * x
        first = at(y, i64(0))
        (y,) = fori(i64(0), op("dim", dim=N), [y], [first], lambda i, y, first: put(y, at(y, i) * first, i))
        return total(y) * first

    check_derivatives(build(make, LINE), draw(4))


def test_functions_of_one_value_are_saved_once():
    # sin(x) and cos(x) both follow from x: one array of residuals, not two.
    function = build(
        lambda x: fori(i64(0), op("dim", dim=N), [total(x)], [], lambda i, s: op("sin", s) * op("cos", s)), LINE
    )
    assert names(value_and_grad(function, (0,))).count("empty") == 1


def test_what_follows_from_constants_is_not_saved():
    function = build(
        lambda x: fori(i64(0), op("dim", dim=N), [total(x)], [x], lambda i, s, x: s * op("sin", at(x, i))), LINE
    )
    gradient = value_and_grad(function, (0,))
    # Only s itself, which multiplies the tangent of sin(x[i]).
    assert names(gradient).count("empty") == 1


@pytest.mark.parametrize("count", [0, 1, 2, 127, 128, 129, 400])
def test_loops_of_unknown_length(count):
    function, (x, _) = CASES["unknown_trip"]
    check_derivatives(function, x, np.int64(count))


def test_an_unknown_length_below_the_lower_bound():
    function, (x, _) = CASES["unknown_trip"]
    check_derivatives(function, x, np.int64(-3))


def test_a_long_while_loop_computes_each_iteration_a_few_times_only():
    calls = []

    def count(i):
        calls.append(i)
        return i

    def body(x, i):
        (i,) = [op("pure_callback", i, function=count, types=(array((), "i64"),))]
        return [op("sin", x), i + 1]

    def loop(x):
        zero = op("cast", x, dtype=np.dtype(np.int64)) * 0
        return while_loop([x, zero], [], lambda x, i: i < 1000, body)[0]

    gradient = value_and_grad(build(loop, SCALAR), (0,))
    interpret(gradient, 0.5)
    assert len(calls) <= 6 * 1000


def test_regions_are_not_shared():
    function, _ = CASES["while"]
    gradient = vjp_function(function, (0,))
    regions = [id(region) for eqn in walk(gradient) for region in eqn.regions]
    assert len(set(regions)) == len(regions)


def test_complex_gradient_convention():
    # f(z) = |z|^2 has df/dx - i df/dy = 2 conj(z).
    def make(z):
        return op("real", op("conj", z) * z)

    gradient = value_and_grad(build(make, array((), "c128")), (0,))
    _, dz = interpret(gradient, np.complex128(1 + 2j))
    np.testing.assert_allclose(dz, 2 * (1 - 2j))


def test_cotangents_are_params_after_the_others():
    function = build(lambda x, y: [x * y, op("lt", x, y), total(y)], LINE, LINE)
    pulled = vjp_function(function, (1,))
    assert [str(p.type) for p in pulled.params] == ["f64[n]", "f64[n]", "f64[n]", "f64[]"]
    x, y, ct = draw(3), draw(3), draw(3)
    *_, dy = interpret(pulled, x, y, ct, 2.0)
    np.testing.assert_allclose(dy, x * ct + 2.0)
    assert np.isfinite(inner(dy, y))


def chain(count):
    def make(x, y):
        for _ in range(count // 4):
            x = op("sin", x) * y
            x = x + y
            x = x - 0.5
        return total(x)

    return build(make, LINE, LINE)


def test_deep_programs_take_linear_time():
    def seconds(function):
        started = time.process_time()
        gradient = value_and_grad(function, (0, 1))
        assert len(gradient.eqns) < 3 * len(function.eqns)
        return time.process_time() - started

    small, large = chain(2_000), chain(20_000)
    seconds(small)
    assert seconds(large) < 10 * 4 * min(seconds(small) for _ in range(3))


def test_what_prints_in_a_loop_prints_once():
    printed = []

    def body(i, x):
        current_builder().emit(PRIMITIVES["callback"], (i,), {"function": printer, "types": ()})
        return op("sin", x)

    def printer(i):
        printed.append(int(i))
        return ()

    gradient = value_and_grad(build(lambda x: total(fori(i64(0), i64(3), [x], [], body)[0]), LINE), (0,))
    interpret(gradient, draw(2))
    assert printed == [0, 1, 2]
