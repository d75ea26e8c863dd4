"""Sorting as loops: by the bytes of unsigned keys, the lowest first (radix sort), which is stable and has no branches.

Each pass counts nothing: how often each byte occurs is known from the beginning, for all passes. A pass in which all
keys have the same byte (small numbers have many) is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tracejit.ir.core import Eqn, Literal, Operand, Value
from tracejit.ir.ops import PRIMITIVES
from tracejit.ir.ops.common import index_literal
from tracejit.ir.primitive import Index
from tracejit.ir.types import ArrayType
from tracejit.lowering.loops import allocate, for_loop, if_then, size_operand, store
from tracejit.lowering.reader import Reader

if TYPE_CHECKING:
    from tracejit.lowering.lower import Lowering

__all__ = ["emit_sort"]

DType = np.dtype[Any]
INT64 = np.dtype(np.int64)
DIGITS = 256


def emit_sort(lowering: Lowering, eqn: Eqn) -> None:
    """Emit ``sort`` or ``argsort``, line by line."""
    (x,), reader = eqn.operands, lowering.reader
    buffer = lowering.result_buffer(eqn.results[0])

    def level(depth: int, outer: Index) -> None:
        if depth == x.rank - 1:
            line = _Line(reader, x, outer, buffer, keeps_order=eqn.op.name == "argsort")
            if_then(PRIMITIVES["gt"](line.total, index_literal(0)), line.emit)
            return

        def inside(i: Value, _: list[Operand]) -> list[Operand]:
            with reader:
                level(depth + 1, (*outer, i))
            return []

        for_loop(x.dims[depth], inside)

    level(0, ())
    lowering.place(eqn.results[0], buffer)


class _Line:
    """One line of the last axis. ``keeps_order``: the result is where the elements were, not they themselves."""

    def __init__(self, reader: Reader, x: Operand, outer: Index, buffer: Value, *, keeps_order: bool) -> None:
        self.reader = reader
        self.x = x
        self.outer = outer
        self.buffer = buffer
        self.keeps_order = keeps_order
        self.total = size_operand(x.dims[-1])
        wide = np.dtype(np.float32) if x.dtype.kind not in "biu" and x.dtype.itemsize < 4 else x.dtype
        self.float = wide if wide.kind == "f" else None
        self.dtype = np.dtype(f"u{wide.itemsize}")

    def emit(self) -> None:
        """Emit all."""
        length = (self.x.dims[-1],)
        with self.reader:
            self.keys = [allocate(self.dtype, length) for _ in range(2)]
            self.places = [allocate(INT64, length) for _ in range(2)] if self.keeps_order else []
            self.counts = allocate(INT64, (self.dtype.itemsize * DIGITS,))
            self._fill()
            self._count()
            (side,) = for_loop(self.dtype.itemsize, self._pass, [index_literal(0)])
            for number in range(2):
                if_then(PRIMITIVES["eq"](side, index_literal(number)), lambda number=number: self._give(number))  # type: ignore[misc]

    def _each(self, body: Any, kind: str = "serial") -> None:
        def inside(i: Value, _: Sequence[Operand]) -> list[Operand]:
            with self.reader:
                body(i)
            return []

        for_loop(self.total, inside, kind=kind)

    def _fill(self) -> None:
        def body(i: Operand) -> None:
            store(self._key(self.reader.read(self.x, (*self.outer, i))), self.keys[0], (i,))
            if self.places:
                store(i, self.places[0], (i,))

        self._each(body, "vector")
        zero = index_literal(0)

        def clear(i: Value, _: Sequence[Operand]) -> list[Operand]:
            store(zero, self.counts, (i,))
            return []

        for_loop(self.dtype.itemsize * DIGITS, clear, kind="vector")

    def _key(self, value: Operand) -> Operand:
        """An unsigned integer in the order of the elements."""
        key: Operand
        if self.float is not None:
            value = PRIMITIVES["cast"](value, dtype=self.float)
            if self.keeps_order:  # zeros of both signs are equal, and keep their order
                value = PRIMITIVES["add"](value, Literal(0.0, ArrayType(self.float)))
            key = PRIMITIVES["sort_key"](value)
            return key
        key = PRIMITIVES["cast"](value, dtype=self.dtype)
        return self._turned(key) if self.x.dtype.kind == "i" else key

    def _turned(self, key: Operand) -> Operand:
        sign = Literal(1 << (8 * self.dtype.itemsize - 1), ArrayType(self.dtype))
        turned: Operand = PRIMITIVES["bitwise_xor"](key, sign)
        return turned

    def _value(self, key: Operand) -> Operand:
        """The element of a key."""
        if self.float is not None:
            key = PRIMITIVES["from_sort_key"](key)
        elif self.x.dtype.kind == "i":
            key = self._turned(key)
        value: Operand = PRIMITIVES["cast"](key, dtype=self.x.dtype)
        return value

    def _digit(self, key: Operand, number: Operand) -> Operand:
        """Where one byte of a key is counted."""
        eight = index_literal(8)
        shift = PRIMITIVES["cast"](PRIMITIVES["mul"](number, eight), dtype=self.dtype)
        byte = PRIMITIVES["bitwise_and"](PRIMITIVES["shift_right"](key, shift), Literal(255, ArrayType(self.dtype)))
        place = PRIMITIVES["mul"](number, index_literal(DIGITS))
        digit: Operand = PRIMITIVES["add"](place, PRIMITIVES["cast"](byte, dtype=INT64))
        return digit

    def _count(self) -> None:
        def body(i: Operand) -> None:
            key = Reader.load(self.keys[0], (i,))
            for number in range(self.dtype.itemsize):
                digit = self._digit(key, index_literal(number))
                store(PRIMITIVES["add"](Reader.load(self.counts, (digit,)), index_literal(1)), self.counts, (digit,))

        self._each(body)

    def _pass(self, number: Value, carries: list[Operand]) -> list[Operand]:
        (side,) = carries
        # Both memories hold all keys, if in another order, once the first pass is over.
        any_digit = self._digit(Reader.load(self.keys[0], (index_literal(0),)), number)
        mixed = PRIMITIVES["ne"](Reader.load(self.counts, (any_digit,)), self.total)

        def move() -> None:
            self._places_of_digits(number)
            for source in range(2):
                from_here = PRIMITIVES["eq"](side, index_literal(source))
                if_then(from_here, lambda source=source: self._move(number, source))  # type: ignore[misc]

        if_then(mixed, move)
        return [PRIMITIVES["select"](mixed, PRIMITIVES["sub"](index_literal(1), side), side)]

    def _places_of_digits(self, number: Operand) -> None:
        """Turn counts into the places of the first element of each digit."""
        first = PRIMITIVES["mul"](number, index_literal(DIGITS))

        def inside(d: Value, before: list[Operand]) -> list[Operand]:
            place = (PRIMITIVES["add"](first, d),)
            found = Reader.load(self.counts, place)
            store(before[0], self.counts, place)
            return [PRIMITIVES["add"](before[0], found)]

        for_loop(DIGITS, inside, [index_literal(0)])

    def _move(self, number: Operand, source: int) -> None:
        def body(i: Operand) -> None:
            key = Reader.load(self.keys[source], (i,))
            digit = self._digit(key, number)
            place = Reader.load(self.counts, (digit,))
            store(key, self.keys[1 - source], (place,))
            if self.places:
                store(Reader.load(self.places[source], (i,)), self.places[1 - source], (place,))
            store(PRIMITIVES["add"](place, index_literal(1)), self.counts, (digit,))

        self._each(body)

    def _give(self, source: int) -> None:
        def body(i: Operand) -> None:
            if self.places:
                value = Reader.load(self.places[source], (i,))
            else:
                value = self._value(Reader.load(self.keys[source], (i,)))
            store(value, self.buffer, (*self.outer, i))

        self._each(body, "vector")
