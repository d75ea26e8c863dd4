"""Floating-point operations that are no single instruction, bit for bit as NumPy computes them.

Each function takes the writer, the operands' register, the result's register and the operands, for any number of lanes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tracejit.codegen_llvm.registers import Register, named_register
from tracejit.codegen_llvm.writer import Writer

__all__ = [
    "floor_divide", "floor_remainder", "fraction", "frexp_exponent", "frexp_mantissa", "from_sort_key", "half_bits",
    "half_from_bits", "heaviside", "is_finite", "is_infinite", "is_negative", "larger", "larger_number",
    "ldexp", "nextafter", "remainder", "round_half", "sign", "smaller", "smaller_number", "sort_key",
    "spacing",
]  # fmt: skip

INFINITY = float("inf")
NAN = float("nan")


def compare(w: Writer, k: Register, predicate: str, a: str, b: str) -> str:
    """An ordered or unordered comparison, lane by lane."""
    return w.op(f"fcmp {predicate} {k.type} {a}, {b}")


# -------------------------------------------------------------------------------------- half precision


def round_half(w: Writer, k: Register, x: str) -> str:
    """Round the floats that stand for half-precision numbers to that precision."""
    return half_from_bits(w, k, half_bits(w, k, x))


def half_bits(w: Writer, k: Register, x: str) -> str:
    """The half-precision number nearest to a float, as it is in memory (``half`` or, for bfloat16, i16)."""
    f, lanes = k.type, k.lanes
    if k.name == "f16":
        return w.op(f"fptrunc {f} {x} to {k.memory_type}")
    i = named_register("u32", lanes)
    bits = w.op(f"bitcast {f} {x} to {i.type}")
    odd = w.op(f"and {i.type} {w.op(f'lshr {i.type} {bits}, {i.number(16)}')}, {i.number(1)}")
    biased = w.op(f"add {i.type} {w.op(f'add {i.type} {bits}, {odd}')}, {i.number(0x7FFF)}")
    quiet = w.op(f"or {i.type} {bits}, {i.number(0x400000)}")
    rounded = w.select(i, compare(w, k, "uno", x, x), quiet, biased)
    return w.op(f"trunc {i.type} {w.op(f'lshr {i.type} {rounded}, {i.number(16)}')} to {k.memory_type}")


def half_from_bits(w: Writer, k: Register, bits: str) -> str:
    """The float that stands for a half-precision number as it is in memory."""
    if k.name == "f16":
        return w.op(f"fpext {k.memory_type} {bits} to {k.type}")
    i = named_register("u32", k.lanes)
    word = w.op(f"shl {i.type} {w.op(f'zext {k.memory_type} {bits} to {i.type}')}, {i.number(16)}")
    return w.op(f"bitcast {i.type} {word} to {k.type}")


# ------------------------------------------------------------------------------------- larger, smaller


def _extreme(strict: str, loose: str, *, keeps_nan: bool) -> Callable[[Writer, Register, Register, str, str], str]:
    def emit(w: Writer, k: Register, r: Register, a: str, b: str) -> str:
        # As x86's max and min: the second operand where the comparison is false, hence in ties and for NaN. NumPy's
        # loops for float16 take the first in ties.
        result = w.select(k, compare(w, k, loose if k.name == "f16" else strict, a, b), a, b)
        chosen = a if keeps_nan else b
        return w.select(k, compare(w, k, "uno", chosen, chosen), a, result)

    return emit


larger = _extreme("ogt", "oge", keeps_nan=True)
smaller = _extreme("olt", "ole", keeps_nan=True)
larger_number = _extreme("ogt", "oge", keeps_nan=False)
smaller_number = _extreme("olt", "ole", keeps_nan=False)


# ---------------------------------------------------------------------------------------------- signs


def sign(w: Writer, k: Register, r: Register, x: str) -> str:
    """-1, 0 or 1, and NaN for NaN; bfloat16 keeps the sign of zero."""
    zero = k.number(0.0)
    rest = x if k.name == "bf16" else w.select(k, compare(w, k, "uno", x, x), x, zero)
    low = w.select(k, compare(w, k, "olt", x, zero), k.number(-1.0), rest)
    return w.select(k, compare(w, k, "ogt", x, zero), k.number(1.0), low)


def is_negative(w: Writer, k: Register, r: Register, x: str) -> str:
    """Whether the sign bit is set."""
    i = named_register(f"i{k.bits}", k.lanes)
    return w.op(f"icmp slt {i.type} {w.op(f'bitcast {k.type} {x} to {i.type}')}, {i.number(0)}")


def is_infinite(w: Writer, k: Register, r: Register, x: str) -> str:
    """Whether a number is infinite."""
    return compare(w, k, "oeq", w.intrinsic("fabs", k, x), k.number(INFINITY))


def is_finite(w: Writer, k: Register, r: Register, x: str) -> str:
    """Whether a number is neither infinite nor NaN."""
    return compare(w, k, "olt", w.intrinsic("fabs", k, x), k.number(INFINITY))


def heaviside(w: Writer, k: Register, r: Register, x: str, at_zero: str) -> str:
    """0 below zero, 1 above, ``at_zero`` at zero, NaN for NaN."""
    zero = k.number(0.0)
    rest = w.select(k, compare(w, k, "uno", x, x), x, at_zero)
    low = w.select(k, compare(w, k, "olt", x, zero), zero, rest)
    return w.select(k, compare(w, k, "ogt", x, zero), k.number(1.0), low)


# --------------------------------------------------------------------------------------------- division


def remainder(w: Writer, k: Register, r: Register, a: str, b: str) -> str:
    """``fmod(a, b)``: exact, with the sign of ``a``."""
    if k.lanes == 1 and not w.has_fma:
        return w.op(f"frem {k.type} {a}, {b}")
    f = named_register("f64", k.lanes)
    x, y = a, b
    if k.bits == 32:
        x, y = (w.op(f"fpext {k.type} {v} to {f.type}") for v in (a, b))
    if k.bits == 64 and not w.has_fma:
        return w.op(f"call {k.type} {_slow_remainder(w, k)}({k.type} {a}, {k.type} {b})")
    quotient = w.op(f"fdiv {f.type} {x}, {y}")
    # Up to here the quotient rounded to an integer times ``b`` is known exactly: by fma, or in twice the bits.
    limit = f.number(2.0**52 if k.bits == 64 else 2.0**28)
    outside = compare(w, f, "uge", w.intrinsic("fabs", f, quotient), limit)
    slow, fast, done = w.label(), w.label(), w.label()
    w.unlikely(w.any_lane(f, outside), slow, fast)
    w.start(slow)
    slow_rest = w.op(f"call {k.type} {_slow_remainder(w, k)}({k.type} {a}, {k.type} {b})")
    w.jump(done)
    w.start(fast)
    fast_rest = _small_remainder(w, k, f, x, y, quotient)
    w.jump(done)
    w.start(done)
    return w.op(f"phi {k.type} [{slow_rest}, %{slow}], [{fast_rest}, %{fast}]")


def _small_remainder(w: Writer, k: Register, f: Register, x: str, y: str, quotient: str) -> str:
    whole = w.intrinsic("trunc", f, quotient)
    negated = w.op(f"fneg {f.type} {whole}")
    if k.bits == 64:
        rest = w.intrinsic("fma", f, negated, y, x)
    else:
        rest = w.op(f"fadd {f.type} {w.op(f'fmul {f.type} {negated}, {y}')}, {x}")
    # The quotient may have been rounded up to an integer: then the rest has the other sign, and lacks one ``b``.
    size = w.op(f"fmul {f.type} {rest}, {w.intrinsic('copysign', f, f.number(1.0), x)}")
    low = compare(w, f, "olt", size, f.number(0.0))
    size = w.op(f"fadd {f.type} {size}, {w.select(f, low, w.intrinsic('fabs', f, y), f.number(0.0))}")
    repaired = w.intrinsic("copysign", f, size, x)
    none = compare(w, f, "oeq", whole, f.number(0.0))  # also where ``b`` is infinite
    result = w.select(f, none, x, repaired)
    return result if k.bits == 64 else w.op(f"fptrunc {f.type} {result} to {k.type}")


def _slow_remainder(w: Writer, k: Register) -> str:
    symbol = f'@"tj.fmod.{k.bits}.v{k.lanes}"'
    if symbol not in w.module.helpers:
        w.module.symbols.add("fmod" if k.bits == 64 else "fmodf")
        w.module.helpers[symbol] = (
            f"define internal {k.type} {symbol}({k.type} %a, {k.type} %b) noinline cold nounwind {{\n"
            f"%r = frem {k.type} %a, %b\nret {k.type} %r\n}}"
        )
    return symbol


def _differ_in_sign(w: Writer, k: Register, a: str, b: str) -> str:
    zero = k.number(0.0)
    return w.op(f"xor {k.mask} {compare(w, k, 'olt', a, zero)}, {compare(w, k, 'olt', b, zero)}")


def floor_remainder(w: Writer, k: Register, r: Register, a: str, b: str) -> str:
    """``a % b`` with the sign of ``b``."""
    rest = remainder(w, k, r, a, b)
    other = w.select(k, _differ_in_sign(w, k, rest, b), b, k.number(-0.0))
    moved = w.op(f"fadd {k.type} {rest}, {other}")
    exact = compare(w, k, "oeq", rest, k.number(0.0))
    return w.select(k, exact, w.intrinsic("copysign", k, k.number(0.0), b), moved)


def floor_divide(w: Writer, k: Register, r: Register, a: str, b: str) -> str:
    """``a // b``: the integer nearest to ``(a - a % b) / b``, and ``a / b`` where ``b`` is 0."""
    zero = k.number(0.0)
    rest = remainder(w, k, r, a, b)
    plain = w.op(f"fdiv {k.type} {a}, {b}")
    quotient = w.op(f"fdiv {k.type} {w.op(f'fsub {k.type} {a}, {rest}')}, {b}")
    inexact = compare(w, k, "une", rest, zero)
    lower = w.op(f"and {k.mask} {inexact}, {_differ_in_sign(w, k, rest, b)}")
    quotient = w.op(f"fsub {k.type} {quotient}, {w.select(k, lower, k.number(1.0), zero)}")
    floored = w.intrinsic("floor", k, quotient)
    high = compare(w, k, "ogt", w.op(f"fsub {k.type} {quotient}, {floored}"), k.number(0.5))
    floored = w.op(f"fadd {k.type} {floored}, {w.select(k, high, k.number(1.0), zero)}")
    nothing = compare(w, k, "oeq", quotient, zero)
    result = w.select(k, nothing, w.intrinsic("copysign", k, zero, plain), floored)
    return w.select(k, compare(w, k, "oeq", b, zero), plain, result)


