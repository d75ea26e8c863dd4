"""Loop nests: random programs against the interpreter, reads and writes inside of their arrays, forms of loops."""

from __future__ import annotations

import ctypes
import mmap
import sys
from typing import Any

import numpy as np
import pytest

from tests.codegen_llvm.emit_harness import Compiled, buffer, loop_function
from tests.codegen_llvm.emit_programs import Program, arguments
from tracejit.codegen_llvm import engine
from tracejit.ir.core import Literal
from tracejit.ir.dims import maximum, symbol
from tracejit.ir.interpreter import interpret
from tracejit.ir.ops import PRIMITIVES as P
from tracejit.ir.types import scalar
from tracejit.lowering.loops import allocate, for_loop, if_then, store

N, M = symbol("n"), symbol("m")
SIZES = [(1, 1), (5, 3), (9, 20), (33, 7), (2, 17), (16, 4)]


def sizes_of(function: Any, named: dict[str, int]) -> list[int]:
    return [named[name] for name in function.symbols()]


@pytest.mark.parametrize("seed", range(24))
def test_random_programs(seed: int) -> None:
    program = Program(seed)
    level = engine.LEVEL_LOOPS if seed % 4 == 0 else engine.LEVEL_SHORT
    kernel = Compiled(program.function, [64, 128, 256, 512][seed % 4], level)
    for n, m in SIZES[seed % 2 :: 2]:
        arrays, sizes = arguments(program, n, m, seed)
        expected = [array.copy() for array in arrays]
        interpret(program.function, *expected, sizes=sizes)
        assert kernel(arrays, sizes_of(program.function, sizes), threads=1 + seed % 2) == 0
        for got, right, param in zip(arrays, expected, program.function.params, strict=True):
            assert (got == right).all(), (n, m, param.type)


