"""Random numbers for machine code: the names of NumPy's C functions, and the text of those that we write ourselves.

Owns the symbols ``tj_random_<name>``. NumPy's are found by name in its compiled module. Ours are the methods behind
`RandomState.normal` and `exponential` (the state is NumPy's `aug_bitgen_t`, or its `bitgen_t`), after Marsaglia and
Bray, "A convenient method for generating normal variables", 1964, and Python's Mersenne twister (the state is that of
`_random.Random`), after Matsumoto and Nishimura, "Mersenne twister", 1998. It must not know programs, nor which methods
draw what.
"""

from __future__ import annotations

from tracejit.ir.ops.random import OWN, c_function

__all__ = ["FILLING", "OWN_DRAWS", "draws_text", "numpy_draw", "symbol_of"]

OWN_DRAWS = tuple(f"tj_random_{name}" for name in OWN)
FILLING = {name: f"{name}_fill" for name in ("standard_uniform", "standard_normal", "standard_exponential")}
"""Functions of one number, and those of NumPy that fill an array with such numbers."""


def symbol_of(name: str) -> str:
    """The C symbol that programs call a function by."""
    return f"tj_random_{name}"


def numpy_draw(symbol: str) -> int | None:
    """The address of the function of NumPy that a symbol names."""
    name = symbol.removeprefix("tj_random_")
    return c_function(name) or None if name != symbol else None


def draws_text() -> str:
    """The LLVM text of our own functions."""
    return _GAUSS + _TWISTER


_GAUSS = """
declare double @log(double)
declare double @llvm.sqrt.f64(double)
define double @tj_random_legacy_gauss(ptr %own) nounwind {
entry:
  %flag = getelementptr i8, ptr %own, i64 8
  %place = getelementptr i8, ptr %own, i64 16
  %has = load i32, ptr %flag
  %is_kept = icmp ne i32 %has, 0
  br i1 %is_kept, label %kept, label %fresh
kept:
  %last = load double, ptr %place
  store i32 0, ptr %flag
  store double 0.0, ptr %place
  ret double %last
fresh:
  %bits = load ptr, ptr %own
  %state = load ptr, ptr %bits
  %function_place = getelementptr i8, ptr %bits, i64 24
  %next = load ptr, ptr %function_place
  br label %try
try:
  %a = call double %next(ptr %state)
  %b = call double %next(ptr %state)
  %aa = fmul double %a, 2.0
  %bb = fmul double %b, 2.0
  %x = fsub double %aa, 1.0
  %y = fsub double %bb, 1.0
  %xx = fmul double %x, %x
  %yy = fmul double %y, %y
  %squares = fadd double %xx, %yy
  %outside = fcmp oge double %squares, 1.0
  %zero = fcmp oeq double %squares, 0.0
  %again = or i1 %outside, %zero
  br i1 %again, label %try, label %found
found:
  %log = call double @log(double %squares)
  %twice = fmul double %log, -2.0
  %ratio = fdiv double %twice, %squares
  %factor = call double @llvm.sqrt.f64(double %ratio)
  %first = fmul double %factor, %x
  store double %first, ptr %place
  store i32 1, ptr %flag
  %second = fmul double %factor, %y
  ret double %second
}

define double @tj_random_legacy_exponential(ptr %bits) nounwind {
  %state = load ptr, ptr %bits
  %place = getelementptr i8, ptr %bits, i64 24
  %next = load ptr, ptr %place
  %drawn = call double %next(ptr %state)
  %rest = fsub double 1.0, %drawn
  %log = call double @log(double %rest)
  %number = fneg double %log
  ret double %number
}
"""
_TWISTER = """
define internal void @renew(ptr %words) nounwind noinline {
entry:
  br label %turn
turn:
  %k = phi i64 [0, %entry], [%after, %turn]
  %after = add i64 %k, 1
  %next = urem i64 %after, 624
  %far = add i64 %k, 397
  %other = urem i64 %far, 624
  %place = getelementptr i32, ptr %words, i64 %k
  %next_place = getelementptr i32, ptr %words, i64 %next
  %other_place = getelementptr i32, ptr %words, i64 %other
  %own = load i32, ptr %place
  %following = load i32, ptr %next_place
  %mixing = load i32, ptr %other_place
  %high = and i32 %own, -2147483648
  %low = and i32 %following, 2147483647
  %mixed = or i32 %high, %low
  %half = lshr i32 %mixed, 1
  %odd = and i32 %mixed, 1
  %sign = sub i32 0, %odd
  %matrix = and i32 %sign, -1727483681
  %part = xor i32 %mixing, %half
  %new = xor i32 %part, %matrix
  store i32 %new, ptr %place
  %more = icmp ult i64 %after, 624
  br i1 %more, label %turn, label %done
done:
  ret void
}
define i32 @tj_random_python_bits(ptr %own, i32 %count) nounwind {
entry:
  %words = getelementptr i8, ptr %own, i64 4
  %at = load i32, ptr %own
  %spent = icmp uge i32 %at, 624
  br i1 %spent, label %all, label %one
all:
  call void @renew(ptr %words)
  br label %one
one:
  %index = phi i32 [%at, %entry], [0, %all]
  %after = add i32 %index, 1
  store i32 %after, ptr %own
  %wide = zext i32 %index to i64
  %place = getelementptr i32, ptr %words, i64 %wide
  %w = load i32, ptr %place
  %w11 = lshr i32 %w, 11
  %x = xor i32 %w, %w11
  %x7 = shl i32 %x, 7
  %x7m = and i32 %x7, -1658038656
  %y = xor i32 %x, %x7m
  %y15 = shl i32 %y, 15
  %y15m = and i32 %y15, -272236544
  %z = xor i32 %y, %y15m
  %z18 = lshr i32 %z, 18
  %word = xor i32 %z, %z18
  %drop = sub i32 32, %count
  %kept = lshr i32 %word, %drop
  ret i32 %kept
}
define double @tj_random_python_double(ptr %own) nounwind {
  %a = call i32 @tj_random_python_bits(ptr %own, i32 27)
  %b = call i32 @tj_random_python_bits(ptr %own, i32 26)
  %high = uitofp i32 %a to double
  %low = uitofp i32 %b to double
  %scaled = fmul double %high, 67108864.0
  %sum = fadd double %scaled, %low
  %number = fdiv double %sum, 9007199254740992.0
  ret double %number
}
"""
