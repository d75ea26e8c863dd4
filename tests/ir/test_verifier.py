"""Each rule of the IR, broken once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tracejit.errors import VerifyError
from tracejit.ir.core import Eqn, Function, Guard, Value
from tracejit.ir.dims import symbol
from tracejit.ir.parser import parse
from tracejit.ir.primitive import PRIMITIVES
from tracejit.ir.types import ArrayType
from tracejit.ir.verifier import level_of, verify

REDUCTION = """(%x: buf f64[n]) -> (f64[]) {{
  %n: i64[] = dim {{dim=<n>}}
  %s: f64[] = for i64(0), %n, f64(0.0) {{kind="reduce", ops=("add",)}} (%i: i64[], %a: f64[]) {{
    %v: f64[] = load %x, %i
    {body}
  }}
  return %s
}}"""

WRONG = [
    ("(%x: f64[n]) -> (f64[]) { %y: f64[] = sin %x return %y }", "sin gives f64[n], but f64[] is written"),
    ("(%x: f64[n]) -> (f32[n]) { %y: f32[n] = sin %x return %y }", "sin gives f64[n], but f32[n] is written"),
    ("(%x: i64[n]) -> (i64[n]) { %y: i64[n] = sin %x return %y }", "ufunc 'sin' not supported"),
    ("(%x: f64[n], %y: f64[m]) -> (f64[n]) { %z: f64[n] = add %x, %y return %z }", "operands have different dims"),
    ("(%x: f64[n]) -> () { %y: f64[n], %z: f64[n] = sin %x return }", "sin gives f64[n], but f64[n], f64[n]"),
    ("(%x: f64[n]) -> () { %y: f64[n] = sin %x {axis=1} return }", "unexpected keyword argument 'axis'"),
    ("(%x: f64[n]) -> () { %y: f64[n] = add %x return }", "missing 1 required positional argument"),
    ("() -> () { %y: f64[k] = iota {dtype=f64, dims=(<k>,), axis=0} return }", "nothing binds the sizes k"),
    ("(%x: buf f64[n]) -> () { %y: f64[] = sin %x return }", "sin of a buffer"),
    ("(%x: buf f64[n], %v: f64[n]) -> () { %y: f64[n] = sin %v return }", "at loop level arithmetic is of scalars"),
    ("(%x: buf f64[n], %v: f64[n]) -> () { %y: f64[] = reduce_sum %v {axes=(0,)} return }", "not exist at loop level"),
    ("(%x: f64[n] ) -> (f64[] in %x) { return f64(1.0) }", "result 0 of type f64[] is to be written to a param"),
    ("(%x: buf f64[n]) -> () { store f32(1.0), %x, i64(0) return }", "value [f32[]] where [f64[]] are needed"),
    ("(%x: buf f64[n]) -> () { %y: f64[] = load %x return }", "index into buf f64[n]"),
    (
        "(%x: f64[n]) -> (i64[]) { %b: i64[] = fori_loop i64(0), i64(3), i64(0), %x {carries=1} "
        "(%i: i64[], %c: i64[], %z: f64[n]) { %q: f64[n] = sin %x yield %c } return %b }",
        "an operand of type f64[n] belongs to another region",
    ),
    (
        "(%p: bool[]) -> (f64[]) { %x: f64[] = if %p () { %y: f64[] = sin f64(1.0) yield %y } () { yield %y } "
        "return %x }",
        "a result of type f64[] belongs to another region",
    ),
    (
        '(%n: i64[]) -> () { %x: f64[] = for i64(0), %n, f64(0.0) {kind="vector"} (%i: i64[], %a: f64[]) { yield %a } '
        "return }",
        "a vector loop has no carries",
    ),
    (REDUCTION.format(body="%b: f64[] = mul %a, %v yield %b"), "a reduction by add must yield add of its carry"),
    (REDUCTION.format(body="%b: f64[] = add %v, %v yield %b"), "a reduction by add must yield add of its carry"),
    (
        REDUCTION.format(body="%w: f64[] = sin %a %b: f64[] = add %a, %v yield %b"),
        "carry of a reduction by add is used",
    ),
    (REDUCTION.format(body="%b: f64[] = add %a, %a yield %b"), "carry of a reduction by add is used"),
]


@pytest.mark.parametrize(("text", "message"), WRONG)
def test_broken_rules_are_found(text: str, message: str) -> None:
    with pytest.raises(VerifyError) as error:
        verify(parse(f"func @f{text}"))
    assert message in str(error.value)


def test_a_right_reduction_passes() -> None:
    verify(parse(f"func @f{REDUCTION.format(body='%b: f64[] = add %v, %a yield %b')}"))


def test_use_before_definition() -> None:
    x = Value(ArrayType(np.dtype("d")))
    sin = Eqn(PRIMITIVES["sin"], (x,), {}, (), (Value(x.type),))
    with pytest.raises(VerifyError, match="is not defined before its use"):
        verify(Function("f", (), (sin,), ()))


def test_defined_twice() -> None:
    x = Value(ArrayType(np.dtype("d")))
    sin = Eqn(PRIMITIVES["sin"], (x,), {}, (), (Value(x.type),))
    with pytest.raises(VerifyError, match="is defined twice"):
        verify(Function("f", (x,), (sin, sin), ()))


def test_unhashable_attributes_and_bad_guards() -> None:
    x = Value(ArrayType(np.dtype("d")))
    moved = Eqn(PRIMITIVES["transpose"], (x,), {"perm": []}, (), (Value(x.type),))
    with pytest.raises(VerifyError, match="perm is not hashable"):
        verify(Function("f", (x,), (moved,), ()))
    with pytest.raises(VerifyError, match="nothing binds the sizes n of a guard"):
        verify(Function("f", (x,), (), (), guards=(Guard(symbol("n"), ">= 0"),)))
    with pytest.raises(VerifyError, match="no relation of a guard"):
        verify(Function("f", (x,), (), (), guards=(Guard(0, "<"),)))


def test_levels() -> None:
    assert level_of(parse("func @f(%x: f64[n]) -> () { return }")) == "array"
    assert level_of(parse("func @f(%x: buf f64[n]) -> () { return }")) == "loop"
    with pytest.raises(VerifyError, match="a buffer at array level"):
        verify(parse("func @f(%x: buf f64[n]) -> () { return }"), level="array")


def test_the_message_shows_neighbours_and_the_source(tmp_path: Path) -> None:
    source = tmp_path / "model.py"
    source.write_text("import numpy as np\ny = np.sin(x)\n")
    lines = [f"%{k}: f64[n] = add %x, f64({k}.0)" for k in range(9)]
    lines[6] = f"%6: f64[] = sin %x  # {source}:2"
    text = "func @f(%x: f64[n]) -> () {\n" + "\n".join(lines) + "\nreturn }"
    with pytest.raises(VerifyError) as error:
        verify(parse(text))
    assert str(error.value).splitlines() == [
        "f: sin gives f64[n], but f64[] is written",
        "  %2: f64[n] = add %0, f64(1.0)",
        "  %3: f64[n] = add %0, f64(2.0)",
        "  %4: f64[n] = add %0, f64(3.0)",
        "  %5: f64[n] = add %0, f64(4.0)",
        "  %6: f64[n] = add %0, f64(5.0)",
        "> %7: f64[] = sin %0  # model.py:2",
        "  %8: f64[n] = add %0, f64(7.0)",
        "  %9: f64[n] = add %0, f64(8.0)",
        f"{source}:2: y = np.sin(x)",
    ]
