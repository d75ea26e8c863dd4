"""What is known of CPUs: how many lanes a loop takes at a time, and when work is worth other threads.

Reads loops of the IR to weigh them; emits nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from tracejit.codegen_llvm.registers import register
from tracejit.codegen_llvm.scalar_math import HEAVY
from tracejit.ir.core import Eqn, Function, Operand, Value, walk

__all__ = ["CHUNK_NANOSECONDS", "PARALLEL_NANOSECONDS", "Target", "Weight", "choose_lanes", "has_fma", "weigh"]

PARALLEL_NANOSECONDS = 30_000
"""Less work than this is done by the caller alone: waking another thread costs 5 to 20 us."""
CHUNK_NANOSECONDS = 20_000
"""Chunks handed to threads are at least this long, so that handing them out costs nothing in comparison."""

MOST_LANES = 64
_SLOW = frozenset({"div", "floordiv", "mod", "fmod", "sqrt", "reciprocal", "ldexp", "gcd", "lcm", "nextafter"})
_UNORDERED = frozenset({"check", "wrap_index", "while", "if"})
_AFFINE = frozenset({"add", "sub", "mul", "neg"})


class Target(Protocol):
    """What code generation asks of ``engine.Target``."""

    @property
    def triple(self) -> str:
        """The LLVM triple."""

    @property
    def features(self) -> str:
        """LLVM's feature string."""

    @property
    def vector_bits(self) -> int:
        """Size of the widest vector register."""


def has_fma(target: Target) -> bool:
    """Whether a fused multiply-add is one instruction."""
    return "+fma" in target.features.split(",") or not target.triple.startswith(("x86_64", "i686", "amd64"))


@dataclass(slots=True)
class Weight:
    """What one iteration of a loop does, nested loops counted once."""

    size: int = 1  # bytes of the widest element
    light: int = 0  # operations of one instruction or a few
    slow: int = 0  # divisions and roots
    heavy: int = 0  # calls of functions
    memory: int = 0  # loads and stores
    indirect: bool = False  # indices may come from data, lanes may go different ways or fail

    def nanoseconds(self, lanes: int) -> float:
        """Estimated time for each element touched."""
        work = (0.3 * self.light + 2.5 * self.slow + 12.0 * self.heavy) / max(lanes, 1)
        return max(0.15, work / max(self.memory, 1))


def weigh(body: Function) -> Weight:
    """Count what one iteration does."""
    weight = Weight()
    tainted: set[Value] = set()
    for eqn in walk(body):
        name = eqn.op.name
        if name in ("load", "store"):
            position = 0 if name == "load" else 1
            buffer, index = eqn.operands[position], eqn.operands[position + 1 :]
            weight.memory += 1
            weight.size = max(weight.size, register(buffer.type.dtype).size)
            weight.indirect = weight.indirect or not tainted.isdisjoint(v for v in index if type(v) is Value)
            if name == "load" and buffer.type.dtype.kind in "iub":
                tainted.add(eqn.results[0])
        elif name in ("sort_line", "argsort_line", "random_line", "random_number", "call_library"):
            weight.heavy += 1
        elif eqn.op.elementwise:
            _weigh_elementwise(weight, eqn, tainted)
        weight.indirect = weight.indirect or name in _UNORDERED or (name == "pow" and _is_integer(eqn.operands[1]))
    return weight


def _is_integer(operand: Operand) -> bool:
    return operand.type.dtype.kind == "i"


def _weigh_elementwise(weight: Weight, eqn: Eqn, tainted: set[Value]) -> None:
    name = eqn.op.name
    result = eqn.results[0]
    if result.type.dtype.kind == "i":
        if name not in _AFFINE or not tainted.isdisjoint(o for o in eqn.operands if type(o) is Value):
            tainted.add(result)
    if result.type.dtype.char not in "lq":
        weight.size = max(weight.size, register(result.type.dtype).size)
        weight.light += 1
    if name in HEAVY:
        weight.heavy += 1
    elif name in _SLOW:
        weight.slow += 1


def choose_lanes(weight: Weight, vector_bits: int, count: int | None, kind: str) -> int:
    """How many iterations of a vector or reduce loop run at a time; ``count``: how many there are, where known.

    Several registers a value keep independent operations in flight; bodies with many values keep to one, so that they
    need not be spilled.
    """
    registers = _registers(weight, kind)
    lanes = min(max(1, registers * vector_bits // 8 // min(weight.size, 8)), MOST_LANES)
    if weight.size == 16:
        lanes = max(1, lanes // 2)
    if count is not None:
        while lanes > max(count, 1):
            lanes //= 2
    return lanes


def _registers(weight: Weight, kind: str) -> int:
    if weight.heavy:
        return 2  # constants, which are most of a function's operands, serve both; more would be spilled
    work = weight.light + 2 * weight.slow + weight.memory
    if kind == "reduce":
        return 4 if work <= 24 else 2
    return 4 if work <= 8 else 2 if work <= 24 else 1


def names(eqns: Iterable[Eqn]) -> set[str]:
    """The names of the operations in some equations."""
    return {eqn.op.name for eqn in eqns}
