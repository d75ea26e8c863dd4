"""Functions of complex numbers, made of functions of their parts; special values as in C99 where that costs little."""

from __future__ import annotations

from collections.abc import Callable

from tracejit.codegen_llvm.registers import Register
from tracejit.codegen_llvm.scalar_complex import Pair, multiply
from tracejit.codegen_llvm.scalar_float import INFINITY, compare, is_infinite
from tracejit.codegen_llvm.scalar_math import call
from tracejit.codegen_llvm.writer import Writer

__all__ = [
    "cosh", "cosine", "exponential", "exponential_minus_one", "exponential_of_two", "logarithm",
    "logarithm_of_one_more", "power", "rounded", "scaled_logarithm", "sign", "sine", "sinh", "square_root",
]  # fmt: skip


LOG_2 = 0.6931471805599453


def _part(k: Register) -> Register:
    assert k.part is not None
    return k.part


def _times(w: Writer, p: Register, a: str, b: str) -> str:
    return w.op(f"fmul {p.type} {a}, {b}")


def exponential(w: Writer, k: Register, r: Register, a: Pair) -> Pair:
    """``e**a``; real for real numbers, and finite as long as the result is."""
    p = _part(k)
    half = w.op(f"fmul {p.type} {a[0]}, {p.number(0.5)}")
    large = compare(w, p, "ogt", a[0], p.number(700.0 if p.bits == 64 else 88.0))
    size = call(w, "exp", p, w.select(p, large, half, a[0]))
    again = w.select(p, large, size, p.number(1.0))
    parts = []
    flat = compare(w, p, "oeq", a[1], p.number(0.0))
    for name, plain in (("cos", p.number(1.0)), ("sin", a[1])):
        turned = _times(w, p, _times(w, p, size, w.select(p, flat, plain, call(w, name, p, a[1]))), again)
        parts.append(turned)
    imag = w.select(p, flat, a[1], parts[1])
    gone = compare(w, p, "oeq", a[0], p.number(-INFINITY))
    endless = compare(w, p, "oeq", a[0], p.number(INFINITY))
    limit = w.select(p, gone, p.number(0.0), w.select(p, endless, p.number(INFINITY), parts[0]))
    real = w.select(p, compare(w, p, "uno", parts[0], parts[0]), limit, parts[0])
    vanishes = w.op(f"and {p.mask} {gone}, {compare(w, p, 'uno', imag, imag)}")
    return real, w.select(p, vanishes, w.intrinsic("copysign", p, p.number(0.0), a[1]), imag)


def _range(w: Writer, p: Register, a: Pair) -> tuple[str, str]:
    """Whether both parts are so small that computing with them loses bits, and whether one is so large."""
    x, y = w.intrinsic("fabs", p, a[0]), w.intrinsic("fabs", p, a[1])
    larger = w.select(p, compare(w, p, "ogt", x, y), x, y)
    small, large = (2.0**-960, 2.0**1020) if p.bits == 64 else (2.0**-100, 2.0**124)
    return compare(w, p, "olt", larger, p.number(small)), compare(w, p, "ogt", larger, p.number(large))


def logarithm(w: Writer, k: Register, r: Register, a: Pair) -> Pair:
    """``log(a)``: the logarithm of the length, exact near length one, and the angle."""
    p = _part(k)
    x, y = w.intrinsic("fabs", p, a[0]), w.intrinsic("fabs", p, a[1])
    longer = w.select(p, compare(w, p, "ogt", x, y), x, y)
    shorter = w.select(p, compare(w, p, "ogt", x, y), y, x)
    below = w.op(f"fsub {p.type} {longer}, {p.number(1.0)}")
    above = w.op(f"fadd {p.type} {longer}, {p.number(1.0)}")
    squares = w.op(f"fadd {p.type} {_times(w, p, below, above)}, {_times(w, p, shorter, shorter)}")
    near = w.op(f"fmul {p.type} {call(w, 'log1p', p, squares)}, {p.number(0.5)}")
    tiny, huge = _range(w, p, a)
    factor = w.select(p, tiny, p.number(2.0**60), w.select(p, huge, p.number(2.0**-60), p.number(1.0)))
    shift = w.select(p, tiny, p.number(60 * LOG_2), w.select(p, huge, p.number(-60 * LOG_2), p.number(0.0)))
    length = call(w, "hypot", p, _times(w, p, a[0], factor), _times(w, p, a[1], factor))
    far = w.op(f"fsub {p.type} {call(w, 'log', p, length)}, {shift}")
    is_near = compare(w, p, "olt", w.intrinsic("fabs", p, squares), p.number(0.5))
    return w.select(p, is_near, near, far), call(w, "arctan2", p, a[1], a[0])


