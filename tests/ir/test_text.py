"""The text form: what is printed is read back, and programs that mean the same have the same fingerprint."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from tests.ir.strategies import functions
from tracejit.ir.builder import Builder
from tracejit.ir.core import Function, Literal, walk
from tracejit.ir.dims import symbol
from tracejit.ir.parser import ParseError, parse
from tracejit.ir.primitive import PRIMITIVES
from tracejit.ir.printer import fingerprint, format_function
from tracejit.ir.types import ArrayType

PROGRAM = """\
func @"<lambda>"[k](%0: f64[n, m], %1: c64[], %2: buf f64[2*n+1]) -> (f64[n, m] in %0, f64[]) where {n-1 >= 0, -k+m == 0} {
  %3: f64[n, m] = add %0, f64(-0.0)  # foo.py:12
  %4: f64[] = reduce_sum %3 {axes=(0, 1), by=x"00ff", c=&"foo", d=<m*n+floordiv(n, 2)>, e=(), f=1e-05, mi=-inf, n=None}
  %5: f64[], %6: f64[] = for i64(0), i64(3), f64(1.0), f64(nan) {kind="reduce"} (%7: i64[], %8: f64[], %9: f64[]) {  # a.py:3
    %10: f64[] = add %8, f64(1e-300)
    yield %10, %9
  }
  store %5, %2, i64(0)
  if bool(True) () {
    yield
  } @"other branch"() {
    yield
  }
  %11: c64[] = add %1, c64(nan, -0.0)
  return %3, %5
}"""  # noqa: E501  (the text form has one line an equation)


def test_text_is_canonical() -> None:
    assert str(parse(PROGRAM)) == PROGRAM


@given(functions())
@settings(max_examples=80, deadline=None)
def test_round_trip(function: Function) -> None:
    text = format_function(function)
    again = parse(text)
    assert format_function(again) == text
    assert again.sizes == function.sizes
    assert again.aliases == function.aliases
    assert [g.dim for g in again.guards] == [g.dim for g in function.guards]
    for old, new in zip(walk(function), walk(again), strict=True):
        assert [r.type for r in new.results] == [r.type for r in old.results]
        literals = [(o, p) for o, p in zip(old.operands, new.operands, strict=True) if isinstance(o, Literal)]
        assert all(o == p for o, p in literals)


@given(functions(), functions())
@settings(max_examples=40, deadline=None)
def test_fingerprints_are_equal_when_texts_are(a: Function, b: Function) -> None:
    assert fingerprint(a) == fingerprint(parse(format_function(a)))
    if format_function(a, locations=False) == format_function(b, locations=False):
        assert fingerprint(a) == fingerprint(b)


def variants() -> list[str]:
    return [
        "(%0: f64[n]) -> (f64[n]) { %1: f64[n] = add %0, f64(1.0) return %1 }",
        "(%0: f32[n]) -> (f32[n]) { %1: f32[n] = add %0, f32(1.0) return %1 }",
        "(%0: f64[m]) -> (f64[m]) { %1: f64[m] = add %0, f64(1.0) return %1 }",
        "(%0: f64[n]) -> (f64[n]) { %1: f64[n] = add %0, f64(2.0) return %1 }",
        "(%0: f64[n]) -> (f64[n]) { %1: f64[n] = sub %0, f64(1.0) return %1 }",
        "(%0: f64[n]) -> (f64[n]) { %1: f64[n] = add f64(1.0), %0 return %1 }",
        "(%0: f64[n]) -> (f64[n]) { %1: f64[n] = add %0, %0 return %1 }",
        "(%0: f64[n]) -> (f64[n] in %0) { %1: f64[n] = add %0, f64(1.0) return %1 }",
        "(%0: f64[n]) -> (f64[n]) where {n >= 0} { %1: f64[n] = add %0, f64(1.0) return %1 }",
        "[k](%0: f64[n]) -> (f64[n]) { %1: f64[n] = add %0, f64(1.0) return %1 }",
        "(%0: f64[n]) -> (f64[n]) { %1: f64[n] = slice %0 {starts=(0,), sizes=(<n>,), steps=(1,)} return %1 }",
        "(%0: f64[n]) -> (f64[n]) { %1: f64[n] = slice %0 {starts=(0,), sizes=(<n>,), steps=(-1,)} return %1 }",
    ]


def test_fingerprints_differ_when_programs_do() -> None:
    prints = {fingerprint(parse(f"func @f{text}")) for text in variants()}
    assert len(prints) == len(variants())


def test_fingerprints_ignore_locations() -> None:
    text = "func @f(%0: f64[n]) -> (f64[n]) {\n %1: f64[n] = sin %0  # a.py:1\n return %1 }"
    assert fingerprint(parse(text)) == fingerprint(parse(text.replace("a.py:1", "b.py:2")))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("func f", "line 1: '(' was expected, not 'f', in: func f"),
        ("func @f() -> () { return %1 }", "line 1: a value that is defined above was expected"),
        ("func @f() -> () {\n frobnicate\n return }", "line 2: an operation was expected, not 'frobnicate'"),
        ("func @f(%a: q8[]) -> () { return }", "a dtype was expected, not 'q8'"),
        ("func @f() -> () { return } }", "the end of the text was expected"),
        ("func @f() -> () ; { return }", "';"),
        ("func @f(%a: f64[]) -> () { %a: f64[] = neg %a return }", "a name other than %a"),
    ],
)
def test_errors_name_the_line(text: str, message: str) -> None:
    with pytest.raises(ParseError) as error:
        parse(text)
    assert message in str(error.value)


@pytest.mark.slow
def test_long_programs() -> None:
    with Builder() as builder:
        y = x = builder.param(ArrayType(np.dtype("d"), (symbol("n"),)))
        for _ in range(10_000):
            y = PRIMITIVES["mul"](PRIMITIVES["sin"](y), x)
        function = builder.finish([y])
    assert str(parse(str(function))) == str(function)
    assert len(fingerprint(function)) == 40
