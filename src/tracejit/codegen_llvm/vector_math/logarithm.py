"""log, log2, log10, log1p and the functions built on log1p.

x = 2**n * m with m in [sqrt(1/2), sqrt(2)) from the exponent bits; log m = 2 artanh(s) with s = (m - 1) / (m + 1),
where the first terms of the series are arranged so that only small quantities are rounded.
"""

from __future__ import annotations

from tracejit.codegen_llvm.vector_math.builder import Builder, Operand, Pair, Value
from tracejit.codegen_llvm.vector_math.exponential import (
    EXP2_RANGE,
    EXP_RANGE,
    LN2,
    exp,
    exp2_of_sum,
    exp_parts,
    keep_negligible,
)

INFINITY = float("inf")
NAN = float("nan")

# (log((1+s)/(1-s)) - 2 s) / s**3 in s**2 on |s| <= 0.1717: relative error of the logarithm 2**-59.4 and 2**-35.2.
LOG_TAIL = {
    "f64": (
        0.6666666666666735,
        0.39999999999409064,
        0.28571428743804506,
        0.22222198411880584,
        0.18183573485780385,
        0.1531379735662759,
        0.1479866316345768,
    ),
    "f32": (0.6666666269302368, 0.40000972151756287, 0.284988135099411, 0.24278348684310913),
}

# 1/ln2, 1/ln10 and log10(2): high and low part; the last one's high part is short, so that n times it is exact.
LOG2_E = {
    "f64": (1.4426950408889634, 2.0355273740931033e-17),
    "f32": (1.4426950216293335, 1.925963033500011e-08),
}
LOG10_E = {
    "f64": (0.4342944819032518, 1.098319650216765e-17),
    "f32": (0.4342944920063019, -1.0103049952192578e-08),
}
LOG10_2 = {
    "f64": (0.30102999566395283, 2.8363394551044964e-14),
    "f32": (0.30103302001953125, -3.024355464731343e-06),
}

SQRT_HALF = 0.7071067811865476


def log(b: Builder, x: Value) -> Value:
    """Natural logarithm."""
    m, n = decompose(b, x)
    return _special(b, x, _log_of_parts(b, m - 1.0, n))


def log1p(b: Builder, x: Value) -> Value:
    """log(1 + x) without cancellation."""
    return log1p_of_pair(b, x, None)


def log2(b: Builder, x: Value) -> Value:
    """Logarithm to base 2, exact for powers of two."""
    m, n = decompose(b, x)
    product, error = _times_constant(b, _log_as_pair(b, m - 1.0), LOG2_E[b.format.name])
    high, low = b.sum_ordered(n, product)
    return _special(b, x, high + (low + error))


def log10(b: Builder, x: Value) -> Value:
    """Logarithm to base 10, exact for powers of ten."""
    m, n = decompose(b, x)
    product, error = _times_constant(b, _log_as_pair(b, m - 1.0), LOG10_E[b.format.name])
    long, short = LOG10_2[b.format.name]
    high, low = b.sum_ordered(n * long, product)
    return _special(b, x, high + b.fma(n, short, low + error))


def softplus(b: Builder, x: Value) -> Value:
    """log(1 + e**x) without overflow."""
    return b.at_least(x, 0.0) + _log1p_of_small(b, exp(b, -b.absolute(x)))


def logaddexp(b: Builder, x: Value, y: Value) -> Value:
    """log(e**x + e**y) without overflow."""
    lowest = EXP_RANGE[b.format.name][0]
    larger, difference, low = _larger_and_difference(b, x, y, lowest)
    growth, raw = exp_parts(b, b.at_least(difference, lowest), low)
    return larger + _log1p_of_small(b, b.scale(growth + 1.0, raw))


def logaddexp2(b: Builder, x: Value, y: Value) -> Value:
    """log2(2**x + 2**y) without overflow."""
    lowest = EXP2_RANGE[b.format.name][0]
    larger, difference, low = _larger_and_difference(b, x, y, lowest)
    f, n = _log1p_parts(b, exp2_of_sum(b, b.at_least(difference, lowest), low), None)
    product, error = _times_constant(b, _log_as_pair(b, f), LOG2_E[b.format.name])
    high, rest = b.sum_ordered(n, product)
    return larger + (high + (rest + error))


# -- parts ------------------------------------------------------------------------------------------------------------


