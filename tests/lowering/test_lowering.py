"""Loop nests against the array-level interpreter: the same values, and the memory and fusion that are expected."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from tracejit.ir.builder import Builder
from tracejit.ir.core import Function, walk
from tracejit.ir.dims import symbol
from tracejit.ir.interpreter import interpret
from tracejit.ir.ops import PRIMITIVES as P
from tracejit.ir.parser import parse
from tracejit.ir.types import ArrayType
from tracejit.ir.verifier import verify
from tracejit.lowering import lower

n, m, k = symbol("n"), symbol("m"), symbol("k")
MATRIX = ("f8", (n, m))
VECTOR = ("f8", (n,))


def build(types: Sequence[Any], body: Callable[..., Any], aliases: Mapping[int, int] | None = None) -> Function:
    with Builder() as builder:
        params = [builder.param(ArrayType(np.dtype(dtype), dims)) for dtype, dims in types]
        results = body(*params)
        results = list(results) if isinstance(results, (list, tuple)) else [results]
        return builder.finish(results, name="f", aliases=aliases)


def check(function: Function, *arguments: Any, hints: Mapping[str, int] | None = None) -> Function:
    """Lower, interpret the loops, and compare every result and every written argument."""
    expected = interpret(function, *[np.array(a) for a in arguments])
    loops = lower(function, hints)
    verify(loops)
    given = [np.array(a) for a in arguments]
    fresh = iter(interpret(loops, *given))
    for position, wanted in enumerate(expected):
        got = given[function.aliases[position]] if position in function.aliases else next(fresh)
        np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=1e-14)
    for index, array in enumerate(given):
        if index not in function.aliases.values():
            np.testing.assert_array_equal(array, arguments[index])
    return loops


def count(loops: Function, name: str) -> int:
    return sum(eqn.op.name == name for eqn in walk(loops))


def top_loops(loops: Function) -> int:
    return sum(eqn.op.name == "for" for eqn in loops.eqns)


def rows(x: Any, dims: Any = (n, m)) -> Any:
    return P["broadcast"](x, dims=dims, axes=(0,))


def softmax(x: Any) -> Any:
    e = P["exp"](x - rows(P["reduce_max"](x, axes=(1,))))
    return e / rows(P["reduce_sum"](e, axes=(1,)))


def matmul(x: Any, y: Any) -> Any:
    return P["dot"](x, y, contract=((1,), (0,)), batch=((), ()))


@pytest.fixture
def x() -> Any:
    return np.random.default_rng(0).normal(size=(5, 7))


def test_elementwise_is_one_flat_loop(x: Any) -> None:
    loops = check(build([MATRIX, MATRIX], lambda a, b: [a * 2 + b, a - b]), x, x)
    assert count(loops, "for") == 1
    assert count(loops, "load") == 2
    assert count(loops, "alloc") == 0


def test_softmax_is_one_nest_without_temporaries(x: Any) -> None:
    loops = check(build([MATRIX], softmax), x)
    assert top_loops(loops) == 1
    assert count(loops, "exp") == 1
    assert count(loops, "alloc") == 0


def test_layernorm_is_one_nest(x: Any) -> None:
    def layernorm(a: Any) -> Any:
        centred = a - rows(P["reduce_sum"](a, axes=(1,)) / 7.0)
        variance = P["reduce_sum"](centred * centred, axes=(1,)) / 7.0
        return centred / rows(P["sqrt"](variance + 1e-5))

    loops = check(build([MATRIX], layernorm), x)
    assert top_loops(loops) == 1
    assert count(loops, "alloc") == 0


def test_pairwise_distances_need_no_cube() -> None:
    def distances(a: Any) -> Any:
        dims = (n, n, k)
        d = P["broadcast"](a, dims=dims, axes=(0, 2)) - P["broadcast"](a, dims=dims, axes=(1, 2))
        return P["reduce_sum"](P["sqrt"](P["reduce_sum"](d * d, axes=(2,))), axes=(0, 1))

    points = np.random.default_rng(1).normal(size=(6, 3))
    loops = check(build([("f8", (n, k))], distances), points, hints={"k": 3, "n": 3000})
    assert count(loops, "alloc") == 2  # the partial sums of the rows, and the points by coordinate


def test_consumer_of_a_whole_reduction_is_not_in_its_loop(x: Any) -> None:
    """numba#9139: ``A / A.max()`` fused with its own reduction."""

    def normalise(a: Any) -> Any:
        return a / P["broadcast"](P["reduce_max"](a, axes=(0, 1)), dims=(n, m), axes=())

    check(build([MATRIX], normalise), x)


def test_broadcast_of_something_expensive_is_not_recomputed(x: Any) -> None:
    """numba#6387: ``sin`` of one row evaluated again for every row of the result."""

    def outer(a: Any, b: Any) -> Any:
        return a + P["broadcast"](P["sin"](b), dims=(n, m), axes=(1,))

    loops = check(build([MATRIX, ("f8", (m,))], outer), x, x[0])
    for loop in loops.eqns:
        if loop.op.name == "for" and any(e.op.name == "sin" for e in walk(loop.regions[0])):
            assert not any(e.op.name == "for" for e in walk(loop.regions[0]))


