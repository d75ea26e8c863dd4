"""exp, exp2, expm1 and the logistic function.

All share one scheme: x = n*ln2 + r with |r| <= ln2/2, a polynomial for e**r, and a scaling by 2**n through the exponent
bits. Coefficients are minimax for the stated interval and weight, rounded one after the other.
"""

from __future__ import annotations

from tracejit.codegen_llvm.vector_math.builder import Builder, Operand, Pair, Value

LOG2_E = 1.4426950408889634

# ln2 in two parts, the first so short that n * high is exact for every exponent n.
LN2 = {
    "f64": (0.6931471805598903, 5.497923018708371e-14),
    "f32": (0.693145751953125, 1.428606765330187e-06),
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

# The same weighted for e**r - 1: relative error of e**r - 1 2**-60.5 and 2**-28.1.
EXPM1_TAIL = {
    "f64": (
        0.5,
        0.16666666666666677,
        0.041666666666666685,
        0.008333333333321839,
        0.0013888888888896806,
        0.00019841269885023942,
        2.4801587256457833e-05,
        2.755724552576344e-06,
        2.755736548371963e-07,
        2.5108565446950478e-08,
        2.0877567976329073e-09,
    ),
    "f32": (
        0.5,
        0.16666635870933533,
        0.041666511446237564,
        0.008341512642800808,
        0.0013929955894127488,
        0.00015023395826574415,
    ),
}

# (2**r - 1) / r on |r| <= 1/2, weighted for 2**r: relative error of 2**r 2**-55.8 and 2**-26.2.
EXP2_QUOTIENT = {
    "f64": (
        0.6931471805599453,
        0.24022650695910172,
        0.055504108664824574,
        0.009618129107577068,
        0.0013333558145567307,
        0.0001540353047890924,
        1.5252734737187267e-05,
        1.3215424372939582e-06,
        1.0177659191485412e-07,
        7.075639465923017e-09,
        4.5179351213939907e-10,
    ),
    "f32": (
        0.6931471824645996,
        0.24022594094276428,
        0.055503662675619125,
        0.009625443257391453,
        0.001338793197646737,
        0.00013333436800166965,
    ),
}

# The arguments beyond which the result is 0 (or -1) or infinite; up to here the scaling works.
EXP_RANGE = {"f64": (-746.0, 710.0), "f32": (-104.0, 89.0)}
EXP2_RANGE = {"f64": (-1080.0, 1025.0), "f32": (-155.0, 129.0)}
EXPM1_RANGE = {"f64": (-40.0, 710.0), "f32": (-20.0, 89.0)}

# Below this the functions f with f(x) = x + O(x**2) round to x.
NEGLIGIBLE = {"f64": 2.0**-54, "f32": 2.0**-25}


def clamp(b: Builder, x: Value, limits: tuple[float, float]) -> Value:
    """x limited to a range; nan stays."""
    return b.at_least(b.at_most(x, limits[1]), limits[0])


def reduce_by_ln2(b: Builder, x: Value, offset: int) -> Pair:
    """(r, raw) with x = n * ln2 + r and raw bits whose low part is n + offset."""
    n, raw = b.round_to_integer(x, LOG2_E, offset)
    high, low = LN2[b.format.name]
    return b.fma(n, -low, b.fma(n, -high, x)), raw


def subtract_ln2(b: Builder, x: Value, n: Value) -> tuple[Value, Value, Value]:
    """(r, high, low): x - n * ln2 as a rounded number r and as a sum whose high part is exact."""
    long, short = LN2[b.format.name]
    high, low = b.fma(n, -long, x), n * -short
    return high + low, high, low


def exp_minus_one_of_rest(b: Builder, r: Value) -> Value:
    """e**r - 1 for |r| <= ln2/2, exact enough to have one added to it."""
    return b.fma(r * r, b.polynomial(r, EXP_TAIL[b.format.name]), r)


def exp_parts(b: Builder, x: Value, low: Value) -> Pair:
    """(g, raw) with e**(x + low) = (1 + g) * 2**n and raw bits whose low part is n + 2 * bias, for x in `EXP_RANGE`."""
    n, raw = b.round_to_integer(x, LOG2_E, 2 * b.format.bias)
    high, low = b.fma(n, -LN2[b.format.name][0], x), b.fma(n, -LN2[b.format.name][1], low)
    r = high + low
    # The leading term is exact, and the low part is rounded together with the square.
    growth = high + b.fma(r * r, b.polynomial(r, EXP_TAIL[b.format.name]), low)
    return growth, raw


def exp(b: Builder, x: Value) -> Value:
    """e**x."""
    r, raw = reduce_by_ln2(b, clamp(b, x, EXP_RANGE[b.format.name]), 2 * b.format.bias)
    return b.scale(exp_minus_one_of_rest(b, r) + 1.0, raw)


def exp2(b: Builder, x: Value) -> Value:
    """2**x."""
    return exp2_of_sum(b, clamp(b, x, EXP2_RANGE[b.format.name]), None)


def exp2_of_sum(b: Builder, x: Value, low: Value | None) -> Value:
    """2**(x + low) for x in `EXP2_RANGE` and low small against one."""
    n, raw = b.round_to_integer(x, 1.0, 2 * b.format.bias)
    rest = x - n if low is None else (x - n) + low
    return b.scale(b.fma(rest, b.polynomial(rest, EXP2_QUOTIENT[b.format.name]), 1.0), raw)


def expm1(b: Builder, x: Value) -> Value:
    """e**x - 1 without cancellation."""
    # Half of 2**n, so that n = bias + 1 can be represented; the doubling at the end is exact or overflows rightly.
    limited = clamp(b, x, EXPM1_RANGE[b.format.name])
    n, raw = b.round_to_integer(limited, LOG2_E, b.format.bias - 1)
    r, high, low = subtract_ln2(b, limited, n)
    half_power = b.power_of_two(raw)
    tail = b.fma(r * r, b.polynomial(r, EXPM1_TAIL[b.format.name]), low)
    # Where the terms cancel, the inner sum is exact.
    result = b.fma(half_power, tail, b.fma(half_power, high, half_power - 0.5)) * 2.0
    return keep_negligible(b, x, result)


def keep_negligible(b: Builder, x: Value, result: Operand) -> Value:
    """`result`, but x where |x| is so small that f(x) rounds to x; this keeps -0.0 and subnormals."""
    return b.select(b.absolute(x) < NEGLIGIBLE[b.format.name], x, result)


def sigmoid(b: Builder, x: Value) -> Value:
    """1 / (1 + e**-x)."""
    small = exp(b, -b.absolute(x))
    quotient, low = b.divide_pairs((b.select(x < 0.0, small, 1.0), None), b.sum_ordered(1.0, small))
    return quotient + low
