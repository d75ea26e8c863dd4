"""Conversions to and from 16-bit floats that no instruction does, as LLVM text.

Owns bodies for the functions which LLVM's code generator calls by fixed names (``__truncdfhf2``, ...) and which the C
library of a process need not have. It must not know who calls them. They round once, to nearest even, and keep NaN,
so a float64 goes to float16 without the double rounding of a detour over float32.
"""

from __future__ import annotations

__all__ = ["CONVERSIONS", "halves_text"]

CONVERSIONS = ("__truncdfhf2", "__truncsfhf2", "__extendhfsf2", "__truncdfbf2", "__truncsfbf2")
"""The names that LLVM calls; the support object defines each as ``tj_`` + the name without its underscores."""

# type: (bits of the fraction, smallest normal exponent, exponent bias)
_FLOATS = {"double": (52, -1022, 1023), "float": (23, -126, 127), "half": (10, -14, 15), "bfloat": (7, -126, 127)}
_WIDTH = {"double": 64, "float": 32, "half": 16, "bfloat": 16}

_TRUNCATE = """
define $to @$name($from %x) {
  %bits = bitcast $from %x to $int
  %sign.wide = lshr $int %bits, $sign_shift
  %sign.trunc = trunc $int %sign.wide to i16
  %sign = and i16 %sign.trunc, -32768
  %magnitude = and $int %bits, $positive
  ; normal: add half a unit, less one if the kept part is even, then drop bits and move the exponent's bias
  %kept.odd.at = lshr $int %magnitude, $drop
  %kept.odd = and $int %kept.odd.at, 1
  %almost = add $int %magnitude, $half_less
  %rounded = add $int %almost, %kept.odd
  %dropped = lshr $int %rounded, $drop
  %normal = sub $int %dropped, $rebias
  ; subnormal: adding a power of two whose last bit is the result's last bit lets the addition round
  %positive = bitcast $int %magnitude to $from
  %shifted = fadd $from %positive, $magic
  %shifted.bits = bitcast $from %shifted to $int
  %magic.bits = bitcast $from $magic to $int
  %subnormal = sub $int %shifted.bits, %magic.bits
  %is.subnormal = icmp ult $int %magnitude, $smallest_normal
  %finite = select i1 %is.subnormal, $int %subnormal, $int %normal
  %is.large = icmp sgt $int %finite, $infinity
  %capped = select i1 %is.large, $int $infinity, $int %finite
  %is.infinite = icmp uge $int %magnitude, $wide_infinity
  %ordered = select i1 %is.infinite, $int $infinity, $int %capped
  %payload.all = lshr $int %magnitude, $drop
  %payload = and $int %payload.all, $fraction
  %nan = or $int %payload, $quiet_nan
  %is.nan = icmp ugt $int %magnitude, $wide_infinity
  %result.wide = select i1 %is.nan, $int %nan, $int %ordered
  %result.trunc = trunc $int %result.wide to i16
  %result = or i16 %result.trunc, %sign
  %value = bitcast i16 %result to $to
  ret $to %value
}
"""

_EXTEND = """
define float @tj_extendhfsf2(half %x) {
  %bits = bitcast half %x to i16
  %wide = zext i16 %bits to i32
  %sign.bit = and i32 %wide, 32768
  %sign = shl i32 %sign.bit, 16
  %magnitude = and i32 %wide, 32767
  %moved = shl i32 %magnitude, 13
  %normal = add i32 %moved, 939524096                     ; (127 - 15) << 23
  %exact = uitofp i32 %magnitude to float
  %scaled = fmul float %exact, 0x3E70000000000000         ; 2**-24
  %subnormal = bitcast float %scaled to i32
  %is.subnormal = icmp ult i32 %magnitude, 1024
  %finite = select i1 %is.subnormal, i32 %subnormal, i32 %normal
  %special = or i32 %moved, 2139095040
  %is.special = icmp uge i32 %magnitude, 31744
  %unsigned = select i1 %is.special, i32 %special, i32 %finite
  %is.nan = icmp ugt i32 %magnitude, 31744
  %quiet.bit = select i1 %is.nan, i32 4194304, i32 0
  %quiet = or i32 %unsigned, %quiet.bit
  %result = or i32 %quiet, %sign
  %value = bitcast i32 %result to float
  ret float %value
}
"""


def _truncate_text(name: str, source: str, target: str) -> str:
    fraction, _, bias = _FLOATS[source]
    small_fraction, small_exponent, small_bias = _FLOATS[target]
    width, drop = _WIDTH[source], fraction - small_fraction
    # LLVM writes float constants as the double of the same value: only the exponent field is set in a power of two.
    magic_exponent = small_exponent - small_fraction + fraction
    infinity = (2 * small_bias + 1) << small_fraction
    values = {
        "$wide_infinity": (2 * bias + 1) << fraction,
        "$infinity": infinity,
        "$name": name,
        "$from": source,
        "$to": target,
        "$int": f"i{width}",
        "$sign_shift": width - 16,
        "$positive": (1 << (width - 1)) - 1,
        "$drop": drop,
        "$half_less": (1 << (drop - 1)) - 1,
        "$rebias": (bias - small_bias) << small_fraction,
        "$magic": f"0x{(magic_exponent + 1023) << 52:016X}",
        "$smallest_normal": (small_exponent + bias) << fraction,
        "$quiet_nan": infinity | 1 << (small_fraction - 1),
        "$fraction": (1 << small_fraction) - 1,
    }
    text = _TRUNCATE
    for key, value in values.items():
        text = text.replace(key, str(value))
    return text


def halves_text() -> str:
    """Return the definitions of ``@tj_truncdfhf2`` and the others as LLVM text."""
    truncations = (
        ("tj_truncdfhf2", "double", "half"),
        ("tj_truncsfhf2", "float", "half"),
        ("tj_truncdfbf2", "double", "bfloat"),
        ("tj_truncsfbf2", "float", "bfloat"),
    )
    return _EXTEND + "".join(_truncate_text(*truncation) for truncation in truncations)
