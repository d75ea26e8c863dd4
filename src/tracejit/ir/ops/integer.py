"""Integer division, bits, and number theory. Integers have no derivative; the float loops of division have."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.ir.ops.families import binary, unary

__all__ = [
    "bitwise_and",
    "bitwise_count",
    "bitwise_not",
    "bitwise_or",
    "bitwise_xor",
    "floordiv",
    "fmod",
    "gcd",
    "lcm",
    "mod",
    "shift_left",
    "shift_right",
]


def _truncated(x: Any, y: Any) -> Any:
    from tracejit.ir.ops.floating import trunc  # noqa: PLC0415  (roundings are declared with the floats)

    return trunc(x / y)


floordiv = binary("floordiv", np.floor_divide, None)
mod = binary("mod", np.remainder, (lambda d, out, x, y: d, lambda d, out, x, y: d * -floordiv(x, y)))
fmod = binary("fmod", np.fmod, (lambda d, out, x, y: d, lambda d, out, x, y: d * -_truncated(x, y)))

bitwise_and = binary("bitwise_and", np.bitwise_and, None, commutative=True)
bitwise_or = binary("bitwise_or", np.bitwise_or, None, commutative=True)
bitwise_xor = binary("bitwise_xor", np.bitwise_xor, None, commutative=True)
bitwise_not = unary("bitwise_not", np.invert, None)
shift_left = binary("shift_left", np.left_shift, None)
shift_right = binary("shift_right", np.right_shift, None)
bitwise_count = unary("bitwise_count", np.bitwise_count, None)
gcd = binary("gcd", np.gcd, None, commutative=True)
lcm = binary("lcm", np.lcm, None, commutative=True)
