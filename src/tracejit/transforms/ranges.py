"""Bounds of rank-0 integers as dims: how many iterations a loop can make, known before it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from tracejit.ir.core import Literal, Operand, Value
from tracejit.ir.dims import Dim, DimLike, maximum, minimum
from tracejit.ir.primitive import Primitive

__all__ = ["Range", "Ranges"]

Range: TypeAlias = tuple[DimLike, DimLike]


class Ranges:
    """The smallest and largest value of integers of one function, as far as they follow from dims and loop bounds.

    signed: names of the size symbols that can be negative (Python ints of the call; sizes of arrays cannot).
    """

    __slots__ = ("_known", "signed")

    def __init__(self, signed: frozenset[str] = frozenset()) -> None:
        self.signed = signed
        self._known: dict[Value, Range] = {}

    def inner(self) -> Ranges:
        """An empty table for a region."""
        return Ranges(self.signed)

    def __getitem__(self, operand: Operand) -> Range | None:
        if isinstance(operand, Literal):
            value = int(operand.value)
            return value, value
        return self._known.get(operand)

    def __setitem__(self, value: Value, bounds: Range | None) -> None:
        if bounds is not None:
            self._known[value] = bounds

    def note(self, op: Primitive, attrs: Mapping[str, Any], operands: Sequence[Operand], result: Operand) -> None:
        """Learn the bounds of a result."""
        if op.name not in _TRACKED or not isinstance(result, Value) or result.type.dims or result.dtype.kind != "i":
            return
        if op.name == "dim":
            self[result] = attrs["dim"], attrs["dim"]
            return
        bounds = [self[operand] for operand in operands]
        (a, b) = bounds
        if a is None or b is None:
            return
        if op.name == "add":
            self[result] = a[0] + b[0], a[1] + b[1]
        elif op.name == "sub":
            self[result] = a[0] - b[1], a[1] - b[0]
        else:
            choose = minimum if op.name == "minimum" else maximum
            self[result] = choose(a[0], b[0]), choose(a[1], b[1])

    def trip(self, lower: Operand, upper: Operand) -> DimLike | None:
        """The largest number of iterations from ``lower`` to ``upper``, or None when nothing bounds it."""
        low, high = self[lower], self[upper]
        if low is None or high is None:
            return None
        count = high[1] - low[0]
        return count if self._is_natural(count) else maximum(count, 0)

    def _is_natural(self, dim: DimLike) -> bool:
        if not isinstance(dim, Dim):
            return dim >= 0
        return all(
            coefficient >= 0 and all(f.kind == "symbol" and f.name not in self.signed for f in monomial)
            for monomial, coefficient in dim.terms.items()
        )


_TRACKED = {"dim", "add", "sub", "minimum", "maximum"}
