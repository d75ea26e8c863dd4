"""sin, cos and tan, accurate for every argument.

Ordinary arguments are reduced by a multiple of pi given in three parts (Cody and Waite). Where any lane is too large
for that, those lanes alone are recomputed by a cold scalar function that multiplies by enough bits of 1/(2 pi) (Payne
and Hanek). A lane's result depends on that lane alone, hence not on the width.
"""

from __future__ import annotations

from functools import cache

from tracejit.codegen_llvm.vector_math.builder import (
    F64,
    Builder,
    Definition,
    Format,
    Pair,
    Value,
    finish,
    float_constant,
    symbol_of,
)
from tracejit.codegen_llvm.vector_math.exponential import keep_negligible

ONE_OVER_PI = 0.3183098861837907
TWO_OVER_PI = 0.6366197723675814

# pi = sum of three numbers of the format, to 2**-162 and 2**-75.
PI_PARTS = {
    "f64": (3.141592653589793, 1.2246467991473532e-16, -2.9947698097183397e-33),
    "f32": (3.1415927410125732, -8.742277657347586e-08, -3.4302490200117637e-15),
}

# 2 pi as high and low part, f64.
TURN = (6.283185307179586, 2.4492935982947064e-16)

# Above this the error of n * pi is felt, or n itself is not exact.
REDUCTION_LIMIT = {"f64": 2.0**40, "f32": 2.0**16}

# (sin(r) - r) / r**3 + 1/8 in r**2 on |r| <= 1.004 * pi/2: relative error of sin(r) 2**-61.4 and 2**-26.9.
SIN_HALF_TURN = {
    "f64": (
        -0.04166666666666666,
        0.008333333333333205,
        -0.00019841269841211473,
        2.7557319211352134e-06,
        -2.5052106881404527e-08,
        1.60589397199236e-10,
        -7.642983287059955e-13,
        2.721015167395149e-15,
    ),
    "f32": (-0.041666582226753235, 0.00833303015679121, -0.0001980684173759073, 2.599465688035707e-06),
}

# The same on |r| <= 1.004 * pi/4: 2**-57.8 and 2**-27.8.
SIN_QUARTER_TURN = {
    "f64": (
        -0.1666666666666663,
        0.008333333333321785,
        -0.00019841269829288475,
        2.755731350815873e-06,
        -2.5050728927264715e-08,
        1.5895084053334266e-10,
    ),
    "f32": (-0.16666653752326965, 0.008332106284797192, -0.00019507964316289872),
}

# (cos(r) - 1 + r**2/2) / r**4 in r**2 on |r| <= 1.004 * pi/4: 2**-63.8 and 2**-32.7.
COS_QUARTER_TURN = {
    "f64": (
        0.04166666666666659,
        -0.0013888888888872186,
        2.480158728829527e-05,
        -2.755731401504657e-07,
        2.0875678068867755e-09,
        -1.135733561877654e-11,
    ),
    "f32": (0.04166664555668831, -0.0013887297827750444, 2.4430084522464313e-05),
}

# 1/(2 pi) in binary, 64 bits a word after one word of zeros.
TURN_BITS = (
    0x0,
    0x28BE60DB9391054A,
    0x7F09D5F47D4D3770,
    0x36D8A5664F10E410,
    0x7F9458EAF7AEF158,
    0x6DC91B8E909374B8,
    0x01924BBA82746487,
    0x3F877AC72C4A69CF,
    0xBA208D7D4BAED121,
    0x3A671C09AD17DF90,
    0x4E64758E60D4CE7D,
    0x272117E2EF7E4A0E,
    0xC7FE25FFF7816603,
    0xFBCBC462D6829B47,
    0xDB4D9FB3C9F2C26D,
    0xD3D18FD9A797FA8B,
    0x5D49EEB1FAF97C5E,
    0xCF41CE7DE294A4BA,
    0x9AFED7EC47E35742,
    0x1580CC11BF1EDAEA,
    0xFC33EF0826BD0D87,
)


def sin(b: Builder, x: Value) -> Value:
    """Sine."""
    n, raw = b.round_to_integer(x, ONE_OVER_PI)
    fast = _flip(b, _sin_half_turn(b, _reduce(b, x, n)), raw)
    return _exact_when_large(b, "sin", x, keep_negligible(b, x, fast))