def scaled_logarithm(factor: float) -> Callable[[Writer, Register, Register, Pair], Pair]:
    """A logarithm to another base."""

    def emit(w: Writer, k: Register, r: Register, a: Pair) -> Pair:
        p = _part(k)
        real, imag = logarithm(w, k, r, a)
        return _times(w, p, real, p.number(factor)), _times(w, p, imag, p.number(factor))

    return emit


def exponential_minus_one(w: Writer, k: Register, r: Register, a: Pair) -> Pair:
    """``e**a - 1`` without cancellation for small numbers; infinities and NaNs as in NumPy, which computes by parts."""
    p = _part(k)
    half = call(w, "sin", p, _times(w, p, a[1], p.number(0.5)))
    grown = _times(w, p, call(w, "expm1", p, a[0]), call(w, "cos", p, a[1]))
    real = w.op(f"fsub {p.type} {grown}, {_times(w, p, _times(w, p, half, half), p.number(2.0))}")
    return real, _times(w, p, call(w, "exp", p, a[0]), call(w, "sin", p, a[1]))


def exponential_of_two(w: Writer, k: Register, r: Register, a: Pair) -> Pair:
    """``2**a``."""
    p = _part(k)
    return exponential(w, k, r, (_times(w, p, a[0], p.number(LOG_2)), _times(w, p, a[1], p.number(LOG_2))))


def logarithm_of_one_more(w: Writer, k: Register, r: Register, a: Pair) -> Pair:
    """``log(1 + a)``; where the length of ``1 + a`` is near one, from how much it differs."""
    p = _part(k)
    more = w.op(f"fadd {p.type} {a[0]}, {p.number(1.0)}")
    real, angle = logarithm(w, k, r, (more, a[1]))
    two_more = w.op(f"fadd {p.type} {a[0]}, {p.number(2.0)}")
    difference = w.op(f"fadd {p.type} {_times(w, p, a[0], two_more)}, {_times(w, p, a[1], a[1])}")
    near = _times(w, p, call(w, "log1p", p, difference), p.number(0.5))
    is_near = compare(w, p, "olt", w.intrinsic("fabs", p, difference), p.number(0.5))
    return w.select(p, is_near, near, real), angle


def square_root(w: Writer, k: Register, r: Register, a: Pair) -> Pair:
    """The square root with a real part that is not negative."""
    p = _part(k)
    t, half = p.type, p.number(0.5)
    tiny, huge = _range(w, p, a)
    one = p.number(1.0)
    factor = w.select(p, tiny, p.number(2.0**60), w.select(p, huge, p.number(2.0**-60), one))
    a = (_times(w, p, a[0], factor), _times(w, p, a[1], factor))
    length = call(w, "hypot", p, a[0], a[1])
    size = w.intrinsic("fabs", p, a[0])
    middle = w.op(f"fadd {t} {_times(w, p, size, half)}, {_times(w, p, length, half)}")
    root = w.intrinsic("sqrt", p, middle)
    other = w.op(f"fdiv {t} {a[1]}, {w.op(f'fadd {t} {root}, {root}')}")
    left = compare(w, p, "olt", a[0], p.number(0.0))
    nothing = compare(w, p, "oeq", root, p.number(0.0))
    endless = is_infinite(w, p, p, a[1])
    real = w.select(p, left, w.intrinsic("fabs", p, other), root)
    imag = w.select(p, left, w.intrinsic("copysign", p, root, a[1]), other)
    imag = w.select(p, w.op(f"or {p.mask} {nothing}, {endless}"), a[1], imag)
    back = w.select(p, tiny, p.number(2.0**-30), w.select(p, huge, p.number(2.0**30), one))
    return w.select(p, endless, p.number(INFINITY), _times(w, p, real, back)), _times(w, p, imag, back)


