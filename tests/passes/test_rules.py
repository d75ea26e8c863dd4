"""Every rewrite rule by its name: it applies to its sample, and keeps the value (exact rules bit for bit)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest

from tracejit.ir.builder import Builder
from tracejit.ir.core import Function
from tracejit.ir.dims import symbol
from tracejit.ir.interpreter import interpret
from tracejit.ir.ops import PRIMITIVES as P
from tracejit.ir.pattern import Node, Rule, Var, apply_rules, rules
from tracejit.ir.types import ArrayType
from tracejit.passes.pipeline import RULES

n, m = symbol("n"), symbol("m")
F8, I8, BOOL = np.dtype("f8"), np.dtype("i8"), np.dtype("?")

SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 5e-324, -1e-310, 1e308, -1e308, 1.0, -1.0, 2.0, 0.5, 3.0, -2.5, 1e-20]
MODERATE = [0.0, 1e-20, -1e-18, 1e-9, 0.5, -0.5, 1.0, -2.0, 10.0, -30.0, 1e-3, 0.9, 40.0, -40.0]
INTEGERS = [0, 1, -1, 2, 7, -13, np.iinfo(np.int64).max, np.iinfo(np.int64).min]


def spread(x: Any, axes: tuple[int, ...] = (0,)) -> Any:
    return P["broadcast"](x, dims=(n, m), axes=axes)


# What a rule with attributes is applied to: parameter dims, and the left side for them.
SAMPLES: dict[str, tuple[tuple[Any, ...], Callable[..., Any]]] = {
    "cast_to_own": ((n,), lambda x: P["cast"](x, dtype=F8)),
    "reshape_to_own": ((n, m), lambda x: P["reshape"](x, dims=(n, m))),
    "reshape_twice": ((n, m), lambda x: P["reshape"](P["reshape"](x, dims=(n * m,)), dims=(m, n))),
    "broadcast_to_own": ((n, m), lambda x: P["broadcast"](x, dims=(n, m), axes=(0, 1))),
    "broadcast_twice": ((n,), lambda x: P["broadcast"](spread(x), dims=(2, n, m), axes=(1, 2))),
    "broadcast_of_kept_dims": ((n,), lambda x: spread(P["reshape"](x, dims=(n, 1)), (0, 1))),
    "transpose_twice": ((n, m, 3), lambda x: P["transpose"](P["transpose"](x, perm=(1, 2, 0)), perm=(0, 2, 1))),
    "transpose_to_own": ((n, m), lambda x: P["transpose"](x, perm=(0, 1))),
    "slice_of_all": ((n,), lambda x: P["slice"](x, starts=(0,), sizes=(n,), steps=(1,))),
    "slice_twice": (
        (n,),
        lambda x: P["slice"](
            P["slice"](x, starts=(n - 1,), sizes=(n,), steps=(-1,)), starts=(1,), sizes=(3,), steps=(2,)
        ),
    ),
    "minimum_of_size_one": ((n, 1), lambda x: P["reduce_min"](x, axes=(1,))),
    "maximum_of_size_one": ((n, 1), lambda x: P["reduce_max"](x, axes=(1,))),
    "log_of_exp_ratio_by_row": (
        (n, m),
        lambda x: P["log"](P["div"](P["exp"](x), spread(P["reduce_sum"](P["exp"](x), axes=(1,))))),
    ),
    "log_sum_exp": ((n, m), lambda x: P["log"](P["reduce_sum"](P["exp"](x), axes=(1,)))),
    "softmax": ((n, m), lambda x: P["div"](P["exp"](x), spread(P["reduce_sum"](P["exp"](x), axes=(1,))))),
    "softmax_of_all": ((n,), lambda x: P["div"](P["exp"](x), P["reduce_sum"](P["exp"](x), axes=(0,)))),
}


def sides(chosen: Rule, dtype: np.dtype[Any]) -> tuple[Function, int]:
    """A program that is the rule's left side on fresh params, and how many of those there are."""
    with Builder() as builder:
        if chosen.name in SAMPLES:
            dims, make = SAMPLES[chosen.name]
            result = make(builder.param(ArrayType(dtype, dims)))
        elif chosen.name.endswith("_of_broadcast"):
            name = chosen.name.removesuffix("_of_broadcast")
            result = P[name](spread(builder.param(ArrayType(dtype, (n,)))))
        else:
            names: dict[str, Any] = {}
            result = instantiate(chosen.left, names, builder, dtype)
        builder.param(ArrayType(F8, (n, m)))  # says what the sizes are
        return builder.finish([result], name="left"), len(builder.params) - 1


def instantiate(pattern: Any, names: dict[str, Any], builder: Builder, dtype: np.dtype[Any]) -> Any:
    if isinstance(pattern, Var):
        if pattern.name not in names:
            own = BOOL if pattern.name == "c" else dtype
            names[pattern.name] = builder.param(ArrayType(own, (n,)))
        return names[pattern.name]
    if isinstance(pattern, Node):
        return pattern.op(*(instantiate(o, names, builder, dtype) for o in pattern.operands), **pattern.attrs)
    return pattern


def arrays(function: Function, exact: bool, seed: int) -> list[np.ndarray[Any, Any]]:
    random = np.random.default_rng(seed)
    made = []
    for param in function.params:
        shape = tuple({"n": 40, "m": 5}.get(str(d), d) for d in param.dims)
        if param.dtype == BOOL:
            made.append(random.integers(0, 2, shape).astype(bool))
        elif param.dtype == I8:
            made.append(random.choice(np.array(INTEGERS, np.int64), shape))
        else:
            made.append(random.choice(np.array(SPECIAL if exact else MODERATE), shape))
    return made


