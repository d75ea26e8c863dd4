"""The text of one LLVM function under construction: names, blocks, instructions; and what its module collects.

Owns naming and order of text. It must not know operations, loops or memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tracejit.codegen_llvm.registers import Register, named_register

__all__ = ["Chunk", "Message", "Module", "Writer", "flatten"]

Lines = list[Any]  # of lines, and of lists of lines that may still grow


@dataclass(frozen=True, slots=True)
class Message:
    """What a failing check raises: the name of an exception type, a format text, the user's file and line."""

    exception: str
    text: str
    location: tuple[str, int] | None


@dataclass
class Module:
    """What the functions of one LLVM module share."""

    functions: list[str] = field(default_factory=list)
    helpers: dict[str, str] = field(default_factory=dict)  # symbol -> definition
    declarations: set[str] = field(default_factory=set)
    symbols: set[str] = field(default_factory=set)  # external C symbols
    messages: list[Message] = field(default_factory=list)
    functions_called_back: list[Any] = field(default_factory=list)
    count: int = 0

    def python_number(self, function: Any) -> int:
        """The number under which the code asks for a Python function."""
        if function not in self.functions_called_back:
            self.functions_called_back.append(function)
        return self.functions_called_back.index(function)

    def external(self, symbol: str, declaration: str) -> None:
        """Note the use of a C symbol."""
        if symbol not in self.symbols:
            self.symbols.add(symbol)
            self.declarations.add(declaration)

    def text(self) -> str:
        """The whole module."""
        return "\n".join([*sorted(self.declarations), *self.helpers.values(), *self.functions]) + "\n"


class Chunk:
    """A place in the text that can still grow: its lines, and the block that its last line is in."""

    __slots__ = ("block", "lines")

    def __init__(self, block: str) -> None:
        self.lines: Lines = []
        self.block = block


class Writer:
    """Emits instructions of one function at the current place, ``out``, which is in the block labelled ``block``."""

    def __init__(self, module: Module, fma: bool = True) -> None:
        self.module = module
        self.has_fma = fma
        self.entry = Chunk("entry")  # stack slots and what is computed once, before everything else
        self.body = Chunk("entry")
        self.out = self.body.lines
        self.block = "entry"
        self._count = 0

    def op(self, text: str) -> str:
        """Emit an instruction with a result; gives its name."""
        self._count += 1
        name = f"%v{self._count}"
        self.out.append(f"{name} = {text}")
        return name

    def fresh(self) -> str:
        """A name for a result that is emitted later."""
        self._count += 1
        return f"%v{self._count}"

    def label(self) -> str:
        """A new block's name."""
        self._count += 1
        return f"b{self._count}"

    def start(self, label: str) -> None:
        """Begin a block."""
        self.out.append(f"{label}:")
        self.block = label

    def jump(self, label: str) -> None:
        """End the block by going to another."""
        self.out.append(f"br label %{label}")

    def branch(self, condition: str, then: str, otherwise: str) -> None:
        """End the block by going to one of two others."""
        self.out.append(f"br i1 {condition}, label %{then}, label %{otherwise}")

    def unlikely(self, condition: str, then: str, otherwise: str) -> None:
        """End the block by going to ``then`` in rare cases; its code is moved out of the way."""
        self.out.append(f"br i1 {condition}, label %{then}, label %{otherwise}, !prof !1")

    def at(self, chunk: Chunk, emit: Callable[[], Any]) -> Any:
        """Run an emitting function at another place; gives its result."""
        out, block = self.out, self.block
        self.out, self.block = chunk.lines, chunk.block
        result = emit()
        chunk.block = self.block
        self.out, self.block = out, block
        return result

    def slot(self, size: int, align: int = 64) -> str:
        """Stack memory that lives as long as the function runs."""
        self._count += 1
        name = f"%v{self._count}"
        self.entry.lines.append(f"{name} = alloca [{size} x i8], align {align}")
        return name

    # ------------------------------------------------------------------------------------- lane by lane

    def intrinsic(self, name: str, k: Register, *operands: str) -> str:
        """Call an LLVM intrinsic whose operands and result have one type."""
        spelled = ", ".join([f"{k.type} {operand}" for operand in operands])
        return self.op(f"call {k.type} @llvm.{name}.{k.suffix}({spelled})")

    def select(self, k: Register, mask: str, a: str, b: str) -> str:
        """``a`` in lanes where the mask is set, else ``b``."""
        return self.op(f"select {k.mask} {mask}, {k.type} {a}, {k.type} {b}")

    def splat(self, k: Register, scalar: str) -> str:
        """A scalar in every lane; ``k`` is the register of the result."""
        if k.lanes == 1:
            return scalar
        if scalar[0] != "%" or scalar[:2] == "%.":
            return f"splat ({k.element} {scalar})"
        if k.element == "i1" and k.lanes >= 8:
            # LLVM would insert every lane, unless it sees wider integers, which it makes lanes of by one broadcast.
            bytes_, words = named_register("i8", k.lanes), named_register("i64", k.lanes // 8)
            wide = self.splat(words, self.op(f"sext i1 {scalar} to i64"))
            split = self.op(f"bitcast {words.type} {wide} to {bytes_.type}")
            return self.op(f"icmp ne {bytes_.type} {split}, zeroinitializer")
        first = self.op(f"insertelement {k.type} poison, {k.element} {scalar}, i64 0")
        return self.op(f"shufflevector {k.type} {first}, {k.type} poison, <{k.lanes} x i32> zeroinitializer")

    def lane(self, k: Register, vector: str, lane: int | str) -> str:
        """One lane as a scalar."""
        return vector if k.lanes == 1 else self.op(f"extractelement {k.type} {vector}, i64 {lane}")

    def any_lane(self, k: Register, mask: str) -> str:
        """Whether a mask is set anywhere, as an i1."""
        if k.lanes == 1:
            return mask
        bits = self.op(f"bitcast {k.mask} {mask} to i{k.lanes}")
        return self.op(f"icmp ne i{k.lanes} {bits}, 0")

    def per_lane(self, k: Register, result: Register, emit: Callable[..., str], *vectors: str) -> str:
        """Build a register from a scalar computation on each lane."""
        if k.lanes == 1:
            return emit(*vectors)
        built = "poison"
        for lane in range(k.lanes):
            scalar = emit(*[self.lane(k, vector, lane) for vector in vectors])
            built = self.op(f"insertelement {result.type} {built}, {result.element} {scalar}, i64 {lane}")
        return built


def flatten(lines: Lines) -> list[str]:
    """The lines in order, nested lists in place."""
    flat: list[str] = []
    stack = [iter(lines)]
    while stack:
        for line in stack[-1]:
            if type(line) is list:
                stack.append(iter(line))
                break
            flat.append(line)
        else:
            stack.pop()
    return flat
