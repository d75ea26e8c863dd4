"""What writes an entry's LLVM text instruction by instruction: names, blocks, and reading tables.

This module owns how the tables of a version and of all versions are read, and which slots a text asks for. It does not
know what an entry does.
"""

from __future__ import annotations

from typing import NamedTuple

from tracejit.runtime import layout

__all__ = ["Slot", "Writer"]


class Slot(NamedTuple):
    """One variable field of a version's table: ``kind`` of argument, lookup, name or result ``number``.

    Kinds: ``dtype`` and ``scalar_type`` of an argument, its ``object`` (what a static one must be); ``root`` and
    ``key`` of a lookup; ``name``, a keyword or a key of a dict, and ``type``, that of a namedtuple, both counted
    through all arguments; ``result_dtype`` and ``constant`` of a result;
    the ``server`` of the program's callbacks.
    """

    kind: str
    number: int


class Writer:
    """Appends instructions; knows the tables but not what an entry does."""

    def __init__(self) -> None:
        self._allocas: list[str] = []
        self._lines: list[str] = []
        self._slots: list[Slot] = []
        self._names = 0

    def _name(self) -> str:
        self._names += 1
        return f"v{self._names}"

    def _line(self, text: str) -> None:
        self._lines.append(f"  {text}")

    def _emit(self, instruction: str) -> str:
        name = f"%{self._name()}"
        self._line(f"{name} = {instruction}")
        return name

    def _label(self, name: str) -> None:
        self._lines.append(f"{name}:")

    def _block(self) -> str:
        """The label of the block that is being written."""
        return next(line[:-1] for line in reversed(self._lines) if not line.startswith(" "))

    def _alloca(self, words: int) -> str:
        name = f"%{self._name()}"
        self._allocas.append(f"  {name} = alloca [{max(words, 1)} x i64], align 16")
        return name

    def _at(self, base: str, offset: int) -> str:
        return self._emit(f"getelementptr i8, ptr {base}, i64 {offset}") if offset else base

    def _load(self, kind: str, base: str, offset: int) -> str:
        return self._emit(f"load {kind}, ptr {self._at(base, offset)}")

    def _store(self, kind: str, value: str, base: str, offset: int = 0) -> None:
        self._line(f"store {kind} {value}, ptr {self._at(base, offset)}")

    def _constant(self, base: str, offset: int) -> str:
        """A pointer from a table; tables do not change, so equal loads become one."""
        return self._emit(f"load ptr, ptr {self._at(base, offset)}, !invariant.load !0")

    def _api(self, name: str = "") -> str:
        """A pointer of the table that all entries share, or with no name that table."""
        base = self._constant("%table", layout.TABLE_API)
        return self._constant(base, layout.api_offset(name)) if name else base

    def _slot(self, kind: str, number: int) -> str:
        """The object in a slot."""
        return self._constant("%table", self._slot_offset(kind, number))

    def _slot_word(self, kind: str, number: int) -> str:
        """The number in a slot."""
        return self._emit(f"load i64, ptr {self._at('%table', self._slot_offset(kind, number))}, !invariant.load !0")

    def _slot_offset(self, kind: str, number: int) -> int:
        slot = Slot(kind, number)
        if slot not in self._slots:
            self._slots.append(slot)
        return layout.TABLE_SLOTS + 8 * self._slots.index(slot)

    def _call(self, kind: str, name: str, *operands: str) -> str:
        return self._emit(f"call {kind} {self._api(name)}({', '.join(operands)})")

    def _call_void(self, name: str, *operands: str) -> None:
        self._line(f"call void {self._api(name)}({', '.join(operands)})")

    def _branch(self, condition: str, yes: str, no: str) -> None:
        self._line(f"br i1 {condition}, label %{yes}, label %{no}")

    def _demand(self, condition: str) -> None:
        """Go on only where a condition holds; elsewhere the call belongs to the next version."""
        label = self._name()
        self._branch(condition, label, "miss")
        self._label(label)

    def _forbid(self, condition: str, otherwise: str = "miss") -> None:
        label = self._name()
        self._branch(condition, otherwise, label)
        self._label(label)

    def _count(self, offset: int, step: int) -> None:
        value = self._load("i64", "%self", offset)
        self._store("i64", self._emit(f"add i64 {value}, {step}"), "%self", offset)

    def _join(self, label: str) -> None:
        """End a block, and begin the one that it leads to."""
        self._line(f"br label %{label}")
        self._label(label)

    def _equal(self, found: str, wanted: str) -> None:
        """Demand one of two pointers to be the other."""
        self._demand(self._emit(f"icmp eq ptr {found}, {wanted}"))

    def _exactly(self, found: str, kind: str) -> None:
        """Demand an object to be of one of the types that the shared table has."""
        self._equal(self._load("ptr", found, layout.OBJECT_TYPE), self._api(kind))

    def _product(self, factor: int, dims: tuple[str, ...]) -> str:
        size = str(factor)
        for dim in dims:
            size = self._emit(f"mul i64 {size}, {dim}")
        return size
