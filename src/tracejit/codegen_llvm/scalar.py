"""The table of scalar operations: one row for each operation and group of dtypes, for one lane or many.

A row is a function ``(writer, operands' register, result's register, *operands) -> result``. Groups are those of
:class:`~tracejit.codegen_llvm.registers.Register`; half precision (``h``) without a row of its own is computed as float
and rounded. This module must not know loops, memory or targets.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from tracejit.codegen_llvm import scalar_complex as c
from tracejit.codegen_llvm import scalar_complex_inverse as inverse
from tracejit.codegen_llvm import scalar_complex_math as z
from tracejit.codegen_llvm import scalar_float as f
from tracejit.codegen_llvm import scalar_integer as i
from tracejit.codegen_llvm import scalar_math as m
from tracejit.codegen_llvm.registers import Register, named_register
from tracejit.codegen_llvm.scalar_cast import truth
from tracejit.codegen_llvm.writer import Writer
from tracejit.errors import UnsupportedError

__all__ = ["ROWS", "Row", "row"]

Row: TypeAlias = Callable[..., Any]


def _instruction(name: str) -> Row:
    """Two operands and a result of one type."""

    def emit(w: Writer, k: Register, r: Register, a: str, b: str) -> str:
        return w.op(f"{name} {k.type} {a}, {b}")

    return emit


def _intrinsic(name: str) -> Row:
    def emit(w: Writer, k: Register, r: Register, *operands: str) -> str:
        return w.intrinsic(name, k, *operands)

    return emit


def _same(w: Writer, k: Register, r: Register, a: Any) -> Any:
    return a


def _false(w: Writer, k: Register, r: Register, a: Any) -> str:
    return r.number(False)  # type: ignore[no-any-return]


def _true(w: Writer, k: Register, r: Register, a: Any) -> str:
    return r.number(True)  # type: ignore[no-any-return]


def _zero(w: Writer, k: Register, r: Register, a: Any) -> Any:
    return k.number(0)


def _negative(w: Writer, k: Register, r: Register, a: str) -> str:
    return w.op(f"fneg {k.type} {a}")


def _negative_integer(w: Writer, k: Register, r: Register, a: str) -> str:
    return w.op(f"sub {k.type} {k.number(0)}, {a}")


def _not(w: Writer, k: Register, r: Register, a: str) -> str:
    return w.op(f"xor {k.type} {a}, {k.number(-1) if k.group != 'b' else k.number(True)}")


def _is_zero(w: Writer, k: Register, r: Register, a: Any) -> str:
    return w.op(f"xor {k.mask} {truth(w, k, a)}, {named_register('bool', k.lanes).number(True)}")


def _float_is_zero(w: Writer, k: Register, r: Register, a: str) -> str:
    return f.compare(w, k, "oeq", a, k.number(0.0))


def _reciprocal(w: Writer, k: Register, r: Register, a: str) -> str:
    return w.op(f"fdiv {k.type} {k.number(1.0)}, {a}")


def _is_nan(w: Writer, k: Register, r: Register, a: str) -> str:
    return f.compare(w, k, "uno", a, a)


def _absolute_complex(w: Writer, k: Register, r: Register, a: tuple[str, str]) -> str:
    return m.call(w, "hypot", r, a[0], a[1])


def _real_part(w: Writer, k: Register, r: Register, a: tuple[str, str]) -> str:
    return a[0]


def _imaginary_part(w: Writer, k: Register, r: Register, a: tuple[str, str]) -> str:
    return a[1]


def _join(w: Writer, k: Register, r: Register, a: str, b: str) -> tuple[str, str]:
    return a, b


def _each(emit: Row, *groups: str) -> dict[str, Row]:
    return dict.fromkeys(groups, emit)


def _integers(emit: Row, others: dict[str, Row] | None = None) -> dict[str, Row]:
    return {"s": emit, "u": emit, **(others or {})}


def _comparison(predicate: str, complex_row: Row) -> dict[str, Row]:
    ordered = "une" if predicate == "ne" else "o" + predicate
    signed = predicate if predicate in ("eq", "ne") else "s" + predicate
    unsigned = predicate if predicate in ("eq", "ne") else "u" + predicate
    return {
        "f": _instruction(f"fcmp {ordered}"),
        "s": _instruction(f"icmp {signed}"),
        "u": _instruction(f"icmp {unsigned}"),
        "b": _instruction(f"icmp {unsigned}"),
        "c": complex_row,
    }


def _extreme(float_row: Row, name: str, bool_row: str, complex_row: Row) -> dict[str, Row]:
    return {
        "f": float_row,
        "h": float_row,
        "s": _intrinsic("s" + name),
        "u": _intrinsic("u" + name),
        "b": _instruction(bool_row),
        "c": complex_row,
    }


def _rounding(name: str) -> dict[str, Row]:
    return {"f": _intrinsic(name), **_each(_same, "s", "u", "b")}


ROWS: dict[str, dict[str, Row]] = {
    # arithmetic
    "add": {"f": _instruction("fadd"), "b": _instruction("or"), "c": c.add, **_integers(_instruction("add"))},
    "sub": {"f": _instruction("fsub"), "c": c.subtract, **_integers(_instruction("sub"))},
    "mul": {"f": _instruction("fmul"), "b": _instruction("and"), "c": c.multiply, **_integers(_instruction("mul"))},
    "div": {"f": _instruction("fdiv"), "c": c.divide},
    "floordiv": {"f": f.floor_divide, **_integers(i.floor_divide)},
    "mod": {"f": f.floor_remainder, **_integers(i.floor_remainder)},
    "fmod": {"f": f.remainder, **_integers(i.remainder)},
    "pow": {"f": m.power, "c": z.power, **_integers(i.power)},
    "neg": {"f": _negative, "c": c.negate, **_integers(_negative_integer)},
    "abs": {"f": _intrinsic("fabs"), "s": i.absolute, "u": _same, "b": _same, "c": _absolute_complex},
    "sign": {"f": f.sign, "h": f.sign, "c": z.sign, **_integers(i.sign)},
    "reciprocal": {"f": _reciprocal, "c": c.reciprocal, **_integers(i.reciprocal)},
    "sqrt": {"f": _intrinsic("sqrt"), "c": z.square_root},
    "gcd": _integers(i.divisor),
    "lcm": _integers(i.multiple),
    "stop_gradient": _each(_same, "f", "h", "s", "u", "b", "c"),
    # rounding and parts
    "floor": _rounding("floor"),
    "ceil": _rounding("ceil"),
    "trunc": _rounding("trunc"),
    "rint": {"c": z.rounded, **_rounding("rint")},
    "copysign": {"f": _intrinsic("copysign")},
    "heaviside": {"f": f.heaviside},
    "nextafter": {"f": f.nextafter, "h": f.nextafter},
    "spacing": {"f": f.spacing, "h": f.spacing},
    "frexp_mantissa": {"f": f.frexp_mantissa},
    "frexp_exponent": {"f": f.frexp_exponent},
    "modf_fraction": {"f": f.fraction},
    "sort_key": {"f": f.sort_key},
    "from_sort_key": {"u": f.from_sort_key},
    "ldexp": {"f": f.ldexp},
    # comparisons
    "eq": _comparison("eq", c.equal),
    "ne": _comparison("ne", c.not_equal),
    "lt": _comparison("lt", c.ordered("olt", "olt")),
    "le": _comparison("le", c.ordered("olt", "ole")),
    "gt": _comparison("gt", c.ordered("ogt", "ogt")),
    "ge": _comparison("ge", c.ordered("ogt", "oge")),
    "isnan": {"f": _is_nan, "c": c.is_nan, **_each(_false, "s", "u", "b")},
    "isinf": {"f": f.is_infinite, "c": c.is_infinite_complex, **_each(_false, "s", "u", "b")},
    "isfinite": {"f": f.is_finite, "c": c.is_finite_complex, **_each(_true, "s", "u", "b")},
    "signbit": {"f": f.is_negative},
    "logical_not": {"f": _float_is_zero, **_each(_is_zero, "s", "u", "b", "c")},
    "maximum": _extreme(f.larger, "max", "or", c.larger),
    "minimum": _extreme(f.smaller, "min", "and", c.smaller),
    "fmax": _extreme(f.larger_number, "max", "or", c.larger_number),
    "fmin": _extreme(f.smaller_number, "min", "and", c.smaller_number),
    # bits
    "bitwise_and": {"b": _instruction("and"), **_integers(_instruction("and"))},
    "bitwise_or": {"b": _instruction("or"), **_integers(_instruction("or"))},
    "bitwise_xor": {"b": _instruction("xor"), **_integers(_instruction("xor"))},
    "bitwise_not": _each(_not, "s", "u", "b"),
    "shift_left": _integers(i.shift_left),
    "shift_right": _integers(i.shift_right),
    "bitwise_count": _integers(i.bit_count),
    # complex numbers
    "complex": {"f": _join},
    "real": {"c": _real_part, **_each(_same, "f", "h", "s", "u", "b")},
    "imag": {"c": _imaginary_part, **_each(_zero, "f", "h", "s", "u", "b")},
    "conj": {"c": c.conjugate, **_each(_same, "f", "h", "s", "u", "b")},
    # functions
    "logaddexp": {"f": m.log_add_exp},
    "logaddexp2": {"f": m.log_add_exp2},
    "softplus": {"f": m.softplus},
    "sigmoid": {"f": m.sigmoid},
}
_COMPLEX_FUNCTIONS: dict[str, Row] = {
    **{"exp": z.exponential, "log": z.logarithm, "sin": z.sine, "cos": z.cosine, "sinh": z.sinh, "cosh": z.cosh},
    **{"expm1": z.exponential_minus_one, "exp2": z.exponential_of_two, "log1p": z.logarithm_of_one_more},
    **{"tan": inverse.tangent, "tanh": inverse.hyperbolic_tangent},
    **{"arcsin": inverse.arc_sine, "arccos": inverse.arc_cosine, "arctan": inverse.arc_tangent},
    **{"arcsinh": inverse.arc_hyperbolic_sine, "arccosh": inverse.arc_hyperbolic_cosine},
    **{
        "arctanh": inverse.arc_hyperbolic_tangent,
        "log2": z.scaled_logarithm(1.4426950408889634),
        "log10": z.scaled_logarithm(0.4342944819032518),
    },
}
for _name in m.FUNCTIONS:
    _groups = ROWS.setdefault(_name, {"f": m.function_row(_name)})
    if _name in _COMPLEX_FUNCTIONS:
        _groups["c"] = _COMPLEX_FUNCTIONS[_name]

# Results that need no rounding to half precision: the operation picks or rounds to a number that has it.
_EXACT = frozenset("neg abs sign floor ceil trunc rint copysign heaviside modf_fraction frexp_mantissa".split())


def _by_way_of_float(name: str, emit: Row) -> Row:
    """The row for half precision made of the row for floats."""
    exact = name in _EXACT

    def emit_half(w: Writer, k: Register, r: Register, *operands: Any) -> Any:
        single = named_register("f32", k.lanes)
        if r.group != "h":
            return emit(w, single, r, *operands)
        result = emit(w, single, single, *operands)
        return result if exact else f.round_half(w, r, result)

    return emit_half


_GROUPS = {
    **{"f": "floats", "h": "half precision", "c": "complex numbers"},
    **{"s": "signed integers", "u": "unsigned integers", "b": "bools"},
}
_rows: dict[tuple[str, str], Row] = {}


def row(name: str, group: str) -> Row:
    """The row of an operation for a group of dtypes."""
    found = _rows.get((name, group))
    if found is None:
        groups = ROWS.get(name)
        if groups is None:
            raise UnsupportedError(f"the operation {name} is not compiled")
        if group in groups:
            found = groups[group]
        elif group == "h" and "f" in groups:
            found = _by_way_of_float(name, groups["f"])
        else:
            raise UnsupportedError(f"{name} of {_GROUPS[group]} is not compiled")
        _rows[name, group] = found
    return found
