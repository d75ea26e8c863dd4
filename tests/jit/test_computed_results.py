"""Results of a size that the program computes: how they reach the caller, and what becomes of their memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tests.util.compare import assert_same, check
from tracejit.codegen_llvm import buffers
from tracejit.ir.interpreter import interpret
from tracejit.ir.verifier import verify
from tracejit.lowering import lower
from tracejit.runtime.entry import CompiledCallable, FastCallable
from tracejit.trace.tracer import run, trace

RNG = np.random.default_rng(3)
Array = np.ndarray[Any, Any]


def growing(x: Array) -> list[float]:
    found = []
    for value in x:
        if value > 0:
            found.append(value * 2)
    return found


def of_several(x: Array) -> Any:
    y = x[x > 0]
    return y, y[::2], {"again": y, "size": len(y), "places": np.flatnonzero(x > 1)}, y.reshape(-1, 1)


PROGRAMS: dict[str, Callable[[Array], Any]] = {
    "mask": lambda x: x[x > 0],
    "computed from": lambda x: np.sqrt(x[x > 0]) + 1,
    "places": lambda x: np.flatnonzero(x > 0),
    "complex": lambda x: (x + 1j)[x > 0],
    "bool": lambda x: (x > 1)[x > 0],
    "half": lambda x: x[x > 0].astype(np.float16),
    "unique": lambda x: np.unique(np.floor(x)),
    "view": lambda x: x[: (x > 0).sum()],
    "size": lambda x: len(x[x > 0]),
    "rows": lambda x: np.stack([x, x * 2], axis=1)[x > 0],
    "columns": lambda x: np.asfortranarray(np.stack([x, x * 2], axis=1))[x > 0] * 2,
    "zeros": lambda x: np.zeros(((x > 0).sum(), 3)),
    "square": lambda x: np.multiply.outer(x[x > 0], x[x > 1]),
    "list": growing,
    "several": of_several,
    "twice": lambda x: (x[x > 0],) * 2,
    "same memory": lambda x: (x[x > 0], x[x > 0].copy(), x[x <= 0]),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_machine_code_answers(name: str) -> None:
    jitted = tj.jit(PROGRAMS[name], exact=True)
    for n in (40, 0, 9, 300, 40):
        check(PROGRAMS[name], RNG.normal(size=n), jitted=jitted)
    before = jitted.cache_info().traces
    hits = jitted._hits
    for n in (41, 8):
        check(PROGRAMS[name], RNG.normal(size=n), jitted=jitted)
    assert jitted.cache_info().traces == before
    if issubclass(CompiledCallable, FastCallable):
        assert jitted._hits > hits


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_interpreter_gives_the_same(name: str) -> None:
    x = RNG.normal(size=30)
    assert_same(run(trace(PROGRAMS[name], (x,)), (x,)), PROGRAMS[name](x))


@pytest.mark.parametrize("n", [10, 100_000])
def test_results_belong_to_the_caller(n: int) -> None:
    x = RNG.normal(size=n)
    jitted = tj.jit(lambda x: x[x > 0])
    results = [jitted(x) for _ in range(4)]  # the first one comes through Python
    for result in results:
        expected = x[x > 0]
        assert result.flags.num == expected.flags.num
        assert result.base is None and result.strides == expected.strides
        result += 1  # what one is changed to, no other sees
    assert all(np.array_equal(result, x[x > 0] + 1) for result in results)
    results[0].resize((n,), refcheck=False)
    assert np.array_equal(results[0][: len(results[1])], results[1])


def test_views_and_repetitions_share_memory() -> None:
    jitted = tj.jit(of_several)
    for _ in range(3):
        y, half, others, column = jitted(RNG.normal(size=50))
        assert others["again"] is y
        assert half.base is y and column.base is y
        y[...] = 7
        assert (half == 7).all()


def test_memory_is_given_back() -> None:
    x = RNG.normal(size=100_000)
    jitted = tj.jit(lambda x: x[x > 0])
    places = []
    for _ in range(4):
        result = jitted(x)
        places.append(result.ctypes.data)
        del result
    assert len(set(places)) == 1


def test_a_failed_check_gives_back_what_was_claimed() -> None:
    def program(x: Array, table: Array) -> tuple[Array, Array]:
        y = np.flatnonzero(x > 0)
        return y, table[y]

    x, table = RNG.normal(size=200_000), np.arange(200_000)
    jitted = tj.jit(program)
    jitted(x, table)
    check(program, x, table, jitted=jitted)
    loops = str(jitted.ir(x, table, stage="loops"))
    assert loops.index("claim") < loops.index("wrap_index")
    buffers.trim_pool()
    for _ in range(3):
        jitted(x, table)
    before = buffers.pool_statistics()["retained"]
    for _ in range(3):
        with pytest.raises(IndexError, match="out of bounds"):
            jitted(x, table[:1000])
        assert buffers.pool_statistics()["retained"] == before
    for _ in range(2):
        with pytest.raises(IndexError, match="out of bounds"):
            tj.jit(program)(x, table[:1000])  # a first call, which comes through Python
    assert buffers.pool_statistics()["retained"] == before


@pytest.mark.parametrize("size", [1 << 45, (1 << 60) - 1, 1 << 60, 1 << 61, (1 << 61) + 5, -5])
@pytest.mark.parametrize("shape", [lambda k: k, lambda k: (0, k), lambda k: (k, 0)], ids=["vector", "none", "empty"])
def test_sizes_beyond_all_memory(size: int, shape: Callable[[Any], Any]) -> None:
    def program(x: Array) -> Array:
        return np.ones(shape(x.sum()))

    jitted = tj.jit(program)
    check(program, np.array([1, 2]), jitted=jitted)
    for _ in range(2):
        try:
            expected = program(np.array([size, 0]))
        except (MemoryError, ValueError) as error:
            kind = MemoryError if isinstance(error, MemoryError) else ValueError
            with pytest.raises(kind):
                jitted(np.array([size, 0]))
        else:
            assert jitted(np.array([size, 0])).shape == expected.shape


TOTAL = {"calls": 0}


def counted(x: Array) -> Array:
    TOTAL["calls"] += 1
    return x[x > 0]


def test_programs_that_python_calls_give_the_same() -> None:
    jitted = tj.jit(counted)  # it writes outside, which Python does after each call
    for n in (10, 100_000, 0):
        x = RNG.normal(size=n)
        assert_same(jitted(x), x[x > 0])
    assert TOTAL["calls"] == 3


def test_programs_with_callbacks_give_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    def program(x: Array, k: int) -> tuple[Array, Array]:
        y = x[x > 0]
        print("selected", len(y))
        return y, y[k : k + 2]

    jitted = tj.jit(program)
    for n in (10, 100_000, 10, 50):
        x = np.abs(RNG.normal(size=n)) * np.where(np.arange(n) % 2, 1, -1)
        expected = program(x, 1)
        printed = capsys.readouterr().out
        result = jitted(x, 1)
        assert_same(result, expected)
        assert result[1].base is result[0]
        assert capsys.readouterr().out == printed
    with pytest.raises(TypeError):
        jitted(x, "1")


def test_loops_claim_memory_for_what_they_compute() -> None:
    x = RNG.normal(size=20)
    function = trace(lambda x: (x + 1, np.stack([x, x], axis=1)[x > 0]), (x,)).function
    loops = lower(function)
    verify(loops)
    total, record = interpret(loops, x)
    count = int((x > 0).sum())
    assert np.array_equal(total, x + 1)
    assert record.tolist() == [0, count * 16, count, 2]