def test_every_way_to_reduce(x: Any) -> None:
    cube = np.random.default_rng(2).normal(size=(3, 4, 5))
    for axes in [(0,), (1,), (2,), (0, 1), (1, 2), (0, 2), (0, 1, 2)]:
        for name in ("reduce_sum", "reduce_max", "reduce_min", "reduce_prod"):
            check(build([("f8", (n, m, k))], lambda a, name=name, axes=axes: P[name](a * 2, axes=axes)), cube)
    for axis in range(3):
        check(build([("f8", (n, m, k))], lambda a, axis=axis: P["argmax"](a, axis=axis)), cube)
        check(build([("f8", (n, m, k))], lambda a, axis=axis: P["cumsum"](a, axis=axis)), cube)


def test_argument_updated_in_place_has_no_copy(x: Any) -> None:
    loops = check(build([VECTOR, VECTOR], lambda w, g: w - g * 0.1, {0: 0}), x[0], x[1])
    assert count(loops, "alloc") == 0
    assert count(loops, "for") == 1


def test_argument_read_after_its_update_keeps_the_old_value(x: Any) -> None:
    def step(w: Any, g: Any) -> Any:
        new = w - g
        return new, P["reduce_sum"](w * new, axes=(0,)), P["slice"](w, starts=(n - 1,), sizes=(n,), steps=(-1,))

    check(build([VECTOR, VECTOR], step, {0: 0}), x[0], x[1])


def test_swapped_arguments(x: Any) -> None:
    check(build([VECTOR, VECTOR], lambda a, b: (b, a), {0: 0, 1: 1}), x[0], x[1])


def test_shift_by_one_reads_what_was_there_before(x: Any) -> None:
    """openxla/xla#49176: ``a[1:] = a[:-1]`` read its own output."""

    def shift(a: Any) -> Any:
        front = P["slice"](a, starts=(0,), sizes=(n - 1,), steps=(1,))
        return P["update_slice"](a, front, starts=(1,), steps=(1,))

    check(build([VECTOR], shift, {0: 0}), x[0])


def test_update_of_the_same_elements_is_in_place(x: Any) -> None:
    def double_inside(a: Any) -> Any:
        inside = P["slice"](a, starts=(1,), sizes=(n - 2,), steps=(1,))
        return P["update_slice"](a, inside * 2, starts=(1,), steps=(1,))

    loops = check(build([VECTOR], double_inside, {0: 0}), x[0])
    assert count(loops, "alloc") == 0


def test_filled_local_array_is_not_copied(x: Any) -> None:
    def fill(a: Any) -> Any:
        zeros = P["broadcast"](P["sub"](1.0, 1.0), dims=(n,), axes=())
        first = P["update_slice"](zeros, P["slice"](a, starts=(0,), sizes=(2,), steps=(1,)), starts=(1,), steps=(1,))
        return P["update_slice"](first, P["slice"](a, starts=(1,), sizes=(2,), steps=(1,)), starts=(2,), steps=(1,))

    loops = check(build([VECTOR], fill), x[0])
    assert count(loops, "alloc") == 0


def test_matrix_products_in_every_orientation(x: Any) -> None:
    w = np.random.default_rng(3).normal(size=(7, 4))
    turn = P["transpose"]
    check(build([MATRIX, ("f8", (m, k))], lambda a, b: P["tanh"](matmul(a, b))), x, w)
    check(build([MATRIX, ("f8", (m, k))], lambda a, b: matmul(turn(b, perm=(1, 0)), turn(a, perm=(1, 0)))), x, w)
    check(build([MATRIX, ("f8", (n, k))], lambda a, b: matmul(turn(a, perm=(1, 0)), b)), x, np.ones((5, 4)))
    check(build([MATRIX, ("f8", (k, m))], lambda a, b: matmul(a, turn(b, perm=(1, 0)))), x, w.T)
    cube = np.random.default_rng(4).normal(size=(2, 5, 7))
    attrs = {"contract": ((2,), (1,)), "batch": ((0,), (0,))}
    check(build([("f8", (2, n, m)), ("f8", (2, m, k))], lambda a, b: P["dot"](a, b, **attrs)), cube, np.stack([w, w]))
    check(build([VECTOR, VECTOR], lambda a, b: P["dot"](a, b, contract=((0,), (0,)), batch=((), ()))), x[0], x[1])
    check(build([VECTOR, VECTOR], lambda a, b: P["dot"](a, b, contract=((), ()), batch=((), ()))), x[0], x[1])
    check(build([MATRIX, ("f8", (m,))], lambda a, b: P["dot"](a, b, contract=((1,), (0,)), batch=((), ()))), x, x[0])


def test_activation_after_a_product_needs_no_second_array(x: Any) -> None:
    loops = check(build([MATRIX, ("f8", (m, k))], lambda a, b: P["tanh"](matmul(a, b))), x, np.ones((7, 4)))
    assert count(loops, "alloc") == 0