def dtype_for(chosen: Rule) -> list[np.dtype[Any]]:
    found = []
    for dtype in (F8, I8, BOOL):
        try:
            function, _ = sides(chosen, dtype)
            hits: Counter[str] = Counter()
            apply_rules(function, rules(chosen), hits=hits)
        except (TypeError, ValueError):
            continue
        if hits[chosen.name]:
            found.append(dtype)
    return found


@pytest.mark.parametrize("chosen", list(RULES), ids=lambda r: r.name)
def test_rule_keeps_the_value(chosen: Rule) -> None:
    dtypes = dtype_for(chosen)
    assert dtypes, f"no sample lets the rule {chosen.name} apply"
    for dtype in dtypes:
        left, _ = sides(chosen, dtype)
        right = apply_rules(left, rules(chosen))
        for seed in range(3):
            given = arrays(left, chosen.exact, seed)
            with np.errstate(all="ignore"):
                before, after = interpret(left, *given)[0], interpret(right, *given)[0]
                if chosen.exact:
                    np.testing.assert_array_equal(before, after)
                    assert (
                        np.array_equal(np.signbit(before), np.signbit(after))
                        or dtype != F8
                        or _nan_signs(before, after)
                    )
                else:
                    assert_no_worse(left, given, before, after, ABSOLUTE.get(chosen.name, 0.0))


# Differences x - log(y) instead of log(exp(x) / y): no overflow, for an absolute error of an ulp of the operands (up
# to 46).
ABSOLUTE = {"log_of_exp_ratio": 4 * np.spacing(46.0), "log_of_exp_ratio_by_row": 4 * np.spacing(46.0)}


def assert_no_worse(function: Function, given: list[Any], before: Any, after: Any, floor: float) -> None:
    """The rewritten result is within a few ulp of the exact one, or nearer to it than what was written."""
    for exact, old, new in zip(exact_values(function, given), np.ravel(before), np.ravel(after), strict=True):
        if mpmath.isnan(exact):
            assert np.isnan(new) == np.isnan(old)
        elif not mpmath.isinf(exact) and abs(exact) < 1e300:
            error, allowed = abs(mpmath.mpf(float(new)) - exact), floor + 64 * np.spacing(abs(float(exact)))
            assert error <= allowed or error <= abs(mpmath.mpf(float(old)) - exact), (exact, old, new)


def _nan_signs(before: Any, after: Any) -> bool:
    """Only NaNs, whose sign means nothing, differ in sign."""
    return bool(np.all(np.isnan(before) | (np.signbit(before) == np.signbit(after))))


def _real(function: Callable[..., Any]) -> Callable[..., Any]:
    def checked(*values: Any) -> Any:
        try:
            result = function(*values)
        except ZeroDivisionError:
            return mpmath.nan
        return mpmath.nan if isinstance(result, mpmath.mpc) else result

    return checked


PRECISE: dict[str, Callable[..., Any]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "neg": lambda a: -a,
    "exp": mpmath.exp,
    "log": mpmath.log,
    "log1p": lambda a: mpmath.log(1 + a),
    "sqrt": mpmath.sqrt,
    "sigmoid": lambda a: 1 / (1 + mpmath.exp(-a)),
    "softplus": lambda a: mpmath.log(1 + mpmath.exp(a)),
}


def exact_values(function: Function, given: list[np.ndarray[Any, Any]]) -> list[Any]:
    """The left side evaluated with 60 digits."""
    sizes = {"n": 40, "m": 5}
    with mpmath.workdps(60):
        to_exact = np.frompyfunc(lambda v: mpmath.mpf(float(v)), 1, 1)
        values: dict[Any, Any] = dict(zip(function.params, map(to_exact, given), strict=True))
        for eqn in function.eqns:
            operands = [values[o] if o in values else mpmath.mpf(float(o.value)) for o in eqn.operands]
            name = eqn.op.name
            if name in PRECISE:
                values[eqn.results[0]] = np.frompyfunc(_real(PRECISE[name]), len(operands), 1)(*operands)
            elif name == "reduce_sum":
                values[eqn.results[0]] = np.sum(operands[0], axis=eqn.attrs["axes"])
            else:
                dims = tuple(sizes.get(str(d), d) for d in eqn.attrs["dims"])
                values[eqn.results[0]] = P["broadcast"].reference(operands[0], dims=dims, axes=eqn.attrs["axes"])
        return list(np.ravel(values[function.results[0]]))


def test_softmax_of_huge_values_is_finite() -> None:
    left, _ = sides(next(r for r in RULES if r.name == "softmax"), F8)
    (result,) = interpret(apply_rules(left, RULES), np.array([[1000.0, 1001.0, 0.0]]), np.zeros((1, 3)))
    np.testing.assert_allclose(result.sum(), 1.0)


def test_exact_leaves_the_users_formula() -> None:
    left, _ = sides(next(r for r in RULES if r.name == "log_of_one_plus"), F8)
    assert any(eqn.op.name == "log1p" for eqn in apply_rules(left, RULES).eqns)
    assert not any(eqn.op.name == "log1p" for eqn in apply_rules(left, RULES, exact=True).eqns)
