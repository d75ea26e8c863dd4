"""Shape, index, reduction and contraction operations: references, loads and type rules."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.transforms.helpers import K, M, N, array, build, i64, op
from tracejit.errors import VerifyError
from tracejit.ir.builder import Builder
from tracejit.ir.core import Function, Literal
from tracejit.ir.interpreter import interpret
from tracejit.ir.ops.shape import reshape_groups
from tracejit.ir.primitive import PRIMITIVES
from tracejit.ir.types import scalar

FLOAT = np.dtype(float)


def loaded(function: Function) -> Function:
    """From the function of one operation, the function of (params, index) to the element there, by the op's load."""
    (eqn,) = function.eqns
    with Builder() as builder:
        params = [builder.param(p.type) for p in function.params]
        environment = dict(zip(function.params, params, strict=True))
        index = [builder.param(scalar("i64")) for _ in eqn.results[0].dims]
        loader = eqn.op.load(eqn, tuple(index))
        try:
            operand, at = next(loader)
            while True:
                x = environment.get(operand, operand)
                assert len(at) == x.rank
                value = op("gather", x, *at, axes=tuple(range(x.rank))) if at else x
                operand, at = loader.send(value)
        except StopIteration as stop:
            return builder.finish([stop.value])


def check_load(make, types, *args):
    function = build(make, *types)
    (expected,) = interpret(function, *args)
    element = loaded(function)
    for index in itertools.product(*map(range, expected.shape)):
        (got,) = interpret(element, *args, *map(np.int64, index))
        assert got == expected[index], index
    return element


X = np.arange(12.0).reshape(3, 4)


@pytest.mark.parametrize(
    ("make", "types", "args"),
    [
        (lambda x: op("broadcast", x, dims=(2, N, 5, M), axes=(1, 3)), [array((N, M))], [X]),
        (lambda x: op("broadcast", x, dims=(3, 4), axes=(0, 1)), [array((3, 1))], [X[:, :1]]),
        (lambda x: op("reshape", x, dims=(M, N)), [array((N, M))], [X]),
        (lambda x: op("reshape", x, dims=(1, N * M, 1)), [array((N, M))], [X]),
        (lambda x: op("reshape", x, dims=(N, 2, 1, 2)), [array((N, 4))], [X]),
        (lambda x: op("reshape", x, dims=()), [array((1, 1))], [X[:1, :1]]),
        (lambda x: op("reshape", x, dims=(1, 1)), [array(())], [np.float64(3)]),
        (lambda x: op("transpose", x, perm=(2, 0, 1)), [array((N, M, 2))], [np.arange(24.0).reshape(3, 4, 2)]),
        (lambda x: op("slice", x, starts=(N - 1, 1), sizes=(N, 2), steps=(-1, 2)), [array((N, M))], [X]),
        (lambda x: op("slice", x, starts=(1, 2), sizes=(3, 2), steps=(0, -2)), [array((N, M))], [X]),
        (lambda x, y: op("concatenate", x, y, x, axis=1), [array((N, M)), array((N, 1))], [X, X[:, :1]]),
        (lambda x, y: op("concatenate", y, x, axis=0), [array((N, M)), array((0, M))], [X, X[:0]]),
        (lambda x, i: op("gather", x, i, i, axes=(1, 0)), [array((N, M)), array((K,), "i64")], [X, np.array([2, 0])]),
        (lambda x, i: op("gather", x, i, axes=(1,)), [array((N, M)), array((), "i64")], [X, np.int64(3)]),
    ],
)
def test_loads(make, types, args):
    check_load(make, types, *args)


def test_loads_without_operands():
    for dtype in (np.dtype(np.int64), FLOAT, np.dtype(np.int8)):
        check_load(lambda dtype=dtype: op("iota", dtype=dtype, dims=(3, 4), axis=1), [])
    check_load(lambda x: op("broadcast", x, dims=(2,), axes=()), [array(())], np.float64(2))


def test_loads_emit_nothing_useless():
    element = check_load(lambda x: op("reshape", x, dims=(N, 1, M)), [array((N, M))], X)
    assert [e.op.name for e in element.eqns] == ["gather"]
    ones = dict(starts=(0, 0), sizes=(N, M), steps=(1, 1))
    element = check_load(lambda x: op("slice", x, **ones), [array((N, M))], X)
    assert [e.op.name for e in element.eqns] == ["gather"]
    element = check_load(lambda x: op("slice", x, starts=(1,), sizes=(2,), steps=(1,)), [array((3,))], X[:, 0])
    assert [e.op.name for e in element.eqns] == ["add", "gather"]


shapes = st.lists(st.integers(1, 4), max_size=4)