def cos(b: Builder, x: Value) -> Value:
    """Cosine, as the sine of x minus an odd multiple of pi/2."""
    shift = b.format.shift + 1
    shifted = b.fma(x, ONE_OVER_PI, -0.5) + shift
    n = (shifted - shift) + 0.5
    high, low = _reduce(b, x, n)
    # Only here may the difference from the first part of n * pi be inexact: for small x, n = 1/2.
    fast = _flip(b, _sin_half_turn(b, (high, low + _first_error(b, x, n))), b.bits_of(shifted))
    return _exact_when_large(b, "cos", x, fast)


def tan(b: Builder, x: Value) -> Value:
    """Tangent."""
    n, raw = b.round_to_integer(x, TWO_OVER_PI)
    fast = _tan_quarter_turn(b, _reduce(b, x, n * 0.5), raw)
    return _exact_when_large(b, "tan", x, keep_negligible(b, x, fast))


# -- kernels ----------------------------------------------------------------------------------------------------------


def _reduce(b: Builder, x: Value, n: Value) -> Pair:
    """x - n * pi as an unevaluated sum; the first difference is exact, and so is what the second leaves."""
    first, second, third = PI_PARTS[b.format.name]
    rest = b.residue(n, first, x)
    product, error = b.product(n, second)
    high = rest - product
    low = ((rest - high) - product) - error
    return high, b.fma(n, -third, low)


def _first_error(b: Builder, x: Value, n: Value) -> Value:
    """What rounding takes from x - n * PI_PARTS[0]."""
    first = PI_PARTS[b.format.name][0]
    if b.has_fma:
        return x - b.fma(n, first, b.residue(n, first, x))
    product = n * first
    return x - ((x - product) + product)


def _flip(b: Builder, x: Value, raw: Value) -> Value:
    """-x where the raw integer is odd."""
    return b.from_bits(b.bits_of(x) ^ (raw << (b.format.bits - 1)))


def _sin_half_turn(b: Builder, r: Pair) -> Value:
    """sin(r) for |r| up to a little over pi/2."""
    high, low = r
    square = high * high
    # sin(r) = r/2 + r * q with q = 1/2 - r**2/8 + ... going from 1/2 to 0.14: all but the last two terms, small where
    # the result is large, is exact or nearly so.
    q = b.fma(square, b.polynomial(square, SIN_HALF_TURN[b.format.name]), b.fma(square, -0.125, 0.5))
    # The derivative 1 - r**2/2 is enough for the low part.
    sine = high * 0.5 + b.fma(high, q, low * b.fma(square, -0.5, 1.0))
    # An error of one unit must not lead out of the range.
    return b.at_least(b.at_most(sine, 1.0), -1.0)


def _tan_quarter_turn(b: Builder, r: Pair, raw: Value) -> Value:
    """tan(r + n * pi/2) for |r| up to a little over pi/4 and n in the low bits of `raw`."""
    high, low = r
    square = high * high
    sine, sine_low = b.sum_ordered(
        high, b.fma(high * square, b.polynomial(square, SIN_QUARTER_TURN[b.format.name]), low)
    )
    half = square * 0.5
    leading = 1.0 - half
    tail = b.fma(square * square, b.polynomial(square, COS_QUARTER_TURN[b.format.name]), -(high * low))
    cosine, cosine_low = b.sum_ordered(leading, ((1.0 - leading) - half) + tail)
    odd = b.equal(raw & 1, 1)
    quotient, quotient_low = b.divide_pairs(
        (b.select(odd, cosine, sine), b.select(odd, cosine_low, sine_low)),
        (b.select(odd, -sine, cosine), b.select(odd, -sine_low, cosine_low)),
    )
    return quotient + quotient_low


# Unoptimised: these run rarely, a third slower, and are compiled in a quarter of the time.
COLD = "noinline optnone cold nounwind"

# -- large arguments --------------------------------------------------------------------------------------------------


def _exact_when_large(b: Builder, name: str, x: Value, fast: Value) -> Value:
    """`fast`, but the exact function where |x| is beyond the reduction's reach."""
    huge = b.absolute(x) > REDUCTION_LIMIT[b.format.name]
    large = _large_one if b.width == 1 else _large_lanes
    return b.when_any(huge, large(name, b.format, b.has_fma), x, fast)


