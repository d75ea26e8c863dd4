"""Every scalar operation, for every dtype, in one lane and in many, against NumPy; and loops of every length."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest

from tests.codegen_llvm.emit_harness import Compiled, elementwise_function, loop_function, make_target, same_bits
from tracejit.codegen_llvm.emit import emit_kernel
from tracejit.codegen_llvm.scalar_math import FUNCTIONS
from tracejit.errors import UnsupportedError
from tracejit.ir.dims import symbol
from tracejit.ir.ops import PRIMITIVES as P
from tracejit.ir.primitive import Primitive
from tracejit.ir.types import ArrayType, BufferType, dtype_named
from tracejit.lowering.loops import for_loop, store

N = symbol("n")
NAMES = ("f64", "f32", "f16", "bf16", "i64", "i32", "i16", "i8", "u64", "u32", "u16", "u8", "bool", "c128", "c64")
SPECIAL = (
    *(0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, 3.0, -3.0, 1.5, -1.5, 2.5, np.inf, -np.inf, np.nan, 1e-310, 5e-324),
    *(-5e-324, 1e300, -1e300, 1e-40, 1e10, -1e10, 7.0, -7.0, 0.1, 1e16, 123456.789, 65504.0, 1e38),
    *(3e9, 1e19, 2.0**31, -(2.0**31) - 0.5, 2.0**32, 2.0**63, -(2.0**63), -1e15),
)
# Selected by other tests, or with rows for other operands than one or two of one dtype.
OTHERS = {"wrap_index", "select", "bitcast", "cast", "complex", "ldexp", "polygamma", "stop_gradient"}
WIDTHS = pytest.mark.parametrize("vector_bits", [8, 256])  # one lane, several registers of lanes


def pairs(dtype: Any, seed: int = 0) -> tuple[Any, Any]:
    """Two arrays of operands: all pairs of special values, then random ones."""
    rng = np.random.default_rng(seed)
    if dtype.kind in "fV":
        with np.errstate(all="ignore"):
            special = np.array(SPECIAL).astype(dtype)
        many = [(rng.normal(size=300) * 10.0 ** rng.integers(-3, 4, 300)).astype(dtype) for _ in range(2)]
    elif dtype.kind == "c":
        parts = np.array([0.0, -0.0, 1.0, 2.5, np.inf, -np.inf, np.nan])
        special = np.empty((7, 7), dtype)
        special.real, special.imag = parts[:, None], parts
        special = special.ravel()
        many = [(rng.normal(size=300) + 1j * rng.normal(size=300)).astype(dtype) for _ in range(2)]
    elif dtype.kind == "b":
        special = np.array([False, True])
        many = [rng.random(300) < 0.5 for _ in range(2)]
    else:
        limits = np.iinfo(dtype)
        edges = (limits.max, limits.max - 1, limits.min, limits.min + 1)
        values = (0, 1, 2, 3, 5, 7, *edges, -1, -2, -3, -7, 31, 32, 63, 64)
        special = np.array([v for v in values if limits.min <= v <= limits.max], dtype)
        small = rng.integers(max(limits.min, -99), 100, (2, 300)).astype(dtype)
        many = [np.concatenate([rng.integers(limits.min, limits.max, 300, dtype), s]) for s in small]
    count = len(special)
    return np.concatenate([special.repeat(count), many[0]]), np.concatenate([np.tile(special, count), many[1]])


def arity_for(op: Primitive, dtype: Any) -> int:
    """How many operands of a dtype an operation takes; 0 if none."""
    for arity in (1, 2):
        try:
            op.infer(*[ArrayType(dtype)] * arity)
        except (TypeError, ValueError):
            continue
        return arity
    return 0


def compiled_rows(dtype: Any, vector_bits: int, *, functions: bool) -> list[tuple[Primitive, int]]:
    """The operations on a dtype that have native code, with their numbers of operands."""
    found = []
    for name, op in P.items():
        arity = arity_for(op, dtype) if op.level == "both" and name not in OTHERS else 0
        if arity and (name in FUNCTIONS) == functions:
            try:
                emit_kernel(elementwise_function(op, [dtype] * arity, N), make_target(vector_bits))
            except UnsupportedError:
                continue
            found.append((op, arity))
    return found


def run_all(rows: list[tuple[Primitive, int]], dtype: Any, vector_bits: int, operands: Any) -> list[Any]:
    """The results of many operations, by one kernel with a loop for each."""
    results = [op.infer(*[ArrayType(dtype)] * arity).dtype for op, arity in rows]

    def emit(x: Any, y: Any, *outputs: Any) -> None:
        for (op, arity), out in zip(rows, outputs, strict=True):

            def body(i: Any, _: Any, op: Any = op, arity: int = arity, out: Any = out) -> list[Any]:
                store(op(*[P["load"](source, i) for source in (x, y)[:arity]]), out, [i])
                return []

            for_loop(N, body, kind="vector")

    types = [BufferType(d, (N,)) for d in (dtype, dtype, *results)]
    outputs = [np.zeros(len(operands[0]), d) for d in results]
    assert Compiled(loop_function(types, emit), vector_bits)([*operands, *outputs], [len(operands[0])]) == 0
    return outputs


@WIDTHS
@pytest.mark.parametrize("name", NAMES)
def test_operations_are_numpys(name: str, vector_bits: int) -> None:
    dtype = dtype_named(name)
    rows = compiled_rows(dtype, vector_bits, functions=False)
    assert len(rows) >= 12
    x, y = pairs(dtype)
    for (op, arity), got in zip(rows, run_all(rows, dtype, vector_bits, (x, y)), strict=True):
        with np.errstate(all="ignore"):
            expected = np.asarray(op.reference(*(x, y)[:arity]))
        same = same_bits(got, expected)
        if op.name in ("fmax", "fmin") and dtype.kind == "f":
            same |= (x == 0) & (y == 0)  # NumPy's vector and scalar loops differ in which zero they take
        if name.startswith("c"):
            same |= np.isclose(got, expected, rtol=8 * np.finfo(dtype).eps, equal_nan=True)  # NumPy contracts products
        wrong = np.flatnonzero(~same)[:3]
        assert not len(wrong), (op.name, x[wrong], y[wrong], got[wrong], expected[wrong])


@WIDTHS
@pytest.mark.parametrize("name", ["i64", "i32", "i16", "i8", "u64", "u32", "u16", "u8"])
def test_integer_powers(name: str, vector_bits: int) -> None:
    dtype = dtype_named(name)
    x, y = pairs(dtype)
    y = (y % 20).astype(dtype)
    (got,) = run_all([(P["pow"], 2)], dtype, vector_bits, (x, y))
    assert (got == x**y).all()


@WIDTHS
@pytest.mark.parametrize("name", ["f64", "f32", "f16", "c128", "c64"])
def test_functions_are_close(name: str, vector_bits: int) -> None:
    dtype = dtype_named(name)
    x, y = (operand[-300:] for operand in pairs(dtype))  # special values are vector_math's own matter
    rows = [row for row in compiled_rows(dtype, vector_bits, functions=True) if row[0].name not in ("lgamma", "erfc")]
    assert len(rows) >= (9 if name.startswith("c") else 20)
    for (op, arity), got in zip(rows, run_all(rows, dtype, vector_bits, (x, y)), strict=True):
        with np.errstate(all="ignore"):
            expected = np.asarray(op.reference(*(x, y)[:arity]))
        limits = np.finfo(dtype)
        zero = limits.eps if op.name.startswith("logaddexp") else limits.tiny
        with np.errstate(invalid="ignore"):
            close = np.abs(got - expected) <= zero + 8 * limits.eps * np.abs(expected)
        close |= (got == expected) | (np.isnan(got) & np.isnan(expected))
        wrong = np.flatnonzero(~close)[:3]
        assert not len(wrong), (op.name, x[wrong], y[wrong], got[wrong], expected[wrong])


def in_range(x: Any, target: Any) -> Any:
    """Values whose conversion NumPy's own loops agree on, whatever compiler made them for x86-64."""
    if x.dtype.kind not in "fcV" or target.kind not in "iu":
        return np.ones(len(x), bool)
    limits = np.iinfo(target if target.itemsize >= 4 else np.int32)
    real = x.real.astype(np.float64)
    least = -(2.0**31) if target.kind == "u" else float(limits.min)
    return np.isfinite(x) & (real > least) & (real < float(limits.max) * (1 - 2.0**-50))


