"""Forward derivatives: against finite differences, and what must not be emitted."""

from __future__ import annotations

import numpy as np
import pytest

from tests.transforms.cases import CASES, GRID, LINE, at
from tests.transforms.helpers import N, array, build, check_derivatives, cond, fori, i64, op
from tracejit.errors import UnsupportedError
from tracejit.ir.core import walk
from tracejit.ir.interpreter import interpret
from tracejit.transforms import jvp, jvp_function


@pytest.mark.parametrize("name", CASES)
def test_against_finite_differences(name):
    function, args = CASES[name]
    check_derivatives(function, *args, reverse=False)


@pytest.mark.parametrize("name", CASES)
def test_no_active_param_emits_nothing_new(name):
    function, _ = CASES[name]
    pushed, mask = jvp(function, [False] * len(function.params))
    assert len(list(walk(pushed))) == len(list(walk(function)))
    assert not any(mask)


def test_mask_names_the_results_that_move():
    function = build(lambda x, y: [x * x, y * y, op("lt", x, y), x + y], LINE, LINE)
    pushed, mask = jvp(function, (True, False))
    assert mask == (True, False, False, True)
    assert len(pushed.results) == 4 + 2


def test_absent_tangents_are_filled_with_zeros():
    function = build(lambda x, y: [x * x, y * y, op("lt", x, y)], LINE, LINE)
    full = jvp_function(function, (True, False))
    *_, moved, still = interpret(full, np.arange(3.0), np.ones(3), np.ones(3))
    np.testing.assert_array_equal(moved, [0, 2, 4])
    np.testing.assert_array_equal(still, np.zeros(3))


def test_integers_have_no_tangent():
    function = build(lambda x, i: [at(x, i), i + i], LINE, array((), "i64"))
    pushed = jvp_function(function, (True, True))
    assert [str(p.type) for p in pushed.params] == ["f64[n]", "i64[]", "f64[n]"]
    assert [str(r.type) for r in pushed.results] == ["f64[]", "i64[]", "f64[]"]


def test_zero_tangents_make_no_nan():
    # The derivative of log is infinite at 0, but its operand does not move: 0 * inf must not appear.
    function = build(lambda x, y: op("log", x) + y, LINE, LINE)
    with np.errstate(divide="ignore"):
        *_, tangent = interpret(jvp_function(function, (False, True)), np.zeros(1), np.ones(1), np.ones(1))
    np.testing.assert_array_equal(tangent, [1.0])


def test_ties_share_equally():
    function = build(lambda x: op("reduce_max", x, axes=(0,)), LINE)
    _, tangent = interpret(jvp_function(function, (True,)), np.array([2.0, 1.0, 2.0]), np.array([3.0, 9.0, 5.0]))
    assert tangent == 4.0


def test_infinite_tangent_of_an_element_that_is_not_the_largest():
    function = build(lambda x: op("reduce_max", x, axes=(0,)), LINE)
    _, tangent = interpret(jvp_function(function, (True,)), np.array([2.0, 1.0]), np.array([3.0, np.inf]))
    assert tangent == 3.0


def test_a_carry_becomes_active_in_the_second_iteration():
    function, _ = CASES["late_activity"]
    loop = next(e for e in jvp(function, (True,))[0].eqns if e.op.name == "fori_loop")
    assert loop.attrs["carries"] == 4


def test_carries_that_never_move_get_no_tangent():
    function = build(lambda x, y: fori(i64(0), i64(3), [x, y], [], lambda i, x, y: [x * y, y + 1.0]), LINE, LINE)
    pushed, mask = jvp(function, (True, False))
    assert mask == (True, False)
    assert pushed.eqns[0].attrs["carries"] == 3


def test_a_cond_that_moves_on_one_side_only():
    function = build(
        lambda x, y: cond(op("lt", op("reduce_sum", y, axes=(0,)), 0.0), [x, y], lambda x, y: y, lambda x, y: x * x),
        LINE,
        LINE,
    )
    for y in (-np.ones(2), np.ones(2)):
        check_derivatives(function, np.array([1.0, 2.0]), y)


def test_callback_is_refused_where_it_would_move():
    function = build(lambda x: op("callback", x, function=np.sin, types=(array((N,)),)), LINE)
    with pytest.raises(UnsupportedError, match="custom_jvp"):
        jvp(function, (True,))
    assert len(jvp(function, (False,))[0].eqns) == 1


def test_names_sizes_and_aliases_are_kept():
    function = build(lambda x, y: [x * y], GRID, GRID, name="f")
    function.aliases[0] = 1
    pushed = jvp_function(function, (True, True))
    assert pushed.aliases == {0: 1} and pushed.name == "jvp_f"


def test_single_precision_stays_single():
    function = build(lambda x: op("sin", x) * 0.5, array((N,), "f32"))
    assert [str(r.type) for r in jvp_function(function, (True,)).results] == ["f32[n]", "f32[n]"]
