"""Transcendental functions: the vector definitions of ``vector_math``, or calls of the C library lane by lane."""

from __future__ import annotations

import functools
from collections.abc import Callable

from tracejit.codegen_llvm import vector_math
from tracejit.codegen_llvm.registers import Register
from tracejit.codegen_llvm.scalar_float import compare
from tracejit.codegen_llvm.writer import Writer
from tracejit.errors import UnsupportedError

__all__ = ["FUNCTIONS", "HEAVY", "call", "function_row", "log_add_exp", "power", "softplus"]

_SAME_NAME = "exp exp2 expm1 log log2 log10 log1p sin cos tan sinh cosh tanh cbrt erf erfc"
# name of the primitive -> (number of operands, name in the C library or "")
FUNCTIONS = {
    **{name: (1, name) for name in _SAME_NAME.split()},
    "arcsin": (1, "asin"), "arccos": (1, "acos"), "arctan": (1, "atan"),
    "arcsinh": (1, "asinh"), "arccosh": (1, "acosh"), "arctanh": (1, "atanh"),
    "arctan2": (2, "atan2"), "hypot": (2, "hypot"), "pow": (2, "pow"),
    "lgamma": (1, "lgamma"), "sigmoid": (1, ""), "softplus": (1, ""), "digamma": (1, ""),
    "logaddexp": (2, ""), "logaddexp2": (2, ""),
}  # fmt: skip
HEAVY = frozenset(FUNCTIONS)
"""Operations whose bodies keep so many values alive that one register of lanes is enough."""


@functools.cache
def _definition(name: str, type_name: str, lanes: int, fma: bool) -> vector_math.Definition | None:
    try:
        return vector_math.definition(name, type_name, lanes, fma=fma)
    except KeyError:
        return None


def call(w: Writer, name: str, k: Register, *operands: str) -> str:
    """Emit a call of a function on floats or doubles."""
    found = _definition(name, "f64" if k.bits == 64 else "f32", k.lanes, w.has_fma)
    spelled = ", ".join([f"{k.type} {operand}" for operand in operands])
    if found is not None:
        symbol = f'@"{found.symbol}"'
        if symbol not in w.module.helpers:
            _include(w, found)
        return w.op(f"call {k.type} {symbol}({spelled})")
    return _library_call(w, name, k, *operands)


def _include(w: Writer, definition: vector_math.Definition) -> None:
    """Add a definition, and what it calls, to the module."""
    pending = [definition]
    while pending:
        current = pending.pop()
        symbol = f'@"{current.symbol}"'
        if symbol not in w.module.helpers:
            w.module.helpers[symbol] = current.text
            w.module.declarations.update(current.requires)
            pending.extend(current.calls)


def _library_call(w: Writer, name: str, k: Register, *operands: str) -> str:
    symbol = FUNCTIONS[name][1]
    if not symbol:
        raise UnsupportedError(f"{name} of {k.name} is not compiled")
    symbol += "" if k.bits == 64 else "f"
    e = k.element
    w.module.external(symbol, f"declare {e} @{symbol}({', '.join([e] * len(operands))})")

    def on_lane(*scalars: str) -> str:
        return w.op(f"call {e} @{symbol}({', '.join([f'{e} {scalar}' for scalar in scalars])})")

    return w.per_lane(k, k, on_lane, *operands)


def function_row(name: str) -> Callable[..., str]:
    """The row of a function of ``FUNCTIONS``."""

    def emit(w: Writer, k: Register, r: Register, *operands: str) -> str:
        return call(w, name, k, *operands)

    return emit


def power(w: Writer, k: Register, r: Register, a: str, b: str) -> str:
    """``a ** b``; exponents for which one instruction is exact take that."""
    if b[0] != "%":
        if b == k.number(2.0):
            return w.op(f"fmul {k.type} {a}, {a}")
        if b == k.number(1.0):
            return a
        if b == k.number(-1.0):
            return w.op(f"fdiv {k.type} {k.number(1.0)}, {a}")
    return call(w, "pow", k, a, b)


def _has(w: Writer, name: str, k: Register) -> bool:
    return _definition(name, "f64" if k.bits == 64 else "f32", k.lanes, w.has_fma) is not None


def log_add_exp(w: Writer, k: Register, r: Register, a: str, b: str) -> str:
    """``log(exp(a) + exp(b))`` without overflow."""
    if _has(w, "logaddexp", k):
        return call(w, "logaddexp", k, a, b)
    return _log_add(w, k, a, b, "exp", "log1p")


def log_add_exp2(w: Writer, k: Register, r: Register, a: str, b: str) -> str:
    """``log2(2**a + 2**b)`` without overflow."""
    if _has(w, "logaddexp2", k):
        return call(w, "logaddexp2", k, a, b)
    base = call(w, "exp2", k, w.op(f"fneg {k.type} {_distance(w, k, a, b)}"))
    tail = w.op(f"fmul {k.type} {call(w, 'log1p', k, base)}, {k.number(1.4426950408889634)}")
    return _larger_plus(w, k, a, b, tail)


def _distance(w: Writer, k: Register, a: str, b: str) -> str:
    """``|a - b|``, and 0 where both are the same infinity."""
    size = w.intrinsic("fabs", k, w.op(f"fsub {k.type} {a}, {b}"))
    return w.select(k, compare(w, k, "oeq", a, b), k.number(0.0), size)


def _larger_plus(w: Writer, k: Register, a: str, b: str, tail: str) -> str:
    return w.op(f"fadd {k.type} {w.select(k, compare(w, k, 'ogt', a, b), a, b)}, {tail}")


def _log_add(w: Writer, k: Register, a: str, b: str, exponential: str, logarithm: str) -> str:
    falling = call(w, exponential, k, w.op(f"fneg {k.type} {_distance(w, k, a, b)}"))
    return _larger_plus(w, k, a, b, call(w, logarithm, k, falling))


def softplus(w: Writer, k: Register, r: Register, x: str) -> str:
    """``log(1 + exp(x))`` without overflow."""
    if _has(w, "softplus", k):
        return call(w, "softplus", k, x)
    return log_add_exp(w, k, r, x, k.number(0.0))


def sigmoid(w: Writer, k: Register, r: Register, x: str) -> str:
    """``1 / (1 + exp(-x))``."""
    if _has(w, "sigmoid", k):
        return call(w, "sigmoid", k, x)
    falling = call(w, "exp", k, w.op(f"fneg {k.type} {x}"))
    return w.op(f"fdiv {k.type} {k.number(1.0)}, {w.op(f'fadd {k.type} {k.number(1.0)}, {falling}')}")
