"""exp, exp2, expm1 and the logistic function.

All share one scheme: x = n*ln2 + r with |r| <= ln2/2, a polynomial for e**r, and a scaling by 2**n through the exponent bits.
Coefficients are minimax for the stated interval and weight, rounded one after the other.
"""

from __future__ import annotations

from tracejit.codegen_llvm.vector_math.builder import Builder, Pair, Value

LOG2_E = 1.4426950408889634

# ln2 in two parts, the first so short that n * high is exact for every exponent n.
LN2 = {
    "f64": (0.6931471805598903, 5.497923018708371e-14),
    "f32": (0.693145751953125, 1.4286068203094172e-06),
}

# (e**r - 1 - r) / r**2 on |r| <= 0.3467, weighted for e**r: relative error of e**r 2**-57.8 and 2**-28.2.
EXP_TAIL = {
    "f64": (
        0.5000000000000011,
        0.16666666666666435,
        0.041666666666525735,
        0.008333333333475678,
        0.0013888888944888977,
        0.0001984126955609178,
        2.480149170126494e-05,
        2.755753431554171e-06,
        2.7630779351032973e-07,
        2.50190320914149e-08,
    ),
    "f32": (0.4999999403953552, 0.16666516661643982, 0.04166810214519501, 0.008369198068976402, 0.0013838987797498703),
}

# The arguments beyond which e**x is 0 or infinite; up to here the scaling works.
EXP_RANGE = {"f64": (-746.0, 710.0), "f32": (-104.0, 89.0)}


def reduce_by_ln2(b: Builder, x: Value) -> Pair:
    """(r, raw) with x = n * ln2 + r and raw bits whose low part is n + 2 * bias."""
    n, raw = b.round_to_integer(x, LOG2_E, 2 * b.format.bias)
    high, low = LN2[b.format.name]
    return b.fma(n, -low, b.fma(n, -high, x)), raw


def exp(b: Builder, x: Value) -> Value:
    """e**x."""
    lowest, highest = EXP_RANGE[b.format.name]
    r, raw = reduce_by_ln2(b, b.at_least(b.at_most(x, highest), lowest))
    tail = b.fma(r * r, b.polynomial(r, EXP_TAIL[b.format.name]), r)
    return b.scale(tail + 1.0, raw)