def _product(w: Writer, p: Register, a: str, b: str) -> str:
    """``a * b``, but 0 wherever a factor is 0, even if the other is infinite or NaN."""
    zero, one = p.number(0.0), p.number(1.0)
    known = compare(w, p, "ord", a, zero)
    direction = w.select(p, known, w.intrinsic("copysign", p, one, a), one)  # the sign of a NaN means nothing
    product = w.select(p, compare(w, p, "oeq", b, zero), _times(w, p, b, direction), _times(w, p, a, b))
    return w.select(p, compare(w, p, "oeq", a, zero), _times(w, p, a, w.intrinsic("copysign", p, one, b)), product)


def _crossed(
    real: tuple[str, str], imag: tuple[str, str], *, sign: float = 1.0, turned: bool, endless_part: int = 0
) -> Callable[[Writer, Register, Register, Pair], Pair]:
    """Each part the product of a function of one part and a function of the other.

    ``endless_part`` of the result is infinite where one part of the number is infinite and the other has no direction.
    """

    def emit(w: Writer, k: Register, r: Register, a: Pair) -> Pair:
        p = _part(k)
        flat, steep = (a[0], a[1]) if not turned else (a[1], a[0])
        first = _product(w, p, call(w, real[0], p, flat), call(w, real[1], p, steep))
        second = _product(w, p, call(w, imag[0], p, flat), call(w, imag[1], p, steep))
        if sign < 0:
            second = w.op(f"fneg {p.type} {second}")
        lost = compare(w, p, "uno", call(w, "sin", p, flat), p.number(0.0))
        endless = w.op(f"and {p.mask} {lost}, {is_infinite(w, p, p, steep)}")
        if endless_part == 0:
            return w.select(p, endless, p.number(INFINITY), first), second
        return first, w.select(p, endless, p.number(INFINITY), second)

    return emit


sine = _crossed(("sin", "cosh"), ("cos", "sinh"), turned=False, endless_part=1)
cosine = _crossed(("cos", "cosh"), ("sin", "sinh"), sign=-1.0, turned=False)
sinh = _crossed(("cos", "sinh"), ("sin", "cosh"), turned=True)
cosh = _crossed(("cos", "cosh"), ("sin", "sinh"), turned=True)


def power(w: Writer, k: Register, r: Register, a: Pair, b: Pair) -> Pair:
    """``a ** b``: products for the constants 1, 2 and 3, else by logarithms; 1 for the exponent 0."""
    if b[0][0] != "%" and b == k.number(1.0):
        return a
    if b[0][0] != "%" and b == k.number(2.0):
        return multiply(w, k, r, a, a)
    if b[0][0] != "%" and b == k.number(3.0):
        return multiply(w, k, r, a, multiply(w, k, r, a, a))
    p = _part(k)
    zero = p.number(0.0)
    result = exponential(w, k, r, multiply(w, k, r, b, logarithm(w, k, r, a)))
    nothing = _both(w, p, "oeq", a, zero)
    vanishes = w.op(f"and {p.mask} {nothing}, {compare(w, p, 'ogt', b[0], zero)}")
    plain = _both(w, p, "oeq", b, zero)
    real = w.select(p, plain, p.number(1.0), w.select(p, vanishes, zero, result[0]))
    imag = w.select(p, w.op(f"or {p.mask} {plain}, {vanishes}"), zero, result[1])
    return real, imag


def _both(w: Writer, p: Register, predicate: str, a: Pair, b: str) -> str:
    return w.op(f"and {p.mask} {compare(w, p, predicate, a[0], b)}, {compare(w, p, predicate, a[1], b)}")


def sign(w: Writer, k: Register, r: Register, a: Pair) -> Pair:
    """``a / |a|``, 0 for 0; where one part is infinite, the direction of that part."""
    p = _part(k)
    zero = p.number(0.0)
    length = call(w, "hypot", p, a[0], a[1])
    nothing = compare(w, p, "oeq", length, zero)
    endless = [is_infinite(w, p, p, part) for part in a]
    one = w.op(f"xor {p.mask} {endless[0]}, {endless[1]}")
    parts = []
    for part, own in zip(a, endless, strict=True):
        direction = w.select(p, own, w.intrinsic("copysign", p, p.number(1.0), part), zero)
        result = w.select(p, one, direction, w.op(f"fdiv {p.type} {part}, {length}"))
        parts.append(w.select(p, nothing, zero, result))
    return parts[0], parts[1]


def rounded(w: Writer, k: Register, r: Register, a: Pair) -> Pair:
    """Each part rounded to the nearest integer, to even in ties."""
    p = _part(k)
    return w.intrinsic("rint", p, a[0]), w.intrinsic("rint", p, a[1])
