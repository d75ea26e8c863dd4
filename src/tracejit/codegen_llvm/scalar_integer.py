"""Integer operations that are no single instruction: division as NumPy defines it, powers, shifts, divisors.

Each function takes the writer, the operands' register and the operands; it works for one lane and for many.
"""

from __future__ import annotations

from tracejit.codegen_llvm.registers import Register, named_register
from tracejit.codegen_llvm.writer import Writer

__all__ = [
    "absolute", "bit_count", "divisor", "floor_divide", "floor_remainder", "is_constant", "multiple", "power",
    "reciprocal", "remainder", "shift_left", "shift_right", "sign",
]  # fmt: skip

_MAGIC = (1 << 52) + (1 << 51)  # the bits of this double plus a small integer are the bits of their sum
_MAGIC_BITS = 0x4338000000000000


def is_constant(text: str) -> bool:
    """Whether an operand is spelled as a constant rather than the name of a result."""
    return text[0] != "%"


def _constant_value(k: Register, text: str) -> int | None:
    if text[0] == "%":
        return None
    return int(text if k.lanes == 1 else text[text.rindex(" ") : -1])


# ------------------------------------------------------------------------------------------------- division


def _is_safe(value: int | None) -> bool:
    return value is not None and value not in (0, -1)


def _divide(w: Writer, k: Register, a: str, b: str) -> tuple[str, str]:
    """Quotient rounded to zero and remainder; both 0 where ``b`` is 0; the least integer by -1 is itself, rest 0."""
    if _is_safe(_constant_value(k, b)):
        return _raw_divide(w, k, a, b)
    zero = w.op(f"icmp eq {k.type} {b}, {k.number(0)}")
    unsafe = zero
    if k.group == "s":
        least = w.op(f"icmp eq {k.type} {a}, {k.number(-(1 << (k.bits - 1)))}")
        minus = w.op(f"icmp eq {k.type} {b}, {k.number(-1)}")
        unsafe = w.op(f"or {k.mask} {zero}, {w.op(f'and {k.mask} {least}, {minus}')}")
    quotient, rest = _raw_divide(w, k, a, w.select(k, unsafe, k.number(1), b))
    return w.select(k, zero, k.number(0), quotient), rest


def _raw_divide(w: Writer, k: Register, a: str, b: str) -> tuple[str, str]:
    if k.lanes == 1:
        quotient = w.op(f"{'sdiv' if k.group == 's' else 'udiv'} {k.type} {a}, {b}")
    elif k.bits < 64:
        quotient = _divide_as_floats(w, k, a, b)
    else:
        quotient = _divide_wide(w, k, a, b)
    return quotient, w.op(f"sub {k.type} {a}, {w.op(f'mul {k.type} {quotient}, {b}')}")


def _divide_as_floats(w: Writer, k: Register, a: str, b: str) -> str:
    """Exact: rounding the quotient of integers below 2**(mantissa bits) cannot reach the next integer."""
    f = named_register("f64" if k.bits == 32 else "f32", k.lanes)
    letter = "s" if k.group == "s" else "u"
    x, y = (w.op(f"{letter}itofp {k.type} {v} to {f.type}") for v in (a, b))
    return w.op(f"fpto{letter}i {f.type} {w.op(f'fdiv {f.type} {x}, {y}')} to {k.type}")


def _divide_wide(w: Writer, k: Register, a: str, b: str) -> str:
    """There is no vector division of 64 bits: doubles do it where all operands are below 2**51."""
    f = named_register("f64", k.lanes)
    outside = None
    for v in (a, b):
        if k.group == "s":
            moved = w.op(f"add {k.type} {v}, {k.number(1 << 51)}")
            test = w.op(f"icmp ugt {k.type} {moved}, {k.number((1 << 52) - 1)}")
        else:
            test = w.op(f"icmp ugt {k.type} {v}, {k.number((1 << 51) - 1)}")
        outside = test if outside is None else w.op(f"or {k.mask} {outside}, {test}")
    assert outside is not None
    slow, fast, done = w.label(), w.label(), w.label()
    w.unlikely(w.any_lane(k, outside), slow, fast)
    w.start(slow)
    slow_quotient = w.op(f"call {k.type} {_slow_division(w, k)}({k.type} {a}, {k.type} {b})")
    w.jump(done)
    w.start(fast)
    magic = f.number(float(_MAGIC))
    floats = []
    for v in (a, b):
        bits = w.op(f"add {k.type} {v}, {k.number(_MAGIC_BITS)}")
        floats.append(w.op(f"fsub {f.type} {w.op(f'bitcast {k.type} {bits} to {f.type}')}, {magic}"))
    quotient = w.intrinsic("trunc", f, w.op(f"fdiv {f.type} {floats[0]}, {floats[1]}"))
    bits = w.op(f"bitcast {f.type} {w.op(f'fadd {f.type} {quotient}, {magic}')} to {k.type}")
    fast_quotient = w.op(f"sub {k.type} {bits}, {k.number(_MAGIC_BITS)}")
    w.jump(done)
    w.start(done)
    return w.op(f"phi {k.type} [{slow_quotient}, %{slow}], [{fast_quotient}, %{fast}]")


