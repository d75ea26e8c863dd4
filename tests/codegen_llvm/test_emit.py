"""The kernel as a whole: its text, calls, and programs of extreme size."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.codegen_llvm.emit_harness import Compiled, buffer, loop_function, make_target
from tracejit.codegen_llvm import engine
from tracejit.codegen_llvm.emit import emit_kernel
from tracejit.errors import UnsupportedError, VerifyError
from tracejit.ir.builder import Builder
from tracejit.ir.core import Literal
from tracejit.ir.dims import symbol
from tracejit.ir.ops import PRIMITIVES as P
from tracejit.ir.types import dtype_named, scalar
from tracejit.lowering.loops import for_loop, store

N, M, K = symbol("n"), symbol("m"), symbol("k")


def straight_line(count: int, kind: str) -> Any:
    """A loop with a body of many operations, each of which needs the one before."""

    def emit(x: Any, y: Any, out: Any) -> None:
        def body(i: Any, _: Any) -> list[Any]:
            a, b = P["load"](x, i), P["load"](y, i)
            value = a
            for step in range(count):
                value = (value + b, P["maximum"](value, a), value - a)[step % 3]
            store(value, out, [i])
            return []

        for_loop(N, body, kind=kind)

    return loop_function([buffer("f64", N)] * 3, emit)


@pytest.mark.parametrize("kind", ["serial", "vector"])
def test_deep_programs_are_emitted(kind: str) -> None:
    kernel = emit_kernel(straight_line(20_000, kind), make_target())
    assert kernel.text.count("fadd") >= 6666


def test_long_programs_run() -> None:
    kernel = Compiled(straight_line(500, "vector"))
    x, y, out = np.array([1.0, 2.0, 3.0]), np.array([0.5, 1.5, 2.5]), np.empty(3)
    assert kernel([x, y, out], [3]) == 0
    value = x
    for step in range(500):
        value = (value + y, np.maximum(value, x), value - x)[step % 3]
    assert (out == value).all()


@pytest.mark.parametrize("name", ["f64", "f32"])
@pytest.mark.parametrize("transposed", [False, True])
def test_products_of_matrices(name: str, transposed: bool) -> None:
    def emit(a: Any, b: Any, c: Any) -> None:
        n, m, k = (P["dim"](dim=dim) for dim in (N, M, K))
        zero = Literal(0, scalar("i64"))
        flags = {"transpose_a": transposed, "transpose_b": False, "accumulate": True}
        P["gemm"](a, zero, n if transposed else k, b, zero, m, c, zero, m, n, m, k, **flags)

    shape = (K, N) if transposed else (N, K)
    function = loop_function([buffer(name, *shape), buffer(name, K, M), buffer(name, N, M)], emit)
    kernel = Compiled(function)
    assert kernel.kernel.symbols == {f"tj_gemm_{name}"}
    rng = np.random.default_rng(0)
    a, b, c = (rng.random(s).astype(dtype_named(name)) for s in ((5, 7) if transposed else (7, 5), (5, 3), (7, 3)))
    expected = c + (a.T if transposed else a) @ b
    assert kernel([a, b, c], [{"n": 7, "m": 3, "k": 5}[s] for s in function.symbols()]) == 0
    assert np.allclose(c, expected, rtol=1e-5)


def test_what_is_not_compiled_is_refused_by_name() -> None:
    def emit(x: Any, out: Any) -> None:
        store(P["digamma"](P["load"](x)), out, [])

    with pytest.raises(UnsupportedError, match="digamma of f64"):
        emit_kernel(loop_function([buffer("f64")] * 2, emit), make_target())


def test_array_level_programs_are_refused() -> None:
    builder = Builder()
    with builder:
        x = builder.param(buffer("f64", N))
        function = builder.finish([P["iota"](dtype=np.dtype(np.int64), dims=(3,), axis=0), x])
    with pytest.raises(VerifyError):
        emit_kernel(function, make_target())


def test_an_empty_kernel_returns_zero() -> None:
    assert Compiled(loop_function([], lambda: None))([]) == 0


@pytest.mark.parametrize("features", ["+avx512f,+avx512dq,+avx512bw,+avx512vl,+fma", "+sse2"])
def test_text_for_other_processors_is_valid(features: str) -> None:
    from types import SimpleNamespace

    bits = 512 if "avx512" in features else 128
    target = SimpleNamespace(triple="x86_64-unknown-linux-gnu", features=features, vector_bits=bits)
    assert engine.assembly(emit_kernel(straight_line(9, "vector"), target).text)
