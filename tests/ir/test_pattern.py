"""Rewrite rules: matching, conditions, and the builder that applies them."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

import tracejit.ir.ops  # noqa: F401
from tracejit.errors import VerifyError
from tracejit.ir.builder import Builder
from tracejit.ir.core import Function
from tracejit.ir.dims import symbol
from tracejit.ir.parser import parse
from tracejit.ir.pattern import (
    Rule,
    RuleSet,
    apply_rules,
    attr,
    constant,
    is_float,
    is_integer,
    is_literal,
    is_scalar,
    named,
    rule,
    rules,
    single_use,
    var,
)
from tracejit.ir.primitive import PRIMITIVES
from tracejit.ir.types import ArrayType
from tracejit.ir.verifier import verify

x, y, z = var("x"), var("y"), var("z")
c, d = constant("c"), constant("d")
add, sub, mul, log, log1p, exp, sin, transpose = (
    PRIMITIVES[name] for name in ("add", "sub", "mul", "log", "log1p", "exp", "sin", "transpose")
)


def body(function: Function) -> list[str]:
    return [line.strip() for line in str(function).splitlines()[1:-1]]


def rewritten(text: str, *declared: Rule, **options: Any) -> list[str]:
    function = apply_rules(verify(parse(f"func @f{text}")), rules(*declared), **options)
    return body(verify(function))


SQUARE = "(%x: f64[n]) -> (f64[n]) {{ %a: f64[n] = {} return %a }}"


def test_literals_match_bit_for_bit() -> None:
    remove = rule("add_zero", x + -0.0, x)
    assert rewritten(SQUARE.format("add %x, f64(-0.0)"), remove) == ["return %0"]
    assert rewritten(SQUARE.format("add f64(-0.0), %x"), remove) == ["return %0"]
    assert len(rewritten(SQUARE.format("add %x, f64(0.0)"), remove)) == 2
    assert len(rewritten(SQUARE.format("sub %x, f64(-0.0)"), remove)) == 2


def test_operands_that_do_not_commute_keep_their_order() -> None:
    assert rewritten(SQUARE.format("sub %x, f64(0.0)"), rule("sub_zero", x - 0, x)) == ["return %0"]
    assert len(rewritten(SQUARE.format("sub f64(0.0), %x"), rule("sub_zero", x - 0, x))) == 2


def test_matching_tries_every_order_together() -> None:
    """Only one combination of the orders of both products fits."""
    factor = rule("factor", x * y + x * z, lambda x, y, z: x * (y + z), exact=False)
    for products in [("%a, %b", "%a, %c"), ("%b, %a", "%a, %c"), ("%b, %a", "%c, %a"), ("%a, %b", "%c, %a")]:
        text = (
            "(%a: f64[], %b: f64[], %c: f64[]) -> (f64[]) {{ %p: f64[] = mul {} %q: f64[] = mul {} "
            "%r: f64[] = add %p, %q return %r }}"
        ).format(*products)
        assert rewritten(text, factor) == ["%3: f64[] = add %1, %2", "%4: f64[] = mul %0, %3", "return %4"]


def test_repeated_variables_mean_the_same_operand() -> None:
    cancel = rule("sub_self", x - x, 0, fastmath=True)
    zeros = ["%1: f64[n] = broadcast f64(0.0) {axes=(), dims=(<n>,)}", "return %1"]
    assert rewritten(SQUARE.format("sub %x, %x"), cancel, fastmath=True) == zeros
    assert len(rewritten(SQUARE.format("sub %x, f64(1.0)"), cancel, fastmath=True)) == 2


def test_attributes_are_captured() -> None:
    p, q = attr("p"), attr("q")
    twice = rule(
        "transpose_twice",
        transpose(transpose(x, perm=p), perm=q),
        lambda x, p, q: transpose(x, perm=tuple(p[i] for i in q)),
    )
    nothing = rule("transpose_nothing", transpose(x, perm=(0, 1)), x)
    text = (
        "(%x: f64[n, m]) -> (f64[n, m]) { %a: f64[m, n] = transpose %x {perm=(1, 0)} "
        "%b: f64[n, m] = transpose %a {perm=(1, 0)} return %b }"
    )
    assert rewritten(text, twice, nothing) == ["return %0"]
    equal = rule("same_twice", transpose(transpose(x, perm=p), perm=p), lambda x: x)
    assert rewritten(text, equal) == ["return %0"]


def test_conditions() -> None:
    text = SQUARE.format("mul %x, f64(0.0)")
    for where, applies in [
        (is_float(x), True),
        (is_integer(x), False),
        (~is_integer(x), True),
        (is_float(x) & is_scalar(x), False),
        (is_scalar(x) | is_float(x), True),
        (is_literal(x), False),
        (lambda x: x.rank == 1, True),
        (lambda x: x.rank == 2, False),
    ]:
        assert ("mul" not in rewritten(text, rule("r", x * 0, 1, where=where))[0]) is applies


def test_single_use() -> None:
    inner = named("inner", exp(x))
    fold = rule("log_of_exp", log(inner), x, where=single_use(inner), exact=False)
    once = "(%x: f64[]) -> (f64[]) { %a: f64[] = exp %x %b: f64[] = log %a return %b }"
    more = "(%x: f64[]) -> (f64[], f64[]) { %a: f64[] = exp %x %b: f64[] = log %a %c: f64[] = sin %a return %b, %c }"
    assert rewritten(once, fold) == ["return %0"]
    assert "log" in rewritten(more, fold)[1]


def test_exactness() -> None:
    stable = rule("log_of_1p", log(1 + x), log1p(x), exact=False)
    fast = rule("assoc", (x + c) + d, x + (c + d), fastmath=True)
    text = (
        "(%x: f64[n]) -> (f64[n], f64[n]) { %a: f64[n] = add %x, f64(1.0) %b: f64[n] = log %a "
        "%c: f64[n] = add %a, f64(2.0) return %b, %c }"
    )
    assert "log1p" in " ".join(rewritten(text, stable, fast))
    assert "log1p" not in " ".join(rewritten(text, stable, fast, exact=True))
    assert "f64(3.0)" not in " ".join(rewritten(text, stable, fast))
    assert "f64(3.0)" in " ".join(rewritten(text, stable, fast, fastmath=True))


def test_replacements_are_rewritten_too() -> None:
    h: Counter[str] = Counter()
    to_double = rule("double", x + x, lambda x: x * 2)
    to_sin = rule("sin", x * 2, sin(x))
    assert rewritten(SQUARE.format("add %x, %x"), to_double, to_sin, hits=h) == ["%1: f64[n] = sin %0", "return %1"]
    assert h == {"double": 1, "sin": 1}


def test_functions_may_decline_and_see_the_type() -> None:
    seen = []

    def right(x: Any, result: ArrayType) -> None:
        seen.append(str(result))

    assert len(rewritten(SQUARE.format("sin %x"), rule("never", sin(x), right))) == 2
    assert seen == ["f64[n]"]


def test_regions_are_rewritten() -> None:
    text = (
        "(%x: f64[]) -> (f64[]) { %b: f64[] = fori_loop i64(0), i64(3), %x {carries=1} "
        "(%i: i64[], %c: f64[]) { %q: f64[] = mul %c, f64(1.0) yield %q } return %b }"
    )
    assert "mul" not in " ".join(rewritten(text, rule("mul_one", x * 1, x)))


def test_rules_that_grow_are_stopped_by_name() -> None:
    growing = rule("grow", sin(x), lambda x: sin(x + x))
    with pytest.raises(VerifyError, match="rules that do not come to an end: grow"):
        rewritten(SQUARE.format("sin %x"), growing)


def test_rules_that_undo_each_other_come_to_an_end() -> None:
    there = rule("there", x - y, lambda x, y: x + (-y))
    back = rule("back", x + (-y), lambda x, y: x - y)
    assert len(rewritten(SQUARE.format("sub %x, %x"), there, back)) <= 3


def test_the_budget_names_the_rule() -> None:
    lines = " ".join(f"%{k}: f64[n] = mul %x, f64({k}.0)" for k in range(5))
    text = f"(%x: f64[n]) -> (f64[n], f64[n]) {{ {lines} return %3, %4 }}"
    to_sum = rule("to_sum", x * c, lambda x, c: x + c)
    with pytest.raises(VerifyError, match="rule to_sum was applied 4 times"):
        rewritten(text, to_sum, budget=3)


def test_replacements_keep_the_type() -> None:
    with pytest.raises(VerifyError, match=r"rule bad replaces f64\[n\] by bool\[n\]"):
        rewritten(SQUARE.format("sin %x"), rule("bad", sin(x), lambda x: x < 0))


def test_declarations_are_checked() -> None:
    with pytest.raises(TypeError, match="the left side must be an operation"):
        rule("bad", x, x)
    with pytest.raises(TypeError, match="the right side uses y"):
        rule("bad", sin(x), sin(y))
    with pytest.raises(ValueError, match="rules with the same name: a"):
        rules(rule("a", sin(x), x), rule("a", exp(x), x))
    nested = rules(rules(rule("a", sin(x), x)), rule("b", exp(x), x))
    assert isinstance(nested, RuleSet)
    assert [r.name for r in nested] == ["a", "b"]
    assert len(nested) == 2


def test_rewriting_is_linear() -> None:
    """Twice the program takes about twice the number of attempts, and long programs do not recurse."""
    with Builder() as builder:
        value = builder.param(ArrayType(np.dtype("d"), (symbol("n"),)))
        for _ in range(5_000):
            value = mul(add(value, 1.0), 1.0)
        function = builder.finish([value])
    hits: Counter[str] = Counter()
    result = apply_rules(function, rules(rule("mul_one", x * 1, x)), hits=hits)
    assert len(result.eqns) == 5_000
    assert hits["mul_one"] == 5_000
