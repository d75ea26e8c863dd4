"""Sizes that an operation of the program binds: every stage gives the same."""

from __future__ import annotations

import numpy as np
import pytest

from tests.codegen_llvm.emit_harness import Compiled
from tracejit.ir.builder import Builder
from tracejit.ir.core import Function
from tracejit.ir.dims import symbol
from tracejit.ir.interpreter import interpret
from tracejit.ir.ops import PRIMITIVES
from tracejit.ir.parser import parse
from tracejit.ir.types import ArrayType, scalar
from tracejit.ir.verifier import verify
from tracejit.lowering import lower

FLOAT = np.dtype(float)
N, K = symbol("n"), symbol("k")


def total_of_first() -> Function:
    """The sum of the first k elements, and of the first k // 2, where k is computed by the program."""
    with Builder() as builder:
        x, count = builder.param(ArrayType(FLOAT, (N,))), builder.param(scalar("i64"))
        k = PRIMITIVES["add"](count, count)
        PRIMITIVES["bind_size"](k, symbol="k")
        sums = []
        for size in (K, K // 2):
            part = PRIMITIVES["slice"](x, starts=(0,), sizes=(size,), steps=(1,))
            sums.append(PRIMITIVES["reduce_sum"](part, axes=(0,)))
        return builder.finish(sums, name="first")


@pytest.mark.parametrize("count", [0, 1, 3])
def test_sums_over_a_size_that_the_program_computes(count: int) -> None:
    function = verify(total_of_first())
    assert str(parse(str(function))) == str(function)
    x = np.arange(1.0, 10.0)
    expected = [x[: 2 * count].sum(), x[:count].sum()]
    assert interpret(function, x, np.int64(count)) == expected
    loops = verify(lower(function, {"n": 9}))
    results = [np.zeros(()), np.zeros(())]
    interpret(loops, x, np.array(count), *results, sizes={"n": 9})
    assert results == expected
    results = [np.zeros(()), np.zeros(())]
    assert Compiled(loops)([x, np.array(count), *results], [9]) == 0
    assert results == expected
