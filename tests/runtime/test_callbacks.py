"""Machine code that calls Python: what the functions get, in which order, and what happens when they raise."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from tracejit.ir.builder import Builder, current_builder
from tracejit.ir.core import Function, Operand
from tracejit.ir.dims import symbol
from tracejit.ir.interpreter import interpret
from tracejit.ir.ops import PRIMITIVES
from tracejit.ir.ops.callbacks import callbacks_of
from tracejit.ir.printer import fingerprint
from tracejit.ir.types import ArrayType, scalar
from tracejit.lowering import lower
from tracejit.passes import optimise
from tracejit.runtime import callbacks, compile, memory, wrapper
from tracejit.runtime.program import ArgumentSpec, Program, ResultSpec

N = symbol("n")
LINE = ArrayType(np.dtype("f8"), (N,))
I64 = scalar("i64")


def emit(name: str, *operands: Operand, regions: Sequence[Function] = (), **attrs: Any) -> tuple[Operand, ...]:
    return current_builder().emit(PRIMITIVES[name], operands, attrs, tuple(regions))


def build(make: Callable[..., Sequence[Operand]], *types: ArrayType, aliases: dict[int, int] | None = None) -> Function:
    with Builder() as builder:
        params = [builder.param(t) for t in types]
        return builder.finish(list(make(*params)), name="program", aliases=aliases)


def native(function: Function) -> Callable[..., list[Any]]:
    """The function as machine code; written params change in place."""
    kernel = compile.compile_kernel(function, {"n": 5}, compile.CompileOptions())
    written = set(function.aliases.values())
    specs = [ArgumentSpec("array", p.dtype, p.rank, written=k in written) for k, p in enumerate(function.params)]
    results = [
        ResultSpec("array", r.dtype, r.dims) for k, r in enumerate(function.results) if k not in function.aliases
    ]
    program = Program(
        "program", tuple(specs), tuple(p.dims for p in function.params), (("n", ("dim", 0, 0)),), tuple(results),
        result_tree="list", messages=kernel.messages, address=kernel.address, keepalive=kernel,
        callbacks=kernel.callbacks,
    )  # fmt: skip
    return lambda *values: wrapper.call(program, values)


def fori(count: int, carries: Sequence[Operand], make: Callable[..., Sequence[Operand]]) -> tuple[Operand, ...]:
    with Builder() as builder:
        index = builder.param(I64)
        params = [builder.param(c.type) for c in carries]
        region = builder.finish(list(make(index, *params)))
    bounds = (PRIMITIVES["dim"](dim=0), PRIMITIVES["dim"](dim=count))
    return emit("fori_loop", *bounds, *carries, carries=len(carries), regions=(region,))


def both(function: Function, *values: Any) -> list[Any]:
    """What machine code gives, which must be what the interpreter gives at both levels, with the same calls."""
    calls.clear()
    expected = interpret(function, *[v.copy() for v in values])
    order = list(calls)
    calls.clear()
    interpret(lower(optimise(function)), *[v.copy() for v in values])
    assert calls == order
    calls.clear()
    found = native(function)(*values)
    assert calls == order
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other, strict=True)
    return found


calls: list[Any] = []


def note(*arrays: np.ndarray) -> tuple[()]:
    calls.append([a.tolist() for a in arrays])
    return ()


def descending(x: np.ndarray) -> np.ndarray:
    calls.append("descending")
    return np.sort(x)[::-1]  # not contiguous


def split(x: np.ndarray, k: np.ndarray) -> tuple[Any, Any]:
    calls.append(("split", k.tolist()))
    return x[::2].sum(), np.outer(x, x).astype(np.complex64)


X = np.array([3.0, -1.0, 2.0, 0.5])


def test_operands_and_results_of_all_ranks() -> None:
    def make(x: Operand) -> Sequence[Operand]:
        (ordered,) = emit("callback", emit("mul", x, x)[0], function=descending, types=(LINE,))
        two = PRIMITIVES["dim"](dim=2)
        total, table = emit(
            "callback", ordered, two, function=split,
            types=(scalar("f64"), ArrayType(np.dtype("c8"), (N, N))),
        )  # fmt: skip
        return [emit("add", ordered, total)[0], total, table]

    both(build(make, LINE), X)


@pytest.mark.parametrize("dtype", ["?", "i1", "u2", "i4", "u8", "f2", "f4", "c8", "c16"])
def test_every_dtype_passes_through(dtype: str) -> None:
    type = ArrayType(np.dtype(dtype), (N,))
    function = build(lambda x: emit("callback", x, function=lambda x: x[::-1], types=(type,)), type)
    for size in (0, 1, 5):
        x = np.arange(size).astype(dtype)
        (y,) = native(function)(x)
        np.testing.assert_array_equal(y, x[::-1], strict=True)


def test_effects_happen_each_iteration_and_in_order() -> None:
    def body(i: Operand, x: Operand) -> Sequence[Operand]:
        emit("callback", i, function=note, types=())
        y = emit("add", x, emit("cast", i, dtype=x.type.dtype)[0])[0]
        emit("callback", y, function=note, types=())
        return [y]

    def make(x: Operand) -> Sequence[Operand]:
        emit("callback", x, function=note, types=())
        (y,) = fori(3, [x], body)
        emit("callback", y, function=note, types=())
        return [y]

    both(build(make, LINE), X)
    assert len(calls) == 8


def test_a_loop_without_results_is_kept_for_its_effects() -> None:
    def body(i: Operand) -> Sequence[Operand]:
        emit("callback", i, function=note, types=())
        return []

    def make(x: Operand) -> Sequence[Operand]:
        fori(4, [], body)
        return [x]

    both(build(make, LINE), X)
    assert calls == [[0], [1], [2], [3]]


def test_effects_in_the_branch_that_is_taken() -> None:
    def side(number: int) -> Function:
        with Builder() as builder:
            x = builder.param(LINE)
            emit("callback", x, PRIMITIVES["dim"](dim=number), function=note, types=())
            return builder.finish([x])

    def make(x: Operand) -> Sequence[Operand]:
        positive = emit("gt", emit("reduce_sum", x, axes=(0,))[0], emit("reduce_min", x, axes=(0,))[0])[0]
        return emit("cond", positive, x, regions=(side(1), side(2)))

    both(build(make, LINE), X)
    assert calls == [[X.tolist(), 1]]
    both(build(make, LINE), X[:1])
    assert calls == [[[3.0], 2]]


def test_effects_are_not_merged_and_pure_calls_are() -> None:
    def make(name: str) -> Callable[[Operand], Sequence[Operand]]:
        def program(x: Operand) -> Sequence[Operand]:
            (a,) = emit(name, x, function=descending, types=(LINE,))
            (b,) = emit(name, x, function=descending, types=(LINE,))
            emit(name, a, function=descending, types=(LINE,))
            return [emit("add", a, b)[0]]

        return program

    both(build(make("callback"), LINE), X)
    assert calls == ["descending"] * 3
    both(build(make("pure_callback"), LINE), X)
    assert calls == ["descending"]


class Refused(ValueError):
    pass


def refuse(x: np.ndarray) -> np.ndarray:
    if x[0] > 5:
        raise Refused(f"no {x[0]}")
    return x


def looping(x: Operand) -> Sequence[Operand]:
    def body(i: Operand, x: Operand) -> Sequence[Operand]:
        (y,) = emit("callback", emit("add", x, x)[0], function=refuse, types=(LINE,))
        return [y]

    return fori(4, [x], body)


def test_exceptions_come_out_as_they_are_and_nothing_is_left_behind() -> None:
    function = native(build(looping, LINE))
    for _ in range(3):
        with pytest.raises(Refused, match=r"no 6\.0"):
            function(X)
        assert callbacks._raised.error is None
        np.testing.assert_array_equal(function(X / 100)[0], X / 100 * 16)


def test_a_call_that_fails_has_changed_none_of_the_callers_arrays() -> None:
    def make(x: Operand) -> Sequence[Operand]:
        y = emit("add", x, x)[0]
        (z,) = emit("callback", y, function=refuse, types=(LINE,))
        return [emit("add", z, z)[0]]

    function = native(build(make, LINE, aliases={0: 0}))
    x = X.copy()
    with pytest.raises(Refused):
        function(x)
    np.testing.assert_array_equal(x, X)
    x /= 10
    function(x)
    np.testing.assert_array_equal(x, X / 10 * 4)


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (lambda x: x.astype("f4"), r"gave float32\[4\] where f64\[4\] was announced"),
        (lambda x: x[1:], r"gave float64\[3\] where f64\[4\] was announced"),
        (lambda x: x[None], r"gave float64\[1, 4\] where f64\[4\] was announced"),
    ],
)
def test_results_must_be_as_announced(result: Callable[..., Any], text: str) -> None:
    function = native(build(lambda x: emit("callback", x, function=result, types=(LINE,)), LINE))
    with pytest.raises(TypeError, match=text):
        function(X)


def test_a_function_may_keep_and_change_what_it_gets() -> None:
    kept: list[np.ndarray] = []

    def keep(x: np.ndarray) -> np.ndarray:
        kept.append(x)
        x += 1
        return x

    function = native(build(lambda x: emit("callback", x, function=keep, types=(LINE,)), LINE))
    x = X.copy()
    first = function(x)[0]
    second = function(x * 2)[0]
    first += 100
    second += 100
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(kept, [X + 1, X * 2 + 1])


def test_callbacks_call_compiled_code_and_threads_do_not_meet() -> None:
    inner = native(build(looping, LINE))

    def nested(x: np.ndarray) -> np.ndarray:
        result: np.ndarray = inner(x)[0]
        return result + threading.get_ident() % 1000

    outer = native(build(lambda x: emit("callback", x, function=nested, types=(LINE,)), LINE))
    wrong: list[Any] = []

    def work(k: int) -> None:
        for n in range(200):
            x = np.full(4, (k + 1) / 100 if n % 3 else 50.0)
            try:
                found = outer(x)[0]
            except Refused:
                fine = n % 3 == 0
            else:
                fine = np.array_equal(found, x * 16 + threading.get_ident() % 1000)
            if not fine:
                wrong.append((k, n))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_code_from_the_cache_calls_the_functions_of_this_process() -> None:
    def program(factor: float) -> Function:
        def scale(x: np.ndarray) -> np.ndarray:
            return x * factor

        return build(lambda x: emit("callback", x, function=scale, types=(LINE,)), LINE)

    first, second = program(2.0), program(3.0)
    assert callbacks_of(first) != callbacks_of(second)
    assert fingerprint(first) == fingerprint(second)
    np.testing.assert_array_equal(native(first)(X)[0], X * 2)
    np.testing.assert_array_equal(native(second)(X)[0], X * 3)


def test_different_functions_are_told_apart_by_number() -> None:
    def program(*order: int) -> Function:
        functions = [np.negative, np.abs]

        def make(x: Operand) -> Sequence[Operand]:
            for k in order:
                (x,) = emit("callback", x, function=functions[k], types=(LINE,))
            return [x]

        return build(make, LINE)

    assert fingerprint(program(0, 1, 1)) != fingerprint(program(0, 1, 0))
    np.testing.assert_array_equal(native(program(0, 1, 1))(X)[0], np.abs(X))
    np.testing.assert_array_equal(native(program(0, 1, 0))(X)[0], -np.abs(X))


def test_contexts_of_other_programs_have_no_python() -> None:
    assert memory.new_context()[1].call_python is None
