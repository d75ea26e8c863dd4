"""Dicts whose keys are the indices of loops: a list of slots for the keys between two bounds, some of them empty."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

from tracejit.ir.dims import DimLike
from tracejit.trace.array import TracedArray
from tracejit.trace.base import Tracer
from tracejit.trace.context import Trace, current_trace
from tracejit.trace.dtypes import INT64
from tracejit.trace.inputs import operand_of
from tracejit.trace.registry import call
from tracejit.trace.scalar import SymbolicInt, as_dim, number, python_size, to_number
from tracejit.trace.traced_list import MARK, GrowsError, NeedsMapsError, TracedList
from tracejit.trace.values import emit, literal

__all__ = ["TracedTable"]


class TracedTable(TracedList):
    """A dict from ints to items of one kind. low, high: its keys are in ``range(low, high)``."""

    __slots__ = ("entries", "high", "low", "wanted")

    def __init__(self, entries: dict[int, Any], owner: Trace) -> None:
        self.entries = entries
        keys = sorted(entries)
        self.low: DimLike = keys[0] if keys else 0
        self.high: DimLike = keys[-1] + 1 if keys else 0
        self.wanted: tuple[DimLike, DimLike] = self.low, self.high
        super().__init__([], owner, dict)
        self.blank = True
        for value in entries.values():
            self._agree(value)

    def _refuse(self, what: str) -> NoReturn:
        raise NeedsMapsError(what)

    def _names_of_state(self) -> list[str]:
        return [*super()._names_of_state(), "low", "high", "wanted"]

    def __repr__(self) -> str:
        return f"a dict of {self.item or 'nothing yet'} that the compiled function makes"

    def _entry(self, key: Any) -> Any:
        """The key as a Python number."""
        if isinstance(key, Tracer) and not isinstance(key, SymbolicInt):
            if key.dims or getattr(key.kind, "kind", "i") not in "iub" or key.kind is float:
                self._refuse("a key that is no int is used")
            dim = getattr(key, "dim", None)
            return to_number(key, int) if dim is None else python_size(dim)
        if not isinstance(key, (int, np.integer, SymbolicInt)):
            self._refuse(f"the key {key!r} is used, which is no int,")
        return key if isinstance(key, SymbolicInt) else int(key)

    def _is_there(self, key: Any) -> Any:
        """Whether there is an item, and its place (any place where there is none)."""
        assert self.marks is not None
        low, size = operand_of(python_size(self.low)), operand_of(python_size(self.high - self.low))
        place = emit("sub", operand_of(key), low)
        inside = emit("bitwise_and", emit("ge", place, literal(0, INT64)), emit("lt", place, size))
        safe = emit("select", inside, place, literal(0, INT64))
        mark = self.at(self.marks, number(safe, int)).operand()
        return emit("bitwise_and", inside, emit("ne", mark, literal(0, MARK)))

    def __getattr__(self, name: str) -> Any:
        self._refuse(f"dict.{name} is called")

    def _class_of_result(self) -> Any:
        self._refuse("it is returned")

    def as_list(self) -> Any:
        """What a loop goes through."""
        self._refuse("a loop goes through the keys")

    item_at = as_row = __iter__ = operand = lambda self, *_: self.as_list()  # type: ignore[assignment]

    def __getitem__(self, key: Any) -> Any:
        key = self._entry(key)
        if not self.columns:
            if type(key) is int:
                return self.entries[key]
            if not self.entries:
                raise KeyError(key)
            self.own_memory()
        current_trace().check(self._is_there(key), (operand_of(key),), "KeyError", "{0}")
        return self.read(key - python_size(self.low))

    def contains(self, value: Any) -> Any:
        """``key in dict``."""
        key = self._entry(value)
        if not self.columns:
            if type(key) is int:
                return key in self.entries
            if not self.entries:
                return False
            self.own_memory()
        return number(self._is_there(key), bool)

    def __setitem__(self, key: Any, value: Any) -> None:
        key = self._entry(key)
        self._agree(value)
        if not self.columns and type(key) is int and current_trace() is self.owner and self.stage is None:
            self.entries[key] = value
            self.wanted = min(key, *self.entries), max(self.entries) + 1
            self.low, self.high = self.wanted
            return
        self._cover(key)
        self.moved()
        self.store(key - python_size(self.low), value)

    def _cover(self, key: Any) -> None:
        """Have a slot for a key."""
        sizes, dim = self.owner.sizes, as_dim(key)
        known = () if self.stage is None else self.stage.known
        most, least = sizes.upper_bound(dim, known), sizes.upper_bound(-dim, known)
        if most is None or least is None:
            self._refuse("keys are used of which nobody knows between which bounds they are,")
        if not self.entries and not self.columns and self.wanted == (0, 0):
            self.wanted = -least, most + 1
        low, high = self.wanted
        self.wanted = -sizes.larger(-low, least), sizes.larger(high, most + 1)
        if not self.columns or self.wanted != (self.low, self.high):
            if current_trace() is not self.owner or self.stage is not None:
                self._require_regions()
                raise GrowsError(self)
            self.allocate(0)

    def allocate(self, capacity: DimLike) -> None:
        """Slots for the keys that are wanted, with the items that there are."""
        before, marks, low, high = self.columns, self.marks, self.low, self.high
        self.columns, self.marks, self.first = [], None, []
        self.low, self.high = self.wanted
        self.length = self.high - self.low
        super().allocate(self.length)
        if before:
            start = python_size(low - self.low)
            size = python_size(high - low)
            for column, old in zip(self.memory(), [*before, marks], strict=True):
                assert old is not None
                column[start : start + size] = old[:size]
            return
        for key, value in self.entries.items():
            self.store(python_size(key - self.low), value)

    def parts(self) -> list[TracedArray]:
        """A dict is no array."""
        self._refuse("all items are asked for at once")

    def size(self) -> DimLike:
        """How many keys there are."""
        if self.marks is None:
            return len(self.entries)
        count = number(operand_of(call(np.count_nonzero, self.all_slots())), int)
        return as_dim(count)

    def all_slots(self) -> TracedArray:
        """The marks of all slots."""
        assert self.marks is not None
        return self.marks

    def _changing(self) -> None:
        self._refuse("keys are removed, or items are added without a key,")
