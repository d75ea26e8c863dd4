"""The interpreter at both levels: sizes, memory, loops, and the errors it gives."""

from __future__ import annotations

import numpy as np
import pytest

from tracejit.ir.builder import Builder
from tracejit.ir.core import Function
from tracejit.ir.dims import symbol
from tracejit.ir.interpreter import interpret
from tracejit.ir.parser import parse
from tracejit.ir.primitive import PRIMITIVES
from tracejit.ir.types import ArrayType
from tracejit.ir.verifier import verify


def program(text: str) -> Function:
    return verify(parse(f"func @f{text}"))


AXPY = program(
    "(%a: f64[], %x: f64[n], %y: f64[n]) -> (f64[n]) { %0: f64[n] = mul %a, %x  %1: f64[n] = add %0, %y return %1 }"
)

ROW_SUMS = program("""(%x: buf f64[n, m], %out: buf f64[n]) -> () {
  %n: i64[] = dim {dim=<n>}
  %m: i64[] = dim {dim=<m>}
  for i64(0), %n {kind="parallel", cost=<m>} (%i: i64[]) {
    %s: f64[] = for i64(0), %m, f64(0.0) {kind="reduce", ops=("add",)} (%j: i64[], %a: f64[]) {
      %v: f64[] = load %x, %i, %j
      %b: f64[] = add %a, %v
      yield %b
    }
    store %s, %out, %i
    yield
  }
  return
}""")


def test_array_level() -> None:
    (result,) = interpret(AXPY, 2.0, np.arange(3.0), np.ones(3))
    assert result.tolist() == [1.0, 3.0, 5.0]


def test_results_are_copied_to_outputs() -> None:
    out = np.zeros(2)
    interpret(AXPY, 2.0, np.ones(2), np.ones(2), outputs=[out])
    assert out.tolist() == [3.0, 3.0]


def test_arguments_must_fit() -> None:
    with pytest.raises(ValueError, match=r"shape \(4,\) for a param of type f64\[n\]"):
        interpret(AXPY, 2.0, np.ones(3), np.ones(4))
    with pytest.raises(TypeError, match="dtype float32 for a param of type f64"):
        interpret(AXPY, 2.0, np.ones(3, np.float32), np.ones(3))
    with pytest.raises(TypeError, match="f takes 3 arguments, not 1"):
        interpret(AXPY, 2.0)


def test_sizes_from_ints() -> None:
    count = program(
        "[k](%x: f64[n]) -> (i64[], f64[k]) { %0: i64[] = dim {dim=<k*n+1>} "
        "%1: f64[k] = broadcast f64(1.5) {dims=(<k>,), axes=()} return %0, %1 }"
    )
    for sizes in ([4], {"k": 4}):
        total, filled = interpret(count, np.ones(3), sizes=sizes)
        assert total == 13
        assert filled.tolist() == [1.5] * 4
    with pytest.raises(TypeError, match="what the sizes k are"):
        interpret(count, np.ones(3))


def test_loop_level_writes_in_place() -> None:
    x, out = np.arange(6.0).reshape(2, 3), np.zeros(2)
    assert interpret(ROW_SUMS, x, out) == []
    assert out.tolist() == [3.0, 12.0]
    out = np.zeros(2)
    interpret(ROW_SUMS, x, outputs=[out])
    assert out.tolist() == [3.0, 12.0]


def test_independent_loops_run_in_any_order() -> None:
    x = np.arange(6.0).reshape(2, 3)
    (out,) = interpret(ROW_SUMS, x, backwards=True)
    assert out.tolist() == [3.0, 12.0]
    dependent = program("""(%x: buf f64[n]) -> () {
      %n: i64[] = dim {dim=<n>}
      for i64(1), %n {kind="vector"} (%i: i64[]) {
        %j: i64[] = sub %i, i64(1)
        %v: f64[] = load %x, %j
        store %v, %x, %i
        yield
      }
      return
    }""")
    forwards, back = np.arange(3.0), np.arange(3.0)
    interpret(dependent, forwards)
    interpret(dependent, back, backwards=True)
    assert forwards.tolist() == [0.0, 0.0, 0.0]
    assert back.tolist() == [0.0, 0.0, 1.0]