def _call_exact(name: str, fmt: Format, fma: bool, argument: str) -> tuple[str, Definition]:
    """Instructions for %exact = f(argument), and the scalar f64 function that they call."""
    scalar = _exact_scalar(name, fma)
    if fmt is F64:
        return f'  %exact = call double @"{scalar.symbol}"(double {argument})\n', scalar
    return (
        f"  %wide = fpext float {argument} to double\n"
        f'  %narrow = call double @"{scalar.symbol}"(double %wide)\n'
        "  %exact = fptrunc double %narrow to float\n"
    ), scalar


@cache
def _large_one(name: str, fmt: Format, fma: bool) -> Definition:
    """The exact function of one number."""
    symbol = symbol_of(f"{name}_large", fmt, 1)
    call, scalar = _call_exact(name, fmt, fma, "%x")
    head = f'define internal {fmt.llvm} @"{symbol}"({fmt.llvm} %x) {COLD} {{\nentry:\n'
    return Definition(symbol, f"{head}{call}  ret {fmt.llvm} %exact\n}}\n", frozenset(), (scalar,))


@cache
def _large_lanes(name: str, fmt: Format, fma: bool) -> Definition:
    """(arguments, results, count): overwrite the results whose arguments are beyond the reduction's reach."""
    symbol = f"tj.{name}_large.{fmt.name}"
    call, scalar = _call_exact(name, fmt, fma, "%x")
    kind, fabs = fmt.llvm, f"@llvm.fabs.f{fmt.bits}"
    text = f"""define internal void @"{symbol}"(ptr %arguments, ptr %results, i64 %count) {COLD} {{
entry:
  br label %test
test:
  %lane = phi i64 [ 0, %entry ], [ %next, %continue ]
  %from = getelementptr {kind}, ptr %arguments, i64 %lane
  %x = load {kind}, ptr %from, align {fmt.bits // 8}
  %magnitude = call {kind} {fabs}({kind} %x)
  %huge = fcmp ogt {kind} %magnitude, {float_constant(fmt, 1, REDUCTION_LIMIT[fmt.name])}
  br i1 %huge, label %compute, label %continue
compute:
{call}  %to = getelementptr {kind}, ptr %results, i64 %lane
  store {kind} %exact, ptr %to, align {fmt.bits // 8}
  br label %continue
continue:
  %next = add i64 %lane, 1
  %more = icmp ult i64 %next, %count
  br i1 %more, label %test, label %done
done:
  ret void
}}
"""
    return Definition(symbol, text, frozenset([f"declare {kind} {fabs}({kind})"]), (scalar,))


@cache
def _exact_scalar(name: str, fma: bool) -> Definition:
    """The function of one f64 of any magnitude from 2**-11 up."""
    b = Builder(F64, 1, fma)
    x = Value(b, "%x", "f")
    if name == "tan":
        r, parity = _reduce_exactly(b, x, doublings=2, quarter=False)
        result = _tan_quarter_turn(b, r, parity)
    else:
        r, parity = _reduce_exactly(b, x, doublings=1, quarter=name == "cos")
        result = _flip(b, _sin_half_turn(b, r), parity)
    if name != "cos":
        result = b.from_bits(b.bits_of(result) ^ (b.bits_of(x) & F64.sign_bit))
    # inf - inf is nan, and adding zero changes nothing else.
    definition = finish(b, f"{name}_exact", ["x"], result + (x - x), COLD)
    table = _turn_bits()
    return Definition(definition.symbol, definition.text, definition.requires, (*definition.calls, table))


@cache
def _turn_bits() -> Definition:
    """The table of bits; not a function, but a module has it once like one."""
    words = ", ".join([f"i64 {word - (1 << 64) if word >> 63 else word}" for word in TURN_BITS])
    text = f'@"tj.turn_bits" = internal unnamed_addr constant [{len(TURN_BITS)} x i64] [{words}]\n'
    return Definition("tj.turn_bits", text, frozenset())


