"""Dims as LLVM text: each polynomial is computed in i64, with every way of leaving i64 noted.

This module owns the arithmetic of sizes in machine code. It must agree with ``ir.dims.evaluate`` on all values that
fit, and flag all others; it does not know what the sizes are used for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tracejit.ir.dims import Atom, Dim, DimLike

__all__ = ["DimWriter", "declarations"]

_INT64 = range(-(2**63), 2**63)
_SELECT = {"max": "smax", "min": "smin"}


def declarations() -> str:
    """The intrinsics that a :class:`DimWriter` may use."""
    checked = [f"declare {{i64, i1}} @llvm.{name}.with.overflow.i64(i64, i64)" for name in ("sadd", "smul")]
    plain = [f"declare i64 @llvm.{name}.i64(i64, i64)" for name in ("smax", "smin")]
    return "\n".join(checked + plain) + "\n"


class DimWriter:
    """Writes dims through ``emit``, which appends an instruction and returns the name of its result.

    ``bad`` collects the conditions (i1 values) under which some result so far is not the dim's value.
    """

    def __init__(self, emit: Callable[[str], str], symbols: Mapping[str, str]) -> None:
        self._emit = emit
        self._symbols = symbols
        self._known: dict[DimLike, str] = {}
        self.bad: list[str] = []

    def write(self, dim: DimLike) -> str:
        """The operand (a constant or a name) that holds a dim's value."""
        if not isinstance(dim, Dim):
            if dim not in _INT64:
                self.bad.append("true")
                return "0"
            return str(dim)
        if dim not in self._known:
            total = ""
            for monomial, coefficient in dim.terms.items():
                term = self._term(monomial, coefficient)
                total = self._checked("sadd", total, term) if total else term
            self._known[dim] = total
        return self._known[dim]

    def _term(self, monomial: tuple[Atom, ...], coefficient: int) -> str:
        factors = [self._atom(factor) for factor in monomial]
        if coefficient != 1 or not factors:
            factors.append(self.write(coefficient))
        value = factors[0]
        for factor in factors[1:]:
            value = self._checked("smul", value, factor)
        return value

    def _checked(self, operation: str, a: str, b: str) -> str:
        pair = self._emit(f"call {{i64, i1}} @llvm.{operation}.with.overflow.i64(i64 {a}, i64 {b})")
        value = self._emit(f"extractvalue {{i64, i1}} {pair}, 0")
        self.bad.append(self._emit(f"extractvalue {{i64, i1}} {pair}, 1"))
        return value

    def _atom(self, atom: Atom) -> str:
        if atom.kind == "symbol":
            return self._symbols[atom.name]
        a, b = (self.write(dim) for dim in atom.args)
        if atom.kind in _SELECT:
            return self._emit(f"call i64 @llvm.{_SELECT[atom.kind]}.i64(i64 {a}, i64 {b})")
        return self._divide(atom.kind, a, b)

    def _divide(self, kind: str, a: str, b: str) -> str:
        """``floordiv`` or ``mod`` as Python rounds; a divisor 0 or -1 is refused, for the processor traps on both."""
        emit = self._emit
        shifted = emit(f"add i64 {b}, 1")
        traps = emit(f"icmp ult i64 {shifted}, 2")
        self.bad.append(traps)
        b = emit(f"select i1 {traps}, i64 1, i64 {b}")
        rest = emit(f"srem i64 {a}, {b}")
        inexact = emit(f"icmp ne i64 {rest}, 0")
        mixed = emit(f"xor i64 {rest}, {b}")
        opposite = emit(f"icmp slt i64 {mixed}, 0")
        adjust = emit(f"and i1 {inexact}, {opposite}")
        if kind == "mod":
            raised = emit(f"add i64 {rest}, {b}")
            return emit(f"select i1 {adjust}, i64 {raised}, i64 {rest}")
        quotient = emit(f"sdiv i64 {a}, {b}")
        wide = emit(f"sext i1 {adjust} to i64")
        return emit(f"add i64 {quotient}, {wide}")