# ---------------------------------------------------------------------------------------- parts of floats


def fraction(w: Writer, k: Register, r: Register, x: str) -> str:
    """The part behind the point, with the sign of ``x``; 0 for infinities."""
    rest = w.op(f"fsub {k.type} {x}, {w.intrinsic('trunc', k, x)}")
    whole = is_infinite(w, k, r, x)
    return w.intrinsic("copysign", k, w.select(k, whole, k.number(0.0), rest), x)


def ldexp(w: Writer, k: Register, r: Register, x: str, exponent: str, exponent_register: Register) -> str:
    """``x * 2**exponent`` with one rounding."""
    e = exponent_register
    i = named_register("i32", k.lanes)
    if e.bits == 64:
        low = w.op(f"call {e.type} @llvm.smax.{e.suffix}({e.type} {exponent}, {e.type} {e.number(-100000)})")
        clamped = w.op(f"call {e.type} @llvm.smin.{e.suffix}({e.type} {low}, {e.type} {e.number(100000)})")
        exponent = w.op(f"trunc {e.type} {clamped} to {i.type}")
    name = "ldexpf" if k.bits == 32 else "ldexp"
    w.module.external(name, f"declare {k.element} @{name}({k.element}, i32)")

    def scale(a: str, b: str) -> str:
        return w.op(f"call {k.element} @{name}({k.element} {a}, i32 {b})")

    if k.lanes == 1:
        return scale(x, exponent)
    built = "poison"
    for lane in range(k.lanes):
        scaled = scale(w.lane(k, x, lane), w.lane(i, exponent, lane))
        built = w.op(f"insertelement {k.type} {built}, {k.element} {scaled}, i64 {lane}")
    return built