def _slow_division(w: Writer, k: Register) -> str:
    symbol = f'@"tj.divide.{k.name}.v{k.lanes}"'
    if symbol not in w.module.helpers:
        name = "sdiv" if k.group == "s" else "udiv"
        w.module.helpers[symbol] = (
            f"define internal {k.type} {symbol}({k.type} %a, {k.type} %b) noinline cold nounwind {{\n"
            f"%q = {name} {k.type} %a, %b\nret {k.type} %q\n}}"
        )
    return symbol


def _power_of_two(value: int | None) -> bool:
    return value is not None and value > 0 and value & (value - 1) == 0


def floor_divide(w: Writer, k: Register, r: Register, a: str, b: str) -> str:
    """``a // b``."""
    value = _constant_value(k, b)
    if _power_of_two(value):
        assert value is not None
        name = "ashr" if k.group == "s" else "lshr"
        return w.op(f"{name} {k.type} {a}, {k.number(value.bit_length() - 1)}")
    quotient, rest = _divide(w, k, a, b)
    if k.group == "u":
        return quotient
    return w.op(f"add {k.type} {quotient}, {w.op(f'sext {k.mask} {_rounds_down(w, k, rest, b)} to {k.type}')}")


def floor_remainder(w: Writer, k: Register, r: Register, a: str, b: str) -> str:
    """``a % b``, with the sign of ``b``."""
    value = _constant_value(k, b)
    if _power_of_two(value):
        assert value is not None
        return w.op(f"and {k.type} {a}, {k.number(value - 1)}")
    rest = remainder(w, k, r, a, b)
    if k.group == "u":
        return rest
    return w.op(f"add {k.type} {rest}, {w.select(k, _rounds_down(w, k, rest, b), b, k.number(0))}")


def _rounds_down(w: Writer, k: Register, rest: str, b: str) -> str:
    """Whether rounding to zero gave one more than rounding down."""
    inexact = w.op(f"icmp ne {k.type} {rest}, {k.number(0)}")
    signs = w.op(f"icmp slt {k.type} {w.op(f'xor {k.type} {rest}, {b}')}, {k.number(0)}")
    return w.op(f"and {k.mask} {inexact}, {signs}")


def remainder(w: Writer, k: Register, r: Register, a: str, b: str) -> str:
    """``fmod(a, b)``: the remainder with the sign of ``a``, 0 where ``b`` is 0."""
    rest = _divide(w, k, a, b)[1]
    if _is_safe(_constant_value(k, b)):
        return rest
    # Divisors 0 and -1 were replaced by 1, so that the remainder below is 0 already, except for plain -1.
    return w.select(k, w.op(f"icmp eq {k.type} {b}, {k.number(0)}"), k.number(0), rest)


def reciprocal(w: Writer, k: Register, r: Register, a: str) -> str:
    """``1 / a`` as C computes it: not 0 only for 1 and -1, and for 0, where the processor gives the least integer."""
    one = w.op(f"icmp eq {k.type} {a}, {k.number(1)}")
    result = w.op(f"zext {k.mask} {one} to {k.type}")
    if k.group == "s":
        minus = w.op(f"icmp eq {k.type} {a}, {k.number(-1)}")
        result = w.select(k, minus, k.number(-1), result)
        if k.bits >= 32:
            zero = w.op(f"icmp eq {k.type} {a}, {k.number(0)}")
            result = w.select(k, zero, k.number(-(1 << (k.bits - 1))), result)
    return result


# ---------------------------------------------------------------------------------------------- signs, bits


def absolute(w: Writer, k: Register, r: Register, a: str) -> str:
    """``abs(a)``; the least integer stays as it is."""
    return w.op(f"call {k.type} @llvm.abs.{k.suffix}({k.type} {a}, i1 false)")


def sign(w: Writer, k: Register, r: Register, a: str) -> str:
    """-1, 0 or 1."""
    if k.group == "u":
        return w.op(f"zext {k.mask} {w.op(f'icmp ne {k.type} {a}, {k.number(0)}')} to {k.type}")
    positive = w.op(f"zext {k.mask} {w.op(f'icmp sgt {k.type} {a}, {k.number(0)}')} to {k.type}")
    negative = w.op(f"sext {k.mask} {w.op(f'icmp slt {k.type} {a}, {k.number(0)}')} to {k.type}")
    return w.op(f"or {k.type} {positive}, {negative}")


def bit_count(w: Writer, k: Register, r: Register, a: str) -> str:
    """The number of ones in ``abs(a)``, as u8."""
    count = w.intrinsic("ctpop", k, absolute(w, k, r, a) if k.group == "s" else a)
    return count if k.bits == 8 else w.op(f"trunc {k.type} {count} to {r.type}")


