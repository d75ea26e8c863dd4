"""Conversions between dtypes as C, and hence NumPy, performs them.

Numbers outside the range of an integer type, infinities and NaN, give on every processor what C compilers make of the
conversion on plain x86-64, and so NumPy's own loops there: LLVM leaves them undefined, and its choice changes with the
instruction set (AVX-512 has conversions to unsigned integers that saturate).
"""

from __future__ import annotations

from typing import Any

from tracejit.codegen_llvm.registers import Register, named_register
from tracejit.codegen_llvm.scalar_float import compare, half_bits, half_from_bits, round_half
from tracejit.codegen_llvm.writer import Writer

__all__ = ["bitcast", "cast", "truth"]


def truth(w: Writer, k: Register, x: Any) -> str:
    """Whether a value is not zero (NaN is not)."""
    if k.part is not None:
        return w.op(f"or {k.mask} {truth(w, k.part, x[0])}, {truth(w, k.part, x[1])}")
    if k.group == "b":
        return str(x)
    if k.group in "fh":
        return compare(w, k, "une", x, k.number(0.0))
    return w.op(f"icmp ne {k.type} {x}, {k.number(0)}")


def _narrow_to_half(w: Writer, k: Register, r: Register, x: str) -> str:
    """A double to half precision with one rounding: by way of a float rounded to odd."""
    single = named_register("f32", k.lanes)
    i = named_register("i32", k.lanes)
    near = w.op(f"fptrunc {k.type} {x} to {single.type}")
    if r.name == "bf16":
        return round_half(w, r, near)
    back = w.op(f"fpext {single.type} {near} to {k.type}")
    bits = w.op(f"bitcast {single.type} {near} to {i.type}")
    beyond = compare(w, k, "ogt", w.intrinsic("fabs", k, back), w.intrinsic("fabs", k, x))
    lower = w.op(f"add {i.type} {bits}, {w.op(f'sext {k.mask} {beyond} to {i.type}')}")
    odd = w.op(f"or {i.type} {lower}, {i.number(1)}")
    inexact = compare(w, k, "one", back, x)
    chosen = w.select(i, inexact, odd, bits)
    return round_half(w, r, w.op(f"bitcast {i.type} {chosen} to {single.type}"))


def _float_to_float(w: Writer, k: Register, r: Register, x: str) -> str:
    if k.name == r.name:
        return x
    if k.bits == 64 and r.group == "h":
        return _narrow_to_half(w, k, r, x)
    if k.bits != r.bits:
        return w.op(f"{'fpext' if r.bits == 64 else 'fptrunc'} {k.type} {x} to {r.type}")
    return round_half(w, r, x) if r.group == "h" else x


def _where_it_fits(w: Writer, k: Register, x: str, bits: int) -> tuple[str, str]:
    """Whether a float fits a signed integer of some bits, and the float, or zero where it does not."""
    fits = compare(w, k, "olt", w.intrinsic("fabs", k, x), k.number(2.0 ** (bits - 1)))
    return fits, w.select(k, fits, x, k.number(0.0))


def _signed(w: Writer, k: Register, r: Register, x: str) -> str:
    """A float to i32 or i64: the least integer where the result would not fit, and for NaN."""
    fits, x = _where_it_fits(w, k, x, r.bits)
    return w.select(r, fits, w.op(f"fptosi {k.type} {x} to {r.type}"), r.number(-(2 ** (r.bits - 1))))


def _modulo_32_bits(w: Writer, k: Register, r: Register, x: str) -> str:
    """The lower half of a double's conversion to i64, which few processors have for vectors, by arithmetic.

    The last step reads the bits of a number between 2**52 and 2**53: those of the fraction count ones.
    """
    whole = w.intrinsic("trunc", k, _where_it_fits(w, k, x, 64)[1])
    times = w.intrinsic("floor", k, w.op(f"fmul {k.type} {whole}, {k.number(2.0**-32)}"))
    rest = w.op(f"fsub {k.type} {whole}, {w.op(f'fmul {k.type} {times}, {k.number(2.0**32)}')}")
    i = named_register("i64", k.lanes)
    bits = w.op(f"bitcast {k.type} {w.op(f'fadd {k.type} {rest}, {k.number(2.0**52)}')} to {i.type}")
    return w.op(f"trunc {i.type} {bits} to {r.type}")


def _float_to_integer(w: Writer, k: Register, r: Register, x: str) -> str:
    if r.group == "s" and r.bits >= 32:
        return _signed(w, k, r, x)
    if r.bits < 32:  # the lower bits of an i32; those of the least one are zeros, too
        i = named_register("i32", k.lanes)
        whole = w.op(f"fptosi {k.type} {_where_it_fits(w, k, x, 32)[1]} to {i.type}")
        return w.op(f"trunc {i.type} {whole} to {r.type}")
    if r.bits == 32:
        double = named_register("f64", k.lanes)
        return _modulo_32_bits(w, double, r, _float_to_float(w, k, double, x))
    upper = compare(w, k, "oge", x, k.number(2.0**63))
    lower = w.select(k, upper, w.op(f"fsub {k.type} {x}, {k.number(2.0**63)}"), x)
    flip = w.select(r, upper, r.number(-(2**63)), r.number(0))
    return w.op(f"xor {r.type} {_signed(w, k, named_register('i64', k.lanes), lower)}, {flip}")


def _integer_to_float(w: Writer, k: Register, r: Register, x: str) -> str:
    if k.group == "b":
        return w.select(r, x, r.number(1.0), r.number(0.0))
    single = w.op(f"{'u' if k.group == 'u' else 's'}itofp {k.type} {x} to {r.type}")
    return round_half(w, r, single) if r.group == "h" else single


def _integer_to_integer(w: Writer, k: Register, r: Register, x: str) -> str:
    if k.bits == r.bits:
        return x
    name = "trunc" if k.bits > r.bits else "sext" if k.group == "s" else "zext"
    return w.op(f"{name} {k.type} {x} to {r.type}")


def cast(w: Writer, k: Register, r: Register, x: Any) -> Any:
    """Convert values of ``k`` to the dtype of ``r``; the real part of complex values, unless to complex or bool."""
    if k.name == r.name:
        return x
    if r.part is not None:
        if k.part is not None:
            return _float_to_float(w, k.part, r.part, x[0]), _float_to_float(w, k.part, r.part, x[1])
        return cast(w, k, r.part, x), r.part.number(0.0)
    if r.group == "b":
        return truth(w, k, x)
    if k.part is not None:
        return cast(w, k.part, r, x[0])
    if k.group in "fh":
        return (_float_to_float if r.group in "fh" else _float_to_integer)(w, k, r, x)
    return (_integer_to_float if r.group in "fh" else _integer_to_integer)(w, k, r, x)


def bitcast(w: Writer, k: Register, r: Register, x: Any) -> Any:
    """The same bits as an integer or float of the same size."""
    if (k.group in "su" and r.group in "su") or k.name == r.name:
        return x
    if k.group == "h":
        return w.op(f"bitcast {k.memory_type} {half_bits(w, k, x)} to {r.type}")
    if r.group == "h":
        return half_from_bits(w, r, w.op(f"bitcast {k.type} {x} to {r.memory_type}"))
    return w.op(f"bitcast {k.type} {x} to {r.type}")
