"""Checks fail alike in the interpreter, in loops over memory and in machine code: which one, with which values."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from tracejit.ir.builder import Builder, current_builder
from tracejit.ir.core import Function, Literal
from tracejit.ir.dims import symbol
from tracejit.ir.interpreter import interpret
from tracejit.ir.ops import PRIMITIVES as P
from tracejit.ir.parser import parse
from tracejit.ir.types import ArrayType, scalar
from tracejit.ir.verifier import verify
from tracejit.lowering import lower
from tracejit.runtime import memory
from tracejit.runtime.compile import CompileOptions, compile_kernel
from tracejit.transforms import jvp_function, vjp_function, vmap_function

n = symbol("n")
VECTOR, FLOATS, COUNT = ArrayType(np.dtype("i8"), (n,)), ArrayType(np.dtype("f8"), (n,)), scalar("i64")
KERNEL = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)


def function(types: Sequence[ArrayType], body: Callable[..., Any], aliases: dict[int, int] | None = None) -> Function:
    with Builder() as builder:
        results = body(*[builder.param(t) for t in types])
        return verify(builder.finish(list(results), name="f", aliases=aliases))


def check(pred: Any, text: str, *values: Any, exception: str = "ValueError") -> None:
    P["check"](pred, *values, exception=exception, text=text)


def outcome(run: Callable[[], object]) -> tuple[str, str] | None:
    """The exception's name and text, or None."""
    try:
        with np.errstate(all="ignore"):
            run()
    except (ValueError, IndexError, ZeroDivisionError) as error:
        return type(error).__name__, str(error)
    return None


def native(program: Function, arrays: list[Any], size: int) -> tuple[str, str] | None:
    """What machine code raises; the arrays of aliased params are changed."""
    kernel = compile_kernel(program, {"n": size}, CompileOptions(exact=True))
    fresh = [np.zeros((size,) * r.rank, r.dtype) for k, r in enumerate(program.results) if k not in program.aliases]
    memories = [*arrays, *fresh]
    data = (ctypes.c_void_p * max(1, len(memories)))(*[a.ctypes.data for a in memories])
    values = (ctypes.c_int64 * 1)(size)
    address, context = memory.new_context()
    code = KERNEL(kernel.address)(ctypes.addressof(data), ctypes.addressof(values), address)
    if not code:
        return None
    message = kernel.messages[code - 1]
    return message.exception.__name__, message.text.format(*context.error_values)


def everywhere(program: Function, arrays: list[Any]) -> tuple[str, str] | None:
    """The outcome, which is the same for the program, its text read back, its loops and its machine code."""
    size = next(len(a) for a in arrays if a.ndim)
    expected = outcome(lambda: interpret(program, *[a.copy() for a in arrays]))
    assert outcome(lambda: interpret(parse(str(program)), *[a.copy() for a in arrays])) == expected
    loops = verify(lower(program, {"n": size}))
    assert outcome(lambda: interpret(loops, *[a.copy() for a in arrays])) == expected
    assert native(program, [a.copy() for a in arrays], size) == expected
    return expected


def total(x: Any) -> Any:
    return P["reduce_sum"](x, axes=tuple(range(x.rank)))


def test_a_check_reports_its_values() -> None:
    def body(x: Any, k: Any) -> list[Any]:
        check(P["lt"](total(x), k), 'sum {0} of "{3}" is not below {1}, {{2}} is {2}', total(x), k, 7, -8)
        return []

    program = function([VECTOR, COUNT], body)
    assert everywhere(program, [np.array([1, 2]), np.array(4)]) is None
    assert everywhere(program, [np.array([1, 2]), np.array(3)]) == (
        "ValueError",
        'sum 3 of "-8" is not below 3, {2} is 7',
    )


def test_the_first_of_several_checks_fails() -> None:
    def body(x: Any, k: Any) -> list[Any]:
        first = P["gather"](x, P["wrap_index"](k, P["dim"](dim=n)), axes=(0,))
        check(P["ne"](first, 0), "zero", exception="ZeroDivisionError")
        second = P["gather"](x, P["wrap_index"](P["add"](k, 1), P["dim"](dim=n)), axes=(0,))
        check(P["ne"](second, 0), "second zero")
        return [P["add"](first, second)]

    program = function([VECTOR, COUNT], body)
    cases: dict[int, Any] = {
        0: ("ZeroDivisionError", "zero"),
        1: ("ValueError", "second zero"),
        3: ("IndexError", "index 4 is out of bounds for axis 0 with size 4"),
        4: ("IndexError", "index 4 is out of bounds for axis 0 with size 4"),
    }
    for k, expected in cases.items():
        assert everywhere(program, [np.array([0, 5, 0, 3]), np.array(k)]) == expected


def test_a_failing_check_comes_before_what_is_written() -> None:
    def body(x: Any, k: Any) -> list[Any]:
        changed = P["add"](x, k)
        check(P["gt"](total(changed), 0), "the sum is {0}", total(changed))
        return [P["mul"](changed, 2)]

    program = function([VECTOR, COUNT], body, aliases={0: 0})
    x = np.array([1, 2, 3])
    assert native(program, [x, np.array(-2)], 3) == ("ValueError", "the sum is 0")
    assert x.tolist() == [1, 2, 3]
    assert native(program, [x, np.array(1)], 3) is None
    assert x.tolist() == [4, 6, 8]


def guarded_loop(x: Any, k: Any) -> list[Any]:
    """Adds the elements up to the first that is negative, which is an error."""
    with Builder() as region:
        i, _total, row = region.param(COUNT), region.param(COUNT), region.param(VECTOR)
        element = P["gather"](row, i, axes=(0,))
        check(P["ge"](element, 0), "element {0} is {1}", i, element)
        loop = region.finish([P["add"](_total, element)])
    results = current_builder().emit(P["fori_loop"], (Literal(0), k, Literal(0), x), {"carries": 1}, (loop,))
    return [results[0]]


