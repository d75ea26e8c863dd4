"""Numerically safer forms of what was written. Each is more accurate than NumPy's evaluation, hence not bitwise equal.

``jit(exact=True)`` switches all of them off.
"""

from __future__ import annotations

from typing import Any

import tracejit.ir.ops  # noqa: F401  (declares the primitives)
from tracejit.ir.core import Operand
from tracejit.ir.dims import DimLike
from tracejit.ir.pattern import Captures, Condition, RuleBuilder, attr, is_float, rule, rules, var
from tracejit.ir.primitive import PRIMITIVES as P

__all__ = ["STABLE"]

x, y, z = var("x"), var("y"), var("z")
axes, dims, places = attr("axes"), attr("dims"), attr("places")

exp, log, log1p = P["exp"], P["log"], P["log1p"]
sigmoid, softplus = P["sigmoid"], P["softplus"]


def _spread(reduced: Operand, dims: tuple[DimLike, ...], axes: tuple[int, ...]) -> Any:
    return P["broadcast"](reduced, dims=dims, axes=tuple(a for a in range(len(dims)) if a not in axes))


def _shift(x: Operand, axes: tuple[int, ...]) -> tuple[Any, Any]:
    """The maximum over axes (0 where it is infinite), and x without it."""
    top = P["reduce_max"](x, axes=axes)
    top = P["select"](P["isfinite"](top), top, 0)
    top = P["stop_gradient"](top)
    return top, x - (_spread(top, x.dims, axes) if top.dims != x.dims else top)


def _without_maximum(captures: Captures, builder: RuleBuilder) -> bool:
    """Whether the user has not yet subtracted the maximum."""
    eqn = builder.producers.get(captures["x"])
    if eqn is None or eqn.op.name != "sub":
        return True
    eqn = builder.producers.get(eqn.operands[1])
    while eqn is not None and eqn.op.name in ("broadcast", "reshape", "stop_gradient", "select"):
        eqn = builder.producers.get(eqn.operands[1 if eqn.op.name == "select" else 0])
    return eqn is None or eqn.op.name != "reduce_max"


def _log_sum_exp(x: Operand, axes: tuple[int, ...]) -> Any:
    if any(x.dims[a] == 0 for a in axes):
        return None
    top, shifted = _shift(x, axes)
    return log(P["reduce_sum"](exp(shifted), axes=axes)) + top


def _softmax(x: Operand, axes: tuple[int, ...], dims: tuple[DimLike, ...], places: tuple[int, ...]) -> Any:
    kept = tuple(a for a in range(len(dims)) if a not in axes)
    if places != kept or dims != x.dims or any(x.dims[a] == 0 for a in axes):
        return None
    _, shifted = _shift(x, axes)
    e = exp(shifted)
    return e / _spread(P["reduce_sum"](e, axes=axes), dims, axes)


def _softmax_of_all(x: Operand, axes: tuple[int, ...]) -> Any:
    if len(axes) != x.rank:
        return None
    return _softmax(x, axes, x.dims, ())


STABLE = rules(
    rule("log_of_one_plus", log(1 + x), log1p(x), where=is_float(x), exact=False),
    rule("log_of_one_minus", log(1 - x), log1p(-x), where=is_float(x), exact=False),
    rule("exp_minus_one", exp(x) - 1, P["expm1"](x), where=is_float(x), exact=False),
    rule("one_minus_exp", 1 - exp(x), -P["expm1"](x), where=is_float(x), exact=False),
    rule("log_of_exp", log(exp(x)), x, where=is_float(x), exact=False),
    rule("log_of_square_root", log(P["sqrt"](x)), lambda x: log(x) * 0.5, where=is_float(x), exact=False),
    rule("softplus", log1p(exp(x)), softplus(x), where=is_float(x), exact=False),
    rule("sigmoid", P["div"](1, 1 + exp(-x)), sigmoid(x), where=is_float(x), exact=False),
    rule("sigmoid_of_negative", P["div"](1, 1 + exp(x)), lambda x: sigmoid(-x), where=is_float(x), exact=False),
    rule("sigmoid_as_ratio", P["div"](exp(x), 1 + exp(x)), sigmoid(x), where=is_float(x), exact=False),
    rule(
        "scaled_sigmoid", P["div"](y, 1 + exp(x)) * exp(x), lambda x, y: y * sigmoid(x), where=is_float(x), exact=False
    ),
    rule("one_minus_sigmoid", 1 - sigmoid(x), sigmoid(-x), where=is_float(x), exact=False),
    rule("log_of_sigmoid", log(sigmoid(x)), -softplus(-x), where=is_float(x), exact=False),
    rule("log_of_one_minus_sigmoid", log1p(-sigmoid(x)), -softplus(x), where=is_float(x), exact=False),
    rule(
        "log_of_exp_ratio_by_row",
        log(P["div"](exp(x), P["broadcast"](y, dims=dims, axes=axes))),
        lambda x, y, dims, axes: x - P["broadcast"](log(y), dims=dims, axes=axes),
        where=is_float(x),
        exact=False,
    ),
    rule("log_of_exp_ratio", log(P["div"](exp(x), y)), lambda x, y: x - log(y), where=is_float(x), exact=False),
    rule(
        "log_sum_exp",
        log(P["reduce_sum"](exp(x), axes=axes)),
        _log_sum_exp,
        where=is_float(x) & Condition(_without_maximum),
        exact=False,
    ),
    rule(
        "softmax",
        P["div"](exp(x), P["broadcast"](P["reduce_sum"](exp(x), axes=axes), dims=dims, axes=places)),
        _softmax,
        where=is_float(x) & Condition(_without_maximum),
        exact=False,
    ),
    rule(
        "softmax_of_all",
        P["div"](exp(x), P["reduce_sum"](exp(x), axes=axes)),
        _softmax_of_all,
        where=is_float(x) & Condition(_without_maximum),
        exact=False,
    ),
)
