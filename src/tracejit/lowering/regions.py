"""Loops and branches over whole arrays: arrays are carried in memory that each turn changes, scalars in registers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from tracejit.ir.builder import Builder, current_builder
from tracejit.ir.core import Eqn, Function, Operand, Value
from tracejit.ir.ops import PRIMITIVES
from tracejit.ir.types import BufferType
from tracejit.lowering.decompose import decompose
from tracejit.lowering.loops import for_loop
from tracejit.lowering.overwriting import changed_params
from tracejit.lowering.selections import over_all_elements
from tracejit.lowering.single_thread import single_thread

if TYPE_CHECKING:
    from tracejit.lowering.lower import Lowering

__all__ = ["REGIONS", "lower_region"]


# ------------------------------------------------------------------------------------------------------- regions


def _carry_buffers(lowering: Lowering, eqn: Eqn, operands: Sequence[Operand]) -> list[Value | None]:
    """Memory for the arrays among a loop's state, holding their initial values; None for scalars."""
    buffers: list[Value | None] = []
    for operand, result in zip(operands, eqn.results, strict=True):
        if not operand.rank:
            buffers.append(None)
            continue
        home = lowering.home.get(result)
        buffer = lowering.take_over(operand) if eqn.operands.count(operand) == 1 else None
        if buffer is None or (home is not None and home is not buffer):
            buffer = home or lowering.temporary(result)
            if not lowering.is_empty(operand):
                lowering.copy(operand, buffer)
        buffers.append(buffer)
    return buffers


def _settle(
    lowering: Lowering, results: Sequence[Value], buffers: Sequence[Value | None], scalars: Sequence[Operand]
) -> None:
    rest = iter(scalars)
    for result, buffer in zip(results, buffers, strict=True):
        if buffer is None:
            lowering.reader.know(result, (), next(rest))
        else:
            lowering.place(result, buffer)


def lower_region(
    lowering: Lowering,
    region: Function,
    arguments: Sequence[Operand],
    slots: Sequence[Value | None],
    aliases: dict[int, int],
) -> list[Operand]:
    """Lower a closed region in the current builder; arrays end up in their slots, scalars are given back.

    arguments: buffers, or rank-0 operands. aliases: from result to the param whose buffer is its slot.
    """
    region = decompose(over_all_elements(region))
    arrays = [k for k, slot in enumerate(slots) if slot is not None]
    results = [region.results[k] for k in arrays]
    function = Function(
        region.name,
        region.params,
        region.eqns,
        tuple(results),
        aliases={arrays.index(k): p for k, p in aliases.items() if k in arrays},
    )
    scalars = [region.results[k] for k, slot in enumerate(slots) if slot is None]
    kept = [s for s in scalars if isinstance(s, Value)]
    inner = type(lowering)(
        function,
        lowering.program.hints,
        [s for s in slots if s is not None],
        kept=kept,
        depth=lowering.depth + 1,
        library_sorts=lowering.library_sorts,
    )
    for param, argument in zip(inner.function.params, arguments, strict=True):
        if isinstance(argument.type, BufferType):
            assert isinstance(argument, Value)
            inner.reader.storage[param] = argument
        else:
            inner.reader.know(param, (), argument)
    inner.run()
    return [inner.reader.read(scalar, ()) for scalar in scalars]


def _constants(lowering: Lowering, operands: Sequence[Operand]) -> list[Operand]:
    given: list[Operand] = []
    for operand in operands:
        if operand.rank == 0:
            given.append(lowering.reader.read(operand, ()))
        else:
            assert isinstance(operand, Value)
            given.append(lowering.reader.storage[operand])
    return given


def _arguments(buffers: Sequence[Value | None], scalars: Sequence[Operand]) -> list[Operand]:
    rest = iter(scalars)
    return [next(rest) if buffer is None else buffer for buffer in buffers]


def _serial(lowering: Lowering, region: Function) -> Function:
    """Loops deep inside of loops are not worth other threads."""
    return single_thread(region) if lowering.depth else region


def _fori_loop(lowering: Lowering, eqn: Eqn) -> None:
    count = eqn.attrs["carries"]
    lower, upper, *rest = eqn.operands
    buffers = _carry_buffers(lowering, eqn, rest[:count])
    constants = _constants(lowering, rest[count:])
    bounds = [lowering.reader.read(bound, ()) for bound in (lower, upper)]
    inits = [lowering.reader.read(o, ()) for o, b in zip(rest, buffers, strict=False) if b is None]
    aliases = {k: k + 1 for k in range(count)}

    def body(i: Value, carries: list[Operand]) -> list[Operand]:
        arguments = [i, *_arguments(buffers, carries), *constants]
        return lower_region(lowering, eqn.regions[0], arguments, buffers, aliases)

    finals = for_loop(bounds[1], body, inits, lower=bounds[0], finish=lambda region: _serial(lowering, region))
    _settle(lowering, eqn.results, buffers, finals)


def _while_loop(lowering: Lowering, eqn: Eqn) -> None:
    count = eqn.attrs["carries"]
    buffers = _carry_buffers(lowering, eqn, eqn.operands[:count])
    constants = _constants(lowering, eqn.operands[count:])
    inits = [lowering.reader.read(o, ()) for o, b in zip(eqn.operands, buffers, strict=False) if b is None]
    parent = current_builder()
    condition, body = eqn.regions
    regions = []
    wanted: list[tuple[Function, Sequence[Value | None], dict[int, int]]] = [
        (condition, [None], {}),
        (body, buffers, {k: k for k in range(count)}),
    ]
    for region, slots, aliases in wanted:
        inner = Builder(parent, loc=eqn.loc)
        carries = [inner.param(o.type) for o in inits]
        with inner:
            arguments = [*_arguments(buffers, carries), *constants]
            regions.append(_serial(lowering, inner.finish(lower_region(lowering, region, arguments, slots, aliases))))
    finals = parent.emit(PRIMITIVES["while"], tuple(inits), {}, tuple(regions), eqn.loc)
    _settle(lowering, eqn.results, buffers, finals)


def _cond(lowering: Lowering, eqn: Eqn) -> None:
    predicate, *operands = eqn.operands
    changed = changed_params(eqn)
    flag = lowering.reader.read(predicate, ())
    buffers: list[Value | None] = []
    for k, result in enumerate(eqn.results):
        if not result.rank:
            buffers.append(None)
            continue
        home = lowering.home.get(result)
        buffer = None
        if k in changed:
            old = operands[changed[k]]
            buffer = lowering.take_over(old) if eqn.operands.count(old) == 1 else None
            if buffer is None or (home is not None and home is not buffer):
                buffer = home or lowering.temporary(result)
                if not lowering.is_empty(old):
                    lowering.copy(old, buffer)
        buffers.append(buffer or home or lowering.temporary(result))
    arguments = _constants(lowering, operands)
    for k, p in changed.items():
        buffer = buffers[k]
        assert buffer is not None
        arguments[p] = buffer
    parent = current_builder()
    regions = []
    for region in eqn.regions:
        inner = Builder(parent, loc=eqn.loc)
        with inner:
            results = lower_region(lowering, region, arguments, buffers, changed)
            regions.append(_serial(lowering, inner.finish(results)))
    finals = parent.emit(PRIMITIVES["if"], (flag,), {}, tuple(regions), eqn.loc)
    _settle(lowering, eqn.results, buffers, finals)


REGIONS: dict[str, Callable[[Lowering, Eqn], None]] = {
    "fori_loop": _fori_loop,
    "while_loop": _while_loop,
    "cond": _cond,
}
