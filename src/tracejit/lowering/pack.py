"""Copies of small arrays in the order in which large nests read them.

Where a short reduction runs inside a long vector loop (pairwise distances over ``(n, 3)`` points), the vector loop
would step
over rows: ``x[j, k]`` for consecutive ``j``. One transposed copy, small beside the nest, makes those loads contiguous.
"""

from __future__ import annotations

from tracejit.ir.builder import Builder, rebuild
from tracejit.ir.core import Eqn, Operand, Value
from tracejit.ir.dims import product
from tracejit.ir.ops import PRIMITIVES
from tracejit.lowering.analysis import Program, Tags, analyse, operand_tags, reduce_mode

__all__ = ["pack"]

WORTH = 16  # how many times larger than the array the nest must be
_REDUCED = -1


def pack(program: Program) -> Program:
    """The program with transposed copies where they pay, which are roots; mostly the program as it is."""
    function = program.function
    found: dict[tuple[Eqn, Value], int] = {}
    for eqn in function.eqns:
        if reduce_mode(program, eqn) == "small":
            for consumer, source, axis in _strided_reads(program, eqn):
                found[(consumer, source)] = axis
    if not found:
        return program
    copies: dict[tuple[Operand, int], tuple[Value, Operand]] = {}

    def visit(builder: Builder, eqn: Eqn, operands: list[Operand]) -> tuple[Operand, ...]:
        for position, old in enumerate(eqn.operands):
            axis = found.get((eqn, old)) if isinstance(old, Value) else None
            if axis is not None:
                operands[position] = _copied(operands[position], axis, copies)
        return builder.emit(eqn.op, tuple(operands), eqn.attrs, eqn.regions, eqn.loc)

    packed = rebuild(function, visit)
    return analyse(packed, program.hints, {copy for copy, _ in copies.values()})


def _copied(source: Operand, axis: int, copies: dict[tuple[Operand, int], tuple[Value, Operand]]) -> Operand:
    """The source, read through a copy whose last axis is ``axis``."""
    known = copies.get((source, axis))
    if known is None:
        perm = (*(a for a in range(source.rank) if a != axis), axis)
        back = tuple(perm.index(a) for a in range(source.rank))
        copy = PRIMITIVES["transpose"](source, perm=perm)
        known = copies[(source, axis)] = (copy, PRIMITIVES["transpose"](copy, perm=back))
    return known[1]


def _strided_reads(program: Program, reduction: Eqn) -> list[tuple[Eqn, Value, int]]:
    """(reader, source, axis) where the vector loop steps along an axis that is not the last in memory."""
    operand = reduction.operands[0]
    axes = reduction.attrs["axes"]
    loops = iter(range(operand.rank))
    start: Tags = tuple(_REDUCED if a in axes else next(loops) for a in range(operand.rank))
    vector = operand.rank - len(axes) - 1
    nest = program.hint(product(operand.dims))
    found = []
    seen: set[tuple[Operand, Tags]] = set()
    stack: list[tuple[Eqn, Operand, Tags]] = [(reduction, operand, start)]
    while stack:
        reader, value, tags = stack.pop()
        if not isinstance(value, Value) or (value, tags) in seen:
            continue
        seen.add((value, tags))
        eqn = program.definition.get(value)
        if eqn is None or value in program.roots:
            if value.rank > 1 and tags[-1] != vector and vector in tags:
                if nest >= WORTH * program.hint(product(value.dims)):
                    found.append((reader, value, tags.index(vector)))
            continue
        stack.extend((eqn, operand, below) for operand, below in operand_tags(eqn, tags))
    return found
