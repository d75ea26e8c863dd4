"""Carries of reductions: how lanes and blocks are combined into one value.

Sums of floats are no less accurate than NumPy's pairwise ones: each lane adds a block of few terms, the sums of blocks
are added with a second register that collects what rounding lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tracejit.codegen_llvm.emit_body import Body, choose
from tracejit.codegen_llvm.registers import Register, named_register
from tracejit.codegen_llvm.scalar import row
from tracejit.codegen_llvm.scalar_float import compare, round_half

__all__ = ["Accumulator", "ExtremeAccumulator"]

_ROWS = {"add": "add", "mul": "mul", "min": "minimum", "max": "maximum", "and": "bitwise_and", "or": "bitwise_or"}


def _identity(op: str, k: Register) -> Any:
    floating = k.group in "fhc"
    if op == "add":
        return k.number(complex(-0.0, -0.0) if k.group == "c" else -0.0 if floating else 0)
    if op == "mul":
        return k.number(1)
    if op in ("and", "or"):
        return k.number((k.group == "b" or -1) if op == "and" else 0)
    if floating:
        worst = float("inf") if op == "min" else float("-inf")
        return k.number(complex(worst, worst) if k.group == "c" else worst)
    if k.group == "b":
        return k.number(op == "min")
    low, high = (-(1 << (k.bits - 1)), (1 << (k.bits - 1)) - 1) if k.group == "s" else (0, (1 << k.bits) - 1)
    return k.number(high if op == "min" else low)


class Accumulator:
    """One carry of a reduction. Texts of a register are lists of one part, of two for complex numbers."""

    def __init__(self, body: Body, op: str, k: Register, narrow: int) -> None:
        """``narrow``: the lanes in which sums of blocks are kept, at most those of ``k``."""
        self.op = op
        self.carried = k
        self.k = named_register("f32", k.lanes) if k.group == "h" else k
        self.compensated = op == "add" and k.group in "fhc"
        self.total = self.k.with_lanes(min(narrow, k.lanes)) if self.compensated else self.k
        self.parts = [body.fresh() for _ in range(2 if k.group == "c" else 1)]  # names of the carry in the loop
        self.part_types = [self.k.type] * len(self.parts)
        self.identity = self._list(_identity(op, self.k))
        zero = self._list(_identity(op, self.total))
        self.start = [*zero, *zero] if self.compensated else self.identity  # of the totals
        self.total_types = [self.total.type] * len(self.start)

    @staticmethod
    def _list(text: Any) -> list[str]:
        return list(text) if isinstance(text, tuple) else [text]

    def _value(self, parts: Sequence[str]) -> Any:
        return parts[0] if len(parts) == 1 else tuple(parts)

    @property
    def value(self) -> Any:
        """The carry in the loop."""
        return self._value(self.parts)

    def yielded(self, text: Any) -> list[str]:
        """The parts of what an iteration gives, from the text of the carry's new value."""
        return self._list(text)

    def combine(self, body: Body, k: Register, a: Sequence[str], b: Sequence[str]) -> list[str]:
        """The operation on two registers."""
        emit = row(_ROWS[self.op], k.group)
        return self._list(emit(body, k, k, self._value(a), self._value(b)))

    def masked(self, body: Body, mask: str, parts: Sequence[str]) -> list[str]:
        """A register without the lanes that do not count."""
        return self._list(choose(body, self.k, mask, self._value(parts), self._value(self.identity), self.k.mask))

    def fold(self, body: Body, total: Sequence[str], parts: Sequence[str]) -> list[str]:
        """Add the result of a block to the totals."""
        if not self.compensated:
            return self.combine(body, self.k, total, parts)
        count = len(parts)
        high, low = [], []
        for part, h, rest in zip(parts, total[:count], total[count:], strict=True):
            s, e = two_sum(body, self.total, h, self._narrowed(body, part))
            high.append(s)
            low.append(body.op(f"fadd {self.total.type} {rest}, {e}"))
        return [*high, *low]

    def _narrowed(self, body: Body, part: str) -> str:
        """Add halves of a register until it has as few lanes as the totals."""
        k = self.k
        while k.lanes > self.total.lanes:
            half = k.with_lanes(k.lanes // 2)
            part = body.op(f"fadd {half.type} {_half(body, k, part, 0)}, {_half(body, k, part, 1)}")
            k = half
        return part

    def settled(self, body: Body, total: Sequence[str]) -> list[str]:
        """The totals as one register, still by lanes."""
        if not self.compensated:
            return list(total)
        k, count = self.total.part or self.total, len(total) // 2
        result = []
        for high, low in zip(total[:count], total[count:], strict=True):
            # Infinities make the correction NaN; then the plain sum is right.
            lost = body.select(k, compare(body, k, "ord", low, low), low, k.number(-0.0))
            result.append(body.op(f"fadd {k.type} {high}, {lost}"))
        return result

    def across(self, body: Body, parts: Sequence[str]) -> list[str]:
        """Combine the lanes of a settled register into scalars."""
        k = self.total
        settled = list(parts)
        while k.lanes > 1:
            half = k.with_lanes(k.lanes // 2)
            sides = [[_half(body, k, part, side) for part in settled] for side in (0, 1)]
            settled = self.combine(body, half, *sides)
            k = half
        return settled

    def result(self, body: Body, init: Any, parts: Sequence[str], lanes: int) -> Any:
        """The carry after the loop: what it was before, combined with all iterations."""
        k = self.k.with_lanes(lanes)
        combined = self._value(self.combine(body, k, self._list(init), parts))
        return round_half(body, self.carried.with_lanes(lanes), combined) if self.carried.group == "h" else combined


class ExtremeAccumulator(Accumulator):
    """The least or largest float. NaN is noted aside: one instruction is left between an iteration and the next."""

    def __init__(self, body: Body, op: str, k: Register, narrow: int) -> None:
        super().__init__(body, op, k, narrow)
        self.predicate = "ogt" if op == "max" else "olt"
        self.notes = named_register(f"i{self.k.bits}", k.lanes)
        self.parts = [*self.parts, body.fresh()]
        self.part_types = self.total_types = [self.k.type, self.notes.type]
        self.identity = self.start = [*self.identity, self.notes.number(0)]
        self.note = ""

    @property
    def value(self) -> Any:
        """The carry in the loop."""
        return self.parts[0]

    def step(self, body: Body, term: str) -> str:
        """Emit an iteration: the new extreme; whether the term is NaN is added to the notes."""
        k, i = self.k, self.notes
        unknown = body.op(f"sext {k.mask} {compare(body, k, 'uno', term, term)} to {i.type}")
        self.note = body.op(f"or {i.type} {self.parts[1]}, {unknown}")
        return self._better(body, k, term, self.parts[0])

    def _better(self, body: Body, k: Register, a: str, b: str) -> str:
        return body.select(k, compare(body, k, self.predicate, a, b), a, b)

    def yielded(self, text: Any) -> list[str]:
        """The parts after an iteration, whose ``step`` has been emitted."""
        return [text, self.note]

    def masked(self, body: Body, mask: str, parts: Sequence[str]) -> list[str]:
        """A register without the lanes that do not count."""
        value = body.select(self.k, mask, parts[0], self.identity[0])
        return [value, body.select(self.notes, mask, parts[1], self.identity[1])]

    def fold(self, body: Body, total: Sequence[str], parts: Sequence[str]) -> list[str]:
        """Add the result of a block to the totals."""
        noted = body.op(f"or {self.notes.type} {total[1]}, {parts[1]}")
        return [self._better(body, self.k, parts[0], total[0]), noted]

    def across(self, body: Body, parts: Sequence[str]) -> list[str]:
        """The extreme of all lanes, or NaN if one was noted."""
        k, value = self.k, parts[0]
        while k.lanes > 1:
            half = k.with_lanes(k.lanes // 2)
            value = self._better(body, half, _half(body, k, value, 0), _half(body, k, value, 1))
            k = half
        some = body.op(f"icmp ne {self.notes.type} {parts[1]}, {self.notes.number(0)}")
        return [body.select(k, body.any_lane(self.notes, some), k.number(float("nan")), value)]


def _half(body: Body, k: Register, vector: str, side: int) -> str:
    """The lower or upper half of the lanes."""
    count = k.lanes // 2
    if count == 1:
        return body.lane(k, vector, side)
    order = ", ".join([f"i32 {lane + side * count}" for lane in range(count)])
    return body.op(f"shufflevector {k.type} {vector}, {k.type} poison, <{count} x i32> <{order}>")


def two_sum(body: Body, k: Register, a: str, b: str) -> tuple[str, str]:
    """``s + e == a + b`` exactly, s rounded (Knuth)."""
    t = k.type
    s = body.op(f"fadd {t} {a}, {b}")
    other = body.op(f"fsub {t} {s}, {a}")
    first = body.op(f"fsub {t} {a}, {body.op(f'fsub {t} {s}, {other}')}")
    return s, body.op(f"fadd {t} {first}, {body.op(f'fsub {t} {b}, {other}')}")
