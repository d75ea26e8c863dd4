"""Algebra that is exact for every dtype it is applied to: the same bits, NaN and signed zeros included."""

from __future__ import annotations

import tracejit.ir.ops  # noqa: F401  (declares the primitives)
from tracejit.ir.pattern import attr, is_bool, is_complex, is_float, is_integer, rule, rules, var
from tracejit.ir.primitive import PRIMITIVES as P

__all__ = ["ALGEBRA"]

x, y, c = var("x"), var("y"), var("c")
dtype, inner = attr("dtype"), attr("inner")


# A complex number times one has other zeros, and NaN in both parts where one part is infinite or NaN.
ALGEBRA = rules(
    rule("negate_twice", P["neg"](P["neg"](x)), x),
    rule("not_twice", P["logical_not"](P["logical_not"](x)), x, where=is_bool(x)),
    rule("invert_twice", P["bitwise_not"](P["bitwise_not"](x)), x),
    rule("multiply_by_one", x * 1, x, where=~is_complex(x)),
    rule("divide_by_one", P["div"](x, 1), x, where=~is_complex(x)),
    rule("power_of_one", P["pow"](x, 1), x),
    rule("square", P["pow"](x, 2), lambda x: x * x),
    rule("add_zero", x + 0, x, where=is_integer(x)),
    rule("subtract_zero", x - 0, x),
    rule("multiply_by_zero", x * 0, 0, where=is_integer(x)),
    rule("subtract_itself", x - x, 0, where=is_integer(x)),
    rule("subtract_negative", x - P["neg"](y), lambda x, y: x + y, where=is_float(x)),
    rule("add_negative", x + P["neg"](y), lambda x, y: x - y),
    rule("and_itself", x & x, x),
    rule("or_itself", x | x, x),
    rule("select_same", P["select"](c, x, x), x),
    rule("select_not", P["select"](P["logical_not"](c), x, y), lambda c, x, y: P["select"](c, y, x), where=is_bool(c)),
    rule("maximum_itself", P["maximum"](x, x), x),
    rule("minimum_itself", P["minimum"](x, x), x),
    rule("absolute_twice", P["abs"](P["abs"](x)), lambda x: P["abs"](x)),
    rule("absolute_of_negative", P["abs"](P["neg"](x)), lambda x: P["abs"](x), where=is_float(x)),
    rule(
        "cast_to_own",
        P["cast"](x, dtype=dtype),
        lambda x, dtype: x if x.type.dtype == dtype else None,
    ),
    rule("conjugate_twice", P["conj"](P["conj"](x)), x),
)
