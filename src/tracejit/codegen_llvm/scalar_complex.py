"""Arithmetic of complex numbers, each a pair (real part, imaginary part) of registers."""

from __future__ import annotations

from collections.abc import Callable

from tracejit.codegen_llvm.registers import Register
from tracejit.codegen_llvm.scalar_float import compare, is_finite, is_infinite
from tracejit.codegen_llvm.writer import Writer

__all__ = [
    "add", "conjugate", "divide", "equal", "is_finite_complex", "is_infinite_complex", "is_nan", "larger",
    "larger_number", "multiply", "negate", "not_equal", "ordered", "reciprocal", "smaller", "smaller_number",
    "subtract",
]  # fmt: skip

Pair = tuple[str, str]


def _part(k: Register) -> Register:
    assert k.part is not None
    return k.part


def _by_parts(name: str) -> Callable[[Writer, Register, Register, Pair, Pair], Pair]:
    def emit(w: Writer, k: Register, r: Register, a: Pair, b: Pair) -> Pair:
        return w.op(f"{name} {k.type} {a[0]}, {b[0]}"), w.op(f"{name} {k.type} {a[1]}, {b[1]}")

    return emit


add = _by_parts("fadd")
subtract = _by_parts("fsub")


def negate(w: Writer, k: Register, r: Register, a: Pair) -> Pair:
    """``-a``."""
    return w.op(f"fneg {k.type} {a[0]}"), w.op(f"fneg {k.type} {a[1]}")


def conjugate(w: Writer, k: Register, r: Register, a: Pair) -> Pair:
    """``a`` with the imaginary part negated."""
    return a[0], w.op(f"fneg {k.type} {a[1]}")


def multiply(w: Writer, k: Register, r: Register, a: Pair, b: Pair) -> Pair:
    """``a * b`` by the school formula, as NumPy."""
    t = k.type
    real = w.op(f"fsub {t} {w.op(f'fmul {t} {a[0]}, {b[0]}')}, {w.op(f'fmul {t} {a[1]}, {b[1]}')}")
    imag = w.op(f"fadd {t} {w.op(f'fmul {t} {a[0]}, {b[1]}')}, {w.op(f'fmul {t} {a[1]}, {b[0]}')}")
    return real, imag


def divide(w: Writer, k: Register, r: Register, a: Pair, b: Pair) -> Pair:
    """``a / b`` by Smith's method, as NumPy: scaled by the larger part of ``b``."""
    t, p = k.type, _part(k)
    real_size, imag_size = w.intrinsic("fabs", p, b[0]), w.intrinsic("fabs", p, b[1])
    real_leads = compare(w, p, "oge", real_size, imag_size)
    large = w.select(p, real_leads, b[0], b[1])
    small = w.select(p, real_leads, b[1], b[0])
    zero = compare(w, p, "oeq", w.select(p, real_leads, real_size, imag_size), p.number(0.0))
    ratio = w.op(f"fdiv {t} {small}, {large}")
    length = w.op(f"fadd {t} {large}, {w.op(f'fmul {t} {small}, {ratio}')}")
    scale = w.op(f"fdiv {t} {p.number(1.0)}, {length}")
    first = w.select(p, real_leads, a[0], a[1])
    second = w.select(p, real_leads, a[1], a[0])
    real = w.op(f"fadd {t} {first}, {w.op(f'fmul {t} {second}, {ratio}')}")
    straight = w.op(f"fsub {t} {second}, {w.op(f'fmul {t} {first}, {ratio}')}")
    crossed = w.op(f"fsub {t} {w.op(f'fmul {t} {a[1]}, {ratio}')}, {a[0]}")
    imag = w.select(p, real_leads, straight, crossed)
    real, imag = w.op(f"fmul {t} {real}, {scale}"), w.op(f"fmul {t} {imag}, {scale}")
    by_zero = w.op(f"fdiv {t} {a[0]}, {real_size}"), w.op(f"fdiv {t} {a[1]}, {real_size}")
    return w.select(p, zero, by_zero[0], real), w.select(p, zero, by_zero[1], imag)


