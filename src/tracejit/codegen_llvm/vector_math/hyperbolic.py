"""sinh, cosh, tanh and their inverses.

With |x| = n*ln2 + r the addition theorem splits sinh and cosh into powers of two and short polynomials in r, even and
odd: sinh|x| = A cosh r + C sinh r and cosh|x| = C cosh r + A sinh r with A = (2**n - 2**-n) / 2 and C = (2**n +
2**-n) / 2.
"""

from __future__ import annotations

from tracejit.codegen_llvm.vector_math.builder import Builder, Pair, Value
from tracejit.codegen_llvm.vector_math.exponential import LOG2_E, keep_negligible, subtract_ln2
from tracejit.codegen_llvm.vector_math.logarithm import log1p_of_pair

# (cosh(r) - 1 - r**2/2) / r**4 in r**2 on |r| <= 0.3467: relative error of cosh(r) 2**-57.3 and 2**-33.2.
COSH_TAIL = {
    "f64": (0.04166666666660343, 0.0013888888927028706, 2.4801508372240207e-05, 2.76253160962728e-07),
    "f32": (0.041666459292173386, 0.0013935451861470938),
}

# (sinh(r) - r) / r**3 in r**2 on |r| <= 0.3467: relative error of sinh(r) 2**-61.6 and 2**-26.1.
SINH_TAIL = {
    "f64": (
        0.16666666666666677,
        0.008333333333321376,
        0.00019841269886867365,
        2.7557243376089957e-06,
        2.5109355210623157e-08,
    ),
    "f32": (0.1666654348373413, 0.00836654007434845),
}

# Beyond these sinh and cosh overflow, and tanh rounds to one.
OVERFLOW = {"f64": 711.0, "f32": 90.0}
SATURATION = {"f64": 22.0, "f32": 12.0}
# From here on 1 + x is x, and sqrt(x**2 +- 1) too; squares of much larger numbers overflow.
LARGE = {"f64": 2.0**60, "f32": 2.0**30}
LN2 = 0.6931471805599453
# 2**-n is negligible from here on.
LARGEST_INVERSE = {"f64": 60.0, "f32": 40.0}


def sinh(b: Builder, x: Value) -> Value:
    """Hyperbolic sine."""
    size = b.at_most(b.absolute(x), OVERFLOW[b.format.name])
    # An eighth, since the powers themselves reach 2 * 2**1024; the last factor is exact or overflows rightly.
    (sine, low), _ = _eighths(b, size)
    return keep_negligible(b, x, b.copy_sign((sine + low) * 8.0, x))


def cosh(b: Builder, x: Value) -> Value:
    """Hyperbolic cosine."""
    _, (cosine, low) = _eighths(b, b.at_most(b.absolute(x), OVERFLOW[b.format.name]))
    return (cosine + low) * 8.0


def tanh(b: Builder, x: Value) -> Value:
    """Hyperbolic tangent."""
    sine, cosine = _eighths(b, b.at_most(b.absolute(x), SATURATION[b.format.name]))
    quotient, low = b.divide_pairs(sine, cosine)
    return keep_negligible(b, x, b.copy_sign(quotient + low, x))


def arcsinh(b: Builder, x: Value) -> Value:
    """Inverse hyperbolic sine: log1p(|x| + x**2 / (1 + sqrt(1 + x**2)))."""
    size = b.absolute(x)
    large = size > LARGE[b.format.name]
    t = b.select(large, 1.0, size)
    square, square_low = b.product(t, t)
    total, total_low = b.sum_exact(square, 1.0)
    root, root_low = b.square_root_of_pair(total, total_low + square_low)
    divisor, divisor_low = b.sum_ordered(root, 1.0)
    quotient, quotient_low = b.divide_pairs((square, square_low), (divisor, divisor_low + root_low))
    high, low = b.sum_ordered(t, quotient)
    return keep_negligible(b, x, b.copy_sign(_log1p_or_log_of_double(b, large, size, high, low + quotient_low), x))


def arccosh(b: Builder, x: Value) -> Value:
    """Inverse hyperbolic cosine: log1p(t + sqrt(2 t + t**2)) with t = x - 1."""
    large = x > LARGE[b.format.name]
    t = b.select(large, 1.0, x - 1.0)
    square, square_low = b.product(t, t)
    total, total_low = b.sum_exact(square, t * 2.0)
    root, root_low = b.square_root_of_pair(total, total_low + square_low)
    high, low = b.sum_exact(root, t)
    result = _log1p_or_log_of_double(b, large, x, high, low + root_low)
    return b.select(x <= 1.0, b.select(b.equal(x, 1.0), 0.0, b.lift(float("nan"))), result)


def arctanh(b: Builder, x: Value) -> Value:
    """Inverse hyperbolic tangent: log1p(2 x / (1 - x)) / 2, with the sign of x."""
    size = b.absolute(x)
    quotient, low = b.divide_pairs((size * 2.0, None), b.sum_ordered(1.0, -size))
    result = log1p_of_pair(b, quotient, low) * 0.5
    return keep_negligible(b, x, b.copy_sign(result, x))


# -- parts ------------------------------------------------------------------------------------------------------------


def _eighths(b: Builder, size: Value) -> tuple[Pair, Pair]:
    """sinh(size) / 8 and cosh(size) / 8 as unevaluated sums, for size >= 0 up to where they overflow."""
    name = b.format.name
    n, raw = b.round_to_integer(size, LOG2_E, b.format.bias - 4)
    r, high, low = subtract_ln2(b, size, n)
    power = b.power_of_two(raw)
    negated = b.at_most(n, LARGEST_INVERSE[name])
    inverse = b.power_of_two(b.bits_of((b.format.shift + b.format.bias - 4) - negated))
    (a, a_low), (c, c_low) = b.sum_ordered(power, -inverse), b.sum_ordered(power, inverse)
    square = r * r
    cosine_rest = b.fma(square * square, b.polynomial(square, COSH_TAIL[name]), square * 0.5)
    # sinh(r) = high + sine_rest; the large terms come last, and each leading one is the larger one, or zero.
    sine_rest = b.fma(r * square, b.polynomial(square, SINH_TAIL[name]), low)
    return (
        b.sum_ordered(a, b.fma(c, high, b.fma(c, sine_rest, b.fma(a, cosine_rest, a_low)))),
        b.sum_ordered(c, b.fma(a, high, b.fma(a, sine_rest, b.fma(c, cosine_rest, c_low)))),
    )


def _log1p_or_log_of_double(b: Builder, large: Value, x: Value, high: Value, low: Value) -> Value:
    """log(2 x) where x is large, log(1 + high + low) elsewhere."""
    result = log1p_of_pair(b, b.select(large, x, high), b.select(large, 0.0, low))
    return result + b.select(large, LN2, b.lift(0.0))
