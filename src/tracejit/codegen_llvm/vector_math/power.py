"""pow, cbrt and hypot.

pow(x, y) = e**(y * log|x|) with the logarithm and the product carried as unevaluated sums of two floats (some 66 bits
for f64, 40 for f32), since the exponential turns absolute error into relative error; then the sign and C99's special
cases.
"""

from __future__ import annotations

from tracejit.codegen_llvm.vector_math.builder import Builder, Pair, Value
from tracejit.codegen_llvm.vector_math.exponential import EXP_RANGE, LN2, clamp, exp_parts
from tracejit.codegen_llvm.vector_math.logarithm import decompose

INFINITY = float("inf")
NAN = float("nan")

# (log((1+s)/(1-s)) - 2 s - 2/3 s**3) / s**5 in s**2 on |s| <= 0.1717: relative error of the logarithm 2**-73.4 and
# 2**-43.6.
LOG_TAIL = {
    "f64": (
        0.3999999999999998,
        0.2857142857144386,
        0.22222222217782678,
        0.18181818845147804,
        0.1538455833385012,
        0.13336268649233354,
        0.11675687745684225,
        0.11982590183909414,
    ),
    "f32": (0.3999999761581421, 0.28571972250938416, 0.22179733216762543, 0.19556200504302979),
}
TWO_THIRDS = {"f64": (0.6666666666666666, 3.700743415417188e-17), "f32": (0.6666666865348816, -1.9868215517249155e-08)}
# cbrt(m) on sqrt(1/2) <= m <= sqrt(2): relative error 2**-22.4 and 2**-16.7, to start an iteration.
CBRT_START = {
    "f64": (
        0.3983593201103052,
        1.1970410886753242,
        -1.1869743572550226,
        0.971033937355977,
        -0.5148227016910936,
        0.15574324893446292,
        -0.02038065900380593,
    ),
    "f32": (
        0.45166912436254164,
        0.9048139003422592,
        -0.5356291973071738,
        0.21693981510775764,
        -0.037789396988354144,
    ),
}
CBRT_2 = 1.2599210498948732
CBRT_HALF = 0.7937005259840998


def pow(b: Builder, x: Value, y: Value) -> Value:
    """x**y."""
    size = b.absolute(x)
    high, low = _log(b, size)
    # At 0, infinity and nan the logarithm is what it is, and the product with y decides.
    high = b.select(b.compare("uge", "sge", size, INFINITY), size, b.select(b.equal(size, 0.0), -INFINITY, high))
    # A larger exponent changes nothing: the logarithm is zero or at least 2**-mantissa_bits.
    limit = 2.0 ** (b.format.mantissa_bits + 14)
    limited = clamp(b, y, (-limit, limit))
    product, error = b.product(high, limited)
    error = b.fma(low, limited, error)
    lowest, highest = EXP_RANGE[b.format.name]
    # Out of range the error term may be nan.
    inside = b.absolute(product) < -lowest
    growth, raw = exp_parts(b, clamp(b, product, (lowest, highest)), b.select(inside, error, b.lift(0.0)))
    return _special(b, x, y, size, b.scale(growth + 1.0, raw))


def cbrt(b: Builder, x: Value) -> Value:
    """Cube root."""
    size = b.absolute(x)
    m, n = decompose(b, size)
    third, raw = b.round_to_integer(n, 1.0 / 3.0, b.format.bias)
    rest = n - third * 3.0
    up, down = rest > 0.5, rest < -0.5
    value = b.select(up, m * 2.0, b.select(down, m * 0.5, m))
    start = b.polynomial(m, CBRT_START[b.format.name])
    root = start * b.select(up, CBRT_2, b.select(down, CBRT_HALF, b.lift(1.0)))
    # Newton's correction with the slope of the start: its error is some e**2, then e**3, for a start's error e.
    slope = 1.0 / (root * root * 3.0)
    if b.format.bits == 64:
        root = b.fma(b.residue(root * root, root, value), slope, root)
    square, square_low = b.product(root, root)
    residue = b.fma(-square_low, root, b.residue(square, root, value))
    root = b.fma(residue, slope, root)
    finite = b.copy_sign(root * b.power_of_two(raw), x)
    return b.select(b.equal(x, 0.0) | b.compare("uge", "sge", size, INFINITY), x, finite)


