"""arcsin, arccos, arctan and arctan2."""

from __future__ import annotations

from tracejit.codegen_llvm.vector_math.builder import Builder, Operand, Pair, Value

# pi/2, pi/4 and pi as high and low part.
HALF_PI = {"f64": (1.5707963267948966, 6.123233995736766e-17), "f32": (1.5707963705062866, -4.371138828673793e-08)}

# (arcsin(r) - r) / r**3 in r**2 on |r| <= 1/2: relative error of arcsin(r) 2**-59.8 and 2**-27.6.
ARCSIN_TAIL = {
    "f64": (
        0.1666666666666676,
        0.07499999999970865,
        0.04464285717456321,
        0.030381942709739315,
        0.022372214939490355,
        0.017351612791915105,
        0.013980811981954794,
        0.01139897748648258,
        0.010779908663296657,
        0.0037076411295389475,
        0.02170458664545956,
        -0.02099518187922189,
        0.03262628799672484,
    ),
    "f32": (0.16666752099990845, 0.074953094124794, 0.04546915739774704, 0.024184701964259148, 0.04215848073363304),
}

# (arctan(r) - r) / r**3 in r**2 on |r| <= 1/2: relative error of arctan(r) 2**-57.7 and 2**-27.4.
ARCTAN_TAIL = {
    "f64": (
        -0.3333333333333298,
        0.19999999999903112,
        -0.14285714276385914,
        0.11111110659624433,
        -0.09090896244076034,
        0.07692073896748396,
        -0.06663810403966486,
        0.05858297160860904,
        -0.05121996765989597,
        0.04186476047602054,
        -0.027434456047301065,
        0.0101164792091294,
    ),
    "f32": (-0.3333323299884796, 0.19994167983531952, -0.1417420506477356, 0.1015571728348732, -0.05124782398343086),
}


def arcsin(b: Builder, x: Value) -> Value:
    """Inverse sine: beyond 1/2 by arcsin(x) = pi/2 - 2 arcsin(sqrt((1 - x) / 2))."""
    high, low = HALF_PI[b.format.name]
    size = b.absolute(x)
    near = size < 0.5
    root, tail = _arcsin_parts(b, near, size)
    outer, outer_low = b.sum_ordered(high, root * -2.0)
    outer = outer + (outer_low - (tail * 2.0 - low))
    return b.copy_sign(b.select(near, root + tail, outer), x)


def arccos(b: Builder, x: Value) -> Value:
    """Inverse cosine: beyond 1/2 by arccos(x) = 2 arcsin(sqrt((1 - x) / 2))."""
    high, low = HALF_PI[b.format.name]
    size = b.absolute(x)
    near = size < 0.5
    root, tail = _arcsin_parts(b, near, size)
    central = high - (b.copy_sign(root, x) + (b.copy_sign(tail, x) - low))
    doubled = (root + tail) * 2.0
    reflected = 2.0 * high - (doubled - 2.0 * low)
    return b.select(near, central, b.select(x < 0.0, reflected, doubled))


def arctan(b: Builder, x: Value) -> Value:
    """Inverse tangent."""
    return b.copy_sign(_arctan_of_quotient(b, b.absolute(x), 1.0), x)


def arctan2(b: Builder, y: Value, x: Value) -> Value:
    """The angle of the point (x, y), with the signs of zeros as in C."""
    high, low = HALF_PI[b.format.name]
    top, bottom = b.absolute(y), b.absolute(x)
    both_infinite = b.equal(top, INFINITY) & b.equal(bottom, INFINITY)
    top, bottom = b.select(both_infinite, 1.0, top), b.select(both_infinite, 1.0, bottom)
    # Sums of the largest numbers would overflow; a quotient with something lost to subnormals here is negligible.
    huge = b.at_least(top, bottom) > 2.0 ** (b.format.bias - 3)
    scale = b.select(huge, 0.125, b.lift(1.0))
    angle = _arctan_of_quotient(b, top * scale, bottom * scale)
    backward = b.bits_of(x) < 0
    angle = b.select(backward, 2.0 * high - (angle - 2.0 * low), angle)
    return b.copy_sign(angle, y)


INFINITY = float("inf")


# -- parts ------------------------------------------------------------------------------------------------------------


def _arcsin_parts(b: Builder, near: Value, size: Value) -> Pair:
    """(r, t) with arcsin(r) = r + t, for r = size where it is near zero, else r = sqrt((1 - size) / 2)."""
    square = b.select(near, size * size, b.fma(size, -0.5, 0.5))
    root = b.select(near, size, b.square_root(square))
    return root, root * square * b.polynomial(square, ARCSIN_TAIL[b.format.name])


def _arctan_of_quotient(b: Builder, top: Value, bottom: Operand) -> Value:
    """arctan(top / bottom) for non-negative numbers: one division, of numbers that depend on the octant."""
    high, low = HALF_PI[b.format.name]
    divisor = b.lift(bottom)
    # Between these slopes top - bottom is exact.
    steep = top > divisor * 2.0
    middle = top * 2.0 > divisor
    numerator = b.select(steep, -divisor, b.select(middle, top - divisor, top))
    denominator = b.select(steep, top, b.select(middle, top + divisor, divisor))
    start = b.select(steep, high, b.select(middle, high * 0.5, b.lift(0.0)))
    start_low = b.select(steep, low, b.select(middle, low * 0.5, b.lift(0.0)))
    # The denominator is zero only where both are, and then the quotient is zero.
    r = numerator / b.at_least(denominator, b.format.smallest_subnormal)
    square = r * r
    tail = b.fma(r * square, b.polynomial(square, ARCTAN_TAIL[b.format.name]), start_low)
    return start + (r + tail)
