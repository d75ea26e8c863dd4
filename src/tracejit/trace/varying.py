"""Arrays whose size is not the same on all ways to a place: after the sides of a branch, from turn to turn of a loop.

Such an array is carried in memory that has room for the largest, and its size beside it as a number, or as a function
of the loop's index where every turn changes it by as much. Arrays of one size share the number.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tracejit.ir.dims import DimLike
from tracejit.ir.types import ArrayType, scalar
from tracejit.trace.context import current_trace
from tracejit.trace.scalar import python_size
from tracejit.trace.state import Kind

__all__ = ["SIZE", "VaryingSize", "VaryingSizes", "are_alike", "room_of_both"]

SIZE = Kind("python", scalar("i64"), int)


def are_alike(a: Kind | None, b: Kind | None) -> bool:
    """Whether two arrays differ in nothing but sizes."""
    if a is None or b is None or a.form != "array" or b.form != "array":
        return False
    return a.type.rank == b.type.rank and a.type.dtype == b.type.dtype


def room_of_both(a: DimLike, b: DimLike, known: Container[str] = ()) -> DimLike | None:
    """A size that neither of two sizes exceeds, and that depends on no more than these symbols of the program."""
    sizes = current_trace().sizes
    first, second = sizes.upper_bound(a, known), sizes.upper_bound(b, known)
    return None if first is None or second is None else sizes.larger(first, second)


@dataclass
class VaryingSize:
    """One size of a loop.

    initial: before the loop; step: by how much each turn changes it, None where that is computed; growth: at most;
    room: the most it can be; before, after: of the turn that is being traced.
    """

    initial: DimLike
    step: DimLike | None
    growth: DimLike
    room: DimLike
    before: DimLike = 0
    after: DimLike | None = None


class VaryingSizes:
    """Those of one loop. turns: how many there are at most; exact: whether all of them run."""

    def __init__(self, turns: DimLike | None, exact: bool) -> None:
        self.turns: DimLike = 0 if turns is None else turns
        self.counted = turns is not None
        self.exact = exact and self.counted
        self.all: list[VaryingSize] = []

    @property
    def computed(self) -> list[VaryingSize]:
        """The sizes that the program carries as numbers."""
        return [size for size in self.all if size.step is None]

    def begin(self, computed: Sequence[DimLike], turn: DimLike) -> list[DimLike]:
        """The sizes at the beginning of a turn, of which there have been so many before."""
        rest = iter(computed)
        for size in self.all:
            size.before = next(rest) if size.step is None else size.initial + size.step * turn
            size.after = None
        return [size.before for size in self.all]

    def final(self, computed: Sequence[DimLike]) -> list[DimLike]:
        """The sizes after the loop."""
        rest = iter(computed)
        return [next(rest) if s.step is None else s.initial + s.step * self.turns for s in self.all]

    def inits(self) -> list[Any]:
        """The computed sizes before the loop."""
        return [python_size(size.initial) for size in self.computed]

    # ------------------------------------------------------------------------------------------------- after a turn

    def vary(self, kind: Kind, initial: Sequence[DimLike], end: Sequence[DimLike]) -> Kind | None:
        """The kind for an array that has these dims before the loop and after a turn; None if there is none."""
        numbers: list[int | None] = list(kind.varying) or [None] * kind.type.rank
        dims = list(kind.type.dims)
        sizes = current_trace().sizes
        for axis, (a, b) in enumerate(zip(initial, end, strict=True)):
            if numbers[axis] is None and not sizes.same(a, b):
                number = self._number(sizes.resolve(a), sizes.resolve(b))
                if number is None:
                    return None
                numbers[axis] = number
                dims[axis] = self.all[number].room
        return replace(kind, type=ArrayType(kind.type.dtype, tuple(dims)), varying=tuple(numbers))

    def _number(self, initial: DimLike, after: DimLike) -> int | None:
        for number, size in enumerate(self.all):
            if size.after is not None and size.initial == initial and size.after == after:
                return number
        made = self._new(initial, after, initial)
        if made is None:
            return None
        self.all.append(made)
        return len(self.all) - 1

    def _new(self, initial: DimLike, after: DimLike, before: DimLike, *, stepped: bool = True) -> VaryingSize | None:
        sizes = current_trace().sizes
        change = sizes.resolve(after - before)
        growth = sizes.upper_bound(change)
        if growth is None or sizes.is_late(initial):
            return None
        if not sizes.decide(growth, ">= 0") or growth == 0:
            growth = 0
        elif not self.counted or sizes.is_late(self.turns):
            return None
        room = initial if growth == 0 else initial + growth * self.turns
        step = change if stepped and self.exact and not sizes.is_late(change) else None
        return VaryingSize(initial, step, growth, room, before, after)

    def check(self, kind: Kind, end: Sequence[DimLike]) -> Kind | None:
        """The kind after one more attempt: the same if the sizes are as they were thought to be."""
        sizes = current_trace().sizes
        numbers = list(kind.varying)
        for axis, number in enumerate(kind.varying):
            if number is None:
                continue
            size, after = self.all[number], sizes.resolve(end[axis])
            if size.after is None:
                size.after = after
                if not self._holds(size):
                    other = self._new(size.initial, after, size.before, stepped=False)
                    if other is None or other == size:
                        return None
                    self.all[number] = other
            elif size.after != after:
                found = self._new(size.initial, after, size.before)
                if found is None:
                    return None
                self.all.append(found)
                numbers[axis] = len(self.all) - 1
        dims = [d if n is None else self.all[n].room for d, n in zip(kind.type.dims, numbers, strict=True)]
        return replace(kind, type=ArrayType(kind.type.dtype, tuple(dims)), varying=tuple(numbers))

    def _holds(self, size: VaryingSize) -> bool:
        sizes = current_trace().sizes
        assert size.after is not None
        if size.step is not None:
            return sizes.same(size.after, size.before + size.step)
        return sizes.proves(size.before + size.growth - size.after)

    def results(self) -> list[DimLike]:
        """The computed sizes after a turn."""
        return [size.before if size.after is None else size.after for size in self.computed]