def test_buffers_without_an_argument_are_results() -> None:
    (out,) = interpret(ROW_SUMS, np.arange(6.0), sizes={"n": 2, "m": 3})
    assert out.tolist() == [3.0, 12.0]


def test_loads_outside_of_a_buffer_are_errors() -> None:
    bad = program("(%x: buf f64[n]) -> (f64[]) { %0: f64[] = load %x, i64(-1) return %0 }")
    with pytest.raises(IndexError, match="index -1 is out of bounds for axis 0 with size 3"):
        interpret(bad, np.ones(3))


def test_fresh_memory_is_not_zero() -> None:
    reads = program(
        "() -> (f64[], i64[]) { %b: buf f64[2] = alloc {dtype=f64, dims=(2,)} %0: f64[] = load %b, i64(0) "
        "%c: buf i64[2] = alloc {dtype=i64, dims=(2,)} %1: i64[] = load %c, i64(0) return %0, %1 }"
    )
    value, integer = interpret(reads)
    assert np.isnan(value)
    assert integer != 0


def test_while_and_if() -> None:
    collatz = program("""(%start: buf i64[], %steps: buf i64[]) -> () {
      %0: i64[] = load %start
      %v: i64[], %s: i64[] = while %0, i64(0) (%a: i64[], %b: i64[]) {
        %1: bool[] = gt %a, i64(1)
        yield %1
      } (%a2: i64[], %b2: i64[]) {
        %2: i64[] = mod %a2, i64(2)
        %3: bool[] = eq %2, i64(0)
        %next: i64[] = if %3 () {
          %4: i64[] = floordiv %a2, i64(2)
          yield %4
        } () {
          %5: i64[] = mul %a2, i64(3)
          %6: i64[] = add %5, i64(1)
          yield %6
        }
        %7: i64[] = add %b2, i64(1)
        yield %next, %7
      }
      store %s, %steps
      return
    }""")
    (steps,) = interpret(collatz, np.array(27))
    assert steps == 111


@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize("transpose_b", [False, True])
@pytest.mark.parametrize("accumulate", [False, True])
def test_gemm(transpose_a: bool, transpose_b: bool, accumulate: bool) -> None:
    m, n, k = 2, 3, 4
    text = f"""(%a: buf f64[p], %b: buf f64[q], %c: buf f64[2, 6]) -> () {{
      gemm %a, i64(1), i64(5), %b, i64(2), i64(7), %c, i64(1), i64(6), i64({m}), i64({n}), i64({k}) {{
        transpose_a={transpose_a}, transpose_b={transpose_b}, accumulate={accumulate}}}
      return
    }}"""
    rng = np.random.default_rng(0)
    a, b, c = rng.normal(size=(5, 5)), rng.normal(size=(7, 7)), rng.normal(size=(2, 6))
    left = a.ravel()[1:21].reshape(4, 5)
    left = left[:k, :m].T if transpose_a else left[:m, :k]
    right = b.ravel()[2:44].reshape(6, 7)
    right = right[:n, :k].T if transpose_b else right[:k, :n]
    expected = c.copy()
    expected[:, 1:4] = left @ right + (c[:, 1:4] if accumulate else 0)
    interpret(program(text), a.ravel(), b.ravel(), c)
    np.testing.assert_allclose(c, expected)


def test_integers_wrap_without_a_warning() -> None:
    wraps = program("(%x: i64[]) -> (i64[]) { %0: i64[] = mul %x, %x return %0 }")
    (result,) = interpret(wraps, np.int64(1 << 40))
    assert result == 0


def test_long_programs_run() -> None:
    with Builder() as builder:
        y = x = builder.param(ArrayType(np.dtype("d"), (symbol("n"),)))
        for _ in range(10_000):
            y = PRIMITIVES["maximum"](PRIMITIVES["sin"](y), x)
        function = builder.finish([y])
    (result,) = interpret(function, np.array([-1.0, 0.0]))
    assert result.shape == (2,)