class _Layout(NamedTuple):
    """Where the exponent of a float format is."""

    mantissa: int
    bias: int
    lift: float  # a power of two that makes the smallest numbers normal


_LAYOUTS = {64: _Layout(52, 1023, 2.0**54), 32: _Layout(23, 127, 2.0**25)}


def _split(w: Writer, k: Register, x: str) -> tuple[str, str, str, Register]:
    """(bits of the mantissa in [0.5, 1), exponent, whether x is 0, infinite or NaN, the register of both integers)."""
    layout = _LAYOUTS[k.bits]
    i = named_register(f"i{k.bits}", k.lanes)
    smallest = k.number(2.0 ** (1 - layout.bias))
    tiny = compare(w, k, "olt", w.intrinsic("fabs", k, x), smallest)
    normal = w.select(k, tiny, w.op(f"fmul {k.type} {x}, {k.number(layout.lift)}"), x)
    bits = w.op(f"bitcast {k.type} {normal} to {i.type}")
    moved = w.op(f"lshr {i.type} {bits}, {i.number(layout.mantissa)}")
    field = w.op(f"and {i.type} {moved}, {i.number(2 * layout.bias + 1)}")
    shift = layout.bias - 1
    lift = layout.mantissa + 2
    bias = w.op(f"select {k.mask} {tiny}, {i.type} {i.number(shift + lift)}, {i.type} {i.number(shift)}")
    exponent = w.op(f"sub {i.type} {field}, {bias}")
    kept = w.op(f"and {i.type} {bits}, {i.number(~((2 * layout.bias + 1) << layout.mantissa))}")
    mantissa = w.op(f"or {i.type} {kept}, {i.number(shift << layout.mantissa)}")
    zero = compare(w, k, "oeq", x, k.number(0.0))
    special = w.op(f"or {k.mask} {zero}, {compare(w, k, 'uge', w.intrinsic('fabs', k, x), k.number(INFINITY))}")
    return mantissa, exponent, special, i