class Guarded:
    """Copies of arrays that end (or begin) at a page nobody may touch."""

    def __init__(self, at_end: bool) -> None:
        self.at_end = at_end
        self.keep: list[Any] = []

    def __call__(self, array: Any) -> Any:
        page = mmap.PAGESIZE
        pages = -(-array.nbytes // page) + 2
        memory = mmap.mmap(-1, pages * page)
        address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        protect = ctypes.CDLL(None).mprotect
        protect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
        for edge in (address, address + (pages - 1) * page):
            assert protect(edge, page, 0) == 0
        self.keep.append(memory)
        offset = (pages - 1) * page - array.nbytes if self.at_end else page
        copy = np.frombuffer(memory, array.dtype, array.size, offset).reshape(array.shape)
        copy[...] = array
        return copy


@pytest.mark.skipif(sys.platform == "win32", reason="needs mprotect")
@pytest.mark.parametrize("seed", range(100, 112))
def test_nothing_outside_of_arrays_is_touched(seed: int) -> None:
    program = Program(seed)
    kernel = Compiled(program.function, [64, 128, 256, 512][seed % 4])
    for n, m in SIZES[::2]:
        for at_end in (False, True):
            arrays, sizes = arguments(program, n, m, seed)
            guarded = Guarded(at_end)
            assert kernel([guarded(array) for array in arrays], sizes_of(program.function, sizes)) == 0


def running_sums(kind: str) -> Any:
    """``out[i, j] = out[i-1, j] + x[i, j]``, columns in a loop of some kind."""

    def emit(x: Any, out: Any) -> None:
        def column(j: Any, _: Any) -> list[Any]:
            store(P["load"](x, 0, j), out, [Literal(0), j])

            def row(i: Any, _: Any) -> list[Any]:
                store(P["load"](out, i - 1, j) + P["load"](x, i, j), out, [i, j])
                return []

            for_loop(N, row, lower=1)
            return []

        for_loop(M, column, kind=kind, cost=N)

    return loop_function([buffer("f64", N, M)] * 2, emit)


@pytest.mark.parametrize("kind", ["serial", "vector", "parallel", "parallel_vector"])
def test_an_iteration_reads_what_it_wrote(kind: str) -> None:
    kernel = Compiled(running_sums(kind))
    for n, m in ((1, 1), (4, 3), (7, 8), (5, 13), (50, 4000)):
        x, out = np.random.default_rng(0).integers(-9, 9, (n, m)).astype(float), np.empty((n, m))
        assert kernel([x, out], [n, m], threads=2) == 0
        assert (out == x.cumsum(0)).all()


@pytest.mark.parametrize("kind", ["serial", "vector", "parallel_vector"])
def test_reversed_and_strided_access(kind: str) -> None:
    def emit(x: Any, y: Any, out: Any) -> None:
        def body(i: Any, _: Any) -> list[Any]:
            last = P["dim"](dim=N) - 1 - i
            store(P["load"](x, last) + P["load"](y, i, 1) * 10.0, out, [last, Literal(1)])
            return []

        for_loop(N, body, kind=kind)

    kernel = Compiled(loop_function([buffer("f64", N), buffer("f64", N, 3), buffer("f64", N, 2)], emit))
    for n in range(40):
        x, y, out = np.arange(n) + 0.5, np.arange(3.0 * n).reshape(n, 3), np.full((n, 2), -1.0)
        assert kernel([x, y, out], [n]) == 0
        assert (out[:, 0] == -1).all() and (out[:, 1] == (x[::-1] + y[:, 1] * 10)[::-1]).all()


def test_stores_that_depend_on_data_make_a_loop_serial() -> None:
    def emit(x: Any, out: Any) -> None:
        def body(i: Any, _: Any) -> list[Any]:
            value = P["load"](x, i)
            if_then(P["lt"](value, 0.5), lambda: store(value, out, [i]))
            return []

        for_loop(N, body, kind="vector")

    kernel = Compiled(loop_function([buffer("f64", N)] * 2, emit))
    x, out = np.random.default_rng(1).random(37), np.full(37, 2.0)
    assert kernel([x, out], [37]) == 0
    assert (out == np.where(x < 0.5, x, 2.0)).all()


def test_guarded_loads_stay_inside() -> None:
    """``out[i] = x[i+1] if i + 1 < n else 0``: no lane reads behind the end."""

    def emit(x: Any, out: Any) -> None:
        from tests.codegen_llvm.emit_programs import region
        from tracejit.ir.builder import current_builder

        def body(i: Any, _: Any) -> list[Any]:
            inside = P["lt"](i + 1, P["dim"](dim=N))
            then, otherwise = region(lambda: [P["load"](x, i + 1)]), region(lambda: [Literal(0.0, scalar("f64"))])
            (value,) = current_builder().emit(P["if"], (inside,), {}, (then, otherwise))
            store(value, out, [i])
            return []

        for_loop(N, body, kind="vector")

    kernel = Compiled(loop_function([buffer("f64", N)] * 2, emit))
    guarded = Guarded(at_end=True) if sys.platform != "win32" else np.copy
    for n in (1, 3, 4, 8, 21):
        x, out = guarded(np.arange(1.0, n + 1)), np.empty(n)
        assert kernel([x, out], [n]) == 0
        assert (out == [*x[1:], 0]).all()


def test_temporaries_of_run_time_size_are_released() -> None:
    def emit(x: Any, out: Any) -> None:
        def body(i: Any, _: Any) -> list[Any]:
            memory = allocate(np.dtype(np.float64), (M, 100))
            for_loop(M, lambda j, _: [store(P["load"](x, j) * 2.0, memory, [j, Literal(3)])] and [], kind="vector")
            store(P["load"](memory, i, 3), out, [i])
            return []

        for_loop(M, body, kind="parallel", cost=10**6)

    kernel = Compiled(loop_function([buffer("f64", M)] * 2, emit))
    x, out = np.arange(9.0), np.empty(9)
    assert kernel([x, out], [9], threads=2) == 0  # the harness counts what is not released
    assert (out == 2 * x).all()


def test_sizes_are_polynomials_of_symbols() -> None:
    dims = (N * 2 + M, (N + 3) // 2, N % 4, maximum(N, M), N * M - 1)

    def emit(x: Any, y: Any, out: Any) -> None:
        for position, dim in enumerate(dims):
            store(P["dim"](dim=dim), out, [Literal(position)])

    kernel = Compiled(loop_function([buffer("f64", N), buffer("f64", M), buffer("i64", 5)], emit))
    for n, m in ((1, 1), (6, 3), (9, 14)):
        out = np.empty(5, np.int64)
        assert kernel([np.empty(n), np.empty(m), out], [n, m]) == 0
        assert out.tolist() == [n * 2 + m, (n + 3) // 2, n % 4, max(n, m), n * m - 1]
