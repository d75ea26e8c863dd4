"""Control flow over whole arrays as loops over memory: state in place, loops that run no time, branches."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tracejit.ir.builder import Builder, current_builder
from tracejit.ir.core import Function, Literal, walk
from tracejit.ir.dims import evaluate, symbol
from tracejit.ir.interpreter import interpret
from tracejit.ir.ops import PRIMITIVES as P
from tracejit.ir.types import ArrayType, scalar
from tracejit.ir.verifier import verify
from tracejit.lowering import lower
from tracejit.runtime import memory
from tracejit.runtime.compile import CompileOptions, compile_kernel

n = symbol("n")
VECTOR, NUMBER, COUNT = ArrayType(np.dtype("f8"), (n,)), scalar("f64"), scalar("i64")
KERNEL = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)


def region(types: Sequence[ArrayType], body: Any) -> Function:
    with Builder() as builder:
        results = body(*[builder.param(t) for t in types])
        return builder.finish(list(results) if isinstance(results, tuple) else [results])


def function(types: Sequence[ArrayType], body: Any, aliases: dict[int, int] | None = None) -> Function:
    with Builder() as builder:
        results = body(*[builder.param(t) for t in types])
        results = list(results) if isinstance(results, tuple) else [results]
        return builder.finish(results, name="f", aliases=aliases)


def emit(name: str, operands: Sequence[Any], attrs: dict[str, Any], *regions: Function) -> tuple[Any, ...]:
    return current_builder().emit(P[name], tuple(operands), attrs, regions)


def native(program: Function, arrays: list[Any], sizes: dict[str, int]) -> list[Any]:
    kernel = compile_kernel(program, sizes, CompileOptions(exact=True))
    fresh = [
        np.zeros(tuple(evaluate(d, sizes) for d in r.dims), r.dtype)
        for position, r in enumerate(program.results)
        if position not in program.aliases
    ]
    memories = [*arrays, *fresh]
    data = (ctypes.c_void_p * len(memories))(*[a.ctypes.data for a in memories])
    values = (ctypes.c_int64 * len(sizes))(*[sizes[name] for name in program.symbols()])
    address, context = memory.new_context()
    assert KERNEL(kernel.address)(ctypes.addressof(data), ctypes.addressof(values), address) == 0
    del context
    return fresh


def check(program: Function, *arguments: Any) -> Function:
    expected = interpret(program, *[np.array(a) for a in arguments])
    loops = lower(program)
    verify(loops)
    for run in ("interpreted", "native"):
        given = [np.array(a) for a in arguments]
        if run == "native":
            fresh = iter(native(program, given, {"n": arguments[0].shape[0]}))
        else:
            fresh = iter(interpret(loops, *given))
        for position, wanted in enumerate(expected):
            got = given[program.aliases[position]] if position in program.aliases else next(fresh)
            np.testing.assert_allclose(got, wanted, rtol=1e-12, err_msg=run)
    return loops


X = np.linspace(0.5, 2.0, 7)


@pytest.mark.parametrize("trips", [0, 1, 5])
def test_loop_with_array_and_number_as_state(trips: int) -> None:
    body = region(
        [COUNT, VECTOR, NUMBER, VECTOR],
        lambda i, x, s, c: (P["sin"](x) + c * P["cast"](i, dtype=np.dtype("f8")), s + P["reduce_sum"](x, axes=(0,))),
    )

    def program(x: Any, c: Any, trips: Any) -> Any:
        return emit("fori_loop", [Literal(0, COUNT), trips, x, Literal(0.5), c], {"carries": 2}, body)

    check(function([VECTOR, VECTOR, COUNT], program), X, X[::-1].copy(), np.int64(trips))


def test_state_that_changes_places() -> None:
    body = region([COUNT, VECTOR, VECTOR], lambda i, a, b: (b, P["neg"](a)))

    def program(a: Any, b: Any) -> Any:
        return emit("fori_loop", [Literal(0, COUNT), Literal(3, COUNT), a, b], {"carries": 2}, body)

    check(function([VECTOR, VECTOR], program), X, X * 10)


def test_prefix_sums_in_place_copy_nothing_in_the_loop() -> None:
    """``a[i] = a[i - 1] + a[i]`` (jax#40101: a copy of the whole array for every element)."""

    def step(i: Any, a: Any) -> Any:
        before = P["gather"](a, i - 1, axes=(0,))
        return P["scatter"](a, before + P["gather"](a, i, axes=(0,)), i, axes=(0,))

    body = region([COUNT, VECTOR], step)

    def program(a: Any) -> Any:
        return emit("fori_loop", [Literal(1, COUNT), P["dim"](dim=n), a], {"carries": 1}, body)

    loops = check(function([VECTOR], program, {0: 0}), X)
    assert not any(eqn.op.name == "alloc" for eqn in walk(loops))
    (outer,) = [eqn for eqn in loops.eqns if eqn.op.name == "for"]
    assert not any(eqn.op.name == "for" for eqn in walk(outer.regions[0]))


def test_while_until_small() -> None:
    condition = region([VECTOR, NUMBER], lambda x, s: P["gt"](P["reduce_sum"](x, axes=(0,)), s))
    body = region([VECTOR, NUMBER], lambda x, s: P["mul"](x, 0.5))

    def program(x: Any, s: Any) -> Any:
        return emit("while_loop", [x, s], {"carries": 1}, condition, body)

    check(function([VECTOR, NUMBER], program), X, np.float64(0.1))
    check(function([VECTOR, NUMBER], program), X, np.float64(1e9))


@pytest.mark.parametrize("value", [-1.0, 1.0])
def test_one_branch_runs(value: float) -> None:
    then = region([VECTOR, NUMBER], lambda x, s: (x * 2.0, s))
    otherwise = region([VECTOR, NUMBER], lambda x, s: (P["exp"](x), P["reduce_max"](x, axes=(0,))))

    def program(x: Any, s: Any) -> Any:
        return emit("cond", [P["lt"](s, 0.0), x, s], {}, then, otherwise)

    check(function([VECTOR, NUMBER], program), X, np.float64(value))


def test_loops_in_loops() -> None:
    inner = region([COUNT, VECTOR, VECTOR], lambda j, x, y: x * 0.5 + y)

    def step(i: Any, x: Any) -> Any:
        (made,) = emit("fori_loop", [Literal(0, COUNT), i, x, P["cos"](x)], {"carries": 1}, inner)
        return made - P["reduce_max"](made, axes=(0,))

    outer = region([COUNT, VECTOR], step)

    def program(x: Any) -> Any:
        (made,) = emit("fori_loop", [Literal(0, COUNT), Literal(4, COUNT), x], {"carries": 1}, outer)
        return made, x + made

    check(function([VECTOR], program), X)
