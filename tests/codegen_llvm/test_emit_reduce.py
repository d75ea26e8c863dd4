"""Reductions: every operation and dtype, in lanes and serial, and how exact sums are."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tests.codegen_llvm.emit_harness import Compiled, buffer, loop_function
from tracejit.ir.core import Literal
from tracejit.ir.dims import symbol
from tracejit.ir.ops import PRIMITIVES as P
from tracejit.ir.types import dtype_named, scalar
from tracejit.lowering.loops import for_loop, store

N, M = symbol("n"), symbol("m")
ROWS = {"add": "add", "mul": "mul", "min": "minimum", "max": "maximum", "and": "bitwise_and", "or": "bitwise_or"}
UFUNCS = {"add": np.add, "mul": np.multiply, "min": np.minimum, "max": np.maximum}
LENGTHS = (0, 1, 2, 3, 5, 8, 17, 63, 64, 65, 100, 1000, 3000)
WIDTHS = pytest.mark.parametrize("vector_bits", [8, 128, 256])
ROUNDING = {"f64": 2.0**-53, "c128": 2.0**-53, "f32": 2.0**-24, "c64": 2.0**-24, "f16": 2.0**-11, "bf16": 2.0**-8}


def starts(op: str, name: str) -> Any:
    """What a reduction of nothing gives."""
    dtype = dtype_named(name)
    if op in ("add", "mul"):
        return Literal(op == "mul", scalar(name))
    if op in ("and", "or"):
        ones = True if name == "bool" else np.array(-1).astype(dtype)
        return Literal(ones if op == "and" else 0, scalar(name))
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return Literal(limits.max if op == "min" else limits.min, scalar(name))
    return Literal(op == "min" if name == "bool" else math.inf if op == "min" else -math.inf, scalar(name))


def reduction(op: str, name: str) -> Any:
    """``out = reduce(op, x)``."""

    def emit(x: Any, out: Any) -> None:
        def body(i: Any, carries: Any) -> list[Any]:
            return [P[ROWS[op]](carries[0], P["load"](x, i))]

        (result,) = for_loop(N, body, [starts(op, name)], kind="reduce", ops=(op,))
        store(result, out, [])

    return loop_function([buffer(name, N), buffer(name)], emit)


@WIDTHS
@pytest.mark.parametrize("name", ["i64", "i32", "i8", "u16", "bool"])
def test_integers_are_exact(name: str, vector_bits: int) -> None:
    rng = np.random.default_rng(0)
    dtype = dtype_named(name)
    for op in ROWS:
        kernel = Compiled(reduction(op, name), vector_bits)
        for length in LENGTHS:
            x = rng.integers(0, 100, length).astype(dtype)
            if name == "bool":
                x = rng.random(length) < (0.999 if op in ("and", "min", "mul") else 0.001)
            out = np.zeros((), dtype)
            kernel([x, out], [length])
            initial = starts(op, name).value
            ufunc = UFUNCS.get(op, np.bitwise_and if op == "and" else np.bitwise_or)
            with np.errstate(over="ignore"):
                assert out == ufunc.reduce(x, dtype=dtype, initial=initial), (op, length)


@WIDTHS
@pytest.mark.parametrize("name", ["f64", "f32", "f16", "bf16", "c128", "c64"])
def test_sums_are_as_exact_as_pairwise_ones(name: str, vector_bits: int) -> None:
    rng = np.random.default_rng(1)
    dtype = dtype_named(name)
    kernel = Compiled(reduction("add", name), vector_bits)
    for length in LENGTHS:
        x = rng.normal(size=length).astype(dtype)
        out = np.zeros((), dtype)
        kernel([x, out], [length])
        exact = x.astype(np.complex128)
        total = complex(math.fsum(exact.real), math.fsum(exact.imag))
        error = abs(complex(out.astype(np.complex128)) - total)
        terms = 3 if dtype.itemsize > 2 else 0.01  # half precision is added in single
        assert error <= ROUNDING[name] * (2 * abs(total) + terms * np.abs(exact).sum()), length


@pytest.mark.parametrize("name", ["f64", "f32"])
def test_long_sums_are_nearly_exact(name: str) -> None:
    x = np.random.default_rng(2).random(1_000_000).astype(dtype_named(name))
    out = np.zeros((), x.dtype)
    Compiled(reduction("add", name))([x, out], [len(x)])
    exact = math.fsum(x.astype(np.float64))
    assert abs(float(out) - exact) <= 2 * ROUNDING[name] * exact


def test_sums_of_infinities_and_overflow() -> None:
    kernel = Compiled(reduction("add", "f64"))
    for values in ([1e300] * 40 + [math.inf], [math.inf, -math.inf] * 30, [1e308] * 70, [-0.0] * 9, [math.nan] * 40):
        x, out = np.array(values), np.zeros(())
        kernel([x, out], [len(x)])
        with np.errstate(all="ignore"):
            expected = np.add.reduce(x, initial=0.0)
        assert out == expected or (np.isnan(out) and np.isnan(expected))


@WIDTHS
@pytest.mark.parametrize("name", ["f64", "f32", "f16"])
def test_products_and_extremes(name: str, vector_bits: int) -> None:
    rng = np.random.default_rng(3)
    dtype = dtype_named(name)
    for op in ("mul", "min", "max"):
        kernel = Compiled(reduction(op, name), vector_bits)
        for length in LENGTHS:
            x = (1 + rng.normal(size=length) * 0.01).astype(dtype)
            out = np.zeros((), dtype)
            kernel([x, out], [length])
            expected = UFUNCS[op].reduce(x.astype(np.float64), initial=float(starts(op, name).value))
            if op == "mul":
                assert np.isclose(out, expected, rtol=length * ROUNDING[name] + 1e-2 * (name == "f16"))
                continue
            assert out == expected
            if length:
                x[rng.integers(length)] = np.nan
                kernel([x, out], [length])
                assert np.isnan(out)


@pytest.mark.parametrize("name", ["f64", "f32", "i32", "c128"])
def test_columns_in_lanes(name: str) -> None:
    """A reduction inside a vector loop is serial, and as exact."""

    def emit(x: Any, out: Any) -> None:
        def column(j: Any, _: Any) -> list[Any]:
            def body(i: Any, carries: Any) -> list[Any]:
                return [carries[0] + P["load"](x, i, j)]

            (result,) = for_loop(N, body, [starts("add", name)], kind="reduce", ops=("add",))
            store(result, out, [j])
            return []

        for_loop(M, column, kind="vector")

    kernel = Compiled(loop_function([buffer(name, N, M), buffer(name, M)], emit))
    rng = np.random.default_rng(4)
    for rows in (0, 1, 5, 17, 40, 1000):
        for columns in (0, 1, 3, 4, 7, 9, 33, 70):
            x = (rng.normal(size=(rows, columns)) * 10).astype(dtype_named(name))
            out = np.full(columns, 7, x.dtype)
            assert kernel([x, out], [rows, columns]) == 0
            exact = x.astype(np.complex128).sum(0)
            allowed = 0.5 if name == "i32" else 20 * ROUNDING[name] * np.abs(x).sum(0)
            assert (np.abs(out - exact) <= allowed).all()