def frexp_mantissa(w: Writer, k: Register, r: Register, x: str) -> str:
    """The mantissa in [0.5, 1); zeros, infinities and NaN are their own."""
    mantissa, _, special, i = _split(w, k, x)
    return w.select(k, special, x, w.op(f"bitcast {i.type} {mantissa} to {k.type}"))


def frexp_exponent(w: Writer, k: Register, r: Register, x: str) -> str:
    """The exponent that goes with the mantissa, as i32; 0 for zeros, infinities and NaN."""
    _, exponent, special, i = _split(w, k, x)
    exponent = w.select(i, special, i.number(0), exponent)
    return exponent if i.bits == 32 else w.op(f"trunc {i.type} {exponent} to {r.type}")


# --------------------------------------------------------------------------------------- order as integers


def sort_key(w: Writer, k: Register, r: Register, x: str) -> str:
    """The bits, changed so that they are in order as unsigned integers."""
    bits = w.op(f"bitcast {k.type} {x} to {r.type}")
    negative = w.op(f"icmp slt {r.type} {bits}, {r.number(0)}")
    sign = r.number(1 << (k.bits - 1))
    flipped = w.op(f"xor {r.type} {bits}, {r.number((1 << k.bits) - 1)}")
    key = w.select(r, negative, flipped, w.op(f"or {r.type} {bits}, {sign}"))
    return w.select(r, compare(w, k, "uno", x, x), r.number((1 << k.bits) - 1), key)


