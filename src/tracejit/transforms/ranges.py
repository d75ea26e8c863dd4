"""Bounds of rank-0 integers as dims: how many iterations a loop can make, known before it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from tracejit.ir.core import Literal, Operand, Value
from tracejit.ir.dims import Dim, DimLike, maximum, minimum
from tracejit.ir.primitive import Primitive

__all__ = ["Range", "Ranges"]

Range: TypeAlias = tuple[DimLike | None, DimLike | None]  # the smallest and the largest value, None where unknown


class Ranges:
    """Bounds of integers of one function, as far as they follow from dims and loop bounds.

    signed: names of the size symbols that can be negative (Python ints of the call; sizes of arrays cannot).
    """

    __slots__ = ("_known", "signed")

    def __init__(self, signed: frozenset[str] = frozenset()) -> None:
        self.signed = signed
        self._known: dict[Value, Range] = {}

    def inner(self) -> Ranges:
        """An empty table for a region."""
        return Ranges(self.signed)

    def __getitem__(self, operand: Operand) -> Range:
        if isinstance(operand, Literal):
            if operand.dtype.kind not in "iu":
                return None, None
            value = int(operand.value)
            return value, value
        return self._known.get(operand, (None, None))

    def __setitem__(self, value: Value, bounds: Range) -> None:
        if bounds != (None, None):
            self._known[value] = bounds

    def note(
        self, op: Primitive, attrs: Mapping[str, Any], operands: Sequence[Operand], results: Sequence[Operand]
    ) -> None:
        """Learn the bounds of a result."""
        if op.name not in _TRACKED:
            return
        (result,) = results
        if not isinstance(result, Value) or result.type.dims or result.dtype.kind != "i":
            return
        if op.name == "dim":
            self[result] = attrs["dim"], attrs["dim"]
            return
        a, b = (self[operand] for operand in operands)
        if op.name == "add":
            self[result] = _both(_add, a[0], b[0]), _both(_add, a[1], b[1])
        elif op.name == "sub":
            self[result] = _both(_subtract, a[0], b[1]), _both(_subtract, a[1], b[0])
        elif op.name == "minimum":
            self[result] = _both(minimum, a[0], b[0]), _either(minimum, a[1], b[1])
        else:
            self[result] = _either(maximum, a[0], b[0]), _both(maximum, a[1], b[1])

    def trip(self, lower: Operand, upper: Operand) -> DimLike | None:
        """The largest number of iterations from ``lower`` to ``upper``, or None when nothing bounds it."""
        count = _both(_subtract, self[upper][1], self[lower][0])
        return count if count is None or self._is_natural(count) else maximum(count, 0)

    def _is_natural(self, dim: DimLike) -> bool:
        if not isinstance(dim, Dim):
            return dim >= 0
        return all(
            coefficient >= 0 and all(f.kind == "symbol" and f.name not in self.signed for f in monomial)
            for monomial, coefficient in dim.terms.items()
        )


_TRACKED = {"dim", "add", "sub", "minimum", "maximum"}
Combine = Callable[[DimLike, DimLike], DimLike]


def _both(combine: Combine, a: DimLike | None, b: DimLike | None) -> DimLike | None:
    return None if a is None or b is None else combine(a, b)


def _either(choose: Combine, a: DimLike | None, b: DimLike | None) -> DimLike | None:
    return b if a is None else a if b is None else choose(a, b)


def _add(a: DimLike, b: DimLike) -> DimLike:
    return a + b


def _subtract(a: DimLike, b: DimLike) -> DimLike:
    return a - b