def decompose(b: Builder, x: Value) -> Pair:
    """(m, n) with x = m * 2**n, m in [sqrt(1/2), sqrt(2)), for finite x > 0."""
    fmt = b.format
    subnormal = x < fmt.smallest_normal
    up = fmt.mantissa_bits + 2
    normal = b.select(subnormal, x * 2.0**up, x)
    to_float = 2.0**fmt.mantissa_bits + fmt.bias
    return _split_exponent(b, b.bits_of(normal), b.select(subnormal, to_float + up, b.lift(to_float)))


def _split_exponent(b: Builder, bits: Value, to_float: Operand) -> Pair:
    """(m, n) of a positive normal number; `to_float` - 2**mantissa_bits is subtracted from the biased exponent."""
    fmt = b.format
    root = fmt.pattern(SQRT_HALF)
    shifted = bits + (fmt.pattern(1.0) - root)
    m = b.from_bits((shifted & fmt.mantissa_mask) + root)
    # The exponent written into the low bits of 2**mantissa_bits is that number plus the exponent: it needs no
    # conversion.
    exponent = (shifted >> fmt.mantissa_bits) | fmt.pattern(2.0**fmt.mantissa_bits)
    return m, b.from_bits(exponent) - to_float


def _series(b: Builder, f: Value) -> tuple[Value, Value, Value]:
    """(s, h, t): log(1 + f) = f - (h - s * (h + t)) with h = f**2/2 and s = f / (2 + f)."""
    s = f / (f + 2.0)
    square = s * s
    tail = square * b.polynomial(square, LOG_TAIL[b.format.name])
    return s, f * f * 0.5, tail


def _log_of_parts(b: Builder, f: Value, n: Value) -> Value:
    """log(1 + f) + n * ln2."""
    s, half, tail = _series(b, f)
    high, low = LN2[b.format.name]
    return b.fma(n, high, f - (half - b.fma(s, half + tail, n * low)))


def _log_as_pair(b: Builder, f: Value) -> Pair:
    """log(1 + f) as an unevaluated sum with some ten bits more."""
    s, half, tail = _series(b, f)
    high = f - half
    return high, b.fma(s, half + tail, (f - high) - half)


def _times_constant(b: Builder, x: Pair, constant: Pair | tuple[float, float]) -> Pair:
    """The product of two unevaluated sums."""
    product, error = b.product(x[0], constant[0])
    return product, b.fma(x[1], constant[0], b.fma(x[0], constant[1], error))


def _special(b: Builder, x: Value, result: Value) -> Value:
    """The logarithm where x is zero, negative, infinite or nan; `result` elsewhere."""
    result = b.select(b.compare("uge", "sge", x, INFINITY), x, result)
    return b.select(x <= 0.0, b.select(b.equal(x, 0.0), -INFINITY, b.lift(NAN)), result)


def log1p_of_pair(b: Builder, x: Value, low: Value | None) -> Value:
    """log(1 + x + low) where low is at most a few units in the last place of x."""
    result = _log_of_parts(b, *_log1p_parts(b, x, low))
    result = b.select(b.compare("uge", "sge", x, INFINITY), x, result)
    outside = b.select(b.equal(x, -1.0), -INFINITY, b.lift(NAN))
    return keep_negligible(b, x, b.select(x <= -1.0, outside, result))


def _larger_and_difference(b: Builder, x: Value, y: Value, lowest: float) -> tuple[Value, Value, Value]:
    """The larger one, and -|x - y| as a sum: zero for equal infinities, exact above `lowest`; nan if any is."""
    first = x > y
    larger, smaller = b.select(first, x, y), b.select(first, y, x)
    difference, error = b.sum_exact(smaller, -larger)
    low = b.select(difference > lowest, error, b.lift(0.0))
    return larger, b.select(b.equal(x, y), 0.0, difference), low


def _log1p_of_small(b: Builder, x: Value) -> Value:
    """log(1 + x) for 0 <= x <= 1."""
    return keep_negligible(b, x, _log_of_parts(b, *_log1p_parts(b, x, None)))


def _log1p_parts(b: Builder, x: Value, low: Value | None) -> Pair:
    """(f, n) with 1 + x + low = (1 + f) * 2**n, for finite x > -1; tiny x may lose its sign or last bits."""
    fmt = b.format
    total, error = b.sum_exact(b.lift(1.0), x)
    if low is not None:
        error = error + low
    bits = b.bits_of(total)
    m, n = _split_exponent(b, bits, 2.0**fmt.mantissa_bits + fmt.bias)
    # 2 * 2**-n as exponent bits; twice, since 2**-n itself would be subnormal for the largest n.
    inverse = b.from_bits(b.bits_of(m) - bits + fmt.pattern(2.0))
    return b.fma(error * 0.5, inverse, m - 1.0), n