def integer_of(value: float, target: Any) -> int:
    """What C compilers for x86-64 make of any float, in exact integers."""

    def signed(number: float, bits: int) -> int:
        fits = -(2.0 ** (bits - 1)) <= number < 2.0 ** (bits - 1)
        return math.trunc(number) if fits else -(2 ** (bits - 1))

    bits = target.itemsize * 8
    if target.kind == "i" or bits < 32:
        whole = signed(value, max(bits, 32))
    elif bits == 32:
        whole = signed(value, 64)
    else:
        whole = signed(value - 2.0**63, 64) + 2**63 if value >= 2.0**63 else signed(value, 64)
    whole %= 2**bits
    return whole - 2**bits if target.kind == "i" and whole >= 2 ** (bits - 1) else whole


@WIDTHS
@pytest.mark.parametrize("name", NAMES)
def test_casts_are_numpys(name: str, vector_bits: int) -> None:
    source = dtype_named(name)
    targets = [dtype_named(other) for other in NAMES if other != name]

    def emit(x: Any, *outputs: Any) -> None:
        for out in outputs:

            def body(i: Any, _: Any, out: Any = out) -> list[Any]:
                store(P["cast"](P["load"](x, i), dtype=out.dtype), out, [i])
                return []

            for_loop(N, body, kind="vector")

    x, _ = pairs(source)
    outputs = [np.zeros(len(x), target) for target in targets]
    kernel = Compiled(loop_function([BufferType(d, (N,)) for d in (source, *targets)], emit), vector_bits)
    assert kernel([x, *outputs], [len(x)]) == 0
    for target, got in zip(targets, outputs, strict=True):
        with np.errstate(all="ignore"):
            expected = P["cast"].reference(x, dtype=target)
        wrong = np.flatnonzero(~same_bits(got, expected) & in_range(x, target))[:3]
        assert not len(wrong), (target, x[wrong], got[wrong], expected[wrong])
        if source.kind in "fcV" and target.kind in "iu":
            assert got.tolist() == [integer_of(value, target) for value in x.real.astype(float).tolist()], target