def test_integer_products_are_loops() -> None:
    a, b = np.arange(6).reshape(2, 3), np.arange(12).reshape(3, 4)
    loops = check(build([("i8", (n, m)), ("i8", (m, k))], matmul), a, b)
    assert count(loops, "gemm") == 0


def test_gather_and_scatter(x: Any) -> None:
    index = np.array([3, 0, 3])

    def body(a: Any, i: Any) -> Any:
        taken = P["gather"](a, i, axes=(0,))
        return taken, P["scatter_add"](a, taken, i, axes=(0,)), P["scatter"](a, taken * 2, i, axes=(0,))

    check(build([MATRIX, ("i8", (k,))], body), x, index)


def test_concatenate_and_reshape(x: Any) -> None:
    check(build([MATRIX, MATRIX], lambda a, b: P["concatenate"](a, P["exp"](b), axis=1)), x, x)
    check(build([MATRIX], lambda a: P["reshape"](P["transpose"](a, perm=(1, 0)), dims=(n * m,))), x)


def test_twenty_thousand_operations() -> None:
    def chain(a: Any) -> Any:
        for _ in range(10_000):
            a = a * 1.0001 + 0.25
        return a

    check(build([VECTOR], chain), np.arange(3.0))


def test_short_reductions_inside_long_loops_read_contiguous_memory() -> None:
    def nearest(a: Any) -> Any:
        dims = (n, n, k)
        d = P["broadcast"](a, dims=dims, axes=(0, 2)) - P["broadcast"](a, dims=dims, axes=(1, 2))
        return P["reduce_min"](P["reduce_sum"](d * d, axes=(2,)), axes=(1,))

    points = np.random.default_rng(1).normal(size=(6, 3))
    loops = check(build([("f8", (n, k))], nearest), points, hints={"k": 3, "n": 3000})
    assert count(loops, "alloc") == 1  # the points by coordinate


def test_without_threads_no_loop_is_parallel(x: Any) -> None:
    function = build([MATRIX], softmax)
    kinds = {eqn.attrs["kind"] for eqn in walk(lower(function, parallel=False)) if eqn.op.name == "for"}
    assert kinds == {"serial", "reduce", "vector"}
    (expected,) = interpret(function, x)
    np.testing.assert_allclose(interpret(lower(function, parallel=False), x)[0], expected)


def test_memory_of_a_result_is_not_reused_while_what_was_lent_it_is_read(x: Any) -> None:
    """The product lives in the result's memory; the exponentials of the row may not replace it there."""

    def rows_of_product(a: Any, b: Any) -> Any:
        u = matmul(a, b)
        e = P["exp"](u - rows(P["reduce_max"](u, axes=(1,)), (n, k)))
        return e / rows(P["reduce_sum"](e, axes=(1,)), (n, k)) + u * 0.5

    check(build([MATRIX, ("f8", (m, k))], rows_of_product), x, np.random.default_rng(0).normal(size=(7, 4)))


def test_two_values_of_one_phase_are_not_both_lent_the_memory_of_a_result() -> None:
    """Both parts of the first product wait for the last phase, whose result's memory holds one of them."""
    function = parse("""
        func @f(%0: c128[2, n, n], %1: c128[2, n, n], %2: c128[2, n, n], %3: c128[2, n, n]) -> (c128[2, n, n]) {
          %4: c128[2, n, n] = transpose %1 {perm=(0, 2, 1)}
          %5: c128[2, n, n] = transpose %0 {perm=(0, 2, 1)}
          %6: c128[2, n, n] = dot %5, %4 {batch=((0,), (0,)), contract=((2,), (1,))}
          %7: i64[2, n, n] = iota {axis=1, dims=(2, <n>, <n>), dtype=i64}
          %8: i64[2, n, n] = iota {axis=2, dims=(2, <n>, <n>), dtype=i64}
          %9: bool[2, n, n] = gt %7, %8
          %10: c128[2, n, n] = select %9, %6, c128(0.0, 0.0)
          %11: c128[2, n, n] = transpose %10 {perm=(0, 2, 1)}
          %12: c128[2, n, n] = sub %10, %11
          %13: bool[2, n, n] = eq %7, %8
          %14: c128[2, n, n] = select %13, %6, c128(0.0, 0.0)
          %15: f64[2, n, n] = real %14
          %16: c128[2, n, n] = cast %15 {dtype=c128}
          %17: c128[2, n, n] = sub %14, %16
          %18: c128[2, n, n] = add %12, %17
          %19: c128[2, n, n] = dot %5, %2 {batch=((0,), (0,)), contract=((2,), (1,))}
          %20: c128[2, n, n] = dot %18, %3 {batch=((0,), (0,)), contract=((2,), (1,))}
          %21: c128[2, n, n] = sub %19, %20
          return %21
        }
    """)
    random = np.random.default_rng(0)
    matrices = [random.normal(size=(2, 3, 3)) + 1j * random.normal(size=(2, 3, 3)) for _ in range(4)]
    check(function, *matrices, hints={"n": 3})
