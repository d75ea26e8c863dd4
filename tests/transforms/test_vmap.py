"""Batching: every program, for every choice of batched params, against a loop over the examples."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tests.transforms.cases import CASES, LINE, at, draw, total
from tests.transforms.helpers import K, N, array, build, cond, fori, i64, op, symbol, while_loop
from tracejit.errors import UnsupportedError
from tracejit.ir.core import walk
from tracejit.ir.interpreter import interpret
from tracejit.ir.verifier import verify
from tracejit.transforms import vmap, vmap_function

B = symbol("b")


def stacked(value, size, rng):
    """Examples: floats that differ, indices permuted."""
    value = np.asarray(value)
    if value.dtype.kind in "iu":
        return np.stack(
            [value if k == 0 else rng.permutation(value) if value.ndim else value - k % 2 for k in range(size)]
        )
    return np.stack([value * (1 + 0.1 * k) for k in range(size)])


def check(function, batched, args, *, size=3):
    rng = np.random.default_rng(3)
    given = [stacked(a, size, rng) if b else np.asarray(a) for a, b in zip(args, batched, strict=True)]
    mapped = verify(vmap_function(function, batched, B))
    got = interpret(mapped, *given)
    rows = [interpret(function, *[g[k] if b else g for g, b in zip(given, batched, strict=True)]) for k in range(size)]
    assert len(got) == len(function.results)
    for position, result in enumerate(got):
        expected = np.stack([row[position] for row in rows])
        assert np.asarray(result).dtype == expected.dtype
        np.testing.assert_allclose(result, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_against_a_loop(name):
    function, args = CASES[name]
    for batched in itertools.product([False, True], repeat=len(args)):
        if any(batched):
            check(function, batched, args)


def test_mask_and_unbatched_results():
    function = build(lambda x, y: [x * y, y + y], LINE, LINE)
    mapped, mask = vmap(function, (True, False), B)
    assert mask == (True, False)
    assert [str(r.type) for r in mapped.results] == ["f64[b, n]", "f64[n]"]


def test_a_fixed_size_and_a_symbol_of_the_program():
    function = build(lambda x: total(x), LINE)
    assert str(vmap_function(function, (True,), 5).results[0].type) == "f64[5]"
    assert str(vmap_function(function, (True,), N).results[0].type) == "f64[n]"


def test_a_scalar_of_each_example_beside_an_array():
    function = build(lambda s, x: s * x, array(), LINE)
    for batched in ((True, False), (False, True), (True, True)):
        check(function, batched, (2.0, draw(3)))


@pytest.mark.parametrize("value", [-1.0, 1.0])
def test_batched_predicate(value):
    function = build(lambda s, x: cond(s < 1.05, [x], lambda x: x * x, lambda x: op("exp", x)), array(), LINE)
    check(function, (True, False), (value, draw(3)))
    check(function, (True, True), (value, draw(3)))
    assert "fori_loop" not in [e.op.name for e in vmap_function(function, (True, False), B).eqns]


def test_batched_predicate_before_what_may_fail():
    # Out of range in the branch that is not taken: it must not run.
    def make(i, x):
        inside = op("lt", i, 3)
        return cond(inside, [i, x], lambda i, x: at(x, op("wrap_index", i, i64(3))), lambda i, x: at(x, i64(0)))

    function = build(make, array((), "i64"), array((3,)))
    mapped = vmap_function(function, (True, False), B)
    (got,) = interpret(mapped, np.array([0, 2, 7]), np.array([10.0, 11.0, 12.0]))
    np.testing.assert_array_equal(got, [10, 12, 10])


def test_each_example_has_its_own_number_of_iterations():
    function = build(lambda n, x: fori(i64(0), n, [x], [], lambda i, x: x * 2.0), array((), "i64"), LINE)
    mapped = vmap_function(function, (True, False), B)
    (got,) = interpret(mapped, np.array([0, 1, 5]), np.ones(2))
    np.testing.assert_array_equal(got, [[1, 1], [2, 2], [32, 32]])
    function = build(lambda x: while_loop([x], [], lambda x: x < 10.0, lambda x: x * 2.0), array())
    (got,) = interpret(vmap_function(function, (True,), B), np.array([1.0, 3.0, 20.0]))
    np.testing.assert_array_equal(got, [16, 12, 20])


def test_loops_that_do_not_depend_on_the_batch_are_not_repeated():
    function = build(
        lambda x, y: while_loop([y, x], [], lambda y, x: y < 10.0, lambda y, x: [y * 2.0, x + y]), LINE, array()
    )
    mapped = vmap_function(function, (True, False), B)
    assert [e.op.name for e in mapped.eqns if e.regions] == ["while_loop"]
    assert str(mapped.eqns[0].results[0].type) == "f64[]"
    check(function, (True, False), (draw(3), 1.0))


def test_operations_without_a_rule_run_in_a_loop():
    function = build(lambda x: op("callback", x, function=np.sort, types=(array((N,)),)), LINE)
    check(function, (True,), (draw(4),))


def test_twice():
    function = build(lambda x, i: op("gather", x, i, axes=(0,)), LINE, array((K,), "i64"))
    inner = vmap_function(function, (True, False), B)
    both = vmap_function(inner, (False, True), symbol("c"))
    x, i = draw(3, 4), np.array([[0, 1], [3, 2]])
    (got,) = interpret(both, x, i)
    np.testing.assert_array_equal(got, np.stack([x[:, row] for row in i]))


def test_empty_batch():
    function, (x, c) = CASES["loop"]
    (got,) = interpret(vmap_function(function, (True, False), B), np.zeros((0, *x.shape)), c)
    assert got.shape == (0, *x.shape)


def test_every_example_of_a_program_of_any_depth():
    def make(x):
        for _ in range(5_000):
            x = op("sin", x)
        return x

    assert len(list(walk(vmap_function(build(make, LINE), (True,), B)))) == 5_000


def test_an_argument_changed_in_place_must_be_batched():
    function = build(lambda x, y: [x * y], LINE, LINE)
    function.aliases[0] = 0
    assert vmap_function(function, (True, True), B).aliases == {0: 0}
    with pytest.raises(UnsupportedError, match="in place"):
        vmap_function(function, (False, True), B)