@WIDTHS
@pytest.mark.parametrize("name", [name for name in NAMES if name[0] in "fiu"])
def test_bitcasts_are_views(name: str, vector_bits: int) -> None:
    source = dtype_named(name)
    targets = [dtype_named(other) for other in NAMES if other[0] in "fiu"]
    targets = [target for target in targets if target.itemsize == source.itemsize]

    def emit(x: Any, *outputs: Any) -> None:
        for out in outputs:

            def body(i: Any, _: Any, out: Any = out) -> list[Any]:
                store(P["bitcast"](P["load"](x, i), dtype=out.dtype), out, [i])
                return []

            for_loop(N, body, kind="vector")

    x, _ = pairs(source)
    outputs = [np.zeros(len(x), target) for target in targets]
    kernel = Compiled(loop_function([BufferType(d, (N,)) for d in (source, *targets)], emit), vector_bits)
    assert kernel([x, *outputs], [len(x)]) == 0
    for target, got in zip(targets, outputs, strict=True):
        assert same_bits(got, x.view(target)).all(), target


@pytest.mark.parametrize("features", ["+avx2,+fma", "+avx512f,+avx512dq,+avx512vl"])
@pytest.mark.parametrize("name", ["f64", "f32"])
@pytest.mark.parametrize("target", ["u64", "u32", "i64", "i32", "u8"])
def test_conversions_to_integers_do_not_change_with_the_instruction_set(features, name, target):
    """LLVM leaves numbers that do not fit undefined, so every conversion must be of a number that was chosen to fit."""
    dtypes = dtype_named(name), dtype_named(target)

    def emit(x: Any, out: Any) -> None:
        def body(i: Any, _: Any) -> list[Any]:
            store(P["cast"](P["load"](x, i), dtype=dtypes[1]), out, [i])
            return []

        for_loop(N, body, kind="vector")

    machine = make_target(512 if "512" in features else 256)
    machine.features = features
    text = emit_kernel(loop_function([BufferType(d, (N,)) for d in dtypes], emit), machine).text
    conversions = re.findall(r"fpto([us])i \S+(?: x \w+>)? (%[\w.]+) to", text)
    assert conversions or target == "u32"
    for sign, operand in conversions:
        assert sign == "s"
        assert re.search(rf"{re.escape(operand)} = select .*", text), (operand, text)


@WIDTHS
@pytest.mark.parametrize("name", ["f64", "f32", "f16"])
def test_ldexp(name: str, vector_bits: int) -> None:
    x, _ = pairs(dtype_named(name))
    exponents = np.random.default_rng(0).integers(-1100, 1100, len(x)).astype(np.int32)
    kernel = Compiled(elementwise_function(P["ldexp"], [x.dtype, exponents.dtype], N), vector_bits)
    out = np.empty_like(x)
    assert kernel([x, exponents, out], [len(x)]) == 0
    with np.errstate(all="ignore"):
        assert same_bits(out, np.ldexp(x, exponents)).all()


@pytest.mark.parametrize("vector_bits", [128, 256, 512])
@pytest.mark.parametrize("name", NAMES)
def test_every_length_of_a_loop(name: str, vector_bits: int) -> None:
    """Nothing behind the end is written, nothing is left out."""
    dtype = dtype_named(name)

    def emit(condition: Any, x: Any, y: Any, out: Any) -> None:
        def body(i: Any, _: Any) -> list[Any]:
            store(P["select"](P["load"](condition, i), P["load"](x, i), P["load"](y, i)), out, [i])
            return []

        for_loop(N, body, kind="vector")

    types = [BufferType(d, (N,)) for d in (np.dtype(bool), dtype, dtype, dtype)]
    kernel = Compiled(loop_function(types, emit), vector_bits)
    x, y = pairs(dtype)
    condition = np.random.default_rng(1).random(len(x)) < 0.5
    for count in range(135):
        out = np.concatenate([x, y])[: count + 3].copy()
        behind = out[count:].copy()
        assert kernel([condition[:count].copy(), x[-count:].copy(), y[:count].copy(), out], [count]) == 0
        expected = np.where(condition[:count], x[len(x) - count :], y[:count])
        assert same_bits(out[:count], expected).all() and same_bits(out[count:], behind).all()
