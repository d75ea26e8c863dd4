"""Loops of a library on memory: which views they read without a copy, and how the batch becomes calls.

Such a loop takes a step for each axis, so transposed, sliced and stretched operands are read where they lie. Axes of
the batch that lie evenly in all arguments are one; of what is left the last is the library's loop, the others are ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from tracejit.ir.builder import current_builder
from tracejit.ir.core import Eqn, Literal, Operand, Value
from tracejit.ir.dims import DimLike
from tracejit.ir.ops import PRIMITIVES
from tracejit.ir.ops.common import index_add, index_literal, index_mul
from tracejit.ir.ops.library import LOOPS, LibraryLoop, core_last
from tracejit.ir.types import scalar
from tracejit.lowering.loops import allocate, for_loop, size_operand, store
from tracejit.lowering.reader import Reader

if TYPE_CHECKING:
    from tracejit.lowering.lower import Lowering

__all__ = ["emit_library_loop"]

Dims = tuple[DimLike, ...]


@dataclass(frozen=True)
class Place:
    """Where an array lies: in a buffer, from an offset on, with a step for each axis, in elements."""

    buffer: Value
    offset: DimLike
    steps: Dims

    def with_last(self, axis: int) -> Place:
        """With one axis, counted from the end, as the last."""
        if axis == -1:
            return self
        steps = list(self.steps)
        steps.append(steps.pop(axis))
        return Place(self.buffer, self.offset, tuple(steps))


def emit_library_loop(lowering: Lowering, eqn: Eqn) -> None:
    """Emit ``library_loop``."""
    loop = LOOPS[eqn.attrs["loop"]]
    outputs = []
    for result in eqn.results[: len(loop.outputs)]:
        buffer = lowering.result_buffer(result) if result.rank else allocate(result.dtype, ())
        outputs.append(_whole(buffer))
    inputs = [_place_of(lowering, operand) for operand in eqn.operands]
    if loop.overwrites:
        lowering.copy(eqn.operands[0], outputs[0].buffer)
        inputs[0] = outputs[0]
    axis = eqn.attrs.get("axis", -1)
    if axis != -1:
        inputs[0] = inputs[0].with_last(axis)
    places = [*inputs, *[output.with_last(axis) for output in outputs[loop.overwrites :]]]
    failed = _calls(eqn, loop, places)
    for result, output in zip(eqn.results, outputs, strict=False):
        if result.rank:
            lowering.place(result, output.buffer)
        else:
            lowering.reader.know(result, (), Reader.load(output.buffer, ()))
    if loop.reports:
        lowering.reader.know(eqn.results[-1], (), failed)


def _calls(eqn: Eqn, loop: LibraryLoop, places: Sequence[Place]) -> Operand:
    """The calls for all of the batch; gives whether one failed."""
    types = core_last([operand.type for operand in eqn.operands], eqn.attrs.get("axis", -1))
    cores = (*loop.inputs, *loop.outputs[loop.overwrites :])
    core = list(map(size_operand, loop.core_sizes(types, eqn.attrs["sizes"]).values()))
    core_steps = [
        size_operand(step)
        for place, names in zip(places, cores, strict=True)
        for step in place.steps[len(place.steps) - len(names) :]
    ]
    outer = [place.steps[: len(place.steps) - len(names)] for place, names in zip(places, cores, strict=True)]
    batch, outer = _joined(loop.batch(types), outer)
    count = batch[-1] if batch else 1
    attrs = {"loop": eqn.attrs["loop"], "variant": eqn.attrs.get("variant", 0)}

    def level(depth: int, offsets: list[Operand], failed: Operand) -> Operand:
        if depth >= len(batch) - 1:
            arguments = [part for place, offset in zip(places, offsets, strict=True) for part in (place.buffer, offset)]
            steps = [size_operand(own[-1]) if batch else index_literal(0) for own in outer]
            operands = (*arguments, size_operand(count), *core, *steps, *core_steps)
            (found,) = current_builder().emit(PRIMITIVES["call_library"], operands, attrs, (), eqn.loc)
            return PRIMITIVES["bitwise_or"](failed, found) if depth else found

        def inside(i: Value, carries: list[Operand]) -> list[Operand]:
            moved = [
                index_add(offset, index_mul(i, size_operand(own[depth])))
                for offset, own in zip(offsets, outer, strict=True)
            ]
            return [level(depth + 1, moved, carries[0])]

        (result,) = for_loop(batch[depth], inside, [failed])
        return result

    return level(0, [size_operand(place.offset) for place in places], Literal(False, scalar("bool")))


def _joined(batch: Dims, outer: Sequence[Dims]) -> tuple[Dims, list[Dims]]:
    """The batch, and its steps in each argument, without axes of size 1 and with neighbours joined where they fit."""
    steps = [own or (0,) * len(batch) for own in outer]
    axes = [axis for axis, size in enumerate(batch) if size != 1]
    sizes = [batch[axis] for axis in axes]
    columns = [[own[axis] for own in steps] for axis in axes]
    for k, _ in reversed(list(enumerate(pairwise(axes)))):
        if all(a == b * sizes[k + 1] for a, b in zip(columns[k], columns[k + 1], strict=True)):
            sizes[k : k + 2] = [sizes[k] * sizes[k + 1]]
            columns[k : k + 2] = [columns[k + 1]]
    return tuple(sizes), [tuple(column[position] for column in columns) for position in range(len(steps))]


def _whole(buffer: Value) -> Place:
    steps: list[DimLike] = []
    step: DimLike = 1
    for size in reversed(buffer.dims):
        steps.append(step)
        step = step * size
    return Place(buffer, 0, tuple(reversed(steps)))


def _place_of(lowering: Lowering, operand: Operand) -> Place:
    """Where an operand lies; what has no memory yet gets some."""
    found = _seen(lowering.reader, operand)
    if found is not None:
        return found
    buffer = allocate(operand.type.dtype, operand.type.dims)
    if operand.rank:
        lowering.copy(operand, buffer)
    else:
        store(lowering.reader.read(operand, ()), buffer, ())
    return _whole(buffer)


def _seen(reader: Reader, operand: Operand) -> Place | None:
    """Where the elements of an operand lie, if it is memory or a view of memory."""
    if not isinstance(operand, Value) or not operand.rank:
        return None
    views: list[Eqn] = []
    while operand not in reader.storage:
        eqn = reader.program.definition.get(operand)
        if eqn is None or eqn.op.name not in _VIEWS or not isinstance(eqn.operands[0], Value):
            return None
        views.append(eqn)
        operand = eqn.operands[0]
    place: Place | None = _whole(reader.storage[operand])
    for eqn in reversed(views):
        if place is not None:
            place = _VIEWS[eqn.op.name](eqn, place)
    return place


def _transposed(eqn: Eqn, place: Place) -> Place:
    return Place(place.buffer, place.offset, tuple(place.steps[axis] for axis in eqn.attrs["perm"]))


def _sliced(eqn: Eqn, place: Place) -> Place:
    starts, steps = eqn.attrs["starts"], eqn.attrs["steps"]
    offset = place.offset
    for start, step in zip(starts, place.steps, strict=True):
        offset = offset + start * step
    return Place(place.buffer, offset, tuple(a * b for a, b in zip(steps, place.steps, strict=True)))


def _stretched(eqn: Eqn, place: Place) -> Place:
    operand, dims = eqn.operands[0], eqn.attrs["dims"]
    steps: list[DimLike] = [0] * len(dims)
    for axis, size, step in zip(eqn.attrs["axes"], operand.dims, place.steps, strict=True):
        if size == dims[axis]:
            steps[axis] = step
    return Place(place.buffer, place.offset, tuple(steps))


def _reshaped(eqn: Eqn, place: Place) -> Place | None:
    """Axes of size 1 come and go; anything else is a view of whole memory only."""
    old, new = eqn.operands[0].dims, eqn.results[0].dims
    kept = [(size, step) for size, step in zip(old, place.steps, strict=True) if size != 1]
    if [size for size, _ in kept] != [size for size in new if size != 1]:
        whole = Value(place.buffer.type.with_dims(old))
        if place.offset == 0 and place.steps == _whole(whole).steps:
            return Place(place.buffer, 0, _whole(Value(place.buffer.type.with_dims(new))).steps)
        return None
    rest = iter(kept)
    return Place(place.buffer, place.offset, tuple(0 if size == 1 else next(rest)[1] for size in new))


_VIEWS = {"transpose": _transposed, "slice": _sliced, "broadcast": _stretched, "reshape": _reshaped}