@pytest.mark.parametrize("used", [True, False])
def test_checks_in_loops(used: bool) -> None:
    program = function([VECTOR, COUNT], lambda x, k: guarded_loop(x, k) if used else [guarded_loop(x, k), k][1:])
    x = np.array([1, 0, -2, 3, -4])
    assert everywhere(program, [x, np.array(2)]) is None
    assert everywhere(program, [x, np.array(5)]) == ("ValueError", "element 2 is -2")


@pytest.mark.parametrize("used", [True, False])
def test_checks_in_branches(used: bool) -> None:
    def branch(*, fails: bool) -> Function:
        with Builder() as region:
            k = region.param(COUNT)
            if fails:
                check(P["lt"](k, 3), "{0} is too much", k)
            return region.finish([P["add"](k, 1)])

    def body(x: Any, k: Any) -> list[Any]:
        pred = P["eq"](total(x), 0)
        results = current_builder().emit(P["cond"], (pred, k), {}, (branch(fails=True), branch(fails=False)))
        return list(results) if used else []

    program = function([VECTOR, COUNT], body)
    assert everywhere(program, [np.array([1, -1]), np.array(2)]) is None
    assert everywhere(program, [np.array([1, 1]), np.array(4)]) is None
    assert everywhere(program, [np.array([1, -1]), np.array(4)]) == ("ValueError", "4 is too much")


def positive(x: Any) -> list[Any]:
    """The sum of logarithms of positive numbers."""
    least = P["reduce_min"](x, axes=(0,))
    check(P["gt"](least, 0.0), "there are {0} numbers", P["dim"](dim=n))
    return [total(P["log"](x))]


def test_derivatives_keep_checks() -> None:
    program = function([FLOATS], positive)
    good, bad, one = np.array([1.0, 2.0]), np.array([1.0, -2.0]), np.array(1.0)
    pulled = verify(vjp_function(program, (0,)))
    pushed = verify(jvp_function(program, (True,)))
    assert interpret(pulled, good, one)[1].tolist() == [1.0, 0.5]
    assert everywhere(pushed, [good, good]) is None
    assert everywhere(pulled, [bad, one]) == ("ValueError", "there are 2 numbers")
    assert everywhere(pushed, [bad, good]) == ("ValueError", "there are 2 numbers")


@pytest.mark.parametrize(
    ("numbers", "limits", "expected"),
    [
        ([1, 2, 3], [4, 4, 4], None),
        ([1, 5, 6], [4, 4, 4], ("ValueError", "5 of 4")),
        ([1, 5, 6], [9, 9, 2], ("ValueError", "6 of 2")),
    ],
)
def test_a_check_of_a_batch_reports_the_first_that_fails(numbers: Any, limits: Any, expected: Any) -> None:
    def body(a: Any, b: Any) -> list[Any]:
        check(P["lt"](a, b), "{0} of {1}", a, b)
        return [P["add"](a, b)]

    batched = verify(vmap_function(function([COUNT, COUNT], body), (True, True), n))
    assert everywhere(batched, [np.array(numbers), np.array(limits)]) == expected
    one = verify(vmap_function(function([COUNT, COUNT], body), (True, False), n))
    assert everywhere(one, [np.array(numbers), np.array(9)]) is None


def test_what_a_check_may_be_given() -> None:
    flag = scalar("bool")
    infer = P["check"].infer
    assert infer(flag, COUNT, exception="KeyError", text="{0}") == ()
    with pytest.raises(ValueError, match="'open' is not an exception that a program may raise"):
        infer(flag, exception="open", text="")
    with pytest.raises(IndexError):
        infer(flag, exception="KeyError", text="{0}")
    for types in ((COUNT,), (flag, scalar("f64")), (flag, *[COUNT] * 5), (ArrayType(np.dtype("?"), (n,)),)):
        with pytest.raises(Exception, match="check: "):
            infer(*types, exception="KeyError", text="")


def test_derivatives_of_loops_keep_checks() -> None:
    """A loop of unknown length is cut into segments, and its iterations are computed again on the way back."""

    def body(x: Any, k: Any) -> list[Any]:
        with Builder() as region:
            i, value, row = region.param(COUNT), region.param(scalar("f64")), region.param(FLOATS)
            element = P["gather"](row, P["mod"](i, P["dim"](dim=n)), axes=(0,))
            check(P["gt"](element, 0.0), "element {0}", i)
            loop = region.finish([P["add"](P["mul"](value, element), P["sin"](value))])
        operands = (Literal(0), k, Literal(1.0), x)
        return list(current_builder().emit(P["fori_loop"], operands, {"carries": 1}, (loop,)))

    pulled = verify(vjp_function(function([FLOATS, COUNT], body), (0,)))
    good, one = np.array([0.5, 0.25, 0.75]), np.array(1.0)

    def at(x: Any) -> float:
        return float(interpret(function([FLOATS, COUNT], body), x, np.array(5))[0])

    step = 1e-6 * np.eye(3)
    numeric = [(at(good + s) - at(good - s)) / 2e-6 for s in step]
    np.testing.assert_allclose(interpret(pulled, good, np.array(5), one)[1], numeric, rtol=1e-6)
    assert everywhere(pulled, [good, np.array(5), one]) is None
    assert everywhere(pulled, [np.array([0.5, 0.25, -0.75]), np.array(5), one]) == ("ValueError", "element 2")