def from_sort_key(w: Writer, k: Register, r: Register, key: str) -> str:
    """The number of a key."""
    positive = w.op(f"icmp slt {k.type} {key}, {k.number(0)}")
    cleared = w.op(f"and {k.type} {key}, {k.number((1 << (k.bits - 1)) - 1)}")
    bits = w.select(k, positive, cleared, w.op(f"xor {k.type} {key}, {k.number((1 << k.bits) - 1)}"))
    return w.op(f"bitcast {k.type} {bits} to {r.type}")


# ------------------------------------------------------------------------------------- neighbouring numbers


def _as_bits(w: Writer, k: Register, x: str) -> tuple[str, Register]:
    """The bits of a number in its own format, and the register of those integers."""
    if k.group != "h":
        i = named_register(f"i{k.bits}", k.lanes)
        return w.op(f"bitcast {k.type} {x} to {i.type}"), i
    i = named_register("i16", k.lanes)
    bits = half_bits(w, k, x)
    return (w.op(f"bitcast {k.memory_type} {bits} to {i.type}") if k.name == "f16" else bits), i


def _from_bits(w: Writer, k: Register, i: Register, bits: str) -> str:
    if k.group != "h":
        return w.op(f"bitcast {i.type} {bits} to {k.type}")
    return half_from_bits(w, k, w.op(f"bitcast {i.type} {bits} to {k.memory_type}") if k.name == "f16" else bits)


def nextafter(w: Writer, k: Register, r: Register, x: str, y: str) -> str:
    """The number next to ``x`` in the direction of ``y``."""
    zero = k.number(0.0)
    bits, i = _as_bits(w, k, x)
    up = compare(w, k, "olt", x, y)
    outwards = w.op(f"xor {k.mask} {up}, {compare(w, k, 'olt', x, zero)}")
    step = w.op(f"select {k.mask} {outwards}, {i.type} {i.number(1)}, {i.type} {i.number(-1)}")
    near = _from_bits(w, k, i, w.op(f"add {i.type} {bits}, {step}"))
    least = w.intrinsic("copysign", k, _from_bits(w, k, i, i.number(1)), y)
    near = w.select(k, compare(w, k, "oeq", x, zero), least, near)
    near = w.select(k, compare(w, k, "oeq", x, y), x if k.name == "f16" else y, near)
    return w.select(k, compare(w, k, "uno", x, y), w.op(f"fadd {k.type} {x}, {y}"), near)


def spacing(w: Writer, k: Register, r: Register, x: str) -> str:
    """The distance to the next number away from zero, with the sign of ``x``; for float16 to the next larger."""
    bits, i = _as_bits(w, k, x)
    step = i.number(1)
    if k.name == "f16":
        low = compare(w, k, "olt", x, k.number(0.0))
        step = w.op(f"select {k.mask} {low}, {i.type} {i.number(-1)}, {i.type} {step}")
    next_number = _from_bits(w, k, i, w.op(f"add {i.type} {bits}, {step}"))
    distance = w.op(f"fsub {k.type} {next_number}, {x}")
    least = _from_bits(w, k, i, i.number(1))
    if k.name == "bf16":
        least = w.intrinsic("copysign", k, least, x)
    distance = w.select(k, compare(w, k, "oeq", x, k.number(0.0)), least, distance)
    unknown = compare(w, k, "uge", w.intrinsic("fabs", k, x), k.number(INFINITY))
    return w.select(k, unknown, k.number(NAN), distance)
