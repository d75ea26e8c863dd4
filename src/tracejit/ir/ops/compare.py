"""Comparisons, predicates, and what picks one of two operands by comparing them."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.ir.ops.elementwise import select
from tracejit.ir.ops.families import binary, compare, unary
from tracejit.ir.primitive import literal_like

__all__ = [
    "eq",
    "fmax",
    "fmin",
    "ge",
    "gt",
    "isfinite",
    "isinf",
    "isnan",
    "le",
    "logical_not",
    "lt",
    "maximum",
    "minimum",
    "ne",
    "signbit",
]

eq = compare("eq", np.equal, commutative=True)
ne = compare("ne", np.not_equal, commutative=True)
lt = compare("lt", np.less)
le = compare("le", np.less_equal)
gt = compare("gt", np.greater)
ge = compare("ge", np.greater_equal)

isnan = unary("isnan", np.isnan, None)
isinf = unary("isinf", np.isinf, None)
isfinite = unary("isfinite", np.isfinite, None)
signbit = unary("signbit", np.signbit, None)
logical_not = unary("logical_not", np.logical_not, None)


def _share(d: Any, out: Any, mine: Any, other: Any) -> Any:
    """All of the tangent where this operand won, half of it in a tie, nothing where it lost."""
    zero = literal_like(0, d)
    return select(eq(mine, other), d * 0.5, select(eq(out, mine), d, zero))


_SHARES = (lambda d, out, x, y: _share(d, out, x, y), lambda d, out, x, y: _share(d, out, y, x))

maximum = binary("maximum", np.maximum, _SHARES, commutative=True)
minimum = binary("minimum", np.minimum, _SHARES, commutative=True)
fmax = binary("fmax", np.fmax, _SHARES, commutative=True)
fmin = binary("fmin", np.fmin, _SHARES, commutative=True)