def hypot(b: Builder, x: Value, y: Value) -> Value:
    """sqrt(x**2 + y**2) without overflow."""
    across, along = b.absolute(x), b.absolute(y)
    size = b.select(across > along, across, along)
    # Squares neither overflow nor lose bits within a third of the range of exponents.
    extreme = 2.0 ** (b.format.bias // 3)
    large, small = size > extreme, size < 1.0 / extreme
    down, up = 1.0 / (extreme * extreme), extreme * extreme
    scale = b.select(large, down, b.select(small, up, b.lift(1.0)))
    unscale = b.select(large, up, b.select(small, down, b.lift(1.0)))
    across_scaled, along_scaled = across * scale, along * scale
    root = b.square_root(b.fma(across_scaled, across_scaled, along_scaled * along_scaled)) * unscale
    # Also where the other one is nan.
    infinite = b.equal(across, INFINITY) | b.equal(along, INFINITY)
    return b.select(infinite, INFINITY, root)


# -- parts ------------------------------------------------------------------------------------------------------------


def _log(b: Builder, size: Value) -> Pair:
    """log(size) as an unevaluated sum, for finite size > 0."""
    name = b.format.name
    m, n = decompose(b, size)
    f = m - 1.0
    # s = f / (2 + f), one division and one correction.
    divisor, divisor_low = b.sum_ordered(2.0, f)
    inverse = 1.0 / divisor
    s = f * inverse
    s_low = b.fma(-s, divisor_low, b.residue(s, divisor, f)) * inverse
    square, square_low = b.product(s, s)
    square_low = b.fma(s * 2.0, s_low, square_low)
    # s**3 * (2/3 + tail), where 2/3 + tail, s**2 and s have two parts each.
    third, third_low = TWO_THIRDS[name]
    tail = square * b.polynomial(square, LOG_TAIL[name])
    factor, factor_low = b.sum_ordered(third, tail)
    cube, cube_low = _multiply(b, (square, square_low), (s, s_low))
    cubic, cubic_low = _multiply(b, (cube, cube_low), (factor, factor_low + third_low))
    long, short = LN2[name]
    high, carry = b.sum_ordered(n * long, s * 2.0)
    high, carry2 = b.sum_ordered(high, cubic)
    low = (carry + carry2) + b.fma(n, short, b.fma(s_low, 2.0, cubic_low))
    return b.sum_ordered(high, low)


def _multiply(b: Builder, x: Pair, y: Pair) -> Pair:
    """The product of two unevaluated sums."""
    product, error = b.product(x[0], y[0])
    return product, b.fma(x[0], y[1], b.fma(x[1], y[0], error))


def _is_integer(b: Builder, x: Value) -> Value:
    """Mask of whole numbers; all numbers from 2**mantissa_bits on are."""
    whole = 2.0**b.format.mantissa_bits
    size = b.absolute(x)
    return (size >= whole) | b.equal((size + whole) - whole, size)


def _special(b: Builder, x: Value, y: Value, size: Value, magnitude: Value) -> Value:
    """Sign and special cases of x**y, given |x|**y."""
    integer = _is_integer(b, y)
    # Half of an odd integer is not an integer; half of the smallest subnormal is one, namely zero.
    odd = integer & (integer ^ _is_integer(b, y * 0.5))
    odd_sign = b.select(odd, b.lift(b.format.sign_bit, "i"), 0)
    result = b.from_bits(b.bits_of(magnitude) ^ (b.bits_of(x) & odd_sign))
    negative = (x < 0.0) & (size < INFINITY)
    result = b.select(integer, result, b.select(negative, NAN, result))
    return b.select(b.equal(x, 1.0) | b.equal(y, 0.0), 1.0, result)