def _shift(w: Writer, k: Register, name: str, a: str, b: str, beyond: str) -> str:
    value = _constant_value(k, b)
    if value is not None and 0 <= value < k.bits:
        return w.op(f"{name} {k.type} {a}, {b}")
    inside = w.op(f"icmp ult {k.type} {b}, {k.number(k.bits)}")
    shifted = w.op(f"{name} {k.type} {a}, {w.select(k, inside, b, k.number(0))}")
    return w.select(k, inside, shifted, beyond)


def shift_left(w: Writer, k: Register, r: Register, a: str, b: str) -> str:
    """``a << b``; 0 for counts outside the width."""
    return _shift(w, k, "shl", a, b, k.number(0))


def shift_right(w: Writer, k: Register, r: Register, a: str, b: str) -> str:
    """``a >> b``; only the sign is left for counts outside the width."""
    if k.group == "u":
        return _shift(w, k, "lshr", a, b, k.number(0))
    value = _constant_value(k, b)
    beyond = k.number(0)
    if value is None or not 0 <= value < k.bits:
        beyond = w.op(f"ashr {k.type} {a}, {k.number(k.bits - 1)}")
    return _shift(w, k, "ashr", a, b, beyond)


# ------------------------------------------------------------------------------------------- loops in a row


def power(w: Writer, k: Register, r: Register, a: str, b: str) -> str:
    """``a ** b`` modulo the width by squaring, for exponents that are not negative."""
    value = _constant_value(k, b)
    if value is not None:
        return _constant_power(w, k, a, value)
    before, head, loop, done = w.block, w.label(), w.label(), w.label()
    result, base, exponent = w.fresh(), w.fresh(), w.fresh()
    next_result, next_base, next_exponent = w.fresh(), w.fresh(), w.fresh()
    w.jump(head)
    w.start(head)
    w.out.append(f"{result} = phi {k.type} [{k.number(1)}, %{before}], [{next_result}, %{loop}]")
    w.out.append(f"{base} = phi {k.type} [{a}, %{before}], [{next_base}, %{loop}]")
    w.out.append(f"{exponent} = phi {k.type} [{b}, %{before}], [{next_exponent}, %{loop}]")
    test = "sgt" if k.group == "s" else "ne"
    w.branch(w.any_lane(k, w.op(f"icmp {test} {k.type} {exponent}, {k.number(0)}")), loop, done)
    w.start(loop)
    odd = w.op(f"trunc {k.type} {exponent} to {k.mask}")
    product = w.op(f"mul {k.type} {result}, {base}")
    w.out.append(f"{next_result} = select {k.mask} {odd}, {k.type} {product}, {k.type} {result}")
    w.out.append(f"{next_base} = mul {k.type} {base}, {base}")
    w.out.append(f"{next_exponent} = lshr {k.type} {exponent}, {k.number(1)}")
    w.jump(head)
    w.start(done)
    if k.group == "u":
        return result
    return w.select(k, w.op(f"icmp slt {k.type} {b}, {k.number(0)}"), k.number(1), result)


def _constant_power(w: Writer, k: Register, a: str, exponent: int) -> str:
    result, base = "", a
    while exponent > 0:
        if exponent & 1:
            result = w.op(f"mul {k.type} {result}, {base}") if result else base
        exponent >>= 1
        if exponent:
            base = w.op(f"mul {k.type} {base}, {base}")
    return result or k.number(1)


def divisor(w: Writer, k: Register, r: Register, a: str, b: str) -> str:
    """The greatest common divisor of the absolute values."""
    u = named_register("u" + k.name[1:], k.lanes)
    if k.group == "s":
        a, b = absolute(w, k, k, a), absolute(w, k, k, b)
    before, head, loop, done = w.block, w.label(), w.label(), w.label()
    x, y, next_x, next_y = w.fresh(), w.fresh(), w.fresh(), w.fresh()
    w.jump(head)
    w.start(head)
    phi_x, phi_y = len(w.out), len(w.out) + 1
    w.out += ["", ""]
    more = w.op(f"icmp ne {u.type} {y}, {u.number(0)}")
    w.branch(w.any_lane(u, more), loop, done)
    w.start(loop)
    out = w.out
    rest = remainder(w, u, u, x, y)
    w.out.append(f"{next_x} = select {u.mask} {more}, {u.type} {y}, {u.type} {x}")
    w.out.append(f"{next_y} = select {u.mask} {more}, {u.type} {rest}, {u.type} {u.number(0)}")
    out[phi_x] = f"{x} = phi {u.type} [{a}, %{before}], [{next_x}, %{w.block}]"
    out[phi_y] = f"{y} = phi {u.type} [{b}, %{before}], [{next_y}, %{w.block}]"
    w.jump(head)
    w.start(done)
    return x


def multiple(w: Writer, k: Register, r: Register, a: str, b: str) -> str:
    """The least common multiple of the absolute values; 0 where both are 0."""
    u = named_register("u" + k.name[1:], k.lanes)
    common = divisor(w, k, r, a, b)
    if k.group == "s":
        a, b = absolute(w, k, k, a), absolute(w, k, k, b)
    return w.op(f"mul {u.type} {_divide(w, u, a, common)[0]}, {b}")
