"""Sorting line by line: by a library where it has a function for the dtype and is not slower, else as loops.

The loops sort by the bytes of unsigned keys, the lowest first (radix sort), which is stable and has no branches. Each
pass counts nothing: how often each byte occurs is known from the beginning, for all passes. A pass in which all keys
have the same byte (small numbers have many) is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from tracejit.errors import UnsupportedError
from tracejit.ir.core import Eqn, Literal, Operand, Value
from tracejit.ir.dims import product
from tracejit.ir.ops import PRIMITIVES
from tracejit.ir.ops.common import index_add, index_literal, index_mul
from tracejit.ir.primitive import Index
from tracejit.ir.types import ArrayType
from tracejit.lowering.loops import allocate, for_loop, if_then, size_operand, store
from tracejit.lowering.reader import Reader

if TYPE_CHECKING:
    from tracejit.lowering.lower import Lowering

__all__ = ["LibrarySorts", "emit_sort", "no_library"]

DType = np.dtype[Any]
LibrarySorts: TypeAlias = Callable[[str, str, DType], bool]
"""Whether a library has a function for an operation ("sort" or "argsort"), a kind and a dtype."""

INT64 = np.dtype(np.int64)
DIGITS = 256
SHORT = 128  # a line of fewer elements is sorted before the digits of its keys are counted


def no_library(operation: str, kind: str, dtype: DType) -> bool:
    """Loops for everything."""
    return False


def emit_sort(lowering: Lowering, eqn: Eqn) -> None:
    """Emit ``sort`` (in place, if nobody needs the old values) or ``argsort``."""
    (x,) = eqn.operands
    if eqn.op.name == "sort":
        sorter: _Sort = _Elements(lowering, eqn, lowering.writable_copy(eqn))
    else:
        sorter = _Places(lowering, eqn, lowering.result_buffer(eqn.results[0]))

    def level(outer: Index) -> None:
        depth = len(outer)
        if depth == x.rank - 1:
            if_then(PRIMITIVES["gt"](sorter.total(), index_literal(0)), lambda: sorter.line(outer))
            return

        def inside(i: Value, _: list[Operand]) -> list[Operand]:
            with lowering.reader:
                level((*outer, i))
            return []

        for_loop(x.dims[depth], inside, kind="serial" if depth else "parallel", cost=product(x.dims[depth + 1 :]))

    level(())
    lowering.place(eqn.results[0], sorter.buffer)


class _Sort:
    """What the lines of one operation have in common. ``buffer``: the memory of the result."""

    def __init__(self, lowering: Lowering, eqn: Eqn, buffer: Value) -> None:
        self.reader = lowering.reader
        self.x = eqn.operands[0]
        self.buffer = buffer
        self.dtype = self.x.dtype
        kind = eqn.attrs["kind"]
        self.same_bits = self.dtype.kind in "biu"  # equal elements are the same
        if self.same_bits and eqn.op.name == "sort":
            kind = "quicksort"
        self.kind = kind
        self.by_library = lowering.library_sorts(eqn.op.name, kind, self.dtype)
        if not self.by_library and self.dtype.kind == "c":
            raise UnsupportedError(f"{eqn.op.name} of complex numbers has no loop form")

    def total(self) -> Operand:
        """How many elements a line has."""
        return size_operand(self.x.dims[-1])

    def offset(self, outer: Index) -> Operand:
        """Where a line of memory in the shape of the operand begins."""
        offset: Operand = index_literal(0)
        for i, dim in zip(outer, self.x.dims, strict=False):
            offset = index_add(index_mul(offset, size_operand(dim)), i)
        return index_mul(offset, self.total())

    def loops_are_faster(self) -> bool:
        """Whether long lines are sorted by loops even where the library has a function."""
        raise NotImplementedError

    def line(self, outer: Index) -> None:
        """Emit the sort of one line."""
        length = self.x.dims[-1]
        if not self.by_library:
            self.loops(outer)
        elif not self.loops_are_faster() or (isinstance(length, int) and length < SHORT):
            self.library(outer)
        elif isinstance(length, int):
            self.loops(outer)
        else:
            is_short = PRIMITIVES["lt"](self.total(), index_literal(SHORT))
            if_then(is_short, lambda: self.library(outer), lambda: self.loops(outer))

    def library(self, outer: Index) -> None:
        """Emit the call that sorts one line."""
        raise NotImplementedError

    def loops(self, outer: Index) -> None:
        """Emit the loops that sort one line."""
        raise NotImplementedError


class _Elements(_Sort):
    """Sorts what is in the buffer."""

    def loops_are_faster(self) -> bool:
        return self.kind == "stable" if self.dtype.kind == "f" else self.dtype.kind in "biu" and self.dtype.itemsize < 4

    def library(self, outer: Index) -> None:
        PRIMITIVES["sort_line"](self.buffer, self.offset(outer), self.total(), kind=self.kind)

    def loops(self, outer: Index) -> None:
        with self.reader:
            line = _Line(
                self.reader, self.x, lambda i: Reader.load(self.buffer, (*outer, i)), keeps_order=not self.same_bits
            )
            line.sort(lambda element, i: store(element, self.buffer, (*outer, i)), gives_places=False)


class _Places(_Sort):
    """Stores into the buffer where the elements were."""

    def loops_are_faster(self) -> bool:
        return self.kind == "stable" and self.dtype.kind != "c"

    def library(self, outer: Index) -> None:
        with self.reader:
            values = self.reader.storage.get(self.x) if isinstance(self.x, Value) else None
            offset = values_offset = self.offset(outer)
            if values is None:
                values, values_offset = allocate(self.dtype, (self.x.dims[-1],)), index_literal(0)
                scratch = values
                _each(
                    self.reader,
                    self.total(),
                    lambda i: store(self.reader.read(self.x, (*outer, i)), scratch, (i,)),
                    "vector",
                )
            _each(self.reader, self.total(), lambda i: store(i, self.buffer, (*outer, i)), "vector")
            operands = (values, values_offset, self.buffer, offset, self.total())
            PRIMITIVES["argsort_line"](*operands, kind=self.kind)

    def _each(self, body: Callable[[Operand], None]) -> None:
        _each(self.reader, self.total(), body, "vector")

    def loops(self, outer: Index) -> None:
        with self.reader:
            line = _Line(self.reader, self.x, lambda i: self.reader.read(self.x, (*outer, i)), keeps_order=True)
            line.sort(lambda place, i: store(place, self.buffer, (*outer, i)), gives_places=True)


def _each(reader: Reader, total: Operand, body: Callable[[Operand], None], kind: str = "serial") -> None:
    def inside(i: Value, _: Sequence[Operand]) -> list[Operand]:
        with reader:
            body(i)
        return []

    for_loop(total, inside, kind=kind)


class _Line:
    """One line of elements that ``read(i)`` gives. ``keeps_order``: also find where the elements were."""

    def __init__(self, reader: Reader, x: Operand, read: Callable[[Operand], Operand], *, keeps_order: bool) -> None:
        self.reader = reader
        self.x = x
        self.read = read
        self.keeps_order = keeps_order
        self.total = size_operand(x.dims[-1])
        wide = np.dtype(np.float32) if x.dtype.kind not in "biu" and x.dtype.itemsize < 4 else x.dtype
        self.float = wide if wide.kind == "f" else None
        self.dtype = np.dtype(f"u{wide.itemsize}")

    def sort(self, give: Callable[[Operand, Operand], None], *, gives_places: bool) -> None:
        """Emit all, and at the end ``give(element, i)`` or ``give(place, i)`` for each i."""
        length = (self.x.dims[-1],)
        self.keys = [allocate(self.dtype, length) for _ in range(2)]
        self.places = [allocate(INT64, length) for _ in range(2)] if self.keeps_order else []
        # Equal floats need not have the same bits: not the keys, but the elements themselves are given back.
        self.elements = allocate(self.x.dtype, length) if self.keeps_order and not gives_places else None
        self.counts = allocate(INT64, (self.dtype.itemsize * DIGITS,))
        self._fill()
        self._count()
        (side,) = for_loop(self.dtype.itemsize, self._pass, [index_literal(0)])

        def give_all(source: int) -> None:
            def body(i: Operand) -> None:
                give(self._found(source, i, gives_places=gives_places), i)

            _each(self.reader, self.total, body, "vector")

        for number in range(2):
            if_then(PRIMITIVES["eq"](side, index_literal(number)), lambda number=number: give_all(number))  # type: ignore[misc]

    def _found(self, source: int, i: Operand, *, gives_places: bool) -> Operand:
        if not self.places:
            return self._value(Reader.load(self.keys[source], (i,)))
        place = Reader.load(self.places[source], (i,))
        return place if gives_places or self.elements is None else Reader.load(self.elements, (place,))

    def _fill(self) -> None:
        def body(i: Operand) -> None:
            element = self.read(i)
            store(self._key(element), self.keys[0], (i,))
            if self.elements is not None:
                store(element, self.elements, (i,))
            if self.places:
                store(i, self.places[0], (i,))

        _each(self.reader, self.total, body, "vector")
        zero = index_literal(0)
        count = index_literal(self.dtype.itemsize * DIGITS)
        _each(self.reader, count, lambda i: store(zero, self.counts, (i,)), "vector")

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
        key = self._turned(key) if self.x.dtype.kind == "i" else key
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

        _each(self.reader, self.total, body)

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

        _each(self.reader, self.total, body)