def reciprocal(w: Writer, k: Register, r: Register, a: Pair) -> Pair:
    """``1 / a`` by Smith's method, as NumPy."""
    t, p = k.type, _part(k)
    imag_small = compare(w, p, "ole", w.intrinsic("fabs", p, a[1]), w.intrinsic("fabs", p, a[0]))
    large = w.select(p, imag_small, a[0], a[1])
    small = w.select(p, imag_small, a[1], a[0])
    ratio = w.op(f"fdiv {t} {small}, {large}")
    length = w.op(f"fadd {t} {large}, {w.op(f'fmul {t} {small}, {ratio}')}")
    one = w.op(f"fdiv {t} {p.number(1.0)}, {length}")
    other = w.op(f"fdiv {t} {ratio}, {length}")
    imag = w.select(p, imag_small, other, one)
    return w.select(p, imag_small, one, other), w.op(f"fneg {t} {imag}")


def equal(w: Writer, k: Register, r: Register, a: Pair, b: Pair) -> str:
    """``a == b``."""
    p = _part(k)
    return w.op(f"and {k.mask} {compare(w, p, 'oeq', a[0], b[0])}, {compare(w, p, 'oeq', a[1], b[1])}")


def not_equal(w: Writer, k: Register, r: Register, a: Pair, b: Pair) -> str:
    """``a != b``."""
    p = _part(k)
    return w.op(f"or {k.mask} {compare(w, p, 'une', a[0], b[0])}, {compare(w, p, 'une', a[1], b[1])}")


def ordered(strict: str, loose: str) -> Callable[[Writer, Register, Register, Pair, Pair], str]:
    """A comparison of real parts first, then of imaginary parts; false where a part that decides is NaN."""

    def emit(w: Writer, k: Register, r: Register, a: Pair, b: Pair) -> str:
        p = _part(k)
        known = compare(w, p, "ord", a[1], b[1])
        first = w.op(f"and {k.mask} {compare(w, p, strict, a[0], b[0])}, {known}")
        tie = w.op(f"and {k.mask} {compare(w, p, 'oeq', a[0], b[0])}, {compare(w, p, loose, a[1], b[1])}")
        return w.op(f"or {k.mask} {first}, {tie}")

    return emit


def _extreme(strict: str, loose: str, *, keeps_nan: bool) -> Callable[[Writer, Register, Register, Pair, Pair], Pair]:
    def emit(w: Writer, k: Register, r: Register, a: Pair, b: Pair) -> Pair:
        p = _part(k)
        special = is_nan(w, k, r, a if keeps_nan else b)
        first = w.op(f"or {k.mask} {special}, {ordered(strict, loose)(w, k, r, a, b)}")
        return w.select(p, first, a[0], b[0]), w.select(p, first, a[1], b[1])

    return emit


larger = _extreme("ogt", "oge", keeps_nan=True)
smaller = _extreme("olt", "ole", keeps_nan=True)
larger_number = _extreme("ogt", "oge", keeps_nan=False)
smaller_number = _extreme("olt", "ole", keeps_nan=False)


def is_nan(w: Writer, k: Register, r: Register, a: Pair) -> str:
    """Whether a part is NaN."""
    return compare(w, _part(k), "uno", a[0], a[1])


def is_infinite_complex(w: Writer, k: Register, r: Register, a: Pair) -> str:
    """Whether a part is infinite."""
    p = _part(k)
    return w.op(f"or {k.mask} {is_infinite(w, p, r, a[0])}, {is_infinite(w, p, r, a[1])}")


def is_finite_complex(w: Writer, k: Register, r: Register, a: Pair) -> str:
    """Whether both parts are finite."""
    p = _part(k)
    return w.op(f"and {k.mask} {is_finite(w, p, r, a[0])}, {is_finite(w, p, r, a[1])}")
