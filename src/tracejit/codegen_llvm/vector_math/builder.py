"""Emission of LLVM IR text for element-wise maths on one vector type.

Owns the `Value`/`Builder` pair in which the functions of this package are written, the floating-point formats, and the
`Definition` record. Knows nothing of loops, memory, tracejit's IR or targets: a definition maps vectors to vectors.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True)
class Format:
    """An IEEE binary format: its LLVM name and the numbers that bit manipulation needs."""

    name: str
    llvm: str
    bits: int
    mantissa_bits: int
    bias: int

    @property
    def shift(self) -> float:
        """1.5 * 2**mantissa_bits: adding it rounds to an integer, which then sits in the low bits."""
        return 1.5 * 2.0**self.mantissa_bits

    @property
    def smallest_normal(self) -> float:
        """The smallest positive normal number."""
        return float(2.0 ** (1 - self.bias))

    @property
    def smallest_subnormal(self) -> float:
        """The smallest positive number."""
        return float(2.0 ** (1 - self.bias - self.mantissa_bits))

    @property
    def sign_bit(self) -> int:
        """The bit pattern of -0.0."""
        return 1 << (self.bits - 1)

    @property
    def mantissa_mask(self) -> int:
        """The bits of the fraction."""
        return (1 << self.mantissa_bits) - 1

    def rounded(self, value: float) -> float:
        """The number of this format nearest to `value`."""
        return float(struct.unpack("<f", struct.pack("<f", value))[0]) if self.bits == 32 else value

    def pattern(self, value: float) -> int:
        """The bit pattern of a number, as an unsigned integer."""
        if self.bits == 64:
            return int.from_bytes(struct.pack("<d", value), "little")
        return int.from_bytes(struct.pack("<f", value), "little")


F64 = Format("f64", "double", 64, 52, 1023)
F32 = Format("f32", "float", 32, 23, 127)
FORMATS = {"f32": F32, "f64": F64}


@dataclass(frozen=True)
class Definition:
    """One function as text, with what a module that contains the text must contain besides."""

    symbol: str
    text: str
    requires: frozenset[str]
    calls: tuple[Definition, ...] = ()


@cache
def float_constant(fmt: Format, width: int, value: float) -> str:
    """Spell a number, splat over the lanes; LLVM writes 32-bit constants as the 64-bit pattern of the same number."""
    spelled = f"0x{F64.pattern(fmt.rounded(value)):016X}"
    return spelled if width == 1 else f"splat ({fmt.llvm} {spelled})"


@cache
def integer_constant(bits: int, width: int, value: int) -> str:
    """Spell an integer of `bits` bits, wrapped to its signed range, splat over the lanes."""
    value &= (1 << bits) - 1
    if value >> (bits - 1):
        value -= 1 << bits
    return str(value) if width == 1 else f"splat (i{bits} {value})"


class Value:
    """An SSA value: `kind` is "f" (floats), "i" (integers of the same size) or "m" (a mask of i1)."""

    __slots__ = ("builder", "kind", "name")

    def __init__(self, builder: Builder, name: str, kind: str) -> None:
        self.builder = builder
        self.name = name
        self.kind = kind

    def _binary(self, float_op: str, integer_op: str, other: Operand) -> Value:
        op = float_op if self.kind == "f" else integer_op
        return self.builder.emit(self.kind, op, self, other)

    def __add__(self, other: Operand) -> Value:
        return self._binary("fadd", "add", other)

    def __radd__(self, other: Operand) -> Value:
        return self.builder.lift(other, self.kind) + self

    def __sub__(self, other: Operand) -> Value:
        return self._binary("fsub", "sub", other)

    def __rsub__(self, other: Operand) -> Value:
        return self.builder.lift(other, self.kind) - self

    def __mul__(self, other: Operand) -> Value:
        return self._binary("fmul", "mul", other)

    def __rmul__(self, other: Operand) -> Value:
        return self * other

    def __truediv__(self, other: Operand) -> Value:
        return self.builder.emit("f", "fdiv", self, other)

    def __rtruediv__(self, other: Operand) -> Value:
        return self.builder.lift(other, "f") / self

    def __neg__(self) -> Value:
        return self.builder.emit("f", "fneg", self)

    def __and__(self, other: Operand) -> Value:
        return self.builder.emit(self.kind, "and", self, other)

    def __or__(self, other: Operand) -> Value:
        return self.builder.emit(self.kind, "or", self, other)

    def __xor__(self, other: Operand) -> Value:
        return self.builder.emit(self.kind, "xor", self, other)

    def __lshift__(self, other: Operand) -> Value:
        return self.builder.emit("i", "shl", self, other)

    def __rshift__(self, other: Operand) -> Value:
        return self.builder.emit("i", "lshr", self, other)

    def __lt__(self, other: Operand) -> Value:
        return self.builder.compare("olt", "slt", self, other)

    def __le__(self, other: Operand) -> Value:
        return self.builder.compare("ole", "sle", self, other)

    def __gt__(self, other: Operand) -> Value:
        return self.builder.compare("ogt", "sgt", self, other)

    def __ge__(self, other: Operand) -> Value:
        return self.builder.compare("oge", "sge", self, other)


Operand = Value | float | int
Pair = tuple[Value, Value]


# From this number of coefficients on a polynomial is evaluated in blocks.
LONG_POLYNOMIAL = 9


class Builder:
    """Collects the instructions of one function on `width` lanes of a format.

    With `fma=False` no fused multiply-add is emitted: `fma` becomes two roundings, and `product` splits by Dekker.
    """

    def __init__(self, fmt: Format, width: int, fma: bool = True) -> None:
        self.format = fmt
        self.width = width
        self.has_fma = fma
        self.lines: list[str] = []
        self.slots: list[str] = []
        self.requires: set[str] = set()
        self.calls: list[Definition] = []
        self.types = {
            "f": self.vector_type(fmt.llvm),
            "i": self.vector_type(f"i{fmt.bits}"),
            "m": self.vector_type("i1"),
        }
        self.suffix = f"f{fmt.bits}" if width == 1 else f"v{width}f{fmt.bits}"
        self.block = "entry"
        self._count = 0

    def vector_type(self, element: str) -> str:
        """The type of `width` lanes of an element type."""
        return element if self.width == 1 else f"<{self.width} x {element}>"

    # -- emission -----------------------------------------------------------------------------------------------------

    def fresh(self) -> str:
        """A name for a new SSA value."""
        self._count += 1
        return f"%v{self._count}"

    def line(self, right_side: str, kind: str) -> Value:
        """Emit an instruction given as text and name its result."""
        name = self.fresh()
        self.lines.append(f"  {name} = {right_side}")
        return Value(self, name, kind)

    def spell(self, operand: Operand, kind: str) -> str:
        """The text of an operand; numbers become constants of `kind`."""
        if isinstance(operand, Value):
            return operand.name
        if kind == "f":
            return float_constant(self.format, self.width, float(operand))
        return integer_constant(self.format.bits, self.width, int(operand))

    def lift(self, operand: Operand, kind: str = "f") -> Value:
        """The operand as a `Value`."""
        return operand if isinstance(operand, Value) else Value(self, self.spell(operand, kind), kind)

    def emit(self, kind: str, op: str, *operands: Operand) -> Value:
        """Emit an instruction all of whose operands have the type of its result."""
        spelled = ", ".join([self.spell(operand, kind) for operand in operands])
        return self.line(f"{op} {self.types[kind]} {spelled}", kind)

    def compare(self, float_predicate: str, integer_predicate: str, a: Operand, b: Operand) -> Value:
        """Compare lane by lane, giving a mask."""
        kind = a.kind if isinstance(a, Value) else b.kind if isinstance(b, Value) else "f"
        op = f"fcmp {float_predicate}" if kind == "f" else f"icmp {integer_predicate}"
        return self.line(f"{op} {self.types[kind]} {self.spell(a, kind)}, {self.spell(b, kind)}", "m")

    def intrinsic(self, name: str, *operands: Operand) -> Value:
        """Call an LLVM intrinsic that maps lanes to a lane."""
        kind_type = self.types["f"]
        symbol = f"@llvm.{name}.{self.suffix}"
        self.requires.add(f"declare {kind_type} {symbol}({', '.join([kind_type] * len(operands))})")
        spelled = ", ".join([f"{kind_type} {self.spell(operand, 'f')}" for operand in operands])
        return self.line(f"call {kind_type} {symbol}({spelled})", "f")

    # -- lanes --------------------------------------------------------------------------------------------------------

    def equal(self, a: Operand, b: Operand) -> Value:
        """Mask of lanes that compare equal (never for nan)."""
        return self.compare("oeq", "eq", a, b)

    def select(self, mask: Value, a: Operand, b: Operand) -> Value:
        """`a` where the mask is set, else `b`."""
        kind = a.kind if isinstance(a, Value) else b.kind if isinstance(b, Value) else "f"
        of_kind = self.types[kind]
        text = f"select {self.types['m']} {mask.name}, {of_kind} {self.spell(a, kind)}, {of_kind} {self.spell(b, kind)}"
        return self.line(text, kind)

    def bits_of(self, x: Operand) -> Value:
        """The floats' bit patterns as integers."""
        return self.line(f"bitcast {self.types['f']} {self.spell(x, 'f')} to {self.types['i']}", "i")

    def from_bits(self, bits: Operand) -> Value:
        """The floats with these bit patterns."""
        return self.line(f"bitcast {self.types['i']} {self.spell(bits, 'i')} to {self.types['f']}", "f")

    def absolute(self, x: Value) -> Value:
        """|x|."""
        return self.intrinsic("fabs", x)

    def copy_sign(self, magnitude: Operand, sign: Value) -> Value:
        """`magnitude` with the sign bit of `sign`."""
        return self.intrinsic("copysign", magnitude, sign)

    def square_root(self, x: Value) -> Value:
        """Correctly rounded square root."""
        return self.intrinsic("sqrt", x)

    def at_most(self, x: Value, limit: Operand) -> Value:
        """min(x, limit) that keeps nan."""
        return self.select(self.compare("olt", "slt", limit, x), limit, x)

    def at_least(self, x: Value, limit: Operand) -> Value:
        """max(x, limit) that keeps nan."""
        return self.select(self.compare("ogt", "sgt", limit, x), limit, x)

    # -- arithmetic ---------------------------------------------------------------------------------------------------

    def fma(self, a: Operand, b: Operand, c: Operand) -> Value:
        """a * b + c, fused where the host fuses."""
        if self.has_fma:
            return self.intrinsic("fma", a, b, c)
        return self.lift(a) * b + c

    def polynomial(self, x: Value, coefficients: Sequence[float]) -> Value:
        """Evaluate sum(coefficients[i] * x**i).

        Horner's rule where the chain is short, the loop around supplying the parallelism; else Horner in x**4 over
        blocks of four, since schedulers do not look far enough past a long chain.
        """
        if len(coefficients) < LONG_POLYNOMIAL:
            return self._horner(x, coefficients)
        square = x * x
        blocks = [self._block(x, square, coefficients[i : i + 4]) for i in range(0, len(coefficients), 4)]
        return self._horner(square * square, blocks)

    def _horner(self, x: Value, coefficients: Sequence[Operand]) -> Value:
        """Evaluate from the highest coefficient down."""
        result = coefficients[-1]
        for coefficient in reversed(coefficients[:-1]):
            result = self.fma(result, x, coefficient)
        return self.lift(result)

    def _block(self, x: Value, square: Value, coefficients: Sequence[float]) -> Operand:
        """Up to four terms as a sum of two pairs."""
        pairs = [
            self.fma(pair[1], x, pair[0]) if len(pair) == 2 else pair[0]
            for pair in (coefficients[:2], coefficients[2:])
            if pair
        ]
        return self.fma(pairs[1], square, pairs[0]) if len(pairs) == 2 else pairs[0]

    def sum_exact(self, a: Value, b: Operand) -> Pair:
        """s + e == a + b exactly, s rounded (Knuth)."""
        s = a + b
        t = s - a
        return s, (a - (s - t)) + (b - t)

    def sum_ordered(self, a: Operand, b: Operand) -> Pair:
        """s + e == a + b exactly for |a| >= |b| (Dekker)."""
        s = self.lift(a) + b
        return s, b - (s - a)

    def split(self, a: Operand) -> Pair:
        """hi + lo == a with hi of at most half the bits (Veltkamp)."""
        c = self.lift(a) * (2.0 ** ((self.format.mantissa_bits + 2) // 2) + 1.0)
        high = c - (c - a)
        return high, a - high

    def product(self, a: Operand, b: Operand) -> Pair:
        """p + e == a * b exactly, p rounded."""
        p = self.lift(a) * b
        if self.has_fma:
            return p, self.fma(a, b, -p)
        a_high, a_low = self.split(a)
        b_high, b_low = self.split(b)
        return p, ((a_high * b_high - p) + a_high * b_low + a_low * b_high) + a_low * b_low

    def residue(self, a: Operand, b: Operand, c: Operand) -> Value:
        """c - a * b with one rounding where a * b is close to c."""
        if self.has_fma:
            return self.fma(-self.lift(a), b, c)
        p, e = self.product(a, b)
        return (c - p) - e

    def divide_pairs(self, a: tuple[Value, Value | None], d: Pair) -> Pair:
        """The quotient of two unevaluated sums, to nearly twice the precision, with one division."""
        inverse = 1.0 / d[0]
        quotient = a[0] * inverse
        rest = self.residue(quotient, d[0], a[0])
        if a[1] is not None:
            rest = rest + a[1]
        return quotient, self.fma(-quotient, d[1], rest) * inverse

    def square_root_of_pair(self, high: Value, low: Value) -> Pair:
        """The square root of an unevaluated sum, to nearly twice the precision."""
        root = self.square_root(high)
        return root, (self.residue(root, root, high) + low) / (root * 2.0)

    # -- control -----------------------------------------------------------------------------------------------------

    def when_any(self, mask: Value, slow: Definition, x: Value, fast: Value) -> Value:
        """`fast`, or what `slow` makes of it if any lane of the mask is set: a branch that all lanes take together.

        `slow` is of one lane, x -> f(x), at width 1; else it is (pointer to x, pointer to fast, count) and works in
        memory, which keeps it independent of the width and the vectors out of its calling convention.
        """
        self.calls.append(slow)
        vector = self.types["f"]
        any_lane = self._any(mask)
        start, rare, joined = self.block, f"rare{self._count}", f"joined{self._count}"
        self.lines.append(f"  br i1 {any_lane.name}, label %{rare}, label %{joined}\n{rare}:")
        if self.width == 1:
            exact = self.line(f'call {vector} @"{slow.symbol}"({vector} {x.name})', "f")
        else:
            arguments, results = self._slot(x), self._slot(fast)
            self.lines.append(f'  call void @"{slow.symbol}"(ptr {arguments}, ptr {results}, i64 {self.width})')
            exact = self.line(f"load {vector}, ptr {results}, align {self.format.bits // 8}", "f")
        self.lines.append(f"  br label %{joined}\n{joined}:")
        self.block = joined
        return self.line(f"phi {vector} [ {fast.name}, %{start} ], [ {exact.name}, %{rare} ]", "f")

    def _any(self, mask: Value) -> Value:
        """Whether any lane of the mask is set, as one i1."""
        if self.width == 1:
            return mask
        reduction = f"@llvm.vector.reduce.or.v{self.width}i1"
        self.requires.add(f"declare i1 {reduction}({self.types['m']})")
        return self.line(f"call i1 {reduction}({self.types['m']} {mask.name})", "m")

    def _slot(self, x: Value) -> str:
        """The name of a stack slot, made in the entry block, into which x is stored here."""
        slot, align = self.fresh(), self.format.bits // 8
        self.slots.append(f"  {slot} = alloca {self.types['f']}, align {align}\n")
        self.lines.append(f"  store {self.types['f']} {x.name}, ptr {slot}, align {align}")
        return slot

    # -- integers in floats -------------------------------------------------------------------------------------------

    def round_to_integer(self, x: Value, factor: float, offset: int = 0) -> Pair:
        """(n, raw): n = round(x * factor) as float, and raw bits whose low part is n + offset in two's complement."""
        shift = self.format.shift + offset
        shifted = self.fma(x, factor, shift)
        return shifted - shift, self.bits_of(shifted)

    def power_of_two(self, raw: Value) -> Value:
        """2**n for raw bits whose low part is n + bias, a normal exponent."""
        return self.from_bits(raw << self.format.mantissa_bits)

    def scale(self, x: Value, raw: Value) -> Value:
        """x * 2**n with one rounding, for raw bits whose low part is n + 2 * bias >= 0."""
        half = raw >> 1
        return x * self.power_of_two(half) * self.power_of_two(raw - half)


Body = Callable[..., Value]


def symbol_of(name: str, fmt: Format, width: int) -> str:
    """The name of the function that computes `name`."""
    return f"tj.{name}.{fmt.name}.v{width}"


def finish(builder: Builder, name: str, arguments: Sequence[str], result: Value, attributes: str) -> Definition:
    """Wrap the emitted instructions into a function definition."""
    symbol = symbol_of(name, builder.format, builder.width)
    vector = builder.types["f"]
    parameters = ", ".join([f"{vector} %{argument}" for argument in arguments])
    head = f'define internal {vector} @"{symbol}"({parameters}) {attributes} {{\nentry:\n'
    text = head + "".join(builder.slots) + "\n".join(builder.lines) + f"\n  ret {vector} {result.name}\n}}\n"
    return Definition(symbol, text, frozenset(builder.requires), tuple(builder.calls))