def _reduce_exactly(b: Builder, x: Value, doublings: int, quarter: bool) -> tuple[Pair, Value]:
    """(r, n): |x| (plus a quarter turn) = n * c + r with c = 2 pi / 2**doublings, |r| <= c/2, n modulo two.

    |x| = mantissa * 2**e; the bits of 1/(2 pi) that would give whole turns are skipped, the next 192 give the
    fraction of a turn to 128 bits in %turn. Shifted left by `doublings`, its top bits drop out and r stays as a
    signed fraction of c.
    """
    b.requires.add("declare i64 @llvm.fshl.i64(i64, i64, i64)")
    quarter_turn = 1 << 126 if quarter else 0
    for text in _fraction_of_a_turn(x.name):
        b.lines.append("  " + text)
    for text in (
        f"%turn = add i128 %turn0, {quarter_turn}",
        f"%rounded = add i128 %turn, {1 << (127 - doublings)}",
        f"%count128 = lshr i128 %rounded, {128 - doublings}",
        "%count = trunc i128 %count128 to i64",
        f"%signed = shl i128 %turn, {doublings}",
        "%top = lshr i128 %signed, 64",
        "%top64 = trunc i128 %top to i64",
        "%negative = icmp slt i64 %top64, 0",
        "%negated = sub i128 0, %signed",
        "%size = select i1 %negative, i128 %negated, i128 %signed",
    ):
        b.lines.append("  " + text)
    scale = 2.0 ** -(128 + doublings)
    high, low = _chunks_to_pair(b, TURN[0] * scale, TURN[1] * scale)
    sign = Value(b, "%top64", "i") & F64.sign_bit
    signed = [b.from_bits(b.bits_of(part) ^ sign) for part in (high, low)]
    return (signed[0], signed[1]), Value(b, "%count", "i")


def _fraction_of_a_turn(x: str) -> list[str]:
    """Instructions that define %turn0, the fraction of |x| / (2 pi) in 128 bits."""
    lines = [
        f"%bits = bitcast double {x} to i64",
        "%biased = lshr i64 %bits, 52",
        "%exponent = and i64 %biased, 2047",
        "%fraction = and i64 %bits, 4503599627370495",
        "%mantissa = or i64 %fraction, 4503599627370496",
        # 1075 makes the mantissa an integer; 64 for the word of zeros in front.
        "%skip = sub i64 %exponent, 1011",
        "%word = lshr i64 %skip, 6",
        "%bit = and i64 %skip, 63",
        '%at0 = getelementptr i64, ptr @"tj.turn_bits", i64 %word',
        "%w0 = load i64, ptr %at0, align 8",
    ]
    for i in (1, 2, 3):
        lines += [f"%at{i} = getelementptr i64, ptr %at0, i64 {i}", f"%w{i} = load i64, ptr %at{i}, align 8"]
    lines.append("%wide = zext i64 %mantissa to i128")
    for i in (0, 1, 2):
        lines += [
            f"%a{i} = call i64 @llvm.fshl.i64(i64 %w{i}, i64 %w{i + 1}, i64 %bit)",
            f"%e{i} = zext i64 %a{i} to i128",
            f"%p{i} = mul i128 %wide, %e{i}",
        ]
    return [
        *lines,
        "%s0 = shl i128 %p0, 64",
        "%s2 = lshr i128 %p2, 64",
        "%s1 = add i128 %s0, %p1",
        "%turn0 = add i128 %s1, %s2",
    ]


def _chunks_to_pair(b: Builder, unit: float, unit_low: float) -> Pair:
    """The unsigned 128-bit %size times unit + unit_low, to some 100 bits: its three chunks are exact as floats."""
    chunks = []
    for i, (start, length) in enumerate(((86, 42), (42, 44), (0, 42))):
        mask = (1 << length) - 1
        b.lines.append(f"  %c{i} = lshr i128 %size, {start}")
        b.lines.append(f"  %d{i} = trunc i128 %c{i} to i64")
        b.lines.append(f"  %f{i} = and i64 %d{i}, {mask}")
        chunks.append(b.line(f"sitofp i64 %f{i} to double", "f") * 2.0**start)
    middle, rest = b.sum_ordered(chunks[1], chunks[2])
    high, carry = b.sum_ordered(chunks[0], middle)
    low = carry + rest
    product, error = b.product(high, unit)
    return b.sum_ordered(product, b.fma(low, unit, b.fma(high, unit_low, error)))