@settings(max_examples=80, deadline=None)
@given(shapes, st.randoms(use_true_random=False))
def test_reshape_loads_between_random_shapes(source, random):
    rest = int(np.prod(source, dtype=int))
    target = []
    while rest > 1:
        factor = random.choice([f for f in range(1, rest + 1) if rest % f == 0])
        target.append(factor)
        rest //= factor
    x = np.arange(float(np.prod(source, dtype=int))).reshape(source)
    check_load(lambda x: op("reshape", x, dims=tuple(target)), [array(tuple(source))], x)


def test_reshape_groups_of_symbolic_sizes():
    assert reshape_groups((N, M, 3), (N * M, 3)) == [([0, 1], [0]), ([2], [1])]
    assert reshape_groups((N, 6, K), (N, 2, 3, K)) == [([0], [0]), ([1], [1, 2]), ([2], [3])]
    assert reshape_groups((N, M), (M, N)) == [([0, 1], [0, 1])]
    assert reshape_groups((1, N), (N, 1)) == [([1], [0])]


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_dot_against_einsum(data):
    letters = "abcdefg"
    sizes = {letter: data.draw(st.integers(0, 3)) for letter in letters}
    both = data.draw(st.lists(st.sampled_from("abcd"), unique=True, max_size=3))
    left = data.draw(st.permutations([*both, *"e"[: data.draw(st.integers(0, 1))]]))
    right = data.draw(st.permutations([*both, *"fg"[: data.draw(st.integers(0, 2))]]))
    batch = both[: data.draw(st.integers(0, len(both)))]
    contract = [letter for letter in both if letter not in batch]
    rng = np.random.default_rng(0)
    x = rng.standard_normal([sizes[letter] for letter in left])
    y = rng.standard_normal([sizes[letter] for letter in right])
    pairs = [
        (tuple(left.index(p) for p in letters), tuple(right.index(p) for p in letters)) for letters in (contract, batch)
    ]
    got = PRIMITIVES["dot"].reference(x, y, contract=pairs[0], batch=pairs[1])
    out = "".join(batch + [p for p in left if p not in both] + [p for p in right if p not in both])
    expected = np.einsum(f"{''.join(left)},{''.join(right)}->{out}", x, y)
    np.testing.assert_allclose(got, expected, atol=1e-12)
    assert PRIMITIVES["dot"].infer(array(x.shape), array(y.shape), contract=pairs[0], batch=pairs[1]).dims == got.shape


def test_reductions_keep_the_dtype():
    for name in ("reduce_sum", "reduce_prod", "reduce_max", "reduce_min"):
        for dtype in (np.int8, np.float16, np.complex64):
            if dtype is np.complex64 and name in ("reduce_max", "reduce_min"):
                continue
            got = PRIMITIVES[name].reference(np.ones((2, 3), dtype), axes=(0,))
            assert got.dtype == dtype and got.shape == (3,)


def test_last_write_wins():
    (got,) = interpret(
        build(lambda x, v, i: op("scatter", x, v, i, axes=(0,)), array((N,)), array((K,)), array((K,), "i64")),
        np.zeros(3),
        np.array([1.0, 2.0, 3.0]),
        np.array([1, 1, 0]),
    )
    np.testing.assert_array_equal(got, [3, 2, 0])


@pytest.mark.parametrize(
    "make",
    [
        lambda x: op("broadcast", x, dims=(N, M, 2), axes=(1, 0)),
        lambda x: op("broadcast", x, dims=(M, N), axes=(0, 1)),
        lambda x: op("reshape", op("slice", x, **ROW), dims=(7,)),
        lambda x: op("transpose", x, perm=(0, 0)),
        lambda x: op("slice", op("slice", x, **ROW), starts=(0, 0), sizes=(1, 4), steps=(1, 1)),
        lambda x: op("update_slice", x, x, starts=(0, 0), steps=(0, 1)),
        lambda x: op("concatenate", x, op("transpose", x, perm=(1, 0)), axis=0),
        lambda x: op("reduce_sum", x, axes=(0, 0)),
        lambda x: op("reduce_any", x, axes=(0,)),
        lambda x: op("dot", x, x, contract=((1,), (0,)), batch=((), ())),
        lambda x: op("gather", x, Literal(1.0), axes=(0,)),
        lambda x: op("scatter", x, x, i64(0), axes=(0,)),
        lambda x: op("cumsum", x, axis=2),
        lambda x: op("argmax", x, axis=2),
        lambda x: op("iota", dtype=FLOAT, dims=(), axis=0),
        lambda x: op("constant", dtype=FLOAT, dims=(2,), data=b"12345678"),
    ],
)
def test_type_rules(make):
    with pytest.raises(VerifyError):
        build(make, array((N, M)))


ROW = dict(starts=(0, 0), sizes=(1, 3), steps=(1, 1))
