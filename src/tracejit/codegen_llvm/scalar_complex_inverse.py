"""Tangents and inverse functions of complex numbers, accurate near their branch points, with C99's special values.

The inverse sine and cosine follow Hull, Fairgrieve and Tang, "Implementing the complex arcsine and arccosine functions
using exception handling" (1997), the tangents Kahan, "Branch cuts for complex elementary functions" (1987). Where they
branch, all ways are computed and one is selected: lanes take different ones.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from tracejit.codegen_llvm.registers import Register
from tracejit.codegen_llvm.scalar_complex import Pair
from tracejit.codegen_llvm.scalar_complex_math import LOG_2
from tracejit.codegen_llvm.scalar_float import compare, is_infinite
from tracejit.codegen_llvm.scalar_math import call
from tracejit.codegen_llvm.writer import Writer

__all__ = [
    "arc_cosine", "arc_hyperbolic_cosine", "arc_hyperbolic_sine", "arc_hyperbolic_tangent", "arc_sine", "arc_tangent",
    "hyperbolic_tangent", "tangent",
]  # fmt: skip

# Where the arcsine of a quotient loses bits to the arctangent, and the logarithm to log1p: from the paper.
_ARCSINE_CROSSING, _LOGARITHM_CROSSING = 0.6417, 1.5


class _Floats:
    """Arithmetic on the registers of one type of floats."""

    def __init__(self, w: Writer, k: Register) -> None:
        assert k.part is not None
        self.w = w
        self.p: Register = k.part
        self.one, self.zero, self.half = self.p.number(1.0), self.p.number(0.0), self.p.number(0.5)
        double = self.p.bits == 64
        self.epsilon = 2.0**-53 if double else 2.0**-24
        self.large = 2.0**500 if double else 2.0**60  # the squares of larger numbers overflow, or nearly

    def number(self, value: float) -> str:
        return str(self.p.number(value))

    def add(self, a: str, b: str) -> str:
        return self.w.op(f"fadd {self.p.type} {a}, {b}")

    def sub(self, a: str, b: str) -> str:
        return self.w.op(f"fsub {self.p.type} {a}, {b}")

    def mul(self, a: str, b: str) -> str:
        return self.w.op(f"fmul {self.p.type} {a}, {b}")

    def div(self, a: str, b: str) -> str:
        return self.w.op(f"fdiv {self.p.type} {a}, {b}")

    def negative(self, a: str) -> str:
        return self.w.op(f"fneg {self.p.type} {a}")

    def size(self, a: str) -> str:
        return self.w.intrinsic("fabs", self.p, a)

    def root(self, a: str) -> str:
        return self.w.intrinsic("sqrt", self.p, a)

    def signed(self, size: str, sign: str) -> str:
        return self.w.intrinsic("copysign", self.p, size, sign)

    def call(self, name: str, *operands: str) -> str:
        return call(self.w, name, self.p, *operands)

    def test(self, predicate: str, a: str, b: str) -> str:
        return compare(self.w, self.p, predicate, a, b)

    def choose(self, mask: str, a: str, b: str) -> str:
        return self.w.select(self.p, mask, a, b)

    def both(self, a: str, b: str) -> str:
        return self.w.op(f"and {self.p.mask} {a}, {b}")

    def either(self, a: str, b: str) -> str:
        return self.w.op(f"or {self.p.mask} {a}, {b}")

    def infinite(self, a: str) -> str:
        return is_infinite(self.w, self.p, self.p, a)

    def is_large(self, x: str, y: str) -> str:
        limit = self.number(self.large)
        return self.either(self.test("ogt", x, limit), self.test("ogt", y, limit))


# ------------------------------------------------------------------------------------------ inverse sine and cosine


class _Arc(NamedTuple):
    """What the inverse functions share, for ``x + iy`` with parts that are not negative."""

    sine: str  # real part of arcsin, in [0, pi/2]
    cosine: str  # real part of arccos, in [0, pi/2]
    height: str  # imaginary part of arcsin, not negative


class _Distances(NamedTuple):
    """The lengths of ``z + 1`` and ``z - 1``, half their sum, and more that the formulas share."""

    plus: str
    minus: str
    middle: str
    below: str  # x - 1
    above: str  # x + 1
    outside: str  # whether x >= 1


def _arc(f: _Floats, x: str, y: str) -> _Arc:
    below, above = f.sub(x, f.one), f.add(x, f.one)
    plus, minus = f.call("hypot", above, y), f.call("hypot", below, y)
    middle = f.mul(f.add(plus, minus), f.half)
    d = _Distances(plus, minus, middle, below, above, f.test("oge", x, f.one))
    sine, cosine = _angles(f, x, y, d)
    height = _height(f, y, d)
    sine, cosine, height = _near_the_axis(f, x, y, d, _Arc(sine, cosine, height))
    return _at_the_limits(f, x, y, _Arc(sine, cosine, height))


def _angles(f: _Floats, x: str, y: str, d: _Distances) -> tuple[str, str]:
    quotient = f.div(x, d.middle)
    total = f.add(d.middle, x)
    reach = f.add(d.plus, d.above)
    inside = f.add(f.div(f.mul(y, y), reach), f.sub(d.minus, d.below))
    inside = f.root(f.mul(f.mul(total, f.half), inside))
    outside = f.add(f.div(total, reach), f.div(total, f.add(d.minus, d.below)))
    outside = f.mul(y, f.root(f.mul(outside, f.half)))
    width = f.choose(d.outside, outside, inside)
    plain = f.test("ole", quotient, f.number(_ARCSINE_CROSSING))
    sine = f.choose(plain, f.call("arcsin", quotient), f.call("arctan", f.div(x, width)))
    return sine, f.choose(plain, f.call("arccos", quotient), f.call("arctan", f.div(width, x)))


def _height(f: _Floats, y: str, d: _Distances) -> str:
    first = f.div(f.mul(y, y), f.add(d.plus, d.above))
    inside = f.div(f.mul(y, y), f.sub(d.minus, d.below))
    excess = f.mul(f.add(first, f.choose(d.outside, f.add(d.minus, d.below), inside)), f.half)
    more = f.add(d.middle, f.one)
    near = f.call("log1p", f.add(excess, f.root(f.mul(excess, more))))
    far = f.call("log", f.add(d.middle, f.root(f.mul(f.sub(d.middle, f.one), more))))
    return f.choose(f.test("ole", d.middle, f.number(_LOGARITHM_CROSSING)), near, far)


def _near_the_axis(f: _Floats, x: str, y: str, d: _Distances, arc: _Arc) -> _Arc:
    """Where y is so small that only its first power counts, or at the branch point its root."""
    tiny = f.number(f.epsilon)
    at_point = f.both(f.test("oeq", x, f.one), f.test("olt", y, tiny))
    flat = f.either(at_point, f.test("ole", y, f.mul(tiny, f.size(d.below))))
    slope = f.root(f.mul(f.size(d.below), d.above))
    rise = f.choose(at_point, f.root(y), f.div(y, slope))
    along = f.choose(at_point, rise, f.call("log1p", f.add(d.below, slope)))
    right = f.number(math.pi / 2)
    sine = f.choose(d.outside, f.choose(at_point, f.sub(right, rise), right), f.call("arcsin", x))
    cosine = f.choose(d.outside, rise, f.call("arccos", x))
    height = f.choose(d.outside, along, rise)
    return _Arc(*(f.choose(flat, mine, other) for mine, other in zip((sine, cosine, height), arc, strict=True)))


def _at_the_limits(f: _Floats, x: str, y: str, arc: _Arc) -> _Arc:
    """Large and infinite numbers, and the axis whose angle is known whatever the height."""
    large = f.is_large(x, y)
    quarter = f.number(0.25)
    length = f.call("hypot", f.mul(x, quarter), f.mul(y, quarter))
    height = f.choose(large, f.add(f.call("log", length), f.number(3 * LOG_2)), arc.height)
    upright = f.test("oeq", x, f.zero)
    sine = f.choose(large, f.call("arctan2", x, y), arc.sine)
    cosine = f.choose(large, f.call("arctan2", y, x), arc.cosine)
    return _Arc(f.choose(upright, x, sine), f.choose(upright, f.number(math.pi / 2), cosine), height)


def arc_sine(w: Writer, k: Register, r: Register, a: Pair) -> Pair:
    """``arcsin(a)``."""
    f = _Floats(w, k)
    arc = _arc(f, f.size(a[0]), f.size(a[1]))
    return f.signed(arc.sine, a[0]), f.signed(arc.height, a[1])


def arc_hyperbolic_sine(w: Writer, k: Register, r: Register, a: Pair) -> Pair:
    """``arcsinh(a)``: the arcsine with the axes exchanged."""
    f = _Floats(w, k)
    arc = _arc(f, f.size(a[1]), f.size(a[0]))
    return f.signed(arc.height, a[0]), f.signed(arc.sine, a[1])


def _cosine_angle(f: _Floats, arc: _Arc, x: str) -> str:
    left = f.test("olt", x, f.zero)
    return f.choose(left, f.sub(f.number(math.pi), arc.cosine), arc.cosine)


def arc_cosine(w: Writer, k: Register, r: Register, a: Pair) -> Pair:
    """``arccos(a)``."""
    f = _Floats(w, k)
    arc = _arc(f, f.size(a[0]), f.size(a[1]))
    return _cosine_angle(f, arc, a[0]), f.signed(arc.height, f.negative(a[1]))


def arc_hyperbolic_cosine(w: Writer, k: Register, r: Register, a: Pair) -> Pair:
    """``arccosh(a)``: the arccosine turned."""
    f = _Floats(w, k)
    arc = _arc(f, f.size(a[0]), f.size(a[1]))
    return arc.height, f.signed(_cosine_angle(f, arc, a[0]), a[1])


# -------------------------------------------------------------------------------------------------- inverse tangent


def _arc_tangent(f: _Floats, x: str, y: str) -> Pair:
    """``arctanh(x + iy)`` for parts that are not negative."""
    below = f.sub(x, f.one)
    square = f.add(f.mul(below, below), f.mul(y, y))
    quarter = f.number(0.25)
    real = f.mul(f.call("log1p", f.div(f.mul(f.number(4.0), x), square)), quarter)
    pole = f.both(f.test("oeq", x, f.one), f.test("olt", y, f.number(f.epsilon)))
    real = f.choose(pole, f.mul(f.sub(f.number(LOG_2), f.call("log", y)), f.half), real)
    across = f.sub(f.mul(f.sub(f.one, x), f.add(f.one, x)), f.mul(y, y))
    imag = f.mul(f.call("arctan2", f.add(y, y), across), f.half)
    large = f.is_large(x, y)
    length = f.call("hypot", f.mul(x, quarter), f.mul(y, quarter))
    small = f.mul(f.div(f.div(f.mul(x, quarter), length), length), quarter)
    # Whatever the other part is, even NaN, there is nothing left of the real part at infinity, nor on its axis.
    gone = f.either(f.either(f.infinite(x), f.infinite(y)), f.test("oeq", x, f.zero))
    real = f.choose(gone, f.zero, f.choose(large, small, real))
    known = f.either(f.both(large, f.test("ord", x, y)), f.infinite(y))
    return real, f.choose(known, f.number(math.pi / 2), imag)


def arc_hyperbolic_tangent(w: Writer, k: Register, r: Register, a: Pair) -> Pair:
    """``arctanh(a)``."""
    f = _Floats(w, k)
    real, imag = _arc_tangent(f, f.size(a[0]), f.size(a[1]))
    return f.signed(real, a[0]), f.signed(imag, a[1])


def arc_tangent(w: Writer, k: Register, r: Register, a: Pair) -> Pair:
    """``arctan(a)``: ``arctanh`` with the axes exchanged."""
    f = _Floats(w, k)
    real, imag = _arc_tangent(f, f.size(a[1]), f.size(a[0]))
    return f.signed(imag, a[0]), f.signed(real, a[1])


# ---------------------------------------------------------------------------------------------------------- tangent


def _tangent(f: _Floats, x: str, y: str) -> Pair:
    """``tanh(x + iy)``."""
    size = f.size(x)
    far = f.test("ogt", size, f.number(22.0 if f.p.bits == 64 else 11.0))
    near = f.choose(far, f.zero, x)
    slope, rise = f.call("tan", y), f.call("sinh", near)
    stretch = f.add(f.one, f.mul(slope, slope))
    below = f.add(f.one, f.mul(stretch, f.mul(rise, rise)))
    real = f.div(f.mul(f.mul(stretch, f.call("cosh", near)), rise), below)
    imag = f.div(slope, below)
    sine, cosine = f.call("sin", y), f.call("cos", y)
    fall = f.call("exp", f.negative(size))
    tail = f.mul(f.mul(f.mul(f.number(4.0), f.mul(sine, cosine)), fall), fall)
    # At infinity the angle does not matter: the imaginary part is a zero, with the sign that the angle has.
    lost, endless = f.test("uno", sine, sine), f.infinite(size)
    limit = f.choose(f.either(endless, f.test("ord", sine, sine)), f.signed(f.one, x), sine)
    tail = f.choose(f.both(endless, lost), f.signed(f.zero, y), tail)
    real = f.choose(far, limit, real)
    imag = f.choose(far, tail, imag)
    real = f.choose(f.test("oeq", x, f.zero), x, real)
    return real, f.choose(f.test("oeq", y, f.zero), y, imag)


def hyperbolic_tangent(w: Writer, k: Register, r: Register, a: Pair) -> Pair:
    """``tanh(a)``."""
    return _tangent(_Floats(w, k), a[0], a[1])


def tangent(w: Writer, k: Register, r: Register, a: Pair) -> Pair:
    """``tan(a)``: ``tanh`` with the axes exchanged."""
    real, imag = _tangent(_Floats(w, k), a[1], a[0])
    return imag, real
